/* Attention, forward, rung 4b: float32 on tensor cores, each number split into two.

   Idea. Tensor cores don't multiply float32. They have tf32, which keeps 10 of 23 bits of the fraction. But a float32
   is, nearly, the sum of two bfloat16: x = high + low, where high is x rounded, and low the rest, rounded. Each has 8
   bits, so what is lost is 2^-17 of x at most, and bfloat16 has the range of float32, so nothing overflows. Then
       x y = high high + high low + low high (+ low low, 2^-16 of the whole or less, left out):
   three products in place of one, each exact in fp32 but for the sum. With numbers around 1 the emulation shows errors
   of about 1e-5, ten to twenty times those of fp32 throughout; tf32 would lose 2^-12 of every number to begin with. The
   tests hold it to 4e-5 of the largest number.

   Arithmetic intensity. 4 * 64 n d FLOPs / (2 n d * 4 bytes) = 32 FLOPs a byte of the L2 cache; on the tensor cores
   three times as many.
   Expected limit: as rung 4, waiting; the best it could do is a third of what tensor cores do in 16 bits, still some
   times what the fp32 units do.

   Shared memory: two swizzled tiles for each of q, k and v.
   Launch: 128 threads a block, a block for 64 queries.
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_forward_4b_split_floats */
#include "split_fragments.cuh"

constexpr int QUERIES = 16 * WARPS;

template <int WIDTH> struct Shared {
    static constexpr int KEYS = WIDTH == 128 ? 32 : 64;
    Swizzled<QUERIES, WIDTH> q[2]; // high and low
    Swizzled<KEYS, WIDTH> k[2], v[2];
    int key_time[KEYS];
};

template <int WIDTH> __global__ void attention_forward_4b_split_floats_ranges(Forward<float> a) { write_ranges(a); }

template <int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_forward_4b_split_floats(Forward<float> a) {
    constexpr int KEYS = Shared<WIDTH>::KEYS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_keys<QUERIES, KEYS>(a, work);

    load_split(shared.q, a.q, work, work.first, a.queries);
    __syncthreads(); // the queries are there
    unsigned q[2][WIDTH / 16][4];
    load_left(q[0], shared.q[0], my_warps_row());
    load_left(q[1], shared.q[1], my_warps_row());
    int query_time[2];
    for (int half = 0; half < 2; half++)
        query_time[half] = time_of_query(a.query_time, work, work.first + my_row(half), a.queries);
    Online online;
    float out[WIDTH / 8][4];
    clear(out);

    for (Tile tile = tiles.begin(); tile.first < a.keys; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the tile before has been read
        load_split(shared.k, a.k, work, first, a.keys);
        load_split(shared.v, a.v, work, first, a.keys);
        if (threadIdx.x < KEYS)
            shared.key_time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // this tile is there
        TRACE("keys %d to %d are there", first, min(first + KEYS, a.keys) - 1);

        float scores[KEYS / 8][4];
        clear(scores);
        add_a_bt<bfloat16>(scores, q[1], shared.k[0]); // the small ones first
        add_a_bt<bfloat16>(scores, q[0], shared.k[1]);
        add_a_bt<bfloat16>(scores, q[0], shared.k[0]);
        if (tile.masked)
            hide(scores, query_time, shared.key_time);
        to_weights(scores, online, out, factor);
        add_weighted<bfloat16>(out, scores, shared.v[1]);
        add_weighted<bfloat16>(out, scores, shared.v[0]);
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++)
            keep_rests(scores[j][0], scores[j][1]), keep_rests(scores[j][2], scores[j][3]);
        add_weighted<bfloat16>(out, scores, shared.v[0]);
    }
    finish(a, work, factor, online, out);
}
