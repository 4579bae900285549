"""The diagonal that path-conditioning evens out: derivatives of the squared path-norm, which rescaling divides."""

from collections.abc import Callable, Hashable
from fractions import Fraction

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import lifting_jacobian
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import rescaled

Factors = dict[Hashable, Fraction]


def squared_norm(net: Network) -> Fraction:
    """The squared l2 path-norm."""
    return Fraction(pg.path_norm(net, 2, root=False))


def by_norms(net: Network, *, norm: Callable[[Network], Fraction] = squared_norm) -> list[Fraction]:
    """For each parameter, the path-norm with it set to 1 less that with it set to 0."""

    def at(i: int, value: int) -> Network:
        return net.with_theta([Fraction(value) if j == i else w for j, w in enumerate(net.theta)])

    return [norm(at(i, 1)) - norm(at(i, 0)) for i in range(len(net.theta))]


@theorem(
    statement=(
        "The squared length of column i of the Jacobian of the path-lifting is the derivative of the squared l2 "
        "path-norm with respect to theta_i^2; a rescaling that multiplies theta_i by t divides it by t^2."
    ),
    latex=r"g_i=\sum_p(\partial_i\Phi_p)^2=\partial\|\Phi\|_2^2/\partial(\theta_i^2),\qquad "
    r"g_i(\lambda\diamond\theta)=\big(\theta_i/(\lambda\diamond\theta)_i\big)^2g_i(\theta)",
    hypotheses="no parameter is tied",
    source=DERIVED,
    instances=drawn(rescalings),
    networks=relu_dags(max_hidden=4, roles=["parameter"], ties=False),
    on_network=0,
)
def diagonal_of_the_path_kernel(
    net: Network, factors: Factors, *, diagonal: Callable[[Network], list[Fraction]] = by_norms, power: int = 2
) -> Equality:
    """Compare the sums of squares of the columns with differences of norms, and with those of the rescaled network."""
    columns = [sum((d * d for d in column), Fraction(0)) for column in zip(*lifting_jacobian(net), strict=True)]
    columns = columns or [Fraction(0)] * len(net.theta)
    one = net.with_theta([Fraction(1)] * len(net.theta))
    multiples = rescaled(one, factors).theta
    moved = [t**power * g for t, g in zip(multiples, diagonal(rescaled(net, factors)), strict=True)]
    return Equality((columns, columns), (diagonal(net), moved))


diagonal_of_the_path_kernel.mutant(
    "the l1 path-norm",
    ("x0; h0 = id(2*x0); y0 = out(h0)", {"h0": 1}),
    diagonal=lambda net: by_norms(net, norm=lambda net: Fraction(pg.path_norm(net))),
)
diagonal_of_the_path_kernel.mutant("rescaling divides by t", ("x0; h0 = id(x0); y0 = out(h0)", {"h0": 2}), power=1)
diagonal_of_the_path_kernel.mutant("rescaling changes nothing", ("x0; h0 = id(x0); y0 = out(h0)", {"h0": 2}), power=0)
diagonal_of_the_path_kernel.mutant(
    "zero parameters have no diagonal",
    ("x0; y0 = out(0*x0)", {}),
    diagonal=lambda net: [g if w else Fraction(0) for g, w in zip(by_norms(net), net.theta, strict=True)],
)
