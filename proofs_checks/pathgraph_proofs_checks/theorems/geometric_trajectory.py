"""Why signs matter: between networks of equal signs there is a way on which every path product moves one way."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import Factors, any_signs, same_signs, untied, valued
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem

places = st.sampled_from([(1, 2), (1, 3), (2, 3), (1, 1)])
"""Exponents of a point on the way, and of its end."""

Point = Callable[[Network, Factors, int, int], Network]


def powered(net: Network, factors: Factors, exponent: int) -> Network:
    """The network with every value multiplied by a power of a factor."""
    times = [factors[i % len(factors)] for i in range(len(net.values))]
    return valued(net, [w * f**exponent for w, f in zip(net.values.tolist(), times, strict=True)])


def geometric(net: Network, factors: Factors, k: int, n: int) -> Network:
    """The point of the geometric way."""
    return powered(net, factors, k)


@theorem(
    statement=(
        "On the way with the moduli |theta|^(1 - t) |theta'|^t every path product moves one way, so that lengths add "
        "up: the path-metric from one end to a point and from there to the other end is that of the ends, output by "
        "output and for every box."
    ),
    latex=(
        r"\theta(t)_i=\mathrm{sgn}(\theta_i)\,|\theta_i|^{1-t}|\theta'_i|^t:\quad"
        r"\|\Phi(\theta)-\Phi(\theta(t))\|_1+\|\Phi(\theta(t))-\Phi(\theta')\|_1=\|\Phi(\theta)-\Phi(\theta')\|_1"
    ),
    hypotheses="any DAG; no parameter changes its sign; theta' = f^n theta and t = k/n, so that theta(t) is rational",
    source=METRIC,
    instances=drawn(same_signs, places, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
)
def geometric_trajectory(
    net: Network, factors: Factors, place: tuple[int, int], x: Input, *, point: Point = geometric
) -> Equality:
    """Compare the two lengths with the whole one."""
    k, n = place
    middle, other, box = point(net, factors, k, n), powered(net, factors, n), [abs(value) for value in x]

    def length(a: Network, b: Network) -> list[Fraction]:
        found = pg.path_metric(a, b, inputs=box, per_output=True, method="enumeration", max_paths=10**6)
        return [Fraction(end) for end in found.upper]

    return Equality(
        [a + b for a, b in zip(length(net, middle), length(middle, other), strict=True)], length(net, other)
    )


def straight(net: Network, factors: Factors, k: int, n: int) -> Network:
    """The point of the segment."""
    t, ends = Fraction(k, n), zip(net.values.tolist(), powered(net, factors, n).values.tolist(), strict=True)
    return valued(net, [(1 - t) * a + t * b for a, b in ends])


def one_by_one(net: Network, factors: Factors, k: int, n: int) -> Network:
    """The point at which every second value has arrived, and no other has left."""
    ends = zip(net.values.tolist(), powered(net, factors, n).values.tolist(), strict=True)
    return valued(net, [a if i % 2 else b for i, (a, b) in enumerate(ends)])


CHAIN = "x0; h0 = id(x0); y0 = out(h0)"
geometric_trajectory.mutant("the segment", (CHAIN, (2, "1/2"), (1, 2), (1,)), point=straight)
geometric_trajectory.mutant("one parameter after the other", (CHAIN, (2, "1/2"), (1, 1), (1,)), point=one_by_one)
geometric_trajectory.mutant(
    "signs may change", ("x0; y0 = out(x0)", (-1,), (1, 2), (1,)), instances=drawn(any_signs, places, inputs)
)
geometric_trajectory.mutant(
    "each parameter at a time of its own",
    (CHAIN, (2, "1/2"), (1, 2), (1,)),
    point=lambda net, factors, k, n: one_by_one(powered(net, factors, k), factors, n, n - k),
)
