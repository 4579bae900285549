"""Shrinking parameters: the path-metric is a difference of path-norms."""

from collections.abc import Callable, Sequence
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import (
    Factors,
    any_signs,
    masses,
    metric,
    moved,
    same_signs,
    shrinking,
    summed,
    untied,
)
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.variants import kth_largest, without_biases

Norms = Callable[[Network, Sequence[Any]], Any]


def norms(net: Network, box: Sequence[Any]) -> Any:
    """The library's norms of the outputs, weighted by the box."""
    return pg.path_norm(net, inputs=box, per_output=True)


@theorem(
    statement=(
        "If every parameter keeps its sign, or vanishes, and none grows, then for each output the path-metric, "
        "weighted by any box, is the difference of the weighted path-norms; the library finds it without "
        "subtracting them."
    ),
    latex=(
        r"\sum_{p\in\mathcal P^v}D_{p_0}|\Phi_p(\theta)-\Phi_p(\theta')|=P_v(\theta;D)-P_v(\theta';D)"
        r"\quad\text{if }\theta_i\theta'_i\ge0,\ |\theta'_i|\le|\theta_i|"
    ),
    hypotheses="any DAG; P sums at pools",
    source=METRIC,
    instances=drawn(shrinking, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
)
def two_sweep_identity(net: Network, factors: Factors, x: Input, *, norms: Norms = norms) -> Equality:
    """Compare an enumeration with the difference, and with the library's recursion."""
    other, box = moved(net, factors), [abs(value) for value in x]
    differences = [a - b for a, b in zip(norms(net, box), norms(other, box), strict=True)]
    found = pg.path_metric(net, other, inputs=box, per_output=True, max_paths=10**6).upper
    return Equality([differences, found], [summed(net, other, metric, box)] * 2)


two_sweep_identity.mutant("some parameters grow", ("x0; y0 = out(x0)", (2,), (1,)), instances=drawn(same_signs, inputs))
two_sweep_identity.mutant("signs may change", ("x0; y0 = out(x0)", (-1,), (1,)), instances=drawn(any_signs, inputs))
two_sweep_identity.mutant(
    "biases are lost", ("x0; y0 = out(x0, 1)", (0,), (1,)), norms=lambda net, box: norms(without_biases(net), box)
)
two_sweep_identity.mutant(
    "pools keep their rank",
    ("x0; h0 = id(x0); h1 = max(x0, h0); y0 = out(h1)", (0,), (1,)),
    norms=lambda net, box: masses(net, box, pool=kth_largest),
)
two_sweep_identity.mutant(
    "the box is ignored", ("x0; y0 = out(x0)", (0,), (0,)), norms=lambda net, box: norms(net, [1] * len(box))
)
