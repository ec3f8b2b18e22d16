/* Small kernels for the tests of cuda_on_cpu.h: every instruction of common.cuh, on one warp or two. */
#include "common.cuh"

struct Arguments {
    const void *a, *b;
    float *c, *again;
    int count;
};

// What a test of mma multiplies, as the instances number it: 0 is float16, SHORT float16 with a depth of 8.
constexpr int BFLOAT16 = 1, SHORT = 2, TF32 = 3;

struct Matrices {
    unsigned short a[16][16], b[16][8], b_across[8][16];
};

// c (16, 8) += a (16, depth) b (depth, 8), b read in rows and transposed on the way, and `again` from b_across.
template <int KIND> __global__ void multiply(Arguments arguments) {
    constexpr int DEPTH = KIND == SHORT || KIND == TF32 ? 8 : 16;
    Matrices &shared = shared_memory<Matrices>();
    int lane = threadIdx.x;
    float c[4], again[4];
    for (int i = 0; i < 4; i++)
        c[i] = again[i] = arguments.c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
    if (KIND == TF32) {
        const float *a = static_cast<const float *>(arguments.a), *b = static_cast<const float *>(arguments.b);
        unsigned from_a[4], from_b[2];
        for (int i = 0; i < 4; i++)
            from_a[i] = bits_of_tf32(a[(lane / 4 + i % 2 * 8) * DEPTH + lane % 4 + i / 2 * 4]);
        for (int i = 0; i < 2; i++)
            from_b[i] = bits_of_tf32(b[(lane % 4 + i * 4) * 8 + lane / 4]);
        mma_16x8x8_tf32(c, from_a, from_b);
        mma_16x8x8_tf32(again, from_a, from_b);
    } else {
        const unsigned short *a = static_cast<const unsigned short *>(arguments.a);
        const unsigned short *b = static_cast<const unsigned short *>(arguments.b);
        for (int i = lane; i < 16 * DEPTH; i += 32)
            shared.a[i / DEPTH][i % DEPTH] = a[i];
        for (int i = lane; i < DEPTH * 8; i += 32)
            shared.b[i / 8][i % 8] = shared.b_across[i % 8][i / 8] = b[i];
        __syncwarp();
        if (KIND == SHORT) {
            unsigned from_a[2], from_b[1], from_b_across[1];
            load_matrices<false>(from_a, shared.a[lane % 16]);
            load_matrices<true>(from_b, shared.b[lane % 8]);
            load_matrices<false>(from_b_across, shared.b_across[lane % 8]);
            mma_16x8x8_float16(c, from_a, from_b);
            mma_16x8x8_float16(again, from_a, from_b_across);
        } else {
            unsigned from_a[4], from_b[2], from_b_across[2];
            load_matrices<false>(from_a, shared.a[lane % 16] + lane / 16 * 8);
            load_matrices<true>(from_b, shared.b[lane % 16]);
            load_matrices<false>(from_b_across, shared.b_across[lane % 8] + lane / 8 % 2 * 8);
            if (KIND == BFLOAT16) {
                mma_16x8x16_bfloat16(c, from_a, from_b);
                mma_16x8x16_bfloat16(again, from_a, from_b_across);
            } else {
                mma_16x8x16_float16(c, from_a, from_b);
                mma_16x8x16_float16(again, from_a, from_b_across);
            }
        }
    }
    for (int i = 0; i < 4; i++) {
        int place = (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
        arguments.c[place] = c[i];
        arguments.again[place] = again[i];
    }
}

// c (16, 8) of float = a (16, 64 count) b (64 count, 8) in float16, in steps of 64: asynchronous copies into one of two
// buffers while the other is read, pieces of 8 numbers swizzled so that ldmatrix meets no bank conflict.
struct Buffers {
    unsigned short a[2][16][64], b[2][64][8];
};
__device__ __forceinline__ int swizzled(int row, int piece) { return (piece ^ row % 8) * 8; }

__device__ __forceinline__ void fetch(Buffers &shared, const Arguments &arguments, int step) {
    const unsigned short *a = static_cast<const unsigned short *>(arguments.a);
    const unsigned short *b = static_cast<const unsigned short *>(arguments.b);
    for (int i = threadIdx.x; i < 16 * 8; i += 64) {
        int row = i / 8, piece = i % 8;
        copy_async(&shared.a[step % 2][row][swizzled(row, piece)], a + (row * arguments.count + step) * 64 + piece * 8);
    }
    copy_async(shared.b[step % 2][threadIdx.x], b + (step * 64 + threadIdx.x) * 8);
    copy_async_commit();
}

template <int> __global__ void pipeline(Arguments arguments) {
    Buffers &shared = shared_memory<Buffers>();
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float c[4] = {};
    fetch(shared, arguments, 0);
    for (int step = 0; step < arguments.count; step++) {
        if (step + 1 < arguments.count) {
            fetch(shared, arguments, step + 1);
            copy_async_wait<1>();
        } else {
            copy_async_wait<0>();
        }
        __syncthreads(); // this step is there
        for (int i = 0; i < 2; i++) { // a warp takes half of the 64
            int depth = warp * 32 + i * 16, row = lane % 16;
            unsigned from_a[4], from_b[2];
            load_matrices<false>(from_a, shared.a[step % 2][row] + swizzled(row, depth / 8 + lane / 16));
            load_matrices<true>(from_b, shared.b[step % 2][depth + lane % 16]);
            mma_16x8x16_float16(c, from_a, from_b);
        }
        __syncthreads(); // this step has been read
    }
    for (int i = 0; i < 4; i++) {
        int place = (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
        (warp == 0 ? arguments.c : arguments.again)[place] = c[i];
    }
}

// Each warp instruction once: c[0..32) from shuffles and votes of a[0..32).
template <int> __global__ void exchange(Arguments arguments) {
    int lane = threadIdx.x;
    float mine = static_cast<const float *>(arguments.a)[lane];
    arguments.c[lane] = __shfl_sync(0xffffffff, mine, (lane + 5) % 32);
    arguments.c[32 + lane] = __shfl_xor_sync(0xffffffff, mine, 9);
    arguments.c[64 + lane] = __shfl_down_sync(0xffffffff, mine, 3);
    arguments.c[96 + lane] = __shfl_up_sync(0xffffffff, mine, 7);
    arguments.c[128 + lane] = __ballot_sync(0xffffffff, mine > 0) >> lane & 1;
    if (lane < 16)
        arguments.c[160 + lane] = __shfl_xor_sync(0x0000ffff, mine, 1);
}

// c[i] and again[i]: a[i] rounded to float16 and to bfloat16, and back.
template <int> __global__ void round_trip(Arguments arguments) {
    const float *a = static_cast<const float *>(arguments.a);
    for (int i = threadIdx.x; i < arguments.count; i += 32) {
        arguments.c[i] = to_float(rounded<float16>(a[i]));
        arguments.again[i] = to_float(rounded<bfloat16>(a[i]));
    }
}

// c[block] = the sum of 64 numbers of a, by halves in shared memory.
struct Sums {
    float number[64];
};
template <int> __global__ void reduce(Arguments arguments) {
    Sums &shared = shared_memory<Sums>();
    int thread = threadIdx.x;
    shared.number[thread] = static_cast<const float *>(arguments.a)[blockIdx.x * 64 + thread];
    for (int half = 32; half > 0; half /= 2) {
        __syncthreads(); // the numbers are there
        if (thread < half)
            shared.number[thread] += shared.number[thread + half];
    }
    if (thread == 0)
        arguments.c[blockIdx.x] = shared.number[0];
}

// What CUDA forbids, a rule an instance.
template <int RULE> __global__ void forbidden(Arguments arguments) {
    Sums &shared = shared_memory<Sums>();
    int thread = threadIdx.x;
    if (RULE == 0 && thread < 32)
        __syncthreads(); // rule 0: a barrier that half of the threads never reach
    if (RULE == 1 && thread != 5)
        __syncthreads(); // rule 1: nor does this one
    if (RULE == 2 && thread < 32)
        __syncthreads(); // rule 2: two barriers, each reached by some
    else if (RULE == 2)
        __syncthreads();
    if (RULE == 3 && thread % 2)
        __syncwarp(); // rule 3: half a warp
    if (RULE == 4 && thread % 2)
        __syncwarp(0x55555555); // rule 4: a mask without oneself
    if (RULE == 5)
        arguments.c[0] = __shfl_xor_sync(0xffffu << thread / 16 % 2 * 16, 1, 16); // rule 5: from a lane without a part
    if (RULE == 6)
        copy_async(&shared.number[1], arguments.a); // rule 6: not aligned
    if (RULE == 7)
        copy_async(&shared.number[64], arguments.a); // rule 7: past the end
    if (RULE == 8)
        store_16_bytes(arguments.c + 2, {1, 2, 3, 4}); // rule 8: not aligned
    if (RULE == 9)
        store_8_bytes(arguments.c + 3, 1, 2); // rule 9: nor this one
}
