"""What the bits in floating point depend on, and the bits in fixed point at least: the mass of the paths by length."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.quantization.sensitivities import sensitivities
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import untied
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def by_paths(net: Network, *, count_biases: bool = True) -> Fraction:
    """The sum over the paths of their mass times the number of their parameters."""
    lifting = pg.path_lifting(net)
    inputs, total = set(net.inputs), Fraction(0)
    free = set(net.parameters)
    for path, value in zip(lifting.paths, lifting.values, strict=True):
        edges = sum(edge in free for edge in pairwise(path))
        total += abs(value) * (edges + (count_biases and path[0] not in inputs and path[0] in free))
    return total


@theorem(
    statement=(
        "The parameters times the derivatives of the path-norm sum to the mass of the paths times their numbers of "
        "parameters, and the largest parameter times the sum of the derivatives is not less."
    ),
    latex=(r"\Lambda=\sum_i|\theta_i|\partial_iP=\sum_p\mathrm{len}(p)|\Phi_p|\le\max_i|\theta_i|\,\sum_i\partial_iP"),
    hypotheses="any DAG without tied parameters; len counts parameters, a bias included; equality for equal sizes",
    source=DERIVED,
    instances=drawn(),
    networks=untied,
    needs=("no ties", "few paths"),
    enumerates=True,
    constant=1,
)
def bits_and_path_lengths(
    net: Network,
    *,
    mass: Callable[[Network], Any] = by_paths,
    size: Callable[[Any], Any] = lambda found: max(found.sizes.tolist(), default=Fraction(0)),
) -> Inequality:
    """Compare the invariant by paths with the one by sweeps, and with the bound by the largest parameter."""
    found = sensitivities(net)
    exact = mass(net)
    return Inequality(
        [exact, found.invariant, exact], [found.invariant, exact, size(found) * sum(found.slopes.tolist(), Fraction(0))]
    )


bits_and_path_lengths.mutant(
    "biases are not counted", ("x0; y0 = out(1)",), mass=lambda net: by_paths(net, count_biases=False)
)
bits_and_path_lengths.mutant(
    "all paths have the length of the longest",
    ("x0; h0 = id(x0, 1); y0 = out(h0, x0)",),
    mass=lambda net: pg.path_norm(net) * int(max(pg.depth(net), 0)),
)
bits_and_path_lengths.mutant(
    "the mean size of the parameters",
    ("x0; y0 = out(2*x0, 0)",),
    size=lambda found: sum(found.sizes.tolist(), Fraction(0)) / max(1, len(found.sizes)),
)
