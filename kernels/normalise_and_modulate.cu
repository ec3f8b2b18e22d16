/* Normalise and modulate: layer norm, then out = standardised * (1 + scale) + shift, and its pullback.

   Idea. As single operations (mean, difference, square, mean, root, quotient, product, sum) every step reads all of x
   and writes all of it again. Here a warp holds a row in registers until it is done with it. The warps of a block work
   on rows of one group (a frame of a clip), so shift and scale are read once and stay in registers, too.
   The pullback computes the standardised row again from x: it has to read x or that row in any case, and so the
   forward pass keeps nothing. With g = out_grad (1 + scale), and means over the row,
     x_grad = (g - mean(g) - standardised mean(g standardised)) / deviation,
   and over the rows of a group, shift_grad sums up out_grad and scale_grad out_grad * standardised: see rows.cuh for
   how, in the same order each time.
     ..._forward    out;
     ..._backward   x_grad, and the sums of each block;
     ..._sums       those of a group's blocks become shift_grad and scale_grad.
   Without shift and scale it is layer norm alone, all rows are one group, and there are no sums.

   Arithmetic intensity. Forward 8 bytes for each number of x (4 in 16 bits) and about 9 FLOPs, backward 12 bytes (6)
   and about 20: 1 to 3 FLOPs a byte. The sums of blocks that have 32 rows are half a byte a number more.
   Expected limit: global memory. The forward pass step by step would move 5 times the bytes.

   Launch: 128 threads a block, a block for at least 32 rows of a group; WIDTH is what a warp has registers for.
   Run: minivdit kernels emulate normalise_and_modulate --trace */
#include "attention.cuh"
#include "rows.cuh"

template <class T> struct Modulate {
    Rows<const T> shift, scale; // (1, 1, groups, width), or none; shift_grad and scale_grad are (groups, width)
    const T *x, *out_grad;      // (groups, rows, width), as out and x_grad
    T *out, *x_grad, *shift_grad, *scale_grad;
    float *shift_sums, *scale_sums; // (groups, tiles, width)
    int groups, rows, width, tiles, rows_of_a_tile, aligned;
    float eps;
};

// x becomes (x - mean) / deviation, and 1 / deviation is returned.
template <int WIDTH> __device__ __forceinline__ float standardise(float (&x)[Team<WIDTH>::MINE], int width, float eps) {
    float sum = 0, squares = 0;
#pragma unroll
    for (int n = 0; n < Team<WIDTH>::MINE; n++)
        sum += x[n];
    float mean = sum_over_lanes<32>(sum) / width;
#pragma unroll
    for (int n = 0; n < Team<WIDTH>::MINE; n++) {
        x[n] = Team<WIDTH>::column(n) < width ? x[n] - mean : 0;
        squares += x[n] * x[n];
    }
    float inverse_deviation = 1 / sqrtf(sum_over_lanes<32>(squares) / width + eps);
#pragma unroll
    for (int n = 0; n < Team<WIDTH>::MINE; n++)
        x[n] *= inverse_deviation;
    return inverse_deviation;
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS) normalise_and_modulate_forward(Modulate<T> a) {
    constexpr int MINE = Team<WIDTH>::MINE;
    RowTile tile = my_tile(blockIdx.x, a.tiles, a.rows, a.rows_of_a_tile);
    long long group = tile.group;
    float x[MINE], shift[MINE], scale[MINE];
    int modulated = a.scale.data ? a.width : 0; // columns
    read_part<WIDTH>(shift, a.shift.row(0, 0, tile.group), modulated, a.aligned);
    read_part<WIDTH>(scale, a.scale.row(0, 0, tile.group), modulated, a.aligned);
    for (int row = tile.first + Team<WIDTH>::index(); row < tile.end; row += Team<WIDTH>::OF_A_BLOCK) {
        long long at = (group * a.rows + row) * a.width;
        read_part<WIDTH>(x, a.x + at, a.width, a.aligned);
        float inverse_deviation = standardise<WIDTH>(x, a.width, a.eps);
        TRACE("group %d, row %d: deviation %.4f, my first number %.4f of it from the mean", tile.group, row,
              1 / inverse_deviation, x[0]);
#pragma unroll
        for (int n = 0; n < MINE; n++)
            x[n] = x[n] * (1 + scale[n]) + shift[n];
        write_part<WIDTH>(a.out + at, x, a.width, a.aligned);
    }
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS) normalise_and_modulate_backward(Modulate<T> a) {
    constexpr int MINE = Team<WIDTH>::MINE;
    RowTile tile = my_tile(blockIdx.x, a.tiles, a.rows, a.rows_of_a_tile);
    long long group = tile.group;
    float x[MINE], grad[MINE], scale[MINE], shift_sum[MINE] = {}, scale_sum[MINE] = {};
    read_part<WIDTH>(scale, a.scale.row(0, 0, tile.group), a.scale.data ? a.width : 0, a.aligned);
    for (int row = tile.first + Team<WIDTH>::index(); row < tile.end; row += Team<WIDTH>::OF_A_BLOCK) {
        long long at = (group * a.rows + row) * a.width;
        read_part<WIDTH>(x, a.x + at, a.width, a.aligned);
        read_part<WIDTH>(grad, a.out_grad + at, a.width, a.aligned);
        float inverse_deviation = standardise<WIDTH>(x, a.width, a.eps), sum = 0, along = 0;
#pragma unroll
        for (int n = 0; n < MINE; n++) {
            shift_sum[n] += grad[n];
            scale_sum[n] += grad[n] * x[n];
            grad[n] *= 1 + scale[n];
            sum += grad[n];
            along += grad[n] * x[n];
        }
        float mean = sum_over_lanes<32>(sum) / a.width;
        along = sum_over_lanes<32>(along) / a.width;
        TRACE("group %d, row %d: mean gradient %.4f, along the row %.4f", tile.group, row, mean, along);
#pragma unroll
        for (int n = 0; n < MINE; n++)
            grad[n] = (grad[n] - mean - x[n] * along) * inverse_deviation;
        write_part<WIDTH>(a.x_grad + at, grad, a.width, a.aligned);
    }
    if (!a.scale.data)
        return; // the whole block at once
    add_teams<WIDTH>(a.shift_sums + (long long)blockIdx.x * a.width, shift_sum, a.width);
    add_teams<WIDTH>(a.scale_sums + (long long)blockIdx.x * a.width, scale_sum, a.width);
}

template <class T, int WIDTH> __global__ void __launch_bounds__(THREADS) normalise_and_modulate_sums(Modulate<T> a) {
    add_tiles(a.shift_grad, a.shift_sums, a.tiles, a.width, a.aligned);
    add_tiles(a.scale_grad, a.scale_sums, a.tiles, a.width, a.aligned);
}
