/* Bias + GELU: what stands between the two products of an MLP, and its pullback.

   Idea. A hidden layer is the largest array of a block, and adding the bias, GELU's seven steps and the sum that is
   the bias's gradient would each carry all of it to memory and back. Here each number is read once and written once:
   out = y sigmoid(2 u) with y = x + bias and u = sqrt(2 / pi) (y + 0.044715 y^3), the tanh form of GELU. The pullback
   computes the slope again from x; keeping it would cost as much memory as x, and writing and reading it more time.
   A lane keeps its columns from row to row, and so their biases, and the sums for their gradients: see rows.cuh.
     ..._forward    out;
     ..._backward   x_grad, and the sums of each block;
     ..._sums       those of all blocks become bias_grad.

   Arithmetic intensity. Forward 8 bytes for each number (4 in 16 bits) and about 10 FLOPs and an exponential, backward
   12 bytes (6) and about 18: 1 to 3 FLOPs a byte. The sums of blocks that have 32 rows are 1/4 byte a number more.
   Expected limit: global memory.

   Launch: 128 threads a block, a block for 128 columns of at least 32 rows.
   Run: minivdit kernels emulate bias_gelu --trace */
#include "rows.cuh"

template <class T> struct BiasGelu {
    const T *x, *out_grad; // (rows, width), as out and x_grad
    const float *bias;     // (width), as bias_grad
    T *out, *x_grad;
    float *bias_grad, *sums; // sums: (tiles, width)
    int rows, width, tiles, rows_of_a_tile, aligned;
};

constexpr float SLOPE = 0.7978845608f /* sqrt(2 / pi) */, CUBIC = 0.044715f;

// sigmoid(2 u), and what it lacks to 1: each right to its last bits, and no power above 1 to overflow.
struct Gate {
    float open, closed;
};
__device__ __forceinline__ Gate gate_of(float y) {
    float power = expf(-2 * SLOPE * fabsf(y) * (1 + CUBIC * y * y)), more = 1 / (1 + power), less = power * more;
    return y > 0 ? Gate{more, less} : Gate{less, more};
}

// A block's columns begin at `first`; blocks that share rows stand side by side.
template <int COLUMNS> struct Place {
    int across, first;
    RowTile tile;
    template <class T> __device__ __forceinline__ Place(const BiasGelu<T> &a) {
        across = (a.width + COLUMNS - 1) / COLUMNS;
        first = blockIdx.x % across * COLUMNS;
        tile = my_tile(blockIdx.x / across, a.tiles, a.rows, a.rows_of_a_tile);
    }
};

template <class T, int COLUMNS> __global__ void __launch_bounds__(THREADS) bias_gelu_forward(BiasGelu<T> a) {
    constexpr int MINE = Team<COLUMNS>::MINE;
    Place<COLUMNS> place(a);
    int width = a.width - place.first;
    float y[MINE], bias[MINE];
    read_part<COLUMNS>(bias, a.bias + place.first, width, a.aligned);
    for (int row = place.tile.first + Team<COLUMNS>::index(); row < place.tile.end; row += Team<COLUMNS>::OF_A_BLOCK) {
        long long at = (long long)row * a.width + place.first;
        read_part<COLUMNS>(y, a.x + at, width, a.aligned);
#pragma unroll
        for (int n = 0; n < MINE; n++) {
            y[n] += bias[n];
            y[n] *= gate_of(y[n]).open;
        }
        TRACE("row %d: my first number becomes %.4f", row, y[0]);
        write_part<COLUMNS>(a.out + at, y, width, a.aligned);
    }
}

template <class T, int COLUMNS> __global__ void __launch_bounds__(THREADS) bias_gelu_backward(BiasGelu<T> a) {
    constexpr int MINE = Team<COLUMNS>::MINE;
    Place<COLUMNS> place(a);
    int width = a.width - place.first;
    float y[MINE], grad[MINE], bias[MINE], sum[MINE] = {};
    read_part<COLUMNS>(bias, a.bias + place.first, width, a.aligned);
    for (int row = place.tile.first + Team<COLUMNS>::index(); row < place.tile.end; row += Team<COLUMNS>::OF_A_BLOCK) {
        long long at = (long long)row * a.width + place.first;
        read_part<COLUMNS>(y, a.x + at, width, a.aligned);
        read_part<COLUMNS>(grad, a.out_grad + at, width, a.aligned);
#pragma unroll
        for (int n = 0; n < MINE; n++) {
            y[n] += bias[n];
            Gate gate = gate_of(y[n]);
            grad[n] *= gate.open * (1 + gate.closed * 2 * SLOPE * y[n] * (1 + 3 * CUBIC * y[n] * y[n]));
            sum[n] += grad[n];
        }
        TRACE("row %d: the gradient of my first number is %.4f, summed up %.4f", row, grad[0], sum[0]);
        write_part<COLUMNS>(a.x_grad + at, grad, width, a.aligned);
    }
    add_teams<COLUMNS>(a.sums + (long long)(blockIdx.x / place.across) * a.width + place.first, sum, width);
}

template <class T, int COLUMNS> __global__ void __launch_bounds__(THREADS) bias_gelu_sums(BiasGelu<T> a) {
    add_tiles(a.bias_grad, a.sums, a.tiles, a.width, a.aligned);
}
