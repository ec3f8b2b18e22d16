"""Timings: `minivdit bench cpu`, `bench mpi` and `bench gpu`, beside PyTorch and JAX where they are installed.

cpu.py: workloads, which sides do in turn, each in a process of its own (worker.py). workloads.py says what is timed and
does minivdit's side. sides.py names the others; torch_side.py has its networks in torch_twin.py, jax_side.py in
jax_twin.py.
mpi.py: exchanges between ranks, and a training step on them.
gpu.py: what is measured on a GPU. gpu_session.py runs it, each job in a process of its own (gpu_worker.py), and
gpu_report.py makes texts of it. gpu_attention.py, gpu_rows.py (the kernels beside attention) and gpu_training.py
measure; gpu_timing.py is their clock. gpu_checks.py asks first whether results are right.
kernel_checks.py: whether a kernel file is right, on a GPU or emulated. kernel_attention_check.py and
kernel_fused_check.py compare it with float64.
"""
