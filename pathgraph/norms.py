r"""Path-norms of any DAG ReLU network, by one sweep.

.. math:: \|\Phi(\theta)\|_{q,r} = \Big\| \big( \|\Phi^{\to v}(\theta)\|_q \big)_{v \in N_{out}} \Big\|_r ,
   \qquad \|\Phi^{\to v}\|_q^q = |b_v|^q + \sum_{u \in ant(v)} |\theta^{u \to v}|^q \, \|\Phi^{\to u}\|_q^q .

The sweep runs on the q-th powers of *all* entries, biases, frozen and structural ones (skips, pooling weights)
included, and *sums* at pool neurons. Floats are swept as they are while they stay far from the ends of their range,
and as scaled numbers otherwise, so nothing overflows or vanishes on the way. Exact networks give rationals until a
root or a logarithm is taken.

Source: arXiv 2310.01225, Theorem A.1; q = infinity, q = 0, weights on the inputs and the logarithms are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.arguments import Inputs, exponent, half_widths
from pathgraph.errors import PathNormOverflowError, RangeError
from pathgraph.graph.device_network import DeviceNetwork
from pathgraph.layered import layer_norms
from pathgraph.numbers import joined, norm, product, upper_floats
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import Backend, buffer, choose_backend, is_safe
from pathgraph.pathsum.residues import count_by_residues
from pathgraph.pathsum.scaled import (
    SCALED_DTYPE,
    scaled,
    scaled_argmax,
    scaled_log,
    scaled_to_float,
    scaled_total,
)
from pathgraph.pathsum.semirings import COUNT, MAX_TIMES, REAL, Semiring
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import FLOATS, Array, float_type, object_array

__all__ = ["log_path_norm", "operator_norm_product", "path_norm", "power_sums"]


def path_norm(
    net: ReluNetwork | DeviceNetwork,
    q: float = 1,
    r: float | None = None,
    *,
    inputs: Inputs | None = None,
    per_output: bool = False,
    root: bool = True,
    dtype: DTypeLike = np.float64,
    backend: str | None = None,
) -> Any:
    r"""The path-norm :math:`\|\Phi(\theta)\|_{q,r}`.

    Parameters
    ----------
    net : Network, LayerGraph or DeviceNetwork
        For the last one the result per output is an array of its device.
    q : number in [0, inf]
        Norm over the paths to one output; 0 counts the paths with a non-zero product.
    r : number in (0, inf], optional
        Norm over the outputs; q by default (1, that is the total count, for q = 0).
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Weights :math:`D_i \ge 0` of the paths that start at the inputs (box half-widths); ones by default. For a layer
        graph arrays have the shape of the input, and mappings lead from the names of the inputs.
    per_output : bool
        Return :math:`(\|\Phi^{\to v}\|_q)_v`, as an array.
    root : bool
        With False no root is taken: :math:`\sum_p |\Phi_p|^q` per output, and in total
        :math:`\sum_v (\sum_p |\Phi_p|^q)^{r/q}`, or the largest :math:`\sum_p |\Phi_p|^q` when r is infinite.
        Rational on exact networks if q and r/q are integers.
    dtype : {float64, float32}
        Accumulate and return float results in this type.
    backend : {"reference", "numpy", "numba"}, optional

    Returns
    -------
    float, Fraction, int, or ndarray of shape (n_outputs,)
        A float below the range of `dtype` is rounded to a subnormal number or to zero.

    Raises
    ------
    PathNormOverflowError
        If the result lies beyond the range of `dtype`; `log_path_norm` has no such limit.
    ParameterError
        On q, r or inputs out of range.

    Notes
    -----
    Pool neurons are summed: keeping the maximum in the sweep would give less than the norm. One multiplication and
    one addition per edge. The norm is invariant under rescaling.

    References
    ----------
    arXiv 2310.01225, Theorem A.1.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.path_norm(net), pg.path_norm(net, q=2, root=False), pg.path_norm(net, q=float("inf"))
    (12.0, 40.0, 5.0)
    >>> pg.path_norm(net, q=0), pg.path_norm(net.to_exact(), inputs=[2, 0])
    (5, Fraction(13, 1))
    """
    q, r = _exponents(q, r)
    dtype = float_type(dtype)
    totals, degree = _totals(net, q, r, per_output, inputs=inputs, dtype=dtype, backend=backend)
    norms = _rooted(totals, degree if root else 1, dtype)
    if per_output and isinstance(net, DeviceNetwork):
        return net.device.to_device(norms)
    return norms if per_output else norms.tolist()[0] if norms.dtype != np.float32 else norms[0]


def log_path_norm(
    net: ReluNetwork | DeviceNetwork,
    q: float = 1,
    r: float | None = None,
    *,
    inputs: Inputs | None = None,
    per_output: bool = False,
    backend: str | None = None,
) -> Any:
    r"""The natural logarithm of `path_norm`; right at any depth, minus infinity for zero.

    As a function of q, :math:`q \log \|\Phi\|_q` is convex.

    Parameters
    ----------
    net : Network, LayerGraph or DeviceNetwork
        For the last one the result per output is an array of its device.
    q : number in [0, inf]
        Norm over the paths to one output; 0 counts the paths with a non-zero product.
    r : number in (0, inf], optional
        Norm over the outputs; q by default (1, that is the total count, for q = 0).
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Weights of the paths that start at the inputs, as for `path_norm`; ones by default.
    per_output : bool
        Return one logarithm per output, as an array.
    backend : {"reference", "numpy", "numba"}, optional

    Returns
    -------
    float, or ndarray of shape (n_outputs,)

    Raises
    ------
    ParameterError
        On q, r or inputs out of range.

    Examples
    --------
    >>> import pathgraph as pg
    >>> deep = pg.from_weights([[[1e100]]] * 1000)
    >>> round(pg.log_path_norm(deep) / 2.302585092994046, 6)
    100000.0
    """
    q, r = _exponents(q, r)
    totals, degree = _totals(net, q, r, per_output, inputs=inputs, backend=backend)
    logs = scaled_log(scaled(totals)) / degree
    if per_output and isinstance(net, DeviceNetwork):
        return net.device.to_device(logs)
    return logs if per_output else float(logs[0])


def power_sums(
    net: ReluNetwork | DeviceNetwork,
    q: float,
    *,
    inputs: Inputs | None = None,
    biases: bool = True,
    dtype: DTypeLike = np.float64,
    backend: str | None = None,
) -> Array:
    r"""Per output, :math:`\sum_p |\Phi_p|^q`; for q = infinity the largest :math:`|\Phi_p|`, for q = 0 the count.

    Returns
    -------
    ndarray, shape (n_outputs,)
        Floats, or scaled numbers where floats would leave their range; Fractions for exact networks and integer or
        infinite q; Python integers for q = 0.
    """
    if isinstance(net, DeviceNetwork):
        return net.sums_at_outputs(q, inputs, biases=biases, dtype=dtype, backend=backend)
    require_network_of_numbers(net, "path-norm")
    chosen = choose_backend(backend, net)
    widths = half_widths(net, inputs)
    if q == 0 and backend is None and net.dag.flat is None:
        is_there = mapped(lambda w: (w != 0).astype(np.float64), net.tensors)
        return object_array(count_by_residues(net.dag, is_there, inputs=widths != 0, biases=biases))
    if q == 0:
        ones = mapped(lambda w: np.where(w != 0, 1, 0).astype(object), net.tensors)
        return _swept(net, ones, np.where(widths != 0, 1, 0).astype(object), COUNT, biases, chosen)[net.dag.outputs]
    ring, power = (MAX_TIMES, 1) if q == math.inf else (REAL, q)
    if net.is_exact and isinstance(power, int):
        quick = _same if chosen == "reference" else accelerated
        values = mapped(lambda w: abs(quick(w)) ** power, net.tensors)
        x = _swept(net, values, abs(quick(widths)) ** power, ring, biases, chosen)
        return restored(x[net.dag.outputs])
    if net.streams is not None and backend is None and np.dtype(dtype) == np.float64:
        return net.streams.power_sums(net, q, widths, biases=biases)[0]
    if not net.is_exact:
        sums, in_range = _float_sums(net, q, widths, biases, dtype, chosen)
        if in_range:
            return sums
    powers = mapped(lambda w: scaled(abs(w), power), net.tensors)
    wide = _swept(net, powers, scaled(abs(widths), power), ring.wide or ring, biases, chosen)[net.dag.outputs]
    return wide if wide.dtype == SCALED_DTYPE else np.array(wide.tolist(), dtype=SCALED_DTYPE)


def _totals(
    net: ReluNetwork | DeviceNetwork,
    q: Any,
    r: Any,
    per_output: bool,
    *,
    inputs: Inputs | None,
    dtype: DTypeLike = np.float64,
    backend: str | None,
) -> tuple[Array, Any]:
    """The sums of powers of which a root is the norm, one per output or shape (1,), and the degree of the root."""
    is_sum = not per_output and q != 0 and r == (_base(q) if q < math.inf else math.inf)
    if is_sum and backend is None and np.dtype(dtype) == np.float64 and not isinstance(net, DeviceNetwork):
        require_network_of_numbers(net, "path-norm")
        if net.streams is not None:
            return net.streams.power_total(net, q, half_widths(net, inputs))[0], _base(q)
    sums = power_sums(net, q, inputs=inputs, dtype=dtype, backend=backend)
    return (sums, _base(q)) if per_output else _over_outputs(sums, q, r)


def _float_sums(
    net: ReluNetwork, q: float, widths: Array, biases: bool, dtype: DTypeLike, backend: Backend
) -> tuple[Array, bool]:
    """Per output, the sum in floats, and whether no float came near the ends of its range on the way."""
    ring, power = (MAX_TIMES, 1) if q == math.inf else (REAL, q)
    start, vanished = widths, False
    if power != 1 or widths.dtype != dtype:
        with np.errstate(over="ignore", under="ignore"):
            start = widths.astype(dtype) ** power
        vanished = bool(((start == 0) & (widths != 0)).any())
    if backend == "numba" and ring is REAL:
        x = np.zeros(net.dag.size, dtype=dtype)
        x[net.dag.inputs], x[CONSTANT] = start, biases
        in_range = engine.power_sums(net, power, x)
        return x[net.dag.outputs], in_range and not vanished
    with np.errstate(over="ignore", under="ignore"):
        powers = mapped(lambda w: np.abs(w.astype(dtype)) ** power, net.tensors)
    x = _swept(net, powers, start, ring, biases, backend).astype(dtype)
    vanished |= any(((p == 0) & (w != 0)).any() for p, w in zip(powers, net.tensors, strict=True))
    return x[net.dag.outputs], not vanished and is_safe(powers, x) and is_safe([start], x)


def _swept(
    net: ReluNetwork, values: Sequence[Array], start: Array, ring: Semiring, biases: bool, backend: Backend
) -> Array:
    if backend == "reference":
        values, start = mapped(lambda w: w.astype(object), values), start.astype(object)
    x = buffer(net, ring, backend=backend).astype(start.dtype)
    x[0, net.dag.inputs] = start
    if biases:
        x[0, CONSTANT] = ring.one
    return np.asarray(sweep(net, [(values, None)], x, ring=ring, backend=backend)[0])


def _same(values: Array) -> Array:
    return values


def _exponents(q: Any, r: Any) -> tuple[Any, Any]:
    q = exponent(q, "q", zero=True)
    return q, (q or 1) if r is None else exponent(r, "r")


def _base(q: Any) -> Any:
    """The power in which the sums of the sweep come."""
    return q if 0 < q < math.inf else 1


def _over_outputs(sums: Array, q: Any, r: Any) -> tuple[Array, Any]:
    """The sum over the outputs of the r-th powers of the norms, shape (1,), and r; their maximum for r = infinity."""
    if r == math.inf:
        largest = int(np.argmax(sums)) if sums.dtype == object else scaled_argmax(scaled(sums))
        return sums[largest : largest + 1], _base(q)
    if sums.dtype in FLOATS and r == _base(q) and math.isfinite((total := sums.sum(keepdims=True))[0]):
        return total, r
    ratio = Fraction(r) / Fraction(_base(q))
    if sums.dtype == object and ratio.denominator == 1:
        return object_array([sum(s**ratio.numerator for s in sums)]), r
    return scaled_total(scaled(sums, float(ratio))), r


def _rooted(values: Array, degree: Any, dtype: DTypeLike) -> Array:
    """The roots of the given degree: exact values stay as they are if the degree is 1, all others become floats."""
    if degree == 1 and values.dtype in (object, dtype):
        return values
    if degree in (2, 4) and values.dtype == dtype:  # floats that stayed clear of the ends of their range
        roots = np.sqrt(values)
        return roots if degree == 2 else np.sqrt(roots)
    roots = scaled(values, 1 / degree)
    floats = scaled_to_float(roots, dtype)
    if np.isinf(floats).any():
        raise PathNormOverflowError(
            f"the path-norm is exp({scaled_log(roots).max():.6g}), beyond the range of {np.dtype(dtype)}; "
            "use log_path_norm, or root=False on an exact network"
        )
    return floats


def operator_norm_product(net: ReluNetwork, q: float = 1, r: float | None = None) -> Any:
    r"""The product of layer norms that bounds the path-norm of a layered network.

    .. math:: \|\Phi(\theta)\|_{q,r} \le \|(M_L, b_L)\|_{q,r} \prod_{\ell < L} \max(1, \|(M_\ell, b_\ell)\|_{q,\infty}),

    where the norm of a matrix is the r-norm (or maximum) of the q-norms of its rows. The maximum with 1 is taken at a
    layer only if some later layer has biases; without it the bound is then false, and otherwise it is not needed.

    Parameters
    ----------
    net : Network or LayerGraph
        Layered: every edge leads from one level to the next, inputs on the first, outputs on the last.
    q : number in (0, inf]
    r : number in (0, inf], optional
        q by default.

    Returns
    -------
    float or Fraction
        Exact on exact networks for q and r in {1, inf}. Floats below the normal ones are rounded up: a bound of
        what is not zero does not vanish.

    Raises
    ------
    GraphError
        If the network is not layered.
    RangeError
        If the product leaves the range of floats.

    Notes
    -----
    For q = 1 and r = infinity, without biases, this is the product of the operator norms of the matrices on the
    supremum norm. It depends on the representative of the rescaling orbit; the path-norm is its infimum over the
    orbit (derived here), attained by ``normalize(net, q)`` when no neuron is dead. A product of *spectral* norms does
    not bound the path-norm.

    References
    ----------
    arXiv 2310.01225, Theorem B.1 without biases; the factors with biases are derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
    >>> pg.operator_norm_product(net), pg.path_norm(net)
    (8.0, 7.0)
    >>> pg.operator_norm_product(pg.normalize(net))
    7.0
    """
    q = exponent(q, "q")
    r = exponent(q if r is None else r, "r")
    require_network_of_numbers(net, "operator_norm_product")
    layers = layer_norms(net, q)
    total = object_array([Fraction(1)]) if net.is_exact else scaled(np.ones(1))
    for level, layer in enumerate(layers, start=1):
        factor = norm(layer.rows, r if level == len(layers) else math.inf)
        if any(later.has_bias for later in layers[level:]):
            factor = norm(joined([factor, object_array([Fraction(1)])]), math.inf)
        total = product(total, factor)
    if total.dtype == object:
        return total[0]
    value = float(upper_floats(total)[0])
    if math.isinf(value):
        raise RangeError(
            "operator_norm_product: beyond the range of float64; use net.to_exact() with q and r in {1, inf}"
        )
    return value
