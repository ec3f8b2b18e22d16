/* Attention, forward, rung 5: swizzled shared memory.

   Idea. Rung 4 without its padding, which took 16 bytes of every row (a quarter of the memory at width 32, an eighth at
   64) and leaves rows at places that copies of larger pieces can't use. Instead the pieces of 16 bytes change places
   within their row: piece p of row r is stored at place p XOR (r mod 8). XOR with a fixed number is a permutation, so
   a row keeps its 8 pieces, only in another order, and doing it twice undoes it: who writes and who reads call the same
   function (Swizzled in fragments.cuh), and nobody else needs to know.

   The arithmetic of the banks, width 64: a row is 128 bytes, 8 pieces, all 32 banks once, so place c of any row is
   banks 4 c to 4 c + 3. ldmatrix reads piece p of rows r, r + 1, ..., r + 7 in one go: as they are stored, all from
   place p, 8 turns for the same 4 banks. Swizzled, from places p ^ 0, p ^ 1, ..., p ^ 7, which are all 8 of them: one
   turn. Writing is one turn as well: 8 threads write the 8 pieces of a row. At width 128 a row is 256 bytes, 16 pieces,
   twice around the banks, and p XOR (r mod 8) only changes the lower 3 bits: the same holds for each half. At width 32
   a row is 64 bytes, 4 pieces, half of the banks: rows 2 i and 2 i + 1 lie beside each other in one turn around the
   banks, and the place is p XOR (i mod 4): 8 rows read from place p ^ i of the left and of the right half, i = 0 to 3:
   one turn.

   Arithmetic intensity. As rung 4: 64 FLOPs a byte.
   Expected limit: as rung 4; what changes is that more blocks fit beside each other.

   Launch: 128 threads a block, a block for 64 queries.
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_forward_5_swizzled */
#include "fragments.cuh"

constexpr int QUERIES = 16 * WARPS, KEYS = 64;

template <int WIDTH> struct Shared {
    Swizzled<QUERIES, WIDTH> q;
    Swizzled<KEYS, WIDTH> k, v;
    int key_time[KEYS];
};

template <class T, int WIDTH> __global__ void attention_forward_5_swizzled_ranges(Forward<T> a) { write_ranges(a); }

template <class T, int WIDTH> __global__ void __launch_bounds__(THREADS, 2) attention_forward_5_swizzled(Forward<T> a) {
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    float factor = LOG2_E * a.scale;
    auto tiles = tiles_of_keys<QUERIES, KEYS>(a, work);

    load_tile(shared.q, a.q, work, work.first, a.queries);
    __syncthreads(); // the queries are there
    unsigned q[WIDTH / 16][4];
    load_left(q, shared.q, my_warps_row());
    int query_time[2];
    for (int half = 0; half < 2; half++)
        query_time[half] = time_of_query(a.query_time, work, work.first + my_row(half), a.queries);
    Online online;
    float out[WIDTH / 8][4];
    clear(out);

    for (Tile tile = tiles.begin(); tile.first < a.keys; tile = tiles.after(tile)) {
        int first = tile.first;
        __syncthreads(); // the tile before has been read
        load_tile(shared.k, a.k, work, first, a.keys);
        load_tile(shared.v, a.v, work, first, a.keys);
        if (threadIdx.x < KEYS)
            shared.key_time[threadIdx.x] = time_of_key(a.key_time, work, first + threadIdx.x, a.keys);
        __syncthreads(); // this tile is there
        TRACE("keys %d to %d are there", first, min(first + KEYS, a.keys) - 1);

        float scores[KEYS / 8][4];
        clear(scores);
        add_a_bt<T>(scores, q, shared.k);
        if (tile.masked)
            hide(scores, query_time, shared.key_time);
        to_weights(scores, online, out, factor);
        add_weighted<T>(out, scores, shared.v);
    }
    finish(a, work, factor, online, out);
}
