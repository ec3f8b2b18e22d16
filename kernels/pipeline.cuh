/* Warps with different jobs: some copy, others multiply, and each waits for what it needs and for nobody else. From
   sm_90a.

   Producers copy tiles into stages of shared memory, consumers multiply them. Two mbarriers a stage say how things
   stand: `full`, at which the producers arrive when a tile is there, and `empty`, at which consumers do when they have
   read it. An mbarrier is a number in shared memory. It counts arrivals; when as many have come as it was made for, a
   phase is over and the next begins. Phases have parities, 0 first, and one waits for the end of the phase of a parity:
   so a consumer waits at `full` with the parity of its round through the stages, and a producer at `empty` with the
   other one: in the first round it passes at once, as if the phase before the first were over.

   A copy by cp.async goes through another door to shared memory than wgmma's reading (warpgroup.cuh). So who copied
   waits for its copies, calls async_proxy_fence, and only then arrives.

   Named barriers are like __syncthreads, for a part of the block, and some may just arrive: by these, warpgroups take
   turns. And registers can change hands: those that copy need few.

   All this is from the PTX manual: "mbarrier", "barrier{.cta}" and "setmaxnreg". */
#pragma once
#include "common.cuh"

using Mbarrier = unsigned long long; // in shared memory

// Which stage is next, and with which parity one waits for it to be full.
template <int STAGES> struct Round {
    int stage = 0, parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == STAGES)
            stage = 0, parity ^= 1;
    }
};

#ifdef __CUDACC__

// By one thread, and __syncthreads before anybody uses it.
__device__ __forceinline__ void mbarrier_init(Mbarrier &barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address_in_shared(&barrier)), "r"(arrivals)
                 : "memory");
}
// What this thread did before is seen by whoever waits for the end of this phase.
__device__ __forceinline__ void mbarrier_arrive(Mbarrier &barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address_in_shared(&barrier)) : "memory");
}
// Until the phase of this parity is over. It must be the one under way or the one just over.
__device__ __forceinline__ void mbarrier_wait(Mbarrier &barrier, int parity) {
    unsigned over;
    do {
        asm volatile("{.reg .pred over; mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2; "
                     "selp.u32 %0, 1, 0, over;}"
                     : "=r"(over)
                     : "r"(address_in_shared(&barrier)), "r"(parity)
                     : "memory");
    } while (!over);
}

// Whole warps: THREADS together, those that wait and those that don't. 16 barriers; number 0 is __syncthreads's.
template <int THREADS> __device__ __forceinline__ void named_barrier_wait(int barrier) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(THREADS) : "memory");
}
template <int THREADS> __device__ __forceinline__ void named_barrier_arrive(int barrier) {
    asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "n"(THREADS) : "memory");
}

// A warpgroup from here on has so many registers a thread, a multiple of 8: fewer than it had, or more, for which it
// waits until others have given some up. The kernel's __launch_bounds__ must name the blocks of a multiprocessor: else
// ptxas doesn't know what there is at first, and leaves these instructions out.
template <int COUNT> __device__ __forceinline__ void give_up_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

#endif
