/* Attention, backward, rung 2: tiles in registers, fp32.

   Idea. The products of rung 1, by tiles as in the forward pass (attention_forward_3_tiles.cu, tiles.cuh). A block
   owns some rows and walks through the rows of the other side, a tile at a time:
     ..._keys      owns keys: weights and gradients as [key][query], so that each of the two sums over queries is a
                   product of a tile of weights with q or out_grad, no transposing anywhere;
     ..._queries   owns queries: gradients of the scores as [query][key], times k.
   Weights, then gradients of scores, go through one tile of shared memory. A row of it is written and read by the
   same 16 lanes, so a warp waits for itself only. No atomics: bitwise the same each time.

   Arithmetic intensity. For each tile of n rows of the other side a block of m rows reads 8 n d bytes and does
   8 m n d FLOPs in ..._keys, 6 m n d in ..._queries: m, or 3/4 m, FLOPs a byte; m is 64, and 32 at width 128.
   Expected limit: the fp32 units, if enough warps fit beside each other: 55 to 65 KB of shared memory a block.

   Launch: 128 threads a block.
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_backward_2_tiles */
#include "tiles.cuh"

template <int WIDTH> struct Shared {
    static constexpr int OWN = WIDTH == 128 ? 32 : 64, OTHERS = 2048 / WIDTH;
    float own[2][OWN][padded(WIDTH)];       // k and v of this block, or q and out_grad
    float others[2][OTHERS][padded(WIDTH)]; // the other two
    float weights[OWN][weights_apart(OTHERS)];
    float log_sum_exp[OTHERS], row_sums[OTHERS]; // if the others are queries
    int time[OTHERS];
};

template <int WIDTH> __global__ void attention_backward_2_tiles_ranges(Backward<float> a) { write_ranges(a); }

template <int WIDTH> __global__ void attention_backward_2_tiles_row_sums(Backward<float> a) {
    write_row_sums<WIDTH>(a);
}

template <int R, int C, int APART>
__device__ __forceinline__ void store_weights(float (&shared)[R * ROW_THREADS][APART], const float (&weights)[R][C]) {
    __syncwarp(); // what was there has been read
#pragma unroll
    for (int i = 0; i < R; i++)
#pragma unroll
        for (int j = 0; j < C; j++)
            shared[my_row(i)][my_column(j)] = weights[i][j];
    __syncwarp(); // what is there now can be read
}

template <int WIDTH> __global__ void __launch_bounds__(THREADS) attention_backward_2_tiles_keys(Backward<float> a) {
    constexpr int OWN = Shared<WIDTH>::OWN, OTHERS = Shared<WIDTH>::OTHERS;
    constexpr int R = OWN / ROW_THREADS, C = OTHERS / COLUMN_THREADS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.keys, OWN);
    auto tiles = tiles_of_queries<OWN, OTHERS>(a, work);

    load_tile<OWN, WIDTH>(shared.own[0], a.k, work, work.first, a.keys);
    load_tile<OWN, WIDTH>(shared.own[1], a.v, work, work.first, a.keys);
    int key_time[R];
#pragma unroll
    for (int i = 0; i < R; i++)
        key_time[i] = time_of_key(a.key_time, work, work.first + my_row(i), a.keys);
    float k_grad[R][WIDTH / COLUMN_THREADS], v_grad[R][WIDTH / COLUMN_THREADS];
    clear(k_grad);
    clear(v_grad);

    for (Tile tile = tiles.begin(); tile.first < a.queries; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the tile before has been read
        load_tile<OTHERS, WIDTH>(shared.others[0], a.q, work, first, a.queries);
        load_tile<OTHERS, WIDTH>(shared.others[1], a.out_grad, work, first, a.queries);
        if (threadIdx.x < OTHERS) {
            int query = first + threadIdx.x;
            shared.time[threadIdx.x] = time_of_query(a.query_time, work, query, a.queries);
            shared.log_sum_exp[threadIdx.x] = log_sum_of_query(a, work, query);
            shared.row_sums[threadIdx.x] = row_sum_of_query(a, work, query);
        }
        __syncthreads(); // this tile is there

        float weights[R][C], grads[R][C]; // of the weights, then of the scores
        clear(weights);
        clear(grads);
        add_a_bt(weights, shared.own[0], shared.others[0]);
        add_a_bt(grads, shared.own[1], shared.others[1]);
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < C; j++) {
                int query = my_column(j);
                bool visible = key_time[i] <= shared.time[query];
                weights[i][j] = visible ? expf(a.scale * weights[i][j] - shared.log_sum_exp[query]) : 0;
                grads[i][j] = weights[i][j] * (grads[i][j] - shared.row_sums[query]);
            }
        store_weights(shared.weights, weights);
        add_weighted(v_grad, shared.weights, shared.others[1]);
        store_weights(shared.weights, grads);
        add_weighted(k_grad, shared.weights, shared.others[0]);
        TRACE("queries %d to %d: key %d: weight of the first %.4f, gradient of its score %.4f", first,
              first + OTHERS - 1, work.first + my_row(0), weights[0][0], grads[0][0]);
    }
    store_rows(a.k_grad, work, a.keys, k_grad, a.scale);
    store_rows(a.v_grad, work, a.keys, v_grad, 1.0f);
}

// One block a multiprocessor will do: left alone, ptxas saves registers for more of them than shared memory allows.
template <int WIDTH>
__global__ void __launch_bounds__(THREADS, 1) attention_backward_2_tiles_queries(Backward<float> a) {
    constexpr int OWN = Shared<WIDTH>::OWN, OTHERS = Shared<WIDTH>::OTHERS;
    constexpr int R = OWN / ROW_THREADS, C = OTHERS / COLUMN_THREADS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, OWN);
    auto tiles = tiles_of_keys<OWN, OTHERS>(a, work);

    load_tile<OWN, WIDTH>(shared.own[0], a.q, work, work.first, a.queries);
    load_tile<OWN, WIDTH>(shared.own[1], a.out_grad, work, work.first, a.queries);
    int query_time[R];
    float log_sum_exp[R], row_sums[R];
#pragma unroll
    for (int i = 0; i < R; i++) {
        int query = work.first + my_row(i);
        query_time[i] = time_of_query(a.query_time, work, query, a.queries);
        log_sum_exp[i] = log_sum_of_query(a, work, query);
        row_sums[i] = row_sum_of_query(a, work, query);
    }
    float q_grad[R][WIDTH / COLUMN_THREADS];
    clear(q_grad);

    for (Tile tile = tiles.begin(); tile.first < a.keys; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the tile before has been read
        load_tile<OTHERS, WIDTH>(shared.others[0], a.k, work, first, a.keys);
        load_tile<OTHERS, WIDTH>(shared.others[1], a.v, work, first, a.keys);
        if (threadIdx.x < OTHERS)
            shared.time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // this tile is there

        float scores[R][C], grads[R][C]; // of the weights, then of the scores
        clear(scores);
        clear(grads);
        add_a_bt(scores, shared.own[0], shared.others[0]);
        add_a_bt(grads, shared.own[1], shared.others[1]);
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < C; j++) {
                bool visible = shared.time[my_column(j)] <= query_time[i];
                float weight = visible ? expf(a.scale * scores[i][j] - log_sum_exp[i]) : 0;
                grads[i][j] = weight * (grads[i][j] - row_sums[i]);
            }
        store_weights(shared.weights, grads);
        add_weighted(q_grad, shared.weights, shared.others[0]);
        TRACE("keys %d to %d: query %d: gradient of the first score %.4f", first, first + OTHERS - 1,
              work.first + my_row(0), grads[0][0]);
    }
    store_rows(a.q_grad, work, a.queries, q_grad, a.scale);
}
