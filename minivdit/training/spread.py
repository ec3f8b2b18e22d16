"""A training spread over ranks: who works on which shards of a batch, and who owns which parameters.

Each parameter belongs to one rank. That one receives its gradient from all shards, adds them up in the order of the
shards, and updates it. Of the optimiser's state and of the averaged weights a rank has its own parameters' only (ZeRO,
Rajbhandari et al. 2020, section 5). Then all get the new weights. The order of the sum doesn't depend on who worked on
which shard, so neither does a single bit of the result.

ZeRO cuts the flat gradient into equal slices. Here a slice ends where a parameter does: Muon needs whole matrices, and
a parameter's sum of squares is the same bits whoever takes it, which those of two halves wouldn't be. What it costs is
balance, up to the size of one parameter.
"""

from itertools import chain

from ..base.backend import device_name, to_numpy
from ..base.errors import InputError
from ..nn.optim import equal_groups


def shards_of(settings, ranks):
    """Into how many shards a batch is cut: a GPU that is alone shares out the work by itself."""
    return settings.shards if device_name() == "cpu" or ranks.size > 1 else 1


def require_shards(ranks, shards, settings=("shards",)):
    """Raise InputError if there are more ranks than shards. settings: what should be set to have more."""
    if ranks.size > shards:
        cure = " ".join(f"--set {name}={ranks.size}" for name in settings)
        raise InputError(
            f"{ranks.size} ranks can't share out {shards} shard{'s' * (shards > 1)} of a batch; "
            f"start at most {shards}, or cut batches into more, which changes the last bits: {cure}"
        )


class Spread:
    """parameters: dict of name -> Parameter. names: for each rank those that it owns. own: this rank's, as a dict."""

    def __init__(self, parameters, ranks):
        self.parameters, self.ranks = parameters, ranks
        groups = [set(group) for group in equal_groups(parameters, ranks.size)]
        groups += [set()] * (ranks.size - len(groups))
        self.names = [[name for name in parameters if name in group] for group in groups]
        self.own = {name: parameters[name] for name in self.names[ranks.rank]}

    def exchange(self, gradients, count):
        """From the gradients of this rank's shards those of its own parameters, of all `count` shards in their order.

        Both are lists of dicts of name -> array.
        """
        sent = [[found[name] for found in gradients for name in names] for names in self.names]
        shapes = [parameter.shape for parameter in self.own.values()]
        came = [shapes * len(self.ranks.part(count, rank)) for rank in range(self.ranks.size)]
        arrays = iter(chain(*self.ranks.all_to_all(sent, came)))
        return [{name: next(arrays) for name in self.own} for _ in range(count)]

    def everywhere(self, own):
        """What all ranks have of their own parameters, on all of them: a dict, in the order of the parameters.

        Of several ranks' arrays it makes NumPy's.
        """
        if self.ranks.size > 1:
            own = {name: to_numpy(value) for name, value in own.items()}
        found = {name: value for part in self.ranks.meet(own) for name, value in part.items()}
        return {name: found[name] for name in self.parameters}

    def share_weights(self):
        """Give all ranks the weights as their owners have them."""
        owners = {name: rank for rank, names in enumerate(self.names) for name in names}
        self.ranks.share([self.parameters[name].data for name in owners], owners.values())

    def part(self, whole, own):
        """A whole state without what other ranks own. own: this rank's state, a dict with the same kinds of names."""
        elsewhere = set().union(*self.ranks.meet(set(own))) - set(own)
        return {name: value for name, value in whole.items() if name not in elsewhere}
