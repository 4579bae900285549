"""A network that squares: its error, exactly."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, theorem


@theorem(
    statement="The saw-tooth network of m hidden layers exceeds x^2 on [0, 1] by at least 0 and at most 2^(-2m-2).",
    latex=r"0\le f_m(x)-x^2\le2^{-2m-2},\quad f_m(x)=x-\sum_{s=1}^m4^{-s}g_s(x),\ x\in[0,1]",
    hypotheses="attained in the middle of each of the 2^m cells; the construction is that of arXiv 1610.01145",
    source=DERIVED,
    instances=lambda networks: st.tuples(st.integers(1, 5), st.integers(0, 64)),
    on_network=0,
    constant=1,
)
def squares_by_sawteeth(
    m: int,
    place: int,
    *,
    error: Callable[[int], Any] = lambda m: Fraction(1, 4 ** (m + 1)),
    square: Callable[[int, Fraction], Any] = lambda m, x: pg.squaring_network(m)([x])[0],
) -> Inequality:
    """Compare the error at a multiple of 1/64 with the bound, from both sides."""
    x = Fraction(place, 64)
    gap = square(m, x) - x**2
    return Inequality([gap, Fraction(0)], [error(m), gap])


squares_by_sawteeth.mutant("half of the error", (1, 16), error=lambda m: Fraction(1, 4 ** (m + 1) * 2))
squares_by_sawteeth.mutant(
    "one saw-tooth less", (2, 16), square=lambda m, x: pg.squaring_network(max(1, m - 1))([x])[0]
)
squares_by_sawteeth.mutant(
    "outside the interval",
    (1, 1),
    square=lambda m, x: pg.squaring_network(m)([-x])[0],
)
