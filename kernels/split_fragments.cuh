/* float32 on tensor cores: every number as the sum of two bfloat16, high and low, and products of such sums
   (attention_forward_4b_split_floats.cu says what is lost). A tile of floats is two tiles, [0] high and [1] low. */
#pragma once
#include "fragments.cuh"

// Two floats become what rounding them to bfloat16 leaves. Rounded together and taken apart by a shift and a mask:
// rounding one alone goes through the unit that makes exponentials.
__device__ __forceinline__ void keep_rests(float &x, float &y) {
    unsigned rounded = pair<bfloat16>(x, y);
    x -= __uint_as_float(rounded << 16);
    y -= __uint_as_float(rounded & 0xffff0000);
}

// As load_tile, of float32 into two tiles.
template <class TILE>
__device__ __forceinline__ void load_split(TILE (&tiles)[2], const Rows<const float> &rows, Work work, int first,
                                           int end) {
#pragma unroll 1
    for (int i = threadIdx.x; i < TILE::ROWS * TILE::PIECES; i += THREADS) {
        int row = i / TILE::PIECES, piece = i % TILE::PIECES;
        float4 x = make_float4(0, 0, 0, 0), y = x;
        if (first + row < end) {
            const float *from = rows.row(work.batch, work.head, first + row) + 8 * piece;
            x = *reinterpret_cast<const float4 *>(from), y = *reinterpret_cast<const float4 *>(from + 4);
        }
        *static_cast<uint4 *>(tiles[0].piece(row, piece)) = make_uint4(
            pair<bfloat16>(x.x, x.y), pair<bfloat16>(x.z, x.w), pair<bfloat16>(y.x, y.y), pair<bfloat16>(y.z, y.w));
        keep_rests(x.x, x.y), keep_rests(x.z, x.w), keep_rests(y.x, y.y), keep_rests(y.z, y.w);
        *static_cast<uint4 *>(tiles[1].piece(row, piece)) = make_uint4(
            pair<bfloat16>(x.x, x.y), pair<bfloat16>(x.z, x.w), pair<bfloat16>(y.x, y.y), pair<bfloat16>(y.z, y.w));
    }
}

// sum = own others^T: this warp's rows times rows of a tile.
template <int WIDTH, int N, class OWN, class OTHERS>
__device__ __forceinline__ void multiply_split(float (&sum)[N][4], OWN (&own)[2], OTHERS (&others)[2]) {
    clear(sum);
#pragma unroll
    for (int step = 0; step < WIDTH / 16; step++) {
        unsigned high[4], low[4];
        load_left(high, own[0], my_warps_row(), step);
        load_left(low, own[1], my_warps_row(), step);
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            unsigned right_high[2][2], right_low[2][2];
            load_right_turned(right_high, others[0], 8 * j, step);
            load_right_turned(right_low, others[1], 8 * j, step);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                multiply_add<bfloat16>(sum[j + i], low, right_high[i]);
                multiply_add<bfloat16>(sum[j + i], high, right_low[i]);
                multiply_add<bfloat16>(sum[j + i], high, right_high[i]);
            }
        }
    }
}

// sum += weights b: weights as the product before left them, times a tile as it is.
template <int N, int DEPTH, class TILE>
__device__ __forceinline__ void add_weighted_split(float (&sum)[N][4], const float (&weights)[DEPTH][4],
                                                   TILE (&tile)[2]) {
#pragma unroll
    for (int step = 0; step < DEPTH / 2; step++) {
        unsigned high[4], low[4];
        float rest[2][4];
#pragma unroll
        for (int j = 0; j < 2; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++)
                rest[j][i] = weights[2 * step + j][i];
            keep_rests(rest[j][0], rest[j][1]), keep_rests(rest[j][2], rest[j][3]);
        }
        left_of_sum<bfloat16>(high, weights, step);
        left_of_sum<bfloat16>(low, rest, 0);
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            unsigned right_high[2][2], right_low[2][2];
            load_right(right_high, tile[0], step, j / 2);
            load_right(right_low, tile[1], step, j / 2);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                multiply_add<bfloat16>(sum[j + i], low, right_high[i]);
                multiply_add<bfloat16>(sum[j + i], high, right_low[i]);
                multiply_add<bfloat16>(sum[j + i], high, right_high[i]);
            }
        }
    }
}
