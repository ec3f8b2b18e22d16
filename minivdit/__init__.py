"""minivdit: a text-to-video diffusion transformer written by hand on NumPy.

Nothing is imported here, so that `import minivdit` and `minivdit --help` are quick and need neither
CuPy nor matplotlib. Start with `from minivdit.generation import TextToVideo`.
"""

__version__ = "0.1.0"
