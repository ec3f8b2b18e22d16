"""Operations compiled for the CPU by Numba: twins of NumPy's, with fewer passes over arrays. See compiler.py."""
