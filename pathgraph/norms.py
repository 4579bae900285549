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
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.errors import GraphError, ParameterError, PathNormOverflowError, RangeError
from pathgraph.graph.network import Network, require_numbers
from pathgraph.graph.scalars import Array, as_values, object_array, refuse_floats, to_fraction
from pathgraph.pathsum.blocks import CONSTANT, INPUT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.semirings import COUNT, MAX_TIMES, REAL, SCALED, Semiring, scaled, scaled_argmax, scaled_total
from pathgraph.pathsum.sums import per_input
from pathgraph.pathsum.sweep import Backend, buffer, check_backend, is_safe, sweep

LARGEST_EXPONENT = 2**20

__all__ = ["half_widths", "log_path_norm", "norm_of", "operator_norm_product", "path_norm", "power_sums"]

Inputs = ArrayLike | Mapping[Hashable, Any]


def path_norm(
    net: Network,
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
    net : Network
    q : number in [0, inf]
        Norm over the paths to one output; 0 counts the paths with a non-zero product.
    r : number in (0, inf], optional
        Norm over the outputs; q by default (1, that is the total count, for q = 0).
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Weights :math:`D_i \ge 0` of the paths that start at the inputs (box half-widths); ones by default.
    per_output : bool
        Return :math:`(\|\Phi^{\to v}\|_q)_v`, as an array.
    root : bool
        With False no root is taken: :math:`\sum_p |\Phi_p|^q` per output, and in total
        :math:`\sum_v (\sum_p |\Phi_p|^q)^{r/q}`, or the largest :math:`\sum_p |\Phi_p|^q` when r is infinite.
        Rational on exact networks if q and r/q are integers.
    dtype : {float64, float32}
        Accumulate and return float results in this type.
    backend : {"reference", "numpy"}, optional

    Returns
    -------
    float, Fraction, int, or ndarray of shape (n_outputs,)

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
    if np.dtype(dtype) not in (np.dtype("f4"), np.dtype("f8")):
        raise ParameterError(f"dtype: needed float32 or float64, got {dtype!r}")
    sums = power_sums(net, q, inputs=inputs, dtype=dtype, backend=backend)
    totals, degree = (sums, _base(q)) if per_output else _over_outputs(sums, q, r)
    norms = _rooted(totals, degree if root else 1, dtype)
    return norms if per_output else norms.tolist()[0] if norms.dtype != np.float32 else norms[0]


def log_path_norm(
    net: Network,
    q: float = 1,
    r: float | None = None,
    *,
    inputs: Inputs | None = None,
    per_output: bool = False,
    backend: str | None = None,
) -> Any:
    r"""The natural logarithm of `path_norm`; right at any depth, minus infinity for zero.

    Parameters are those of `path_norm`. As a function of q, :math:`q \log \|\Phi\|_q` is convex.

    Returns
    -------
    float, or ndarray of shape (n_outputs,)

    Examples
    --------
    >>> import pathgraph as pg
    >>> deep = pg.from_weights([[[1e100]]] * 1000)
    >>> round(pg.log_path_norm(deep) / 2.302585092994046, 6)
    100000.0
    """
    q, r = _exponents(q, r)
    sums = power_sums(net, q, inputs=inputs, backend=backend)
    totals, degree = (sums, _base(q)) if per_output else _over_outputs(sums, q, r)
    logs = _logarithm(totals) / degree
    return logs if per_output else float(logs[0])


def power_sums(
    net: Network,
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
    require_numbers(net, "path_norm")
    chosen = check_backend(backend)
    widths = half_widths(net, inputs)
    if q == 0:
        ones = [np.where(w != 0, 1, 0).astype(object) for w in net.tensors]
        return _swept(net, ones, np.where(widths != 0, 1, 0).astype(object), COUNT, biases, chosen)[net.dag.outputs]
    ring, power = (MAX_TIMES, 1) if q == math.inf else (REAL, _simplest(q))
    if net.is_exact and isinstance(power, int):
        quick = accelerated if chosen == "numpy" else _same
        values = [abs(quick(w)) ** power for w in net.tensors]
        x = _swept(net, values, abs(quick(widths)) ** power, ring, biases, chosen)
        return restored(x[net.dag.outputs])
    if not net.is_exact:
        with np.errstate(over="ignore", under="ignore"):
            powers = [np.abs(w.astype(dtype)) ** power for w in net.tensors]
            start = np.abs(widths.astype(dtype)) ** power
        x = _swept(net, powers, start, ring, biases, chosen)
        if is_safe([*powers, start], x.astype(dtype)):
            return x[net.dag.outputs].astype(dtype)
    if ring is MAX_TIMES:
        widths = object_array(map(to_fraction, widths))
        return scaled(power_sums(net.to_exact(), q, inputs=widths, biases=biases, backend=backend))
    powers = [scaled(abs(w), power) for w in net.tensors]
    return _swept(net, powers, scaled(abs(widths), power), SCALED, biases, "numpy")[net.dag.outputs]


def _swept(
    net: Network, values: Sequence[Array], start: Array, ring: Semiring, biases: bool, backend: Backend
) -> Array:
    if backend == "reference":
        values, start = [w.astype(object) for w in values], start.astype(object)
    x = buffer(net, ring, backend=backend).astype(start.dtype)
    x[0, net.dag.inputs] = start
    if biases:
        x[0, CONSTANT] = ring.one
    return np.asarray(sweep(net, [(values, None)], x, ring=ring, backend=backend)[0])


def _same(values: Array) -> Array:
    return values


def half_widths(net: Network, inputs: Inputs | None) -> Array:
    """The weights of the inputs, checked: shape (n_inputs,), in the scalars of the network, ones by default.

    Raises
    ------
    ParameterError
        On negative, NaN or infinite widths, on floats for an exact network, on unknown inputs or a wrong shape.
    """
    listed = per_input(net, inputs, 1)

    def describe(i: int) -> str:
        return f"inputs: width of {net.inputs[i]!r}"

    if net.is_exact:
        refuse_floats(listed, describe)
    widths = as_values(listed, describe, object if net.is_exact else np.float64)
    for i in np.flatnonzero(widths < 0)[:1].tolist():
        raise ParameterError(f"{describe(i)}: needed a number >= 0, got {widths[i]}")
    return widths


def _exponents(q: Any, r: Any) -> tuple[Any, Any]:
    """Q and r, checked: Python integers where they are integers, floats else."""
    if isinstance(q, bool) or not isinstance(q, (int, float, Fraction, np.number)) or not q >= 0:
        raise ParameterError(f"q: needed a number in [0, inf], got {q!r}")
    r = (q or 1) if r is None else r
    if isinstance(r, bool) or not isinstance(r, (int, float, Fraction, np.number)) or not r > 0:
        raise ParameterError(f"r: needed a number in (0, inf], got {r!r}")
    for name, value in (("q", q), ("r", r)):
        if LARGEST_EXPONENT < value < math.inf:
            raise ParameterError(f"{name}: needed at most {LARGEST_EXPONENT}, or infinity, got {value}")
    return _simplest(q), _simplest(r)


def _simplest(number: Any) -> Any:
    return int(number) if number != math.inf and number == int(number) else float(number)


def _base(q: Any) -> Any:
    """The power in which the sums of the sweep come."""
    return q if 0 < q < math.inf else 1


def _over_outputs(sums: Array, q: Any, r: Any) -> tuple[Array, Any]:
    """The sum over the outputs of the r-th powers of the norms, shape (1,), and r; their maximum for r = infinity."""
    if r == math.inf:
        largest = int(np.argmax(sums)) if sums.dtype == object else scaled_argmax(scaled(sums))
        return sums[largest : largest + 1], _base(q)
    ratio = _simplest(Fraction(r) / Fraction(_base(q)))
    if sums.dtype == object and isinstance(ratio, int):
        return object_array([sum(s**ratio for s in sums)]), r
    return scaled_total(scaled(sums, ratio)), r


def _rooted(values: Array, degree: Any, dtype: DTypeLike) -> Array:
    """The roots of the given degree: exact values stay as they are if the degree is 1, all others become floats."""
    if values.dtype == object and degree == 1:
        return values
    roots = scaled(values, 1 / degree)
    if (roots["exponent"] > np.finfo(dtype).maxexp).any():
        raise PathNormOverflowError(
            f"the path-norm is exp({_logarithm(roots).max():.6g}), beyond the range of {np.dtype(dtype)}; "
            "use log_path_norm, or root=False on an exact network"
        )
    with np.errstate(under="ignore"):
        return np.asarray(np.ldexp(roots["mantissa"], np.maximum(roots["exponent"], -2000).astype(np.int32)), dtype)


def _logarithm(values: Array) -> Array:
    """Natural logarithms of floats, rationals or scaled numbers; minus infinity for zero."""
    numbers = scaled(values)
    mantissa, exponent = numbers["mantissa"], numbers["exponent"]
    near = np.where(np.abs(exponent) < 1000, exponent, 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.ldexp(mantissa, near.astype(np.int32))) + (exponent - near) * math.log(2))


def operator_norm_product(net: Network, q: float = 1, r: float | None = None) -> Any:
    r"""The product of layer norms that bounds the path-norm of a layered network.

    .. math:: \|\Phi(\theta)\|_{q,r} \le \|(M_L, b_L)\|_{q,r} \prod_{\ell < L} \max(1, \|(M_\ell, b_\ell)\|_{q,\infty}),

    where the norm of a matrix is the r-norm (or maximum) of the q-norms of its rows. The maximum with 1 is taken
    only before layers that have biases; without it the bound is false there, and without biases it is not needed.

    Parameters
    ----------
    net : Network
        Layered: every edge leads from one level to the next, inputs on the first, outputs on the last.
    q : number in (0, inf]
    r : number in (0, inf], optional
        q by default.

    Returns
    -------
    float or Fraction
        Exact on exact networks for q and r in {1, inf}.

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
    orbit, attained by ``normalize(net, q)`` when no neuron is dead. A product of *spectral* norms does not bound
    the path-norm.

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
    q, r = _exponents(q, r)
    if q == 0:
        raise ParameterError("q: needed a number in (0, inf], got 0; the product bound has no meaning for counts")
    require_numbers(net, "operator_norm_product")
    layers = _layers(net)
    product: Any = 1
    with np.errstate(over="ignore"):
        for level, rows in enumerate(layers, start=1):
            is_last = level == len(layers)
            norm = norm_of([norm_of(row, q) for row, _ in rows], r if is_last else math.inf)
            biased_later = any(has_bias for later in layers[level:] for _, has_bias in later)
            product = product * (max(1, norm) if biased_later else norm)
    if isinstance(product, float) and math.isinf(product):
        raise RangeError("operator_norm_product: beyond the range of float64; use net.to_exact()")
    return product


def _layers(net: Network) -> list[list[tuple[list[Any], bool]]]:
    """For each level from the first, for each neuron: its row of entries with the bias, and whether it has one."""
    architecture = net.architecture
    level, last = architecture.level, int(architecture.level.max())
    target = architecture.target[: architecture.n_edges]
    skips = np.flatnonzero(level[target] != level[architecture.antecedent] + 1)
    if len(skips):
        u, v = architecture.entry_name(int(skips[0]))
        raise GraphError(f"net: needed a layered network, got the edge {u!r} -> {v!r} that skips a level")
    early = [v for v in architecture.output.tolist() if level[v] != last]
    sources = np.flatnonzero((level == 0) & (architecture.activation != INPUT)).tolist()
    for v, what in [(v, "an output before the last level") for v in early] + [(v, "a constant") for v in sources]:
        raise GraphError(f"net: needed a layered network, got {what}, {architecture.nodes[v]!r}")
    values = net.values.tolist()
    layers: list[list[tuple[list[Any], bool]]] = [[] for _ in range(last)]
    outputs = set(architecture.output.tolist())
    for v in np.flatnonzero(level > 0).tolist():
        if level[v] == last and v not in outputs:
            continue
        row = values[architecture.start[v] : architecture.start[v + 1]]
        entry = architecture.bias_entry(architecture.nodes[v])
        layers[level[v] - 1].append((row if entry is None else [*row, values[entry]], entry is not None))
    return layers


def norm_of(numbers: list[Any], q: Any) -> Any:
    """The q-norm of some numbers, exact for q in {1, inf}, without overflow on the way."""
    absolute = [abs(number) for number in numbers]
    if q == math.inf:
        return max(absolute)
    if q == 1:
        return sum(absolute)
    largest = float(max(absolute))
    return largest * sum((float(a) / largest) ** q for a in absolute) ** (1 / q) if largest else 0.0
