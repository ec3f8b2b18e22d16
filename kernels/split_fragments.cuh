/* float32 on tensor cores: every number as the sum of two bfloat16, high and low, and products of such sums
   (attention_forward_4b_split_floats.cu says what is lost). A tile of floats is two tiles, [0] high and [1] low. */
#pragma once
#include "fragments.cuh"

__device__ __forceinline__ float rest_of(float x) { return x - to_float(rounded<bfloat16>(x)); }

// As load_tile, of float32 into two tiles.
template <class TILE>
__device__ __forceinline__ void load_split(TILE (&tiles)[2], const Rows<const float> &rows, Work work, int first,
                                           int end) {
#pragma unroll 2
    for (int i = threadIdx.x; i < TILE::ROWS * TILE::PIECES; i += THREADS) {
        int row = i / TILE::PIECES, piece = i % TILE::PIECES;
        float4 x = make_float4(0, 0, 0, 0), y = x;
        if (first + row < end) {
            const float *from = rows.row(work.batch, work.head, first + row) + 8 * piece;
            x = *reinterpret_cast<const float4 *>(from), y = *reinterpret_cast<const float4 *>(from + 4);
        }
        *static_cast<uint4 *>(tiles[0].piece(row, piece)) = make_uint4(
            pair<bfloat16>(x.x, x.y), pair<bfloat16>(x.z, x.w), pair<bfloat16>(y.x, y.y), pair<bfloat16>(y.z, y.w));
        *static_cast<uint4 *>(tiles[1].piece(row, piece)) =
            make_uint4(pair<bfloat16>(rest_of(x.x), rest_of(x.y)), pair<bfloat16>(rest_of(x.z), rest_of(x.w)),
                       pair<bfloat16>(rest_of(y.x), rest_of(y.y)), pair<bfloat16>(rest_of(y.z), rest_of(y.w)));
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
        for (int i = 0; i < 4; i++) {
            rest[0][i] = rest_of(weights[2 * step][i]);
            rest[1][i] = rest_of(weights[2 * step + 1][i]);
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
