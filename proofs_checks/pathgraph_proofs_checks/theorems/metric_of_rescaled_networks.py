"""Either network may be rescaled: the path-metric stays."""

from collections.abc import Callable
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import Factors, any_signs, moved
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags


def library(net: Network, other: Network) -> Any:
    """The library's metrics in l1 and, squared, in l2."""
    l1 = pg.path_metric(net, other, per_output=True, max_paths=10**6).upper
    return list(l1), list(pg.path_metric(net, other, per_output=True, q=2, root=False).upper)


@theorem(
    statement=(
        "Rescaling one of two networks, or both by different factors, leaves the path-metric of each output as it is."
    ),
    latex=r"\|\Phi(\lambda\diamond\theta)-\Phi(\mu\diamond\theta')\|_q=\|\Phi(\theta)-\Phi(\theta')\|_q",
    hypotheses="any DAG, positive factors on hidden neurons, q = 1 and q = 2",
    source=METRIC,
    instances=drawn(any_signs, rescalings, rescalings),
    networks=relu_dags(ties=False, roles=()),
    needs=("no ties", "nothing fixed"),
    enumerates=True,
)
def metric_of_rescaled_networks(
    net: Network, factors: Factors, here: Any, there: Any, *, metric: Callable[[Network, Network], Any] = library
) -> Equality:
    """Compare the metric before and after."""
    other = moved(net, factors)
    return Equality(metric(pg.rescale(net, here), pg.rescale(other, there)), metric(net, other))


def through_the_meet(net: Network, other: Network) -> Any:
    """The bound U2."""
    return pg.path_metric(net, other, method="meet").upper


def of_parameters(net: Network, other: Network) -> Any:
    """The l1 distance of the parameters."""
    return sum(abs(net.values - other.values))


metric_of_rescaled_networks.mutant(
    "the bound through the meet", ("x0; h0 = id(x0); y0 = out(h0)", (1,), {"h0": 1}, {"h0": 2}), metric=through_the_meet
)
metric_of_rescaled_networks.mutant(
    "the distance of the parameters",
    ("x0; h0 = id(x0); y0 = out(h0)", (1,), {"h0": 1}, {"h0": 2}),
    metric=of_parameters,
)
