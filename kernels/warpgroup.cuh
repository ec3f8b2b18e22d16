/* Products of a warpgroup: the matrix instructions that sm_90a has and no other architecture.

   A warpgroup is four neighbouring warps, the first of which has a number that 4 divides. Together they issue
   wgmma.mma_async: sum (64 x N) += left (64 x 16) right (16 x N), with N up to 256. Three things are new.
     The right factor, and the left one if one likes, stay in shared memory: the tensor cores fetch them by themselves,
     and no ldmatrix and no register is spent on them. A "descriptor" says where they lie and how.
     The instruction returns at once. Until a wait has seen it finished, nobody may touch its registers, nor write
     where it reads.
     So one has to say when registers and shared memory are ready: fences.

   The order, then, is
       copies land, or are written; async_proxy_fence, by who wrote; a barrier;
       warpgroup_fence(registers) for those that were read or written since the last wait;
       wgmma, once or many times; warpgroup_commit: what was issued is a group;
       warpgroup_wait<groups that may still be under way>(registers that may be used from here on).
   fence and wait name registers for the compiler's sake: it knows that their contents are needed or new there, and
   moves no instruction that uses them across. (PTX's own instructions name none.)

   A sum is spread over registers as in fragments.cuh, warp w of the group having rows 16 w to 16 w + 15; so is a left
   factor in registers. All this is from the PTX manual, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate
   Instructions": there, "Matrix Descriptor Format" and "Canonical Layouts" say where numbers lie in shared memory. */
#pragma once
#include "fragments.cuh"

using Descriptor = unsigned long long;

// How pieces of 16 bytes change places in shared memory: within rows of 128, 64 or 32 bytes, or not at all.
constexpr int NO_SWIZZLE = 0, SWIZZLE_128_BYTES = 1, SWIZZLE_64_BYTES = 2, SWIZZLE_32_BYTES = 3;

/* Where a factor lies. `start` is a multiple of 16; what `leading_bytes` and `stride_bytes` mean depends:
     along the depth (not ACROSS; a row of the left factor or a column of the right one in one piece): stride_bytes from
     8 rows to the next 8. Swizzled, leading_bytes isn't looked at and by custom 16; else it is the distance of the two
     pieces that 16 numbers make.
     ACROSS it, swizzled: a row of 128, 64 or 32 bytes lies in one piece, numbers at one place of the depth.
     stride_bytes from 8 such rows to the next 8, leading_bytes from so many columns as a row has to the next ones.
     Unswizzled, with rows of 16 bytes, it is the other way around. */
__device__ __forceinline__ Descriptor matrix_descriptor(const void *start, unsigned leading_bytes,
                                                        unsigned stride_bytes, int swizzle) {
    return Descriptor(address_in_shared(start) >> 4 & 0x3fff) | Descriptor(leading_bytes >> 4 & 0x3fff) << 16 |
           Descriptor(stride_bytes >> 4 & 0x3fff) << 32 | Descriptor(swizzle) << 62;
}
__device__ __forceinline__ Descriptor moved(Descriptor descriptor, unsigned bytes) { return descriptor + (bytes >> 4); }

#ifdef __CUDACC__

// What ordinary instructions of this thread, cp.async among them, wrote to shared memory can be read by wgmma after it.
__device__ __forceinline__ void async_proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// For the compiler: these registers are used here.
template <int N> __device__ __forceinline__ void use(float (&sum)[N][4]) {
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            asm volatile("" : "+f"(sum[j][i])::"memory");
}
template <int N> __device__ __forceinline__ void use(unsigned (&left)[N][4]) {
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            asm volatile("" : "+r"(left[j][i])::"memory");
}

template <class... REGISTERS> __device__ __forceinline__ void warpgroup_fence(REGISTERS &...registers) {
    (use(registers), ...);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int UNDER_WAY, class... REGISTERS> __device__ __forceinline__ void warpgroup_wait(REGISTERS &...registers) {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(UNDER_WAY) : "memory");
    (use(registers), ...);
}

// wgmma: sum (64 x 8 J) = left right, to which the old sum is added if `add`; J is 4, 8 or 16. The first argument, a
// T(), says which format the factors have. left is a Descriptor, along the depth, or four registers; right lies along
// the depth or ACROSS it.
// clang-format off
#define SUM_4(j) \
    "+f"(sum[j][0]), "+f"(sum[j][1]), "+f"(sum[j][2]), "+f"(sum[j][3]), \
    "+f"(sum[j + 1][0]), "+f"(sum[j + 1][1]), "+f"(sum[j + 1][2]), "+f"(sum[j + 1][3]), \
    "+f"(sum[j + 2][0]), "+f"(sum[j + 2][1]), "+f"(sum[j + 2][2]), "+f"(sum[j + 2][3]), \
    "+f"(sum[j + 3][0]), "+f"(sum[j + 3][1]), "+f"(sum[j + 3][2]), "+f"(sum[j + 3][3])
#define SUM_8(j) SUM_4(j), SUM_4(j + 4)
#define SUM_16(j) SUM_8(j), SUM_8(j + 8)
#define PLACES_4 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define PLACES_8 PLACES_4 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define PLACES_16 PLACES_8 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
    ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

#define WGMMA(T, FORMAT, J, N, A, B, C, D, E, F, G) \
    template <bool ACROSS> __device__ __forceinline__ \
    void wgmma(const T &, float (&sum)[J][4], Descriptor left, Descriptor right, bool add) { \
        asm volatile("{.reg .pred add; setp.ne.b32 add, " C ", 0; wgmma.mma_async.sync.aligned.m64n" N "k16.f32." \
                     FORMAT "." FORMAT " {" PLACES_##J "}, " A ", " B ", add, 1, 1, 0, " D ";}" \
                     : SUM_##J(0) : "l"(left), "l"(right), "r"(int(add)), "n"(int(ACROSS))); \
    } \
    template <bool ACROSS> __device__ __forceinline__ \
    void wgmma(const T &, float (&sum)[J][4], const unsigned (&left)[4], Descriptor right, bool add) { \
        asm volatile("{.reg .pred add; setp.ne.b32 add, " F ", 0; wgmma.mma_async.sync.aligned.m64n" N "k16.f32." \
                     FORMAT "." FORMAT " {" PLACES_##J "}, {" A ", " B ", " C ", " D "}, " E ", add, 1, 1, " G ";}" \
                     : SUM_##J(0) : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), \
                       "r"(int(add)), "n"(int(ACROSS))); \
    }
#define WGMMAS(T, FORMAT) \
    WGMMA(T, FORMAT, 4, "32", "%16", "%17", "%18", "%19", "%20", "%21", "%22") \
    WGMMA(T, FORMAT, 8, "64", "%32", "%33", "%34", "%35", "%36", "%37", "%38") \
    WGMMA(T, FORMAT, 16, "128", "%64", "%65", "%66", "%67", "%68", "%69", "%70")
WGMMAS(float16, "f16")
WGMMAS(bfloat16, "bf16")
// clang-format on

#endif

// A tile as wgmma wants it: panels of up to 64 columns side by side, in which pieces change places from row to row as
// the hardware does it: of a piece's address, bits 4 to 6 change with bits 7 to 9 (in rows of 64 bytes, bits 4 and 5
// with bits 7 and 8). A pattern begins anew every 8 rows, so a tile begins at a multiple of 1,024.
template <int TILE_ROWS, int WIDTH> struct Panels {
    static constexpr int ROWS = TILE_ROWS, PIECES = WIDTH / 8, COLUMNS = WIDTH < 64 ? WIDTH : 64, PLACES = COLUMNS / 8;
    static constexpr int ROW_BYTES = 2 * COLUMNS, PANEL_BYTES = ROWS * ROW_BYTES;
    static constexpr int SWIZZLE = COLUMNS == 64 ? SWIZZLE_128_BYTES : SWIZZLE_64_BYTES;
    alignas(1024) unsigned short numbers[WIDTH / COLUMNS][ROWS][COLUMNS];

    __device__ __forceinline__ void *piece(int row, int piece) {
        unsigned turn = unsigned(row) * PLACES / 8 % PLACES;
        return &numbers[piece / PLACES][row][8 * (piece % PLACES ^ turn)];
    }
    // As a factor whose depth is the width: the step-th 16 numbers of its rows, from the first or another row on.
    __device__ __forceinline__ Descriptor along(int row = 0) const {
        return moved(matrix_descriptor(numbers, 16, 8 * ROW_BYTES, SWIZZLE), row * ROW_BYTES);
    }
    static __device__ __forceinline__ Descriptor step_along(Descriptor along, int step) {
        return moved(along, 16 * step / COLUMNS * PANEL_BYTES + 16 * step % COLUMNS * 2);
    }
    // As a right factor whose depth are the rows: the step-th 16 of them.
    __device__ __forceinline__ Descriptor across() const {
        return matrix_descriptor(numbers, PANEL_BYTES, 8 * ROW_BYTES, SWIZZLE);
    }
    static __device__ __forceinline__ Descriptor step_across(Descriptor across, int step) {
        return moved(across, 16 * step * ROW_BYTES);
    }
};
