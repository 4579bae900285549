"""The kernel of the Jacobian of the path-lifting is made of rescalings and of parameters without effect."""

from collections.abc import Callable
from fractions import Fraction

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import Matrix, lifting_jacobian, rank
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags


def kernel(net: Network) -> Matrix:
    """The library's basis, one row per vector."""
    basis: Matrix = pg.lifting_kernel(net).toarray().T.tolist()
    return basis


@theorem(
    statement=(
        "At any parameters, zeros included, the kernel of the Jacobian of the path-lifting has this basis: the "
        "infinitesimal rescalings of the network of the paths without zeros, and the unit vectors of the parameters "
        "on which no path product depends to first order."
    ),
    latex=r"\ker\partial\Phi(\theta)=\mathrm{span}\{(c_i\theta_i)_i\}\oplus\mathrm{span}\{e_i:\partial_i\Phi=0\}",
    hypotheses="none",
    source=DERIVED,
    instances=drawn(),
    networks=relu_dags(max_hidden=4),
    on_network=0,
)
def kernel_of_the_lifting(net: Network, *, kernel: Callable[[Network], Matrix] = kernel) -> Equality:
    """Multiply the Jacobian with the basis, and compare the numbers of dimensions."""
    jacobian, basis = lifting_jacobian(net), kernel(net)
    images = [
        sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in jacobian for vector in basis
    ]
    return Equality((images, rank(jacobian) + len(basis), rank(basis)), ([0] * len(images), len(net.theta), len(basis)))


kernel_of_the_lifting.mutant(
    "outgoing weights grow, too",
    ("x0; h0 = id(x0); y0 = out(h0)",),
    kernel=lambda net: [[abs(v) for v in vector] for vector in kernel(net)],
)
kernel_of_the_lifting.mutant(
    "biases stay as they are",
    ("x0; h0 = id(x0, 1); y0 = out(h0)",),
    kernel=lambda net: [
        [Fraction(0) if name in net.nodes else v for name, v in zip(net.parameters, vector, strict=True)]
        for vector in kernel(net)
    ],
)
kernel_of_the_lifting.mutant(
    "only rescalings",
    ("x0; h0 = id(x0); h1 = id(h0); h2 = id(h1); h3 = id(0*h2); y0 = out(h3); y1 = out(h3)",),
    kernel=lambda net: kernel(net)[: len(net.theta) - pg.generic_rank(net)],
)
kernel_of_the_lifting.mutant(
    "the exponents, without the parameters",
    ("x0; h0 = id(x0); y0 = out(2*h0)",),
    kernel=lambda net: [[Fraction((v > 0) - (v < 0)) for v in vector] for vector in kernel(net)],
)
