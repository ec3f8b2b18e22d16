/* Taller products of a warp: TALL fragments of 16 rows above each other, so that what ldmatrix brings of the other
   factor serves TALL times as many products; and copies that cost few instructions. For the last rungs. */
#pragma once
#include "fragments.cuh"

// Of a block's tile of 16 TALL WARPS rows, the one to which this lane's numbers sum[t][...][2 half (+ 1)] belong.
template <int TALL> __device__ __forceinline__ int tall_row(int t, int half) {
    return TALL * my_warps_row() + 16 * t + my_lane() / 4 + 8 * half;
}

// Copies the rows of an array tile by tile; a thread always has the same piece of every so many rows.
template <class TILE, class T> struct Copier {
    static constexpr int APART = THREADS / TILE::PIECES;
    const T *from;
    long long apart;

    __device__ __forceinline__ int row() { return threadIdx.x / TILE::PIECES; }
    __device__ __forceinline__ int piece() { return threadIdx.x % TILE::PIECES; }
    __device__ __forceinline__ Copier(const Rows<const T> &rows, Work work, int first) : apart(APART * rows.token) {
        from = rows.row(work.batch, work.head, first + row()) + 8 * piece();
    }
    // The next rows, of which so many are left until the array's end: zeros from there on, and nothing is read.
    __device__ __forceinline__ void next(TILE &tile, int left) {
#pragma unroll
        for (int i = 0; i < TILE::ROWS / APART; i++)
            copy_async(tile.piece(row() + i * APART, piece()), from + i * apart, row() + i * APART < left);
        from += TILE::ROWS / APART * apart;
    }
};

// A warp's own rows as left factors: all of them in registers, or fetched as they are needed.
template <int WIDTH, int TALL, bool IN_REGISTERS> struct TallLeft {
    unsigned fragments[TALL][WIDTH / 16][4];
    template <class TILE> __device__ __forceinline__ TallLeft(TILE &tile) {
        for (int t = 0; t < TALL; t++)
            load_left(fragments[t], tile, TALL * my_warps_row() + 16 * t);
    }
    template <class TILE> __device__ __forceinline__ void get(unsigned (&a)[4], TILE &, int t, int step) {
        for (int i = 0; i < 4; i++)
            a[i] = fragments[t][step][i];
    }
};
template <int WIDTH, int TALL> struct TallLeft<WIDTH, TALL, false> {
    template <class TILE> __device__ __forceinline__ TallLeft(TILE &) {}
    template <class TILE> __device__ __forceinline__ void get(unsigned (&a)[4], TILE &tile, int t, int step) {
        load_left(a, tile, TALL * my_warps_row() + 16 * t, step);
    }
};

// sum = own others^T: this warp's rows times rows of a tile.
template <class T, int WIDTH, int TALL, bool IN_REGISTERS, int N, class OWN, class OTHERS>
__device__ __forceinline__ void multiply_turned(float (&sum)[TALL][N][4], TallLeft<WIDTH, TALL, IN_REGISTERS> &left,
                                                OWN &own, OTHERS &others) {
#pragma unroll
    for (int t = 0; t < TALL; t++)
        clear(sum[t]);
#pragma unroll
    for (int step = 0; step < WIDTH / 16; step++) {
        unsigned a[TALL][4];
#pragma unroll
        for (int t = 0; t < TALL; t++)
            left.get(a[t], own, t, step);
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            unsigned b[2][2];
            load_right_turned(b, others, 8 * j, step);
#pragma unroll
            for (int t = 0; t < TALL; t++) {
                multiply_add<T>(sum[t][j], a[t], b[0]);
                multiply_add<T>(sum[t][j + 1], a[t], b[1]);
            }
        }
    }
}

// sum += a others, for the step-th 16 rows of a tile.
template <class T, int TALL, int C, class TILE>
__device__ __forceinline__ void add_step(float (&sum)[TALL][C][4], const unsigned (&a)[TALL][4], TILE &others,
                                         int step) {
#pragma unroll
    for (int j = 0; j < C; j += 2) {
        unsigned b[2][2];
        load_right(b, others, step, j / 2);
#pragma unroll
        for (int t = 0; t < TALL; t++) {
            multiply_add<T>(sum[t][j], a[t], b[0]);
            multiply_add<T>(sum[t][j + 1], a[t], b[1]);
        }
    }
}

// sum += weights others, with weights as a product before left them.
template <class T, int TALL, int C, int N, class TILE>
__device__ __forceinline__ void add_weighted(float (&sum)[TALL][C][4], const float (&weights)[TALL][N][4],
                                             TILE &others) {
#pragma unroll
    for (int step = 0; step < N / 2; step++) {
        unsigned a[TALL][4];
#pragma unroll
        for (int t = 0; t < TALL; t++)
            left_of_sum<T>(a[t], weights[t], step);
        add_step<T>(sum, a, others, step);
    }
}
