"""The number of paths, and the number of those that are not zero, by one sweep each."""

from collections.abc import Callable
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import path_products
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs


def numbers(net: Network) -> tuple[int, Any]:
    """The library's path count and q = 0 path-norm."""
    return pg.count_paths(net), pg.path_norm(net, 0)


@theorem(
    statement=(
        "The number of paths is the sweep with all weights 1. The q = 0 path-norm, the limit of the q-th powers as q "
        "decreases to 0, is the number of paths whose product is not zero: the sweep with weights 0**0 = 0 and 1."
    ),
    latex=r"\#\mathcal P=\tilde R_{\mathbf 1}(\mathbf 1),\qquad \lim_{q\to0}\|\Phi\|_q^q=\#\{p:\Phi_p\ne0\}",
    hypotheses="zero weights and zero biases that are present make paths; absent biases do not",
    source=DERIVED,
    instances=drawn(),
    enumerates=True,
)
def number_of_paths(net: Network, *, numbers: Callable[[Network], tuple[int, Any]] = numbers) -> Equality:
    """Compare both counts with an enumeration."""
    products = path_products(net)
    return Equality(numbers(net), (len(products), sum(product != 0 for product in products)))


def counted(**choices: Any) -> Callable[[Network], tuple[int, int]]:
    """Both counts by sweeps, with some choices changed."""

    def numbers(net: Network) -> tuple[int, int]:
        everything = at_outputs(net, lambda w, data: 1, **choices)
        nonzero = at_outputs(net, lambda w, data: int(w != 0), **choices)
        return sum(everything), sum(nonzero)

    return numbers


def with_every_bias(net: Network) -> tuple[int, Any]:
    """Wrong counts, in which every hidden neuron starts a path."""
    absent = [v for v in net.hidden if net.bias(v) is None]
    more = sum(pg.path_sum(net, pg.semirings.COUNT, source=v) for v in absent)
    return pg.count_paths(net) + more, pg.path_norm(net, 0)


number_of_paths.mutant("0**0 is 1", ("x0; y0 = out(0*x0)",), numbers=lambda net: (pg.count_paths(net),) * 2)
number_of_paths.mutant(
    "zero weights make no path", ("x0; y0 = out(0*x0)",), numbers=lambda net: (pg.path_norm(net, 0),) * 2
)
number_of_paths.mutant("biases start no path", ("x0; y0 = out(x0, 1)",), numbers=counted(bias=lambda b, data: 0))
number_of_paths.mutant(
    "a pool passes one path",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)",),
    numbers=counted(pool=lambda terms, rank: max(terms)),
)
number_of_paths.mutant("absent biases start paths, too", ("x0; h0 = id(x0); y0 = out(h0)",), numbers=with_every_bias)
