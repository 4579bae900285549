"""Multilayer perceptrons from their weight matrices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.devices import refuse_elsewhere
from pathgraph.errors import ParameterError
from pathgraph.graph.architecture import PARAMETER
from pathgraph.graph.compilation import compile_architecture
from pathgraph.graph.network import Network
from pathgraph.graph.ordering import index_type
from pathgraph.pathsum.blocks import IDENTITY, INPUT, RELU
from pathgraph.scalars import as_values
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.kronecker.matrix import KSMatrix
    from pathgraph.scalars import Array

__all__ = ["from_weights"]

Matrix: TypeAlias = "ArrayLike | Sequence[Any] | KSMatrix"


def from_weights(
    weights: Sequence[Matrix], biases: Sequence[Matrix | None] | None = None, *, dtype: DTypeLike | None = None
) -> Network:
    """A multilayer perceptron: ReLU on the hidden layers, identity on the last.

    Neurons are named (layer, index), layer 0 being the inputs. Every entry of a matrix is an edge, zeros included; of a
    Kronecker-sparse matrix, every entry of its support.

    Parameters
    ----------
    weights : sequence of array_like or KSMatrix
        One matrix per layer, shape (n_outputs, n_inputs): rows are outputs.
    biases : sequence of (array_like or None), optional
        One vector of shape (n_outputs,) per layer; None for a layer without biases.
    dtype : {float32, float64, object}, optional
        Convert the values: object means exact rationals.

    Returns
    -------
    Network

    Raises
    ------
    ParameterError
        On shapes that do not chain, and on values that are NaN, infinite or no numbers.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2]], [[Fraction(1, 2)]]], [[3], None])
    >>> net([1, 1])
    array([Fraction(1, 1)], dtype=object)
    """
    rows = [_rows(weight, f"weights[{i}]") for i, weight in enumerate(_listed(weights, "weights"))]
    if not rows:
        raise ParameterError("weights: needed at least one matrix, got an empty sequence")
    for i in range(1, len(rows)):
        needed = rows[i - 1].shape[0]
        if rows[i].shape[1] != needed:
            raise ParameterError(
                f"weights[{i}]: needed {needed} columns, the rows of weights[{i - 1}], got shape {rows[i].shape}; "
                "rows are outputs: transpose it if it was stored the other way"
            )
    given = [None] * len(rows) if biases is None else _listed(biases, "biases")
    if len(given) != len(rows):
        raise ParameterError(f"biases: needed {len(rows)} entries, one per layer (None for none), got {len(given)}")
    vectors = [None if b is None else _vector(b, rows[i].shape[0], f"biases[{i}]") for i, b in enumerate(given)]

    widths = [rows[0].shape[1], *(layer.shape[0] for layer in rows)]
    offset = np.concatenate([[0], np.cumsum(widths)])
    nodes = [(layer, i) for layer, width in enumerate(widths) for i in range(width)]
    activation = np.full(len(nodes), RELU, dtype=np.int8)
    activation[: offset[1]] = INPUT
    activation[offset[-2] :] = IDENTITY
    degree = np.repeat([0, *(layer.values.shape[1] for layer in rows)], widths)
    integer = index_type(len(nodes))
    sources = [np.arange(low, high, dtype=integer) for low, high in pairwise(offset[:-1])]
    antecedent = np.concatenate([layer.read(source) for source, layer in zip(sources, rows, strict=True)])
    layers = [i for i, vector in enumerate(vectors) if vector is not None]
    biased = np.concatenate([[], *(np.arange(offset[i + 1], offset[i + 2]) for i in layers)]).astype(np.int64)
    architecture, _ = compile_architecture(
        nodes=nodes,
        activation=activation,
        rank=np.ones(len(nodes), dtype=np.int64),
        level=np.repeat(np.arange(len(widths), dtype=np.int32), widths),
        start=np.concatenate([[0], np.cumsum(degree)]),
        antecedent=antecedent,
        role=PARAMETER,
        biased=biased,
        bias_role=PARAMETER,
        output=np.arange(offset[-2], offset[-1]),
        ties={},
    )
    parts = [layer.values.ravel() for layer in rows] + [vector for vector in vectors if vector is not None]
    is_plain = all(part.dtype.kind in "fiu" for part in parts)
    together: Any = np.concatenate(parts) if is_plain else [item for part in parts for item in part]

    def describe(entry: int) -> str:
        name = architecture.entry_name(entry)
        return f"weights: edge {name[0]} -> {name[1]}" if entry < architecture.n_edges else f"biases: neuron {name}"

    return Network._of(architecture, as_values(together, describe, dtype))


class _Rows(NamedTuple):
    """The edges into each neuron of a layer: as many for all."""

    shape: tuple[int, int]
    values: Array  # (n_outputs, degree)
    columns: Array | None  # likewise; None: all of them, in order

    def read(self, sources: Array) -> Array:
        """The antecedents of all edges, `sources` being the neurons of the layer before."""
        return np.tile(sources, self.shape[0]) if self.columns is None else sources[self.columns].ravel()


def _rows(weight: Any, what: str) -> _Rows:
    kronecker = sys.modules.get("pathgraph.kronecker.matrix")  # loaded where there are such matrices
    if kronecker is not None and isinstance(weight, kronecker.KSMatrix):
        values = weight.values.transpose(0, 1, 3, 2).reshape(weight.shape[0], weight.pattern.c)
        return _Rows(weight.shape, values, weight.pattern.columns())
    if kronecker is not None and isinstance(weight, kronecker.KSOperator):
        raise ParameterError(
            f"{what}: a KSChain is several linear layers; give its factors to LayerGraphBuilder.kronecker, from the "
            "right, or multiply them"
        )
    matrix = _matrix(weight, what)
    return _Rows(matrix.shape, matrix, None)


def _listed(layers: Any, what: str) -> list[Any]:
    try:
        return list(layers)
    except TypeError:
        raise ParameterError(
            f"{what}: needed a sequence with one entry per layer, got {argument_text(layers)}"
        ) from None


def _matrix(weight: Matrix, what: str) -> Array:
    array = _as_array(weight, what)
    if array.ndim != 2 or 0 in array.shape:
        raise ParameterError(
            f"{what}: needed a matrix (n_outputs, n_inputs) with at least one entry, got {array.shape}"
        )
    return array


def _vector(bias: Matrix, size: int, what: str) -> Array:
    array = _as_array(bias, what)
    if array.shape != (size,):
        raise ParameterError(f"{what}: needed shape ({size},), one bias per row of the matrix, got {array.shape}")
    return array


def _as_array(values: Matrix, what: str) -> Array:
    refuse_elsewhere(values, what)
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError(f"{what}: needed an array without a mask, got a masked one; fill its gaps")
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    try:
        return np.asarray(values, dtype=object)
    except (ValueError, TypeError):
        raise ParameterError(f"{what}: needed a rectangular array of numbers, got {argument_text(values)}") from None
