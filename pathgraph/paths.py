"""Paths one by one: all of them as a lazy sequence, the heaviest one, and random ones.

Each is found by walking back through a sweep: counts tell which path has a given index, maxima which is the heaviest,
masses with which probability to take each step.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from pathgraph.arguments import generator, natural
from pathgraph.errors import ParameterError, PathCountError, RangeError
from pathgraph.numbers import product
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.preparation import buffer, edge_values
from pathgraph.pathsum.scaled import scaled, scaled_argmax, scaled_product, scaled_to_float
from pathgraph.pathsum.semirings import COUNT, MAX_PLUS, MAX_TIMES, REAL, SCALED, Semiring
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array

__all__ = ["Path", "Paths", "heaviest_path", "sample_paths"]

Path: TypeAlias = tuple[Hashable, ...]


class Paths(Sequence[Path]):
    """The paths of a network to its outputs (or to one neuron), listed lazily.

    Any path is found by its index without listing those before it. Their number is `total`; ``len`` is the same up to
    2**63 - 1, beyond which Python allows no length.
    """

    def __init__(self, net: ReluNetwork, node: Hashable | None = None) -> None:
        architecture = net.architecture
        self._net = net
        ends = net.dag.outputs if node is None else np.array([architecture.index(node) + 1])
        self._ends: list[int] = ends.tolist()
        x = buffer(net, COUNT)
        x[0, CONSTANT] = 1
        x[0, net.dag.inputs] = 1
        self._counts: Array = sweep(net, [(edge_values(net, COUNT), None)], x, ring=COUNT)[0]
        self._inputs = set(net.dag.inputs.tolist())

    @property
    def total(self) -> int:
        """Their number, of any size."""
        return int(sum(self._counts[end] for end in self._ends))

    @property
    def ends(self) -> list[int]:
        """Buffer positions of the neurons at which they end."""
        return self._ends

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(self.total)[index]]
        rank = range(self.total)[index]
        choices, path = self._ends, []
        while True:
            for position in choices:
                size = 1 if position == CONSTANT else self._counts[position]
                if rank < size:
                    break
                rank -= size
            if position == CONSTANT:
                break
            path.append(position)
            if position in self._inputs:
                break
            choices = self._net.architecture.candidates(position)[0]
        return tuple(self._net.architecture.nodes[p - 1] for p in reversed(path))

    def __iter__(self) -> Iterator[Path]:
        nodes = self._net.architecture.nodes
        stack: list[tuple[int, Path]] = [(end, ()) for end in reversed(self._ends)]
        while stack:
            position, suffix = stack.pop()
            if position == CONSTANT:
                yield suffix
                continue
            path = (nodes[position - 1], *suffix)
            if position in self._inputs:
                yield path
            else:
                stack.extend(
                    (p, path)
                    for p in reversed(self._net.architecture.candidates(position)[0])
                    if p == CONSTANT or self._counts[p]
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))  # noqa: B905

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(self[i]) for i in range(min(3, self.total)))
        return f"[{shown}{', ...' if self.total > 3 else ''}] ({self.total})"


def heaviest_path(net: ReluNetwork) -> tuple[Path, Any]:
    r"""The path with the largest :math:`|\Phi_p|`, and that value: the q = infinity path-norm with its arg-max.

    Among equally heavy paths of non-zero value the one whose last neurons come first in canonical order wins. On floats
    the walk compares rounded products; on exact networks it decides exactly.

    Parameters
    ----------
    net : Network or LayerGraph

    Returns
    -------
    path : tuple of nodes
    value : scalar
        The absolute value of its product.

    Raises
    ------
    PathCountError
        If the network has no path.
    RangeError
        If the product is too large for a float; use ``net.to_exact()``.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -4], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.heaviest_path(net)
    (((1, 1), (2, 0)), 5.0)
    """
    require_network_of_numbers(net, "heaviest_path")
    ring = MAX_TIMES if net.is_exact else MAX_TIMES.wide or MAX_TIMES
    weight, x = _forward(net, ring)
    _, longest = _forward(net, MAX_PLUS)
    exists = longest != -np.inf
    ends = np.array([v for v in net.dag.outputs.tolist() if exists[v]], dtype=np.int64)
    if not len(ends):
        raise PathCountError("heaviest_path: the network has no path: no output is reached from an input or a bias")
    v = int(ends[np.argmax(x[ends]) if net.is_exact else scaled_argmax(x[ends])])
    positions = [v]
    while v != CONSTANT:
        sources, entries = net.architecture.candidates(v)
        products = product(weight[entries], x[sources])
        v = next((u for u, mass in zip(sources, products, strict=True) if exists[u] and mass == x[v]), CONSTANT)
        positions.append(v)
    path = tuple(net.architecture.nodes[position - 1] for position in reversed(positions[:-1]))
    value = x[positions[0]]
    return path, value if net.is_exact else _float(value)


def _float(number: Any) -> float:
    """A scaled number as a float."""
    value = float(scaled_to_float(np.array([number]))[0])
    if math.isinf(value):
        raise RangeError("heaviest_path: the product leaves the range of float64; use net.to_exact()")
    return value


MOST_DRAWN = 10**9
"""Paths that may be drawn by one call; more take hours, and memory that is not there."""


def sample_paths(net: ReluNetwork, n: int, rng: np.random.Generator | int) -> list[Path]:
    r"""Draw `n` independent paths, path p with probability proportional to :math:`|\Phi_p|`.

    A sweep gives the mass that reaches each neuron; each path is then drawn from its end to its start. Nothing
    overflows, at any depth.

    Parameters
    ----------
    net : Network or LayerGraph
    n : int
        At most a billion: their list alone takes 8 GB.
    rng : numpy.random.Generator or int
        The generator, or its seed.

    Returns
    -------
    list of tuples of nodes

    Raises
    ------
    ParameterError
        If `n` is negative or larger, or every path product is zero.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 0], [0, 1]], [[1, 3]]])
    >>> paths = pg.sample_paths(net, 1000, rng=0)
    >>> sorted(set(paths))
    [((0, 0), (1, 0), (2, 0)), ((0, 1), (1, 1), (2, 0))]
    >>> 0.7 < sum(path[0] == (0, 1) for path in paths) / 1000 < 0.8
    True
    """
    natural(n, "n", most=MOST_DRAWN)
    require_network_of_numbers(net, "sample_paths")
    random = generator(rng)
    weight, mass = (scaled(row) for row in _forward(net.with_values(abs(net.values)), REAL if net.is_exact else SCALED))
    inputs, outputs = set(net.dag.inputs.tolist()), net.dag.outputs.tolist()
    if not mass["mantissa"][outputs].any():
        raise ParameterError("net: every path product is zero, so there is no distribution to draw paths from")
    last = outputs, _cumulative(mass[outputs])
    before: dict[int, tuple[list[int], Array]] = {}

    def draw(sources: list[int], cumulative: Array) -> int:
        return sources[int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))]

    paths = []
    for _ in range(n):
        path = [draw(*last)]
        while (v := path[-1]) not in inputs and v != CONSTANT:
            if v not in before:
                sources, entries = net.architecture.candidates(v)
                before[v] = sources, _cumulative(scaled_product(weight[entries], mass[sources]))
            path.append(draw(*before[v]))
        paths.append(tuple(net.architecture.nodes[position - 1] for position in reversed(path) if position != CONSTANT))
    return paths


def _forward(net: ReluNetwork, ring: Semiring) -> tuple[Array, Array]:
    """The elements of all entries, in entry order, and the row of sums up to each position."""
    values = edge_values(net, ring)
    x = buffer(net, ring)
    x[0, CONSTANT] = ring.one
    x[0, net.dag.inputs] = ring.one
    sweep(net, [(values, None)], x, ring=ring)
    flat = net.architecture.flat(values, x.dtype)
    return flat, restored(x[0]) if net.is_exact and ring is not MAX_PLUS else x[0]


def _cumulative(masses: Array) -> Array:
    """Running sums of scaled numbers, relative to the largest of them."""
    exponent = np.where(masses["mantissa"] == 0, np.iinfo(np.int64).min // 2, masses["exponent"])
    shift = np.maximum(exponent - exponent.max(), -1100).astype(np.int32)
    return np.cumsum(np.ldexp(masses["mantissa"], shift))
