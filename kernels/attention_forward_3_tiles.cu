/* Attention, forward, rung 3: tiles in registers, fp32.

   Idea. Rung 2 reads shared memory for every multiply-add. Here the 128 threads of a block share the work on a tile
   of scores (64 queries by 64 keys) and on a tile of the output (64 queries by the width), each thread holding 8 rows
   by 4 columns of it in registers: a number that it reads serves 8 or 4 multiply-adds. It's the matrix product of
   the textbooks twice, with online softmax between: the 16 threads of a row find its maximum by shuffles, and the
   weights go through shared memory, because the second product wants them in other hands than the first left them.
   Keys and values take turns in one piece of shared memory, so that all fits the 64 KB of an sm_75.

   Arithmetic intensity. As rung 2, 32 FLOPs a byte of global memory, now 16 bytes a read. From shared memory a thread
   reads, for the scores, 8 + 4 vectors of 4 numbers for 128 multiply-adds.
   Expected limit: the fp32 units; tensor cores (rung 4) do many times as much.

   Launch: 128 threads a block, a block for 64 queries.
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_forward_3_tiles */
#include "tiles.cuh"

template <int WIDTH> struct Shared {
    static constexpr int QUERIES = 64, KEYS = WIDTH == 128 ? 32 : 64;
    float q[QUERIES][padded(WIDTH)];
    float k_or_v[KEYS][padded(WIDTH)];
    float weights[QUERIES][weights_apart(KEYS)];
    int key_time[KEYS];
};

template <int WIDTH> __global__ void attention_forward_3_tiles_ranges(Forward<float> a) { write_ranges(a); }

template <int WIDTH> __global__ void __launch_bounds__(THREADS, 2) attention_forward_3_tiles(Forward<float> a) {
    constexpr int QUERIES = Shared<WIDTH>::QUERIES, KEYS = Shared<WIDTH>::KEYS;
    constexpr int R = QUERIES / ROW_THREADS, C = KEYS / COLUMN_THREADS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    auto tiles = tiles_of_keys<QUERIES, KEYS>(a, work);

    load_tile<QUERIES, WIDTH>(shared.q, a.q, work, work.first, a.queries);
    int query_time[R];
    float highest[R], total[R], out[R][WIDTH / COLUMN_THREADS]; // total: this thread's columns only, until the end
#pragma unroll
    for (int i = 0; i < R; i++) {
        query_time[i] = time_of_query(a.query_time, work, work.first + my_row(i), a.queries);
        highest[i] = LOWEST;
        total[i] = 0;
    }
    clear(out);

    for (Tile tile = tiles.begin(); tile.first < a.keys; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the values of the tile before have been read
        load_tile<KEYS, WIDTH>(shared.k_or_v, a.k, work, first, a.keys);
        if (threadIdx.x < KEYS)
            shared.key_time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // the keys are there (and, the first time, the queries)

        float scores[R][C];
        clear(scores);
        add_a_bt(scores, shared.q, shared.k_or_v);
#pragma unroll
        for (int i = 0; i < R; i++) {
            float higher = highest[i];
#pragma unroll
            for (int j = 0; j < C; j++) {
                bool visible = shared.key_time[my_column(j)] <= query_time[i];
                scores[i][j] = visible ? a.scale * scores[i][j] : minus_infinity();
                higher = fmaxf(higher, scores[i][j]);
            }
            higher = highest_of_row(higher);
            float shrink = expf(highest[i] - higher);
            highest[i] = higher;
            total[i] *= shrink;
#pragma unroll
            for (int j = 0; j < C; j++) {
                float weight = expf(scores[i][j] - higher);
                total[i] += weight;
                shared.weights[my_row(i)][my_column(j)] = weight;
            }
#pragma unroll
            for (int j = 0; j < WIDTH / COLUMN_THREADS; j++)
                out[i][j] *= shrink;
            TRACE("keys %d to %d: query %d: highest %.4f, earlier sums shrink by %.4f", first, first + KEYS - 1,
                  work.first + my_row(i), higher, shrink);
        }
        __syncthreads(); // the keys have been read, the weights are there
        load_tile<KEYS, WIDTH>(shared.k_or_v, a.v, work, first, a.keys);
        __syncthreads(); // the values are there
        add_weighted(out, shared.weights, shared.k_or_v);
    }

#pragma unroll
    for (int i = 0; i < R; i++) {
        total[i] = sum_of_row(total[i]);
        int query = work.first + my_row(i);
        if (query < a.queries && my_column(0) == 0)
            *a.log_sum_exp.row(work.batch, work.head, query) = log_of_sum(highest[i], total[i]);
#pragma unroll
        for (int j = 0; j < WIDTH / COLUMN_THREADS; j++)
            out[i][j] *= one_over(total[i]);
        TRACE("query %d is done: out[%d] %.4f, log_sum_exp %.4f", query, my_column(0), out[i][0],
              log_of_sum(highest[i], total[i]));
    }
    store_rows(a.out, work, a.queries, out, 1.0f);
}
