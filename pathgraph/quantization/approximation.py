r"""Families of networks that approximate a function, and how many bits keep their speed.

* `squaring_network`: the saw-tooth construction of x**2 on [0, 1], of width 3 and m hidden layers, whose largest error
  is exactly 2**(-2m - 2).
* `spline_network`: the piecewise linear interpolant of a function at given knots, as one hidden layer; with the free
  knots (i / M)**4 the square root is approximated at the speed M**-2, with uniform ones at M**(-1/2).
* `speed_table`: for such a family, the bits per weight that keep each network within twice its error, by each rule.

A family of networks with M parameters, depth L_M and Lipschitz constant K_M of the parameters keeps its speed
M**-gamma with steps of order M**-gamma / K_M; so :math:`\log_2 K_M + \gamma \log_2 M` bits suffice, up to the logarithm
of the largest weight. In floating point it is :math:`\log_2 (L_M P_M M^\gamma)` for the path-norm P_M: where that is
polynomial in M, so are the networks' precision needs logarithmic, whatever the depth.

Source: derived here; the setting is that of arXiv 2205.11874; the saw-teeth are Telgarsky's and Yarotsky's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from pathgraph.arguments import natural, number
from pathgraph.errors import ParameterError
from pathgraph.graph.network import Network
from pathgraph.graph.weights import from_weights
from pathgraph.norms import log_path_norm
from pathgraph.quantization.bits import bits_fixed, bits_float
from pathgraph.quantization.worst_case import lipschitz_constant
from pathgraph.scalars import Array, to_fraction
from pathgraph.shown import argument_text, number_text

__all__ = ["SpeedRow", "encoding_speed", "speed_table", "spline_network", "squaring_network"]


LARGEST = 4096
"""Saw-teeth of a network of squares: the numerators and denominators of its weights have twice as many bits."""


def listed(values: Any, name: str) -> list[Any]:
    """The members of a sequence.

    Raises
    ------
    ParameterError
        If it is none.
    """
    try:
        return list(values)
    except TypeError:
        raise ParameterError(f"{name}: needed a sequence of numbers, got {argument_text(values)}") from None


def squaring_network(m: int, *, balanced: bool = False) -> Network:
    r"""The network :math:`f_m(x) = x - \sum_{s \le m} 4^{-s} g_s(x)` over the rationals.

    g_s is the saw-tooth with 2**(s - 1) teeth of height 1, made of the one before it.

    Parameters
    ----------
    m : int
        Saw-teeth, and hidden layers: at least 1.
    balanced : bool
        Rescale the saw-tooth neurons of layer s by 4**(1 - s), so that no weight is tiny: the same function.

    Returns
    -------
    Network
        Exact, with one input and one output.

    Raises
    ------
    ParameterError
        If m is no integer from 1 to 4096.

    Notes
    -----
    :math:`\sup_{[0, 1]} |x^2 - f_m| = 2^{-2m-2}`, attained at the middles of the 2**m cells. Its weights are dyadic.

    References
    ----------
    arXiv 1610.01145 for the construction; the exact error is derived here.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import pathgraph as pg
    >>> net = pg.squaring_network(2)
    >>> x = Fraction(1, 8)
    >>> net([x])[0] - x**2
    Fraction(1, 64)
    >>> pg.path_norm(net)
    Fraction(49, 8)
    """
    if natural(m, "m", least=1) > LARGEST:
        raise ParameterError(f"m: needed an integer from 1 to {LARGEST}, whose weights are 4**-m, got {number_text(m)}")
    # hidden layer s holds relu(g_{s-1}), relu(g_{s-1} - 1/2) and the part of the sum that is known; g_0 = x
    weights: list[list[list[Any]]] = [[[1], [1], [1]]]
    biases: list[list[Any] | None] = [[Fraction(0), Fraction(-1, 2), Fraction(0)]]
    for s in range(1, m + 1):
        share = Fraction(1, 4**s)
        known = [-2 * share, 4 * share, Fraction(1)]
        if s == m:
            weights.append([known])
            biases.append(None)
        else:
            weights.append([[2, -4, 0], [2, -4, 0], known])
            biases.append([Fraction(0), Fraction(-1, 2), Fraction(0)])
    net = from_weights(weights, biases, dtype=object)
    if not balanced:
        return net
    from pathgraph.symmetry import rescale

    return rescale(net, {(s, i): Fraction(4) ** (1 - s) for s in range(1, m + 1) for i in (0, 1)})


def spline_network(knots: Sequence[Any], values: Sequence[Any]) -> Network:
    r"""The piecewise linear function through some points, as a network of one hidden layer.

    Parameters
    ----------
    knots : sequence of numbers, increasing, shape (M + 1,)
        The function is given between the first and the last.
    values : sequence of numbers, shape (M + 1,)

    Returns
    -------
    Network
        One input, M hidden neurons, one output: exact if all numbers are rational, floats else.

    Raises
    ------
    ParameterError
        On fewer than two knots, or knots that do not increase.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.spline_network([0, 1, 3], [1, 2, 0])
    >>> [int(net([x])[0]) for x in (0, 1, 2, 3)]
    [1, 2, 1, 0]
    """
    places, heights = listed(knots, "knots"), listed(values, "values")
    if len(places) < 2 or len(heights) != len(places):
        raise ParameterError(f"knots: needed at least two, and as many values, got {len(places)} and {len(heights)}")
    is_exact = not any(isinstance(v, (float, np.floating)) for v in (*places, *heights))
    numbers: list[Any] = [to_fraction(t, "knots") for t in places]
    ends: list[Any] = [to_fraction(y, "values") for y in heights]
    if any(b <= a for a, b in pairwise(numbers)):
        raise ParameterError(f"knots: needed increasing numbers, got {argument_text(places)}")
    slopes = [(y2 - y1) / (t2 - t1) for (t1, t2), (y1, y2) in zip(pairwise(numbers), pairwise(ends), strict=True)]
    bends = [slopes[0], *(b - a for a, b in pairwise(slopes))]
    hidden = [[Fraction(1)] for _ in bends]
    net = from_weights([hidden, [bends]], [[-t for t in numbers[:-1]], [ends[0]]], dtype=object)
    return net if is_exact else net.to_float()


@dataclass(frozen=True)
class SpeedRow:
    """One row of `speed_table`: a network of a family, and the bits that it needs by each rule.

    Attributes
    ----------
    m : int
        Its place in the family.
    n_parameters, depth : int
    error : float
        The error of the network with its own parameters.
    log2_norm : float
        Binary logarithm of the path-norm.
    bits : mapping
        By rule: "worst-case" (fixed point, by the constant K_q of the widths), "fixed" and "float" (by the path-norm).
        Each keeps the total error below twice `error`.

    Examples
    --------
    >>> import pathgraph as pg
    >>> (row,) = pg.speed_table(pg.squaring_network, [2], lambda m: 4.0 ** (-m - 1))
    >>> row.depth, row.n_parameters, dict(row.bits)
    (3, 21, {'worst-case': 18, 'fixed': 14, 'float': 11})
    """

    m: int
    n_parameters: int
    depth: int
    error: float
    log2_norm: float
    bits: Mapping[str, int]


def speed_table(
    family: Callable[[int], Network], sizes: Sequence[int], error: Callable[[int], Any], *, inputs: Any = 1
) -> list[SpeedRow]:
    """For each network of a family, the bits that keep it within twice its error, by each rule.

    Parameters
    ----------
    family : callable
        From the size to a fully connected network with one output.
    sizes : sequence of int
    error : callable
        From the size to the error of the network, a number > 0.
    inputs : number
        Half-width of the box of inputs.

    Returns
    -------
    list of SpeedRow

    Raises
    ------
    ParameterError
        On networks with an edge that skips a level, and errors that are not > 0.
    RangeError
        If 4096 bits are not enough.

    Notes
    -----
    The networks of a family share no weights: each row costs the searches of `bits_fixed` and `bits_float`. That
    `error` bounds the error of the network is the caller's claim, and is not checked.

    References
    ----------
    Derived here; the question is that of arXiv 2205.11874.

    Examples
    --------
    >>> import pathgraph as pg
    >>> rows = pg.speed_table(pg.squaring_network, [1, 2, 3], lambda m: 4.0 ** (-m - 1))
    >>> [(row.m, row.bits["float"]) for row in rows]
    [(1, 7), (2, 11), (3, 14)]
    """
    rows = []
    for m in listed(sizes, "sizes"):
        net, allowed = family(m), to_fraction(error(m))
        rows.append(
            SpeedRow(
                m,
                len(net.theta),
                int(net.architecture.level.max()),
                float(allowed),
                log_path_norm(net, inputs=inputs) / math.log(2),
                {
                    "worst-case": _worst_case_bits(net, allowed, inputs),
                    "fixed": bits_fixed(net, allowed, inputs=inputs),
                    "float": bits_float(net, allowed, inputs=inputs),
                },
            )
        )
    return rows


def _worst_case_bits(net: Network, eps: Fraction, inputs: Any) -> int:
    """Bits to nearest with a step that the Lipschitz constant of all networks of these widths and norms allows."""
    layers = _layers(net)
    widths = [layers[0][0].shape[1], *(matrix.shape[0] for matrix, _ in layers)]
    r = max(max(max(abs(row).sum() for row in matrix), max(map(abs, bias), default=0)) for matrix, bias in layers)
    constant = lipschitz_constant(widths, to_fraction(r), to_fraction(inputs))
    # rounding to nearest leaves the family by half a step in each entry; a factor of two in r covers it amply
    while True:
        step = 2 * eps / constant
        grown = to_fraction(r) + step * max(widths) / 2
        larger = lipschitz_constant(widths, grown, to_fraction(inputs))
        if step / 2 * larger <= eps:
            break
        constant = larger
    largest = to_fraction(max(map(abs, net.theta.tolist())))
    return int(2 * math.floor(largest / step + Fraction(1, 2))).bit_length()


def _layers(net: Network) -> list[tuple[Array, Array]]:
    """Matrices and biases of a layered network."""
    graph = net.architecture
    level = graph.level
    out = []
    for depth in range(1, int(level.max()) + 1):
        here, below = (np.flatnonzero(level == d) for d in (depth, depth - 1))
        place = {v: i for i, v in enumerate(below.tolist())}
        matrix = np.zeros((len(here), len(below)), dtype=object)
        bias: list[Any] = []
        for row, v in enumerate(here.tolist()):
            for e in graph.entries_into(v).tolist():
                if e >= graph.n_edges:
                    bias.append(net.values[e])
                elif int(graph.antecedent[e]) in place:
                    matrix[row, place[int(graph.antecedent[e])]] = net.values[e]
                else:
                    raise ParameterError("family: needed fully connected networks, got an edge that skips a level")
        out.append((matrix, np.array(bias, dtype=object)))
    return out


def encoding_speed(log2_counts: Sequence[float], sizes: Sequence[int], radii: Sequence[float]) -> Array:
    r"""How fast a family is encodable: for each size M, the exponent gamma with radius M**-gamma that its code reaches.

    A family whose sets of size M have covering numbers of :math:`\log_2 N \le M (\log M)^{O(1)}` at radius M**-gamma is
    gamma-encodable, and infinity-encodable if that holds for every gamma. Then no class of functions is approximated
    faster than it can be encoded.

    Parameters
    ----------
    log2_counts : sequence of float
        Bits of the code of each set, at its radius.
    sizes : sequence of int
        M, at least 3, so that log log M is positive.
    radii : sequence of float
        In (0, 1).

    Returns
    -------
    ndarray, shape (n, 2)
        The exponent gamma of the radius, and the exponent of log M in the number of bits per unit of M:
        :math:`\log (\log_2 N / M) / \log \log M`, which stays bounded for encodable families.

    Raises
    ------
    ParameterError
        On sequences of different lengths, or numbers out of range.

    References
    ----------
    Definitions of arXiv 2205.11874.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.encoding_speed([4096.0], [256], [2.0**-16]).round(3).tolist()
    [[2.0, 1.619]]
    """
    counts, m, radius = (
        np.array([number(one, f"{name}[{i}]", interval) for i, one in enumerate(listed(given, name))])
        for name, given, interval in (
            ("log2_counts", log2_counts, "(0, inf)"),
            ("sizes", sizes, "[3, inf)"),
            ("radii", radii, "(0, 1)"),
        )
    )
    if not len(counts) == len(m) == len(radius):
        raise ParameterError(f"sizes: needed one size and radius per count, got {len(counts)}, {len(m)}, {len(radius)}")
    gamma = -np.log(radius) / np.log(m)
    return np.stack([gamma, np.log(np.maximum(counts / m, 1)) / np.log(np.log(m))], axis=1)
