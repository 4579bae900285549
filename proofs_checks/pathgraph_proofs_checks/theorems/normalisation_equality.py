"""In normal form the path-norm is the norm of the last layer, on any DAG."""

from collections.abc import Callable
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import TOOLKIT, drawn, theorem
from pathgraph_proofs_checks.variants import normalized


def normalize(net: Network) -> Network:
    """The library's normal form."""
    return pg.normalize(net, 1, unfreeze=True)


def row_norms(net: Network) -> dict[Any, Any]:
    """The l1 norm of the incoming weights and the bias of every neuron that is no input."""
    rows = {v: abs(net.bias(v) or 0) for v in net.nodes if v not in net.inputs}
    for _, v, weight in net.graph.edges(data="weight"):
        rows[v] += abs(weight)
    return rows


@theorem(
    statement=(
        "Divide the incoming weights and the bias of each hidden neuron, in topological order, by their l1 norm and "
        "multiply its outgoing weights by it (by 0 if it is 0). Afterwards every hidden row has norm 1 or 0, the norms "
        "of the output rows are the path-norms of the outputs, and R is unchanged."
    ),
    latex=r"\|\Phi^{\to v}(\theta)\|_1=\|(\tilde\theta^{\to v},\tilde b_v)\|_1\ \text{for every output }v",
    hypotheses="any DAG; fixed and tied values are freed; here q = 1, for which everything is rational",
    source=TOOLKIT,
    instances=drawn(inputs),
)
def normalisation_equality(net: Network, x: Any, *, normalize: Callable[[Network], Network] = normalize) -> Equality:
    """Compare the rows of the normal form with the path-norms, and the outputs before and after."""
    normal = normalize(net)
    rows = row_norms(normal)
    hidden = {rows[v] for v in net.hidden} | {0, 1}
    return Equality(
        ([rows[v] for v in net.outputs], normal(x), sorted(hidden)),
        (pg.path_norm(net, 1, per_output=True, root=False), net(x), (0, 1)),
    )


normalisation_equality.mutant(
    "dead neurons keep their outgoing weights",
    ("x0; h0 = id(); y0 = out(h0)", (1,)),
    normalize=lambda net: normalized(net, dead_ends=False),
)
normalisation_equality.mutant(
    "the bias is left out of the norm",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", (1,)),
    normalize=lambda net: normalized(net, bias=False),
)
normalisation_equality.mutant(
    "the outgoing weights are not multiplied",
    ("x0; h0 = id(0*x0); y0 = out(h0)", (1,)),
    normalize=lambda net: normalized(net, outgoing=False),
)
normalisation_equality.mutant(
    "only ReLU neurons are normalised",
    ("x0; h0 = id(); y0 = out(h0)", (1,)),
    normalize=lambda net: normalized(net, kinds=["relu"]),
)
normalisation_equality.mutant(
    "pools are not normalised",
    ("x0; h0 = max(0*x0); y0 = out(h0)", (1,)),
    normalize=lambda net: normalized(net, kinds=["identity", "relu"]),
)
