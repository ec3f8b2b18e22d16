/* Products of tiles in fp32: 128 threads, tiles in shared memory, sums in registers.

   The threads stand in 8 rows of 16. Thread (r, c) makes the numbers of a product in rows r, r + 8, r + 16, ... and
   columns c, c + 16, c + 32, ...: with R rows and C columns it reads R + C numbers for R * C multiply-adds, which is
   the whole point of register tiles. A row of the product belongs to 16 neighbouring lanes of one warp.

   Bank conflicts. Shared memory has 32 banks, a number each, side by side. A row of a tile that is read along its
   length, 4 numbers at a time by 16 threads in 16 rows, is padded by 4 numbers, so that 8 rows cover all banks. The
   tile of weights is written by 2 rows of 16 threads, so its rows lie 16 banks apart (an odd multiple of 16). */
#pragma once
#include "attention.cuh"

constexpr int THREADS = 128, ROW_THREADS = 8, COLUMN_THREADS = 16;

__device__ __forceinline__ int my_row(int i) { return threadIdx.x / COLUMN_THREADS + i * ROW_THREADS; }
__device__ __forceinline__ int my_column(int j) { return threadIdx.x % COLUMN_THREADS + j * COLUMN_THREADS; }

__device__ constexpr int padded(int width) { return width + 4; }
__device__ constexpr int weights_apart(int columns) { return columns % 32 == 0 ? columns + 16 : columns; }

__device__ __forceinline__ float4 four(const float *numbers) { return *reinterpret_cast<const float4 *>(numbers); }

// Rows first, first + 1, ... of an array, 16 bytes a thread at a time; rows past the end are zeros.
template <int ROWS, int WIDTH>
__device__ __forceinline__ void load_tile(float (&tile)[ROWS][padded(WIDTH)], const Rows<const float> &rows, Work work,
                                          int first, int end) {
    for (int i = threadIdx.x; i < ROWS * WIDTH / 4; i += THREADS) {
        int row = i / (WIDTH / 4), column = i % (WIDTH / 4) * 4;
        bool there = first + row < end;
        *reinterpret_cast<float4 *>(&tile[row][column]) =
            there ? four(rows.row(work.batch, work.head, first + row) + column) : make_float4(0, 0, 0, 0);
    }
}

// sum += a b^T: a row of a times a row of b, along the width.
template <int R, int C, int PADDED>
__device__ __forceinline__ void add_a_bt(float (&sum)[R][C], const float (&a)[R * ROW_THREADS][PADDED],
                                         const float (&b)[C * COLUMN_THREADS][PADDED]) {
#pragma unroll 2
    for (int channel = 0; channel < PADDED - 4; channel += 4) {
        float4 from_b[C];
#pragma unroll
        for (int j = 0; j < C; j++)
            from_b[j] = four(&b[my_column(j)][channel]);
#pragma unroll
        for (int i = 0; i < R; i++) {
            float4 from_a = four(&a[my_row(i)][channel]);
#pragma unroll
            for (int j = 0; j < C; j++) {
                sum[i][j] += from_a.x * from_b[j].x;
                sum[i][j] += from_a.y * from_b[j].y;
                sum[i][j] += from_a.z * from_b[j].z;
                sum[i][j] += from_a.w * from_b[j].w;
            }
        }
    }
}

// sum += weights b: a row of weights times the columns of b, along DEPTH rows of b.
template <int DEPTH, int R, int C, int APART, int PADDED>
__device__ __forceinline__ void add_weighted(float (&sum)[R][C], const float (&weights)[R * ROW_THREADS][APART],
                                             const float (&b)[DEPTH][PADDED]) {
#pragma unroll 2
    for (int depth = 0; depth < DEPTH; depth += 4) {
        float from_b[4][C];
#pragma unroll
        for (int d = 0; d < 4; d++)
#pragma unroll
            for (int j = 0; j < C; j++)
                from_b[d][j] = b[depth + d][my_column(j)];
#pragma unroll
        for (int i = 0; i < R; i++) {
            float4 weight = four(&weights[my_row(i)][depth]);
#pragma unroll
            for (int j = 0; j < C; j++) {
                sum[i][j] += weight.x * from_b[0][j];
                sum[i][j] += weight.y * from_b[1][j];
                sum[i][j] += weight.z * from_b[2][j];
                sum[i][j] += weight.w * from_b[3][j];
            }
        }
    }
}

template <int R, int C> __device__ __forceinline__ void clear(float (&sum)[R][C]) {
#pragma unroll
    for (int i = 0; i < R; i++)
#pragma unroll
        for (int j = 0; j < C; j++)
            sum[i][j] = 0;
}

// This thread's numbers of a product, times a factor, into rows of an array.
template <int R, int C>
__device__ __forceinline__ void store_rows(const Rows<float> &rows, Work work, int end, const float (&sum)[R][C],
                                           float factor) {
#pragma unroll
    for (int i = 0; i < R; i++)
        if (work.first + my_row(i) < end)
#pragma unroll
            for (int j = 0; j < C; j++)
                rows.row(work.batch, work.head, work.first + my_row(i))[my_column(j)] = factor * sum[i][j];
}

// Over the 16 lanes that share a row.
__device__ __forceinline__ float highest_of_row(float value) {
    for (int bits = COLUMN_THREADS / 2; bits > 0; bits /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, bits));
    return value;
}
__device__ __forceinline__ float sum_of_row(float value) {
    for (int bits = COLUMN_THREADS / 2; bits > 0; bits /= 2)
        value += __shfl_xor_sync(0xffffffff, value, bits);
    return value;
}
