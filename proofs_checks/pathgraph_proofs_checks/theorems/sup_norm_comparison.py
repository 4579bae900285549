"""The path-metric is at most the bounds of the literature in the largest change of a parameter."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Factors, moved, same_signs, valued
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import either, mapped, mlps
from pathgraph_proofs_checks.variants import layers, without_biases


def rows(net: Network) -> Fraction:
    """The largest l1 norm of a row of weights with its bias, at least 1."""
    sums = [sum(map(abs, row)) for matrix in layers(net, biases=True) for row in matrix]
    return Fraction(max(1, *sums))


def small(net: Network) -> Network:
    """With all values divided by 8: most rows are shorter than 1."""
    return valued(net, [Fraction(w) / 8 for w in net.values])


def constant(layers: int, width: int, radius: Fraction, size: Any, biases: bool = True) -> Any:
    """L W (W X + 1) R**(L - 1), without the 1 if there are no biases."""
    return layers * width * (width * size + biases) * radius ** (layers - 1)


@theorem(
    statement=(
        "For a perceptron of L layers and width W with rows of l1 norm at most R >= 1, biases included, and no "
        "change of sign, the path-metric weighted by the box of size X is at most L W (W X + 1) R**(L-1) times "
        "the largest change of a parameter: L times less than the bound of the literature. Without biases it is at "
        "most L W^2 X R**(L-1) times that."
    ),
    latex=(
        r"\sum_pX_{p_0}|\Phi_p-\Phi'_p|\le L\,W(WX+1)\,R^{L-1}\,\|\theta-\theta'\|_\infty,\quad "
        r"R\ge\max(1,\textstyle\sum_u|\theta^{u\to v}|+|b_v|)"
    ),
    hypotheses=("perceptrons, the R of both networks, W the largest width of a layer, inputs and outputs included"),
    source=DERIVED,
    instances=drawn(same_signs, inputs),
    networks=either(mlps(), mapped(small, mlps())),
    on_network=0,
    constant=1,
)
def sup_norm_comparison(
    net: Network,
    factors: Factors,
    x: Input,
    *,
    constant: Callable[[int, int, Fraction, Any, bool], Any] = constant,
    radius: Callable[[Network], Fraction] = rows,
) -> Inequality:
    """Compare the metric with the constant times the largest change, with the biases and without them."""
    other, size = moved(net, factors), max(map(abs, x))
    level = net.architecture.level.tolist()
    width, count = max(level.count(k) for k in set(level)), max(level)
    metrics, bounds = [], []
    for biases, (a, b) in ((True, (net, other)), (False, (without_biases(net), without_biases(other)))):
        change = max(abs(u - v) for u, v in zip(a.values, b.values, strict=True))
        metrics.append(pg.path_metric(a, b, inputs=size).upper)
        bounds.append(constant(count, width, max(radius(a), radius(b)), size, biases) * change)
    return Inequality(metrics, bounds)


sup_norm_comparison.mutant(
    "the number of layers is left out",
    ("v0_0; v1_0 = relu(v0_0, 1); v2_0 = out(v1_0, 1)", ("3/4",), (1,)),
    constant=lambda layers, *others: constant(layers, *others) / layers,
)
sup_norm_comparison.mutant(
    "one width is left out",
    ("v0_0; v1_0 = out(v0_0, 1); v1_1 = out(v0_0, 1)", (0,), (1,)),
    constant=lambda layers, width, *others: constant(layers, width, *others) / width,
)
sup_norm_comparison.mutant(
    "R may be less than 1",
    ("v0_0; v1_0 = relu(1/4*v0_0, 1/4); v2_0 = out(1/4*v1_0, 1/4)", ("1/2",), (0,)),
    radius=lambda net: Fraction(max(sum(map(abs, row)) for matrix in layers(net, biases=True) for row in matrix)),
)
sup_norm_comparison.mutant(
    "biases do not count in the size",
    ("v0_0; v1_0 = out(v0_0, 1)", (0,), (1,)),
    constant=lambda layers, width, radius, size, biases: constant(layers, width, radius, size, False),
)
