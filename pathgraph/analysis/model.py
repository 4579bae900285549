"""A model as the analysis sees it: the same questions, whether its nodes are neurons or layers.

Parameters are one array in the order of ``net.theta``; functions of the library that give one array per tensor name are
read through `Model.flat`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import pathgraph as pg
from pathgraph.graph.network import Network, require_numbers
from pathgraph.layer_rows import LayerRow, layer_rows
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.scalars import Array, object_array, to_fraction

__all__ = ["Group", "Model", "read"]


@dataclass(frozen=True)
class Group:
    """The parameters of a tensor, or those into a level of neurons.

    Attributes
    ----------
    name : str
    places : slice or ndarray of int
        In the array of all parameters.
    shape : tuple of int
    is_bias : bool
    """

    name: str
    places: Any
    shape: tuple[int, ...]
    is_bias: bool


def read(path: str | Path, **options: Any) -> Network | LayerGraph:
    """Read a model from a file: one that `pathgraph.save` wrote, or an ONNX file.

    Parameters
    ----------
    path : str or Path
    **options
        Of `pathgraph.from_onnx`.

    Raises
    ------
    PathgraphError
        If the file holds no model that the library takes.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        if not file.read(1):
            raise pg.FileFormatError(f"{path}: needed a model, got an empty file")
    if zipfile.is_zipfile(path):
        given = [name for name, value in options.items() if value is not None]
        if given:
            raise pg.ParameterError(f"{given[0]}: only ONNX files take it, and {path} is an archive; leave it out")
        return pg.load(path)
    found: Network | LayerGraph = pg.from_onnx(path, **{k: v for k, v in options.items() if v is not None})
    return found


class Model:
    """A network or layer graph of floats or rationals, as `analyse` asks it.

    Parameters
    ----------
    net : Network or LayerGraph
        Float32 values become float64, which holds them exactly.
    """

    def __init__(self, net: Network | LayerGraph) -> None:
        if isinstance(net, Network):
            require_numbers(net, "analyse")
        elif not isinstance(net, LayerGraph):
            raise pg.ParameterError(f"net: needed a pathgraph.Network or LayerGraph, got {type(net).__name__}")
        self.given_dtype = net.dtype
        self.net: Any = net if net.is_exact or net.dtype == np.float64 else net.to_float(np.float64)
        self.is_exact: bool = net.is_exact

    # -- structure ------------------------------------------------------------------------------------------------

    @property
    def is_layered(self) -> bool:
        """Whether the nodes are layers."""
        return isinstance(self.net, LayerGraph)

    @property
    def n_inputs(self) -> int:
        """Number of input neurons."""
        return len(self.net.dag.inputs)

    @property
    def n_outputs(self) -> int:
        """Number of output neurons."""
        return len(self.net.dag.outputs)

    @cached_property
    def n_neurons(self) -> int:
        """Number of neurons, inputs and identity neurons included."""
        return int(self.net.dag.size) - 1

    @cached_property
    def n_edges(self) -> int:
        """Number of edges between neurons."""
        return int(self.net.architecture.n_edges)

    @property
    def notes(self) -> tuple[str, ...]:
        """What an importer left out or changed."""
        return tuple(self.net.notes) if self.is_layered else ()

    @cached_property
    def output_names(self) -> Sequence[str]:
        """One name per output neuron."""
        if not self.is_layered:
            return [_text(v) for v in self.net.outputs]
        shapes = self.net.output_shapes
        alone = len(shapes) == 1
        return [
            ("" if alone else f"{name} ") + (", ".join(map(str, index)) or name)
            for name, shape in shapes.items()
            for index in np.ndindex(*shape)
        ]

    @property
    def input_text(self) -> str:
        """The inputs in words."""
        if not self.is_layered:
            return f"{self.n_inputs:,}"
        return ", ".join(f"{name} {_shape(shape)}" for name, shape in self.net.input_shapes.items())

    @property
    def output_text(self) -> str:
        """The outputs in words."""
        if not self.is_layered:
            return f"{self.n_outputs:,}"
        return ", ".join(f"{name} {_shape(shape)}" for name, shape in self.net.output_shapes.items())

    @cached_property
    def layers(self) -> list[LayerRow]:
        """The layers, or levels, in topological order."""
        return layer_rows(self.net)

    # -- values ---------------------------------------------------------------------------------------------------

    @cached_property
    def theta(self) -> Array:
        """All parameters, in floats: shape (n_parameters,)."""
        return np.asarray(self.net.theta, dtype=np.float64)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The parameters by tensor, or by level."""
        return _tensor_groups(self.net) if self.is_layered else _level_groups(self.net)

    def flat(self, numbers: Mapping[str, Array] | Array) -> Array:
        """What the library gives for the parameters, as one array."""
        if not isinstance(numbers, Mapping):
            return np.asarray(numbers)
        parts = [np.ravel(numbers[name]) for name in self.net.parameters]
        return np.concatenate(parts) if parts else np.empty(0)

    def with_floats(self, theta: Array) -> Any:
        """The model with other parameters, given as floats that are taken as they are."""
        return self.net.with_theta(object_array(map(to_fraction, theta.tolist())) if self.is_exact else theta)

    def outputs(self, net: Any, x: Array) -> Array:
        """The outputs of a model of this structure on flat inputs: (n, n_inputs) -> (n, n_outputs), in floats.

        Layer graphs take a few inputs at a time.
        """
        floats = net.to_float(np.float64) if net.is_exact else net
        if not self.is_layered:
            return np.asarray(floats(x))
        shapes = list(self.net.input_shapes.values())
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        parts = []
        for rows in np.array_split(x, max(1, len(x) * self.n_neurons // 2**25)):
            given = [part.reshape(-1, *shape) for part, shape in zip(np.split(rows, cuts, axis=1), shapes, strict=True)]
            found = floats(*given)
            parts.append(
                np.hstack([a.reshape(len(rows), -1) for a in (found if isinstance(found, tuple) else [found])])
            )
        return np.vstack(parts)

    def box(self, given: Any) -> Any:
        """Half-widths that the functions of the library take: a number, or one per input neuron.

        Parameters
        ----------
        given : float or ndarray of shape (n_inputs,)
        """
        if self.is_exact:
            return to_fraction(given) if np.ndim(given) == 0 else self._arranged(object_array(map(to_fraction, given)))
        return given if np.ndim(given) == 0 else self._arranged(given)

    def _arranged(self, widths: Array) -> Any:
        if not self.is_layered:
            return widths
        out, first = {}, 0
        for name, shape in self.net.input_shapes.items():
            size = int(np.prod(shape))
            out[name] = widths[first : first + size].reshape(shape)
            first += size
        return out


# -- layer graphs ---------------------------------------------------------------------------------------------------


def _tensor_groups(graph: LayerGraph) -> tuple[Group, ...]:
    biases = {graph.architecture.tensor_names[layer.bias[1]] for layer in graph.layers if layer.bias is not None}
    groups, first = [], 0
    for name, tensor in graph.parameters.items():
        groups.append(Group(name, slice(first, first + tensor.size), tensor.shape, name in biases))
        first += tensor.size
    return tuple(groups)


# -- neurons --------------------------------------------------------------------------------------------------------


def _level_groups(net: Network) -> tuple[Group, ...]:
    architecture = net.architecture
    first = architecture.first_entry
    level, at_bias = architecture.level[architecture.target[first]], first >= architecture.n_edges
    groups = []
    for k in np.unique(level).tolist():
        for is_bias in (False, True):
            places = np.flatnonzero((level == k) & (at_bias == is_bias))
            if len(places):
                kind = "biases" if is_bias else "weights"
                groups.append(Group(f"level {k} {kind}", places, (len(places),), is_bias))
    return tuple(groups)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _text(name: Hashable) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)
