/* Taller products of a warp: TALL fragments of 16 rows above each other, so that what ldmatrix brings of the other
   factor serves TALL times as many products; and copies that cost few instructions. For the last rungs. */
#pragma once
#include "fragments.cuh"

// Of a block's tile of 16 TALL WARPS rows, the one to which this lane's numbers sum[t][...][2 half (+ 1)] belong.
template <int TALL> __device__ __forceinline__ int tall_row(int t, int half) {
    return TALL * my_warps_row() + 16 * t + my_lane() / 4 + 8 * half;
}

// Copies the rows of an array tile by tile, by BLOCK neighbouring threads; a thread always has the same piece of every
// so many rows.
template <class TILE, class T, int BLOCK = THREADS> struct Copier {
    static constexpr int APART = BLOCK / TILE::PIECES;
    const T *from;
    const long long &token; // stays in the kernel's argument: registers are scarce here

    __device__ __forceinline__ int row() { return threadIdx.x % BLOCK / TILE::PIECES; }
    __device__ __forceinline__ int piece() { return threadIdx.x % TILE::PIECES; }
    __device__ __forceinline__ Copier(const Rows<const T> &rows, Work work, int first) : token(rows.token) {
        from = rows.row(work.batch, work.head, first + row()) + 8 * piece();
    }
    // The next rows, of which so many are left until the array's end: zeros from there on, and nothing is read.
    __device__ __forceinline__ void next(TILE &tile, int left) {
        copy(tile, 0, left);
        from += TILE::ROWS * token;
    }
    // A tile `first` rows further on, where APART divides `first`; so many rows are left, counted from here.
    __device__ __forceinline__ void copy(TILE &tile, int first, int left) {
        const T *there = from + first * token;
#pragma unroll
        for (int i = 0; i < TILE::ROWS / APART; i++)
            copy_async(tile.piece(row() + i * APART, piece()), there + i * APART * token,
                       row() + i * APART < left - first);
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

// ---- Online softmax whose maximum may be old (attention_forward_7_trimmed.cu says why) --------------------------

constexpr float HIGHER_BY = 8; // what a reference may be too low, as a power of 2: float16 ends at 2^16

// Of this lane's queries: what their weights are relative to, and the sums of its own columns' weights.
template <int TALL> struct TallOnline {
    float reference[TALL][2], total[TALL][2];
    __device__ __forceinline__ TallOnline() {
#pragma unroll
        for (int t = 0; t < TALL; t++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                reference[t][half] = LOWEST;
                total[t][half] = 0;
            }
    }
};

// Keys that a query doesn't see get no weight.
template <int TALL, int N, int QUERIES, int KEYS>
__device__ __forceinline__ void hide(float (&scores)[TALL][N][4], const int (&query_time)[QUERIES],
                                     const int (&key_time)[KEYS]) {
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int time = key_time[my_column(j) + i];
#pragma unroll
            for (int t = 0; t < TALL; t++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    if (time > query_time[tall_row<TALL>(t, half)])
                        scores[t][j][2 * half + i] = minus_infinity();
        }
}

// New references if these scores are much higher than the old ones. If so, for the whole warp, sums so far have to be
// multiplied by `shrink`; that of the weights already is.
template <int TALL, int N>
__device__ __forceinline__ bool new_references(const float (&scores)[TALL][N][4], TallOnline<TALL> &online,
                                               float factor, float (&shrink)[TALL][2]) {
    float higher[TALL][2], rise = 0;
#pragma unroll
    for (int t = 0; t < TALL; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            higher[t][half] = online.reference[t][half];
#pragma unroll
            for (int j = 0; j < N; j++)
                higher[t][half] = fmaxf(higher[t][half], fmaxf(scores[t][j][2 * half], scores[t][j][2 * half + 1]));
            higher[t][half] = highest_of_row(higher[t][half]);
            rise = fmaxf(rise, higher[t][half] - online.reference[t][half]);
        }
    if (!__ballot_sync(0xffffffff, factor * rise > HIGHER_BY))
        return false;
#pragma unroll
    for (int t = 0; t < TALL; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            shrink[t][half] = exp2_fast(factor * (online.reference[t][half] - higher[t][half]));
            online.reference[t][half] = higher[t][half];
            online.total[t][half] *= shrink[t][half];
            TRACE("row %d: the reference is %.4f now, earlier sums shrink by %.4f", tall_row<TALL>(t, half),
                  higher[t][half], shrink[t][half]);
        }
    return true;
}

// A score becomes a weight, in place, and is counted.
template <int TALL>
__device__ __forceinline__ void make_weight(float &weight, TallOnline<TALL> &online, float factor, int t, int half) {
    weight = exp2_fast(fmaf(weight, factor, -factor * online.reference[t][half]));
    online.total[t][half] += weight;
}

// Sums so far are brought to the new references.
template <int TALL, int C>
__device__ __forceinline__ void shrink_sums(float (&out)[TALL][C][4], const float (&shrink)[TALL][2]) {
#pragma unroll
    for (int t = 0; t < TALL; t++)
#pragma unroll
        for (int j = 0; j < C; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                out[t][j][i] *= shrink[t][i / 2];
}

// The end of a forward kernel: sums become results. They go through shared memory, so that a row leaves in pieces of
// 16 bytes; `tile` has a row for each query of the block, and nobody needs what is in it any more.
template <class T, int TALL, int C, class TILE>
__device__ __forceinline__ void finish_through(TILE &tile, const Forward<T> &a, Work work, float factor,
                                               const TallOnline<TALL> &online, const float (&out)[TALL][C][4]) {
#pragma unroll
    for (int t = 0; t < TALL; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = tall_row<TALL>(t, half), query = work.first + row;
            float total = sum_of_row(online.total[t][half]), reference = online.reference[t][half];
            if (query < a.queries && my_column(0) == 0)
                *a.log_sum_exp.row(work.batch, work.head, query) = log_of_sum_2(reference, total, factor);
#pragma unroll
            for (int j = 0; j < C; j++)
                static_cast<unsigned *>(tile.piece(row, j))[my_column(0) / 2] =
                    pair<T>(out[t][j][2 * half] * one_over(total), out[t][j][2 * half + 1] * one_over(total));
            TRACE("query %d is done: out[%d] %.4f, log_sum_exp %.4f", query, my_column(0),
                  out[t][0][2 * half] * one_over(total), log_of_sum_2(reference, total, factor));
        }
    __syncwarp(); // the warp's output is there
#pragma unroll
    for (int i = my_lane(); i < 16 * TALL * C; i += 32) {
        int row = TALL * my_warps_row() + i / C, piece = i % C;
        if (work.first + row < a.queries)
            *reinterpret_cast<uint4 *>(a.out.row(work.batch, work.head, work.first + row) + 8 * piece) =
                *static_cast<const uint4 *>(tile.piece(row, piece));
    }
}
