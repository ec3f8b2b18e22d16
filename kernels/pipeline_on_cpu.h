/* The emulated half of pipeline.cuh: mbarriers, named barriers, registers that change hands; in plain C++.

   Who waits at an mbarrier looks again whenever the scheduler comes by, and passes if the parity says so: a wrong one
   lets it pass too early, or never. After an arrival other warps may go on first, by chance, before the lanes beside it
   do: so who arrives for its neighbours without having waited for them is caught. When nobody can move any more, the
   error says who waits where. */
#pragma once

namespace cuda_on_cpu {

// An mbarrier's bits, low to high: 20 for the arrivals of a phase, 20 for those still to come, one for the parity of
// the phase under way. PTX says nothing of them; all ones is what nobody has initialised.
constexpr unsigned long long MOST_ARRIVALS = (1 << 20) - 1;

inline bool phase_is_over(unsigned long long mbarrier, int parity) { return int(mbarrier >> 40 & 1) != parity; }

inline void check_mbarrier(const unsigned long long &mbarrier, const Place &place) {
    const char *at = reinterpret_cast<const char *>(&mbarrier);
    if (at < shared_bytes || at + 8 > shared_bytes + launch.shared_bytes)
        fail(place, "an mbarrier outside shared memory");
    if (mbarrier == ~0ull)
        fail(place, "an mbarrier that nobody has initialised");
}

inline void check_named_barrier(int number, int count, const Place &place) {
    if (number < 1 || number > 15)
        fail(place, "named barrier %d: there are 1 to 15, and 0 is __syncthreads's", number);
    if (count % 32 || size_t(count) > threads.size())
        fail(place, "named barrier %d for %d threads, which aren't whole warps of the block", number, count);
    NamedBarrier &barrier = named_barriers[number];
    if (barrier.arrived.empty())
        barrier.count = count;
    if (barrier.count != count)
        fail(place, "named barrier %d for %d threads, when others are there for %d", number, count, barrier.count);
    for (int id : barrier.arrived)
        if (id == current->id)
            fail(place, "this thread arrives at named barrier %d again, before the others have", number);
}

inline bool arrive_at_named_barrier(int number) { // whether all are there
    NamedBarrier &barrier = named_barriers[number];
    barrier.arrived.push_back(current->id);
    if (barrier.arrived.size() < size_t(barrier.count))
        return false;
    for (int id : barrier.arrived)
        if (threads[id].state == AT_NAMED_BARRIER && threads[id].barrier == number)
            threads[id].state = READY;
    barrier.arrived.clear();
    return true;
}

} // namespace cuda_on_cpu

// ---- The functions of pipeline.cuh ----------------------------------------------------------------------------------

inline void mbarrier_init(unsigned long long &barrier, int arrivals, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    if (arrivals < 1 || arrivals > int(cuda_on_cpu::MOST_ARRIVALS))
        cuda_on_cpu::fail(place, "an mbarrier for %d arrivals", arrivals);
    barrier = 0;
    cuda_on_cpu::check_mbarrier(barrier, place);
    barrier = (unsigned long long)arrivals << 20 | arrivals;
}

inline void mbarrier_arrive(unsigned long long &barrier, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    check_mbarrier(barrier, place);
    barrier -= 1ull << 20;
    if (!(barrier >> 20 & MOST_ARRIVALS)) // the next phase begins
        barrier = (barrier ^ 1ull << 40) | (barrier & MOST_ARRIVALS) << 20;
    if (random_below(4) == 0) {
        changes_place = true;
        give_way();
    }
}

inline void mbarrier_wait(unsigned long long &barrier, int parity, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    check_mbarrier(barrier, place);
    if (parity != 0 && parity != 1)
        fail(place, "a parity of %d", parity);
    if (phase_is_over(barrier, parity))
        return;
    trace(place, "waits for the end of a phase of parity %d", parity);
    current->state = AT_MBARRIER;
    current->waits_for = parity ? "mbarrier_wait(..., 1)" : "mbarrier_wait(..., 0)";
    current->place = place;
    current->mbarrier = &barrier;
    current->barrier = parity;
    give_way();
}

template <int COUNT> void named_barrier_wait(int barrier, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    using namespace cuda_on_cpu;
    check_named_barrier(barrier, COUNT, place);
    if (arrive_at_named_barrier(barrier))
        return;
    trace(place, "waits at named barrier %d", barrier);
    current->state = AT_NAMED_BARRIER;
    current->waits_for = "named_barrier_wait";
    current->place = place;
    current->barrier = barrier;
    give_way();
}

template <int COUNT> void named_barrier_arrive(int barrier, cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    cuda_on_cpu::check_named_barrier(barrier, COUNT, place);
    cuda_on_cpu::arrive_at_named_barrier(barrier);
}

// Registers are plenty here; that a whole warpgroup does this is checked.
template <int COUNT> void give_up_registers(cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    static_assert(COUNT % 8 == 0 && COUNT >= 24 && COUNT <= 256, "setmaxnreg");
    cuda_on_cpu::as_one_of_a_warpgroup(place, COUNT);
}
template <int COUNT> void take_registers(cuda_on_cpu::Place place = cuda_on_cpu::here()) {
    give_up_registers<COUNT>(place);
}
