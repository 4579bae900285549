r"""The tangent kernel and the functional dimension: the Jacobian of the realisation, by sweeps.

Where :math:`\theta` is not on a kink, :math:`R_\theta(x) = \langle \Phi(\theta), A(\theta, x)\binom x1 \rangle` with
locally constant activations, so that

.. math:: \partial_\theta R_\theta(x) = \binom x1^\top A(\theta, x)^\top \, \partial\Phi(\theta) .

The left side is one backward sweep over the edges active on x; the right side lists paths. On a kink both are the
derivative of the piece that the path-activations select: a ReLU at 0 is off, a tied pool takes its first candidate.

Derived here; the path kernel is that of arXiv 2101.10552.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import number
from pathgraph.errors import ParameterError, RangeError
from pathgraph.geometry.exactmatrix import ExactMatrix
from pathgraph.geometry.potentials import ends, reach
from pathgraph.geometry.rank import generic_rank
from pathgraph.graph.network import Network, require_numbers
from pathgraph.lifting import entry_activations, path_activations, path_lifting
from pathgraph.pathsum.blocks import POOL, RELU
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.preparation import buffer
from pathgraph.pathsum.semirings import REAL
from pathgraph.pathsum.sweep import back
from pathgraph.scalars import Array, object_array
from pathgraph.shown import argument_text

__all__ = ["FunctionalDimension", "functional_dimension", "parameter_jacobian", "tangent_kernel"]


def parameter_jacobian(net: Network, xs: ArrayLike) -> Array:
    r"""The derivative of the outputs with respect to the parameters, :math:`\partial_\theta R_\theta(x)`, for each x.

    Parameters
    ----------
    net : Network
    xs : array_like, shape (n_samples, n_inputs)

    Returns
    -------
    ndarray, shape (n_samples, n_outputs, n_parameters)
        Fractions for an exact network, float64 otherwise. Derivatives with respect to the places of a tied parameter
        are summed; fixed values have no column.

    Raises
    ------
    ParameterError
        If `xs` has a wrong shape or holds NaN or infinities.
    RangeError
        If a derivative leaves the range of floats.

    Notes
    -----
    For each sample one evaluation and one backward sweep with as many right-hand sides as outputs. On a kink the
    derivative is that of the piece selected by `path_activations`.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [-1, -1]], [[3, 1]]])
    >>> pg.parameter_jacobian(net, [[1, 1]])
    array([[[3., 3., 0., 0., 3., 0.]]])
    """
    samples = _samples(net, xs)
    out = _zeros(net, (len(samples), len(net.outputs), net.architecture.n_parameters))
    for row, x in zip(out, samples, strict=True):
        _add_derivatives(net, x, row)
    if out.dtype != object and not np.isfinite(out).all():
        raise RangeError("parameter_jacobian: a derivative leaves the range of float64; use net.to_exact()")
    return restored(out)


def _samples(net: Network, xs: ArrayLike) -> Array:
    require_numbers(net, "parameter_jacobian")
    shape = np.shape(np.asarray(xs, dtype=object))
    if len(shape) != 2 or shape[1] != len(net.inputs):
        raise ParameterError(f"xs: needed shape (n_samples, {len(net.inputs)}), one row per sample, got {shape}")
    return np.asarray(xs, dtype=object if net.is_exact else None)


def _zeros(net: Network, shape: tuple[int, ...]) -> Array:
    if not net.is_exact:
        return np.zeros(shape)
    return accelerated(object_array([0] * int(np.prod(shape)))).reshape(shape)


def _add_derivatives(net: Network, x: Array, out: Array) -> None:
    """Add the derivatives at one sample to `out`, of shape (n_outputs, n_parameters)."""
    architecture = net.architecture
    tail, head = ends(architecture)
    scalars: Any = object if net.is_exact else np.float64
    active = entry_activations(net, x)
    weights = active * accelerated(net.values).astype(scalars)
    values = np.concatenate([accelerated(object_array([1])), accelerated(net.neuron_values(x))]).astype(scalars)
    y = buffer(net, REAL, states=len(net.outputs)).astype(scalars)
    y[np.arange(len(net.outputs)), net.dag.outputs] = 1
    back(net, [([weights[part] for part in architecture.tensor_slices], None)], y)
    places = np.flatnonzero(architecture.parameter >= 0)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        derivatives = (active[places] * values[tail[places]]) * y[:, head[places]]
        np.add.at(out.T, architecture.parameter[places], derivatives.T)


def tangent_kernel(
    net: Network,
    xs: ArrayLike,
    others: ArrayLike | None = None,
    *,
    method: Literal["sweep", "paths"] = "sweep",
    max_paths: int = 100_000,
) -> Array:
    r"""The empirical neural tangent kernel, which is the path kernel seen through the activations.

    .. math:: K(x, x')_{o o'} = \langle \partial_\theta R_o(x), \partial_\theta R_{o'}(x') \rangle
       = \binom x1^\top A_o(x)^\top \, \partial\Phi\, \partial\Phi^\top A_{o'}(x') \binom{x'}1 .

    Parameters
    ----------
    net : Network
    xs, others : array_like, shape (n_samples, n_inputs) and (m_samples, n_inputs)
        `others` is `xs` by default.
    method : {"sweep", "paths"}
        The middle of the formula, by backward sweeps; or its right side, by listing the paths.
    max_paths : int
        With ``method="paths"``, refuse to list more paths than this.

    Returns
    -------
    ndarray, shape (n_samples, m_samples, n_outputs, n_outputs)
        Fractions for an exact network, float64 otherwise.

    Raises
    ------
    ParameterError
        On inputs of a wrong shape, or an unknown method.
    PathCountError
        With ``method="paths"``, if there are more than `max_paths` paths.
    RangeError
        If a value leaves the range of floats.

    Notes
    -----
    The path kernel :math:`\partial\Phi\,\partial\Phi^\top` depends on the parameters only, not on the data; it is not
    invariant under rescaling.

    References
    ----------
    arXiv 2101.10552 (path kernel); the form for general DAGs is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [-1, -1]], [[3, 1]]])
    >>> pg.tangent_kernel(net, [[1, 1], [1, 0]])[:, :, 0, 0]
    array([[27., 12.],
           [12., 10.]])
    >>> pg.tangent_kernel(net, [[1, 1], [1, 0]], method="paths")[:, :, 0, 0]
    array([[27., 12.],
           [12., 10.]])
    """
    if method not in ("sweep", "paths"):
        raise ParameterError(f"method: needed 'sweep' or 'paths', got {argument_text(method)}")

    def features(samples: ArrayLike) -> Array:
        return parameter_jacobian(net, samples) if method == "sweep" else _through_paths(net, samples, max_paths)

    left = features(xs)
    right = left if others is None else features(others)
    outputs, size = len(net.outputs), net.architecture.n_parameters
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rows, columns = (accelerated(part.reshape(len(part) * outputs, size)) for part in (left, right))
        flat = rows @ columns.T
    if flat.dtype != object and not np.isfinite(flat).all():
        raise RangeError("tangent_kernel: a value leaves the range of float64; use net.to_exact()")
    return restored(flat).reshape(len(left), outputs, len(right), outputs).transpose(0, 2, 1, 3)


def _through_paths(net: Network, xs: ArrayLike, max_paths: int) -> Array:
    """The same array as `parameter_jacobian`, as the product of path-activations and Jacobian of the lifting."""
    samples = _samples(net, xs)
    lifting = path_lifting(net, max_paths=max_paths)
    transposed = lifting.jacobian().T
    place = {node: o for o, node in enumerate(net.outputs)}
    output = np.array([place[path[-1]] for path in lifting.paths], dtype=np.int64)
    out = _zeros(net, (len(samples), len(place), net.architecture.n_parameters))
    for row, x in zip(out, samples, strict=True):
        starts = path_activations(net, x, max_paths=max_paths).tocoo()
        active = np.zeros(len(output), dtype=out.dtype)
        active[starts.row] = np.append(x, 1)[starts.col]
        for o in range(len(place)):
            row[o] = transposed @ np.where(output == o, active, 0)
    return restored(out)


@dataclass(frozen=True)
class FunctionalDimension:
    """How many directions of parameter space the outputs on a sample can tell apart, to first order.

    Attributes
    ----------
    dimension : int
        The rank of the Jacobian of all outputs on the sample.
    generic_rank : int
        An upper bound: the generic rank of the path-lifting.
    n_parameters, n_samples : int
    kinks : int
        Samples that were left out, because the network is not differentiable there.

    Examples
    --------
    >>> import pathgraph as pg
    >>> bool(pg.functional_dimension(pg.from_weights([[[1]], [[4]]]), [[1]]))
    True
    """

    dimension: int
    generic_rank: int
    n_parameters: int
    n_samples: int
    kinks: int

    @property
    def is_identifying(self) -> bool:
        """Whether the sample determines the parameters, locally, up to rescaling and parameters on no path."""
        return self.dimension == self.generic_rank

    def __bool__(self) -> bool:
        return self.is_identifying


def functional_dimension(net: Network, xs: ArrayLike, *, tolerance: float | None = None) -> FunctionalDimension:
    r"""The rank of :math:`[\partial_\theta R_\theta(x_i)]_i` on a sample, beside its bound, the generic rank.

    Parameters
    ----------
    net : Network
    xs : array_like, shape (n_samples, n_inputs)
    tolerance : float, optional
        For float networks: singular values below it count as zero. By default the largest one, times the larger side of
        the matrix, times the unit round-off of the network's dtype, as `numpy.linalg.matrix_rank` has it. On an exact
        network the rank is exact, and there is none.

    Returns
    -------
    FunctionalDimension
        True if the sample is identifying: then every network near this one with the same outputs on the sample is a
        rescaling of it, up to parameters on no path. False if not enough directions are seen: then parameters can
        move, to first order, along more than rescalings.

    Raises
    ------
    ParameterError
        If `xs` has a wrong shape, a tolerance is given for an exact network, or one that is negative or no number.

    Notes
    -----
    Samples at which a ReLU or a pool on a path is exactly on a kink are left out. On the others the rank is at most
    that of :math:`\partial\Phi(\theta)`, hence at most ``generic_rank(net)``. Identifying at the bound: the rank is
    lower semicontinuous, so it is constant near :math:`\theta`, and the set of parameters with these outputs is a
    manifold of the dimension of the rescaling orbit that it contains.

    References
    ----------
    Derived here; functional dimension is the notion of arXiv 2209.04036.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [-1, 1]], [[3, 1]]], dtype=object)
    >>> pg.functional_dimension(net, [[1, 3], [1, 0]])
    FunctionalDimension(dimension=2, generic_rank=4, n_parameters=6, n_samples=2, kinks=0)
    >>> bool(pg.functional_dimension(net, [[1, 3], [-1, 2], [3, 1], [2, 0]]))
    True
    """
    samples = _samples(net, xs)
    if net.is_exact and tolerance is not None:
        raise ParameterError(
            f"tolerance: an exact network has an exact rank, so needed None, got {argument_text(tolerance)}"
        )
    limit = None if tolerance is None else number(tolerance, "tolerance", "[0, inf)")
    smooth = [x for x in samples if not _is_on_kink(net, x)]
    matrix = parameter_jacobian(net, np.array(smooth, dtype=samples.dtype).reshape(-1, len(net.inputs)))
    flat = matrix.reshape(len(smooth) * len(net.outputs), net.architecture.n_parameters)
    if net.is_exact:
        rank = ExactMatrix(flat.shape, ((i, j, flat[i, j]) for i, j in zip(*np.nonzero(flat), strict=True))).rank()
    else:
        rank = _float_rank(flat, float(np.finfo(net.dtype).eps), limit)
    kinks = len(samples) - len(smooth)
    return FunctionalDimension(rank, generic_rank(net), net.architecture.n_parameters, len(samples), kinks)


def _float_rank(matrix: Array, unit: float, tolerance: float | None) -> int:
    if not matrix.size:
        return 0
    singular = np.linalg.svd(matrix, compute_uv=False)
    least = singular[0] * max(matrix.shape) * unit if tolerance is None else tolerance
    return int((singular > least).sum())


def _is_on_kink(net: Network, x: Array) -> bool:
    """Whether a ReLU on a path is exactly at zero, or a pool on a path has several candidates of its value."""
    architecture = net.architecture
    tail, head = ends(architecture)
    relevant = reach(architecture, np.ones(architecture.n_entries, dtype=bool)).on_neuron[1:]
    values = np.concatenate([object_array([1]), net.neuron_values(x)]).astype(net.dtype)
    terms = net.values * values[tail]
    before = np.zeros(architecture.n_nodes + 1, dtype=net.dtype)
    np.add.at(before, head, terms)
    if (before[1:][relevant & (architecture.activation == RELU)] == 0).any():
        return True
    for v in np.flatnonzero(relevant & (architecture.activation == POOL)).tolist():
        candidates = np.sort(terms[architecture.start[v] : architecture.start[v + 1]])
        if (candidates == candidates[-architecture.rank[v]]).sum() > 1:
            return True
    return False
