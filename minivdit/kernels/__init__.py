"""The hand-written CUDA kernels: found, described, compiled, run on the CPU without a GPU, launched with one.

sources.py      the files in kernels/ and their text
describe.py     what one file holds, and what its functions take: all that the others need to know
attention.py    attention's files, and attention as a function of arrays
fused.py        the same for the other operations: norms, GELU, rotary positions, the optimiser
catalogue.py    all of these files, by name
formats.py      float32, float16 and bfloat16, which NumPy doesn't have
compile.py      by nvcc or NVRTC for every architecture, with registers and spills
emulate.py      by g++ for the CPU, thread by thread
launch.py       by NVRTC for the GPU, once; launched by CuPy

Nothing here needs CuPy, g++ or nvcc before it is used.
"""

from .sources import folder, inline_headers, names, source, whole_source
