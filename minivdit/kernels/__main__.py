"""`python -m minivdit.kernels ...` is the command `minivdit kernels ...`."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv[1:1] = ["kernels"]
    runpy.run_module("minivdit", run_name="__main__", alter_sys=True)
