/* QK-norm and rotary positions: what queries and keys go through before they meet, and the pullback.

   Idea. A row, one head of one token, is divided by its root mean square, multiplied by a weight (and, for queries,
   by attention's scale), and its pairs (x[i], x[i + width/2]) are turned by the token's angles: three operations that
   all want the whole row. A head is short, so a team of a few lanes takes a row, and a lane holds the same pieces of
   both of its halves: then the partner of a number is always in the same lane. The heads of a token follow each other,
   as they do in memory, so the angles that they share come from the cache.
   Turning back is turning by the opposite angle. With g the gradient before the turn and normalised = x / rms,
     x_grad = (g weight - normalised mean(g weight normalised)) / rms,
   and weight_grad sums up g normalised over all rows: see rows.cuh for how, in the same order each time.
     ..._forward    out;
     ..._backward   x_grad, and the sums of each block;
     ..._sums       those of all blocks become weight_grad.

   Arithmetic intensity. Forward 8 bytes for each number (4 in 16 bits), 4 / heads more for the angles, and about 7
   FLOPs; backward 12 bytes (6) and about 14: about 1 to 2 FLOPs a byte.
   Expected limit: global memory.

   Launch: 128 threads a block, WIDTH/8 (at most 32) for a row, a block for at least 32 rows.
   Run: minivdit kernels emulate norm_and_rotary --trace */
#include "attention.cuh"
#include "rows.cuh"

template <class T> struct NormAndRotary {
    Rows<const T> x, out_grad; // (batch, heads, tokens, width), as out and x_grad
    Rows<T> out, x_grad;
    Rows<const float> cos, sin; // (batch, heads, tokens, width / 2); not turned if there are none
    const float *weight;        // (width), as weight_grad
    float *weight_grad, *sums;  // sums: (tiles, width)
    int batch, heads, tokens, width, tiles, rows_of_a_tile, aligned;
    float factor, eps; // out is multiplied by factor
};

// The row that a team is at. A warp's teams take each shuffle together, so one that has no row left goes along with
// rows of length 0, which are zeros.
struct Place {
    int batch, head, token, half;
    template <class T> __device__ __forceinline__ Place(const NormAndRotary<T> &a, int row, int end) {
        batch = row / a.heads / a.tokens;
        head = row % a.heads;
        token = row / a.heads % a.tokens;
        half = row < end ? a.width / 2 : 0;
    }
    template <class T> __device__ __forceinline__ T *in(const Rows<T> &rows) const {
        return rows.row(batch, head, token);
    }
};

// A lane's part of both halves of a row: pair n is x[0][n] and x[1][n].
template <int HALF, class T>
__device__ __forceinline__ void read_halves(float (&x)[2][Team<HALF>::MINE], const T *row, int half, bool aligned) {
    read_part<HALF>(x[0], row, half, aligned);
    read_part<HALF>(x[1], row + half, half, aligned);
}
template <int HALF, class T>
__device__ __forceinline__ void write_halves(T *row, const float (&x)[2][Team<HALF>::MINE], int half, bool aligned) {
    write_part<HALF>(row, x[0], half, aligned);
    write_part<HALF>(row + half, x[1], half, aligned);
}

// x becomes x / rms, and 1 / rms is returned.
template <int HALF>
__device__ __forceinline__ float normalise(float (&x)[2][Team<HALF>::MINE], int width, float eps) {
    float squares = 0;
#pragma unroll
    for (int n = 0; n < Team<HALF>::MINE; n++)
        squares += x[0][n] * x[0][n] + x[1][n] * x[1][n];
    float inverse_rms = 1 / sqrtf(sum_over_lanes<Team<HALF>::LANES>(squares) / width + eps);
#pragma unroll
    for (int n = 0; n < Team<HALF>::MINE; n++) {
        x[0][n] *= inverse_rms;
        x[1][n] *= inverse_rms;
    }
    return inverse_rms;
}

// By the angles of the row's token, or, with direction -1, back.
template <int HALF, class T>
__device__ __forceinline__ void turn(float (&x)[2][Team<HALF>::MINE], const NormAndRotary<T> &a, Place place,
                                     float direction) {
    if (!a.cos.data)
        return;
    float cos[Team<HALF>::MINE], sin[Team<HALF>::MINE];
    read_part<HALF>(cos, place.in(a.cos), place.half, a.aligned);
    read_part<HALF>(sin, place.in(a.sin), place.half, a.aligned);
#pragma unroll
    for (int n = 0; n < Team<HALF>::MINE; n++) {
        float first = x[0][n], second = x[1][n];
        x[0][n] = first * cos[n] - direction * second * sin[n];
        x[1][n] = second * cos[n] + direction * first * sin[n];
    }
}

template <class T, int WIDTH> __global__ void __launch_bounds__(THREADS) norm_and_rotary_forward(NormAndRotary<T> a) {
    constexpr int HALF = WIDTH / 2, MINE = Team<HALF>::MINE;
    RowTile tile = my_tile(blockIdx.x, a.tiles, a.batch * a.heads * a.tokens, a.rows_of_a_tile);
    float x[2][MINE], weight[2][MINE];
    read_halves<HALF>(weight, a.weight, a.width / 2, a.aligned);
    for (int first = tile.first; first < tile.end; first += Team<HALF>::OF_A_BLOCK) {
        Place place(a, first + Team<HALF>::index(), tile.end);
        read_halves<HALF>(x, place.in(a.x), place.half, a.aligned);
        float inverse_rms = normalise<HALF>(x, a.width, a.eps);
#pragma unroll
        for (int n = 0; n < MINE; n++) {
            x[0][n] *= a.factor * weight[0][n];
            x[1][n] *= a.factor * weight[1][n];
        }
        TRACE("token %d, head %d: root mean square %.4f, my first pair (%.4f, %.4f)", place.token, place.head,
              1 / inverse_rms, x[0][0], x[1][0]);
        turn<HALF>(x, a, place, 1);
        TRACE("token %d, head %d: turned, it is (%.4f, %.4f)", place.token, place.head, x[0][0], x[1][0]);
        write_halves<HALF>(place.in(a.out), x, place.half, a.aligned);
    }
}

template <class T, int WIDTH> __global__ void __launch_bounds__(THREADS) norm_and_rotary_backward(NormAndRotary<T> a) {
    constexpr int HALF = WIDTH / 2, MINE = Team<HALF>::MINE;
    RowTile tile = my_tile(blockIdx.x, a.tiles, a.batch * a.heads * a.tokens, a.rows_of_a_tile);
    float x[2][MINE], grad[2][MINE], weight[2][MINE], sum[2][MINE] = {};
    read_halves<HALF>(weight, a.weight, a.width / 2, a.aligned);
    for (int first = tile.first; first < tile.end; first += Team<HALF>::OF_A_BLOCK) {
        Place place(a, first + Team<HALF>::index(), tile.end);
        read_halves<HALF>(x, place.in(a.x), place.half, a.aligned);
        read_halves<HALF>(grad, place.in(a.out_grad), place.half, a.aligned);
        turn<HALF>(grad, a, place, -1);
        float inverse_rms = normalise<HALF>(x, a.width, a.eps), along = 0;
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int n = 0; n < MINE; n++) {
                grad[half][n] *= a.factor;
                sum[half][n] += grad[half][n] * x[half][n];
                grad[half][n] *= weight[half][n];
                along += grad[half][n] * x[half][n];
            }
        along = sum_over_lanes<Team<HALF>::LANES>(along) / a.width;
        TRACE("token %d, head %d: root mean square %.4f, gradient along the row %.4f", place.token, place.head,
              1 / inverse_rms, along);
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int n = 0; n < MINE; n++)
                grad[half][n] = (grad[half][n] - x[half][n] * along) * inverse_rms;
        write_halves<HALF>(place.in(a.x_grad), grad, place.half, a.aligned);
    }
    float *sums = a.sums + (long long)blockIdx.x * a.width;
    add_teams<HALF>(sums, sum[0], a.width / 2);
    add_teams<HALF>(sums + a.width / 2, sum[1], a.width / 2);
}

template <class T, int WIDTH> __global__ void __launch_bounds__(THREADS) norm_and_rotary_sums(NormAndRotary<T> a) {
    add_tiles(a.weight_grad, a.sums, a.tiles, a.width, a.aligned);
}
