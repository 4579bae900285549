"""Pruning moves the output by no more than the mass of the paths that meet what was removed."""

from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import at_pools_max
from pathgraph_proofs_checks.parts import Input, pooling_dags
from pathgraph_proofs_checks.pruned import Places, chosen, names, places, without
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power

Bound = Callable[[Network, Collection[int], list[Fraction]], Any]


def library(net: Network, found: Collection[int], box: list[Fraction]) -> Any:
    """The library's bound, per output."""
    return pg.set_magnitude(net, names(net, found), inputs=box, per_output=True)


@theorem(
    statement=(
        "Setting parameters to zero moves each output, over the box |x_u| <= D_u, by at most the sum of |Phi_p| over "
        "the paths to it that meet them, those that start at the input u weighted by D_u."
    ),
    latex=r"|R_\theta(x)_v-R_{s_I\odot\theta}(x)_v|\le\sum_{p\in\mathcal P^v,\,p\cap I\ne\emptyset}|x_{p_0}||\Phi_p|",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; x is 1 for the paths that start at a bias",
    source=METRIC,
    instances=drawn(places, inputs),
    networks=pooling_dags,
    constant=1,
)
def certificate_of_pruning(net: Network, drawn: Places, x: Input, *, bound: Bound = library) -> Inequality:
    """Compare the change of the outputs at x with the bound for the box of x."""
    found = chosen(net, drawn)
    change = abs(net(x) - without(net, found)(x))
    return Inequality(change, bound(net, found, [abs(Fraction(value)) for value in x]))


def with_pools(pool: Callable[[Any, int], Any]) -> Bound:
    """The difference of two passes in which pools do not sum."""

    def bound(net: Network, found: Collection[int], box: list[Fraction]) -> list[Fraction]:
        start = dict(zip(net.inputs, box, strict=True))
        pairs = (at_outputs(n, power(1), start=start, pool=pool) for n in (net, without(net, found)))
        return [abs(a - b) for a, b in zip(*pairs, strict=True)]

    return bound


def total(number: Any, net: Network) -> list[Any]:
    """The same bound for each output."""
    return [number] * len(net.outputs)


certificate_of_pruning.mutant(
    "the box is ignored",
    ("x0; y0 = out(x0)", (0,), (2,)),
    bound=lambda net, found, box: library(net, found, [Fraction(1)] * len(box)),
)
certificate_of_pruning.mutant(
    "the paths of the biases are left out",
    ("x0; y0 = out(x0, 1)", (1,), (1,)),
    bound=lambda net, found, box: (
        pg.path_sum(net.map_values(abs), inputs=box, biases=False, per_output=True)
        - pg.path_sum(without(net, found).map_values(abs), inputs=box, biases=False, per_output=True)
    ),
)
certificate_of_pruning.mutant(
    "the largest single cost",
    ("x0 x1; y0 = out(x0, x1)", (0, 1), (1, 1)),
    bound=lambda net, found, box: total(
        max((pg.path_magnitude(net, inputs=box)[i] for i in found), default=Fraction(0)), net
    ),
)
certificate_of_pruning.mutant(
    "the moduli of the parameters",
    ("x0; h0 = id(x0); y0 = out(2*h0)", (0,), (1,)),
    bound=lambda net, found, box: total(max([1, *box]) * sum((abs(net.theta[i]) for i in found), Fraction(0)), net),
)
certificate_of_pruning.mutant(
    "pools keep their rank",
    ("x0 x1; h0 = id(x1); h1 = pool2(x0, x1, h0); y0 = out(h1)", (0,), (1, -1)),
    bound=with_pools(kth_largest),
)
certificate_of_pruning.mutant(
    "maxima at pools",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", (0,), (1, -1)),
    bound=with_pools(at_pools_max),
)
certificate_of_pruning.mutant(
    "half of it",
    ("x0; y0 = out(x0)", (0,), (1,)),
    bound=lambda net, found, box: library(net, found, box) / 2,
)
