r"""Importance scores of parameters: what each pruning method removes first.

================ ========================================= ============================= ==================
method           score                                     invariant under rescaling     needs
================ ========================================= ============================= ==================
path-magnitude   mass of the paths through the parameter   yes                           nothing
magnitude        abs(theta)                                no                            nothing
synflow          the same mass without biases, pools kept  yes                           nothing
snip             abs(theta * gradient)                     yes                           a gradient
obd              theta**2 * second derivative / 2          yes                           a Hessian diagonal
================ ========================================= ============================= ==================

The gradient and the diagonal are those of a loss at the same parameters, so under a rescaling they change with them.

Sources: arXiv 2405.15006 (path-magnitude), 2006.05467 (synflow), 1810.02340 (snip); LeCun, Denker, Solla, Optimal brain
damage, 1989 (obd).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import Inputs
from pathgraph.errors import ParameterError
from pathgraph.graph.network import Network
from pathgraph.numbers import product, public
from pathgraph.pathsum.exact import accelerated
from pathgraph.pathsum.preparation import is_safe
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled
from pathgraph.pathsum.sweep import sweep
from pathgraph.pruning.layers import layer_arrays
from pathgraph.pruning.masses import Moduli
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, as_values, refuse_floats
from pathgraph.shown import argument_text

__all__ = ["METHODS", "importance_scores", "score_of"]

METHODS = ("path-magnitude", "magnitude", "synflow", "snip", "obd")

Score: TypeAlias = Callable[[Moduli], Array]
"""Scores of the parameters, aligned with theta, of a network some of whose values were set to zero."""


def importance_scores(
    net: ReluNetwork,
    method: str = "path-magnitude",
    *,
    inputs: Inputs | None = None,
    gradient: ArrayLike | Sequence[Any] | None = None,
    hessian_diagonal: ArrayLike | Sequence[Any] | None = None,
    by_layer: bool = False,
) -> Any:
    """The scores by which `prune` chooses, in one shot: the smallest is removed first.

    Parameters
    ----------
    net : Network or LayerGraph
    method : {"path-magnitude", "magnitude", "synflow", "snip", "obd"}
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs, for "path-magnitude"; ones by default.
    gradient : array_like, shape (n_parameters,), optional
        For "snip": the gradient of a loss, aligned with ``net.theta``; for a layer graph a mapping from all names of
        parameters to arrays of their shapes.
    hessian_diagonal : array_like, shape (n_parameters,), optional
        For "obd": the diagonal of its Hessian. A negative entry makes a negative score.
    by_layer : bool
        Return the scores of the weights as one matrix per layer, of shape (n_outputs, n_inputs), keyed by the layer:
        for networks made by `from_weights`. PyTorch's ``global_unstructured`` takes them as ``importance_scores``. The
        scores of a layer graph come by name anyway.

    Returns
    -------
    ndarray of shape (n_parameters,), or dict from layers to ndarray
        Fractions on exact networks, float64 else. For a layer graph a dict, from the names of the parameters to arrays
        of their shapes.

    Raises
    ------
    ParameterError
        On an unknown method, and on gradients that are missing, superfluous, of a wrong shape or not finite.
    RangeError
        If a score leaves the range of floats.
    GraphError
        With `by_layer`, if the network was not made by `from_weights`.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.importance_scores(net, "synflow", by_layer=True)
    {1: array([[1., 2.],
           [3., 1.]]), 2: array([[3., 4.]])}
    >>> pg.importance_scores(net, "snip", gradient=[1, 1, 0, 2, 2, 0, 0, -1])
    array([1., 2., 0., 6., 2., 0., 0., 1.])
    """
    require_network_of_numbers(net, "importance_scores")
    score = score_of(net, method, gradient=gradient, hessian_diagonal=hessian_diagonal)
    scores = public(score(Moduli(net, inputs)), "importance_scores")
    if by_layer and isinstance(net, Network):
        return layer_arrays(net, scores)
    return net.architecture.arranged(scores)


def score_of(
    net: ReluNetwork,
    method: str,
    *,
    gradient: ArrayLike | Sequence[Any] | None = None,
    hessian_diagonal: ArrayLike | Sequence[Any] | None = None,
) -> Score:
    """The score of a method, its arguments checked.

    Raises
    ------
    ParameterError
    """
    if method not in METHODS:
        raise ParameterError(f"method: needed one of {', '.join(map(repr, METHODS))}, got {argument_text(method)}")
    given = {"gradient": (gradient, "snip"), "hessian_diagonal": (hessian_diagonal, "obd")}
    for name, (values, user) in given.items():
        if (values is None) == (method == user):
            needed = "needed one number per parameter, got None" if values is None else f"only {user!r} takes it"
            raise ParameterError(f"{name}: {needed}; the method is {method!r}")
    if method == "path-magnitude":
        return Moduli.costs
    if method == "synflow":
        return synaptic_flow
    if method == "magnitude":
        return lambda moduli: moduli.values[moduli.architecture.first_entry]
    name = "gradient" if method == "snip" else "hessian_diagonal"
    derivative = _per_parameter(net, given[name][0], name)
    return lambda moduli: _taylor(moduli, derivative, method)


def _per_parameter(net: ReluNetwork, values: Any, name: str) -> Array:
    values = net.architecture.aligned(values, name)
    try:
        given = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)
    except ValueError:
        given = np.empty((0, 0))
    size = len(net.theta)
    if given.shape != (size,):
        raise ParameterError(f"{name}: needed shape ({size},), aligned with net.theta, got {given.shape}")

    def describe(i: int) -> str:
        return f"{name}[{i}] (parameter {net.architecture.parameters[i]!r})"

    if net.is_exact:
        refuse_floats(given, describe)
    return accelerated(as_values(given, describe, object if net.is_exact else np.float64))


def _taylor(moduli: Moduli, derivative: Array, method: str) -> Array:
    """abs(theta g), or theta**2 h / 2, in rationals or scaled numbers, which have no range."""
    theta = moduli.values[moduli.architecture.first_entry]
    if method == "snip":
        return product(theta, abs(derivative))
    half: Array = derivative / 2 if derivative.dtype == object else scaled(derivative)
    if half.dtype == SCALED_DTYPE:
        half["exponent"] -= half["mantissa"] != 0
    return product(product(theta, theta), half)


def synaptic_flow(moduli: Moduli) -> Array:
    """The scores of synflow: abs(theta) times the derivative of the output at ones, on absolute values, without biases.

    A pool keeps the candidate of its rank, the first one of several that are equal, so that the others score 0.
    """
    if not any(node.pools for node in moduli.dag.nodes):
        return moduli.summed(plain=True)
    return moduli.per_parameter(_through_pools(moduli))


def _not_selected(moduli: Moduli, x: Array) -> list[Array]:
    """For each group of pools, the candidates that it does not select."""
    idle = []
    for node in moduli.dag.nodes:
        for pool in node.pools:
            weights = np.empty(pool.entry.shape, dtype=x.dtype)
            for tensor in pool.tensors:
                chosen = pool.tensor == tensor
                weights[chosen] = moduli.tensors[tensor].reshape(-1)[pool.entry[chosen]]
            candidates = weights * x[0, pool.source]
            value = np.sort(candidates, axis=1)[:, -pool.rank, None]
            first = (candidates == value).argmax(axis=1)
            idle.append(np.arange(pool.entry.shape[1]) != first[:, None])
    return idle


def _through_pools(moduli: Moduli) -> Array:
    """The masses where only the selected candidates of the pools count; floats without room are made exact."""
    x = sweep(moduli, [(moduli.tensors, None)], moduli.start(plain=True), pools="rank")
    if moduli.scalars == "float" and not is_safe(moduli.tensors, x):
        return scaled(_through_pools(moduli.to_exact()))
    if moduli.dag.flat is None:
        thinned = moduli.thinned(np.zeros(moduli.dag.size, dtype=bool), _not_selected(moduli, x))
        return thinned.masses(plain=True, forward=x)  # what pools select is the sum of the edges that are left
    selected = moduli.values.copy()
    starts = np.array([part.start for part in moduli.architecture.tensor_slices])
    for node in moduli.dag.nodes:
        for pool in node.pools:
            entries = starts[pool.tensor] + pool.entry
            candidates = moduli.values[entries] * x[0, pool.source]
            value = np.sort(candidates, axis=1)[:, -pool.rank, None]
            chosen = (candidates == value).argmax(axis=1)
            selected[entries[np.arange(entries.shape[1]) != chosen[:, None]]] = 0
    return moduli.with_values(selected).masses(plain=True)
