/* Rows in registers, for kernels that are limited by memory: each number is read once and written once.

   The 128 threads of a block form teams. A team takes a row of up to COLUMNS numbers, of which each lane holds
   pieces of 4 neighbours: piece 0 for lane 0, piece 1 for lane 1, and around again. So the lanes of a team read one
   stretch of memory, 16 bytes a lane (8 in 16 bits). Rows of a width or at an address that 4 numbers don't divide are
   read one number at a time.

   Sums over rows, the gradients of what all rows share, are made in three steps, each in an order that only the
   shapes decide: a lane sums over its team's rows, a block over its teams (add_teams), a second kernel over blocks
   (add_tiles). Atomic additions would need no second kernel, but wouldn't give the same bits each time. */
#pragma once
#include "common.cuh"

constexpr int THREADS = 128;

template <int COLUMNS> struct Team {
    static constexpr int LANES = COLUMNS < 128 ? COLUMNS / 4 : 32, OF_A_BLOCK = THREADS / LANES;
    static constexpr int MINE = COLUMNS / LANES; // so many numbers of a row a lane holds

    static __device__ __forceinline__ int index() { return threadIdx.x / LANES; }
    static __device__ __forceinline__ int column(int n) { // of the n-th number that this lane holds
        return 4 * (threadIdx.x % LANES + n / 4 * LANES) + n % 4;
    }
};

template <class T> struct alignas(4 * sizeof(T)) Four {
    T numbers[4];
};

// This lane's part of a row of `width` numbers; numbers past its end are 0. 4 at a time if the row is `aligned`.
template <int COLUMNS, class T>
__device__ __forceinline__ void read_part(float (&part)[Team<COLUMNS>::MINE], const T *row, int width, bool aligned) {
#pragma unroll
    for (int n = 0; n < Team<COLUMNS>::MINE; n++)
        part[n] = 0;
    if (aligned) {
#pragma unroll
        for (int n = 0; n < Team<COLUMNS>::MINE; n += 4)
            if (Team<COLUMNS>::column(n) < width) {
                Four<T> four = *reinterpret_cast<const Four<T> *>(row + Team<COLUMNS>::column(n));
#pragma unroll
                for (int i = 0; i < 4; i++)
                    part[n + i] = to_float(four.numbers[i]);
            }
    } else {
#pragma unroll
        for (int n = 0; n < Team<COLUMNS>::MINE; n++)
            if (Team<COLUMNS>::column(n) < width)
                part[n] = to_float(row[Team<COLUMNS>::column(n)]);
    }
}

template <int COLUMNS, class T>
__device__ __forceinline__ void write_part(T *row, const float (&part)[Team<COLUMNS>::MINE], int width, bool aligned) {
    if (aligned) {
#pragma unroll
        for (int n = 0; n < Team<COLUMNS>::MINE; n += 4)
            if (Team<COLUMNS>::column(n) < width) {
                float four[4] = {part[n], part[n + 1], part[n + 2], part[n + 3]};
                store_four(row + Team<COLUMNS>::column(n), four);
            }
    } else {
#pragma unroll
        for (int n = 0; n < Team<COLUMNS>::MINE; n++)
            if (Team<COLUMNS>::column(n) < width)
                row[Team<COLUMNS>::column(n)] = rounded<T>(part[n]);
    }
}

// Each group of rows is cut into tiles, and a block works on one of them.
struct RowTile {
    int group, first, end; // rows of the group
};
__device__ __forceinline__ RowTile my_tile(int block, int tiles, int rows, int rows_of_a_tile) {
    int first = block % tiles * rows_of_a_tile;
    return {block / tiles, first, min(first + rows_of_a_tile, rows)};
}

// to[column] = what the block's teams hold of that column, summed.
template <int COLUMNS> struct Sums {
    float of_team[Team<COLUMNS>::OF_A_BLOCK][COLUMNS];
};
template <int COLUMNS, class T>
__device__ __forceinline__ void add_teams(T *to, const float (&part)[Team<COLUMNS>::MINE], int width) {
    Sums<COLUMNS> &sums = shared_memory<Sums<COLUMNS>>();
    __syncthreads(); // what was here has been read
#pragma unroll
    for (int n = 0; n < Team<COLUMNS>::MINE; n++)
        sums.of_team[Team<COLUMNS>::index()][Team<COLUMNS>::column(n)] = part[n];
    __syncthreads(); // all teams have written
    for (int column = threadIdx.x; column < min(width, COLUMNS); column += THREADS) {
        float sum = 0;
        for (int team = 0; team < Team<COLUMNS>::OF_A_BLOCK; team++)
            sum += sums.of_team[team][column];
        to[column] = rounded<T>(sum);
        TRACE("column %d: the block's %d teams sum up to %.4f", column, Team<COLUMNS>::OF_A_BLOCK, sum);
    }
}

// The second kernel: sums (groups, tiles, width) become to (groups, width). A block takes 32 columns of a group.
template <class T>
__device__ __forceinline__ void add_tiles(T *to, const float *sums, int tiles, int width, bool aligned) {
    constexpr int COLUMNS = 32;
    int blocks = (width + COLUMNS - 1) / COLUMNS, first = blockIdx.x % blocks * COLUMNS;
    long long group = blockIdx.x / blocks;
    float total[Team<COLUMNS>::MINE] = {};
#pragma unroll 4
    for (int tile = Team<COLUMNS>::index(); tile < tiles; tile += Team<COLUMNS>::OF_A_BLOCK) {
        float part[Team<COLUMNS>::MINE];
        read_part<COLUMNS>(part, sums + (group * tiles + tile) * width + first, width - first, aligned);
#pragma unroll
        for (int n = 0; n < Team<COLUMNS>::MINE; n++)
            total[n] += part[n];
    }
    add_teams<COLUMNS>(to + group * width + first, total, width - first);
}
