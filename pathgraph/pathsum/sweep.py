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

from pathgraph.errors import ParameterError
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import Block, BlockNetwork, Node, Pool
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import Backend, choose_backend, is_safe, refuse_hours, widen
from pathgraph.pathsum.semirings import REAL, Semiring
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "Pools",
    "Term",
    "back",
    "marginals",
    "sweep",
    "swept",
]

Term: TypeAlias = "tuple[Sequence[Array], Array | None]"
Pools: TypeAlias = Literal["sum", "max", "rank"]


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
            f"pools: needed 'sum' in {ring!r}, got {argument_text(pools)}; only REAL can take the largest candidate"
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
