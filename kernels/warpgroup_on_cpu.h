/* The emulated half of warpgroup.cuh: wgmma and its fences, with the same names, in plain C++.

   As unkind as the PTX manual allows:
     - a sum's registers are NaN from the moment a product is issued until a wait has seen it finished. Whoever reads
       them earlier gets NaN; whoever writes them, or the left factor's, is told so at the wait;
     - what lies in shared memory is read at the wait, as late as can be, so that whoever overwrites it too early is
       caught; or, if copies land at once, right away, so that whoever issues too early is;
     - shared memory is seen through a view of its own. What cp.async brought shows in it once the thread that copied
       has called async_proxy_fence. (Ordinary stores show at the next fence of any thread: who made them isn't known.)
     - registers have to be named in a fence after a wait, or after they were written, before they are multiplied;
     - the four warps of a warpgroup must do the same, with the same descriptors. A warp makes its own rows, and the
       others may be far ahead or behind. */
#pragma once

namespace cuda_on_cpu {

// ---- Descriptors, as the PTX manual has them: "Matrix Descriptor Format" and "Canonical Layouts" --------------------

inline unsigned swizzle_span(unsigned long long descriptor) { // the bytes of a row within which pieces change places
    int mode = descriptor >> 62;
    return mode ? 256 >> mode : 16;
}

inline void check_descriptor(unsigned long long descriptor, const Place &place) {
    unsigned start = (descriptor & 0x3fff) << 4, span = swizzle_span(descriptor);
    if (descriptor & 0x3ff1c000c000c000ull)
        fail(place, "a descriptor with bits set that mean nothing: %#llx", descriptor);
    if (descriptor >> 49 & 7 || (span > 16 && start % (8 * span) >= span))
        fail(place,
             "a descriptor whose pattern of 8 rows of %u bytes doesn't begin at a multiple of %u (it would need a base "
             "offset, which isn't emulated)",
             span, 8 * span);
}

// Where number k of the depth lies, for row (of the left factor) or column (of the right one) n.
inline unsigned place_in_shared(unsigned long long descriptor, bool across, unsigned n, unsigned k) {
    unsigned leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
    unsigned span = swizzle_span(descriptor), columns = span / 2, at = (descriptor & 0x3fff) << 4;
    if (span == 16)
        at += across ? n % 8 * 2 + n / 8 * stride + k % 8 * 16 + k / 8 * leading
                     : n % 8 * 16 + n / 8 * stride + k % 8 * 2 + k / 8 * leading;
    else
        at += across ? n % columns * 2 + n / columns * leading + k % 8 * span + k / 8 * stride
                     : n % 8 * span + n / 8 * stride + k * 2;
    return at ^ (at >> 7 & (span / 16 - 1)) << 4; // the pieces of a row of `span` bytes change places
}

inline float number_at(const Product &product, unsigned long long descriptor, bool across, unsigned n, unsigned k) {
    unsigned at = place_in_shared(descriptor, across, n, k);
    if (at + 2 > unsigned(launch.shared_bytes))
        fail(product.place, "a product of a warpgroup reads %u bytes past the end of shared memory",
             at + 2 - launch.shared_bytes);
    return product.value(async_view[at] & 0xff | (async_view[at + 1] & 0xff) << 8);
}

// ---- Products -------------------------------------------------------------------------------------------------------

inline bool overlap(const void *a, size_t bytes_of_a, const void *b, size_t bytes_of_b) {
    const char *from_a = static_cast<const char *>(a), *from_b = static_cast<const char *>(b);
    return from_a < from_b + bytes_of_b && from_b < from_a + bytes_of_a;
}

inline size_t bytes_of_sum(const Product &product) { return product.columns / 2 * sizeof(float); }

// The i-th product of a warp, for all of its lanes: 16 rows of the 64.
inline void make_product(Thread *warp, size_t i) {
    const Product &product = warp->products[i];
    if (product.made)
        return;
    int columns = product.columns, first_row = warp->id / 32 % 4 * 16;
    float a[16][16];
    std::vector<float> b(16 * columns);
    for (int lane = 0; lane < 32; lane++)
        for (int n = 0; n < 8; n++) { // the numbers of this lane in a left factor
            int row = lane / 4 + n / 2 % 2 * 8, k = lane % 4 * 2 + n % 2 + n / 4 * 8;
            a[row][k] = product.left ? product.value(warp[lane].products[i].left[n / 2] >> 16 * (n % 2))
                                     : number_at(product, product.left_descriptor, false, first_row + row, k);
        }
    for (int k = 0; k < 16; k++)
        for (int n = 0; n < columns; n++)
            b[k * columns + n] = number_at(product, product.right_descriptor, product.across, n, k);
    for (int lane = 0; lane < 32; lane++) {
        Product &mine = warp[lane].products[i];
        for (size_t before = i; before-- > 0;)
            if (warp[lane].products[before].sum == mine.sum) {
                mine.result = warp[lane].products[before].result;
                break;
            }
        for (int n = 0; n < columns / 2; n++) {
            int row = lane / 4 + n / 2 % 2 * 8, column = n / 4 * 8 + lane % 4 * 2 + n % 2;
            double sum = mine.add ? mine.result[n] : 0;
            for (int k = 0; k < 16; k++)
                sum += double(a[row][k]) * b[k * columns + column];
            mine.result[n] = sum;
        }
        mine.made = true;
    }
}

inline void land(Product &product, const Place &place) {
    for (size_t i = 0; i < bytes_of_sum(product); i++)
        if (reinterpret_cast<const char *>(product.sum)[i] != char(0xff))
            fail(place, "registers of a sum were written while the product of line %d was under way",
                 product.place.line);
    if (product.left && memcmp(product.left, product.held, sizeof product.held))
        fail(place, "registers of a left factor were written while the product of line %d was under way",
             product.place.line);
    std::vector<Product> &products = current->products;
    for (size_t i = &product - products.data() + 1; i < products.size(); i++)
        if (products[i].sum == product.sum) { // the sum goes on; its registers stay in use
            if (!products[i].made)
                products[i].result = product.result;
            return;
        }
    memcpy(product.sum, product.result.data(), bytes_of_sum(product));
    std::vector<Registers> still;
    for (const Registers &registers : current->fenced)
        if (!overlap(registers.from, registers.held.size(), product.sum, bytes_of_sum(product)))
            still.push_back(registers);
    current->fenced = still;
}

inline void as_one_of_a_warpgroup(const Place &place, unsigned long long what) {
    if (threads.size() % 128)
        fail(place, "a block of %zu threads isn't made of whole warpgroups", threads.size());
    current->in_warpgroup = (current->in_warpgroup * 31 + place.line) * 6364136223846793005ull + what;
}

inline void check_fenced(const void *registers, size_t bytes, const Place &place) {
    const char *from = static_cast<const char *>(registers);
    for (const Registers &fenced : current->fenced)
        if (from >= fenced.from && from + bytes <= fenced.from + fenced.held.size() &&
            !memcmp(from, fenced.held.data() + (from - fenced.from), bytes))
            return;
    fail(place, "a product uses registers that no warpgroup_fence names since a wait, or since they were written");
}

inline void issue(const char *name, Product product) {
    const Place place = product.place;
    as_one_of_a_warpgroup(place, product.left_descriptor * 3 + product.right_descriptor);
    if (!product.left)
        check_descriptor(product.left_descriptor, place);
    check_descriptor(product.right_descriptor, place);
    bool goes_on = false;
    for (const Product &other : current->products)
        if (overlap(other.sum, bytes_of_sum(other), product.sum, bytes_of_sum(product))) {
            goes_on = other.sum == product.sum && other.columns == product.columns;
            if (!goes_on)
                fail(place, "two products under way whose sums of different shapes share registers");
        }
    if (!goes_on)
        check_fenced(product.sum, bytes_of_sum(product), place);
    product.result.assign(product.sum, product.sum + product.columns / 2);
    if (product.left) {
        check_fenced(product.left, sizeof product.held, place);
        memcpy(product.held, product.left, sizeof product.held);
    }
    memset(product.sum, 0xff, bytes_of_sum(product));
    product.group = current->product_groups;
    current->products.push_back(product);
    int nothing;
    meet<int>(~0u, name, place, nothing, [](int **, unsigned) {
        if (!launch.copies_land_late) {
            Thread *warp = current - current->lane;
            make_product(warp, warp->products.size() - 1);
        }
    });
}

inline void set_left(Product &product, unsigned long long descriptor) { product.left_descriptor = descriptor; }
inline void set_left(Product &product, const unsigned (&registers)[4]) { product.left = registers; }

template <int J, class LEFT>
void issue(const char *name, float (&sum)[J][4], const LEFT &left, unsigned long long right, bool across, bool add,
           float (*value)(unsigned short), const Place &place) {
    Product product{};
    product.columns = 8 * J;
    product.sum = sum[0];
    set_left(product, left);
    product.right_descriptor = right;
    product.across = across;
    product.add = add;
    product.value = value;
    product.place = place;
    issue(name, product);
}

// Lands what was committed, but for the last groups; lanes wait for each other, because each brings a part of a factor.
inline void wait_for_products(int under_way, const Place &place) {
    as_one_of_a_warpgroup(place, under_way);
    int nothing;
    meet<int>(~0u, "warpgroup_wait", place, nothing, [](int **, unsigned) {});
    Thread *warp = current - current->lane;
    std::vector<Product> &products = current->products;
    size_t finished = 0;
    while (finished < products.size() && products[finished].group < current->product_groups - under_way)
        finished++;
    for (size_t i = 0; i < finished; i++)
        make_product(warp, i);
    meet<int>(~0u, "warpgroup_wait", place, nothing, [](int **, unsigned) {}); // before any lane gives up its part
    for (size_t i = 0; i < finished; i++)
        land(products[i], place);
    products.erase(products.begin(), products.begin() + finished);
}

template <class R> void check_free(const char *where, const R &registers, const Place &place) {
    for (const Product &product : current->products)
        if (overlap(&registers, sizeof registers, product.sum, bytes_of_sum(product)) ||
            (product.left && overlap(&registers, sizeof registers, product.left, sizeof product.held)))
            fail(place, "%s names registers that the product of line %d, still under way, uses", where,
                 product.place.line);
}

template <class R> void note_fenced(const R &registers, const Place &place) {
    check_free("warpgroup_fence", registers, place);
    const char *from = reinterpret_cast<const char *>(&registers);
    std::vector<Registers> still;
    for (const Registers &fenced : current->fenced)
        if (!overlap(fenced.from, fenced.held.size(), from, sizeof registers))
            still.push_back(fenced);
    still.push_back({from, std::vector<char>(from, from + sizeof registers)});
    current->fenced = still;
}

template <class... R> void fence_registers(const Place &place, const R &...registers) {
    as_one_of_a_warpgroup(place, 0);
    (note_fenced(registers, place), ...);
}

template <class... R> void wait_for_registers(int under_way, const Place &place, const R &...registers) {
    wait_for_products(under_way, place);
    (check_free("warpgroup_wait", registers, place), ...);
}

} // namespace cuda_on_cpu

// ---- The functions of warpgroup.cuh ---------------------------------------------------------------------------------

inline void async_proxy_fence() {
    using namespace cuda_on_cpu;
    for (size_t piece = 0; piece < size_t(launch.shared_bytes) / 16; piece++)
        if (hidden_by[piece] == 0 || hidden_by[piece] == current->id + 1) {
            memcpy(&async_view[16 * piece], shared_bytes + 16 * piece, 16);
            hidden_by[piece] = 0;
        }
}

// Up to three arrays of registers, then the caller's line.
template <class A> void warpgroup_fence(A &a, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::fence_registers(place, a);
}
template <class A, class B> void warpgroup_fence(A &a, B &b, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::fence_registers(place, a, b);
}
template <class A, class B, class C>
void warpgroup_fence(A &a, B &b, C &c, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::fence_registers(place, a, b, c);
}

inline void warpgroup_commit(cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::as_one_of_a_warpgroup(place, 0);
    cuda_on_cpu::current->product_groups++;
}

template <int UNDER_WAY> void warpgroup_wait(cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::wait_for_registers(UNDER_WAY, place);
}
template <int UNDER_WAY, class A> void warpgroup_wait(A &a, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::wait_for_registers(UNDER_WAY, place, a);
}
template <int UNDER_WAY, class A, class B>
void warpgroup_wait(A &a, B &b, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::wait_for_registers(UNDER_WAY, place, a, b);
}

struct float16; // of common.cuh
struct bfloat16;
template <bool ACROSS, int J, class LEFT>
void wgmma(const float16 &, float (&sum)[J][4], const LEFT &left, unsigned long long right, bool add,
           cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::issue("wgmma (float16)", sum, left, right, ACROSS, add, value_of_float16, place);
}
template <bool ACROSS, int J, class LEFT>
void wgmma(const bfloat16 &, float (&sum)[J][4], const LEFT &left, unsigned long long right, bool add,
           cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::issue("wgmma (bfloat16)", sum, left, right, ACROSS, add, value_of_bfloat16, place);
}
