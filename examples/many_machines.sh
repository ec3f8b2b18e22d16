#!/usr/bin/env bash
# A training on two machines, as a job for Slurm:  sbatch examples/many_machines.sh
#
# minivdit, the same version, must be on both, and MNIST where MINIVDIT_DATA says. The first process alone reads and
# writes in the folder --out. The result has the same bits as with one process, which the tests show on one machine with
# mpiexec; on a cluster this hasn't been run yet. Machines whose processors differ may train together. But they round
# differently, so the last bits then depend on which machine has which process.
#SBATCH --job-name=minivdit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}  # srun doesn't take it from --cpus-per-task above since Slurm 22.05

# A batch is cut into shards, and each process works on some. Four processes need four; the presets have two. The number
# of shards changes the last bits of the result, the number of processes doesn't.
#
# With GPUs, start one process for each: --gpus-per-task=1 above, --device gpu below. Their data goes by NCCL where CuPy
# finds it, otherwise through the memory of the machines. No GPU has run this yet.
#
# srun has to speak the language of mpi4py's MPI: pmi2 for MPICH, pmix for Open MPI. 'srun --mpi=list' shows what yours
# knows; 'srun --mpi=pmi2 minivdit doctor' whether the processes find each other. If one is lost, all end
# (--kill-on-bad-exit), and the checkpoint is the last that was saved.
srun --mpi=pmi2 --kill-on-bad-exit=1 minivdit train full --out runs/full \
    --set autoencoder_training.shards=4 --set text_training.shards=4 \
    --set training.shards=4 --set finetuning.shards=4
code=$?

# Two to three minutes before the time is over, all processes are told to stop (--signal=TERM@120; this script isn't).
# The step is finished and saved, and the exit code is 143, that of SIGTERM. The job then goes back into the queue, where
# it may wait; begun again, it goes on from there. After scancel, which sends SIGTERM too, it doesn't: then it no longer
# counts as running. Slurm itself begins it again where a machine failed or another job went first (--requeue). You can
# also submit it again by hand, with as many processes as you like up to the number of shards.
state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)
if [ "$code" = 143 ] && [ "$state" = RUNNING ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
