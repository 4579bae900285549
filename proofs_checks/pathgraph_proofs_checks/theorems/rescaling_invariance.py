"""Rescaling a hidden neuron changes neither the path-lifting, nor the path-activations, nor the function."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs, rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import MAX_PATHS, Input, neurons, path_products, values_at
from pathgraph_proofs_checks.registry import TOOLKIT, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import Factors, rescaled


def rescale(net: Network, factors: Factors) -> Network:
    """The library's rescaling."""
    return pg.rescale(net, factors)


def activations(net: Network, x: Input, node: Hashable) -> Any:
    """Rows and columns of the ones of the path-activations."""
    rows, columns = pg.path_activations(net, x, node=node, max_paths=MAX_PATHS).nonzero()
    return sorted(zip(rows.tolist(), columns.tolist(), strict=True))


@theorem(
    statement=(
        "With lam_v > 0 on hidden neurons and 1 on inputs and outputs, multiplying every weight u -> v by "
        "lam_v / lam_u and every bias of v by lam_v multiplies Phi^{->v} and v(theta, x) by lam_v and keeps A^{->v}; "
        "so at the outputs Phi, A and R are invariant."
    ),
    latex=r"\Phi(\lambda\diamond\theta)=\Phi(\theta),\quad A(\lambda\diamond\theta,x)=A(\theta,x),\quad "
    r"R_{\lambda\diamond\theta}=R_\theta",
    hypotheses=(
        "lam positive, 1 on inputs and outputs, equal at both ends of non-zero structural edges, and such that tied "
        "weights stay equal; identity, ReLU and k-max-pool neurons"
    ),
    source=TOOLKIT,
    needs=("few paths",),
    instances=drawn(rescalings, neurons, inputs),
    on_network=2,
)
def rescaling_invariance(
    net: Network,
    factors: Factors,
    node: Hashable,
    x: Input,
    *,
    rescale: Callable[[Network, Factors], Network] = rescale,
) -> Equality:
    """Compare lifting, activations and value of a neuron, before and after a rescaling."""
    factor = factors[node] if node in net.hidden else 1
    other = rescale(net, factors)
    products = path_products(net, node)
    return Equality(
        (
            products if factor == 1 else tuple(factor * product for product in products),
            factor * values_at(net, x)[node],
            activations(net, x, node),
        ),
        (path_products(other, node), values_at(other, x)[node], activations(other, x, node)),
    )


def with_outer_factors(net: Network) -> st.SearchStrategy[Factors]:
    """Rescalings that give the inputs and outputs the factor 2."""
    outer = dict.fromkeys((*net.inputs, *net.outputs), Fraction(2))
    return rescalings(net).map(lambda factors: factors | outer)


rescaling_invariance.mutant(
    "the bias is not rescaled",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 2}, "y0", (1,)),
    rescale=lambda net, lam: rescaled(net, lam, bias=lambda data: False),
)
rescaling_invariance.mutant(
    "the bias of a pool is not rescaled",
    ("x0; h0 = max(x0, 1); y0 = out(h0)", {"h0": 2}, "y0", (1,)),
    rescale=lambda net, lam: rescaled(net, lam, bias=lambda data: data["activation"] != "pool"),
)
rescaling_invariance.mutant(
    "the outgoing weights are not divided",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": 2}, "y0", (1,)),
    rescale=lambda net, lam: rescaled(net, lam, outgoing=False),
)
rescaling_invariance.mutant(
    "frozen weights stay as they are",
    ("x0; h0 = id(x0~); y0 = out(h0)", {"h0": 2}, "y0", (1,)),
    rescale=lambda net, lam: rescaled(net, lam, fixed=False),
)
rescaling_invariance.mutant(
    "the weights into pools stay as they are",
    ("x0; h0 = max(x0); y0 = out(h0)", {"h0": 2}, "y0", (1,)),
    rescale=lambda net, lam: rescaled(net, lam, incoming=lambda data: data["activation"] != "pool"),
)
rescaling_invariance.mutant(
    "inputs and outputs are rescaled, too",
    ("x0; y0 = out(x0, 1)", {"x0": 2, "y0": 2}, "y0", (1,)),
    instances=drawn(with_outer_factors, neurons, inputs),
    rescale=rescaled,
)
rescaling_invariance.mutant(
    "negative factors on ReLU neurons",
    ("x0; h0 = relu(x0); y0 = out(h0)", {"h0": -1}, "y0", (1,)),
    instances=drawn(lambda net: rescalings(net, negative=["relu"]), neurons, inputs),
    networks=relu_dags(activations=["relu"]),
    rescale=rescaled,
)
