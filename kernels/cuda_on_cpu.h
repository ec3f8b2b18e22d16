/* CUDA on a CPU: enough of it that g++ compiles a kernel's own source and runs it, barriers and all.

   g++ -std=c++17 -include cuda_on_cpu.h ...   (minivdit/kernels/emulate.py does it; nothing here is for a GPU)

   How it works. Each CUDA thread of a block is a fiber: a stack of its own and a place to go on from. A fiber
   runs until it has to wait for others (a barrier, or an instruction that a warp does together), then a
   scheduler lets another one run. Blocks run one after the other.

   A GPU runs threads in an order nobody promises, and a test that always sees one kind order misses bugs. So
   the emulation is unkind on purpose:
     - one warp, chosen by the seed, runs as far as the barriers let it before any other moves; inside a warp
       the same holds for threads. Whoever reads what a neighbour hasn't written yet, or overwrites what a
       neighbour hasn't read yet, is caught;
     - shared memory is full of NaN when a block starts, and exactly as large as the launch said;
     - asynchronous copies land as late as the waits allow (what they will overwrite is NaN meanwhile), or at
       once: run a kernel in both ways;
     - a barrier that some threads never reach is an error that says who waits where.
   It can't show timing, bank conflicts, register limits, or races that need two threads at the same instant. */
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// ---- The words of the language ----------------------------------------------------------------------------

#define __global__ static
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct dim3 { unsigned x, y, z; };
inline dim3 threadIdx, blockIdx, blockDim, gridDim; // threadIdx is set each time a fiber goes on

template <class T> T min(T a, T b) { return b < a ? b : a; }
template <class T> T max(T a, T b) { return a < b ? b : a; }
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
template <class To, class From> To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits as before");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline float __uint_as_float(unsigned bits) { return same_bits<float>(bits); }
inline unsigned __float_as_uint(float value) { return same_bits<unsigned>(value); }

namespace cuda_on_cpu {

// ---- Threads, and where they wait -------------------------------------------------------------------------

struct Launch { // as minivdit/kernels/emulate.py fills it in
    int grid[3], block[3];
    int shared_bytes;
    int seed;
    int copies_land_late;
    int traced_block;   // -1: no trace
    int traced_threads; // the first so many threads of that block
};

struct Place { // a line of the kernel; as a default argument it is the caller's line
    const char *file;
    int line;
    bool operator==(const Place &other) const { return line == other.line && !strcmp(file, other.file); }
};
constexpr Place here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }

struct Copy { // an asynchronous copy on its way: `bytes` of memory, of which only `used` are read, the rest is 0
    char *to;
    const char *from;
    int bytes, used, group;
};

enum State { READY, AT_BARRIER, IN_WARP, RETURNED };

struct Thread {
    dim3 index;
    int id, lane;
    State state;
    const char *waits_for; // AT_BARRIER and IN_WARP: for what, where,
    Place place;
    unsigned mask; // with which lanes of the warp,
    void *record;  // and what this lane brings along
    std::vector<Copy> copies;
    int groups; // of copies that were committed
    bool started;
    ucontext_t start; // where a fiber begins
    jmp_buf context;  // where it goes on
    char *stack;
};

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t STACK = 256 << 10;
#else
constexpr size_t STACK = 64 << 10;
#endif

inline Launch launch;
inline void (*kernel)(const void *); // calls the kernel with what `arguments` points to
inline const void *arguments;
inline std::vector<Thread> threads;
inline Thread *current;
inline jmp_buf scheduler;
inline unsigned long long chance;
inline char *shared_bytes;
inline std::string error, trace_text, answer;
inline int phase; // how often all threads of the block have met

inline std::string format(const char *text, va_list values) {
    char line[512];
    vsnprintf(line, sizeof line, text, values);
    return line;
}

inline bool traced(const Thread &thread) {
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    return block == launch.traced_block && thread.id < launch.traced_threads;
}

inline void trace(const Place &place, const char *text, ...) {
    if (!traced(*current))
        return;
    va_list values;
    va_start(values, text);
    char head[80];
    snprintf(head, sizeof head, "thread %-3d line %-4d ", current->id, place.line);
    trace_text += head + format(text, values) + "\n";
    va_end(values);
}

// ---- Fibers -----------------------------------------------------------------------------------------------

// A first entry onto a new stack needs ucontext; from then on setjmp and longjmp switch, because swapcontext asks
// the operating system for the signal mask each time, which takes longer than most things that threads do here.

#if defined(__SANITIZE_ADDRESS__) // AddressSanitizer has to know which stack is in use
inline const void *scheduler_stack;
inline size_t scheduler_stack_size;
inline void leaving(void **keep, const void *stack, size_t size) { __sanitizer_start_switch_fiber(keep, stack, size); }
inline void arrived_at_fiber(void *kept) {
    __sanitizer_finish_switch_fiber(kept, &scheduler_stack, &scheduler_stack_size);
}
inline void arrived_at_scheduler(void *kept) { __sanitizer_finish_switch_fiber(kept, nullptr, nullptr); }
#else
inline const void *scheduler_stack;
inline size_t scheduler_stack_size;
inline void leaving(void **, const void *, size_t) {}
inline void arrived_at_fiber(void *) {}
inline void arrived_at_scheduler(void *) {}
#endif

__attribute__((noinline)) inline void go_on(Thread &thread) { // from the scheduler to a fiber, and back
    current = &thread;
    threadIdx = thread.index;
    void *kept = nullptr;
    leaving(&kept, thread.stack, STACK);
    if (!_setjmp(scheduler)) {
        if (thread.started)
            _longjmp(thread.context, 1);
        thread.started = true;
        setcontext(&thread.start);
    }
    arrived_at_scheduler(kept);
}

__attribute__((noinline)) inline void give_way() { // from a fiber to the scheduler, and back
    void *kept = nullptr;
    leaving(&kept, scheduler_stack, scheduler_stack_size);
    if (!_setjmp(current->context))
        _longjmp(scheduler, 1);
    arrived_at_fiber(kept);
}

inline void fiber() {
    arrived_at_fiber(nullptr);
    for (;;) { // once for each block
        kernel(arguments);
        current->state = RETURNED;
        give_way();
    }
}

inline void fail(const Place &place, const char *text, ...) { // called in a fiber; doesn't come back
    va_list values;
    va_start(values, text);
    error = "thread " + std::to_string(current->id) + ", " + place.file + " line " + std::to_string(place.line) + ": " +
            format(text, values);
    va_end(values);
    for (;;)
        give_way();
}

// ---- The scheduler ----------------------------------------------------------------------------------------

inline unsigned random_below(unsigned end) { // a linear congruential generator; Knuth's MMIX constants
    chance = chance * 6364136223846793005ull + 1442695040888963407ull;
    return (chance >> 33) % end;
}

inline std::vector<unsigned> numbers_below(unsigned end) {
    std::vector<unsigned> numbers(end);
    for (unsigned i = 0; i < end; i++)
        numbers[i] = i;
    return numbers;
}

inline void shuffle_order(std::vector<unsigned> &numbers) {
    for (unsigned i = numbers.size(); i > 1; i--)
        std::swap(numbers[i - 1], numbers[random_below(i)]);
}

inline std::string who_waits_where() {
    std::string text;
    auto alike = [](const Thread &a, const Thread &b) {
        return a.state == b.state && (a.state == RETURNED || (a.place == b.place && a.waits_for == b.waits_for));
    };
    for (size_t first = 0, next; first < threads.size(); first = next) {
        for (next = first + 1; next < threads.size() && alike(threads[first], threads[next]);)
            next++;
        const Thread &thread = threads[first];
        text += text.empty() ? "thread" : "; thread";
        text += next == first + 1 ? " " + std::to_string(first)
                                  : "s " + std::to_string(first) + " to " + std::to_string(next - 1);
        text += thread.state == RETURNED ? " returned"
                                         : std::string(" waiting at ") + thread.waits_for + ", " + thread.place.file +
                                               " line " + std::to_string(thread.place.line);
    }
    return text;
}

inline bool everyone_met() {
    for (const Thread &thread : threads)
        if (thread.state != AT_BARRIER || !(thread.place == threads[0].place))
            return false;
    return true;
}

inline bool everyone_returned() {
    for (const Thread &thread : threads)
        if (thread.state != RETURNED)
            return false;
    return true;
}

inline void run_block() {
    memset(shared_bytes, 0xff, launch.shared_bytes); // all ones is NaN in every floating-point format
    phase = 0;
    for (Thread &thread : threads) {
        thread.state = READY;
        thread.copies.clear();
        thread.groups = 0;
    }
    std::vector<unsigned> warps = numbers_below((threads.size() + 31) / 32), lanes = numbers_below(32);
    for (;;) {
        shuffle_order(warps);
        shuffle_order(lanes);
        for (unsigned warp : warps)
            for (bool moved = true; moved;) { // as far as this warp gets by itself
                moved = false;
                for (unsigned lane : lanes) {
                    size_t id = warp * 32 + lane;
                    if (id < threads.size() && threads[id].state == READY) {
                        go_on(threads[id]);
                        moved = true;
                        if (!error.empty())
                            return;
                    }
                }
            }
        if (everyone_returned())
            return;
        if (!everyone_met()) {
            error = "not all threads of the block meet: " + who_waits_where();
            return;
        }
        current = &threads[0];
        trace(current->place, "---- all %zu threads are at %s: phase %d begins", threads.size(), current->waits_for,
              ++phase);
        for (Thread &thread : threads)
            thread.state = READY;
    }
}

// Run a kernel's body for all threads of all blocks. Returns "" or what went wrong; the trace is in trace_text.
inline const char *run(const Launch &how, void (*body)(const void *), const void *given) {
    launch = how;
    kernel = body;
    arguments = given;
    error.clear();
    trace_text.clear();
    chance = how.seed;
    gridDim = {unsigned(how.grid[0]), unsigned(how.grid[1]), unsigned(how.grid[2])};
    blockDim = {unsigned(how.block[0]), unsigned(how.block[1]), unsigned(how.block[2])};
    size_t count = size_t(blockDim.x) * blockDim.y * blockDim.z;
    void *aligned = nullptr;
    if (posix_memalign(&aligned, 1024, how.shared_bytes))
        return "not enough memory";
    shared_bytes = static_cast<char *>(aligned);
    threads = std::vector<Thread>(count);
    for (size_t id = 0; id < count; id++) {
        Thread &thread = threads[id];
        thread.id = id;
        thread.lane = id % 32;
        thread.index = {unsigned(id % blockDim.x), unsigned(id / blockDim.x % blockDim.y),
                        unsigned(id / blockDim.x / blockDim.y)};
        thread.stack = static_cast<char *>(malloc(STACK));
        getcontext(&thread.start);
        thread.start.uc_stack.ss_sp = thread.stack;
        thread.start.uc_stack.ss_size = STACK;
        makecontext(&thread.start, fiber, 0);
    }
    std::vector<unsigned> blocks = numbers_below(gridDim.x * gridDim.y * gridDim.z);
    shuffle_order(blocks);
    for (unsigned block : blocks) {
        blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / gridDim.x / gridDim.y};
        run_block();
        if (!error.empty()) {
            error = "block " + std::to_string(block) + ": " + error;
            break;
        }
    }
    for (Thread &thread : threads)
        free(thread.stack);
    free(shared_bytes);
    answer = error;
    return answer.c_str();
}

// ---- Waiting for others -----------------------------------------------------------------------------------

inline void wait_at_barrier(const char *name, const Place &place) {
    trace(place, "waits at %s", name);
    current->state = AT_BARRIER;
    current->waits_for = name;
    current->place = place;
    give_way();
}

// What a warp does together: each lane brings a record, the last to arrive computes all results with
// `together(records of the lanes, mask)`, and everyone goes on.
template <class Record>
void meet(unsigned mask, const char *name, const Place &place, Record &mine, void (*together)(Record **, unsigned)) {
    if (!(mask >> current->lane & 1))
        fail(place, "%s with mask %#x, in which this thread itself is missing", name, mask);
    current->state = IN_WARP;
    current->waits_for = name;
    current->place = place;
    current->mask = mask;
    current->record = &mine;
    Thread *warp = current - current->lane;
    Record *records[32] = {};
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) {
            bool there = size_t(warp + lane - threads.data()) < threads.size() && warp[lane].state == IN_WARP &&
                         warp[lane].waits_for == name && warp[lane].place == place && warp[lane].mask == mask;
            if (!there)
                return give_way();
            records[lane] = static_cast<Record *>(warp[lane].record);
        }
    together(records, mask);
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1)
            warp[lane].state = READY;
}

template <class T> struct Shuffle {
    T value;
    int from;
    T result;
};

template <class T> T shuffle(unsigned mask, const char *name, const Place &place, T value, int from) {
    if (from < 0 || from > 31 || !(mask >> from & 1))
        fail(place, "%s from lane %d, which isn't in mask %#x", name, from, mask);
    Shuffle<T> mine{value, from, value};
    meet<Shuffle<T>>(mask, name, place, mine, [](Shuffle<T> **lanes, unsigned mask) {
        for (int lane = 0; lane < 32; lane++)
            if (mask >> lane & 1)
                lanes[lane]->result = lanes[lanes[lane]->from]->value;
    });
    return mine.result;
}

} // namespace cuda_on_cpu

#define TRACE(...) cuda_on_cpu::trace(cuda_on_cpu::here(), __VA_ARGS__)

inline void __syncthreads(cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::wait_at_barrier("__syncthreads", place);
}

inline void __syncwarp(unsigned mask = ~0u, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    int nothing;
    cuda_on_cpu::meet<int>(mask, "__syncwarp", place, nothing, [](int **, unsigned) {});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int from, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    return cuda_on_cpu::shuffle(mask, "__shfl_sync", place, value, from);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    return cuda_on_cpu::shuffle(mask, "__shfl_xor_sync", place, value, cuda_on_cpu::current->lane ^ bits);
}

template <class T> // lanes that would read past the end of the warp keep their own value
T __shfl_down_sync(unsigned mask, T value, int by, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    int lane = cuda_on_cpu::current->lane;
    return cuda_on_cpu::shuffle(mask, "__shfl_down_sync", place, value, lane + by < 32 ? lane + by : lane);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, int by, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    int lane = cuda_on_cpu::current->lane;
    return cuda_on_cpu::shuffle(mask, "__shfl_up_sync", place, value, lane >= by ? lane - by : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    unsigned mine = predicate != 0;
    cuda_on_cpu::meet<unsigned>(mask, "__ballot_sync", place, mine, [](unsigned **lanes, unsigned mask) {
        unsigned votes = 0;
        for (int lane = 0; lane < 32; lane++)
            votes |= (mask >> lane & 1) && *lanes[lane] ? 1u << lane : 0;
        for (int lane = 0; lane < 32; lane++)
            if (mask >> lane & 1)
                *lanes[lane] = votes;
    });
    return mine;
}

// ---- The emulated half of common.cuh: the same functions that stand there as PTX, with the same names --------

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

inline unsigned bits_of_tf32(float value) { return (__float_as_uint(value) + 0x1000) & ~0x1fffu; } // ties away from 0

// cp.async: 16 bytes from global to shared memory, or zeros if it isn't `wanted`.
inline void copy_async(void *to, const void *from, bool wanted = true, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    Copy copy{static_cast<char *>(to), static_cast<const char *>(from), 16, wanted ? 16 : 0, current->groups};
    if (copy.to < shared_bytes || copy.to + 16 > shared_bytes + launch.shared_bytes)
        fail(place, "an asynchronous copy to an address outside shared memory");
    if (reinterpret_cast<size_t>(to) % 16 || reinterpret_cast<size_t>(from) % 16)
        fail(place, "an asynchronous copy of 16 bytes from or to an address that isn't a multiple of 16");
    memset(copy.to, launch.copies_land_late ? 0xff : 0, 16);
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
