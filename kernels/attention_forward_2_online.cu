/* Attention, forward, rung 2: one thread for each query, online softmax, no scores in memory.

   Idea. Softmax doesn't need all scores at once (Milakov and Gimelshein 2018, "Online normalizer calculation for
   softmax"). A thread goes over the keys once and keeps a running maximum, sum and output, all relative to that
   maximum; when a key raises it, what was summed so far is scaled down by exp(old - new). Memory grows with N.
   A block's 64 queries look at the same keys, so the block fetches a tile of keys and values at a time into shared
   memory, each thread a part of them, and all threads read them there. Two barriers a tile: nobody reads before all
   have written, and nobody writes the next tile before all have read this one.

   Arithmetic intensity. A tile of n keys and values of d numbers is fetched for 64 queries:
   4 * 64 n d FLOPs / (2 n d * 4 bytes) = 32 FLOPs a byte of global memory, most of which the L2 cache serves.
   Expected limit: shared memory. A multiply-add takes a number of k or v (the same for all threads: one broadcast) and
   for the scores one of q besides, where a GPU can do 4 multiply-adds in the time of one such read of a warp.

   Shared memory: q is laid out [channel][query], so that the threads of a warp read neighbours, free of conflicts.
   Launch: 64 threads a block, a block for 64 queries.
   Run: minivdit kernels emulate attention_forward_2_online --trace */
#include "attention.cuh"

constexpr int QUERIES = 64;

template <int WIDTH> struct Shared {
    static constexpr int KEYS = 2048 / WIDTH; // 8 KB of them at any width: all fits the 64 KB of an sm_75
    float q[WIDTH][QUERIES];
    float k[KEYS][WIDTH], v[KEYS][WIDTH];
    int key_time[KEYS];
};

template <int WIDTH> __global__ void __launch_bounds__(QUERIES) attention_forward_2_online(Forward<float> a) {
    constexpr int KEYS = Shared<WIDTH>::KEYS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    int thread = threadIdx.x, query = work.first + thread;
    int query_time = time_of_query(a.query_time, work, query, a.queries);

    // This thread alone writes and reads its column of q: no barrier needed. A thread past the last query stays and
    // helps to fetch keys, because barriers want everyone.
    if (query < a.queries)
        for (int channel = 0; channel < WIDTH; channel++)
            shared.q[channel][thread] = a.scale * a.q.row(work.batch, work.head, query)[channel];

    float highest = LOWEST, total = 0, out[WIDTH];
#pragma unroll
    for (int channel = 0; channel < WIDTH; channel++) // unrolled, all of them, so that out can be registers
        out[channel] = 0;

    for (int first = 0; first < a.keys; first += KEYS) {
        __syncthreads(); // all have read the tile before
        int count = min(KEYS, a.keys - first);
        for (int i = thread; i < count * WIDTH; i += QUERIES) { // neighbouring threads, neighbouring numbers
            int key = i / WIDTH, channel = i % WIDTH;
            shared.k[key][channel] = a.k.row(work.batch, work.head, first + key)[channel];
            shared.v[key][channel] = a.v.row(work.batch, work.head, first + key)[channel];
        }
        if (thread < KEYS)
            shared.key_time[thread] = time_of_key(a.key_time, work, first + thread, a.keys);
        TRACE("keys %d to %d are fetched, my part of them by me", first, first + count - 1);
        __syncthreads(); // all have written this one

        for (int key = 0; key < count; key++) {
            if (shared.key_time[key] > query_time)
                continue;
            float score = 0;
            for (int channel = 0; channel < WIDTH; channel++)
                score += shared.q[channel][thread] * shared.k[key][channel];
            if (score > highest) { // what was summed so far is brought to the new maximum
                float shrink = expf(highest - score);
                total *= shrink;
#pragma unroll
                for (int channel = 0; channel < WIDTH; channel++)
                    out[channel] *= shrink;
                TRACE("key %d: score %.4f is the highest yet, sums shrink by %.4f", first + key, score, shrink);
                highest = score;
            }
            float weight = expf(score - highest);
            total += weight;
#pragma unroll
            for (int channel = 0; channel < WIDTH; channel++)
                out[channel] += weight * shared.v[key][channel];
            TRACE("key %d: weight %.4f, sum %.4f, out[0] so far %.4f", first + key, weight, total, out[0] / total);
        }
    }

    if (query < a.queries) {
#pragma unroll
        for (int channel = 0; channel < WIDTH; channel++)
            a.out.row(work.batch, work.head, query)[channel] = out[channel] * one_over(total);
        *a.log_sum_exp.row(work.batch, work.head, query) = log_of_sum(highest, total);
        TRACE("query %d is done: out[0] %.4f, log_sum_exp %.4f", query, out[0] * one_over(total),
              log_of_sum(highest, total));
    }
}
