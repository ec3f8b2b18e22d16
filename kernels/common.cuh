/* What every kernel may use: small named functions around the instructions that C++ has no word for.

   One source, three compilers: nvcc and NVRTC (through CuPy) read the PTX below; g++ gets functions of the same
   names from cuda_on_cpu.h. Kernels themselves hold no PTX and include nothing but headers of this folder:
   NVRTC knows no standard library. */
#pragma once

#ifdef __CUDACC__

#define TRACE(...) // prints a line in the emulation (minivdit kernels emulate NAME --trace)

// The block's shared memory, as large as the launch said, seen as one struct.
template <class T> __device__ __forceinline__ T &shared_memory() {
    extern __shared__ __align__(1024) unsigned char bytes[];
    return *reinterpret_cast<T *>(bytes);
}

__device__ __forceinline__ unsigned address_in_shared(const void *pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Rounding to 16 bits, to the nearest and to even on a tie. (bfloat16: cvt.rn needs sm_80, so by hand on sm_75.)
__device__ __forceinline__ unsigned short bits_of_float16(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
__device__ __forceinline__ float value_of_float16(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
__device__ __forceinline__ unsigned short bits_of_bfloat16(float value) {
#if __CUDA_ARCH__ >= 800
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    unsigned bits = __float_as_uint(value);
    return value != value ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
#endif
}
__device__ __forceinline__ float value_of_bfloat16(unsigned short bits) {
    return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

// Two floats, rounded, in one register: the first in its lower half.
__device__ __forceinline__ unsigned pair_of_float16(float low, float high) {
#if __CUDA_ARCH__ >= 800
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return bits_of_float16(low) | static_cast<unsigned>(bits_of_float16(high)) << 16;
#endif
}
__device__ __forceinline__ unsigned pair_of_bfloat16(float low, float high) {
#if __CUDA_ARCH__ >= 800
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return bits_of_bfloat16(low) | static_cast<unsigned>(bits_of_bfloat16(high)) << 16;
#endif
}

// 2 to the power of x, by the one instruction that every exponential is made of (two units in the last place off).
__device__ __forceinline__ float exp2_fast(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

// One store of 16 or of 8 bytes to global memory, at a multiple of that. An assignment of a struct of four numbers isn't
// always one: where another branch writes the same numbers one by one, nvcc and NVRTC make both of them the same.
__device__ __forceinline__ void store_16_bytes(float *to, const float (&numbers)[4]) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "f"(numbers[0]),
                 "f"(numbers[1]), "f"(numbers[2]), "f"(numbers[3])
                 : "memory");
}
__device__ __forceinline__ void store_8_bytes(void *to, unsigned low, unsigned high) {
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(low), "r"(high)
                 : "memory");
}

// cp.async: 16 bytes from global to shared memory past the registers, or zeros if it isn't `wanted`. From sm_80.
__device__ __forceinline__ void copy_async(void *to, const void *from, bool wanted = true) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address_in_shared(to)), "l"(from),
                 "r"(wanted ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Wait until all groups but the last `UNDER_WAY` have landed. (Then a barrier is needed: others' copies, too.)
template <int UNDER_WAY> __device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(UNDER_WAY) : "memory");
}

// ldmatrix: COUNT matrices of 8 x 8 numbers of 16 bits. Lane 8 m + r brings the address of row r of matrix m;
// lane 4 r + c gets numbers 2 c and 2 c + 1 of row r (of column r, if TRANSPOSED) of each.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(unsigned (&r)[1], const void *row) {
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                     : "=r"(r[0])
                     : "r"(address_in_shared(row))
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                     : "=r"(r[0])
                     : "r"(address_in_shared(row))
                     : "memory");
}
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(unsigned (&r)[2], const void *row) {
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(address_in_shared(row))
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(address_in_shared(row))
                     : "memory");
}
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(unsigned (&r)[4], const void *row) {
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address_in_shared(row))
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address_in_shared(row))
                     : "memory");
}

// mma.sync: c (16 x 8) += a (16 x k) b (k x 8), each spread over the registers of a warp. With row = lane / 4 and
// column = lane % 4, a lane holds, of
//   c: {c[0], c[1]} in row `row`, {c[2], c[3]} in row `row` + 8, at columns 2 column and 2 column + 1;
//   a, 16 bits: pairs; a[0] row `row`, a[1] row `row` + 8, columns 2 column and 2 column + 1; a[2], a[3] columns + 8;
//   b, 16 bits: pairs; b[0] rows 2 column and 2 column + 1 of column `row`; b[1] rows + 8;
//   a, tf32: a[0] row `row`, a[1] row `row` + 8, column `column`; a[2], a[3] column + 4;
//   b, tf32: b[0] row `column` of column `row`; b[1] row + 4.
__device__ __forceinline__ void mma_16x8x16_float16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mma_16x8x16_bfloat16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The one form that sm_75 has, too: half the depth.
__device__ __forceinline__ void mma_16x8x8_float16(float (&c)[4], const unsigned (&a)[2], const unsigned (&b)[1]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}
__device__ __forceinline__ void mma_16x8x8_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// A float's bits rounded to what tf32 keeps (8 of exponent, 10 of fraction); ties away from zero. From sm_80.
__device__ __forceinline__ unsigned bits_of_tf32(float value) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

#if __CUDA_ARCH__ < 800
#define MMA_OF_SM_75
#endif

#endif

// The formats of numbers; memory holds any of these, registers compute in float.
using float32 = float;
struct float16 {
    unsigned short bits;
};
struct bfloat16 {
    unsigned short bits;
};
__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(float16 x) { return value_of_float16(x.bits); }
__device__ __forceinline__ float to_float(bfloat16 x) { return value_of_bfloat16(x.bits); }
template <class T> __device__ __forceinline__ T rounded(float value);
template <> __device__ __forceinline__ float rounded<float>(float value) { return value; }
template <> __device__ __forceinline__ float16 rounded<float16>(float value) { return {bits_of_float16(value)}; }
template <> __device__ __forceinline__ bfloat16 rounded<bfloat16>(float value) { return {bits_of_bfloat16(value)}; }
template <class T> __device__ __forceinline__ unsigned pair(float low, float high);
template <> __device__ __forceinline__ unsigned pair<float16>(float low, float high) {
    return pair_of_float16(low, high);
}
template <> __device__ __forceinline__ unsigned pair<bfloat16>(float low, float high) {
    return pair_of_bfloat16(low, high);
}

// Four numbers, rounded, in one store; `to` is at a multiple of its size.
__device__ __forceinline__ void store_four(float *to, const float (&numbers)[4]) { store_16_bytes(to, numbers); }
template <class T> __device__ __forceinline__ void store_four(T *to, const float (&numbers)[4]) {
    store_8_bytes(to, pair<T>(numbers[0], numbers[1]), pair<T>(numbers[2], numbers[3]));
}

// c (16 x 8) += a (16 x 16) b (16 x 8) in either format. sm_75 has half the depth only, and float16 only: the two
// halves of the depth are the two halves of the registers, so the same fragments serve.
template <class T>
__device__ __forceinline__ void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
template <>
__device__ __forceinline__ void multiply_add<float16>(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef MMA_OF_SM_75
    mma_16x8x8_float16(c, {a[0], a[1]}, {b[0]});
    mma_16x8x8_float16(c, {a[2], a[3]}, {b[1]});
#else
    mma_16x8x16_float16(c, a, b);
#endif
}
template <>
__device__ __forceinline__ void multiply_add<bfloat16>(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_16x8x16_bfloat16(c, a, b);
}

// The sum of one number from each of LANES neighbouring lanes, for every one of them, in an order that never changes.
template <int LANES> __device__ __forceinline__ float sum_over_lanes(float value) {
#pragma unroll
    for (int bits = LANES / 2; bits > 0; bits /= 2)
        value += __shfl_xor_sync(0xffffffff, value, bits);
    return value;
}
