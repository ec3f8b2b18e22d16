"""The part of the table of operations that is about autograd/fused.py and autograd/attend.py."""

import numpy as np
from cases import Case, Refusal, Sample, normal, zeros

ROWS = [normal((3, 5)), normal((2, 3, 1)), normal((0, 3)), normal((2, 1, 7))]


def row_norm(name, bias, **options):
    """A normalisation over rows with weight and bias: with neither, with one, with both."""
    return Case(
        name,
        [
            normal((3, 5), **options),
            normal((2, 3, 6), (6,), **options),
            normal((0, 4), (4,), **options),
            *([normal((2, 3, 6), (6,), (6,), **options), normal((1, 1), (1,), (1,), **options)] if bias else []),
            normal((4, 3), eps=0.5, **options),
        ],
        [
            Refusal((zeros(2, 3), zeros(4)), options, r"shape \(3,\), not \(4,\)"),
            Refusal((zeros(2, 3), zeros(2, 3)), options, r"shape \(3,\), not \(2, 3\)"),
        ],
    )


def attention_samples(name):
    def timed(queries, keys, query_time, key_time):
        times = {"query_time": np.array(query_time), "key_time": np.array(key_time)}
        return normal((2, queries, 3), (2, keys, 3), (2, keys, 2), **times)

    never = 2**30
    return Case(
        name,
        [
            normal((4, 3), (5, 3), (5, 2)),
            normal((2, 3, 4, 3), (2, 3, 5, 3), (2, 3, 5, 3), scale=0.7),
            normal((1, 1), (1, 1), (1, 1)),
            normal((2, 3), (600, 3), (600, 2)),  # several tiles
            timed(4, 4, [0, 0, 1, 1], [0, 0, 1, 1]),
            timed(3, 4, [0, 0, 0], [0, 0, never, never]),
            timed(2, 3, [0, 5], [3, 4, 5]),  # the first query sees nothing
            normal((0, 3, 2), (0, 4, 2), (0, 4, 2)),
        ],
        [
            Refusal((zeros(4, 3), zeros(5, 2), zeros(5, 2)), {}, r"\(4, 3\), \(5, 2\)"),
            Refusal((zeros(4, 3), zeros(5, 3), zeros(6, 3)), {}, r"\(5, 3\) and \(6, 3\)"),
            Refusal((zeros(2, 4, 3), zeros(3, 5, 3), zeros(3, 5, 3)), {}, "equal leading axes"),
            Refusal((zeros(4, 3), zeros(5, 3), zeros(5, 3)), {"key_time": np.zeros(5)}, "together, or neither"),
        ],
    )


def with_norm_and_rotation(case):
    """What `attention` can do before it attends: QK-norm, alone on either side, and rotary positions."""
    turned = lambda *shapes, **options: Sample(normal(*shapes).arguments, options, constant=(5, 6))
    q = (2, 3, 5, 4)  # (B, h, N, d)
    samples = [
        normal((2, 4, 3), (2, 5, 3), (2, 5, 2), (3,), (3,)),
        normal((4, 3), (5, 3), (5, 2), (3,)),
        turned((5, 4), (5, 4), (5, 2), (4,), (4,), (5, 2), (5, 2)),
        Sample(lambda g: (*g.standard_normal((3, 5, 4)), None, None, *g.standard_normal((2, 5, 2))), constant=(5, 6)),
        turned(q, q, q, (4,), (4,), (5, 2), (5, 2), scale=0.7),
        turned((2, 2, 3, 2, 4), (2, 2, 3, 2, 4), (2, 2, 3, 2, 4), (4,), (4,), (2, 1, 2, 2), (2, 1, 2, 2)),  # groups
    ]
    for name in ("query_time", "key_time"):
        samples[4].options[name] = np.array([0, 0, 1, 1, 2])
    table = zeros(5, 2)
    refusals = [
        Refusal((zeros(*q), zeros(2, 3, 6, 4), zeros(2, 3, 6, 4), None, None, table, table), {}, "as many keys as"),
        Refusal((zeros(*q), zeros(*q), zeros(*q), None, None, table, None), {}, "by cos and sin"),
        Refusal((zeros(*q), zeros(*q), zeros(*q), None, None, zeros(4, 2), zeros(4, 2)), {}, r"\(5, 2\), not \(4, 2\)"),
    ]
    return Case(case.name, [*case.samples, *samples], [*case.refusals, *refusals])


FUSED = [
    Case("softmax", ROWS),
    Case("log_softmax", ROWS),
    row_norm("layer_norm", bias=True),
    row_norm("rms_norm", bias=False),
    Case(
        "normalise_and_modulate",
        [
            normal((2, 3, 4, 5), (2, 3, 1, 5), (2, 3, 1, 5)),
            normal((3, 5), (1, 5), (1, 5), eps=0.5),
            normal((0, 3, 2), (0, 1, 2), (0, 1, 2)),
        ],
        [Refusal((zeros(2, 3, 4), zeros(2, 3, 4), zeros(2, 1, 4)), {}, r"\(2, 3, 4\) needs.*\(2, 1, 4\), not")],
    ),
    Case(
        "gated_residual",
        [
            normal((2, 3, 4, 5), (2, 3, 1, 5), (2, 3, 4, 5)),
            normal((3, 5), (1, 5), (3, 5)),
            normal((2, 1, 1), (2, 1, 1), (2, 1, 1)),
            normal((0, 3, 2), (0, 1, 2), (0, 3, 2)),
        ],
        [
            Refusal((zeros(3, 5), zeros(1, 5), zeros(2, 5)), {}, r"\(3, 5\) and branch \(2, 5\)"),
            Refusal((zeros(3, 5), zeros(3, 5), zeros(3, 5)), {}, r"gate \(1, 5\), not \(3, 5\)"),
        ],
    ),
    Case(
        "mlp",
        [
            normal((3, 4), (4, 5), (5,), (5, 2), (2,)),
            normal((2, 3, 4), (4, 5), (5,), (5, 4), (4,)),
            normal((1, 1), (1, 1), (1,), (1, 1), (1,)),
            normal((0, 4), (4, 5), (5,), (5, 2), (2,)),
        ],
        [
            Refusal((zeros(3, 4), zeros(5, 6), zeros(6), zeros(6, 2), zeros(2)), {}, r"mlp of \(3, 4\)"),
            Refusal((zeros(3, 4), zeros(4, 6), zeros(6), zeros(5, 2), zeros(2)), {}, r"\(4, 6\), \(6,\), \(5, 2\)"),
            Refusal((zeros(3, 4), zeros(4, 6), zeros(6), zeros(6, 2), zeros(3)), {}, r"a bias \(2,\), not \(3,\)"),
        ],
    ),
    Case(
        "rotary",
        [
            Sample(normal((2, 3, 2, 4), (3, 1, 2), (3, 1, 2)).arguments, constant=(1, 2)),
            Sample(normal((1, 1, 2), (1, 1, 1), (1, 1, 1)).arguments, constant=(1, 2)),
            Sample(normal((0, 3, 2, 4), (3, 1, 2), (3, 1, 2)).arguments, constant=(1, 2)),
        ],
        [
            Refusal((zeros(3, 2, 5), zeros(3, 1, 2), zeros(3, 1, 2)), {}, "even width"),
            Refusal((zeros(3, 2, 4), zeros(2, 1, 2), zeros(2, 1, 2)), {}, r"\(3, 1, 2\), not \(2, 1, 2\)"),
        ],
    ),
    with_norm_and_rotation(attention_samples("attention")),
    attention_samples("simple_attention"),
    Case(
        "cross_entropy",
        [
            Sample(lambda g: (g.standard_normal((4, 5)), g.integers(0, 5, 4))),
            Sample(lambda g: (g.standard_normal((2, 3, 7)), g.integers(0, 7, (2, 3)))),
            Sample(lambda g: (g.standard_normal((2, 1)), np.zeros(2, int))),
        ],
        [
            Refusal((zeros(2, 3), np.array([0, 3])), {}, r"\[0, 3\), not \[0, 3\]"),
            Refusal((zeros(2, 3), np.array([-1, 0])), {}, r"not \[-1, 0\]"),
            Refusal((zeros(2, 3), np.array([0])), {}, r"\(2, 3\) need integer labels \(2,\)"),
            Refusal((zeros(2, 3), zeros(2)), {}, "integer labels.*float32"),
        ],
    ),
    Case(
        "mean_squared_error",
        [
            normal((3, 5), (3, 5)),
            Sample(normal((2, 3, 4), (2, 3, 4), (2, 1, 1)).arguments, constant=(2,)),
            normal((1,), (1,)),
            normal((), ()),
        ],
        [Refusal((zeros(3, 5), zeros(5)), {}, r"\(3, 5\) and target \(5,\)")],
    ),
]
