/* Attention, backward, rung 5: products of a warpgroup (Hopper, sm_90a).

   Idea. Rung 4's two kernels with the instruction of forward rung 8 (warpgroup.cuh). A warpgroup owns 64 keys, or 64
   queries, and multiplies them by a whole tile of the other side at once, straight from shared memory, while its warps
   do something else.
     ..._keys      k q^T and v out_grad^T: all four lie along the depth, the width. They leave weights and gradients of
                   scores turned around, a row for each key, in the registers where they are left factors of
                   v_grad += weights^T out_grad and k_grad += scores_grad^T q. The depth of these is the tile's queries,
                   so q and out_grad, the same bytes, lie across it now; their descriptors say so.
     ..._queries   q k^T and out_grad v^T, then q_grad += scores_grad k, with k across the depth.
   So each number is in shared memory once, in one layout, and nothing is transposed. Sums are added up in one order,
   without atomics: bitwise the same each time.

   A turn of the loop: the two products along the width are issued, then the copies of the next tile. A wait for all
   groups but the last gives the scores; they become weights while the second product is made, and v_grad's product is
   under way while weights and their gradients become those of scores. Each turn ends with a wait: a product that would
   go on into the next turn lets ptxas put a wait behind every wgmma (tried, with a third buffer). So what a warpgroup
   can't fill by itself, the beginning and the end of a turn, the other one has to.

   Arithmetic intensity. For each tile of n rows a block of 128 rows reads 4 n d bytes and does 8 * 128 n d FLOPs in
   ..._keys, 6 * 128 n d in ..._queries: 256 and 192 FLOPs a byte of the L2 cache, at all widths. From shared memory at
   width 128, 39 and 48, where rung 4 does 13 and 16.
   Expected limit: for 128 queries and 128 keys on one multiprocessor, in clocks. (In one it does 4,096 FLOPs, 16
   exponentials and 128 bytes of shared memory; of the last, log_sum_exp and row sums take 256 clocks in ..._keys.)
                               tensor cores   exponentials   shared memory (read + copied)
     ..._keys      width  32      1,024          1,024           896 + 128
                   width  64      2,048          1,024         1,536 + 256
                   width 128      4,096          1,024         3,328 + 512
     ..._queries   width  32        768          1,024           640 + 128
                   width  64      1,536          1,024         1,280 + 256
                   width 128      3,072          1,024         2,048 + 512
   Tensor cores, then, but for width 32, with shared memory close behind. Rung 4 drives them at two thirds at most, and
   at width 128 waits for shared memory. So at best this takes, in ..._keys and ..._queries, 0.4 and 0.5 of rung 4's
   time at width 128, two thirds of it at 64, and 0.7 and 0.9 at 32. What is lost: at each turn's barrier tensor cores
   have nothing to do (at widths 32 and 64 ..._queries has two blocks a multiprocessor, which fill each other's gaps).
   Nobody has measured it: these are sums on paper.

   Registers decide the tiles (see the plans): at width 128 k_grad and v_grad take 128 a thread, scores and gradients of
   64 queries 64, their left factors 32. 128 queries a tile would need 96 more.

   Launch: 256 threads a block, two warpgroups, for 128 rows (..._row_sums: 128 threads for 4). Compiled for sm_90a: an
   sm_90 runs it, no other.
   Run: minivdit kernels emulate attention_backward_5_wgmma */
#include "tall_fragments.cuh"
#include "warpgroup.cuh"

constexpr int WARPGROUPS = 2, BLOCK = 128 * WARPGROUPS, OWN = 64 * WARPGROUPS;

// What to change first when tuning: how many rows of the other side a tile has, and how many blocks share a
// multiprocessor, which sets how many registers there are.
template <int WIDTH> struct KeysPlan {
    static constexpr int OTHERS = WIDTH == 128 ? 64 : 128, BLOCKS = 1;
};
template <int WIDTH> struct QueriesPlan {
    static constexpr int OTHERS = WIDTH == 128 ? 128 : 64, BLOCKS = WIDTH == 128 ? 1 : 2;
};

template <int WIDTH, class PLAN> struct Shared {
    Panels<OWN, WIDTH> own[2];                // k and v of this block, or q and out_grad
    Panels<PLAN::OTHERS, WIDTH> others[2][2]; // two buffers of the other two
    float of_queries[2][2 * PLAN::OTHERS];    // log_sum_exp (in base 2), then row sums, if the others are queries
    int time[2][PLAN::OTHERS];
};

// sum = own others^T, 64 rows of a block's own from `row` on, times a tile; a group that is under way from here on.
template <class T, int WIDTH, int N>
__device__ __forceinline__ void begin_turned(float (&sum)[N][4], const Panels<OWN, WIDTH> &own, int row,
                                             const Panels<8 * N, WIDTH> &others) {
    Descriptor left = own.along(row), right = others.along();
#pragma unroll
    for (int step = 0; step < WIDTH / 16; step++)
        wgmma<false>(T(), sum, own.step_along(left, step), others.step_along(right, step), step > 0);
    warpgroup_commit();
}

// sum += left others: weights in registers, times a tile as it is; a group, too.
template <class T, int WIDTH, int STEPS>
__device__ __forceinline__ void begin_weighted(float (&sum)[WIDTH / 8][4], const unsigned (&left)[STEPS][4],
                                               const Panels<16 * STEPS, WIDTH> &others) {
    Descriptor right = others.across();
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        wgmma<true>(T(), sum, left[step], others.step_across(right, step), true);
    warpgroup_commit();
}

template <class T, int STEPS, int N>
__device__ __forceinline__ void round_to_left(unsigned (&left)[STEPS][4], const float (&sum)[N][4]) {
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        left_of_sum<T>(left[step], sum, step);
}

template <class T, int WIDTH> __global__ void attention_backward_5_wgmma_row_sums(Backward<T> a) {
    write_row_sums<WIDTH>(a);
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(BLOCK, KeysPlan<WIDTH>::BLOCKS) attention_backward_5_wgmma_keys(Backward<T> a) {
    constexpr int OTHERS = KeysPlan<WIDTH>::OTHERS, N = OTHERS / 8;
    using Memory = Shared<WIDTH, KeysPlan<WIDTH>>;
    using Others = Panels<OTHERS, WIDTH>;
    using Own = Panels<OWN, WIDTH>;
    Memory &shared = shared_memory<Memory>();
    Work work = my_work(a.heads, a.keys, OWN);
    float factor = LOG2_E * a.scale;

    Copier<Others, T, BLOCK> queries(a.q, work, 0), out_grads(a.out_grad, work, 0);
    float mine; // the log_sum_exp or row sum that this thread has read for the next tile
    auto fetch = [&](int first, int buffer) {
        queries.next(shared.others[buffer][0], a.queries - first);
        out_grads.next(shared.others[buffer][1], a.queries - first);
        copy_async_commit();
        int query = first + threadIdx.x % OTHERS;
        if (threadIdx.x < 2 * OTHERS)
            mine = threadIdx.x < OTHERS ? LOG2_E * log_sum_of_query(a, work, query) : row_sum_of_query(a, work, query);
        if (a.query_time.data && threadIdx.x < OTHERS)
            shared.time[buffer][threadIdx.x] = time_of_query(a.query_time, work, query, a.queries);
    };
    auto write_mine = [&](int buffer) {
        if (threadIdx.x < 2 * OTHERS)
            shared.of_queries[buffer][threadIdx.x] = mine;
    };
    Copier<Own, T, BLOCK>(a.k, work, work.first).next(shared.own[0], a.keys - work.first);
    Copier<Own, T, BLOCK>(a.v, work, work.first).next(shared.own[1], a.keys - work.first);
    fetch(0, 0);
    write_mine(0);
    int own_time[2];
    for (int half = 0; half < 2; half++)
        own_time[half] = time_of_key(a.key_time, work, work.first + my_row(half), a.keys);
    float k_grad[WIDTH / 8][4], v_grad[WIDTH / 8][4], weights[N][4], grads[N][4]; // of the weights, then of the scores
    unsigned weights_left[N / 2][4], grads_left[N / 2][4];
    clear(k_grad);
    clear(v_grad);
    // The same in all lanes, and the shuffle lets the compiler know: descriptors stand in registers of a warp.
    int row = 64 * __shfl_sync(0xffffffff, threadIdx.x / 128, 0);

    for (int first = 0, buffer = 0; first < a.queries; first += OTHERS, buffer ^= 1) {
        copy_async_wait<0>(); // my part of this tile has landed
        async_proxy_fence();  // wgmma may read it
        __syncthreads();      // this tile is there, and all have finished with the one before
        warpgroup_fence(weights, grads);
        begin_turned<T>(weights, shared.own[0], row, shared.others[buffer][0]);
        begin_turned<T>(grads, shared.own[1], row, shared.others[buffer][1]);
        if (first + OTHERS < a.queries) // tensor cores are at work by now
            fetch(first + OTHERS, buffer ^ 1);

        warpgroup_wait<1>(weights); // the scores are there
        if (a.query_time.data)      // queries past the end need no mask: their rows are zeros
#pragma unroll
            for (int j = 0; j < N; j++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (own_time[i / 2] > shared.time[buffer][my_column(j) + i % 2])
                        weights[j][i] = minus_infinity();
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                weights[j][i] =
                    exp2_fast(fmaf(weights[j][i], factor, -shared.of_queries[buffer][my_column(j) + i % 2]));
        write_mine(buffer ^ 1); // read when the copies began
        round_to_left<T>(weights_left, weights);
        warpgroup_fence(v_grad, weights_left);
        begin_weighted<T, WIDTH>(v_grad, weights_left, shared.others[buffer][1]);

        warpgroup_wait<1>(grads); // the gradients of the weights are there
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                grads[j][i] =
                    weights[j][i] * (grads[j][i] - shared.of_queries[buffer][OTHERS + my_column(j) + i % 2]);
        TRACE("queries %d to %d: key %d: weight of query %d %.4f, gradient of its score %.4f", first,
              min(first + OTHERS, a.queries) - 1, work.first + my_row(0), first + my_column(0), weights[0][0],
              grads[0][0]);
        round_to_left<T>(grads_left, grads);
        warpgroup_fence(k_grad, grads_left);
        begin_weighted<T, WIDTH>(k_grad, grads_left, shared.others[buffer][0]);
        warpgroup_wait<1>(v_grad, weights_left);
        warpgroup_wait<0>(k_grad, grads_left); // my warpgroup has finished with this tile
    }
    store_rows(a.k_grad, work, a.keys, k_grad, {a.scale, a.scale});
    store_rows(a.v_grad, work, a.keys, v_grad, {1, 1});
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(BLOCK, QueriesPlan<WIDTH>::BLOCKS) attention_backward_5_wgmma_queries(Backward<T> a) {
    constexpr int OTHERS = QueriesPlan<WIDTH>::OTHERS, N = OTHERS / 8;
    using Memory = Shared<WIDTH, QueriesPlan<WIDTH>>;
    using Others = Panels<OTHERS, WIDTH>;
    using Own = Panels<OWN, WIDTH>;
    Memory &shared = shared_memory<Memory>();
    Work work = my_work(a.heads, a.queries, OWN);
    float factor = LOG2_E * a.scale;

    Copier<Others, T, BLOCK> keys(a.k, work, 0), values(a.v, work, 0);
    auto fetch = [&](int first, int buffer) {
        keys.next(shared.others[buffer][0], a.keys - first);
        values.next(shared.others[buffer][1], a.keys - first);
        copy_async_commit();
        if ((a.key_time.data || first + OTHERS > a.keys) && threadIdx.x < OTHERS)
            shared.time[buffer][threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
    };
    Copier<Own, T, BLOCK>(a.q, work, work.first).next(shared.own[0], a.queries - work.first);
    Copier<Own, T, BLOCK>(a.out_grad, work, work.first).next(shared.own[1], a.queries - work.first);
    fetch(0, 0);
    int own_time[2];
    float log_sum_exp[2], row_sums[2];
    for (int half = 0; half < 2; half++) {
        int query = work.first + my_row(half);
        own_time[half] = time_of_query(a.query_time, work, query, a.queries);
        log_sum_exp[half] = LOG2_E * log_sum_of_query(a, work, query);
        row_sums[half] = row_sum_of_query(a, work, query);
    }
    float q_grad[WIDTH / 8][4], scores[N][4], grads[N][4]; // of the weights, then of the scores
    unsigned grads_left[N / 2][4];
    clear(q_grad);
    int row = 64 * __shfl_sync(0xffffffff, threadIdx.x / 128, 0); // as above

    for (int first = 0, buffer = 0; first < a.keys; first += OTHERS, buffer ^= 1) {
        copy_async_wait<0>(); // my part of these keys has landed
        async_proxy_fence();  // wgmma may read them
        __syncthreads();      // these keys are there, and all have finished with those before
        warpgroup_fence(scores, grads);
        begin_turned<T>(scores, shared.own[0], row, shared.others[buffer][0]);
        begin_turned<T>(grads, shared.own[1], row, shared.others[buffer][1]);
        if (first + OTHERS < a.keys) // tensor cores are at work by now
            fetch(first + OTHERS, buffer ^ 1);

        warpgroup_wait<1>(scores); // the scores are there
        if (a.key_time.data || first + OTHERS > a.keys) // zeros for keys wouldn't do: their weights could be infinite
#pragma unroll
            for (int j = 0; j < N; j++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (shared.time[buffer][my_column(j) + i % 2] > own_time[i / 2])
                        scores[j][i] = minus_infinity();
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                scores[j][i] = exp2_fast(fmaf(scores[j][i], factor, -log_sum_exp[i / 2])); // a weight now

        warpgroup_wait<0>(grads); // the gradients of the weights are there
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                grads[j][i] = scores[j][i] * (grads[j][i] - row_sums[i / 2]);
        TRACE("keys %d to %d: query %d: gradient of the score of key %d %.4f", first,
              min(first + OTHERS, a.keys) - 1, work.first + my_row(0), first + my_column(0), grads[0][0]);
        round_to_left<T>(grads_left, grads);
        warpgroup_fence(q_grad, grads_left);
        begin_weighted<T, WIDTH>(q_grad, grads_left, shared.others[buffer][0]);
        warpgroup_wait<0>(q_grad, grads_left); // my warpgroup has finished with these keys
    }
    store_rows(a.q_grad, work, a.queries, q_grad, {a.scale, a.scale});
}
