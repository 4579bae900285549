"""The bounds of the path-metric, from the sharpest to the coarsest."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.metrics.path_metrics import Method
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import (
    Factors,
    Term,
    any_signs,
    join,
    max_min,
    meet,
    metric,
    moved,
    same_signs,
    summed,
    telescope,
    untied,
)
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

NAMES: tuple[Method, ...] = ("enumeration", "meet", "max-min", "join", "telescope")


def library(net: Network, other: Network, box: Sequence[Fraction]) -> dict[str, Any]:
    """The library's bounds by name."""
    return {
        name: list(pg.path_metric(net, other, inputs=box, per_output=True, method=name, max_paths=10**6).upper)
        for name in NAMES
    }


@theorem(
    statement=(
        "If no parameter changes its sign: metric <= U2 <= U1 <= U3 and U2 <= U4 <= U3, output by output and for every "
        "box; here U2 goes through the meet, U1 = P(largest) - P(smallest), U3 through the join, and U4 "
        "telescopes."
    ),
    latex=r"\sum_pD_p|\Phi_p-\Phi'_p|\le U_2\le U_1\le U_3,\qquad U_2\le U_4\le U_3",
    hypotheses="any DAG; products are supermodular on the non-negative numbers",
    source=DERIVED,
    instances=drawn(same_signs, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
    constant=1,
)
def order_of_the_metric_bounds(
    net: Network,
    factors: Factors,
    x: Input,
    *,
    order: Sequence[tuple[str, str]] = (
        ("enumeration", "meet"),
        ("meet", "max-min"),
        ("max-min", "join"),
        ("meet", "telescope"),
        ("telescope", "join"),
    ),
    terms: Mapping[str, Term] | None = None,
) -> Inequality:
    """Compare each bound with the next one."""
    other, box = moved(net, factors), [abs(value) for value in x]
    if terms is None:
        bounds = library(net, other, box)
    else:
        bounds = {name: summed(net, other, term, box) for name, term in terms.items()}
    return Inequality([bounds[low] for low, _ in order], [bounds[high] for _, high in order])


TERMS: dict[str, Term] = dict(zip(NAMES, (metric, meet, max_min, join, telescope), strict=True))

PAIR = "x0; h0 = id(x0); y0 = out(h0)"

order_of_the_metric_bounds.mutant("the meet is the metric", (PAIR, (2, "1/4"), (1,)), order=[("meet", "enumeration")])
order_of_the_metric_bounds.mutant("max-min is at most the meet", (PAIR, (0, 2), (1,)), order=[("max-min", "meet")])
order_of_the_metric_bounds.mutant("the join is at most max-min", (PAIR, (0, 2), (1,)), order=[("join", "max-min")])
order_of_the_metric_bounds.mutant(
    "the telescope is at most the meet", (PAIR, (2, "1/4"), (1,)), order=[("telescope", "meet")]
)
order_of_the_metric_bounds.mutant(
    "the telescope is at most max-min", (PAIR, (2, "1/4"), (1,)), order=[("telescope", "max-min")]
)
order_of_the_metric_bounds.mutant(
    "max-min is at most the telescope", (PAIR, ("1/4", 2), (1,)), order=[("max-min", "telescope")]
)
order_of_the_metric_bounds.mutant(
    "the join is at most the telescope", (PAIR, ("1/4", 2), (1,)), order=[("join", "telescope")]
)
order_of_the_metric_bounds.mutant(
    "max-min bounds the metric for any signs",
    ("x0; y0 = out(x0)", (-1,), (1,)),
    instances=drawn(any_signs, inputs),
    order=[("enumeration", "max-min")],
    terms=TERMS,
)
order_of_the_metric_bounds.mutant(
    "the join bounds the metric for any signs",
    ("x0; y0 = out(x0)", (-1,), (1,)),
    instances=drawn(any_signs, inputs),
    order=[("enumeration", "join")],
    terms=TERMS,
)
