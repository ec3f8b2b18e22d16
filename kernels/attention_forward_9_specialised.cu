/* Attention, forward, rung 9: warps with different jobs (Hopper, sm_90a).

   Idea. In rung 8 every warp copies, multiplies and exponentiates, and once a tile all of a block wait for each other.
   Here warpgroups have jobs. Producers copy keys and values into two stages each, as far ahead as there is room;
   consumers multiply and exponentiate, each for 64 queries of its own. Nobody waits for the whole block: mbarriers
   (pipeline.cuh) say of each stage when it is full and when it is empty.
     Registers go where they are needed: producers give up theirs, and each thread of a consumer gets 160 or 216 of
     them. That is room for 64 queries times 128 keys at every width.
     Consumers take turns at the tensor cores: who has issued its products lets the next one issue. So they get out of
     step, and while one exponentiates the others multiply. Within a consumer, as in rung 8, the scores of tile j + 1
     and the output's share of tile j are under way at once.
   What rung 8 does against overflow, for masks and for the output's rows is the same here, by the same functions.

   A producer waits for its copies, puts a fence between them and wgmma, and arrives at `full`; the next tile's copies
   are under way by then. A warp of a consumer arrives at `empty` when its products, and what it reads of a tile's
   times, are done.

   Arithmetic intensity. 192 FLOPs a byte of the L2 cache at widths 32 and 64, whose blocks have 192 queries; 128 at
   width 128, as rung 8. A consumer's 64 x 128 scores read 16 (64 + 128) 2 bytes of shared memory a step of 262,144
   FLOPs, 43 FLOPs a byte, where rung 8 has 32 at widths 32 and 64; the output's share has 64 in both.
   Expected limit: as rung 8's: at width 32 the exponentials, at 64 these and the tensor cores alike, at 128 the tensor
   cores. (A multiprocessor of an H100 does 4,096 FLOPs, 16 exponentials and 128 bytes of shared memory a clock.) For
   all queries of a block and 128 keys:
                       tensor cores   exponentials   shared memory (read + copied)
     width 32,  192 queries    768          1,536             480 + 128 clocks
     width 64,  192          1,536          1,536             960 + 256
     width 128, 128          2,048          1,024           1,280 + 512
   What turns save isn't in this table: rung 8's two units work at the same time only as far as a warpgroup overlaps
   with itself. What is lost: a quarter of the warps (at width 128 half) does no arithmetic, blocks of 192 queries fit
   few lengths (256 queries are two blocks, of which the second is two thirds empty), and one block fills a
   multiprocessor, so that nobody works while its first tiles come and its last rows go.
   Left out: Hopper's copy engine (TMA), which needs a description of each array from the driver; blocks that stay for
   more than one tile of queries; exponentials by polynomial where both units tie.
   Nobody has measured it: these are sums on paper.

   Launch: 512 threads a block, four warpgroups. Compiled for sm_90a: an sm_90 runs it, no other.
   Run: minivdit kernels emulate attention_forward_9_specialised */
#include "pipeline.cuh"
#include "tall_fragments.cuh"
#include "warpgroup.cuh"

constexpr int WARPGROUPS = 4, BLOCK = 128 * WARPGROUPS, KEYS = 128, STAGES = 2;

// What to change first when tuning. A multiprocessor has 65,536 registers: 128 for each of a block's threads at first.
template <int WIDTH> struct Plan {
    static constexpr int CONSUMERS = WIDTH == 128 ? 2 : 3, PRODUCERS = WARPGROUPS - CONSUMERS;
    static constexpr int OF_CONSUMER = WIDTH == 128 ? 216 : 160, OF_PRODUCER = WIDTH == 128 ? 40 : 32; // registers
    static constexpr int QUERIES = 64 * CONSUMERS;
    static_assert(CONSUMERS * OF_CONSUMER + PRODUCERS * OF_PRODUCER <= 65536 / 128, "somebody would wait forever");
};

template <int WIDTH> struct Shared {
    Panels<Plan<WIDTH>::QUERIES, WIDTH> q; // and in the end the output
    Panels<KEYS, WIDTH> k[STAGES], v[STAGES];
    int key_time[STAGES][KEYS], query_time[Plan<WIDTH>::QUERIES];
    Mbarrier keys_full[STAGES], keys_empty[STAGES], values_full[STAGES], values_empty[STAGES];
};

template <class T, int WIDTH>
__device__ __forceinline__ void produce(const Forward<T> &a, Work work, Shared<WIDTH> &shared) {
    constexpr int THEM = 128 * Plan<WIDTH>::PRODUCERS, QUERIES = Plan<WIDTH>::QUERIES;
    give_up_registers<Plan<WIDTH>::OF_PRODUCER>();
    int thread = threadIdx.x % THEM;
    Copier<Panels<KEYS, WIDTH>, T, THEM> keys(a.k, work, 0), values(a.v, work, 0);
    // Where to arrive when all copies but the last ones have landed. Nobody makes room only when those are announced,
    // too: consumers need just the tiles before them to be through with the stage that they take next.
    Mbarrier *before = nullptr;

    auto landed = [&]() {
        async_proxy_fence(); // wgmma may read my part
        mbarrier_arrive(*before);
    };
    auto under_way = [&](Mbarrier &full) {
        copy_async_commit();
        if (before) {
            copy_async_wait<1>(); // the copies before these have landed
            landed();
        }
        before = &full;
    };
    auto copy_keys = [&](Round<STAGES> round, int first) {
        mbarrier_wait(shared.keys_empty[round.stage], round.parity ^ 1);
        keys.next(shared.k[round.stage], a.keys - first);
        if ((a.key_time.data || first + KEYS > a.keys) && thread < KEYS) // as consumers ask
            shared.key_time[round.stage][thread] = time_of_key(a.key_time, work, first + thread, a.keys);
        under_way(shared.keys_full[round.stage]);
    };

    Copier<Panels<QUERIES, WIDTH>, T, THEM>(a.q, work, work.first).next(shared.q, a.queries - work.first);
    for (int query = thread; query < QUERIES; query += THEM)
        shared.query_time[query] = time_of_query(a.query_time, work, work.first + query, a.queries);
    Round<STAGES> ahead, round;
    copy_keys(ahead, 0); // queries and the first keys
    for (int first = 0; first < a.keys; first += KEYS, round.next()) {
        ahead.next();
        if (first + KEYS < a.keys)
            copy_keys(ahead, first + KEYS);
        mbarrier_wait(shared.values_empty[round.stage], round.parity ^ 1);
        values.next(shared.v[round.stage], a.keys - first);
        under_way(shared.values_full[round.stage]);
    }
    copy_async_wait<0>(); // the last values have landed
    landed();
}

template <class T, int WIDTH>
__device__ __forceinline__ void consume(const Forward<T> &a, Work work, Shared<WIDTH> &shared, int group) {
    constexpr int CONSUMERS = Plan<WIDTH>::CONSUMERS, STEPS = KEYS / 16;
    using Keys = Panels<KEYS, WIDTH>;
    using Queries = Panels<Plan<WIDTH>::QUERIES, WIDTH>;
    take_registers<Plan<WIDTH>::OF_CONSUMER>();
    float factor = LOG2_E * a.scale;
    TallOnline<1> online; // a warp's rows are 16 in a sum, as those of one fragment
    float out[1][WIDTH / 8][4], scores[1][KEYS / 8][4], shrink[1][2];
    unsigned weights[STEPS][4];
    clear(out[0]);
    Descriptor queries = shared.q.along(64 * group);

    auto begin_scores = [&](int stage) { // registers are ready
        Descriptor others = shared.k[stage].along();
#pragma unroll
        for (int step = 0; step < WIDTH / 16; step++)
            wgmma<false>(T(), scores[0], Queries::step_along(queries, step), Keys::step_along(others, step), step > 0);
        warpgroup_commit();
    };
    auto begin_output = [&](int stage) {
        Descriptor others = shared.v[stage].across();
#pragma unroll
        for (int step = 0; step < STEPS; step++)
            wgmma<true>(T(), out[0], weights[step], Keys::step_across(others, step), true);
        warpgroup_commit();
    };
    auto read = [&](Mbarrier &empty) { // this warp has
        __syncwarp();
        if (my_lane() == 0)
            mbarrier_arrive(empty);
    };
    auto exponentiate = [&](int first, int stage) { // scores become weights; whether earlier sums have to shrink
        if (a.key_time.data || first + KEYS > a.keys)
            hide(scores, shared.query_time, shared.key_time[stage]);
        read(shared.keys_empty[stage]); // keys and their times
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
    // Turns at the tensor cores: consumer g waits for its own at named barrier 1 + g, at which the one before arrives.
    auto wait_for_turn = [&]() { named_barrier_wait<256>(1 + group); };
    auto pass_turn = [&](int first) {
        if (group < CONSUMERS - 1)
            named_barrier_arrive<256>(2 + group);
        else if (first + KEYS < a.keys) // there is another round
            named_barrier_arrive<256>(1);
    };

    if (group == CONSUMERS - 1)
        named_barrier_arrive<256>(1); // the first turn
    Round<STAGES> keys, values;
    mbarrier_wait(shared.keys_full[0], 0); // queries and the first keys are there
    wait_for_turn();
    warpgroup_fence(scores[0]);
    begin_scores(0);
    pass_turn(0);
    warpgroup_wait<0>(scores[0]);
    exponentiate(0, 0); // nothing is summed yet that could shrink
    round_weights();

    for (int first = KEYS; first < a.keys; first += KEYS, values.next()) {
        keys.next(); // a tile ahead of the values
        mbarrier_wait(shared.keys_full[keys.stage], keys.parity);
        mbarrier_wait(shared.values_full[values.stage], values.parity);
        wait_for_turn();
        warpgroup_fence(scores[0], out[0], weights);
        begin_scores(keys.stage);
        begin_output(values.stage);
        pass_turn(first);

        warpgroup_wait<1>(scores[0]); // the scores are there, the output is under way
        TRACE("keys from %d on are exponentiated, values from %d on multiplied", first, first - KEYS);
        bool higher = exponentiate(first, keys.stage);
        warpgroup_wait<0>(out[0], weights); // the output is there
        read(shared.values_empty[values.stage]);
        if (higher)
            shrink_sums(out, shrink);
        round_weights();
    }
    mbarrier_wait(shared.values_full[values.stage], values.parity); // the last values are there
    warpgroup_fence(out[0], weights);
    begin_output(values.stage);
    warpgroup_wait<0>(out[0]); // all of the output is there
    named_barrier_wait<128>(1 + CONSUMERS + group); // this warpgroup has finished with its queries
    finish_through(shared.q, a, work, factor, online, out);
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(BLOCK, 1) attention_forward_9_specialised(Forward<T> a) {
    constexpr int CONSUMERS = Plan<WIDTH>::CONSUMERS;
    Shared<WIDTH> &shared = shared_memory<Shared<WIDTH>>();
    Work work = my_work(a.heads, a.queries, Plan<WIDTH>::QUERIES);
    if (threadIdx.x == 0)
        for (int stage = 0; stage < STAGES; stage++) {
            mbarrier_init(shared.keys_full[stage], 128 * Plan<WIDTH>::PRODUCERS); // threads
            mbarrier_init(shared.values_full[stage], 128 * Plan<WIDTH>::PRODUCERS);
            mbarrier_init(shared.keys_empty[stage], 4 * CONSUMERS); // warps
            mbarrier_init(shared.values_empty[stage], 4 * CONSUMERS);
        }
    __syncthreads(); // the mbarriers are ready
    // The same in all lanes, and the shuffle lets the compiler know: descriptors stand in registers of a warp.
    int group = __shfl_sync(0xffffffff, threadIdx.x / 128, 0);
    if (group < CONSUMERS)
        consume(a, work, shared, group);
    else
        produce(a, work, shared);
}
