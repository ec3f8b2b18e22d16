"""All that is to be known of the kernels on a GPU, in one short run: are they right, and how fast are they?

python examples/gpu_session.py

It takes 6 minutes (--budget, in seconds) and writes gpu.json and gpu.md into the folder gpu-session (--out), within a
second of every cell: what was measured is kept whatever happens. Each section may take the share of the budget that
stands below, and what those before it left over. If 135 seconds are left in the end, all but 75 of them, which its
beginning and its pictures take, go into training `full` further from the weights that ship, in the folder train beside;
--minutes gives it another length, whatever is left, and 0 leaves it out. Without a GPU that can be used it says so, and
ends with exit code 1.
`python examples/results/tables.py` fills the tables of kernels/README.md from examples/results/gpu.json.
"""

import argparse
import math
import sys
from pathlib import Path

from minivdit.base.stopping import told_of_signals
from minivdit.lab.benchmarks import gpu, gpu_report
from minivdit.lab.benchmarks.gpu_session import Results, Session
from minivdit.lab.cli.options import number, output_folder

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--budget", type=number(0, 10**6), default=360, help="seconds for all (default: 360)")
parser.add_argument("--out", type=output_folder, default="gpu-session", help="folder of what is written")
parser.add_argument("--minutes", type=float, help="minutes of training in the end (default: what is left)")
parser.add_argument("--data", help="folder of MNIST, for the training (default: where the commands look for it)")
options = parser.parse_args()
out = Path(options.out)
if options.minutes is not None and not 0 <= options.minutes < math.inf:
    parser.error(f"argument --minutes: {options.minutes} is not a number of 0 or more")

SHARES = {  # of the budget, in order of worth
    gpu.machine: 0.06,
    gpu.compiling: 0.10,
    gpu.correctness: 0.15,
    gpu.tests: 0.05,
    gpu.many_numbers: 0.04,
    gpu.ceilings: 0.03,
    gpu.attention: 0.24,
    gpu.beside_attention: 0.07,
    gpu.training_steps: 0.17,
    gpu.against_cpu: 0.06,
    gpu.sanitizer: 0.03,
}
LEAST, BEYOND = 60, 75  # seconds of a training that is worth its beginning; and what it takes beside its steps

results = Results(out / "gpu.json")
session, code = Session(results), 0
try:
    with told_of_signals():
        first, *others = [section(share * options.budget) for section, share in SHARES.items()]
        left = session.run([first])
        if problem := gpu.unusable(results):
            sys.exit(problem)
        left = session.run(others, spare=left) - BEYOND
        minutes = max(0, left if left >= LEAST else 0) / 60 if options.minutes is None else options.minutes
        if minutes:
            last = gpu.longer_training(out / "train", minutes, 60 * minutes + BEYOND, options.data)
            session.run([last])
except KeyboardInterrupt as stop:
    code = getattr(stop, "code", 130)  # 143 for SIGTERM
finally:
    print(f"\n{results.path}\n{gpu_report.safely(gpu_report.summary, results.everything())}")
sys.exit(code)
