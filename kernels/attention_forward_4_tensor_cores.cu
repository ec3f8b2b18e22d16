/* Attention, forward, rung 4: tensor cores.

   Idea. 16-bit numbers, multiplied 16 x 16 by 16 x 8 at a time by mma.sync, summed in fp32. A block has 64 queries,
   and each of its 4 warps owns 16 of them from beginning to end: it reads them into registers once, makes their scores
   against a tile of 64 keys, turns those into weights in place, and multiplies them by the values. The sum of one
   product lies in registers just as the next wants its left factor (fragments.cuh), so neither scores nor weights go
   through shared memory, and warps meet only where a tile of keys and values is exchanged. Weights are rounded to 16
   bits for the second product; their sum, maxima and the output stay in fp32. exp is exp2 with the scale folded in.
   float16 runs on an sm_75 (T4) too, where mma.sync has half the depth; bfloat16 from sm_80 on.

   Arithmetic intensity. A tile of n keys and values is read for 64 queries: 4 * 64 n d FLOPs / (2 n d * 2 bytes) = 64
   FLOPs a byte, mostly of the L2 cache. From shared memory, a warp reads 16 x 16 numbers (512 bytes) for two mma of
   4,096 FLOPs: 16 FLOPs a byte.
   Expected limit: waiting. Everybody loads, then everybody multiplies, then everybody exponentiates (one exp2 for
   every 4 d FLOPs, by units that do 16 a clock where tensor cores do 2,048 FLOPs on an sm_80).

   Shared memory: rows are padded by 16 bytes against bank conflicts. A row of d = 64 numbers is 128 bytes, all 32 banks
   once; without padding the 8 rows that ldmatrix reads at a time would all begin in bank 0 and take 8 turns. Padded,
   they begin in banks 0, 4, 8, ..., 28, and a piece is 4 banks long: one turn.
   Launch: 128 threads a block, a block for 64 queries.
   Run: minivdit kernels emulate attention_forward_4_tensor_cores */
#include "fragments.cuh"

constexpr int QUERIES = 16 * WARPS, KEYS = 64;

template <int WIDTH> struct Shared {
    Padded<QUERIES, WIDTH> q;
    Padded<KEYS, WIDTH> k, v;
    int key_time[KEYS];
};

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_forward_4_tensor_cores(Forward<T> a) {
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    float factor = LOG2_E * a.scale;

    load_tile(shared.q, a.q, work, work.first, a.queries);
    __syncthreads(); // the queries are there
    unsigned q[WIDTH / 16][4];
    load_left(q, shared.q, my_warps_row());
    int query_time[2];
    for (int half = 0; half < 2; half++)
        query_time[half] = time_of_query(a.query_time, work, work.first + my_row(half), a.queries);
    Online online;
    float out[WIDTH / 8][4];
    clear(out);

    for (int first = 0; first < a.keys; first += KEYS) {
        __syncthreads(); // the tile before has been read
        load_tile(shared.k, a.k, work, first, a.keys);
        load_tile(shared.v, a.v, work, first, a.keys);
        if (threadIdx.x < KEYS)
            shared.key_time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // this tile is there
        TRACE("keys %d to %d are there", first, min(first + KEYS, a.keys) - 1);

        float scores[KEYS / 8][4];
        clear(scores);
        add_a_bt<T>(scores, q, shared.k);
        hide(scores, query_time, shared.key_time);
        to_weights(scores, online, out, factor);
        add_weighted<T>(out, scores, shared.v);
    }
    finish(a, work, factor, online, out);
}
