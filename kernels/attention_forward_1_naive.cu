/* Attention, forward, rung 1: one thread for each query.

   out[g, i, :] = sum_j softmax_j(scale * q[g, i, :] . k[g, j, :]) * v[g, j, :]

   q    (groups, queries, width)   float32, contiguous
   k, v (groups, keys, width)      float32, contiguous; keys >= 1
   out  (groups, queries, width)   float32, contiguous
   Launch: a grid of (ceil(queries / blockDim.x), groups) blocks, one dimension of threads.

   The whole of rung 1's cleverness: the scores are never stored, so memory stays O(queries). A first
   pass over the keys finds the largest score and the sum of exponentials, rescaling the sum whenever a
   larger score turns up (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax");
   a second pass computes each score again and adds up the values.

   What is slow about it, on purpose: every thread reads every key and value from global memory by
   itself, neighbouring threads read q a whole row apart, the running output lives in global memory,
   and each score is computed twice. The rungs above it take these away one at a time.

   Status: a placeholder for the ladder. The package computes attention with NumPy and launches no
   kernel yet; the tests compile this file for every architecture where nvcc is at hand and check its
   values on the CPU. No speed has been measured.

   By hand:  nvcc -std=c++17 -cubin -arch=sm_75 -Xptxas=-v kernels/attention_forward_1_naive.cu
*/

extern "C" __global__ void attention_forward_1_naive(const float *q, const float *k, const float *v, float *out,
                                                     int queries, int keys, int width, float scale) {
    int query = blockIdx.x * blockDim.x + threadIdx.x;
    if (query >= queries)
        return; // the last block may be larger than what is left

    // 64-bit offsets: groups * queries * width passes 2^31 on a long clip.
    long long group = blockIdx.y;
    const float *q_row = q + (group * queries + query) * width;
    const float *k_group = k + group * keys * width;
    const float *v_group = v + group * keys * width;
    float *out_row = out + (group * queries + query) * width;

    float largest = -INFINITY, total = 0.0f;
    for (int key = 0; key < keys; key++) {
        float score = 0.0f;
        for (int channel = 0; channel < width; channel++)
            score += q_row[channel] * k_group[(long long)key * width + channel];
        score *= scale;
        float before = largest;
        largest = fmaxf(largest, score);
        total = total * expf(before - largest) + expf(score - largest);
    }

    for (int channel = 0; channel < width; channel++)
        out_row[channel] = 0.0f;
    for (int key = 0; key < keys; key++) {
        float score = 0.0f;
        for (int channel = 0; channel < width; channel++)
            score += q_row[channel] * k_group[(long long)key * width + channel];
        float weight = expf(score * scale - largest) / total;
        for (int channel = 0; channel < width; channel++)
            out_row[channel] += weight * v_group[(long long)key * width + channel];
    }
}
