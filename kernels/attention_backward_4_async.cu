/* Attention, backward, rung 4: asynchronous copies, taller warps.

   Idea. Rung 3 with what the forward rungs 6 and 7 added. cp.async fetches the next tile of the other side into a
   second buffer while this one is multiplied: one barrier a tile. A warp owns 32 rows where registers allow, up to
   width 64, so a block 128, and each fragment that ldmatrix brings serves twice as many products. The product that
   makes the gradients of the weights stands beside the exponentials that make the weights: neither needs the other, so
   the GPU's scheduler mixes them. Masks are looked at only where something may be hidden. Still two kernels, no
   atomics, and bitwise the same each time.

   What a tile brings besides rows (log_sum_exp and row sums of queries) is read into a register when the tile's copies
   begin, and written to shared memory a product later: a thread that wrote at once would wait for it. Times of the
   block's own rows are read from memory where a mask needs them: without them two blocks of width 64 fit an sm_86.

   Arithmetic intensity. For each tile of n rows a block of 128 rows reads 4 n d bytes and does 8 * 128 n d FLOPs in
   ..._keys, 6 * 128 n d in ..._queries: 256 and 192 FLOPs a byte of the L2 cache; half of that at width 128.
   From shared memory, 512 bytes for 2.7 mma of 4,096 FLOPs in ..._keys at width 64 (1.6 at 128) and 4 in ..._queries
   (2).
   Expected limit: tensor cores as fast as mma.sync drives them, and at width 128 shared memory; 7 products where the
   usual kernel with atomics has 5.

   Launch: 128 threads a block, a block for 128 rows (at width 128: for 64; ..._row_sums: for 4).
   With times, ..._ranges goes first, and tiles that a mask hides whole are passed over (`Tiles` in attention.cuh).
   Run: minivdit kernels emulate attention_backward_4_async */
#include "tall_fragments.cuh"

// What to change first when tuning for a GPU: how many fragments a warp owns above each other, how many rows of the
// other side a tile has, and whether the warp's own rows stay in registers.
template <int WIDTH> struct KeysPlan {
    static constexpr int TALL = WIDTH == 128 ? 1 : 2, OTHERS = 32;
    static constexpr bool IN_REGISTERS = WIDTH == 32;
};
template <int WIDTH> struct QueriesPlan {
    static constexpr int TALL = WIDTH == 128 ? 1 : 2, OTHERS = 32;
    static constexpr bool IN_REGISTERS = true;
};

template <int WIDTH, class PLAN> struct Shared {
    using Own = Swizzled<16 * PLAN::TALL * WARPS, WIDTH>;
    using Others = Swizzled<PLAN::OTHERS, WIDTH>;
    Own own[2];          // k and v of this block, or q and out_grad
    Others others[2][2]; // two buffers of the other two
    float of_queries[2][2 * PLAN::OTHERS]; // log_sum_exp (in base 2), then row sums, if the others are queries
    int time[2][PLAN::OTHERS]; // of the others; the block's own are read from memory where they are needed
};

template <class T, int WIDTH> __global__ void attention_backward_4_async_ranges(Backward<T> a) { write_ranges(a); }

template <class T, int WIDTH> __global__ void attention_backward_4_async_row_sums(Backward<T> a) {
    write_row_sums<WIDTH>(a);
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_backward_4_async_keys(Backward<T> a) {
    using Plan = KeysPlan<WIDTH>;
    constexpr int TALL = Plan::TALL, OTHERS = Plan::OTHERS, OWN = 16 * TALL * WARPS;
    using Memory = Shared<WIDTH, Plan>;
    Memory &shared = shared_memory<Memory>();
    Work work = my_work(a.heads, a.keys, OWN);
    float factor = LOG2_E * a.scale;

    Copier<typename Memory::Others, T> queries(a.q, work, 0), out_grads(a.out_grad, work, 0);
    auto tiles = tiles_of_queries<OWN, OTHERS>(a, work);
    float mine; // the log_sum_exp or row sum that this thread has read for the next tile
    auto fetch = [&](Tile tile, int buffer) {
        queries.copy(shared.others[buffer][0], tile.first, a.queries);
        out_grads.copy(shared.others[buffer][1], tile.first, a.queries);
        copy_async_commit();
        int query = tile.first + threadIdx.x % OTHERS;
        if (threadIdx.x < 2 * OTHERS)
            mine = threadIdx.x < OTHERS ? LOG2_E * log_sum_of_query(a, work, query) : row_sum_of_query(a, work, query);
        if (tile.masked && threadIdx.x < OTHERS)
            shared.time[buffer][threadIdx.x] = time_of_query(a.query_time, work, query, a.queries);
    };
    auto write_mine = [&](int buffer) {
        if (threadIdx.x < 2 * OTHERS)
            shared.of_queries[buffer][threadIdx.x] = mine;
    };
    Copier<typename Memory::Own, T>(a.k, work, work.first).next(shared.own[0], a.keys - work.first);
    Copier<typename Memory::Own, T>(a.v, work, work.first).next(shared.own[1], a.keys - work.first);
    copy_async_commit();
    Tile tile = tiles.begin(), next;
    fetch(tile, 0);
    write_mine(0);
    copy_async_wait<1>(); // my part of this block's keys and values has landed
    __syncthreads();      // this block's keys and values are there
    TallLeft<WIDTH, TALL, Plan::IN_REGISTERS> k(shared.own[0]), v(shared.own[1]);
    float k_grad[TALL][WIDTH / 8][4], v_grad[TALL][WIDTH / 8][4];
#pragma unroll
    for (int t = 0; t < TALL; t++) {
        clear(k_grad[t]);
        clear(v_grad[t]);
    }

    for (int buffer = 0; tile.first < a.queries; tile = next, buffer ^= 1) {
        next = tiles.after(tile);
        copy_async_wait<0>(); // my part of this tile has landed
        __syncthreads();      // this tile is there, and all have read the one before
        if (next.first < a.queries)
            fetch(next, buffer ^ 1);

        float weights[TALL][OTHERS / 8][4], grads[TALL][OTHERS / 8][4]; // of the weights, then of the scores
        multiply_turned<T>(weights, k, shared.own[0], shared.others[buffer][0]);
        if (tile.masked)
#pragma unroll
            for (int t = 0; t < TALL; t++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    int key = work.first + tall_row<TALL>(t, half), key_time = time_of_key(a.key_time, work, key, a.keys);
#pragma unroll
                    for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
                        for (int i = 0; i < 2; i++)
                            if (key_time > shared.time[buffer][my_column(j) + i])
                                weights[t][j][2 * half + i] = minus_infinity();
                }
        write_mine(buffer ^ 1); // read while the first product was made
        multiply_turned<T>(grads, v, shared.own[1], shared.others[buffer][1]);
#pragma unroll
        for (int t = 0; t < TALL; t++)
#pragma unroll
            for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float *of_query = &shared.of_queries[buffer][my_column(j) + i % 2];
                    weights[t][j][i] = exp2_fast(fmaf(weights[t][j][i], factor, -of_query[0]));
                    grads[t][j][i] = weights[t][j][i] * (grads[t][j][i] - of_query[OTHERS]);
                }
        TRACE("queries %d to %d: key %d: weight of query %d %.4f, gradient of its score %.4f", tile.first,
              min(tile.first + OTHERS, a.queries) - 1, work.first + tall_row<TALL>(0, 0), tile.first + my_column(0),
              weights[0][0][0], grads[0][0][0]);
        add_weighted<T>(v_grad, weights, shared.others[buffer][1]);
        add_weighted<T>(k_grad, grads, shared.others[buffer][0]);
    }
#pragma unroll
    for (int t = 0; t < TALL; t++) {
        Work rows = {work.batch, work.head, work.first + tall_row<TALL>(t, 0) - my_row(0)};
        store_rows(a.k_grad, rows, a.keys, k_grad[t], {a.scale, a.scale});
        store_rows(a.v_grad, rows, a.keys, v_grad[t], {1, 1});
    }
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS, 2) attention_backward_4_async_queries(Backward<T> a) {
    using Plan = QueriesPlan<WIDTH>;
    constexpr int TALL = Plan::TALL, OTHERS = Plan::OTHERS, OWN = 16 * TALL * WARPS;
    using Memory = Shared<WIDTH, Plan>;
    Memory &shared = shared_memory<Memory>();
    Work work = my_work(a.heads, a.queries, OWN);
    float factor = LOG2_E * a.scale;

    Copier<typename Memory::Others, T> keys(a.k, work, 0), values(a.v, work, 0);
    auto tiles = tiles_of_keys<OWN, OTHERS>(a, work);
    auto fetch = [&](Tile tile, int buffer) {
        keys.copy(shared.others[buffer][0], tile.first, a.keys);
        values.copy(shared.others[buffer][1], tile.first, a.keys);
        copy_async_commit();
        if (tile.masked && threadIdx.x < OTHERS)
            shared.time[buffer][threadIdx.x] = time_of_key(a.key_time, work, tile.first + threadIdx.x, a.keys);
    };
    Copier<typename Memory::Own, T>(a.q, work, work.first).next(shared.own[0], a.queries - work.first);
    Copier<typename Memory::Own, T>(a.out_grad, work, work.first).next(shared.own[1], a.queries - work.first);
    copy_async_commit();
    Tile tile = tiles.begin(), next;
    fetch(tile, 0);
    float log_sum_exp[TALL][2], row_sums[TALL][2], q_grad[TALL][WIDTH / 8][4];
#pragma unroll
    for (int t = 0; t < TALL; t++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            log_sum_exp[t][half] = LOG2_E * log_sum_of_query(a, work, work.first + tall_row<TALL>(t, half));
            row_sums[t][half] = row_sum_of_query(a, work, work.first + tall_row<TALL>(t, half));
        }
        clear(q_grad[t]);
    }
    copy_async_wait<1>(); // my part of this block's queries has landed
    __syncthreads();      // this block's queries are there
    TallLeft<WIDTH, TALL, Plan::IN_REGISTERS> q(shared.own[0]), out_grad(shared.own[1]);

    for (int buffer = 0; tile.first < a.keys; tile = next, buffer ^= 1) {
        next = tiles.after(tile);
        copy_async_wait<0>(); // my part of these keys has landed
        __syncthreads();      // these keys are there, and all have read those before
        if (next.first < a.keys)
            fetch(next, buffer ^ 1);

        float scores[TALL][OTHERS / 8][4], grads[TALL][OTHERS / 8][4]; // of the weights, then of the scores
        multiply_turned<T>(scores, q, shared.own[0], shared.others[buffer][0]);
        if (tile.masked) // zeros for keys past the end wouldn't do: their weights could be infinite
#pragma unroll
            for (int t = 0; t < TALL; t++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    int query = work.first + tall_row<TALL>(t, half);
                    int query_time = time_of_query(a.query_time, work, query, a.queries);
#pragma unroll
                    for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
                        for (int i = 0; i < 2; i++)
                            if (shared.time[buffer][my_column(j) + i] > query_time)
                                scores[t][j][2 * half + i] = minus_infinity();
                }
        multiply_turned<T>(grads, out_grad, shared.own[1], shared.others[buffer][1]);
#pragma unroll
        for (int t = 0; t < TALL; t++)
#pragma unroll
            for (int j = 0; j < OTHERS / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float weight = exp2_fast(fmaf(scores[t][j][i], factor, -log_sum_exp[t][i / 2]));
                    grads[t][j][i] = weight * (grads[t][j][i] - row_sums[t][i / 2]);
                }
        TRACE("keys %d to %d: query %d: gradient of the score of key %d %.4f", tile.first,
              min(tile.first + OTHERS, a.keys) - 1, work.first + tall_row<TALL>(0, 0), tile.first + my_column(0),
              grads[0][0][0]);
        add_weighted<T>(q_grad, grads, shared.others[buffer][0]);
    }
#pragma unroll
    for (int t = 0; t < TALL; t++) {
        Work rows = {work.batch, work.head, work.first + tall_row<TALL>(t, 0) - my_row(0)};
        store_rows(a.q_grad, rows, a.queries, q_grad[t], {a.scale, a.scale});
    }
}
