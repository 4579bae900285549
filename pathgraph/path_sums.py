"""Sums over the paths of a network, and over the paths through each parameter or neuron.

A path follows edges and ends at an output. It starts at an input, or at a neuron with a bias; then the bias is its
first parameter. Paths go through a pool neuron from all its antecedents, whichever of them the pool would select: this
is how the path-lifting sees pools.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import reduce
from numbers import Number
from typing import Any

import numpy as np

from pathgraph.arguments import numbers_per_input, per_input
from pathgraph.errors import ParameterError, RangeError, UnsupportedOperatorError
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.device_network import DeviceNetwork
from pathgraph.graph.network import require_network
from pathgraph.path_counters import counts_of_parameters, ones_of, path_counter
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import (
    Backend,
    buffer,
    choose_backend,
    edge_values,
    is_safe,
    kind_of_sums,
    narrow,
    refuse_hours,
    widen,
)
from pathgraph.pathsum.reach import longest
from pathgraph.pathsum.residues import count_by_residues
from pathgraph.pathsum.semirings import COUNT, MAX_PLUS, REAL, Semiring
from pathgraph.pathsum.sweep import back, marginals, sweep, swept
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers, require_relu_network
from pathgraph.scalars import Array, object_array
from pathgraph.shown import argument_text

__all__ = [
    "count_paths",
    "depth",
    "node_marginals",
    "path_marginals",
    "path_sum",
]


def path_sum(
    net: ReluNetwork | DeviceNetwork,
    semiring: Semiring = REAL,
    *,
    inputs: Sequence[Any] | Mapping[Hashable, Any] | Number | None = None,
    biases: bool = True,
    per_output: bool = False,
    source: Hashable | None = None,
    target: Hashable | None = None,
    backend: str | None = None,
) -> Any:
    """Sum over the paths of a network, in any semiring, by one sweep.

    Parameters
    ----------
    net : Network or LayerGraph
    semiring : Semiring
        The algebra; see `pathgraph.semirings`. REAL sums the signed path products, in the network's scalars.
    inputs : scalar, sequence of shape (n_inputs,), or mapping from inputs, optional
        The element with which paths start at each input; the semiring's one by default.
    biases : bool
        Whether paths that start at a bias count.
    per_output : bool
        Return one sum per output, as an array, instead of their total.
    source, target : node, optional
        Only paths from `source` (not counting its bias or what lies before it) and up to `target`. Both may be any
        neuron; the path of length 0 from a neuron to itself has the value one.
    backend : {"reference", "numpy", "numba"}, optional

    Returns
    -------
    element of the semiring, or ndarray of shape (n_outputs,)

    Raises
    ------
    RangeError
        If a float sum leaves the range of floats: use `semirings.SCALED`, `semirings.LOG`, or exact values.
    UnsupportedOperatorError
        If the elements are Python objects and there are so many edges that it would take hours.
    ParameterError
        On inputs of a wrong shape.

    Notes
    -----
    One addition and one multiplication per edge. The sum is distributed over the DAG: the sum over the paths to v is
    the bias of v plus, for each antecedent u, the weight of u -> v times the sum over the paths to u.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.path_sum(net), pg.path_sum(net, pg.semirings.COUNT), pg.path_sum(net, pg.semirings.MAX_TIMES)
    (8.0, 6, 5.0)
    >>> pg.path_sum(net, pg.semirings.LENGTHS)
    (Fraction(0, 1), Fraction(5, 1), Fraction(7, 1))
    >>> pg.path_sum(net, source=(0, 0), target=(1, 1))
    3.0
    """
    if per_output and target is not None:
        raise ParameterError("per_output: with target= there is one sum, so per_output= must be left out")
    if source is not None and inputs is not None:
        raise ParameterError("inputs: with source= the paths start at that neuron, so inputs= must be left out")
    if isinstance(net, DeviceNetwork):
        _check_device(net, semiring, backend)
        return net.path_sum(inputs, biases=biases, per_output=per_output, source=source, target=target)
    _check(net, semiring)
    chosen = choose_backend(backend, net)
    counter = path_counter(net, semiring, inputs, biases, source, backend)
    if counter is not None:
        counts = counter.up_to(_ends(net, target))
        return counts if per_output else sum(counts.tolist())
    start = _start(net, semiring, inputs, biases, source, chosen)
    x, ring = swept(net, _values(net, semiring, chosen), start, semiring, chosen)
    sums = _public(x[0, _ends(net, target)], net, semiring, ring)
    _check_range(sums, semiring)
    if per_output:
        return sums
    total = reduce(semiring.add, (_scalar(s) for s in sums))
    _check_range(object_array([total]), semiring)
    return total


def path_marginals(
    net: ReluNetwork | DeviceNetwork,
    semiring: Semiring = REAL,
    *,
    inputs: Sequence[Any] | Mapping[Hashable, Any] | Number | None = None,
    biases: bool = True,
    backend: str | None = None,
) -> Any:
    """For each parameter, the sum over the paths through it: one forward and one backward sweep.

    A parameter tied at several places (as are all those of a convolution) gets the sum over its places; a path that
    meets it twice counts twice. The semiring's `mul` must commute.

    Parameters
    ----------
    net : Network or LayerGraph
    semiring : Semiring
        The algebra; see `pathgraph.semirings`.
    inputs : scalar, sequence of shape (n_inputs,), or mapping from inputs, optional
        The element with which paths start at each input; the semiring's one by default.
    biases : bool
        Whether paths that start at a bias count.
    backend : {"reference", "numpy", "numba"}, optional

    Returns
    -------
    ndarray, shape (n_parameters,)
        Aligned with ``net.theta``; for a layer graph a dict, from the names of the parameters to arrays of their
        shapes.

    Raises
    ------
    RangeError, UnsupportedOperatorError, ParameterError
        As `path_sum`.

    Notes
    -----
    Two sweeps, and one multiplication per entry: the sum over the paths through an edge is the sum over the paths up to
    it, times its weight, times the sum over the paths from it on.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.path_marginals(net, pg.semirings.COUNT).tolist()
    [1, 1, 1, 1, 1, 1, 3, 3]
    """
    if isinstance(net, DeviceNetwork):
        _check_device(net, semiring, backend)
        return net.masses(None, inputs, biases=biases, what="path_marginals")
    _check(net, semiring)
    counter = path_counter(net, semiring, inputs, biases, None, backend)
    if counter is not None:
        return counts_of_parameters(net, counter)
    chosen = choose_backend(backend, net)
    ring, values, x, y = _both_ways(net, semiring, inputs, biases, chosen)
    through = marginals(net, (values, None), x, y, ring=ring, backend=chosen)
    architecture = net.architecture
    flat = _public(architecture.flat(through, None if through else x.dtype), net, semiring, ring)
    _check_range(flat, semiring)
    out = flat[architecture.first_entry]
    if architecture.is_tied:
        is_later = architecture.parameter >= 0
        is_later[architecture.first_entry] = False
        for entry in np.flatnonzero(is_later).tolist():
            parameter = architecture.parameter[entry]
            out[parameter] = semiring.add(_scalar(out[parameter]), _scalar(flat[entry]))
    return architecture.arranged(out)


def node_marginals(
    net: ReluNetwork,
    semiring: Semiring = REAL,
    *,
    inputs: Sequence[Any] | Mapping[Hashable, Any] | Number | None = None,
    biases: bool = True,
    backend: str | None = None,
) -> Any:
    """For each neuron, the sum over the paths through it, those that start or end there included.

    Parameters
    ----------
    net : Network or LayerGraph
    semiring : Semiring
        The algebra; see `pathgraph.semirings`.
    inputs : scalar, sequence of shape (n_inputs,), or mapping from inputs, optional
        The element with which paths start at each input; the semiring's one by default.
    biases : bool
        Whether paths that start at a bias count.
    backend : {"reference", "numpy", "numba"}, optional

    Returns
    -------
    ndarray, shape (n_nodes,)
        Aligned with ``net.nodes``; for a layer graph a dict, from the names of the layers to arrays of their shapes.

    Raises
    ------
    RangeError, UnsupportedOperatorError, ParameterError
        As `path_sum`.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
    >>> pg.node_marginals(net, pg.semirings.COUNT).tolist()
    [2, 2, 2, 2, 4]
    """
    _check(net, semiring)
    counter = path_counter(net, semiring, inputs, biases, None, backend)
    if counter is not None:
        return net.architecture.arranged_nodes(counter.through_neurons()[CONSTANT + 1 :])
    chosen = choose_backend(backend, net)
    ring, _, x, y = _both_ways(net, semiring, inputs, biases, chosen)
    mul = ring.arrays.mul if ring.arrays is not None and chosen != "reference" else np.frompyfunc(ring.mul, 2, 1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        sums = mul(y, x)[0, CONSTANT + 1 :]
    sums = _public(sums, net, semiring, ring)
    _check_range(sums, semiring)
    return net.architecture.arranged_nodes(sums)


def count_paths(net: ReluNetwork, *, backend: str | None = None) -> int:
    """The exact number of paths.

    Edges of weight zero count, and so do biases that are zero; a neuron without a bias starts no path.

    Parameters
    ----------
    net : Network or LayerGraph
    backend : {"reference", "numpy", "numba"}, optional
        By default a layer graph is counted modulo primes (`pathgraph.pathsum.residues`), without its edges.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> pg.count_paths(pg.from_weights([np.ones((100, 100))] * 30)) == 100**31
    True
    """
    require_relu_network(net)
    if backend is None and net.dag.flat is None:
        return sum(count_by_residues(net.dag, ones_of(net)))
    return int(path_sum(net, COUNT, backend=backend))


def depth(net: ReluNetwork, *, backend: str | None = None) -> int:
    """The depth D, which is the largest number of edges on a path; 0 if no path has an edge.

    Parameters
    ----------
    net : Network or LayerGraph
    backend : {"reference", "numpy", "numba"}, optional
        By default a layer graph is swept by indicators (`pathgraph.pathsum.reach`), without its edges.

    Returns
    -------
    int

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.depth(pg.from_weights([[[1]], [[1]], [[1]]]))
    3
    """
    require_relu_network(net)
    if backend is None and net.dag.flat is None:
        ends = longest(net.dag, ones_of(net), np.ones(net.dag.size, dtype=np.int64))[net.dag.outputs]
        return max(0, int(ends.max()))
    return int(max(0, path_sum(net, MAX_PLUS, backend=backend)))


# -- shared by the functions above --------------------------------------------------------------------------------


def _check(net: ReluNetwork, ring: Semiring) -> None:
    require_relu_network(net)
    if not isinstance(ring, Semiring):
        raise ParameterError(
            f"semiring: needed a pathgraph.Semiring, got {argument_text(ring)}; see pathgraph.semirings"
        )


def _check_device(net: DeviceNetwork, ring: Semiring, backend: str | None) -> None:
    if not isinstance(ring, Semiring):
        raise ParameterError(
            f"semiring: needed a pathgraph.Semiring, got {argument_text(ring)}; see pathgraph.semirings"
        )
    if ring is not REAL:
        raise UnsupportedOperatorError(
            f"semiring: on {net.device.name} paths are summed in REAL only, got {ring!r}; use net.to_host()"
        )
    net.refuse_backend(backend)


def _ends(net: ReluNetwork, target: Hashable | None) -> Array:
    """The buffer positions at which paths end."""
    return net.dag.outputs if target is None else np.array([net.architecture.index(target) + 1])


def _values(net: ReluNetwork, ring: Semiring, backend: Backend) -> Sequence[Array]:
    """The entries as elements of a semiring, of which some want to know the edge."""
    if ring.needs_numbers:
        require_network_of_numbers(net, f"path sum in {ring!r}")
    refuse_hours(net, ring, backend, kind_of_sums(net, ring, backend))
    if ring.edge_value is not None:
        require_network(net)  # an entry of a layer graph is many edges
        architecture, numbers = net.architecture, net.values
        assert isinstance(architecture, Architecture)
        return tuple(
            object_array(
                ring.edge_value(_scalar(numbers[e]), architecture.entry_name(e)) for e in range(part.start, part.stop)
            )
            for part in architecture.tensor_slices
        )
    values = edge_values(net, ring, backend)
    if _keeps_scalars(ring) and backend != "reference":
        widened = np.float64 if net.scalars == "float" else object
        return mapped(lambda value: accelerated(value).astype(widened, copy=False), values)
    return values


def _check_range(sums: Array, ring: Semiring) -> None:
    """Refuse infinities and NaN among floats."""
    if ring.wide is None:
        return
    floats = sums if sums.dtype.kind == "f" else np.array([s for s in sums.tolist() if isinstance(s, float)])
    if not np.isfinite(floats).all():
        raise RangeError("a sum over paths leaves the range of float64; use semirings.SCALED or LOG, or net.to_exact()")


def _keeps_scalars(ring: Semiring) -> bool:
    """Whether elements are scalars of the network, so that rationals may be accelerated."""
    return ring.arrays is not None and ring.arrays.dtype is None


def _start(
    net: ReluNetwork, ring: Semiring, inputs: Any, biases: bool, source: Hashable | None, backend: Backend
) -> Array:
    """The buffer of a forward sweep, with what the paths start with."""
    x = buffer(net, ring, backend=backend)
    if source is not None:
        x[0, net.architecture.index(source) + 1] = ring.one
        return x
    if biases:
        x[0, CONSTANT] = ring.one
    for position, element in zip(net.dag.inputs.tolist(), _elements(net, ring, inputs, backend), strict=True):
        x[0, position] = element
    return x


def _elements(net: ReluNetwork, ring: Semiring, inputs: Any, backend: Backend) -> Sequence[Any]:
    """The element with which paths start at each input."""
    if not _keeps_scalars(ring) or net.scalars == "symbolic":
        return per_input(net, inputs, ring.one)
    numbers = numbers_per_input(net, inputs)
    return list(accelerated(numbers) if backend != "reference" else numbers.tolist())


def _both_ways(
    net: ReluNetwork, ring: Semiring, inputs: Any, biases: bool, backend: Backend
) -> tuple[Semiring, Sequence[Array], Array, Array]:
    """The semiring used, the values in it, and the buffers of the forward and of the backward sweep.

    The semiring is ``ring.wide`` if floats came near the ends of their range, or if products of the two buffers might,
    else `ring`.
    """
    values = _values(net, ring, backend)
    x = _start(net, ring, inputs, biases, None, backend)
    y = buffer(net, ring, backend=backend)
    for position in net.dag.outputs.tolist():
        y[0, position] = ring.one
    forward = sweep(net, [(values, None)], x.copy(), ring=ring, backend=backend)
    backward = back(net, [(values, None)], y.copy(), ring=ring, backend=backend)
    products = (values, forward), (values, backward), ([forward], backward)
    if ring.wide is None or net.scalars != "float":
        return ring, values, forward, backward
    if all(is_safe(factors, sums) for factors, sums in products) and _has_room(forward, backward):
        return ring, values, forward, backward
    values = mapped(lambda value: widen(value, backend), values)
    forward = sweep(net, [(values, None)], widen(x, backend), ring=ring.wide, backend=backend)
    backward = back(net, [(values, None)], widen(y, backend), ring=ring.wide, backend=backend)
    return ring.wide, values, forward, backward


def _has_room(x: Array, y: Array) -> bool:
    """Whether no sum of products of a float in x and one in y overflows, of as many as there are neurons."""
    largest = float(np.abs(x).max()) * float(np.abs(y).max()) * x.shape[1]
    return bool(largest <= np.finfo(np.float64).max / 4)


def _public(sums: Array, net: ReluNetwork, asked: Semiring, used: Semiring) -> Array:
    """Sums as they are returned: floats if the sweep widened them, Fractions if it used a faster kind of rationals."""
    if used is not asked:
        return narrow(sums)
    return restored(sums) if net.is_exact and _keeps_scalars(used) else sums


def _scalar(element: Any) -> Any:
    """A Python scalar instead of a NumPy one."""
    return element.item() if isinstance(element, (np.generic, np.ndarray)) else element
