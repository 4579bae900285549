"""A box of absolute values: one bound for any two networks in it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Factors, moved, shrinking, untied, valued
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

places = st.lists(st.sampled_from([Fraction(k, 2) for k in (2, 0, 1)]), min_size=1, max_size=6)
outside = st.lists(st.sampled_from([Fraction(k, 2) for k in (2, 0, -3, 4)]), min_size=1, max_size=6)
Box = Callable[[Network, Network, Input], Any]


def library(low: Network, high: Network, box: Input) -> Any:
    """The library's bound."""
    return pg.box_bound(low, high, inputs=box, per_output=True).upper


@theorem(
    statement=(
        "If two networks have the signs of a third one and absolute values between those of a fourth and the "
        "third, their outputs differ on the box by at most P_v(high) - P_v(low)."
    ),
    latex=(r"\sup_{low\le|\theta|,|\theta'|\le high}|R_v(\theta,x)-R_v(\theta',x)|\le P_v(high;|x|)-P_v(low;|x|)"),
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; all signs equal, or zero",
    source=DERIVED,
    instances=drawn(shrinking, places, places, inputs),
    networks=untied,
    needs=("no ties",),
    constant=1,
)
def box_of_moduli(
    net: Network,
    factors: Factors,
    here: Sequence[Fraction],
    there: Sequence[Fraction],
    x: Input,
    *,
    bound: Box = library,
) -> Inequality:
    """Compare the difference of two networks in the box with the bound."""
    low = moved(net, factors)
    one, other = (between(low, net, place) for place in (here, there))
    return Inequality(abs(one(x) - other(x)), bound(low, net, [abs(value) for value in x]))


def between(low: Network, high: Network, place: Sequence[Fraction]) -> Network:
    """The network that lies on the way from `low` to `high`, entry by entry, as far as `place` says."""
    ends = zip(low.values.tolist(), high.values.tolist(), strict=True)
    return valued(low, [a + place[i % len(place)] * (b - a) for i, (a, b) in enumerate(ends)])


box_of_moduli.mutant(
    "networks outside the box",
    ("x0; y0 = out(x0)", ("1/2",), (1,), ("-3/2",), (1,)),
    instances=drawn(shrinking, places, outside, inputs),
)
box_of_moduli.mutant(
    "half of the difference",
    ("x0; y0 = out(x0)", ("1/2",), (1,), (0,), (1,)),
    bound=lambda low, high, box: [b / 2 for b in library(low, high, box)],
)
box_of_moduli.mutant(
    "the difference of the outputs of the ends",
    ("x0; h0 = id(x0); h1 = id(h0); h2 = id(x0, h0, h1); y0 = out(-1*h1, h2)", (1, "1/2"), (1,), (1, 1, 0), (1,)),
    bound=lambda low, high, box: abs(high(box) - low(box)),
)
