"""Rescaling at the resolution of tensors: one factor for each channel.

A rescaling multiplies the weight of an edge by lam_target / lam_source. An entry of a tensor is the weight of many
edges, so it can only be rescaled if this ratio is the same on all of them. The largest and the smallest ratio of every
entry come from two passes over the edges, in the semirings (max, x) and (min, x). Where the two differ there is no
rescaled tensor, and an error says so.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.errors import GraphError, ParameterError, RangeError, RescalingError
from pathgraph.graph.architecture import STRUCTURAL
from pathgraph.layers.channels import channel_axis, channel_classes
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.layers.structure import LayerArchitecture
from pathgraph.numbers import product
from pathgraph.pathsum.blocks import POOL, RELU
from pathgraph.pathsum.scaled import scaled, scaled_to_float
from pathgraph.pathsum.semirings import ArrayOperations, Semiring
from pathgraph.scalars import Array, object_array, refuse_floats, to_fraction
from pathgraph.shown import argument_text, number_text

__all__ = ["random_layer_rescaling", "rescale_layers"]

LARGEST_POWER = 1000
"""Random factors are at most 2 to this power on floats, and at least its inverse."""


def _extreme(ufunc: Any, zero: float, name: str) -> Semiring:
    def segments(products: Array, start: Array) -> Array:
        return np.asarray(ufunc.reduceat(products, start, axis=-1))

    def same(w: Array) -> Array:
        return w

    add = max if ufunc is np.maximum else min
    return Semiring(
        zero, 1, add, lambda a, b: a * b, name=name, arrays=ArrayOperations(ufunc, np.multiply, segments, same)
    )


_LARGEST = _extreme(np.maximum, -math.inf, "(max, x) of any signs")
_SMALLEST = _extreme(np.minimum, math.inf, "(min, x) of any signs")


def rescale_layers(graph: LayerGraph, factors: Mapping[Hashable, Any]) -> LayerGraph:
    """Rescale a layer graph; see `pathgraph.rescale`.

    Parameters
    ----------
    graph : LayerGraph
    factors : mapping
        From (layer, channel), from (layer, index...) for one neuron, or from a layer for all its neurons. Where several
        apply, the most special one counts.
    """
    architecture = graph.architecture
    lam = _factors(graph, factors)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        largest, smallest = (_ratios(architecture, lam, ring) for ring in (_LARGEST, _SMALLEST))
    values = graph.values
    unused = largest == -math.inf
    largest[unused] = smallest[unused] = 1
    if not graph.is_exact:
        in_range = np.isfinite(largest) & (np.abs(largest) >= np.finfo(np.float64).tiny)
        for entry in np.flatnonzero((values != 0) & ~in_range)[:1].tolist():
            raise RangeError(
                f"factors: the quotient of those of {architecture.describe(entry)} leaves the range of normal float64 "
                "numbers; use factors nearer to 1, or to_exact()"
            )
    slack = 0 if graph.is_exact else 4 * float(np.finfo(np.float64).eps)
    apart = (values != 0) & (abs(largest - smallest) > slack * abs(largest))
    for entry in np.flatnonzero(apart)[:1].tolist():
        raise RescalingError(
            f"factors: {architecture.describe(entry)} needs one factor at all places where it stands, got "
            f"{smallest[entry]} to {largest[entry]}; give the channels that share it factors that agree"
        )
    fixed = (architecture.role == STRUCTURAL) & (values != 0) & (abs(largest - 1) > slack)
    for entry in np.flatnonzero(fixed)[:1].tolist():
        raise RescalingError(
            f"factors: {architecture.describe(entry)} is structural and cannot change, got other factors at its ends; "
            "give both its ends one factor (1 beside an input or output)"
        )
    largest[(values == 0) | (architecture.role == STRUCTURAL)] = 1
    if graph.is_exact:
        return graph.with_values(values * largest)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        floats = (values * largest).astype(graph.dtype, copy=False)
    is_normal = np.isfinite(floats) & (np.abs(floats) >= np.finfo(graph.dtype).tiny)
    doubtful = np.flatnonzero(~is_normal & (values != 0))
    wanted = product(scaled(values[doubtful]), scaled(largest[doubtful]))
    floats[doubtful] = scaled_to_float(wanted, graph.dtype)
    is_lost = ~np.isfinite(floats[doubtful])
    for entry in doubtful[is_lost | (scaled(floats[doubtful]) != wanted)][:1].tolist():
        raise RangeError(
            f"factors: {architecture.describe(entry)} = {values[entry]} would leave the range of normal {graph.dtype} "
            "numbers; use smaller factors, or to_exact()"
        )
    return graph.with_values(floats)


def _factors(graph: LayerGraph, factors: Mapping[Hashable, Any]) -> Array:
    """The factor of every buffer position, checked."""
    if not isinstance(factors, Mapping):
        raise ParameterError(f"factors: needed a mapping from channels to numbers, got {type(factors).__name__}")
    names = list(factors)
    if graph.is_exact:
        refuse_floats(factors.values(), lambda i: f"factors[{argument_text(names[i])}]")
    architecture = graph.architecture
    size = architecture.dag.size
    lam = object_array([Fraction(1)] * size) if graph.is_exact else np.ones(size)
    activation = np.zeros(size, dtype=np.int8)
    for node in architecture.dag.nodes:
        activation[node.target] = node.activation
    outer = np.zeros(size, dtype=bool)
    outer[architecture.dag.inputs] = outer[architecture.dag.outputs] = True
    for key in sorted(factors, key=lambda key: len(key) if isinstance(key, tuple) else 1):
        places = _places(architecture, key)
        factor = to_fraction(factors[key], f"factors[{argument_text(key)}]")
        if factor != 1 and outer[places].any():
            raise RescalingError(
                f"factors: {argument_text(key)} is an input or an output, whose factor must be 1, got "
                f"{number_text(factor)}"
            )
        curved = np.isin(activation[places], (RELU, POOL)).any()
        if factor == 0 or (factor < 0 and curved):
            raise RescalingError(
                f"factors: {argument_text(key)} needed a {'positive' if curved else 'non-zero'} factor, got "
                f"{number_text(factor)}"
            )
        lam[places] = factor if graph.is_exact else _as_float(factor)
        if not graph.is_exact and len(places) and not 0 < abs(lam[places[0]]) < math.inf:
            raise ParameterError(
                f"factors: {architecture.nodes[places[0] - 1]!r} leaves the range of floats, got {number_text(factor)}"
            )
    return lam


def _as_float(factor: Fraction) -> float:
    try:
        return float(factor)
    except OverflowError:
        return math.inf


def _places(architecture: LayerArchitecture, key: Hashable) -> Array:
    """The buffer positions of a channel, a neuron, or a layer."""
    name, *index = key if isinstance(key, tuple) and key else (key,)
    if not isinstance(name, str) or name not in architecture.readers:
        raise GraphError(f"factors: {argument_text(key)} is no channel; they are named (layer, channel)")
    layer, positions = architecture.layer(name), architecture.positions(name)
    try:
        if not index:
            return positions.ravel()
        if len(index) == 1:
            axis = channel_axis(layer)
            return np.atleast_1d(
                positions if axis is None and index[0] == 0 else positions.take(index[0], axis or 0)
            ).ravel()
        if len(index) == positions.ndim:
            return np.atleast_1d(positions[tuple(index)])
    except (IndexError, TypeError, ValueError):
        pass
    raise GraphError(
        f"factors: {argument_text(key)} is no channel of a layer of shape {layer.shape}, and no neuron of it"
    )


def _ratios(architecture: LayerArchitecture, lam: Array, ring: Semiring) -> Array:
    """For each entry, the largest or smallest lam_target / lam_source of its edges, depending on the semiring."""
    assert ring.arrays is not None
    inverse = 1 / lam
    inverse[0] = 1
    out = np.full(architecture.n_entries, ring.zero, dtype=lam.dtype)
    for block in architecture.dag.blocks():
        part = architecture.tensor_slices[block.tensor]
        shape = architecture.tensor_shapes[block.tensor]
        found = block.entry_gradient(inverse[None, block.source], lam[None, block.target], shape, ring)
        out[part] = ring.arrays.add(out[part], np.asarray(found).ravel())
    return out


def random_layer_rescaling(graph: LayerGraph, random: np.random.Generator, max_exponent: int) -> dict[Hashable, Any]:
    """Random factors, powers of two, for every hidden channel; see `pathgraph.random_rescaling`.

    Channels of one class (`pathgraph.layers.channels.channel_classes`) get the same factor.
    """
    if not graph.is_exact and max_exponent > LARGEST_POWER:
        raise ParameterError(
            f"max_exponent: the factors leave the range of floats, got {max_exponent}; take a smaller one"
        )
    classes = channel_classes(graph)
    steps = random.integers(-max_exponent, max_exponent + 1, classes.n_classes).tolist()
    two: Any = Fraction(2) if graph.is_exact else 2.0
    return {
        name: two ** (steps[k] if k >= 0 else 0)
        for name, k, is_outer in zip(classes.names, classes.of_channel.tolist(), classes.is_outer.tolist(), strict=True)
        if not is_outer
    }
