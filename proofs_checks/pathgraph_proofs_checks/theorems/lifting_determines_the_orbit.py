"""The path-lifting and the signs determine a network up to rescaling."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import parameters_on_paths, without_zeros
from pathgraph_proofs_checks.parts import path_products
from pathgraph_proofs_checks.registry import DERIVED, Instances, drawn, theorem
from pathgraph_proofs_checks.sizes import mapped, relu_dags
from pathgraph_proofs_checks.variants import rescaled

Change = tuple[int, Fraction]


def equal_liftings(net: Network, other: Network) -> bool:
    """Whether all path products are equal."""
    return path_products(net) == path_products(other)


def changes(*factors: Fraction | int) -> Instances:
    """A rescaling, and two parameters with the factors by which they change on top."""
    change = st.tuples(st.integers(0, 9), st.sampled_from([Fraction(f) for f in factors]))
    return drawn(rescalings, st.tuples(change, change))


def changed(net: Network, many: tuple[Change, ...]) -> Network:
    """Some parameters on paths, multiplied."""
    theta = list(net.theta)
    chosen = sorted(parameters_on_paths(net))
    for k, factor in many if chosen else ():
        theta[chosen[k % len(chosen)]] *= factor
    return net.with_theta(theta)


free_dags = relu_dags(max_hidden=4, roles=["parameter"], ties=False)


@theorem(
    statement=(
        "Two networks of one architecture, with equal signs and without zeros, which agree up to rescaling in the "
        "parameters on no path, have equal path-liftings if and only if one is a rescaling of the other."
    ),
    latex=r"\Phi(\theta)=\Phi(\theta')\ \Longleftrightarrow\ \theta'=\lambda\diamond\theta\text{ for some }\lambda>0",
    hypotheses="no parameter is zero, signs are equal, nothing is fixed or tied",
    source=DERIVED,
    instances=changes(1, 2, Fraction(1, 2)),
    networks=mapped(without_zeros, free_dags),
    needs=("no ties", "nothing fixed", "no zeros"),
    on_network=1,
    enumerates=True,
)
def lifting_determines_the_orbit(
    net: Network,
    factors: dict[Hashable, Fraction],
    many: tuple[Change, ...],
    *,
    same: Callable[[Network, Network], Any] = equal_liftings,
) -> Equality:
    """Rescale, change two parameters, and compare both sides of the equivalence."""
    other = changed(rescaled(net, factors), many)
    return Equality(bool(pg.find_rescaling(net, other)), bool(same(net, other)))


lifting_determines_the_orbit.mutant(
    "equal path-norms suffice",
    ("x0 x1; y0 = out(x0, 2*x1)", {}, ((0, 2), (1, "1/2"))),
    same=lambda net, other: pg.path_norm(net) == pg.path_norm(other),
)
lifting_determines_the_orbit.mutant(
    "equal outputs on one input suffice",
    ("x0; h0 = relu(-1*x0); y0 = out(h0)", {"h0": 1}, ((0, 1), (0, 2))),
    same=lambda net, other: (net([1] * len(net.inputs)) == other([1] * len(net.inputs))).all(),
)
lifting_determines_the_orbit.mutant(
    "signs may differ", ("x0; h0 = relu(x0); y0 = out(h0)", {"h0": 1}, ((0, -1), (1, -1))), instances=changes(1, -1)
)
lifting_determines_the_orbit.mutant(
    "parameters may be zero", ("x0; h0 = id(x0, 1); y0 = out(0*h0)", {"h0": 1}, ((0, 1), (0, 2))), networks=free_dags
)
