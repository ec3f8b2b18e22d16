/* Attention, backward, rung 3b: float32 on tensor cores, each number split into two.

   Idea. Rung 3 with the arithmetic of forward rung 4b: a float32 is, nearly, the sum of two bfloat16, and a product of
   two such sums is three products on tensor cores (split_fragments.cuh). q, k, v and out_grad are split on their way
   into shared memory, weights and gradients of scores in the registers where they were made. What is lost is about
   2^-16 of the largest of the numbers that are summed; the tests hold gradients to 4e-5 of the largest one. Two kernels,
   no atomics, bitwise the same each time, as in rung 3.

   Arithmetic intensity. For each tile of n rows of the other side a block of 64 rows reads 8 n d bytes and does
   8 * 64 n d FLOPs in ..._keys, 6 * 64 n d in ..._queries: 64 and 48 FLOPs a byte of the L2 cache, three times as many
   on the tensor cores. From shared memory, 512 bytes for three mma of 4,096 FLOPs, and left factors besides: two thirds
   of what rung 3 wants for a mma, because a fragment of either half serves twice or once.
   Expected limit: waiting, as in rung 3; at best a third of what tensor cores do in 16 bits with sums in fp32. By the
   maker's peaks, in TFLOP/s, that is 104 of 312 on an A100 (sm_80) beside 19.5 of its fp32 units, more than rung 2
   could ever do; 50 of 150 on an A40 (sm_86) beside 37. Cards whose tensor cores are slower with sums in fp32 may come
   out even. That is why `best` takes it from sm_80 on; nobody has measured either.

   Shared memory: two swizzled tiles for each of k, v, q and out_grad.
   Launch: 128 threads a block, a block for 64 rows (..._row_sums: for 4).
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_backward_3b_split_floats */
#include "split_fragments.cuh"

constexpr int OWN = 16 * WARPS;

template <int WIDTH> struct Shared {
    static constexpr int OTHERS = 2048 / WIDTH; // so that sums fit into registers
    Swizzled<OWN, WIDTH> own[2][2];       // k and v of this block, or q and out_grad; of each, high and low
    Swizzled<OTHERS, WIDTH> others[2][2]; // the other two
    float log_sum_exp[OTHERS], row_sums[OTHERS]; // if the others are queries; the first in base 2
    int time[OTHERS];
};

template <int WIDTH> __global__ void attention_backward_3b_split_floats_ranges(Backward<float> a) { write_ranges(a); }

template <int WIDTH> __global__ void attention_backward_3b_split_floats_row_sums(Backward<float> a) {
    write_row_sums<WIDTH>(a);
}

template <int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_backward_3b_split_floats_keys(Backward<float> a) {
    constexpr int OTHERS = Shared<WIDTH>::OTHERS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.keys, OWN);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_queries<OWN, OTHERS>(a, work);

    load_split(shared.own[0], a.k, work, work.first, a.keys);
    load_split(shared.own[1], a.v, work, work.first, a.keys);
    int key_time[2];
    for (int half = 0; half < 2; half++)
        key_time[half] = time_of_key(a.key_time, work, work.first + my_row(half), a.keys);
    float k_grad[WIDTH / 8][4], v_grad[WIDTH / 8][4];
    clear(k_grad);
    clear(v_grad);

    for (Tile tile = tiles.begin(); tile.first < a.queries; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the tile before has been read
        load_split(shared.others[0], a.q, work, first, a.queries);
        load_split(shared.others[1], a.out_grad, work, first, a.queries);
        if (threadIdx.x < OTHERS) {
            int query = first + threadIdx.x;
            shared.time[threadIdx.x] = time_of_query(a.query_time, work, query, a.queries);
            shared.log_sum_exp[threadIdx.x] = LOG2_E * log_sum_of_query(a, work, query);
            shared.row_sums[threadIdx.x] = row_sum_of_query(a, work, query);
        }
        __syncthreads(); // this tile is there (and, the first time, this block's keys and values)

        float weights[OTHERS / 8][4], grads[OTHERS / 8][4]; // of the weights, then of the scores
        multiply_split<WIDTH>(weights, shared.own[0], shared.others[0]);
        if (tile.masked)
            hide<false>(weights, key_time, shared.time);
        multiply_split<WIDTH>(grads, shared.own[1], shared.others[1]);
#pragma unroll
        for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int query = my_column(j) + i % 2;
                weights[j][i] = exp2_fast(fmaf(weights[j][i], factor, -shared.log_sum_exp[query]));
                grads[j][i] = weights[j][i] * (grads[j][i] - shared.row_sums[query]);
            }
        TRACE("queries %d to %d: key %d: weight of query %d %.4f, gradient of its score %.4f", first,
              min(first + OTHERS, a.queries) - 1, work.first + my_row(0), first + my_column(0), weights[0][0],
              grads[0][0]);
        add_weighted_split(v_grad, weights, shared.others[1]);
        add_weighted_split(k_grad, grads, shared.others[0]);
    }
    store_rows(a.k_grad, work, a.keys, k_grad, {a.scale, a.scale});
    store_rows(a.v_grad, work, a.keys, v_grad, {1, 1});
}

template <int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_backward_3b_split_floats_queries(Backward<float> a) {
    constexpr int OTHERS = Shared<WIDTH>::OTHERS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, OWN);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_keys<OWN, OTHERS>(a, work);

    load_split(shared.own[0], a.q, work, work.first, a.queries);
    load_split(shared.own[1], a.out_grad, work, work.first, a.queries);
    int query_time[2];
    float log_sum_exp[2], row_sums[2];
    for (int half = 0; half < 2; half++) {
        int query = work.first + my_row(half);
        query_time[half] = time_of_query(a.query_time, work, query, a.queries);
        log_sum_exp[half] = LOG2_E * log_sum_of_query(a, work, query);
        row_sums[half] = row_sum_of_query(a, work, query);
    }
    float q_grad[WIDTH / 8][4];
    clear(q_grad);

    for (Tile tile = tiles.begin(); tile.first < a.keys; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the keys before have been read
        load_split(shared.others[0], a.k, work, first, a.keys);
        load_split(shared.others[1], a.v, work, first, a.keys);
        if (threadIdx.x < OTHERS)
            shared.time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // these keys are there (and, the first time, this block's queries)

        float scores[OTHERS / 8][4], grads[OTHERS / 8][4]; // of the weights, then of the scores
        multiply_split<WIDTH>(scores, shared.own[0], shared.others[0]);
        if (tile.masked)
            hide(scores, query_time, shared.time);
        multiply_split<WIDTH>(grads, shared.own[1], shared.others[1]);
#pragma unroll
        for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float weight = exp2_fast(fmaf(scores[j][i], factor, -log_sum_exp[i / 2]));
                grads[j][i] = weight * (grads[j][i] - row_sums[i / 2]);
            }
        TRACE("keys %d to %d: query %d: gradient of the score of key %d %.4f", first,
              min(first + OTHERS, a.keys) - 1, work.first + my_row(0), first + my_column(0), grads[0][0]);
        add_weighted_split(q_grad, grads, shared.others[0]);
    }
    store_rows(a.q_grad, work, a.queries, q_grad, {a.scale, a.scale});
}
