"""The Lipschitz bounds, from the sharpest to the simplest."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def boxes(net: Network) -> st.SearchStrategy[tuple[Any, ...]]:
    """Half-widths of boxes of inputs."""
    return st.tuples(*(dyadics().map(abs) for _ in net.inputs))


@theorem(
    statement="Over any box, max-pass <= input-started paths <= path-norm, output by output.",
    latex=r"L^{\max}_v\le\sum_{p\in\mathcal P^v,\,p_0\in N_{in}}|\Phi_p|\le\|\Phi^{\to v}\|_1",
    hypotheses="the input-started paths weighted by the half-widths of the box, the path-norm by the largest of them",
    source=DERIVED,
    instances=drawn(boxes),
    constant=1,
)
def order_of_the_lipschitz_bounds(
    net: Network, box: Any, *, order: Sequence[Any] = ("max-pass", "input-paths", "path-norm")
) -> Inequality:
    """Compare each bound with the next one."""
    bounds = [list(pg.input_lipschitz(net, method=method, inputs=box, per_output=True)) for method in order]
    return Inequality(bounds[:-1], bounds[1:])


order_of_the_lipschitz_bounds.mutant(
    "the max-pass exceeds the input paths",
    ("x0; h0 = id(x0); h1 = max(x0, h0); y0 = out(h1)", (1,)),
    order=("input-paths", "max-pass"),
)
order_of_the_lipschitz_bounds.mutant(
    "biases do not count in the path-norm", ("x0 x1; y0 = out(x1)", (2, 1)), order=("path-norm", "input-paths")
)
