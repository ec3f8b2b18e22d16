/* What all attention kernels share: their arguments, and who works on what.

   Arrays are (batch, heads, tokens, width), each given as Rows: a pointer and the distance between clips, heads
   and tokens, counted in numbers. So q, k and v may be views of the one array (batch, tokens, 3, heads, width)
   that a model's projection makes, and nothing is copied. Only the numbers of a row lie side by side. */
#pragma once
#include "common.cuh"

template <class T> struct Rows {
    T *data;
    long long batch, head, token; // 64 bits: a long clip passes 2^31 numbers

    __device__ __forceinline__ T *of(int in_batch, int in_head) const {
        return data + in_batch * batch + in_head * head;
    }
    __device__ __forceinline__ T *row(int in_batch, int in_head, int in_tokens) const {
        return of(in_batch, in_head) + in_tokens * token;
    }
};

/* out = softmax(scale * q k^T) v, and log_sum_exp = log(sum_j exp(scale * q . k_j)), which the backward pass needs.
   Key j is visible to query i if key_time[j] <= query_time[i]; without times (data is null), every key is. A query
   that sees nothing gets zeros, and -infinity as its log_sum_exp. */
template <class T> struct Forward {
    Rows<const T> q, k, v;
    Rows<T> out;
    Rows<float> log_sum_exp; // (batch, heads, queries), as the times are
    Rows<const int> query_time, key_time;
    float *scores; // (batch, heads, queries, keys), for rung 1 only
    int batch, heads, queries, keys;
    float scale;
};

/* The gradients of q, k and v, given out_grad. row_sums[i] = sum_c out_grad[i, c] out[i, c] is computed first:
   with weights p = exp(scale * q k^T - log_sum_exp) and their gradient dp = out_grad v^T, the pullback of softmax is
   ds = p (dp - row_sums), and then q_grad = scale ds k, k_grad = scale ds^T q, v_grad = p^T out_grad. */
template <class T> struct Backward {
    Rows<const T> q, k, v, out, out_grad;
    Rows<const float> log_sum_exp;
    Rows<float> row_sums;
    Rows<T> q_grad, k_grad, v_grad;
    Rows<const int> query_time, key_time;
    int batch, heads, queries, keys;
    float scale;
};

// Blocks are numbered along one axis (the others end at 65,535): tiles of rows fastest, so that blocks which run at
// the same time read the same keys and values; then heads, then clips.
struct Work {
    int batch, head, first; // of the rows that this block works on
};
__device__ __forceinline__ Work my_work(int heads, int rows, int rows_of_a_block) {
    int tiles = (rows + rows_of_a_block - 1) / rows_of_a_block, block = blockIdx.x;
    return {block / tiles / heads, block / tiles % heads, block % tiles * rows_of_a_block};
}

// Rows past the end get times at which nothing is seen and nobody sees, so that tails and masks are one rule.
constexpr int NEVER = 2147483647, BEFORE_ALL = -2147483647;

__device__ __forceinline__ int time_of_key(const Rows<const int> &times, Work work, int key, int keys) {
    return key >= keys ? NEVER : times.data ? *times.row(work.batch, work.head, key) : 0;
}
__device__ __forceinline__ int time_of_query(const Rows<const int> &times, Work work, int query, int queries) {
    return query >= queries ? BEFORE_ALL : times.data ? *times.row(work.batch, work.head, query) : 0;
}

// Online softmax starts from a maximum below every real score, but finite: minus infinity less itself is NaN.
constexpr float LOWEST = -1e30f;

__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000); }

// What the backward pass reads of a query. Of one that saw nothing log_sum_exp is infinite, and of one that isn't there
// there is none: any finite number will do, because no key is visible to either.
template <class T>
__device__ __forceinline__ float log_sum_of_query(const Backward<T> &a, Work work, int query) {
    float log_sum = query < a.queries ? *a.log_sum_exp.row(work.batch, work.head, query) : 0;
    return log_sum == minus_infinity() ? 0 : log_sum;
}
template <class T>
__device__ __forceinline__ float row_sum_of_query(const Backward<T> &a, Work work, int query) {
    return query < a.queries ? *a.row_sums.row(work.batch, work.head, query) : 0;
}

// Where a query's sum of exponentials is zero, it saw nothing.
__device__ __forceinline__ float one_over(float total) { return total > 0 ? 1 / total : 0; }
__device__ __forceinline__ float log_of_sum(float highest, float total) {
    return total > 0 ? highest + logf(total) : minus_infinity();
}

__device__ __forceinline__ float sum_over_warp(float value) { return sum_over_lanes<32>(value); }

// row_sums for a block of 4 warps: a warp takes one row.
template <int WIDTH, class T> __device__ __forceinline__ void write_row_sums(const Backward<T> &a) {
    Work work = my_work(a.heads, a.queries, 4);
    int query = work.first + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (query >= a.queries)
        return; // the whole warp at once, so nobody waits for it
    const T *out = a.out.row(work.batch, work.head, query);
    const T *out_grad = a.out_grad.row(work.batch, work.head, query);
    float sum = 0;
    for (int channel = lane; channel < WIDTH; channel += 32)
        sum += to_float(out[channel]) * to_float(out_grad[channel]);
    sum = sum_over_warp(sum);
    if (lane == 0)
        *a.row_sums.row(work.batch, work.head, query) = sum;
}
