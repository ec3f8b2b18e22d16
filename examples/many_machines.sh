#!/usr/bin/env bash
# A training on two machines, as a job for Slurm:  sbatch examples/many_machines.sh
#
# minivdit, the same version, must be on both, and MNIST where MINIVDIT_DATA says. The first process alone reads and
# writes in the folder --out. The result has the same bits as with one process, which the tests show on one machine with
# mpiexec; on a cluster this hasn't been run yet.
#SBATCH --job-name=minivdit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
set -u

# Two minutes before the time is over, all are told to stop (--signal): the step is finished and saved. Submit the job
# again to go on, with as many processes as you like up to the number of shards.
#
# A batch is cut into shards, and each process works on some. Four processes need four; the presets have two. The number
# of shards changes the last bits of the result, the number of processes doesn't.
#
# srun has to speak the language of mpi4py's MPI: pmi2 for MPICH, pmix for Open MPI. 'srun --mpi=list' shows what yours
# knows; 'srun --mpi=pmi2 minivdit doctor' whether the processes find each other. If one is lost, all end
# (--kill-on-bad-exit), and the checkpoint is the last that was saved.
srun --mpi=pmi2 --kill-on-bad-exit=1 minivdit train full --out runs/full \
    --set autoencoder_training.shards=4 --set text_training.shards=4 \
    --set training.shards=4 --set finetuning.shards=4
