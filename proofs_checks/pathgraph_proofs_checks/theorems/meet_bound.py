"""The bound through the meet: no hypothesis on signs, three sweeps."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Bounds, Factors, any_signs, at_pools_max, masses, moved, untied, valued
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import without_biases


def library(net: Network, other: Network, box: Input) -> Any:
    """The library's bound."""
    return pg.parameter_lipschitz(net, other, inputs=box, per_output=True, method="meet", drop_silent=False).upper


@theorem(
    statement=(
        "For any parameters, |R_v(x) - R'_v(x)| is at most P_v(theta) + P_v(theta') - 2 P_v(meet) over the box "
        "|x|, the meet having the smaller absolute value where signs agree and 0 elsewhere."
    ),
    latex=r"|R_v(\theta,x)-R_v(\theta',x)|\le P_v(\theta;|x|)+P_v(\theta';|x|)-2P_v(\theta\sqcap\theta';|x|)",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; P sums at pools; no hypothesis on signs",
    source=DERIVED,
    instances=drawn(any_signs, inputs),
    networks=untied,
    needs=("no ties",),
    constant=1,
)
def meet_bound(net: Network, factors: Factors, x: Input, *, bound: Bounds = library) -> Inequality:
    """Compare the change of each output with the bound."""
    other = moved(net, factors)
    return Inequality(abs(net(x) - other(x)), bound(net, other, [abs(value) for value in x]))


def smaller(a: Fraction, b: Fraction) -> Fraction:
    """The meet of two entries."""
    return min(abs(a), abs(b)) if a * b > 0 else Fraction(0)


def by_sweeps(
    meet: Callable[[Fraction, Fraction], Fraction] = smaller, times: int = 2, biases: bool = True, **choices: Any
) -> Bounds:
    """The bound with choices changed."""

    def bound(net: Network, other: Network, box: Input) -> list[Fraction]:
        both = valued(net, [meet(a, b) for a, b in zip(net.values, other.values, strict=True)])
        three = [masses(n if biases else without_biases(n), box, **choices) for n in (net, other, both)]
        return [a + b - times * m for a, b, m in zip(*three, strict=True)]

    return bound


meet_bound.mutant(
    "maxima at pools",
    ("x0 x1; h0 = max(-1*x0, -1*x1); y0 = out(h0)", (1, -1), (1, 1)),
    bound=by_sweeps(pool=at_pools_max),
)
meet_bound.mutant(
    "the smaller size whatever the signs",
    ("x0; y0 = out(x0)", (-1,), (1,)),
    bound=by_sweeps(lambda a, b: min(abs(a), abs(b))),
)
meet_bound.mutant("three times the meet", ("x0; y0 = out(x0)", (1,), (1,)), bound=by_sweeps(times=3))
meet_bound.mutant("biases do not count", ("x0; y0 = out(x0, 1)", (-1,), (1,)), bound=by_sweeps(biases=False))
meet_bound.mutant(
    "the mean in the place of the meet", ("x0; y0 = out(x0)", (0,), (1,)), bound=by_sweeps(lambda a, b: abs(a + b) / 2)
)
