r"""Networks of which a worst case is known exactly: test cases for verifiers and for bounds.

A verifier that says "safe" beyond the exact value, or "unsafe" below it, is wrong; one that stops far from it is loose;
no sampling and no solver is needed to tell. Three sources, all with dyadic numbers that float32 holds exactly:

* **No negative parameters.** On the box :math:`|x_u| \le D_u` the output, the distance of two such networks with
  :math:`\theta \ge \theta' \ge 0`, and the Lipschitz constant for the supremum norm are sums over paths without any
  cancellation, and attained at the corner x = D.
* **Extremal pairs** (`pathgraph.extremal_pair`): the worst fully connected networks of given widths.
* **Saw-teeth**: the tent map composed m times has slope 2**m, though its path-norm grows like 6**m; the networks f_m
  of `pathgraph.squaring_network` interpolate the square at the multiples of 2**-m, and two consecutive ones differ by
  exactly 4**(-m - 1).

Each case also comes as one question about one network: how large is |output| on a box?
`pathgraph.testing.export_ground_truth` writes it as an ONNX file and two VNN-LIB properties, one of which holds and one
of which does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pathgraph.graph.network import Network
from pathgraph.graph.weights import from_weights
from pathgraph.quantization.approximation import squaring_network
from pathgraph.quantization.worst_case import extremal_pair

__all__ = ["GroundTruth", "Query", "ground_truth_networks", "layers"]

Point = tuple[Fraction, ...]
Box = tuple[tuple[Fraction, Fraction], ...]
"""Lowest and highest value of each input."""


@dataclass(frozen=True)
class Query:
    """How large is the absolute value of the output of a network on a box?

    Attributes
    ----------
    network : Network
        With one output, fully connected, exact.
    box : tuple of (Fraction, Fraction)
        Lowest and highest value of each input.
    maximum : Fraction
        The answer.
    at : tuple of Fraction
        An input where it is attained.
    """

    network: Network
    box: Box
    maximum: Fraction
    at: Point


@dataclass(frozen=True)
class GroundTruth:
    """Networks, and an exact worst case.

    Attributes
    ----------
    name : str
    quantity : {"output", "gap", "lipschitz"}
        The largest output of one network; the largest distance of the outputs of two; the Lipschitz constant of one,
        for the supremum norm on inputs.
    networks : tuple of Network
        One or two, exact, each with one output.
    box : tuple of (Fraction, Fraction)
        Of their inputs.
    value : Fraction
        The exact worst case.
    at : tuple of tuple of Fraction
        Where it is attained: one input, or two for a Lipschitz constant.
    reason : str
        Why it is the worst case.
    query : Query
        The same as a question about one network.
    """

    name: str
    quantity: str
    networks: tuple[Network, ...]
    box: Box
    value: Fraction
    at: tuple[Point, ...]
    reason: str
    query: Query

    def __repr__(self) -> str:
        return f"GroundTruth({self.name!r}: {self.quantity} {self.value}, {len(self.query.box)} inputs of the query)"


def ground_truth_networks() -> list[GroundTruth]:
    """Networks whose largest output, output gap or Lipschitz constant is known exactly.

    Returns
    -------
    list of GroundTruth

    Notes
    -----
    The values follow from the hypotheses that the module states, not from a computation that could be wrong: for
    non-negative parameters every path product counts with its own sign, and the functions of one variable are linear
    between known knots.

    References
    ----------
    Derived here. Saw-teeth: arXiv 1610.01145 and arXiv 1602.04485.

    Examples
    --------
    >>> from pathgraph.testing import ground_truth_networks
    >>> [case] = [case for case in ground_truth_networks() if case.name == "tent-3"]
    >>> case.quantity, case.value, [int(8 * x) for (x,) in case.at]
    ('lipschitz', Fraction(8, 1), [0, 1])
    >>> [int(case.networks[0](x)[0]) for x in case.at]
    [0, 1]
    """
    return [*_without_negative_parameters(), *_extremal_pairs(), *_sawteeth()]


# -- the cases ----------------------------------------------------------------------------------------------------

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)

NON_NEGATIVE: dict[str, tuple[list[Any], list[Any]]] = {
    "shallow": ([[[1, 2], [HALF, 0], [3, 1]], [[1, 4, HALF]]], [[0, 1, QUARTER], [2]]),
    "deep": (
        [[[1, HALF, 2], [0, 1, 1]], [[1, 3], [2, QUARTER], [HALF, 0]], [[1, 0, 4], [HALF, 2, 1]], [[3, HALF]]],
        [[1, 0], [0, HALF, 2], [QUARTER, 0], [1]],
    ),
}
"""Weights and biases."""


def _without_negative_parameters() -> Iterator[GroundTruth]:
    for name, (weights, biases) in NON_NEGATIVE.items():
        net = from_weights(weights, biases, dtype=object)
        n = len(net.inputs)
        corner, origin = (Fraction(1),) * n, (Fraction(0),) * n
        box = ((Fraction(-1), Fraction(1)),) * n
        top = _only(net, corner)
        yield GroundTruth(
            f"non-negative-{name}",
            "output",
            (net,),
            box,
            top,
            (corner,),
            "no parameter is negative, so the output increases in |x|",
            Query(net, box, top, corner),
        )
        slope = top - _only(net, origin)
        yield _lipschitz(
            f"slope-non-negative-{name}",
            net,
            box,
            slope,
            (origin, corner),
            "no parameter is negative, so every path from an input is active where x > 0, and none cancels another",
            box,
            Fraction(1),
        )
        halves = [
            [[entry / 2 if i == j else entry for j, entry in enumerate(row)] for i, row in enumerate(matrix)]
            for matrix in _exact(weights)
        ]
        other = from_weights(halves, biases, dtype=object)
        yield _gap(
            f"gap-non-negative-{name}",
            net,
            other,
            box,
            corner,
            "0 <= theta' <= theta, so the products of all paths shrink, and their differences add up",
        )


def _extremal_pairs() -> Iterator[GroundTruth]:
    for widths, r, delta in (
        ((2, 4, 1), 1, Fraction(1, 16)),
        ((4, 4, 2, 1), 2, Fraction(1, 8)),
        ((1, 2, 2, 2, 1), 1, QUARTER),
    ):
        net, other, x = extremal_pair(widths, r, delta=delta)
        box = ((Fraction(-1), Fraction(1)),) * widths[0]
        yield _gap(
            f"extremal-{'-'.join(map(str, widths))}",
            net,
            other,
            box,
            tuple(x.tolist()),
            f"the worst pair of networks of these widths at distance {delta}; all entries are positive",
        )


def _sawteeth() -> Iterator[GroundTruth]:
    unit = ((Fraction(0), Fraction(1)),)
    for m in (1, 3, 6):
        net = _tent(m)
        t = Fraction(1, 2 ** (m + 1))
        yield _lipschitz(
            f"tent-{m}",
            net,
            unit,
            Fraction(2**m),
            ((Fraction(0),), (2 * t,)),
            "the tent map composed with itself has slopes 2**m and -2**m, and knots at multiples of 2**-m",
            ((t, 1 - t),),
            t,
        )
    for m in (1, 2, 4):
        net, finer = squaring_network(m), squaring_network(m + 1)
        yield _gap(
            f"squares-{m}",
            _deeper(net),
            finer,
            unit,
            (Fraction(1, 2 ** (m + 1)),),
            "they interpolate the square at the multiples of 2**-m and of 2**(-m-1)",
        )
        t = Fraction(1, 2 ** (m + 1))
        yield _lipschitz(
            f"slope-squares-{m}",
            net,
            unit,
            2 - Fraction(1, 2**m),
            ((1 - 2 * t,), (Fraction(1),)),
            "it interpolates the square at the multiples of 2**-m, and is steepest on the last piece",
            ((t, 1 - t),),
            t,
        )


def _tent(m: int) -> Network:
    """The tent map on [0, 1], composed m times."""
    weights: list[Any] = [[[1], [1]], *[[[2, -4], [2, -4]]] * (m - 1), [[2, -4]]]
    return from_weights(weights, [*[[Fraction(0), -HALF]] * m, None], dtype=object)


def _deeper(net: Network) -> Network:
    """The same function where its output is not negative, with one layer more."""
    weights, biases = layers(net)
    return from_weights([*weights, [[1]]], [*biases, [0]], dtype=object)


def _gap(name: str, net: Network, other: Network, box: Box, at: Point, reason: str) -> GroundTruth:
    value = abs(_only(net, at) - _only(other, at))
    query = Query(_difference(net, other), box, value, at)
    return GroundTruth(name, "gap", (net, other), box, value, (at,), reason, query)


def _lipschitz(
    name: str,
    net: Network,
    box: Box,
    slope: Fraction,
    at: tuple[Point, Point],
    reason: str,
    steps_from: Box,
    t: Fraction,
) -> GroundTruth:
    """The query has inputs x and u, and the output R(x + u) - R(x) for |u| <= t."""
    weights, _ = layers(net)
    n = len(net.inputs)
    still = [row + [Fraction(0)] * n for row in weights[0]]
    moving = [row + row for row in weights[0]]
    both = _difference(net, net)
    inner, shifts = layers(both)
    query_net = from_weights([moving + still, *inner[1:]], shifts, dtype=object)
    first, second = at
    step = tuple(
        t * (b - a) / max(abs(d - c) for c, d in zip(first, second, strict=True))
        for a, b in zip(first, second, strict=True)
    )
    start = (
        first
        if all(low <= x <= high for x, (low, high) in zip(first, steps_from, strict=True))
        else tuple(b - s for b, s in zip(second, step, strict=True))
    )
    query = Query(query_net, steps_from + ((-t, t),) * n, slope * t, start + step)
    return GroundTruth(name, "lipschitz", (net,), box, slope, at, reason, query)


def _difference(net: Network, other: Network) -> Network:
    """The output of one network less that of another, of as many layers, as one network."""
    (weights, biases), (others, other_biases) = layers(net), layers(other)
    blocks: list[Any] = [weights[0] + others[0]]
    for a, b in zip(weights[1:-1], others[1:-1], strict=True):
        wide, zeros = len(a[0]), len(b[0])
        blocks.append([row + [Fraction(0)] * zeros for row in a] + [[Fraction(0)] * wide + row for row in b])
    blocks.append([weights[-1][0] + [-entry for entry in others[-1][0]]])
    shifts: list[Any] = [a + b for a, b in zip(biases[:-1], other_biases[:-1], strict=True)]
    return from_weights(blocks, [*shifts, [biases[-1][0] - other_biases[-1][0]]], dtype=object)


def layers(net: Network) -> tuple[list[list[list[Fraction]]], list[list[Fraction]]]:
    """The matrices and the biases of a network of `from_weights`, whose neurons are (layer, index)."""
    sizes: dict[int, int] = {}
    names: Any = net.nodes
    for layer, _ in names:
        sizes[layer] = sizes.get(layer, 0) + 1
    matrices = [
        [[net.weight((k - 1, j), (k, i)) for j in range(sizes[k - 1])] for i in range(sizes[k])]
        for k in range(1, len(sizes))
    ]
    biases = [[net.bias((k, i)) or Fraction(0) for i in range(sizes[k])] for k in range(1, len(sizes))]
    return matrices, biases


def _exact(weights: Sequence[Any]) -> list[list[list[Fraction]]]:
    return [[[Fraction(entry) for entry in row] for row in matrix] for matrix in weights]


def _only(net: Network, x: Point) -> Fraction:
    (value,) = net(x)
    return Fraction(value)
