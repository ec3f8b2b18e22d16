/* Small kernels for the tests of warpgroup_on_cpu.h: wgmma with any layout of its factors, in turn with copies, and
   misused. */
#include "warpgroup.cuh"

struct Arguments {
    const unsigned short *a, *b; // the left factor; the right one, or all of shared memory
    float *c;
    Descriptor left, right;
    int count, add;
};

struct Memory {
    alignas(1024) unsigned short numbers[32768];
};

template <int N> __device__ __forceinline__ float &number(float *c, int j, int i) {
    return c[my_row(i / 2) * N + my_column(j) + i % 2];
}

template <class T, bool FROM_REGISTERS, bool ACROSS, int J>
__device__ __forceinline__ void multiply_once(float (&sum)[J][4], unsigned (&left)[1][4], const Arguments &arguments) {
    warpgroup_fence(sum, left);
    if constexpr (FROM_REGISTERS)
        wgmma<ACROSS>(T(), sum, left[0], arguments.right, arguments.add);
    else
        wgmma<ACROSS>(T(), sum, arguments.left, arguments.right, arguments.add);
    warpgroup_commit();
    warpgroup_wait<0>(sum, left);
}

// c (64, N) = left (64, 16) right (16, N), to which the old c is added or not; the instance says how.
template <int CASE> __global__ void multiply(Arguments arguments) {
    constexpr int N = 32 << CASE % 3;
    constexpr bool ACROSS = CASE / 3 % 2, FROM_REGISTERS = CASE / 6 % 2;
    Memory &shared = shared_memory<Memory>();
    for (int i = threadIdx.x; i < 32768; i += 128)
        shared.numbers[i] = arguments.b[i];
    async_proxy_fence();
    __syncthreads();
    float sum[N / 8][4];
    unsigned left[1][4];
    for (int j = 0; j < N / 8; j++)
        for (int i = 0; i < 4; i++)
            sum[j][i] = number<N>(arguments.c, j, i);
    for (int i = 0; i < 4; i++) {
        const unsigned short *pair = arguments.a + 16 * my_row(i % 2) + my_column(i / 2);
        left[0][i] = pair[0] | unsigned(pair[1]) << 16;
    }
    if constexpr (CASE / 12)
        multiply_once<bfloat16, FROM_REGISTERS, ACROSS>(sum, left, arguments);
    else
        multiply_once<float16, FROM_REGISTERS, ACROSS>(sum, left, arguments);
    for (int j = 0; j < N / 8; j++)
        for (int i = 0; i < 4; i++)
            number<N>(arguments.c, j, i) = sum[j][i];
}

// c (64, 32) = a (64, 64 count) b (64 count, 32) in float16, in steps of 64: copies into one of two buffers while the
// other is multiplied.
struct Buffers {
    Panels<64, 64> a[2];
    Panels<64, 32> b[2];
};

__device__ __forceinline__ void fetch(Buffers &shared, const Arguments &arguments, int step) {
    for (int i = threadIdx.x; i < 64 * 8; i += 128)
        copy_async(shared.a[step % 2].piece(i / 8, i % 8),
                   arguments.a + (i / 8 * arguments.count + step) * 64 + i % 8 * 8);
    for (int i = threadIdx.x; i < 64 * 4; i += 128)
        copy_async(shared.b[step % 2].piece(i / 4, i % 4), arguments.b + (step * 64 + i / 4) * 32 + i % 4 * 8);
    copy_async_commit();
}

template <int> __global__ void pipeline(Arguments arguments) {
    Buffers &shared = shared_memory<Buffers>();
    float sum[4][4];
    fetch(shared, arguments, 0);
    for (int step = 0; step < arguments.count; step++) {
        copy_async_wait<0>();
        async_proxy_fence();
        __syncthreads(); // this step is there, and the one before has been read
        if (step + 1 < arguments.count)
            fetch(shared, arguments, step + 1);
        warpgroup_fence(sum);
        Descriptor a = shared.a[step % 2].along(), b = shared.b[step % 2].across();
        for (int i = 0; i < 4; i++)
            wgmma<true>(float16(), sum, Panels<64, 64>::step_along(a, i), Panels<64, 32>::step_across(b, i),
                        step + i > 0);
        warpgroup_commit();
        warpgroup_wait<0>(sum);
    }
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            number<32>(arguments.c, j, i) = sum[j][i];
}

// What PTX forbids, a rule an instance.
template <int RULE> __global__ void forbidden(Arguments arguments) {
    Memory &shared = shared_memory<Memory>();
    float sum[4][4] = {}, other[8][4] = {};
    unsigned left[1][4] = {};
    Descriptor right = matrix_descriptor(shared.numbers, 16, 1024, SWIZZLE_128_BYTES);
    if (RULE != 0)
        warpgroup_fence(sum, left, other);
    if (RULE == 1)
        sum[1][1] = 1;
    if (RULE == 2)
        left[0][3] = 1;
    if (RULE == 3)
        right = moved(right, 128);
    if (RULE == 4)
        right = moved(right, 65536 - 1024);
    if (RULE == 5)
        right |= 1ull << 46;
    if (RULE == 6 && threadIdx.x / 32 == 2)
        right = moved(right, 1024);
    if (RULE != 7 || threadIdx.x < 96)
        wgmma<false>(float16(), sum, left[0], right, false); // the product
    if (RULE == 8)
        sum[0][0] = 1;
    if (RULE == 9)
        left[0][0] = 1;
    if (RULE == 10)
        warpgroup_fence(sum);
    if (RULE != 11)
        warpgroup_commit();
    if (RULE == 12)
        return;
    if (RULE == 13)
        warpgroup_wait<1>(sum);
    else
        warpgroup_wait<0>(sum);
    if (RULE == 14)
        wgmma<false>(float16(), sum, left[0], right, true);
    arguments.c[threadIdx.x] = sum[0][0];
}
