/* AdamW and the average of the weights, for all parameters in one launch.

   Idea. A network has hundreds of parameters and an update of one takes a dozen operations: thousands of launches a
   step, some microseconds each, for little arithmetic. Here all parameters lie side by side in one buffer, as do
   their gradients, running means, running squares and averages, and one kernel goes through all five at once.
   Parameters that share a learning rate and a weight decay form a segment of the buffer; a few segments travel in the
   argument itself, and so do the step's factors, which the CPU knows. Parameters behind all segments have another
   optimiser, which was here before, and are only averaged. What it doesn't know without waiting for the
   GPU is by how much gradients are clipped: the kernel reads that factor from memory.
     mean    = beta1 mean + (1 - beta1) gradient             square = beta2 square + (1 - beta2) gradient^2
     weights = (1 - rate decay) weights - rate / (1 - beta1^t) mean / (sqrt(square / (1 - beta2^t)) + eps)
     average = average + share (weights - average)

   Arithmetic intensity. 36 bytes for each parameter (5 numbers read, 4 written) and about 18 FLOPs: 0.5 FLOPs a byte.
   Expected limit: global memory. One by one the same operations would move about 160 bytes.

   Launch: 128 threads a block, a block for 512 parameters.
   Run: minivdit kernels emulate adamw_ema --trace */
#include "rows.cuh"

constexpr int SEGMENTS = 8;

struct AdamWEMA {
    float *weights, *average; // (count)
    float *mean, *square;     // (updated), as gradient: what lies behind has another optimiser, and is only averaged
    const float *gradient, *gradient_factor; // gradient_factor: one number; none is 1
    long long count, updated, end[SEGMENTS]; // segment s ends before end[s]; the last one's end is updated
    float step_size[SEGMENTS], kept[SEGMENTS]; // rate / (1 - beta1^t), 1 - rate decay
    float beta1, one_minus_beta1, beta2, one_minus_beta2, square_bias /* sqrt(1 - beta2^t) */, eps, share;
    int aligned;
};

// A warp takes COLUMNS parameters.
template <int COLUMNS> __global__ void __launch_bounds__(THREADS) adamw_ema(AdamWEMA a) {
    constexpr int MINE = Team<COLUMNS>::MINE;
    long long first = ((long long)blockIdx.x * Team<COLUMNS>::OF_A_BLOCK + Team<COLUMNS>::index()) * COLUMNS;
    int width = static_cast<int>(max(0ll, min(a.count - first, (long long)COLUMNS)));
    int updated = static_cast<int>(max(0ll, min(a.updated - first, (long long)COLUMNS)));
    // either may end anywhere
    bool aligned = a.aligned && width == COLUMNS, updated_aligned = a.aligned && updated == COLUMNS;
    float factor = a.gradient_factor ? *a.gradient_factor : 1;
    float gradient[MINE], weights[MINE], mean[MINE], square[MINE], average[MINE];
    read_part<COLUMNS>(gradient, a.gradient + first, updated, updated_aligned);
    read_part<COLUMNS>(weights, a.weights + first, width, aligned);
    read_part<COLUMNS>(mean, a.mean + first, updated, updated_aligned);
    read_part<COLUMNS>(square, a.square + first, updated, updated_aligned);
    read_part<COLUMNS>(average, a.average + first, width, aligned);
#pragma unroll
    for (int n = 0; n < MINE; n++) {
        if (Team<COLUMNS>::column(n) < updated) {
            int segment = 0;
            while (segment < SEGMENTS - 1 && first + Team<COLUMNS>::column(n) >= a.end[segment])
                segment++;
            float grad = factor * gradient[n];
            mean[n] = a.beta1 * mean[n] + a.one_minus_beta1 * grad;
            square[n] = a.beta2 * square[n] + a.one_minus_beta2 * grad * grad;
            float step = a.step_size[segment] * mean[n] / (sqrtf(square[n]) / a.square_bias + a.eps);
            weights[n] = a.kept[segment] * weights[n] - step;
            TRACE("parameter %lld, segment %d: gradient %.4f, mean %.4f, step %.6f", first + Team<COLUMNS>::column(n),
                  segment, grad, mean[n], step);
        }
        average[n] += a.share * (weights[n] - average[n]);
    }
    write_part<COLUMNS>(a.weights + first, weights, updated, updated_aligned);
    write_part<COLUMNS>(a.mean + first, mean, updated, updated_aligned);
    write_part<COLUMNS>(a.square + first, square, updated, updated_aligned);
    write_part<COLUMNS>(a.average + first, average, width, aligned);
}
