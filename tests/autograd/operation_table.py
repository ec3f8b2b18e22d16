"""One table of operations: sample inputs and inputs that must be refused. Every test in this folder reads it.

A sample is a function from a numpy Generator to positional arguments (float64 arrays; the tests turn
them into what they need), with options. The tests lay each sample out in memory in several ways
(transposed, strided, reversed, broadcast), so a new operation is tested on those for free.
"""

import numpy as np
from cases import Case, Refusal, Sample, normal, positive, zeros
from fused_table import FUSED

from minivdit import autograd as ag
from minivdit.autograd.attend import NEVER
from minivdit.base.ranks import Ranks

UNARY_SHAPES = ((3, 5), (1,), (), (2, 0, 3), (7, 1, 3))


def unary(name, make=normal, **options):
    return Case(name, [make(shape, **options) for shape in UNARY_SHAPES])


def binary(name, second=normal):
    def pair(a, b):
        return Sample(lambda g: (*normal(a).arguments(g), *second(b).arguments(g)))

    return Case(
        name,
        [
            pair((3, 5), (3, 5)),
            pair((3, 5), (5,)),
            pair((3, 1), (1, 4)),
            pair((2, 3, 1), (3, 5)),
            pair((), (4,)),
            pair((1, 1), (1,)),
            pair((2, 0), (1, 1)),
            Sample(lambda g: (g.uniform(0.5, 2.0, (3, 2)), 1.25)),
            Sample(lambda g: (1.25, g.uniform(0.5, 2.0, (3, 2)))),
        ],
        [Refusal((zeros(2, 3), zeros(4)), {}, r"\(2,3\) \(4,\)")],
    )


def reduction(name, empty=False):
    nowhere = [] if empty else [Refusal((zeros(2, 0),), {"axis": 1}, r"\(2, 0\).*nothing")]
    return Case(
        name,
        [
            normal((3, 5)),
            normal((3, 5), axis=0),
            normal((3, 5), axis=-1, keepdims=True),
            normal((2, 3, 4, 5), axis=(1, -1)),
            normal((2, 3, 4), axis=(0, 2), keepdims=True),
            normal((1, 3), axis=0),
            normal((), axis=None),
            normal((3,), axis=(), keepdims=True),
            normal((0, 3), axis=1),
            *([normal((2, 0), axis=1)] if empty else []),
        ],
        [
            Refusal((zeros(2, 3),), {"axis": 2}, "axis 2 is out of bounds for array of dimension 2"),
            Refusal((zeros(2, 3),), {"axis": (0, 0)}, "duplicate value in 'axis'"),
            *nowhere,
        ],
    )


ELEMENTWISE = [
    binary("add"),
    binary("subtract"),
    binary("multiply"),
    binary("divide", second=positive),
    unary("negate"),
    unary("scale", by=-1.7),
    Case(
        "power",
        [positive((3, 4), exponent=e) for e in (2, 3.0, -0.5, np.float64(1.5))] + [normal((3, 4), exponent=2)],
        [Refusal((zeros(2),), {"exponent": zeros(2)}, "fixed number")],
    ),
    unary("exp"),
    unary("square"),
    unary("tanh"),
    unary("silu"),
    unary("gelu"),
    unary("relu"),
    unary("absolute"),
    Case(
        "clip",
        [normal((4, 7), low=-0.5, high=np.float64(0.7)), normal((5,), low=0), normal((), high=0.3)],
        [
            Refusal((zeros(2),), {}, "low, high or both"),
            Refusal((zeros(2),), {"low": 1, "high": 0}, "low 1 and high 0"),
        ],
    ),
]

REDUCTIONS = [reduction("sum", empty=True), reduction("mean")]

SHAPING = [
    Case(
        "reshape",
        [
            normal((2, 6), shape=(3, 4)),
            normal((2, 3, 4), shape=(4, -1)),
            normal((1,), shape=()),
            normal((0, 3), shape=(3, 0)),
        ],
        [Refusal((zeros(2, 3),), {"shape": (4,)}, r"\(2, 3\) \(6 entries\) to \(4,\)")],
    ),
    Case(
        "transpose",
        [
            normal((2, 3, 4), axes=(2, 0, 1)),
            normal((2, 3, 4), axes=(0, -1, 1)),
            normal((3, 5)),
            normal((), axes=()),
            normal((0, 1), axes=(1, 0)),
        ],
        [
            Refusal((zeros(2, 3),), {"axes": (0,)}, r"\(2, 3\) takes 2 axes"),
            Refusal((zeros(2, 3),), {"axes": (1, 1)}, "repeated axis"),
        ],
    ),
    Case(
        "getitem",
        [
            normal((4, 5), key=1),
            normal((4, 5), key=(slice(1, None, 2), slice(None, None, -1))),
            normal((4, 5), key=(Ellipsis, None, 2)),
            normal((4, 5), key=np.array([0, 2, 2, -1])),
            normal((4, 5), key=([0, 3, 0], [1, 1, 1])),
            normal((4, 5), key=(slice(None), np.array([[0, 1], [1, 1]]))),
            normal((4, 5), key=np.arange(20).reshape(4, 5) % 3 == 0),
            normal((4, 5), key=(slice(0, 0),)),
            normal((), key=()),
        ],
        [
            Refusal((zeros(2),), {"key": ag.Tensor(np.array([0]))}, "a Tensor can't be an index"),
            Refusal((zeros(2),), {"key": (0, ag.Tensor(np.array([0])))}, "a Tensor can't be an index"),
        ],
    ),
    Case(
        "concatenate",
        [
            normal((2, 3), (2, 1), (2, 4), axis=1),
            normal((2, 3), (1, 3), axis=-2),
            normal((3,), axis=0),
            normal((2, 0), (2, 3), axis=1),
        ],
        [
            Refusal((zeros(2, 3), zeros(3, 3)), {"axis": 1}, r"axis 1.*\(2, 3\), \(3, 3\)"),
            Refusal((zeros(2, 3), zeros(2)), {"axis": 1}, r"axis 1.*\(2, 3\), \(2,\)"),
            Refusal((zeros(2, 3),), {"axis": 2}, "axis 2 is out of bounds"),
            Refusal((), {"axis": 0}, "at least one array"),
        ],
    ),
    Case(
        "split",
        [
            normal((2, 6), parts=3),
            normal((4, 3), parts=2, axis=0),
            normal((2, 3), parts=1),
            normal((2, 0), parts=2),
        ],
        [
            Refusal((zeros(2, 5),), {"parts": 2}, r"\(2, 5\) has 5 entries: not 2 equal parts"),
            Refusal((zeros(2, 5),), {"parts": 0}, "not 0 equal parts"),
        ],
    ),
    Case(
        "upsample",
        [
            normal((2, 3, 2, 4), factors=(2, 3)),
            normal((1, 3, 2), factors=(1,)),
            normal((2, 2, 3, 1, 2), factors=(1, 2, 2)),
            normal((0, 2, 2, 1), factors=(2, 2)),
        ],
        [
            Refusal((zeros(1, 2, 2, 1),), {"factors": (2,)}, r"\(1, 2, 2, 1\) takes 2 factors"),
            Refusal((zeros(1, 2, 1),), {"factors": (0,)}, "factors >= 1"),
        ],
    ),
]


def convolution(channels_in, channels_out, *refusals):
    def sample(spatial, kernel, bias=True, batch=2, **options):
        shapes = [(batch, *spatial, channels_in), (*kernel, channels_in, channels_out)]
        return normal(*shapes, *([(channels_out,)] if bias else []), **options)

    return Case(
        "conv",
        [
            sample((5, 4), (3, 3), padding=1),
            sample((5, 4), (3, 2), stride=(2, 1), padding=((0, 2), 1)),
            sample((4, 6), (2, 2), stride=2),
            sample((5, 3), (2, 2), stride=3, padding=1, bias=False),
            sample((3, 2), (1, 1)),
            sample((3, 2), (1, 1), padding=(1, 1), stride=2, bias=False),
            sample((5,), (3,), padding=2),
            sample((5,), (2,), padding=3, stride=2),
            sample((3, 4, 3), (3, 3, 2), padding=((2, 0), 1, 0), batch=1),
            sample((4, 4, 4), (2, 2, 2), stride=(1, 2, 2), batch=1),
            sample((3, 3), (2, 2), batch=0, padding=1),
            sample((1, 1), (1, 1), batch=1),
            sample((3, 2), (3, 3), padding=1, upsampling=2),
            sample((3, 2), (2, 3), padding=((0, 3), 1), upsampling=(3, 2), bias=False),
            sample((3, 2), (3, 1), stride=(2, 1), padding=1, upsampling=(1, 2), batch=1),
            sample((2, 2, 1), (1, 1, 2), upsampling=(1, 2, 2), batch=1),
        ],
        [
            Refusal((zeros(1, 4, 4, 3), zeros(3, 3, 2, 5)), {}, "the input has 3 channels, the weight takes 2"),
            Refusal((zeros(1, 4, 4, 3), zeros(3, 3, 5)), {}, r"\(1, 4, 4, 3\).*\(3, 3, 5\).*as many kernel axes"),
            Refusal((zeros(4, 3), zeros(3, 5)), {}, "as many kernel axes"),
            Refusal((zeros(1, 4, 3), zeros(2, 3, 5), zeros(4)), {}, r"bias of shape \(5,\), not \(4,\)"),
            Refusal((zeros(1, 4, 3), zeros(2, 3, 5)), {"stride": 0}, "strides >= 1"),
            Refusal((zeros(1, 4, 3), zeros(2, 3, 5)), {"stride": (1, 1)}, "over 1 axes"),
            Refusal((zeros(1, 4, 3), zeros(2, 3, 5)), {"padding": -1}, "paddings >= 0"),
            Refusal((zeros(1, 4, 3), zeros(2, 3, 5)), {"upsampling": 0}, "upsampling factors >= 1"),
            *refusals,
        ],
    )


PRODUCTS = [
    Case(
        "matmul",
        [
            normal((3, 4), (4, 2)),
            normal((2, 5, 3, 4), (2, 5, 4, 1)),
            normal((5, 1, 3, 4), (2, 4, 2)),
            normal((2, 3, 4), (4, 2)),
            normal((3, 4), (2, 4, 2)),
            normal((1, 1), (1, 1)),
            normal((0, 4), (4, 2)),
            normal((2, 0), (0, 3)),
        ],
        [
            Refusal((zeros(2, 3), zeros(4, 5)), {}, r"\(2, 3\) and \(4, 5\).*the same k"),
            Refusal((zeros(3), zeros(3, 5)), {}, r"\(3,\) and \(3, 5\)"),
            Refusal((zeros(2, 2, 3), zeros(3, 3, 5)), {}, "."),
        ],
    ),
    Case(
        "linear",
        [
            normal((3, 4), (4, 2), (2,)),
            normal((2, 3, 5, 4), (4, 2), (2,)),
            normal((2, 3, 4), (4, 2), (2,), transposed=True),
            normal((4,), (4, 2)),
            normal((2, 3), (3, 1), (1,)),
            normal((0, 3), (3, 2), (2,)),
            Sample(lambda g: (g.standard_normal((2, 3)), g.standard_normal((3, 2)), None)),
        ],
        [
            Refusal((zeros(2, 3), zeros(4, 5)), {}, r"linear of \(2, 3\) with weight \(4, 5\)"),
            Refusal((zeros(2, 3), zeros(3, 5), zeros(4)), {}, r"bias of shape \(5,\), not \(4,\)"),
            Refusal((zeros(2, 3), zeros(3)), {}, r"\(3,\)"),
        ],
    ),
    Case(
        "embedding",
        [
            Sample(lambda g: (g.standard_normal((5, 3)), g.integers(0, 5, (4, 6)))),
            Sample(lambda g: (g.standard_normal((5, 3)), np.array(2))),
            Sample(lambda g: (g.standard_normal((1, 1)), np.zeros(3, np.uint8))),
            Sample(lambda g: (g.standard_normal((4, 2)), np.zeros((0, 2), np.int32))),
        ],
        [
            Refusal((zeros(5, 3), np.array([0, 5])), {}, "5 rows takes indices from 0 to 4, not 0 to 5"),
            Refusal((zeros(5, 3), np.array([-1, 2])), {}, "not -1 to 2"),
            Refusal((zeros(5, 3), zeros(2)), {}, "integer array.*float32"),
        ],
    ),
    convolution(3, 2, Refusal((zeros(1, 2, 4, 3), zeros(3, 3, 3, 5)), {}, r"smaller than the kernel \(3, 3\)")),
    convolution(1, 4),
]

# By a rank that is alone; test_collectives.py has several.
ALONE = Ranks()


def ring(groups, keys):
    return ag.Ring(ALONE, (np.arange(groups),), (np.zeros((groups, keys), np.int32),))


COLLECTIVES = [
    Case(
        "all_to_all",
        [
            normal((2, 3, 4), ranks=ALONE, cut=2, join=1, length=3),
            normal((2, 0, 4), ranks=ALONE, cut=-1, join=1, length=0),
            normal((3, 4, 2), ranks=ALONE, cut=0, join=-1, length=2),
        ],
        [Refusal((zeros(2, 3),), {"ranks": ALONE, "cut": 0, "join": 1, "length": 4}, r"must have 4 along axis 1")],
    ),
    Case(
        "all_gather",
        [normal((2, 3), ranks=ALONE, axis=1, length=3), normal((2, 3, 1), ranks=ALONE, axis=-3, length=2)],
        [Refusal((zeros(2, 3),), {"ranks": ALONE, "axis": 0, "length": 5}, r"the part of 5 that rank 0 of 1 has")],
    ),
    Case("all_reduce", [normal(shape, ranks=ALONE) for shape in ((2, 3), (3, 0), (1, 2, 4))]),
    Case(
        "ring_attention",
        [
            normal((2, 2, 1, 3, 4), (2, 2, 1, 3, 4), (2, 2, 1, 3, 2), ring=ring(2, 3)),
            normal((1, 2, 2, 5, 4), (1, 2, 2, 5, 4), (1, 2, 2, 5, 4), (4,), (4,), ring=ring(2, 3), scale=0.7),
            normal(
                *[(1, 1, 2, 4, 4)] * 3,
                ring=ring(1, 4),
                query_time=np.array([[[0, 0, 1, 1]]]),
                key_time=np.array([[[0, NEVER, 0, 1]]]),
            ),
        ],
    ),
    Case("reduce_scatter", [normal((2, 3), ranks=ALONE, axis=1), normal((3, 1, 2), ranks=ALONE, axis=-1)]),
]

TABLE = ELEMENTWISE + REDUCTIONS + SHAPING + PRODUCTS + FUSED + COLLECTIVES
