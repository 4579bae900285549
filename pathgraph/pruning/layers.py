"""Numbers per parameter as one array per layer, for networks made by `from_weights`: the form that PyTorch takes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph.network import Network
from pathgraph.pathsum.blocks import INPUT
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["layer_arrays"]


def layer_arrays(net: Network, numbers: Any, name: Literal["weight", "bias"] = "weight") -> dict[int, Array]:
    """Numbers aligned with theta, arranged as the matrices and vectors from which the network was made.

    Parameters
    ----------
    net : Network
        Made by `from_weights`, or a multilayer perceptron whose neurons are named (layer, index) likewise.
    numbers : array_like, shape (n_parameters,)
        Of any dtype: parameters, scores, a mask.
    name : {"weight", "bias"}

    Returns
    -------
    dict from int to ndarray
        For each layer but the inputs, in order, an array of shape (n_outputs, n_inputs), or (n_outputs,) for biases;
        layers without biases are left out then. The arrays are copies.

    Raises
    ------
    GraphError
        If the network is no such perceptron, or has fixed or tied values.
    ParameterError
        If the numbers are not aligned with theta.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.layer_arrays(net, net.theta)
    {1: array([[ 1., -2.],
           [ 3.,  1.]]), 2: array([[1., 1.]])}
    >>> pg.layer_arrays(net, net.theta, "bias")
    {1: array([0., 5.])}
    """
    if not isinstance(net, Network):
        raise ParameterError(f"net: needed a pathgraph.Network, got {type(net).__name__}")
    if name not in ("weight", "bias"):
        raise ParameterError(f"name: needed 'weight' or 'bias', got {argument_text(name)}")
    architecture = net.architecture
    given = np.asarray(numbers)
    if given.shape != (architecture.n_parameters,):
        raise ParameterError(f"numbers: needed shape ({architecture.n_parameters},), got {given.shape}")
    widths = _widths(net)
    if architecture.n_parameters != architecture.n_entries:
        raise GraphError("net: needed a network without fixed or tied values, as from_weights makes them")
    flat = np.empty_like(given)
    flat[architecture.first_entry] = given
    out, edge, bias = {}, 0, architecture.n_edges
    biased = np.bincount(architecture.level[architecture.biased], minlength=len(widths))
    for layer in range(1, len(widths)):
        rows, columns = widths[layer], widths[layer - 1]
        if name == "weight":
            out[layer] = flat[edge : edge + rows * columns].reshape(rows, columns)
        elif biased[layer]:
            out[layer] = flat[bias : bias + rows].copy()
        edge += rows * columns
        bias += int(biased[layer])
    return out


def _widths(net: Network) -> list[int]:
    """The widths of the layers, the inputs first.

    Raises
    ------
    GraphError
        If neurons are not named (layer, index) in this order, or a layer is not dense.
    """
    architecture = net.architecture
    level = architecture.level
    widths: list[int] = np.bincount(level).tolist()
    names = [(layer, i) for layer, width in enumerate(widths) for i in range(width)]
    degree = np.diff(architecture.start)
    needed = np.array([0, *widths[:-1]])[level]
    biases = np.bincount(level[architecture.biased], minlength=len(widths))
    is_dense = (
        tuple(names) == architecture.nodes
        and bool((degree == needed).all())
        and bool((level[architecture.antecedent] + 1 == level[architecture.target[: architecture.n_edges]]).all())
        and bool(((biases == 0) | (biases == widths)).all())
        and bool(((architecture.activation == INPUT) == (level == 0)).all())
    )
    if not is_dense:
        raise GraphError(
            "net: needed the dense layers of from_weights, with neurons named (layer, index); for another graph use "
            "the array aligned with net.theta"
        )
    return widths
