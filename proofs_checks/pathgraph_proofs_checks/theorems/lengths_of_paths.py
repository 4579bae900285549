"""The path-norm by number of edges: one sweep in polynomials, and the depth is its degree."""

from collections.abc import Callable
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import MAX_PATHS
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Coefficients = Callable[[Network], Any]


def generating_function(net: Network) -> Any:
    """The library's polynomial."""
    return pg.path_sum(net, pg.semirings.LENGTHS)


@theorem(
    statement=(
        "With z |theta| on edges and |b| on biases, one sweep gives the polynomial whose coefficient of z**l is the "
        "sum of |Phi_p| over the paths with l edges; the depth is the largest number of edges."
    ),
    latex=r"\tilde R_{z|\theta|}(\mathbf 1)=\sum_{\ell\ge0}z^\ell\sum_{|p|=\ell}|\Phi_p(\theta)|",
    hypotheses="any DAG; a bias path has the edges after its neuron",
    source=DERIVED,
    instances=drawn(),
    enumerates=True,
)
def lengths_of_paths(net: Network, *, coefficients: Coefficients = generating_function) -> Equality:
    """Compare the coefficients with an enumeration by length."""
    lifting = pg.path_lifting(net, max_paths=MAX_PATHS)
    lengths = [len(path) - 1 for path in lifting.paths]
    expected = [0] * (max(lengths, default=0) + 1)
    for length, product in zip(lengths, lifting.values, strict=True):
        expected[length] += abs(product)
    return Equality((trimmed(coefficients(net)), pg.depth(net)), (trimmed(expected), len(expected) - 1))


def trimmed(polynomial: Any) -> list[Any]:
    """Coefficients without trailing zeros."""
    coefficients = list(polynomial)
    while coefficients and not coefficients[-1]:
        coefficients.pop()
    return coefficients


lengths_of_paths.mutant(
    "the number of neurons instead of edges",
    ("x0; y0 = out(x0)",),
    coefficients=lambda net: (0, *generating_function(net)),
)
lengths_of_paths.mutant(
    "every path is as long as the longest",
    ("x0; h0 = id(x0); y0 = out(x0, h0)",),
    coefficients=lambda net: [0] * pg.depth(net) + [pg.path_norm(net)],
)
lengths_of_paths.mutant(
    "paths are counted, not weighed",
    ("x0; y0 = out(0*x0)",),
    coefficients=lambda net: generating_function(net.map_values(lambda w: w**0)),
)
lengths_of_paths.mutant(
    "biases start no path",
    ("x0; y0 = out(x0, 1)",),
    coefficients=lambda net: pg.path_sum(net, pg.semirings.LENGTHS, biases=False),
)
