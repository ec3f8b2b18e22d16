/* What all attention kernels share: their arguments, and who works on what.

   Arrays are (batch, heads, tokens, width), each given as Rows: a pointer and the distance between clips, heads
   and tokens, counted in numbers. So q, k and v may be views of the one array (batch, tokens, 3, heads, width)
   that a model's projection makes, and nothing is copied. Only the numbers of a row lie side by side. */
#pragma once
#include "common.cuh"

template <class T> struct Rows {
    T *data;
    long long batch, head, token; // 64 bits: a long clip passes 2^31 numbers

    __device__ __forceinline__ T *of(int in_batch, int in_head) const {
        return data + in_batch * batch + in_head * head;
    }
    __device__ __forceinline__ T *row(int in_batch, int in_head, int in_tokens) const {
        return of(in_batch, in_head) + in_tokens * token;
    }
};

// The smallest and the largest time of IN_RANGE tokens side by side.
struct alignas(8) Range {
    int smallest, largest;
};
constexpr int IN_RANGE = 16; // no tile is smaller

/* out = softmax(scale * q k^T) v, and log_sum_exp = log(sum_j exp(scale * q . k_j)), which the backward pass needs.
   Key j is visible to query i if key_time[j] <= query_time[i]; without times (data is null), every key is. A query
   that sees nothing gets zeros, and -infinity as its log_sum_exp. */
template <class T> struct Forward {
    Rows<const T> q, k, v;
    Rows<T> out;
    Rows<float> log_sum_exp; // (batch, heads, queries), as the times are
    Rows<const int> query_time, key_time;
    Range *query_ranges, *key_ranges; // (batch, heads, ranges) side by side, if there are times; or null
    float *scores; // (batch, heads, queries, keys), for rung 1 only
    int batch, heads, queries, keys;
    float scale;
};

/* The gradients of q, k and v, given out_grad. row_sums[i] = sum_c out_grad[i, c] out[i, c] is computed first:
   with weights p = exp(scale * q k^T - log_sum_exp) and their gradient dp = out_grad v^T, the pullback of softmax is
   ds = p (dp - row_sums), and then q_grad = scale ds k, k_grad = scale ds^T q, v_grad = p^T out_grad. */
template <class T> struct Backward {
    Rows<const T> q, k, v, out, out_grad;
    Rows<const float> log_sum_exp;
    Rows<float> row_sums;
    Rows<T> q_grad, k_grad, v_grad;
    Rows<const int> query_time, key_time;
    Range *query_ranges, *key_ranges;
    int batch, heads, queries, keys;
    float scale;
};

// Blocks are numbered along one axis (the others end at 65,535): tiles of rows fastest, so that blocks which run at
// the same time read the same keys and values; then heads, then clips.
struct Work {
    int batch, head, first; // of the rows that this block works on
};
__device__ __forceinline__ Work my_work(int heads, int rows, int rows_of_a_block) {
    int tiles = (rows + rows_of_a_block - 1) / rows_of_a_block, block = blockIdx.x;
    return {block / tiles / heads, block / tiles % heads, block % tiles * rows_of_a_block};
}

// Rows past the end get times at which nothing is seen and nobody sees, so that tails and masks are one rule.
constexpr int NEVER = 2147483647, BEFORE_ALL = -2147483647;

__device__ __forceinline__ int time_of_key(const Rows<const int> &times, Work work, int key, int keys) {
    return key >= keys ? NEVER : times.data ? *times.row(work.batch, work.head, key) : 0;
}
__device__ __forceinline__ int time_of_query(const Rows<const int> &times, Work work, int query, int queries) {
    return query >= queries ? BEFORE_ALL : times.data ? *times.row(work.batch, work.head, query) : 0;
}

// ---- Tiles that a mask hides whole ------------------------------------------------------------------------------

__device__ __forceinline__ int my_lane() { return threadIdx.x % 32; }
__device__ __forceinline__ int ranges_in(int tokens) { return (tokens + IN_RANGE - 1) / IN_RANGE; }

// This head's ranges.
template <class ARGUMENTS> __device__ __forceinline__ Range *query_ranges(const ARGUMENTS &a, Work work) {
    return a.query_ranges + (work.batch * a.heads + work.head) * static_cast<long long>(ranges_in(a.queries));
}
template <class ARGUMENTS> __device__ __forceinline__ Range *key_ranges(const ARGUMENTS &a, Work work) {
    return a.key_ranges + (work.batch * a.heads + work.head) * static_cast<long long>(ranges_in(a.keys));
}

__device__ __forceinline__ void write_range(Range *ranges, const Rows<const int> &times, Work work, int index, int end) {
    Range range = {NEVER, BEFORE_ALL};
    for (int token = IN_RANGE * index; token < min(IN_RANGE * (index + 1), end); token++) {
        int time = *times.row(work.batch, work.head, token);
        range = {min(range.smallest, time), max(range.largest, time)};
    }
    TRACE("times of tokens from %d on: %d to %d", IN_RANGE * index, range.smallest, range.largest);
    ranges[index] = range;
}

// The ranges of queries and keys, one a thread, for blocks of 128: launched before all else if there are times.
template <class ARGUMENTS> __device__ __forceinline__ void write_ranges(const ARGUMENTS &a) {
    int of_queries = ranges_in(a.queries), of_keys = ranges_in(a.keys);
    Work work = my_work(a.heads, of_queries + of_keys, 128);
    int index = work.first + threadIdx.x;
    if (index < of_queries)
        write_range(query_ranges(a, work), a.query_time, work, index, a.queries);
    else if (index < of_queries + of_keys)
        write_range(key_ranges(a, work), a.key_time, work, index - of_queries, a.keys);
}

// Of a tile of TOKENS tokens from `first` on, those of them that are there.
template <int TOKENS> __device__ __forceinline__ Range range_of_tile(const Range *ranges, int first, int end) {
    Range range = {NEVER, BEFORE_ALL};
#pragma unroll
    for (int i = 0; i < TOKENS / IN_RANGE; i++)
        if (first + IN_RANGE * i < end) {
            Range part = ranges[first / IN_RANGE + i];
            range = {min(range.smallest, part.smallest), max(range.largest, part.largest)};
        }
    return range;
}

/* Which tiles of the other side a block has to look at, and in which of them something may be hidden. A warp finds the
   next one by looking at 32 at a time, a tile a lane; every warp of the block finds the same. Without times there are no
   ranges, and a block looks at all tiles. All 32 lanes have to call these functions together.
   THEIRS: rows of a tile of the other side; OF_KEYS: whether that is keys (in the kernel that owns keys it's queries). */
struct Tile {
    int first;   // its first row; past the end if there is no more tile
    bool masked; // somebody doesn't see all of it, or it isn't full
};

template <int THEIRS, bool OF_KEYS> struct Tiles {
    const Range *ranges; // of the other side, which ends at `end`; null if there are no times
    Range own;           // of this block's rows
    int end;

    // The first tile from `first` on that isn't hidden whole.
    __device__ __forceinline__ Tile from(int first) const {
        if (!ranges)
            return {first, first + THEIRS > end};
        for (; first < end; first += 32 * THEIRS) {
            Range theirs = range_of_tile<THEIRS>(ranges, first + my_lane() * THEIRS, end);
            bool seen = OF_KEYS ? theirs.smallest <= own.largest : own.smallest <= theirs.largest;
            bool whole = OF_KEYS ? theirs.largest <= own.smallest : own.largest <= theirs.smallest;
            unsigned tiles = __ballot_sync(0xffffffff, seen), masked = __ballot_sync(0xffffffff, !whole);
            if (tiles) {
                int lane = __ffs(tiles) - 1;
                first += lane * THEIRS;
                return {first, (masked >> lane & 1) || first + THEIRS > end};
            }
        }
        return {end, false};
    }
    // Where a block begins. One that sees nothing looks at the first tile all the same: each has one at least.
    __device__ __forceinline__ Tile begin() const {
        Tile tile = from(0);
        return tile.first < end ? tile : Tile{0, true};
    }
    __device__ __forceinline__ Tile after(Tile tile) const { return from(tile.first + THEIRS); }
};

// For a block that owns OWN queries, and looks at tiles of so many keys; and the other way round.
template <int OWN, int KEYS, class ARGUMENTS>
__device__ __forceinline__ Tiles<KEYS, true> tiles_of_keys(const ARGUMENTS &a, Work work) {
    if (!a.query_time.data)
        return {nullptr, {0, 0}, a.keys};
    return {key_ranges(a, work), range_of_tile<OWN>(query_ranges(a, work), work.first, a.queries), a.keys};
}
template <int OWN, int QUERIES, class ARGUMENTS>
__device__ __forceinline__ Tiles<QUERIES, false> tiles_of_queries(const ARGUMENTS &a, Work work) {
    if (!a.query_time.data)
        return {nullptr, {0, 0}, a.queries};
    return {query_ranges(a, work), range_of_tile<OWN>(key_ranges(a, work), work.first, a.keys), a.queries};
}

// Online softmax starts from a maximum below every real score, but finite: minus infinity less itself is NaN.
constexpr float LOWEST = -1e30f;

__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000); }

// What the backward pass reads of a query. Of one that saw nothing log_sum_exp is infinite, and of one that isn't there
// there is none: any finite number will do, because no key is visible to either.
template <class T>
__device__ __forceinline__ float log_sum_of_query(const Backward<T> &a, Work work, int query) {
    float log_sum = query < a.queries ? *a.log_sum_exp.row(work.batch, work.head, query) : 0;
    return log_sum == minus_infinity() ? 0 : log_sum;
}
template <class T>
__device__ __forceinline__ float row_sum_of_query(const Backward<T> &a, Work work, int query) {
    return query < a.queries ? *a.row_sums.row(work.batch, work.head, query) : 0;
}

// Where a query's sum of exponentials is zero, it saw nothing.
__device__ __forceinline__ float one_over(float total) { return total > 0 ? 1 / total : 0; }
__device__ __forceinline__ float log_of_sum(float highest, float total) {
    return total > 0 ? highest + logf(total) : minus_infinity();
}

__device__ __forceinline__ float sum_over_warp(float value) { return sum_over_lanes<32>(value); }

// row_sums for a block of 4 warps: a warp takes one row.
template <int WIDTH, class T> __device__ __forceinline__ void write_row_sums(const Backward<T> &a) {
    Work work = my_work(a.heads, a.queries, 4);
    int query = work.first + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (query >= a.queries)
        return; // the whole warp at once, so nobody waits for it
    const T *out = a.out.row(work.batch, work.head, query);
    const T *out_grad = a.out_grad.row(work.batch, work.head, query);
    float sum = 0;
    for (int channel = lane; channel < WIDTH; channel += 32)
        sum += to_float(out[channel]) * to_float(out_grad[channel]);
    sum = sum_over_warp(sum);
    if (lane == 0)
        *a.row_sums.row(work.batch, work.head, query) = sum;
}
