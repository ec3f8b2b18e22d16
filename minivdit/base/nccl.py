"""Exchanges between the GPUs of several ranks by NCCL, through CuPy's own binding, cupy.cuda.nccl.

Nothing passes through the memory of the host, and no rank waits: an exchange stands in CuPy's stream like other work.
"""

import importlib
import warnings

from . import backend


def library():
    """The module cupy.cuda.nccl; None where it finds no NCCL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what to install, in several lines
        module = importlib.import_module("cupy.cuda.nccl")
    return module if module.available else None


class Links:
    """One rank's links to all others. All of them make theirs at the same time.

    ranks: a base.ranks.Ranks. unique: what library().get_unique_id() gave one of them.
    """

    def __init__(self, ranks, unique):
        self.rank, self.nccl = ranks.rank, library()
        self.links = self.nccl.NcclCommunicator(ranks.size, unique, ranks.rank)

    def exchange(self, pieces, rooms):
        """Send each rank its piece, and fill each room with what that rank sends: flat arrays on the device."""
        stream = backend.xp().cuda.get_current_stream().ptr
        self.nccl.groupStart()  # so that all go at once, and no two wait for each other
        for rank, (piece, room) in enumerate(zip(pieces, rooms)):
            for array, move in ((piece, self.links.send), (room, self.links.recv)):
                if rank != self.rank and array.size:
                    move(array.data.ptr, array.nbytes, self.nccl.NCCL_INT8, rank, stream)
        self.nccl.groupEnd()
        rooms[self.rank][...] = pieces[self.rank]
