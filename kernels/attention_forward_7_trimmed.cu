/* Attention, forward, rung 7: trimmed.

   Idea. Rung 6 with what good kernels do last.
     Taller warps. A warp owns 32 queries, two fragments above each other, so that what ldmatrix brings of keys and
     values serves twice as many products, and a block 128. Registers set the limit: at width 128 tiles have 32 keys,
     and queries stay in shared memory instead of in registers.
     Products and exponentials at the same time. A warp's tensor cores and its exponentials use different units, but in
     rung 6 each waits for the other's result. Here a warp is one tile ahead with its scores: in one turn of the loop it
     makes the scores of tile j + 1, and then, in one stretch of code, multiplies the weights of tile j by the values of
     tile j and exponentiates the scores of tile j + 1. Neither needs the other, so the GPU's scheduler mixes them.
     Copies in step with that: in turn j keys of tile j + 2 and values of tile j + 1 are on their way.
     Masks where they are needed only: in the last tile if it isn't full, and in every tile if there are times.
     A maximum may be old. Weights are relative to a reference which needn't be the very maximum: the result is the same
     as long as nothing overflows. So earlier sums are brought to a new one only if it is more than 2^8 times higher in
     any row of the warp (a trick known from FlashAttention-4), which is rare after the first tiles, and
     decided by the warp as a whole: no thread waits for another's branch.
     The output goes through shared memory, so that a row leaves in pieces of 16 bytes.

   Arithmetic intensity. 4 * 128 n d FLOPs / (2 n d * 2 bytes) = 128 FLOPs a byte of the L2 cache. From shared memory,
   512 bytes for 4 mma of 4,096 FLOPs, 32 FLOPs a byte; at width 128, with the queries, 21.
   Expected limit: at width 32 the exponentials, one for 128 FLOPs; at 64 the exponentials and the tensor cores about
   equally; at 128 the tensor cores, as fast as mma.sync drives them (on an sm_90 wgmma drives them faster).

   Launch: 128 threads a block, a block for 128 queries.
   Run: minivdit kernels emulate attention_forward_7_trimmed */
#include "tall_fragments.cuh"

constexpr int TALL = 2, QUERIES = 16 * TALL * WARPS; // a query a thread

// What to change first when tuning for a GPU. Blocks: of one multiprocessor, which sets how many registers there are.
template <int WIDTH> struct Plan {
    static constexpr int KEYS = WIDTH == 128 ? 32 : 64, BLOCKS = 2;
    static constexpr bool QUERIES_IN_REGISTERS = WIDTH < 128;
};

template <int WIDTH> struct Shared {
    Swizzled<QUERIES, WIDTH> q; // and in the end the output
    Swizzled<Plan<WIDTH>::KEYS, WIDTH> k[2], v[2];
    int key_time[2][Plan<WIDTH>::KEYS], query_time[QUERIES]; // here, not in registers: masks are rare
};

// Weights of the step-th 16 keys, rounded, as the left factor of the product with the values.
template <class T, int N, int STEPS>
__device__ __forceinline__ void make_weights(unsigned (&weights)[STEPS][TALL][4], float (&scores)[TALL][N][4],
                                             TallOnline<TALL> &online, float factor, int step) {
#pragma unroll
    for (int t = 0; t < TALL; t++) {
#pragma unroll
        for (int j = 2 * step; j < 2 * step + 2; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                make_weight(scores[t][j][i], online, factor, t, i / 2);
        left_of_sum<T>(weights[step][t], scores[t], step);
    }
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS, Plan<WIDTH>::BLOCKS) attention_forward_7_trimmed(Forward<T> a) {
    constexpr int KEYS = Plan<WIDTH>::KEYS, STEPS = KEYS / 16;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    float factor = LOG2_E * a.scale;

    Copier<Swizzled<KEYS, WIDTH>, T> keys(a.k, work, 0), values(a.v, work, 0);
    auto fetch_keys = [&](int first, int buffer) {
        keys.next(shared.k[buffer], a.keys - first);
        if ((a.key_time.data || first + KEYS > a.keys) && threadIdx.x < KEYS) // as in `hide_some`
            shared.key_time[buffer][threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
    };
    Copier<Swizzled<QUERIES, WIDTH>, T>(a.q, work, work.first).next(shared.q, a.queries - work.first);
    fetch_keys(0, 0);
    copy_async_commit(); // queries and the first keys
    values.next(shared.v[0], a.keys);
    if (KEYS < a.keys)
        fetch_keys(KEYS, 1);
    copy_async_commit(); // the first values and the second keys

    shared.query_time[threadIdx.x] = time_of_query(a.query_time, work, work.first + threadIdx.x, a.queries);
    TallOnline<TALL> online;
    float out[TALL][WIDTH / 8][4], scores[TALL][KEYS / 8][4], shrink[TALL][2];
    unsigned weights[STEPS][TALL][4];
#pragma unroll
    for (int t = 0; t < TALL; t++)
        clear(out[t]);
    auto hide_some = [&](int first, int buffer) {
        if (a.key_time.data || first + KEYS > a.keys)
            hide(scores, shared.query_time, shared.key_time[buffer]);
    };

    copy_async_wait<1>(); // my part of the queries and the first keys has landed
    __syncthreads();      // they are there
    TallLeft<WIDTH, TALL, Plan<WIDTH>::QUERIES_IN_REGISTERS> q(shared.q);
    multiply_turned<T>(scores, q, shared.q, shared.k[0]);
    hide_some(0, 0);
    new_references(scores, online, factor, shrink); // nothing is summed yet that could shrink
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        make_weights<T>(weights, scores, online, factor, step);

    int buffer = 0; // of the values that are multiplied; the keys, a tile ahead, are in the other one
    for (int first = KEYS; first < a.keys; first += KEYS, buffer ^= 1) {
        copy_async_wait<0>(); // my part of these keys and of the values before has landed
        __syncthreads();      // they are there, and all have read what comes before them
        values.next(shared.v[buffer ^ 1], a.keys - first);
        if (first + KEYS < a.keys)
            fetch_keys(first + KEYS, buffer);
        copy_async_commit();

        multiply_turned<T>(scores, q, shared.q, shared.k[buffer ^ 1]);
        hide_some(first, buffer ^ 1);
        bool moved = new_references(scores, online, factor, shrink);
        TRACE("keys from %d on are exponentiated, values from %d on multiplied", first, first - KEYS);
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            add_step<T>(out, weights[step], shared.v[buffer], step);
            make_weights<T>(weights, scores, online, factor, step);
        }
        if (moved)
            shrink_sums(out, shrink);
    }
    copy_async_wait<0>(); // my part of the last values has landed
    __syncthreads();      // the last values are there
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        add_step<T>(out, weights[step], shared.v[buffer], step);

    // A warp's queries have been read by this warp alone, so their place is free for its output.
    __syncwarp();
    finish_through(shared.q, a, work, factor, online, out);
}
