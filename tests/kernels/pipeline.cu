/* Small kernels for the tests of pipeline_on_cpu.h: producers and consumers, and what is forbidden. */
#include "pipeline.cuh"
#include "warpgroup.cuh"

struct Arguments {
    const unsigned short *a, *b;
    float *c;
    int *turns, *sums;
    int count;
};

/* c (128, 32) = a (128, 64 count) b (64 count, 32) in float16, in steps of 64: one warpgroup copies, two take turns at
   multiplying. `turns` are the warpgroups in the order in which they did; sums[thread] adds up numbers that came through
   shared memory by ordinary stores. */
constexpr int STAGES = 2, GROUPS = 2;

struct Stages {
    Panels<128, 64> a[STAGES];
    Panels<64, 32> b[STAGES];
    int number[STAGES][128], turn;
    Mbarrier full[STAGES], empty[STAGES];
};

__device__ __forceinline__ void produce(Stages &shared, const Arguments &arguments) {
    give_up_registers<40>();
    Round<STAGES> round;
    int thread = threadIdx.x % 128;
    for (int step = 0; step < arguments.count; step++, round.next()) {
        int stage = round.stage;
        mbarrier_wait(shared.empty[stage], round.parity ^ 1); // it has been read
        for (int i = thread; i < 128 * 8; i += 128)
            copy_async(shared.a[stage].piece(i / 8, i % 8),
                       arguments.a + (i / 8 * arguments.count + step) * 64 + i % 8 * 8);
        for (int i = thread; i < 64 * 4; i += 128)
            copy_async(shared.b[stage].piece(i / 4, i % 4), arguments.b + (step * 64 + i / 4) * 32 + i % 4 * 8);
        copy_async_commit();
        shared.number[stage][thread] = 1000 * step + thread;
        copy_async_wait<0>();
        async_proxy_fence(); // wgmma may read it
        mbarrier_arrive(shared.full[stage]);
    }
}

__device__ __forceinline__ void consume(Stages &shared, const Arguments &arguments, int group) {
    take_registers<232>();
    Round<STAGES> round;
    float sum[4][4];
    int numbers = 0;
    if (group == 1)
        named_barrier_arrive<256>(1); // the first turn
    for (int step = 0; step < arguments.count; step++, round.next()) {
        int stage = round.stage;
        mbarrier_wait(shared.full[stage], round.parity);
        named_barrier_wait<256>(1 + group); // my turn
        if (threadIdx.x % 128 == 0)
            arguments.turns[shared.turn++] = group;
        warpgroup_fence(sum);
        Descriptor a = shared.a[stage].along(64 * group), b = shared.b[stage].across();
        for (int i = 0; i < 4; i++)
            wgmma<true>(float16(), sum, Panels<128, 64>::step_along(a, i), Panels<64, 32>::step_across(b, i),
                        step + i > 0);
        warpgroup_commit();
        if (step + 1 < arguments.count || group == 0)
            named_barrier_arrive<256>(1 + (group ^ 1)); // the other's turn
        warpgroup_wait<0>(sum);
        numbers += shared.number[stage][threadIdx.x % 128];
        __syncwarp(); // all lanes have read theirs
        if (threadIdx.x % 32 == 0)
            mbarrier_arrive(shared.empty[stage]);
    }
    arguments.sums[threadIdx.x] = numbers;
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            arguments.c[my_row(i / 2) * 32 + my_column(j) + i % 2] = sum[j][i];
}

template <int> __global__ void __launch_bounds__(384, 1) pipeline(Arguments arguments) {
    Stages &shared = shared_memory<Stages>();
    if (threadIdx.x == 0) {
        shared.turn = 0;
        for (int stage = 0; stage < STAGES; stage++) {
            mbarrier_init(shared.full[stage], 128);
            mbarrier_init(shared.empty[stage], 4 * GROUPS);
        }
    }
    __syncthreads(); // the barriers are ready
    int group = __shfl_sync(0xffffffff, threadIdx.x / 128, 0);
    if (group == GROUPS)
        produce(shared, arguments);
    else
        consume(shared, arguments, group);
}

// What PTX forbids, or what never ends, a rule an instance.
struct Misused {
    Mbarrier barrier[2];
};

template <int RULE> __global__ void __launch_bounds__(128, 1) forbidden(Arguments) {
    Misused &shared = shared_memory<Misused>();
    if (threadIdx.x == 0 && RULE != 0)
        mbarrier_init(shared.barrier[0], RULE == 1 ? 0 : 128);
    __syncthreads();
    if (RULE == 0)
        mbarrier_arrive(shared.barrier[0]);
    if (RULE == 2)
        mbarrier_arrive(*(&shared.barrier[0] + 2));
    if (RULE == 3)
        mbarrier_wait(shared.barrier[0], 2);
    if (RULE == 4)
        named_barrier_wait<128>(0);
    if (RULE == 5)
        named_barrier_arrive<48>(1);
    if (RULE == 6 && threadIdx.x < 64)
        named_barrier_wait<128>(1);
    else if (RULE == 6)
        named_barrier_wait<96>(1);
    if (RULE == 7) {
        named_barrier_arrive<128>(2);
        named_barrier_arrive<128>(2);
    }
    if (RULE == 8 && threadIdx.x < 96)
        give_up_registers<40>();
    if (RULE == 9 && threadIdx.x > 0) // the wait
        mbarrier_arrive(shared.barrier[0]);
    if (RULE == 9)
        mbarrier_wait(shared.barrier[0], 0); // is for thread 0's arrival
    if (RULE == 10 && threadIdx.x < 96)
        named_barrier_wait<128>(3); // the fourth warp doesn't come
}
