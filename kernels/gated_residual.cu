/* Gated residual: out = x + gate * branch, how a block adds what it found, and its pullback.

   Idea. A product and a sum, each of which would read and write whole arrays, and on the way back a product and a sum
   over rows: here each number is read once and written once. As in bias_gelu.cu, a lane keeps its columns from row to
   row, and so their gates, one for each group of rows (a frame of a clip), and the sums for their gradients.
     ..._forward    out;
     ..._backward   branch_grad = gate * out_grad, and each block's sums of branch * out_grad (x_grad is out_grad itself);
     ..._sums       those of a group's blocks become gate_grad: see rows.cuh for how, in the same order each time.

   Arithmetic intensity. Forward 12 bytes for each number (6 in 16 bits) and 2 FLOPs, backward 12 bytes (6) and 3: 1/6 to
   1/2 FLOP a byte. The sums of blocks that have 32 rows are 1/4 byte a number more.
   Expected limit: global memory. One by one the same operations would move 20 bytes forward and 24 backward.

   Launch: 128 threads a block, a block for 128 columns of at least 32 rows of a group.
   Run: minivdit kernels emulate gated_residual --trace */
#include "attention.cuh"
#include "rows.cuh"

template <class T> struct GatedResidual {
    Rows<const T> gate;               // (1, 1, groups, width); gate_grad is (groups, width)
    const T *x, *branch, *out_grad;   // (groups, rows, width), as out and branch_grad
    T *out, *branch_grad, *gate_grad;
    float *sums; // (groups, tiles, width)
    int groups, rows, width, tiles, rows_of_a_tile, aligned;
};

// A block's columns begin at `first`; blocks that share rows stand side by side.
template <int COLUMNS> struct Place {
    int across, first;
    RowTile tile;
    template <class T> __device__ __forceinline__ Place(const GatedResidual<T> &a) {
        across = (a.width + COLUMNS - 1) / COLUMNS;
        first = blockIdx.x % across * COLUMNS;
        tile = my_tile(blockIdx.x / across, a.tiles, a.rows, a.rows_of_a_tile);
    }
};

template <class T, int COLUMNS>
__global__ void __launch_bounds__(THREADS) gated_residual_forward(GatedResidual<T> a) {
    constexpr int MINE = Team<COLUMNS>::MINE;
    Place<COLUMNS> place(a);
    int width = a.width - place.first;
    long long group = place.tile.group;
    float gate[MINE], x[MINE], branch[MINE];
    read_part<COLUMNS>(gate, a.gate.row(0, 0, place.tile.group) + place.first, width, a.aligned);
    for (int row = place.tile.first + Team<COLUMNS>::index(); row < place.tile.end; row += Team<COLUMNS>::OF_A_BLOCK) {
        long long at = (group * a.rows + row) * a.width + place.first;
        read_part<COLUMNS>(x, a.x + at, width, a.aligned);
        read_part<COLUMNS>(branch, a.branch + at, width, a.aligned);
#pragma unroll
        for (int n = 0; n < MINE; n++)
            x[n] += gate[n] * branch[n];
        TRACE("group %d, row %d: my first number becomes %.4f", place.tile.group, row, x[0]);
        write_part<COLUMNS>(a.out + at, x, width, a.aligned);
    }
}

template <class T, int COLUMNS>
__global__ void __launch_bounds__(THREADS) gated_residual_backward(GatedResidual<T> a) {
    constexpr int MINE = Team<COLUMNS>::MINE;
    Place<COLUMNS> place(a);
    int width = a.width - place.first;
    long long group = place.tile.group;
    float gate[MINE], branch[MINE], grad[MINE], sum[MINE] = {};
    read_part<COLUMNS>(gate, a.gate.row(0, 0, place.tile.group) + place.first, width, a.aligned);
    for (int row = place.tile.first + Team<COLUMNS>::index(); row < place.tile.end; row += Team<COLUMNS>::OF_A_BLOCK) {
        long long at = (group * a.rows + row) * a.width + place.first;
        read_part<COLUMNS>(branch, a.branch + at, width, a.aligned);
        read_part<COLUMNS>(grad, a.out_grad + at, width, a.aligned);
#pragma unroll
        for (int n = 0; n < MINE; n++) {
            sum[n] += grad[n] * branch[n];
            grad[n] *= gate[n];
        }
        TRACE("group %d, row %d: the gradient of my first gate sums up to %.4f", place.tile.group, row, sum[0]);
        write_part<COLUMNS>(a.branch_grad + at, grad, width, a.aligned);
    }
    add_teams<COLUMNS>(a.sums + (long long)(blockIdx.x / place.across) * a.width + place.first, sum, width);
}

template <class T, int COLUMNS> __global__ void __launch_bounds__(THREADS) gated_residual_sums(GatedResidual<T> a) {
    add_tiles(a.gate_grad, a.sums, a.tiles, a.width, a.aligned);
}
