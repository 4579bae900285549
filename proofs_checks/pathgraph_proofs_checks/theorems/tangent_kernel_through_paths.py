"""The neural tangent kernel is the path kernel, seen through the path-activations."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import Matrix, lifting_jacobian, output_jacobian
from pathgraph_proofs_checks.parts import MAX_PATHS, Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags


def seen(net: Network, x: Input, output: Any, *, constant: int = 1) -> list[Fraction]:
    """One number per path that ends at an output: the input where it starts, if it is active there."""
    paths = pg.path_lifting(net, max_paths=MAX_PATHS).paths
    values = pg.path_activations(net, x, max_paths=MAX_PATHS).toarray().astype(object) @ np.array(
        [*x, constant], dtype=object
    )
    return [value if path[-1] == output else Fraction(0) for path, value in zip(paths, values, strict=True)]


def through_paths(
    net: Network, x: Input, *, constant: int = 1, jacobian: Callable[[Network], Matrix] = lifting_jacobian
) -> Matrix:
    """For each output, the derivatives by the parameters: activations times the Jacobian of the lifting."""
    rows = jacobian(net)
    found = []
    for v in net.outputs:
        weighted = [(a, row) for a, row in zip(seen(net, x, v, constant=constant), rows, strict=True) if a]
        found.append([sum((a * row[i] for a, row in weighted if row[i]), Fraction(0)) for i in range(len(net.theta))])
    return found


def gram(left: Matrix, right: Matrix) -> Matrix:
    """All inner products of the rows."""
    return [[sum((a * b for a, b in zip(u, v, strict=True) if a and b), Fraction(0)) for v in right] for u in left]


@theorem(
    statement=(
        "The inner products of the derivatives of the outputs on two inputs with respect to the parameters are the "
        "path kernel, that is the Jacobian of the lifting times its transpose, between what the two inputs activate."
    ),
    latex=r"\langle\partial_\theta R(x),\partial_\theta R(x')\rangle="
    r"\tbinom x1^\top A(x)^\top\,\partial\Phi\,\partial\Phi^\top A(x')\tbinom{x'}1",
    hypotheses="on a kink, the derivatives are those of the piece that the path-activations select",
    source=DERIVED,
    instances=drawn(inputs, inputs),
    networks=relu_dags(max_hidden=4),
    on_network=0,
)
def tangent_kernel_through_paths(
    net: Network, x: Input, other: Input, *, features: Callable[[Network, Input], Matrix] = through_paths
) -> Equality:
    """Compare the path kernel with the kernel by dual numbers, and with the library's sweeps."""
    left = gram(features(net, x), features(net, other))
    swept = pg.tangent_kernel(net, [list(x)], [list(other)])[0, 0]
    return Equality((left, swept), (gram(output_jacobian(net, x), output_jacobian(net, other)), left))


def of_magnitudes(net: Network) -> Matrix:
    """The Jacobian without its signs."""
    return [[abs(value) for value in row] for row in lifting_jacobian(net)]


def by_logarithms(net: Network) -> Matrix:
    """Derivatives by the logarithms of the parameters."""
    return [[v * w for v, w in zip(row, net.theta, strict=True)] for row in lifting_jacobian(net)]


tangent_kernel_through_paths.mutant(
    "paths that start at a bias are left out",
    ("x0; y0 = out(x0, 1)", (1,), (1,)),
    features=lambda net, x: through_paths(net, x, constant=0),
)
tangent_kernel_through_paths.mutant(
    "the signs of the Jacobian are lost",
    ("x0; h0 = id(x0); h1 = id(h0); y0 = out(-1*h0, h1)", (1,), (1,)),
    features=lambda net, x: through_paths(net, x, jacobian=of_magnitudes),
)
tangent_kernel_through_paths.mutant(
    "derivatives by logarithms",
    ("x0; y0 = out(0*x0)", (1,), (1,)),
    features=lambda net, x: through_paths(net, x, jacobian=by_logarithms),
)
tangent_kernel_through_paths.mutant(
    "a ReLU at zero is on",
    ("x0; h0 = id(x0); h1 = id(-1/2*h0, 1); h2 = relu(h1); y0 = out(h2)", (1,), (2,)),
    features=lambda net, x: output_jacobian(net, x, is_on=lambda z: z >= 0),
)
