/* Attention, backward, rung 1: one warp for each row.

   Idea. The weights are computed again from log_sum_exp, one at a time, so nothing of size N^2 is stored. A kernel
   whose warps own queries can sum up q_grad, and one whose warps own keys can sum up k_grad and v_grad; each walks
   through all rows of the other side in order, so sums are always added up in the same order and two runs agree to
   the last bit, which atomic additions from many blocks wouldn't. The price is computing each weight twice.
     ..._row_sums   row_sums = sum over channels of out_grad * out: what softmax takes off a row of gradients;
     ..._keys       k_grad and v_grad;
     ..._queries    q_grad.
   A lane holds every 32nd channel of its row, reads are of neighbouring numbers, and the two products that a weight
   and its gradient need are summed over the warp by shuffles.

   Arithmetic intensity. For each pair, a warp reads 2 rows of d numbers (8 d bytes, mostly from the caches) for 8 d
   FLOPs in ..._keys and 6 d in ..._queries: about 1 FLOP a byte.
   Expected limit: the caches, and 10 shuffles for every pair.

   Launch: 128 threads a block, a block for 4 rows.
   Run: minivdit kernels emulate attention_backward_1_warps --trace */
#include "attention.cuh"

// Every 32nd channel of a row, from `lane` on.
template <int PART> __device__ __forceinline__ void load_part(float (&part)[PART], const float *row, int lane) {
#pragma unroll
    for (int i = 0; i < PART; i++)
        part[i] = row[lane + 32 * i];
}

// A pair's weight and the gradient of its score (before the scale), for all lanes.
struct Pair {
    float weight, score_grad;
};
template <int PART>
__device__ __forceinline__ Pair look_at(const Backward<float> &a, Work work, int query, const float (&q)[PART],
                                        const float (&k)[PART], const float (&v)[PART], const float (&out_grad)[PART]) {
    float score = 0, weight_grad = 0;
#pragma unroll
    for (int i = 0; i < PART; i++) {
        score += q[i] * k[i];
        weight_grad += out_grad[i] * v[i];
    }
    score = a.scale * sum_over_warp(score);
    weight_grad = sum_over_warp(weight_grad);
    float weight = expf(score - *a.log_sum_exp.row(work.batch, work.head, query));
    float score_grad = weight * (weight_grad - *a.row_sums.row(work.batch, work.head, query));
    TRACE("query %d: score %.4f, weight %.4f, its gradient %.4f, the score's %.4f", query, score, weight, weight_grad,
          score_grad);
    return {weight, score_grad};
}

template <int WIDTH> __global__ void attention_backward_1_warps_row_sums(Backward<float> a) {
    write_row_sums<WIDTH>(a);
}

template <int WIDTH> __global__ void attention_backward_1_warps_keys(Backward<float> a) {
    constexpr int PART = WIDTH / 32;
    Work work = my_work(a.heads, a.keys, 4);
    int key = work.first + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (key >= a.keys)
        return; // the whole warp at once
    float k[PART], v[PART], q[PART], out_grad[PART], k_grad[PART] = {}, v_grad[PART] = {};
    load_part(k, a.k.row(work.batch, work.head, key), lane);
    load_part(v, a.v.row(work.batch, work.head, key), lane);
    int key_time = time_of_key(a.key_time, work, key, a.keys);
    for (int query = 0; query < a.queries; query++) {
        if (key_time > time_of_query(a.query_time, work, query, a.queries))
            continue;
        load_part(q, a.q.row(work.batch, work.head, query), lane);
        load_part(out_grad, a.out_grad.row(work.batch, work.head, query), lane);
        Pair pair = look_at(a, work, query, q, k, v, out_grad);
#pragma unroll
        for (int i = 0; i < PART; i++) {
            k_grad[i] += pair.score_grad * q[i];
            v_grad[i] += pair.weight * out_grad[i];
        }
    }
#pragma unroll
    for (int i = 0; i < PART; i++) {
        a.k_grad.row(work.batch, work.head, key)[lane + 32 * i] = a.scale * k_grad[i];
        a.v_grad.row(work.batch, work.head, key)[lane + 32 * i] = v_grad[i];
    }
}

template <int WIDTH> __global__ void attention_backward_1_warps_queries(Backward<float> a) {
    constexpr int PART = WIDTH / 32;
    Work work = my_work(a.heads, a.queries, 4);
    int query = work.first + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (query >= a.queries)
        return;
    float q[PART], out_grad[PART], k[PART], v[PART], q_grad[PART] = {};
    load_part(q, a.q.row(work.batch, work.head, query), lane);
    load_part(out_grad, a.out_grad.row(work.batch, work.head, query), lane);
    int query_time = time_of_query(a.query_time, work, query, a.queries);
    for (int key = 0; key < a.keys; key++) {
        if (time_of_key(a.key_time, work, key, a.keys) > query_time)
            continue;
        load_part(k, a.k.row(work.batch, work.head, key), lane);
        load_part(v, a.v.row(work.batch, work.head, key), lane);
        Pair pair = look_at(a, work, query, q, k, v, out_grad);
#pragma unroll
        for (int i = 0; i < PART; i++)
            q_grad[i] += pair.score_grad * k[i];
    }
#pragma unroll
    for (int i = 0; i < PART; i++)
        a.q_grad.row(work.batch, work.head, query)[lane + 32 * i] = a.scale * q_grad[i];
}
