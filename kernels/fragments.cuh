/* What a warp needs to multiply tiles of 16-bit numbers on tensor cores.

   mma.sync multiplies 16 x 16 by 16 x 8 numbers that are spread over the registers of a warp's 32 lanes (common.cuh
   says how: its "fragments"). Here a warp owns 16 rows, and the product has as many columns as it likes, 8 at a time:
   sum[j][0], sum[j][1] are this lane's numbers of row lane / 4, at columns 8 j + 2 (lane % 4) and the next;
   sum[j][2], sum[j][3] those of row lane / 4 + 8. So a lane has to do with two rows, called its halves, and a row
   belongs to four neighbouring lanes.

   The layout of a sum is the layout in which the next product wants its left factor, two neighbours to a register.
   So scores become weights in place, and never see shared memory.

   ldmatrix brings numbers from shared memory into that layout. It reads 8 pieces of 16 bytes at a time, each from
   another row of a tile, and shared memory has 32 banks of 4 bytes: fast if no two of the 8 pieces share a bank. */
#pragma once
#include "attention.cuh"

constexpr int THREADS = 128, WARPS = 4;
constexpr float LOG2_E = 1.44269504f, LN_2 = 0.693147181f; // exp(x) = exp2(x log2(e)): a GPU has exp2 only

// A tile whose rows are padded by a piece, so that 8 rows below each other begin in 8 different groups of banks.
template <int TILE_ROWS, int WIDTH> struct Padded {
    static constexpr int ROWS = TILE_ROWS, PIECES = WIDTH / 8;
    unsigned short numbers[ROWS][WIDTH + 8];
    __device__ __forceinline__ void *piece(int row, int piece) { return &numbers[row][8 * piece]; }
};

// A tile without padding whose pieces change places from row to row (attention_forward_5_swizzled.cu says how).
template <int TILE_ROWS, int WIDTH> struct Swizzled {
    static constexpr int ROWS = TILE_ROWS, PIECES = WIDTH / 8, PLACES = PIECES < 8 ? PIECES : 8;
    unsigned short numbers[ROWS][WIDTH];
    __device__ __forceinline__ void *piece(int row, int piece) {
        unsigned turn = unsigned(row) * PLACES / 8 % PLACES; // unsigned: a shift and a mask
        return &numbers[row][64 * (piece / 8) + 8 * (piece % 8 ^ turn)];
    }
};

__device__ __forceinline__ int my_warps_row() { return threadIdx.x / 32 * 16; }
__device__ __forceinline__ int my_row(int half) { return my_warps_row() + my_lane() / 4 + 8 * half; }
__device__ __forceinline__ int my_column(int j) { return 8 * j + my_lane() % 4 * 2; }

// ---- Tiles from global memory -------------------------------------------------------------------------------

// Rows first, first + 1, ... of an array, 16 bytes a thread at a time; rows past the end are zeros.
template <class TILE, class T>
__device__ __forceinline__ void load_tile(TILE &tile, const Rows<const T> &rows, Work work, int first, int end) {
#pragma unroll
    for (int i = threadIdx.x; i < TILE::ROWS * TILE::PIECES; i += THREADS) {
        int row = i / TILE::PIECES, piece = i % TILE::PIECES;
        bool there = first + row < end;
        const T *from = rows.row(work.batch, work.head, there ? first + row : 0) + 8 * piece;
        *static_cast<uint4 *>(tile.piece(row, piece)) =
            there ? *reinterpret_cast<const uint4 *>(from) : make_uint4(0, 0, 0, 0);
    }
}

// The same by asynchronous copies: they are under way when this returns.
template <class TILE, class T>
__device__ __forceinline__ void copy_tile(TILE &tile, const Rows<const T> &rows, Work work, int first, int end) {
#pragma unroll
    for (int i = threadIdx.x; i < TILE::ROWS * TILE::PIECES; i += THREADS) {
        int row = i / TILE::PIECES, piece = i % TILE::PIECES;
        bool there = first + row < end;
        copy_async(tile.piece(row, piece), rows.row(work.batch, work.head, there ? first + row : 0) + 8 * piece, there);
    }
}

// ---- Fragments from tiles -----------------------------------------------------------------------------------

// The left factor: 16 rows from `row` on, 16 numbers of each, the step-th 16.
template <class TILE> __device__ __forceinline__ void load_left(unsigned (&a)[4], TILE &tile, int row, int step) {
    load_matrices<false>(a, tile.piece(row + my_lane() % 16, 2 * step + my_lane() / 16));
}
template <int STEPS, class TILE>
__device__ __forceinline__ void load_left(unsigned (&a)[STEPS][4], TILE &tile, int row) {
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        load_left(a[step], tile, row, step);
}

// Two right factors, for columns 0 to 7 and 8 to 15 of a product. Of a tile turned around: its 16 rows from `row` on
// are the product's columns, and their step-th 16 numbers are summed over.
template <class TILE>
__device__ __forceinline__ void load_right_turned(unsigned (&b)[2][2], TILE &tile, int row, int step) {
    unsigned r[4];
    load_matrices<false>(r, tile.piece(row + my_lane() / 16 * 8 + my_lane() % 8, 2 * step + my_lane() / 8 % 2));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}
// Of a tile as it is: its 16 columns from 16 `columns` on are the product's, and the step-th 16 rows are summed over.
template <class TILE>
__device__ __forceinline__ void load_right(unsigned (&b)[2][2], TILE &tile, int step, int columns) {
    unsigned r[4];
    load_matrices<true>(r, tile.piece(16 * step + my_lane() % 16, 2 * columns + my_lane() / 16));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// ---- Products -----------------------------------------------------------------------------------------------

template <int N> __device__ __forceinline__ void clear(float (&sum)[N][4]) {
#pragma unroll
    for (int j = 0; j < N; j++)
        sum[j][0] = sum[j][1] = sum[j][2] = sum[j][3] = 0;
}

// sum += a b^T: rows of this warp, held in registers, times rows of a tile.
template <class T, int N, int STEPS, class TILE>
__device__ __forceinline__ void add_a_bt(float (&sum)[N][4], const unsigned (&a)[STEPS][4], TILE &tile) {
#pragma unroll
    for (int step = 0; step < STEPS; step++)
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            unsigned b[2][2];
            load_right_turned(b, tile, 8 * j, step);
            multiply_add<T>(sum[j], a[step], b[0]);
            multiply_add<T>(sum[j + 1], a[step], b[1]);
        }
}

// A sum's columns 16 step to 16 step + 15, rounded to T, as the left factor of a product.
template <class T, int N>
__device__ __forceinline__ void left_of_sum(unsigned (&a)[4], const float (&sum)[N][4], int step) {
    a[0] = pair<T>(sum[2 * step][0], sum[2 * step][1]);
    a[1] = pair<T>(sum[2 * step][2], sum[2 * step][3]);
    a[2] = pair<T>(sum[2 * step + 1][0], sum[2 * step + 1][1]);
    a[3] = pair<T>(sum[2 * step + 1][2], sum[2 * step + 1][3]);
}

// sum += weights b: weights as the product before left them, times a tile as it is.
template <class T, int N, int DEPTH, class TILE>
__device__ __forceinline__ void add_weighted(float (&sum)[N][4], const float (&weights)[DEPTH][4], TILE &tile) {
#pragma unroll
    for (int step = 0; step < DEPTH / 2; step++) {
        unsigned a[4];
        left_of_sum<T>(a, weights, step);
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            unsigned b[2][2];
            load_right(b, tile, step, j / 2);
            multiply_add<T>(sum[j], a, b[0]);
            multiply_add<T>(sum[j + 1], a, b[1]);
        }
    }
}

// Over the four lanes that share a row.
__device__ __forceinline__ float highest_of_row(float value) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xffffffff, value, 2));
}
__device__ __forceinline__ float sum_of_row(float value) {
    value += __shfl_xor_sync(0xffffffff, value, 1);
    return value + __shfl_xor_sync(0xffffffff, value, 2);
}

// Scores of keys that a query doesn't see get no weight. A lane's two rows are queries; or keys, and its columns queries.
template <bool COLUMNS_ARE_KEYS = true, int N, int COLUMNS>
__device__ __forceinline__ void hide(float (&scores)[N][4], const int (&row_time)[2], const int (&column_time)[COLUMNS]) {
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = row_time[i / 2], column = column_time[my_column(j) + i % 2];
            if (COLUMNS_ARE_KEYS ? column > row : row > column)
                scores[j][i] = minus_infinity();
        }
}

// ---- Online softmax on fragments ------------------------------------------------------------------------------

// Of this lane's two queries: the highest score yet, before the scale; the sum of its own columns' weights.
struct Online {
    float highest[2] = {LOWEST, LOWEST}, total[2] = {0, 0};
};

// Scores of a tile of keys become weights, and what was summed so far is brought to the new maximum.
// factor = scale * log2(e), so that exp(scale (score - highest)) is one multiply-add and one exp2.
template <int N, int C>
__device__ __forceinline__ void to_weights(float (&scores)[N][4], Online &online, float (&out)[C][4], float factor) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float higher = online.highest[half];
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                higher = fmaxf(higher, scores[j][2 * half + i]);
        higher = highest_of_row(higher);
        float shrink = exp2_fast(factor * (online.highest[half] - higher)), offset = factor * higher;
        online.highest[half] = higher;
        online.total[half] *= shrink;
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float &weight = scores[j][2 * half + i];
                weight = exp2_fast(fmaf(weight, factor, -offset));
                online.total[half] += weight;
            }
#pragma unroll
        for (int j = 0; j < C; j++) {
            out[j][2 * half] *= shrink;
            out[j][2 * half + 1] *= shrink;
        }
        TRACE("row %d: highest %.4f, weight of column %d %.4f, earlier sums shrink by %.4f", my_row(half), higher,
              my_column(0), scores[0][2 * half], shrink);
    }
}

// In base 2 until here: log(sum) = ln(2) (factor * highest + log2(total)).
__device__ __forceinline__ float log_of_sum_2(float highest, float total, float factor) {
    return total > 0 ? LN_2 * (factor * highest + log2f(total)) : minus_infinity();
}

// ---- Results to global memory -----------------------------------------------------------------------------------

__device__ __forceinline__ void store_pair(float16 *to, float low, float high) {
    *reinterpret_cast<unsigned *>(to) = pair<float16>(low, high);
}
__device__ __forceinline__ void store_pair(bfloat16 *to, float low, float high) {
    *reinterpret_cast<unsigned *>(to) = pair<bfloat16>(low, high);
}
__device__ __forceinline__ void store_pair(float *to, float low, float high) {
    *reinterpret_cast<float2 *>(to) = make_float2(low, high);
}

// This lane's numbers of a sum, each half times its factor, into rows of an array.
template <int N, class T>
__device__ __forceinline__ void store_rows(const Rows<T> &rows, Work work, int end, const float (&sum)[N][4],
                                           const float (&factor)[2]) {
#pragma unroll
    for (int half = 0; half < 2; half++)
        if (work.first + my_row(half) < end)
#pragma unroll
            for (int j = 0; j < N; j++)
                store_pair(rows.row(work.batch, work.head, work.first + my_row(half)) + my_column(j),
                           factor[half] * sum[j][2 * half], factor[half] * sum[j][2 * half + 1]);
}

// The end of a forward kernel: sums become results.
template <class T, int N>
__device__ __forceinline__ void finish(const Forward<T> &a, Work work, float factor, Online &online,
                                       const float (&out)[N][4]) {
    float one_over_total[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float total = sum_of_row(online.total[half]), highest = online.highest[half];
        int query = work.first + my_row(half);
        one_over_total[half] = one_over(total);
        if (query < a.queries && my_column(0) == 0)
            *a.log_sum_exp.row(work.batch, work.head, query) = log_of_sum_2(highest, total, factor);
        TRACE("query %d is done: out[%d] %.4f, log_sum_exp %.4f", query, my_column(0),
              out[0][2 * half] * one_over_total[half], log_of_sum_2(highest, total, factor));
    }
    store_rows(a.out, work, a.queries, out, one_over_total);
}
