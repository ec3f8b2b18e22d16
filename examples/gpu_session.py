"""All that is to be known of the kernels on a GPU, in one short run: are they right, and how fast are they?

python examples/gpu_session.py

It takes 6 minutes (--budget, in seconds) and writes gpu.json and gpu.md into the folder gpu-session (--out), after
every cell: what was measured is kept whatever happens. Each section may take the share of the budget that stands
below, and what those before it left over. What is left in the end, from a minute on, goes into training `full` further
from the weights that ship, in the folder train beside; --minutes gives it another length, and 0 leaves it out.
`python examples/results/tables.py` fills the tables of kernels/README.md from examples/results/gpu.json.
"""

import argparse
from pathlib import Path

from minivdit.base.stopping import told_of_signals
from minivdit.lab.benchmarks import gpu, gpu_report
from minivdit.lab.benchmarks.gpu_session import Results, Session

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--budget", type=float, default=360, help="seconds for all (default: 360)")
parser.add_argument("--out", type=Path, default=Path("gpu-session"), help="folder of what is written")
parser.add_argument("--minutes", type=float, help="minutes of training in the end (default: what is left)")
parser.add_argument("--data", help="folder of MNIST, for the training (default: where the commands look for it)")
options = parser.parse_args()

SHARES = {  # of the budget, in order of worth
    gpu.machine: 0.03,
    gpu.compiling: 0.11,
    gpu.correctness: 0.15,
    gpu.tests: 0.05,
    gpu.many_numbers: 0.05,
    gpu.ceilings: 0.03,
    gpu.attention: 0.25,
    gpu.beside_attention: 0.07,
    gpu.training_steps: 0.17,
    gpu.against_cpu: 0.06,
    gpu.sanitizer: 0.03,
}
LEAST, BEYOND = 60, 75  # seconds of a training that is worth its beginning; and what it takes beside its steps

results = Results(options.out / "gpu.json")
session = Session(results)
try:
    with told_of_signals():
        left = session.run([section(share * options.budget) for section, share in SHARES.items()]) - BEYOND
        minutes = max(0, left if left >= LEAST else 0) / 60 if options.minutes is None else options.minutes
        if minutes:
            last = gpu.longer_training(options.out / "train", minutes, 60 * minutes + BEYOND, options.data)
            session.run([last])
finally:
    print(f"\n{results.path}\n{gpu_report.safely(gpu_report.summary, results.everything())}")
