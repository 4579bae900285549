r"""How far the output of a network can move when its input moves: rescaling-invariant bounds by one sweep.

All bounds are sums over paths of absolute path products; only paths that start at an input matter, since biases do
not move with it. At k-max-pool neurons, which move by at most the largest move of a candidate, the sweep may take
the maximum instead of the sum: this *max-pass* is never worse than the path-norm and often better, but is no norm of
the path-lifting.

Source: arXiv 2310.01225 for the path-norm bound; the others are derived here.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from pathgraph.arguments import Inputs, exponent, half_widths
from pathgraph.errors import ParameterError, RangeError
from pathgraph.norms import power_sums
from pathgraph.numbers import joined, norm, product
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.preparation import buffer, is_safe
from pathgraph.pathsum.scaled import scaled, scaled_to_float
from pathgraph.pathsum.semirings import REAL, SCALED
from pathgraph.pathsum.sweep import back, sweep
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, object_array, to_fraction
from pathgraph.shown import argument_text

__all__ = ["input_lipschitz"]

Method = Literal["max-pass", "input-paths", "path-norm"]

ROOM = 1 << 24
"""Numbers in the buffer of some outputs that are swept together."""


def input_lipschitz(
    net: ReluNetwork,
    *,
    method: Method = "max-pass",
    inputs: Inputs | None = None,
    r: float = 1,
    per_output: bool = False,
    input_norm: float = math.inf,
) -> Any:
    r"""A bound on the change of the output over a change of the input.

    With the defaults a constant L such that :math:`\|R_\theta(x) - R_\theta(x')\|_r \le L \|x - x'\|_\infty` for
    all x, x'.

    Parameters
    ----------
    net : Network or LayerGraph
    method : {"max-pass", "input-paths", "path-norm"}
        From the smallest to the largest: maxima at pools; the paths that start at inputs; all paths, biases
        included, which is :math:`\|\Phi(\theta)\|_{1,r}`.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Bounds :math:`D_i \ge |x_i - x'_i|`; the result then bounds the change of the output itself. Ones by default.
    r : number in [1, inf]
        The norm over the outputs.
    per_output : bool
        Return one bound per output, as an array.
    input_norm : number in [1, inf]
        Measure the change of the input in this norm s instead of the supremum norm. Then the method must be
        "input-paths" and `inputs` left out; the bound of an output is the dual norm of the vector, over the inputs
        u, of the sums of :math:`|\Phi_p|` over the paths from u. Costs a backward sweep per output, some at a time:
        about a forward pass each, a minute or more for the 1000 outputs of a ResNet-18 on 224 x 224 images.

    Returns
    -------
    float, Fraction, or ndarray of shape (n_outputs,)
        Exact on exact networks for r (and the dual of `input_norm`) in {1, inf}.

    Raises
    ------
    ParameterError
        On an unknown method, norms below 1, or negative widths.
    RangeError
        If the bound leaves the range of floats.

    Notes
    -----
    The bounds hold for every pair of inputs; they are attained, for instance, by networks with non-negative
    parameters and no pools. They do not enclose the round-off of the sweep, which is relative and of the order of the
    fan-ins summed over the levels, times the unit round-off.

    References
    ----------
    arXiv 2310.01225 ("path-norm"); the others are derived here.

    Examples
    --------
    >>> import networkx as nx, pathgraph as pg
    >>> graph = nx.DiGraph()
    >>> graph.add_nodes_from(["x", "z"], activation="input")
    >>> graph.add_node("m", activation="pool", bias=5.0)
    >>> graph.add_node("y", activation="identity")
    >>> graph.add_weighted_edges_from([("x", "m", 1.0), ("z", "m", -1.0), ("m", "y", 2.0)])
    >>> net = pg.from_networkx(graph)
    >>> [pg.input_lipschitz(net, method=m) for m in ("max-pass", "input-paths", "path-norm")]
    [2.0, 4.0, 14.0]
    """
    if method not in ("max-pass", "input-paths", "path-norm"):
        raise ParameterError(f"method: needed 'max-pass', 'input-paths' or 'path-norm', got {argument_text(method)}")
    r, input_norm = exponent(r, "r", least=1), exponent(input_norm, "input_norm", least=1)
    require_network_of_numbers(net, "input_lipschitz")
    if input_norm != math.inf:
        if method != "input-paths" or inputs is not None:
            raise ParameterError(
                "input_norm: a norm other than infinity needs method='input-paths' and no inputs=, got "
                f"method={method!r}" + ("" if inputs is None else " and inputs=")
            )
        dual = math.inf if input_norm == 1 else 1 / (1 - 1 / input_norm)
        bounds = _dual_norms(net, dual)
    elif method == "max-pass" and any(node.pools for node in net.dag.nodes):
        bounds = _max_pass(net, half_widths(net, inputs))
    elif method == "path-norm":
        reach = half_widths(net, inputs).max(keepdims=True)
        bounds = product(power_sums(net, 1), reach)
    else:
        bounds = power_sums(net, 1, inputs=inputs, biases=False)
    if not per_output:
        bounds = norm(bounds, r)
    if bounds.dtype != object:
        numbers = scaled(bounds)
        bounds = scaled_to_float(numbers)
        small = (bounds < np.finfo(np.float64).tiny) & (numbers["mantissa"] != 0)
        bounds[small] = np.nextafter(bounds[small], 1)  # up: a bound must not vanish
        if np.isinf(bounds).any():
            raise RangeError("input_lipschitz: the bound leaves the range of float64; use net.to_exact()")
    return bounds if per_output else bounds.tolist()[0]


def _max_pass(net: ReluNetwork, widths: Array) -> Array:
    """The sweep without biases that takes maxima at pools, up to each output.

    Floats that come near the ends of their range are swept exactly instead: a bound must not vanish.
    """
    x = buffer(net, REAL)
    x[0, net.dag.inputs] = accelerated(widths)
    values = _absolute(net, x)
    x = sweep(net, [(values, None)], x, pools="max")
    if net.is_exact:
        return restored(x[0, net.dag.outputs])
    if is_safe([*values, widths], x):
        return np.asarray(x[0, net.dag.outputs])
    return scaled(_max_pass(net.to_exact(), object_array(map(to_fraction, widths))))


def _dual_norms(net: ReluNetwork, dual: float) -> Array:
    """For each output, the norm over the inputs of the sums of the absolute path products from them.

    One backward sweep with a state for each output, or several with some of them, so that memory stays bounded.
    """
    outputs = net.dag.outputs
    step = max(1, ROOM // net.dag.size)
    return joined(
        [
            norm(row, dual)
            for first in range(0, len(outputs), step)
            for row in _masses_from_inputs(net, first, min(first + step, len(outputs)))
        ]
    )


def _masses_from_inputs(net: ReluNetwork, first: int, stop: int) -> Array:
    """For some outputs and each input, the sum of the absolute path products between them: one backward sweep."""
    if net.streams is not None:
        found = net.streams.sums_from_inputs(net, first, stop)
        if found is not None:
            return found
    outputs = net.dag.outputs[first:stop]

    def start() -> Array:
        y = buffer(net, REAL, states=len(outputs))
        y[np.arange(len(outputs)), outputs] = 1
        return y

    swept = start()
    values = _absolute(net, swept)
    back(net, [(values, None)], swept)
    if net.is_exact:
        return restored(swept[:, net.dag.inputs])
    if not is_safe(values, swept):
        swept = back(net, [(tuple(map(scaled, values)), None)], scaled(start()), ring=SCALED)
    return np.asarray(swept[:, net.dag.inputs])


def _absolute(net: ReluNetwork, x: Array) -> tuple[Array, ...]:
    return tuple(abs(accelerated(w)).astype(x.dtype, copy=False) for w in net.tensors)
