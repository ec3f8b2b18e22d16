"""`python -m minivdit.kernels ...` is the command `minivdit kernels ...`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("minivdit.lab.cli.kernels", run_name="__main__", alter_sys=True)
