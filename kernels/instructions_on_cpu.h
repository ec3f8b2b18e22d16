/* The emulated half of common.cuh: the functions that stand there as PTX, with the same names, in plain C++.

   Included by cuda_on_cpu.h, which says how the emulation works. What a warp does together goes through `meet`: each
   lane brings a record, the last to arrive computes all results. */
#pragma once

// The block's shared memory, as large as the launch said, seen as one struct.
template <class T> T &shared_memory(cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    if (sizeof(T) != size_t(cuda_on_cpu::launch.shared_bytes))
        cuda_on_cpu::fail(place, "the kernel uses %zu bytes of shared memory, the launch gives it %d", sizeof(T),
                          cuda_on_cpu::launch.shared_bytes);
    return *reinterpret_cast<T *>(cuda_on_cpu::shared_bytes);
}

// Rounding to 16 bits, to the nearest and to even on a tie, as cvt.rn does.
inline unsigned short bits_of_bfloat16(float value) {
    unsigned bits = __float_as_uint(value);
    if (value != value)
        return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
inline float value_of_bfloat16(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

inline unsigned short bits_of_float16(float value) {
    unsigned sign = __float_as_uint(value) >> 16 & 0x8000;
    float size = fabsf(value);
    if (value != value)
        return 0x7fff;
    if (size >= 65520.0f) // half way from the largest number, 65504, to the next power of two
        return sign | 0x7c00;
    if (size < 0x1p-14f) // subnormal: a whole multiple of 2**-24
        return sign | unsigned(nearbyintf(size * 0x1p24f));
    unsigned bits = __float_as_uint(size);
    return sign | ((bits + 0xfff + (bits >> 13 & 1) - (112u << 23)) >> 13);
}
inline float value_of_float16(unsigned short bits) {
    float sign = bits & 0x8000 ? -1.0f : 1.0f;
    int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexpf(1024 + fraction, exponent - 25) : ldexpf(fraction, -24));
}

inline unsigned pair_of_float16(float low, float high) {
    return bits_of_float16(low) | unsigned(bits_of_float16(high)) << 16;
}
inline unsigned pair_of_bfloat16(float low, float high) {
    return bits_of_bfloat16(low) | unsigned(bits_of_bfloat16(high)) << 16;
}

inline float exp2_fast(float x) { return exp2f(x); }

inline unsigned bits_of_tf32(float value) { return (__float_as_uint(value) + 0x1000) & ~0x1fffu; } // ties away from 0

inline unsigned address_in_shared(const void *pointer) {
    return static_cast<const char *>(pointer) - cuda_on_cpu::shared_bytes;
}

namespace cuda_on_cpu {

inline void hide_from_products(const Copy &copy) { // until this thread has fenced it
    unsigned at = address_in_shared(copy.to);
    memset(&async_view[at], 0xff, 16);
    hidden_by[at / 16] = current->id + 1;
}

} // namespace cuda_on_cpu

// One store of 16 or of 8 bytes to global memory, at a multiple of that.
inline void store_16_bytes(float *to, const float (&numbers)[4], cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    if (reinterpret_cast<size_t>(to) % 16)
        cuda_on_cpu::fail(place, "a store of 16 bytes to an address that isn't a multiple of 16");
    memcpy(to, numbers, 16);
}
inline void store_8_bytes(void *to, unsigned low, unsigned high, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    if (reinterpret_cast<size_t>(to) % 8)
        cuda_on_cpu::fail(place, "a store of 8 bytes to an address that isn't a multiple of 8");
    unsigned both[2] = {low, high};
    memcpy(to, both, 8);
}

// cp.async: 16 bytes from global to shared memory, or zeros if it isn't `wanted`.
inline void copy_async(void *to, const void *from, bool wanted = true, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    Copy copy{static_cast<char *>(to), static_cast<const char *>(from), 16, wanted ? 16 : 0, current->groups};
    if (copy.to < shared_bytes || copy.to + 16 > shared_bytes + launch.shared_bytes)
        fail(place, "an asynchronous copy to an address outside shared memory");
    if (reinterpret_cast<size_t>(to) % 16 || reinterpret_cast<size_t>(from) % 16)
        fail(place, "an asynchronous copy of 16 bytes from or to an address that isn't a multiple of 16");
    memset(copy.to, launch.copies_land_late ? 0xff : 0, 16);
    hide_from_products(copy);
    if (launch.copies_land_late)
        current->copies.push_back(copy);
    else
        memcpy(copy.to, copy.from, copy.used);
}

inline void copy_async_commit() { cuda_on_cpu::current->groups++; } // what was begun so far is a group

// Wait until all groups but the last `UNDER_WAY` have landed. (Then a barrier is needed: others' copies, too.)
template <int UNDER_WAY> void copy_async_wait() {
    using namespace cuda_on_cpu;
    std::vector<Copy> still;
    for (const Copy &copy : current->copies)
        if (copy.group < current->groups - UNDER_WAY) {
            memset(copy.to, 0, copy.bytes);
            memcpy(copy.to, copy.from, copy.used);
            hide_from_products(copy);
        } else {
            still.push_back(copy);
        }
    current->copies = still;
}

// ldmatrix: COUNT matrices of 8 x 8 numbers of 16 bits. Lane 8 m + r brings the address of row r of matrix m;
// lane 4 r + c gets numbers 2 c and 2 c + 1 of row r (of column r, if TRANSPOSED) of each.
template <int COUNT> struct MatrixRows {
    const unsigned short *row;
    unsigned result[COUNT];
};

template <bool TRANSPOSED, int COUNT>
void load_matrices(unsigned (&result)[COUNT], const void *row, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    if (reinterpret_cast<size_t>(row) % 16)
        fail(place, "ldmatrix with a row at an address that isn't a multiple of 16");
    const char *bytes = static_cast<const char *>(row);
    if (current->lane < 8 * COUNT && (bytes < shared_bytes || bytes + 16 > shared_bytes + launch.shared_bytes))
        fail(place, "ldmatrix with a row outside shared memory");
    MatrixRows<COUNT> mine{static_cast<const unsigned short *>(row), {}};
    meet<MatrixRows<COUNT>>(~0u, "ldmatrix", place, mine, [](MatrixRows<COUNT> **lanes, unsigned) {
        for (int lane = 0; lane < 32; lane++)
            for (int m = 0; m < COUNT; m++) {
                int r = lane / 4, c = 2 * (lane % 4);
                unsigned low = TRANSPOSED ? lanes[8 * m + c]->row[r] : lanes[8 * m + r]->row[c];
                unsigned high = TRANSPOSED ? lanes[8 * m + c + 1]->row[r] : lanes[8 * m + r]->row[c + 1];
                lanes[lane]->result[m] = high << 16 | low;
            }
    });
    memcpy(result, mine.result, sizeof mine.result);
}

namespace cuda_on_cpu {

// mma.sync: c (16 x 8) += a (16 x DEPTH) b (DEPTH x 8), each spread over the registers of a warp. With
// row = lane / 4 and column = lane % 4 (PTX calls them groupID and threadID_in_group), a lane holds, of
//   c: rows row and row + 8, columns 2 column and 2 column + 1;
//   a: pairs of 16-bit numbers at columns 2 column (+ 8), rows row and row + 8; or one tf32 number a register,
//      at columns column and column + 4;
//   b: as a, transposed, with the one "row" lane / 4.
// The sum is exact here and rounded once; a tensor core rounds in between, in ways of its own.
template <int A, int B> struct Fragments {
    const unsigned *a, *b;
    float *c;
};

template <int DEPTH, class FRAGMENTS>
void add_product(FRAGMENTS **lanes, const float (&a)[16][DEPTH], const float (&b)[DEPTH][8]) {
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            int row = lane / 4 + i / 2 * 8, column = 2 * (lane % 4) + i % 2;
            double sum = lanes[lane]->c[i];
            for (int k = 0; k < DEPTH; k++)
                sum += double(a[row][k]) * b[k][column];
            lanes[lane]->c[i] = sum;
        }
}

template <int DEPTH, int A, int B, float (*VALUE)(unsigned short)>
void multiply_16_bit(Fragments<A, B> **lanes, unsigned) {
    float a[16][DEPTH], b[DEPTH][8];
    for (int lane = 0; lane < 32; lane++)
        for (int half = 0; half < 2; half++) { // the low and the high half of a register
            int row = lane / 4, column = 2 * (lane % 4) + half;
            for (int i = 0; i < A; i++)
                a[row + i % 2 * 8][column + i / 2 * 8] = VALUE(lanes[lane]->a[i] >> 16 * half);
            for (int i = 0; i < B; i++)
                b[column + i * 8][row] = VALUE(lanes[lane]->b[i] >> 16 * half);
        }
    add_product<DEPTH>(lanes, a, b);
}

inline void multiply_tf32(Fragments<4, 2> **lanes, unsigned) {
    float a[16][8], b[8][8];
    auto value = [](unsigned bits) { return __uint_as_float(bits & ~0x1fffu); }; // the hardware reads no more bits
    for (int lane = 0; lane < 32; lane++) {
        int row = lane / 4, column = lane % 4;
        for (int i = 0; i < 4; i++)
            a[row + i % 2 * 8][column + i / 2 * 4] = value(lanes[lane]->a[i]);
        for (int i = 0; i < 2; i++)
            b[column + i * 4][row] = value(lanes[lane]->b[i]);
    }
    add_product<8>(lanes, a, b);
}

template <int A, int B>
void multiply(const char *name, const Place &place, float (&c)[4], const unsigned (&a)[A], const unsigned (&b)[B],
              void (*together)(Fragments<A, B> **, unsigned)) {
    Fragments<A, B> mine{a, b, c};
    meet<Fragments<A, B>>(~0u, name, place, mine, together);
}

} // namespace cuda_on_cpu

inline void mma_16x8x16_float16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    multiply("mma.m16n8k16 (float16)", place, c, a, b, multiply_16_bit<16, 4, 2, value_of_float16>);
}
inline void mma_16x8x16_bfloat16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                 cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    multiply("mma.m16n8k16 (bfloat16)", place, c, a, b, multiply_16_bit<16, 4, 2, value_of_bfloat16>);
}
inline void mma_16x8x8_float16(float (&c)[4], const unsigned (&a)[2], const unsigned (&b)[1],
                               cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    multiply("mma.m16n8k8 (float16)", place, c, a, b, multiply_16_bit<8, 2, 1, value_of_float16>);
}
inline void mma_16x8x8_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                            cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    multiply("mma.m16n8k8 (tf32)", place, c, a, b, multiply_tf32);
}
