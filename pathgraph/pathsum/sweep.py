"""The forward sweep, the backward sweep and the marginals, in any semiring and at any resolution.

With ``terms = [(values, T), ...]`` the forward sweep computes, node by node, ::

    x_v  =  x_v  +  sum_k T_k^t  sum_{u -> v} values_k[u -> v] x_u

where x starts from what the caller put in the buffer (1 on the constant and on the inputs, usually), and T_k is a
0/1 matrix of shape (S, S) that says to which of the S states of an automaton each state leads (None: to itself).
The backward sweep is its transpose. One sweep costs one multiplication and one addition per edge, term and state.

Pool neurons are *summed*, as in the path-lifting; `sweep` can instead take the largest candidate (``pools="max"``)
or the one of the neuron's rank (``pools="rank"``), each candidate summed over the terms, the bias added once.

The reference back end calls the defaults of `~pathgraph.pathsum.blocks.Block` on Python scalars; the numpy back end
calls the blocks' own methods. Nothing else differs between them. The numba back end sweeps large neuron graphs of
floats as a whole (`pathgraph.pathsum.engine`), on the arrays of the numpy back end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.errors import BackendError, ParameterError, UnsupportedOperatorError
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import Block, BlockNetwork, Node, Pool
from pathgraph.pathsum.flat import FlatTensors, mapped
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_to_float
from pathgraph.pathsum.semirings import REAL, Semiring

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "Backend",
    "Pools",
    "Term",
    "back",
    "buffer",
    "choose_backend",
    "edge_values",
    "entries",
    "is_safe",
    "kind_of_sums",
    "marginals",
    "narrow",
    "refuse_hours",
    "sweep",
    "swept",
    "widen",
]

Term: TypeAlias = "tuple[Sequence[Array], Array | None]"
Pools: TypeAlias = Literal["sum", "max", "rank"]
Backend: TypeAlias = Literal["reference", "numpy", "numba"]

LARGE = 20_000
"""Edges from which the compiled back end is chosen: compiling, or loading what was compiled, takes its time."""

MOST_EDGES, MOST_EDGES_SINGLY = 200_000_000, 50_000_000
"""Edges up to which sums of Python objects are taken, by arrays of them or one after the other: minutes, not hours."""


def choose_backend(backend: str | None, net: BlockNetwork) -> Backend:
    """The back end that will run; None chooses Numba for large neuron graphs of floats, and NumPy else.

    Raises
    ------
    BackendError
        On an unknown one, and on "numba" where it cannot sweep this network.
    """
    if backend is None:
        flat = net.dag.flat
        is_large = flat is not None and flat.n_edges >= LARGE
        return "numba" if is_large and engine.refusal(net) is None else "numpy"
    if backend == "numpy":
        return "numpy"
    if backend == "reference":
        return "reference"
    if backend != "numba":
        raise BackendError(f"backend: needed 'reference', 'numpy', 'numba' or None, got {backend!r}")
    reason = engine.refusal(net)
    if reason is not None:
        raise BackendError(f"backend: 'numba' cannot run this: {reason}")
    return "numba"


def entries(f: Callable[..., Array], net: BlockNetwork, *others: BlockNetwork) -> Sequence[Array]:
    """Apply `f`, entry by entry, to networks of one architecture: ``f(w)``, ``f(w, w')``, ..., one array per tensor.

    Structural entries (skips, pooling weights) are mapped like the others: a norm raises them to its power, too.
    """
    return mapped(f, net.tensors, *(other.tensors for other in others))


def edge_values(net: BlockNetwork, ring: Semiring, backend: Backend = "numpy") -> Sequence[Array]:
    """The entries of `net` as elements of a semiring."""
    if ring.arrays is not None and ring.bias_value is None and backend != "reference":
        return entries(ring.arrays.value, net)
    biases = {block.tensor for block in net.dag.blocks() if block.is_bias}
    if ring.arrays is not None and ring.bias_value is not None and backend != "reference":
        dtype = ring.arrays.dtype
        return tuple(
            np.array([ring.bias_value(b) for b in tensor.ravel().tolist()], dtype=dtype).reshape(tensor.shape)
            if index in biases
            else ring.arrays.value(tensor)
            for index, tensor in enumerate(net.tensors)
        )
    out = []
    for index, tensor in enumerate(net.tensors):
        value = ring.bias_value if index in biases and ring.bias_value is not None else ring.value
        elements = ring.full(tensor.shape)
        for position, weight in np.ndenumerate(tensor):
            elements[position] = value(weight.item() if isinstance(weight, np.generic) else weight)
        out.append(elements)
    return tuple(out)


def buffer(net: BlockNetwork, ring: Semiring, states: int = 1, backend: Backend = "numpy") -> Array:
    """A buffer of zeros of the semiring, of shape (states, N), with the dtype that the back end wants."""
    dtype = kind_of_sums(net, ring, backend)
    if dtype.kind == "O":
        return ring.full((states, net.dag.size))
    out = np.empty((states, net.dag.size), dtype=dtype)
    out[...] = ring.zero
    return out


def kind_of_sums(net: BlockNetwork, ring: Semiring, backend: Backend) -> np.dtype[Any]:
    """The dtype of the elements of a sweep."""
    if ring.arrays is None or backend == "reference":
        return np.dtype(object)
    return np.dtype(ring.arrays.dtype or (np.float64 if net.scalars == "float" else object))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def sweep(
    net: BlockNetwork,
    terms: Sequence[Term],
    x: Array,
    *,
    ring: Semiring = REAL,
    pools: Pools = "sum",
    relu: bool = False,
    backend: str | None = None,
) -> Array:
    """Sweep forward through the DAG; fills `x` in place and returns it.

    Parameters
    ----------
    net : network
        At either resolution.
    terms : sequence of (values, T)
        `values`: one array of elements per tensor; `T`: bool ndarray of shape (S, S), or None for the identity.
    x : ndarray, shape (S, N)
        The buffer, with its start values set.
    ring : Semiring
    pools : {"sum", "max", "rank"}
        What a pool neuron does with its candidates; other than "sum" needs the ring REAL.
    relu : bool
        Whether ReLU neurons clip at zero: with ``pools="rank"`` the sweep is then the evaluation of the network.
    backend : {"reference", "numpy", "numba"}, optional
        By default the one that `choose_backend` chooses. Numba runs the semirings that it has kernels for; the others,
        and ReLUs here (evaluation has kernels of its own), are left to NumPy.

    Notes
    -----
    Floats may leave their range; it is for the caller to look at the result (see `is_safe`).
    """
    if pools != "sum" and ring is not REAL:
        raise ParameterError(
            f"pools: needed 'sum' in {ring!r}, got {pools!r}; only REAL can take the largest candidate"
        )
    backend = choose_backend(backend, net)
    if (
        backend == "numba"
        and pools != "rank"
        and not relu
        and engine.sweep(net, terms, x, ring, largest=pools == "max")
    ):
        return x
    refuse_hours(net, ring, backend, x.dtype)
    apply = _operation("apply", backend)
    add = _adder(x, ring)
    for node in net.dag.nodes:
        for block in node.blocks:
            _accumulate(x, block, terms, apply, ring, add)
        if pools != "sum":
            for pool in node.pools:
                x[:, pool.target] = _pooled(x, pool, terms, 1 if pools == "max" else pool.rank)
        for block in node.biases:
            _accumulate(x, block, terms, apply, ring, add)
        if relu:
            _clip(x, node)
    return x


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def back(
    net: BlockNetwork, terms: Sequence[Term], y: Array, *, ring: Semiring = REAL, backend: str | None = None
) -> Array:
    """Sweep backward: the transpose of `sweep`, from what the caller put in `y` (1 on the outputs, usually).

    In place; afterwards ``y[s, v]`` is the sum over the paths from v in state s to the outputs.
    """
    backend = choose_backend(backend, net)
    refuse_hours(net, ring, backend, y.dtype)
    if backend == "numba" and engine.back(net, terms, y, ring):
        return y
    apply = _operation("apply_transpose", backend)
    add = _adder(y, ring)
    for node in reversed(net.dag.nodes):
        for block in (*node.blocks, *node.biases):
            for values, transition in terms:
                matrix, states = _reading(transition, len(y), axis=0)
                part = apply(block, y[states][:, block.target], values[block.tensor], ring)
                routed = _route(part, matrix, ring)
                y[:, block.source] = add(y[:, block.source], routed)
    return y


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def marginals(
    net: BlockNetwork, term: Term, x: Array, y: Array, *, ring: Semiring = REAL, backend: str | None = None
) -> Sequence[Array]:
    """The sums over the paths through each entry, from the buffers of a forward and a backward sweep.

    One array per tensor: ``values * entry_gradient(T^t x, y)``, summed over the blocks that share the tensor.
    """
    values, transition = term
    backend = choose_backend(backend, net)
    routed = _route(x, None if transition is None else _matrix(transition, len(x)), ring)
    if backend == "numba" and ring is REAL:
        return engine.marginals(net, values, routed, y)
    gradient = _operation("entry_gradient", backend)
    mul = ring.arrays.mul if ring.arrays is not None and backend != "reference" else np.frompyfunc(ring.mul, 2, 1)
    add = _adder(x, ring)
    out: list[Any] = [None] * len(values)
    for block in net.dag.blocks():
        w, k = values[block.tensor], block.tensor
        part = mul(w, gradient(block, routed[:, block.source], y[:, block.target], w.shape, ring))
        out[k] = part if out[k] is None else add(out[k], part)
    return tuple(
        ring.full(w.shape).astype(x.dtype) if part is None else part for w, part in zip(values, out, strict=True)
    )


def refuse_hours(net: BlockNetwork, ring: Semiring, backend: Backend, dtype: DTypeLike) -> None:
    """Refuse sums of Python objects (of dtype object) over so many edges that they would take hours.

    Raises
    ------
    UnsupportedOperatorError
    """
    if np.dtype(dtype).kind != "O" or net.dag.size < LARGE:
        return
    is_single = ring.arrays is None or backend == "reference"
    most = MOST_EDGES_SINGLY if is_single else MOST_EDGES
    n_edges = sum(int(block.degrees().sum()) for block in net.dag.blocks())
    if n_edges > most:
        way_out = (
            "a semiring with arrays=" if ring.arrays is None else "floats" if not is_single else "another back end"
        )
        raise UnsupportedOperatorError(
            f"net: {ring!r} on Python objects takes hours on its {n_edges:,} edges, and runs on at most {most:,}; use "
            f"{way_out}, or the same network on smaller inputs"
        )


def swept(
    net: BlockNetwork, values: Sequence[Array], start: Array, ring: Semiring, backend: Backend
) -> tuple[Array, Semiring]:
    """The forward sweep of one term, and the semiring in which it ended.

    This is ``ring.wide`` if there is one and floats came near the ends of their range, else `ring` itself.
    """
    x = sweep(net, [(values, None)], start.copy(), ring=ring, backend=backend)
    if ring.wide is None or net.scalars != "float" or is_safe(values, x):
        return x, ring
    widened = mapped(lambda value: widen(value, backend), values)
    return sweep(net, [(widened, None)], widen(start, backend), ring=ring.wide, backend=backend), ring.wide


def widen(array: Array, backend: Backend) -> Array:
    """Floats as scaled numbers, in the form the back end wants: a structured array, or an array of tuples."""
    numbers = scaled(array.astype(np.float64))
    return numbers.astype(object) if backend == "reference" else numbers


def narrow(numbers: Array, dtype: DTypeLike = np.float64) -> Array:
    """Scaled numbers, in either form, as floats; infinite where they are too large."""
    return scaled_to_float(np.array(numbers.tolist(), dtype=SCALED_DTYPE), dtype)


def is_safe(values: Sequence[Array], x: Array) -> bool:
    """Whether a float sweep of `values` that ended in the buffer `x` stayed clear of the ends of the float range.

    Every product in it is one of a value and a sum: the smallest such product of non-zeros is a normal number, and no
    sum is near the largest number, so nothing overflowed and nothing vanished.
    """
    sums = x if x.dtype.kind == "f" else x.astype(np.float64)
    info: Any = np.finfo(sums.dtype)
    arrays = [values.flat] if isinstance(values, FlatTensors) else values
    least = min((_smallest(value.astype(sums.dtype, copy=False)) for value in arrays), default=1.0)
    return bool((np.abs(sums) <= info.max / 4).all()) and least * _smallest(sums) >= info.tiny


def _smallest(array: Array) -> float:
    """The smallest non-zero absolute value, at most 1."""
    if array.size >= LARGE and array.flags.c_contiguous and engine.is_available():
        return min(1.0, engine.extremes(array.ravel())[0])
    return float(np.abs(array[array != 0]).min(initial=1.0))


def _operation(name: str, backend: str) -> Callable[..., Array]:
    if backend == "reference":
        method: Callable[..., Array] = getattr(Block, name)
        return method
    return lambda block, x, *args: _like(x, getattr(block, name)(x, *args))


def _like(x: Array, part: Array) -> Array:
    """What a block made, with the dtype of its input: a block may know nothing but its pattern, and return objects."""
    return part if part.dtype == x.dtype else np.array(part.tolist(), dtype=x.dtype).reshape(part.shape)


def _adder(x: Array, ring: Semiring) -> Callable[[Array, Array], Array]:
    if ring.arrays is not None and (x.dtype != object or ring.arrays.dtype is None):
        return ring.arrays.add
    add: Callable[[Array, Array], Array] = np.frompyfunc(ring.add, 2, 1)
    return add


def _accumulate(
    x: Array,
    block: Block,
    terms: Sequence[Term],
    apply: Callable[..., Array],
    ring: Semiring,
    add: Callable[[Array, Array], Array],
) -> None:
    for values, transition in terms:
        matrix, states = _reading(transition, len(x), axis=1)
        part = apply(block, x[states][:, block.source], values[block.tensor], ring)
        routed = _route(part, matrix, ring)
        x[:, block.target] = add(x[:, block.target], routed)


def _matrix(transition: Array, states: int) -> Array:
    matrix = np.asarray(transition, dtype=bool)
    if matrix.shape != (states, states):
        raise ParameterError(f"terms: needed transitions of shape {(states, states)}, got {matrix.shape}")
    return matrix


def _reading(transition: Array | None, states: int, axis: int) -> tuple[Array | None, slice]:
    """The run of the states that lead anywhere, and a transition with one row for each of them.

    The axis is the one along which a state leads to others: 1 forward, 0 backward.
    """
    if transition is None:
        return None, slice(None)
    matrix = _matrix(transition, states)
    read = np.flatnonzero(matrix.any(axis=axis))
    run = slice(int(read[0]), int(read[-1]) + 1) if len(read) else slice(0, 1)
    return (matrix if axis else matrix.T)[run], run


def _route(part: Array, matrix: Array | None, ring: Semiring) -> Array:
    """The transposed matrix, from the states read to all, times what came from the states read."""
    if matrix is None:
        return part
    add = _adder(part, ring)
    out = np.empty((matrix.shape[1], *part.shape[1:]), dtype=part.dtype)
    for row in range(len(out)):
        chosen = np.flatnonzero(matrix[:, row])
        if len(chosen) == 0:
            out[row] = ring.zero if out.dtype != object else ring.full(out[row].shape)
            continue
        total = part[chosen[0]]
        for other in chosen[1:]:
            total = add(total, part[other])
        out[row] = total
    return out


def _pooled(x: Array, pool: Pool, terms: Sequence[Term], rank: int) -> Array:
    """The rank-th largest candidate of each pool neuron, without its bias."""
    candidates: Any = 0
    for values, transition in terms:
        matrix, states = _reading(transition, len(x), axis=1)
        candidates = candidates + _route(_gather(values, pool) * x[states][:, pool.source], matrix, REAL)
    if rank == 1:
        return np.asarray(np.max(candidates, axis=-1))
    return np.asarray(np.sort(candidates, axis=-1)[..., -rank])


def _gather(values: Sequence[Array], pool: Pool) -> Array:
    tensors = pool.tensors
    if len(tensors) == 1:
        return np.asarray(values[tensors[0]].ravel()[pool.entry])
    out = np.empty(pool.entry.shape, dtype=values[tensors[0]].dtype)
    for tensor in tensors:
        chosen = pool.tensor == tensor
        out[chosen] = values[tensor].ravel()[pool.entry[chosen]]
    return out


def _clip(x: Array, node: Node) -> None:
    """ReLUs; a sum that has overflowed to minus infinity is no zero, and becomes NaN."""
    if not len(node.relus):
        return
    values = np.maximum(x[:, node.relus], 0)
    if x.dtype.kind == "f":
        values[np.isneginf(x[:, node.relus])] = np.nan
    x[:, node.relus] = values
