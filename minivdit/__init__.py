"""minivdit: a text-to-video diffusion transformer written by hand on NumPy.

    import minivdit

    model = minivdit.load()
    video = model.generate("a 3 moving right", seed=1)  # float32 (1, T, H, W, 1) in [0, 1]
    minivdit.write_grid("clip.gif", video, captions=["a 3 moving right"])

Each of these names is imported when it is first used, so that `import minivdit` and `minivdit --help` are quick.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["TextToVideo", "load", "show", "write_clip", "write_grid"]


def load(path=None):
    """The TextToVideo in a file of weights, or of a name that ships ('small'); 'joint' without either."""
    return __getattr__("TextToVideo").load(path)


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module 'minivdit' has no attribute {name!r}; it has {', '.join(__all__)}")
    room = ".generation" if name == "TextToVideo" else ".lab.display"
    return getattr(importlib.import_module(room, __name__), name)


def __dir__():
    return sorted({*globals(), *__all__} - {"importlib"})
