"""Matrix products that add to what is there already, which np.dot can't."""

import numpy as np
from numba.extending import overload
from numba.np.linalg import _BLAS, get_blas_kind

from .compiler import OPTIONS

AS_IS, TRANSPOSED = ord("n"), ord("t")


def add_product(a, b, out):
    """out += a @ b, of matrices in C order; a may be the transpose of one."""
    out += a @ b


@overload(add_product, jit_options=OPTIONS)
def _add_product(a, b, out):
    gemm = _BLAS().numba_xxgemm(a.dtype)  # the function that np.dot calls
    kind, order = ord(get_blas_kind(a.dtype)), AS_IS if a.layout == "C" else TRANSPOSED
    one = np.ones(1, np.dtype(str(a.dtype)))

    def call(a, b, out):
        # BLAS takes matrices column by column. To it they are the transposes, and out.T = b.T @ a.T.
        rows, columns = out.shape
        step = a.shape[1] if order == AS_IS else a.shape[0]
        gemm(
            kind, AS_IS, order, columns, rows, len(b), one.ctypes, b.ctypes, columns, a.ctypes, step, one.ctypes,
            out.ctypes, columns,
        )  # fmt: skip

    return call
