/* Attention, backward, rung 3: tensor cores.

   Idea. The products of rung 2 by mma.sync, on 16-bit numbers with sums in fp32. As there, two kernels: a block owns 64
   rows, a warp 16 of them, and walks through the rows of the other side a tile at a time.
     ..._keys      owns keys. It makes the scores turned around, k q^T instead of q k^T, a row for each of its keys. So
                   weights, and the gradients of scores, lie as the left factors of v_grad += weights^T out_grad and
                   k_grad += scores_grad^T q, in the registers where they were made (fragments.cuh): nothing is
                   transposed, nothing goes through shared memory.
     ..._queries   owns queries: q_grad += scores_grad k.
   Weights are computed again from log_sum_exp, and rounded to 16 bits for the products, as in the forward pass. Sums
   are added up in one fixed order, without atomics: bitwise the same each time. (The usual single kernel computes the
   scores once instead of twice, 5 products instead of 7, and adds q_grad from all blocks with atomics.)
   float16 runs on an sm_75 (T4) too.

   Arithmetic intensity. For each tile of n rows of the other side a block of 64 rows reads 4 n d bytes and does
   8 * 64 n d FLOPs in ..._keys, 6 * 64 n d in ..._queries: 128 and 96 FLOPs a byte of the L2 cache. From shared memory,
   512 bytes for two mma of 4,096 FLOPs, and at width 128 the left factors besides.
   Expected limit: waiting, as in forward rung 4: copies, products and exponentials take turns.

   Shared memory: swizzled (attention_forward_5_swizzled.cu). Each tile of the other side is read as it is for one
   product and turned around for another; ldmatrix does both.
   Launch: 128 threads a block, a block for 64 rows (..._row_sums: for 4).
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_backward_3_tensor_cores */
#include "fragments.cuh"

constexpr int OWN = 16 * WARPS;

template <int WIDTH> struct Shared {
    static constexpr int OTHERS = 2048 / WIDTH; // so that sums fit into registers
    Swizzled<OWN, WIDTH> own[2];       // k and v of this block, or q and out_grad
    Swizzled<OTHERS, WIDTH> others[2]; // the other two
    float log_sum_exp[OTHERS], row_sums[OTHERS]; // if the others are queries; the first in base 2
    int time[OTHERS];
};

// A warp's own rows as left factors: in registers, or at width 128, where sums fill those, fetched as they are needed.
template <int WIDTH> struct Left {
    unsigned fragments[WIDTH / 16][4];
    __device__ __forceinline__ Left(Swizzled<OWN, WIDTH> &tile) { load_left(fragments, tile, my_warps_row()); }
    __device__ __forceinline__ void get(unsigned (&a)[4], Swizzled<OWN, WIDTH> &, int step) {
        for (int i = 0; i < 4; i++)
            a[i] = fragments[step][i];
    }
};
template <> struct Left<128> {
    __device__ __forceinline__ Left(Swizzled<OWN, 128> &) {}
    __device__ __forceinline__ void get(unsigned (&a)[4], Swizzled<OWN, 128> &tile, int step) {
        load_left(a, tile, my_warps_row(), step);
    }
};

// sum = own others^T
template <class T, int WIDTH, int N, class TILE>
__device__ __forceinline__ void multiply_turned(float (&sum)[N][4], Left<WIDTH> &left, Swizzled<OWN, WIDTH> &own,
                                                TILE &others) {
    clear(sum);
#pragma unroll
    for (int step = 0; step < WIDTH / 16; step++) {
        unsigned a[4];
        left.get(a, own, step);
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            unsigned b[2][2];
            load_right_turned(b, others, 8 * j, step);
            multiply_add<T>(sum[j], a, b[0]);
            multiply_add<T>(sum[j + 1], a, b[1]);
        }
    }
}

template <class T, int WIDTH> __global__ void attention_backward_3_tensor_cores_ranges(Backward<T> a) { write_ranges(a); }

template <class T, int WIDTH> __global__ void attention_backward_3_tensor_cores_row_sums(Backward<T> a) {
    write_row_sums<WIDTH>(a);
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_backward_3_tensor_cores_keys(Backward<T> a) {
    constexpr int OTHERS = Shared<WIDTH>::OTHERS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.keys, OWN);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_queries<OWN, OTHERS>(a, work);

    load_tile(shared.own[0], a.k, work, work.first, a.keys);
    load_tile(shared.own[1], a.v, work, work.first, a.keys);
    __syncthreads(); // this block's keys and values are there
    Left<WIDTH> k(shared.own[0]), v(shared.own[1]);
    int key_time[2];
    for (int half = 0; half < 2; half++)
        key_time[half] = time_of_key(a.key_time, work, work.first + my_row(half), a.keys);
    float k_grad[WIDTH / 8][4], v_grad[WIDTH / 8][4];
    clear(k_grad);
    clear(v_grad);

    for (Tile tile = tiles.begin(); tile.first < a.queries; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the tile before has been read
        load_tile(shared.others[0], a.q, work, first, a.queries);
        load_tile(shared.others[1], a.out_grad, work, first, a.queries);
        if (threadIdx.x < OTHERS) {
            int query = first + threadIdx.x;
            shared.time[threadIdx.x] = time_of_query(a.query_time, work, query, a.queries);
            shared.log_sum_exp[threadIdx.x] = LOG2_E * log_sum_of_query(a, work, query);
            shared.row_sums[threadIdx.x] = row_sum_of_query(a, work, query);
        }
        __syncthreads(); // this tile is there

        float weights[OTHERS / 8][4], grads[OTHERS / 8][4]; // of the weights, then of the scores
        multiply_turned<T>(weights, k, shared.own[0], shared.others[0]);
        if (tile.masked)
            hide<false>(weights, key_time, shared.time);
#pragma unroll
        for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float log_sum_exp = shared.log_sum_exp[my_column(j) + i % 2];
                weights[j][i] = exp2_fast(fmaf(weights[j][i], factor, -log_sum_exp));
            }
        multiply_turned<T>(grads, v, shared.own[1], shared.others[1]);
#pragma unroll
        for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                grads[j][i] = weights[j][i] * (grads[j][i] - shared.row_sums[my_column(j) + i % 2]);
        TRACE("queries %d to %d: key %d: weight of query %d %.4f, gradient of its score %.4f", first,
              min(first + OTHERS, a.queries) - 1, work.first + my_row(0), first + my_column(0), weights[0][0],
              grads[0][0]);
        add_weighted<T>(v_grad, weights, shared.others[1]);
        add_weighted<T>(k_grad, grads, shared.others[0]);
    }
    store_rows(a.k_grad, work, a.keys, k_grad, {a.scale, a.scale});
    store_rows(a.v_grad, work, a.keys, v_grad, {1, 1});
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_backward_3_tensor_cores_queries(Backward<T> a) {
    constexpr int OTHERS = Shared<WIDTH>::OTHERS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, OWN);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_keys<OWN, OTHERS>(a, work);

    load_tile(shared.own[0], a.q, work, work.first, a.queries);
    load_tile(shared.own[1], a.out_grad, work, work.first, a.queries);
    __syncthreads(); // this block's queries are there
    Left<WIDTH> q(shared.own[0]), out_grad(shared.own[1]);
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
        load_tile(shared.others[0], a.k, work, first, a.keys);
        load_tile(shared.others[1], a.v, work, first, a.keys);
        if (threadIdx.x < OTHERS)
            shared.time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // these keys are there

        float scores[OTHERS / 8][4], grads[OTHERS / 8][4]; // of the weights, then of the scores
        multiply_turned<T>(scores, q, shared.own[0], shared.others[0]);
        if (tile.masked)
            hide(scores, query_time, shared.time);
        multiply_turned<T>(grads, out_grad, shared.own[1], shared.others[1]);
#pragma unroll
        for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float weight = exp2_fast(fmaf(scores[j][i], factor, -log_sum_exp[i / 2]));
                grads[j][i] = weight * (grads[j][i] - row_sums[i / 2]);
            }
        TRACE("keys %d to %d: query %d: gradient of the score of key %d %.4f", first,
              min(first + OTHERS, a.keys) - 1, work.first + my_row(0), first + my_column(0), grads[0][0]);
        add_weighted<T>(q_grad, grads, shared.others[0]);
    }
    store_rows(a.q_grad, work, a.queries, q_grad, {a.scale, a.scale});
}
