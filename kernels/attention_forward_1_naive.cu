/* Attention, forward, rung 1: as the formula is written, with all scores in memory.

   Idea. Three kernels, one after the other, each with a thread for every number that it makes:
     ..._scores    scores[i, j] = scale * q[i] . k[j], or minus infinity if i doesn't see j;
     ..._softmax   a thread for a row turns it into weights and writes log_sum_exp;
     ..._output    out[i, c] = sum_j weights[i, j] v[j, c].
   Everything above this rung is about not doing it like that.

   Arithmetic intensity. 4 N^2 d FLOPs a head, and the N^2 scores alone are written once and read four times:
   4 N^2 d / (20 N^2) = d / 5 FLOPs a byte, 13 at width 64, even if every other read were free. Reads of q, k and v
   aren't: a thread fetches 2 numbers for each multiply-add and leaves it to the caches that neighbours want the same.
   Expected limit: memory; and N^2 scores have to fit.

   Launch: 128 threads a block; a block for 128 scores, rows, and numbers of the output.
   Run: minivdit kernels emulate attention_forward_1_naive */
#include "attention.cuh"

// One number out of `count` for each thread: of which head of which clip, and the how many-th there.
__device__ __forceinline__ Work my_number(int heads, int count) {
    Work work = my_work(heads, count, 128);
    work.first += threadIdx.x;
    return work;
}

template <int WIDTH> __global__ void attention_forward_1_naive_scores(Forward<float> a) {
    Work work = my_number(a.heads, a.queries * a.keys);
    int query = work.first / a.keys, key = work.first % a.keys;
    if (query >= a.queries)
        return; // the last block may be larger than what is left
    const float *q = a.q.row(work.batch, work.head, query), *k = a.k.row(work.batch, work.head, key);
    float score = 0;
    for (int channel = 0; channel < WIDTH; channel++)
        score += q[channel] * k[channel];
    bool visible = time_of_key(a.key_time, work, key, a.keys) <= time_of_query(a.query_time, work, query, a.queries);
    long long head = work.batch * a.heads + work.head;
    a.scores[(head * a.queries + query) * a.keys + key] = visible ? a.scale * score : minus_infinity();
    TRACE("query %d, key %d: %s, score %.4f", query, key, visible ? "visible" : "hidden", a.scale * score);
}

template <int WIDTH> __global__ void attention_forward_1_naive_softmax(Forward<float> a) {
    Work work = my_number(a.heads, a.queries);
    int query = work.first;
    if (query >= a.queries)
        return;
    long long head = work.batch * a.heads + work.head;
    float *scores = a.scores + (head * a.queries + query) * a.keys;
    float highest = LOWEST, total = 0;
    for (int key = 0; key < a.keys; key++)
        highest = fmaxf(highest, scores[key]);
    for (int key = 0; key < a.keys; key++)
        total += expf(scores[key] - highest);
    for (int key = 0; key < a.keys; key++)
        scores[key] = expf(scores[key] - highest) * one_over(total);
    *a.log_sum_exp.row(work.batch, work.head, query) = log_of_sum(highest, total);
    TRACE("query %d: highest score %.4f, sum of exponentials %.4f", query, highest, total);
}

template <int WIDTH> __global__ void attention_forward_1_naive_output(Forward<float> a) {
    Work work = my_number(a.heads, a.queries * WIDTH);
    int query = work.first / WIDTH, channel = work.first % WIDTH;
    if (query >= a.queries)
        return;
    long long head = work.batch * a.heads + work.head;
    const float *weights = a.scores + (head * a.queries + query) * a.keys;
    const float *v = a.v.of(work.batch, work.head) + channel;
    float sum = 0;
    for (int key = 0; key < a.keys; key++)
        sum += weights[key] * v[key * a.v.token];
    a.out.row(work.batch, work.head, query)[channel] = sum;
    TRACE("query %d, channel %d: %.4f", query, channel, sum);
}
