/* Attention, forward, rung 6: asynchronous copies, double buffering.

   Idea. In rungs 4 and 5 tensor cores wait while keys and values come from global memory, through registers, into
   shared memory. cp.async (sm_80 and newer) copies past the registers, and the thread goes on at once. With two
   buffers, the next tile is on its way while this one is multiplied:
       wait until the copies of this tile have landed (mine: the wait; everyone's: the barrier behind it);
       begin the copies of the next tile into the other buffer; the barrier says, too, that all have read what is there;
       multiply.
   One barrier a tile instead of two. A row past the end is a copy of no bytes, which fills up with zeros.

   Arithmetic intensity. As rungs 4 and 5, 64 FLOPs a byte.
   Expected limit: within a warp, products and exponentials still take turns; the other warps on the same scheduler are
   to fill the gaps, as far as registers and shared memory let there be any. And a number that ldmatrix brings to the
   registers serves 16 rows only: 16 FLOPs a byte of shared memory, at 128 bytes a clock, is 2,048 FLOPs a clock, no
   more than the tensor cores of an sm_80 do and less than those of an sm_90.

   Launch: 128 threads a block, a block for 64 queries.
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_forward_6_async */
#include "fragments.cuh"

constexpr int QUERIES = 16 * WARPS, KEYS = 64;

template <int WIDTH> struct Shared {
    Swizzled<QUERIES, WIDTH> q;
    struct {
        Swizzled<KEYS, WIDTH> k, v;
    } tiles[2];
    int key_time[2][KEYS];
};

// Begin to fetch the tile of keys and values from `first` on into one of the buffers.
template <class T, int WIDTH>
__device__ __forceinline__ void fetch(Shared<WIDTH> &shared, const Forward<T> &a, Work work, int first, int buffer) {
    if (first < a.keys) {
        copy_tile(shared.tiles[buffer].k, a.k, work, first, a.keys);
        copy_tile(shared.tiles[buffer].v, a.v, work, first, a.keys);
        if (threadIdx.x < KEYS)
            shared.key_time[buffer][threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
    }
    copy_async_commit();
}

template <class T, int WIDTH> __global__ void attention_forward_6_async_ranges(Forward<T> a) { write_ranges(a); }

template <class T, int WIDTH> __global__ void __launch_bounds__(THREADS, 2) attention_forward_6_async(Forward<T> a) {
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_keys<QUERIES, KEYS>(a, work);

    copy_tile(shared.q, a.q, work, work.first, a.queries);
    copy_async_commit();
    Tile tile = tiles.begin(), next;
    fetch(shared, a, work, tile.first, 0);
    int query_time[2];
    for (int half = 0; half < 2; half++)
        query_time[half] = time_of_query(a.query_time, work, work.first + my_row(half), a.queries);
    copy_async_wait<1>(); // my part of the queries has landed; the keys may still be on their way
    __syncthreads();      // the queries are there
    unsigned q[WIDTH / 16][4];
    load_left(q, shared.q, my_warps_row());
    Online online;
    float out[WIDTH / 8][4];
    clear(out);

    for (int buffer = 0; tile.first < a.keys; tile = next, buffer ^= 1) {
        next = tiles.after(tile);
        copy_async_wait<0>(); // my part of this tile has landed
        __syncthreads();      // this tile is there, and all have read the one before
        fetch(shared, a, work, next.first, buffer ^ 1);
        TRACE("keys %d to %d are there, the next are on their way", tile.first, min(tile.first + KEYS, a.keys) - 1);

        float scores[KEYS / 8][4];
        clear(scores);
        add_a_bt<T>(scores, q, shared.tiles[buffer].k);
        if (tile.masked)
            hide(scores, query_time, shared.key_time[buffer]);
        to_weights(scores, online, out, factor);
        add_weighted<T>(out, scores, shared.tiles[buffer].v);
    }
    finish(a, work, factor, online, out);
}
