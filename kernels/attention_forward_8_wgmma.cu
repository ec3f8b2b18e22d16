/* Attention, forward, rung 8: products of a warpgroup (Hopper, sm_90a).

   Idea. By published microbenchmarks mma.sync gets about two thirds of what an sm_90's tensor cores can do; the rest
   takes wgmma (warpgroup.cuh). Four warps multiply 64 queries by a whole tile of keys in one instruction, the tensor
   cores fetch keys and values from shared memory by themselves, and the warps go on meanwhile.
     Scores: queries and keys both from shared memory, both along the depth of the product.
     Output: weights from registers, where the scores became weights, times values from shared memory. Their rows are
     the depth of this product, so they lie across it; the descriptor says so, and nothing is transposed.
     In a turn of the loop, as in rung 7, both products are under way at once: the scores of tile j + 1 are issued, and
     behind them the output's share of tile j. A wait for all groups but the last gives the scores; while their
     exponentials are taken, the tensor cores multiply the weights by the values.
   What rung 7 does against overflow, for masks and for the output's rows is the same here, by the same functions.

   A copy goes through one door to shared memory and wgmma reads through another: each thread's cp.async is followed by
   its wait, by a fence between the two, and only then by the barrier.

   Arithmetic intensity. 128 FLOPs a byte of the L2 cache, as rung 7. A warpgroup's 64 x 64 scores take 16 (64 + 64) 2
   bytes a step of 131,072 FLOPs, 32 FLOPs a byte, and the output's 64; with tiles of 128 keys at width 128, 43 and 64.
   Expected limit: at width 32 the exponentials, at 64 all three of these about equally, at 128 the tensor cores. (A
   multiprocessor of an H100 does 4,096 FLOPs, 16 exponentials and 128 bytes of shared memory a clock.) For 128 queries:
                        tensor cores   exponentials   shared memory (read + copied)
     width 32,  64 keys     256            512             192 +  64 clocks
     width 64,  64 keys     512            512             384 + 128
     width 128, 128 keys  2,048          1,024           1,280 + 512
   At 128 rung 7 does 21 FLOPs for a byte read from shared memory, this 51, and rung 7 drives the tensor cores at two
   thirds: up to 1.5 times rung 7 at width 128, less at 64, and little at 32, where only instructions are saved. What is
   lost: all warps of a block wait for each other once a tile (at widths 32 and 64 two blocks share a multiprocessor,
   and fill each other's gaps), and every warp spends instructions on copies, if behind products that are under way. A
   warp that does nothing but copy, with the copy engine (TMA), would be the next rung.
   Nobody has measured it: these are sums on paper.

   Launch: 256 threads a block, two warpgroups, for 128 queries. Compiled for sm_90a: an sm_90 runs it, no other.
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_forward_8_wgmma */
#include "tall_fragments.cuh"
#include "warpgroup.cuh"

constexpr int WARPGROUPS = 2, BLOCK = 128 * WARPGROUPS, QUERIES = 64 * WARPGROUPS;

// What to change first when tuning. Blocks: of one multiprocessor, which sets how many registers there are.
template <int WIDTH> struct Plan {
    static constexpr int KEYS = WIDTH == 128 ? 128 : 64, BLOCKS = WIDTH == 128 ? 1 : 2;
};

template <int WIDTH> struct Shared {
    Panels<QUERIES, WIDTH> q; // and in the end the output
    Panels<Plan<WIDTH>::KEYS, WIDTH> k[2], v[2];
    int key_time[2][Plan<WIDTH>::KEYS], query_time[QUERIES];
};

template <class T, int WIDTH> __global__ void attention_forward_8_wgmma_ranges(Forward<T> a) { write_ranges(a); }

template <class T, int WIDTH>
__global__ void __launch_bounds__(BLOCK, Plan<WIDTH>::BLOCKS) attention_forward_8_wgmma(Forward<T> a) {
    constexpr int KEYS = Plan<WIDTH>::KEYS, STEPS = KEYS / 16;
    using Keys = Panels<KEYS, WIDTH>;
    using Queries = Panels<QUERIES, WIDTH>;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, QUERIES);
    float factor = LOG2_E * a.scale;

    Copier<Keys, T, BLOCK> keys(a.k, work, 0), values(a.v, work, 0);
    auto tiles = tiles_of_keys<QUERIES, KEYS>(a, work);
    auto fetch_keys = [&](Tile tile, int buffer) {
        keys.copy(shared.k[buffer], tile.first, a.keys);
        if (tile.masked && threadIdx.x < KEYS)
            shared.key_time[buffer][threadIdx.x] = time_of_key(a.key_time, work, tile.first + threadIdx.x, a.keys);
    };
    Tile tile = tiles.begin(), next = tiles.after(tile);
    Copier<Queries, T, BLOCK>(a.q, work, work.first).next(shared.q, a.queries - work.first);
    fetch_keys(tile, 0);
    copy_async_commit(); // queries and the first keys
    values.copy(shared.v[0], tile.first, a.keys);
    if (next.first < a.keys)
        fetch_keys(next, 1);
    copy_async_commit(); // the first values and the second keys
    if (threadIdx.x < QUERIES)
        shared.query_time[threadIdx.x] = time_of_query(a.query_time, work, work.first + threadIdx.x, a.queries);

    TallOnline<1> online; // a warp's rows are 16 in a sum, as those of one fragment
    float out[1][WIDTH / 8][4], scores[1][KEYS / 8][4], shrink[1][2];
    unsigned weights[STEPS][4];
    clear(out[0]);
    // The same in all lanes, and the shuffle lets the compiler know: descriptors stand in registers of a warp.
    int group = __shfl_sync(0xffffffff, threadIdx.x / 128, 0);
    Descriptor queries = shared.q.along(64 * group);

    auto begin_scores = [&](int buffer) { // registers are ready
        Descriptor others = shared.k[buffer].along();
#pragma unroll
        for (int step = 0; step < WIDTH / 16; step++)
            wgmma<false>(T(), scores[0], Queries::step_along(queries, step), Keys::step_along(others, step), step > 0);
        warpgroup_commit();
    };
    auto begin_output = [&](int buffer) {
        Descriptor others = shared.v[buffer].across();
#pragma unroll
        for (int step = 0; step < STEPS; step++)
            wgmma<true>(T(), out[0], weights[step], Keys::step_across(others, step), true);
        warpgroup_commit();
    };
    auto exponentiate = [&](int buffer) { // scores become weights; whether earlier sums have to shrink
        if (tile.masked)
            hide(scores, shared.query_time, shared.key_time[buffer]);
        bool higher = new_references(scores, online, factor, shrink);
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                make_weight(scores[0][j][i], online, factor, 0, i / 2);
        return higher;
    };
    auto round_weights = [&]() {
#pragma unroll
        for (int step = 0; step < STEPS; step++)
            left_of_sum<T>(weights[step], scores[0], step);
    };

    copy_async_wait<1>(); // my part of the queries and the first keys has landed
    async_proxy_fence();  // wgmma may read it
    __syncthreads();      // they are there
    warpgroup_fence(scores[0]);
    begin_scores(0);
    warpgroup_wait<0>(scores[0]);
    TRACE("keys from %d on are exponentiated", tile.first);
    exponentiate(0); // nothing is summed yet that could shrink
    round_weights();

    int buffer = 0; // of the values that are multiplied; the keys, a tile ahead, are in the other one
    while (next.first < a.keys) {
        tile = next;
        next = tiles.after(tile);
        copy_async_wait<0>(); // my part of these keys and of the values before has landed
        async_proxy_fence();  // wgmma may read that
        __syncthreads();      // they are there, and all have finished with what comes before them
        warpgroup_fence(scores[0], out[0], weights);
        begin_scores(buffer ^ 1);
        begin_output(buffer);
        values.copy(shared.v[buffer ^ 1], tile.first, a.keys); // tensor cores are at work by now
        if (next.first < a.keys)
            fetch_keys(next, buffer);
        copy_async_commit();

        warpgroup_wait<1>(scores[0]); // the scores are there, the output is under way
        TRACE("keys from %d on are exponentiated, values of the tile before multiplied", tile.first);
        bool higher = exponentiate(buffer ^ 1);
        warpgroup_wait<0>(out[0], weights); // the output is there
        if (higher)
            shrink_sums(out, shrink);
        round_weights();
        buffer ^= 1;
    }
    copy_async_wait<0>(); // my part of the last values has landed
    async_proxy_fence();  // and wgmma may read it
    __syncthreads();      // the last values are there, and all have finished with the queries
    warpgroup_fence(out[0], weights);
    begin_output(buffer);
    warpgroup_wait<0>(out[0]); // all of the output is there
    finish_through(shared.q, a, work, factor, online, out);
}
