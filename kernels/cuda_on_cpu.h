/* CUDA on a CPU: enough of it that g++ compiles a kernel's own source and runs it, barriers and all.

   g++ -std=c++17 -include cuda_on_cpu.h ...   (minivdit/kernels/emulate.py does it; nothing here is for a GPU)

   How it works. Each CUDA thread of a block is a fiber: a stack of its own and a place to go on from. A fiber
   runs until it has to wait for others (a barrier, or an instruction that a warp does together), then a
   scheduler lets another one run. Blocks run one after the other.

   A GPU runs threads in an order nobody promises, and a test that always sees one kind order misses bugs. So
   the emulation is unkind on purpose:
     - one warp, chosen by the seed, runs as far as the barriers let it before any other moves, and the last one
       moves when all others wait; inside a warp the same holds for threads. Whoever reads what a neighbour hasn't written yet, or overwrites what a
       neighbour hasn't read yet, is caught;
     - shared memory is full of NaN when a block starts, and exactly as large as the launch said;
     - asynchronous copies land as late as the waits allow (what they will overwrite is NaN meanwhile), or at
       once: run a kernel in both ways. So with products of a warpgroup, which read as late as that, or at once;
     - a barrier that some threads never reach is an error that says who waits where. So is an arrival that never comes.
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
inline int __ffs(int bits) { return __builtin_ffs(bits); }
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

struct Product { // of a warpgroup, on its way: one lane's share of sum (64 x columns) = left right (+ sum)
    int columns;
    float *sum;           // registers: NaN until a wait has seen the product finished
    const unsigned *left; // registers, with what they `held` when it was issued; or nullptr, and
    unsigned held[4];
    unsigned long long left_descriptor, right_descriptor;
    bool across, add;
    float (*value)(unsigned short);
    int group;
    Place place;
    bool made; // the result is there: (columns / 2) numbers; before that, what it is added to
    std::vector<float> result;
};

struct Registers { // what some registers held at a fence
    const char *from;
    std::vector<char> held;
};

enum State { READY, AT_BARRIER, AT_NAMED_BARRIER, AT_MBARRIER, IN_WARP, RETURNED };

struct Thread {
    dim3 index;
    int id, lane;
    State state;
    const char *waits_for; // neither READY nor RETURNED: for what, where;
    Place place;
    unsigned mask; // IN_WARP: with which lanes of the warp,
    void *record;  // and what this lane brings along;
    int barrier;   // AT_NAMED_BARRIER: at which; AT_MBARRIER: for the end of a phase of which parity,
    const unsigned long long *mbarrier; // and of which mbarrier
    std::vector<Copy> copies;
    int groups; // of copies that were committed
    std::vector<Product> products;
    int product_groups;
    std::vector<Registers> fenced;    // registers that products may use
    unsigned long long in_warpgroup; // a hash of what this thread did as one of a warpgroup
    bool started;
    ucontext_t start; // where a fiber begins
    jmp_buf context;  // where it goes on
    char *stack;
};

struct NamedBarrier {
    int count; // of threads that have to arrive
    std::vector<int> arrived;
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
inline std::vector<char> async_view; // shared memory as products of a warpgroup see it,
inline std::vector<int> hidden_by;   // and whose copy to each 16 bytes of it awaits a fence: its thread + 1, or 0
inline NamedBarrier named_barriers[16];
inline bool changes_place; // the warp of the running thread, in the order in which warps go on
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

inline bool phase_is_over(unsigned long long mbarrier, int parity);

inline bool can_go_on(Thread &thread) {
    if (thread.state == AT_MBARRIER && phase_is_over(*thread.mbarrier, thread.barrier))
        thread.state = READY;
    return thread.state == READY;
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

inline const Thread *unlike_its_warpgroup() { // somebody, or nullptr
    for (const Thread &thread : threads)
        if (thread.in_warpgroup != threads[thread.id / 128 * 128].in_warpgroup)
            return &thread;
    return nullptr;
}

inline const Thread *with_products_under_way() {
    for (const Thread &thread : threads)
        if (!thread.products.empty())
            return &thread;
    return nullptr;
}

inline void run_block() {
    memset(shared_bytes, 0xff, launch.shared_bytes); // all ones is NaN in every floating-point format
    async_view.assign(launch.shared_bytes, char(0xff));
    hidden_by.assign(launch.shared_bytes / 16 + 1, 0);
    for (NamedBarrier &barrier : named_barriers)
        barrier.arrived.clear();
    phase = 0;
    for (Thread &thread : threads) {
        thread.state = READY;
        thread.copies.clear();
        thread.groups = 0;
        thread.products.clear();
        thread.product_groups = 0;
        thread.fenced.clear();
        thread.in_warpgroup = 0;
    }
    std::vector<unsigned> warps = numbers_below((threads.size() + 31) / 32), lanes = numbers_below(32);
    for (;;) {
        shuffle_order(warps);
        shuffle_order(lanes);
        for (size_t first = 0; first < warps.size();) { // the first warp in this order that can move at all
            bool moved = changes_place = false;
            for (unsigned i = 0; i < 32 && !changes_place; i++) {
                size_t id = warps[first] * 32 + lanes[i];
                if (id < threads.size() && can_go_on(threads[id])) {
                    go_on(threads[id]);
                    moved = true;
                    if (!error.empty())
                        return;
                }
            }
            if (changes_place) {
                unsigned warp = warps[first];
                warps.erase(warps.begin() + first);
                warps.insert(warps.begin() + random_below(warps.size() + 1), warp);
            }
            first = moved ? 0 : first + 1;
        }
        bool returned = everyone_returned();
        if (!returned && !everyone_met()) {
            error = "not all threads of the block meet: " + who_waits_where();
            return;
        }
        if (const Thread *thread = unlike_its_warpgroup())
            error = "thread " + std::to_string(thread->id) + " didn't do the same as others of its warpgroup";
        if (returned && with_products_under_way())
            error = "a thread returned while a product of its warpgroup was under way";
        if (returned || !error.empty())
            return;
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

#include "instructions_on_cpu.h"
#include "warpgroup_on_cpu.h"
#include "pipeline_on_cpu.h"
