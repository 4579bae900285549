r"""How far the output of a network can move when its input moves: rescaling-invariant bounds by one sweep.

All bounds are sums over paths of absolute path products; only paths that start at an input matter, since biases do
not move with it. At k-max-pool neurons, which move by at most the largest move of a candidate, the sweep may take
the maximum instead of the sum: this *max-pass* is never worse than the path-norm and often better, but is no norm of
the path-lifting.

Source: arXiv 2310.01225 for the path-norm bound; the others are derived here.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal

import numpy as np

from pathgraph.errors import ParameterError, RangeError
from pathgraph.graph.network import Network, require_numbers
from pathgraph.graph.scalars import Array, object_array
from pathgraph.norms import Inputs, half_widths, norm_of
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.semirings import REAL
from pathgraph.pathsum.sweep import Pools, buffer, sweep

__all__ = ["input_lipschitz"]

Method = Literal["max-pass", "input-paths", "path-norm"]


def input_lipschitz(
    net: Network,
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
    net : Network
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
        u, of the sums of :math:`|\Phi_p|` over the paths from u. Costs one sweep with one state per input.

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
        raise ParameterError(f"method: needed 'max-pass', 'input-paths' or 'path-norm', got {method!r}")
    for name, value in (("r", r), ("input_norm", input_norm)):
        if isinstance(value, bool) or not isinstance(value, Real) or not value >= 1:
            raise ParameterError(f"{name}: needed a number in [1, inf], got {value!r}")
    require_numbers(net, "input_lipschitz")
    if input_norm != math.inf:
        if method != "input-paths" or inputs is not None:
            raise ParameterError(
                "input_norm: a norm other than infinity needs method='input-paths' and no inputs=, got "
                f"method={method!r}" + ("" if inputs is None else " and inputs=")
            )
        dual = math.inf if input_norm == 1 else 1 / (1 - 1 / input_norm)
        bounds = [norm_of(column, dual) for column in _swept(net, _unit_vectors(net), "sum", constant=0).T.tolist()]
    elif method == "path-norm":
        reach = max(half_widths(net, inputs).tolist())
        bounds = [reach * norm for norm in _swept(net, half_widths(net, None), "sum", constant=1).tolist()]
    else:
        bounds = _swept(net, half_widths(net, inputs), "max" if method == "max-pass" else "sum", constant=0).tolist()
    if not per_output:
        return norm_of(bounds, r)
    return object_array(bounds) if net.is_exact else np.array(bounds)


def _swept(net: Network, start: Array, pools: Pools, *, constant: int) -> Array:
    """The sweep on absolute values, up to each output: shape (n_outputs,), or (n_starts, n_outputs) for many starts."""
    rows = np.atleast_2d(start)
    x = buffer(net, REAL, states=len(rows))
    x[:, CONSTANT] = constant
    x[:, net.dag.inputs] = accelerated(rows)
    values = [abs(accelerated(w)).astype(x.dtype, copy=False) for w in net.tensors]
    x = sweep(net, [(values, None)], x, pools=pools)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise RangeError("input_lipschitz: the bound leaves the range of float64; use net.to_exact()")
    out = restored(x[:, net.dag.outputs]) if net.is_exact else x[:, net.dag.outputs]
    return out if start.ndim == 2 else out[0]


def _unit_vectors(net: Network) -> Array:
    ones = half_widths(net, None)
    return np.where(np.eye(len(ones), dtype=bool), ones, 0 * ones)
