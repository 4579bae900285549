"""The compiled back end: which sweeps Numba runs, on which arrays, and on which threads.

It sweeps neuron graphs of floats, as a whole (`FlatDag`): in the semirings REAL and SCALED with any number of terms and
states, and in MAX_TIMES forward, with one term and one state. All other sweeps are left to the other back ends. Numba
is imported, and the kernels are compiled, at the first compiled sweep; the compiled kernels are kept on disk.

**Threads.** Levels with at least `WIDE` edges, and batches of samples, are shared among the threads that Numba may use
(`pathgraph.threads`). Every sum is made by one thread, in one order: the number of threads changes no bit of a result.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph import threads
from pathgraph.cache_lines import cache_size
from pathgraph.distinct import distinct
from pathgraph.pathsum.blocks import BlockNetwork
from pathgraph.pathsum.flat import FlatDag, FlatTensors
from pathgraph.pathsum.float_range import limits_of, stays_in_range
from pathgraph.pathsum.scaled import SCALED_DTYPE
from pathgraph.pathsum.semirings import MAX_TIMES, REAL, SCALED, Semiring

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "back",
    "flat_of",
    "flattened",
    "is_available",
    "marginals",
    "power_marginals",
    "power_sums",
    "refusal",
    "sweep",
]

WIDE = 1 << 22
"""Edges of a level from which it is shared among threads: on smaller ones two took longer than one (measured)."""


VAST = cache_size(3, otherwise=1 << 25) // 2
"""Bytes of sums from which the caches no longer hold most of them: those of antecedents then come late unless asked."""

ASKS = cache_size(0, otherwise=0) >= 48 << 10
"""Whether sweeps ask for the entries of consecutive antecedents: where the first-level cache has 48 KB or more.

A sum that asks is made in parts. On an AMD Zen 5 (48 KB) it reads the memory faster all the same; on a Zen 1 and a Zen
4 (32 KB) it is slower, by up to a half. Where the system does not tell the size, sweeps do not ask.
"""


def is_available() -> bool:
    """Whether Numba is installed, and may be imported."""
    if "numba" in sys.modules:
        return sys.modules["numba"] is not None
    return _is_installed()


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def refusal(net: BlockNetwork) -> str | None:
    """Why the compiled back end cannot sweep this network; None if it can."""
    if not is_available():
        return "Numba is not installed; install it, or use backend='numpy'"
    if net.scalars != "float" or net.dag.flat is None:
        return "it sweeps neuron graphs of floats; use backend='numpy'"
    return None


# -- threads ------------------------------------------------------------------------------------------------------


def _steps(dag: FlatDag) -> list[tuple[int, int]]:
    """The neurons cut into steps of a sweep: each is one wide level, or all levels between two wide ones."""
    edges = np.diff(dag.start[dag.ends])
    wide = np.flatnonzero(edges >= WIDE)
    cuts = np.unique(np.concatenate([[0], dag.ends[wide], dag.ends[wide + 1], [dag.n_nodes]]))
    return list(pairwise(cuts.tolist()))


def _n_threads(dag: FlatDag) -> int:
    """How many threads may share the wide levels of a graph: one if it has too few edges for any."""
    return threads.count() if dag.n_edges >= WIDE else 1


def _is_wide(dag: FlatDag, first: int, stop: int) -> bool:
    """Whether a step is one wide level, so that its neurons may be shared among threads."""
    level = int(np.searchsorted(dag.ends, first))
    is_level = dag.ends[level] == first and dag.ends[level + 1] == stop
    return bool(is_level and dag.start[stop] - dag.start[first] >= WIDE)


def _shares(dag: FlatDag, first: int, stop: int, n: int) -> list[tuple[int, int]]:
    """The parts in which a step goes forward: a wide level in at most n of about as many edges each; others whole."""
    if not _is_wide(dag, first, stop):
        return [(first, stop)]
    wanted = dag.start[first] + (dag.start[stop] - dag.start[first]) * np.arange(1, n) // n
    ends = first + np.searchsorted(dag.start[first : stop + 1], wanted)
    return list(pairwise(np.unique([first, *ends.tolist(), stop]).tolist()))


# -- the sweeps of the protocol -----------------------------------------------------------------------------------


def sweep(net: BlockNetwork, terms: Sequence[Any], x: Array, ring: Semiring, *, largest: bool = False) -> bool:
    """The forward sweep, in place of the start values in `x`; with `largest`, pools take their largest candidate.

    Returns False, and does nothing, if there is no kernel for it.
    """
    if not _is_compiled(terms, x, ring) or (ring is MAX_TIMES and not _is_plain(terms, x)):
        return False
    from pathgraph.pathsum import numba_sums, numba_terms

    dag = flat_of(net)
    if ring is SCALED:
        _scaled_sweep(numba_terms.forward_scaled, net, terms, x)
    elif _is_plain(terms, x) and not largest:
        values, row = flattened(net, terms[0][0], x.dtype), np.ascontiguousarray(x[0])
        if ring is MAX_TIMES:
            numba_sums.forward_maxima(dag.start, dag.antecedent, dag.bias, values, row)
        else:
            _forward(dag, values, row, 0, 1.0)
        x[0] = row
    else:
        states = np.ascontiguousarray(x.T)
        values, routes = _stacked(net, terms, x)
        graph = (dag.start, dag.antecedent, dag.bias, dag.activation)
        numba_terms.forward_terms(*graph, values, routes, states, largest)
        x[...] = states.T
    return True


def back(net: BlockNetwork, terms: Sequence[Any], y: Array, ring: Semiring) -> bool:
    """The backward sweep, in place of the start values in `y`; False, and nothing is done, if there is no kernel."""
    if not _is_compiled(terms, y, ring) or ring is MAX_TIMES:
        return False
    from pathgraph.pathsum import numba_sums, numba_terms

    dag = flat_of(net)
    if ring is SCALED:
        _scaled_sweep(numba_terms.backward_scaled, net, terms, y)
    elif _is_plain(terms, y):
        values, row = flattened(net, terms[0][0], y.dtype), np.ascontiguousarray(y[0])
        _backward(dag, values, row, 0, 1.0)
        numba_sums.backward_biases(dag.bias, values, row)
        y[0] = row
    else:
        states = np.ascontiguousarray(y.T)
        numba_terms.backward_terms(dag.start, dag.antecedent, dag.bias, *_stacked(net, terms, y), states)
        y[...] = states.T
    return True


def marginals(net: BlockNetwork, values: Sequence[Array], x: Array, y: Array) -> Sequence[Array]:
    """The sums over the paths through each entry, in REAL; the transition has already been applied to `x`."""
    from pathgraph.pathsum.numba_terms import marginals_terms

    dag = flat_of(net)
    flat = flattened(net, values, x.dtype)
    out = np.empty(len(flat), dtype=x.dtype)
    states = (np.ascontiguousarray(x.T), np.ascontiguousarray(y.T))
    marginals_terms(dag.start, dag.antecedent, dag.bias, flat, *states, out)
    assert isinstance(net.tensors, FlatTensors)
    return FlatTensors(out, net.tensors.slices)


def _is_compiled(terms: Sequence[Any], x: Array, ring: Semiring) -> bool:
    """Whether the kernels know this semiring and these numbers."""
    wanted = (SCALED_DTYPE,) if ring is SCALED else (np.dtype(np.float32), np.dtype(np.float64))
    return ring in (REAL, MAX_TIMES, SCALED) and len(terms) > 0 and x.dtype in wanted


def _is_plain(terms: Sequence[Any], x: Array) -> bool:
    """Whether there is one state, and one term that keeps it."""
    return len(x) == 1 and len(terms) == 1 and (terms[0][1] is None or bool(np.all(terms[0][1])))


def flat_of(net: BlockNetwork) -> FlatDag:
    """The neuron graph as a whole."""
    assert net.dag.flat is not None
    return net.dag.flat


def flattened(net: BlockNetwork, values: Sequence[Array], dtype: Any) -> Array:
    """The entries as one array, edges before biases, in the given dtype; float32 stays for sums in float64, too."""
    if isinstance(values, FlatTensors):
        flat = values.flat
    else:
        assert isinstance(net.tensors, FlatTensors)
        flat = np.empty(net.tensors.flat.shape, dtype=np.result_type(*values) if len(values) else dtype)
        for part, tensor in zip(net.tensors.slices, values, strict=True):
            flat[part] = tensor
    keep = flat.dtype == dtype or (flat.dtype == np.float32 and dtype == np.float64)
    if not keep:
        with np.errstate(over="ignore", under="ignore"):
            flat = flat.astype(dtype)
    return np.ascontiguousarray(flat)


def _routes(terms: Sequence[Any], n_states: int) -> Array:
    identity = np.eye(n_states, dtype=bool)
    return np.array([identity if t is None else np.asarray(t, dtype=bool) for _, t in terms])


def _stacked(net: BlockNetwork, terms: Sequence[Any], x: Array) -> tuple[Array, Array]:
    values = np.stack([flattened(net, values, x.dtype).astype(x.dtype, copy=False) for values, _ in terms])
    return values, _routes(terms, len(x))


def _scaled_sweep(kernel: Any, net: BlockNetwork, terms: Sequence[Any], x: Array) -> None:
    dag = flat_of(net)
    entries = np.stack([flattened(net, values, SCALED_DTYPE) for values, _ in terms])
    parts = [np.ascontiguousarray(part) for part in (x["mantissa"].T, x["exponent"].T)]
    kernel(
        dag.start,
        dag.antecedent,
        dag.bias,
        np.ascontiguousarray(entries["mantissa"]),
        np.ascontiguousarray(entries["exponent"]),
        _routes(terms, len(x)),
        *parts,
    )
    x["mantissa"], x["exponent"] = (part.T for part in parts)


def _forward(dag: FlatDag, values: Array, x: Array, code: int, q: float) -> bool:
    """The forward sweep of one state, in place in `x`.

    Parameters
    ----------
    dag : FlatDag
    values : ndarray
        The entries.
    x : ndarray, shape (N,)
    code, q : int, float
        Which function of the entries is summed: see `pathgraph.pathsum.numba_sums`.

    Returns
    -------
    bool
        Whether a sum of non-zero terms came out as zero; never if the function may be negative.
    """
    from pathgraph.pathsum.numba_sums import forward_rows

    rows = forward_rows(code, dag.has_runs, len(dag.biased) > 0, x.nbytes >= VAST, ASKS)
    graph = (dag.start, dag.antecedent, dag.run, dag.bias, values, x, q)
    n = _n_threads(dag)
    if n == 1:
        return bool(rows(0, dag.n_nodes, *graph))
    lost = False
    for first, stop in _steps(dag):
        lost |= any(threads.run([partial(rows, *part, *graph) for part in _shares(dag, first, stop, n)]))
    return lost


def _backward(dag: FlatDag, values: Array, y: Array, code: int, q: float, above: int = 0) -> None:
    """The backward sweep of one state, in place in `y`.

    Each thread adds to some of the antecedents of a wide level, and to no others.

    Parameters
    ----------
    dag : FlatDag
    values : ndarray
        The entries.
    y : ndarray, shape (N,)
        The start values.
    code, q : int, float
        Which function of the entries is summed: see `pathgraph.pathsum.numba_sums`.
    above : int
        The level below the lowest one that is sent back.
    """
    from pathgraph.pathsum.numba_sums import backward_rows

    n = _n_threads(dag)
    whole = (dag.start, dag.antecedent, dag.run, values, y, q)
    for ends, cuts in _shared_levels(dag, n, above):
        rows = backward_rows(code, dag.has_runs, y.nbytes >= VAST, ASKS, len(cuts) > 2)
        threads.run([partial(rows, ends, low, high, *whole) for low, high in pairwise(cuts)])


def _shared_levels(dag: FlatDag, n: int, above: int) -> Iterator[tuple[Array, list[int]]]:
    """The steps of a backward sweep on n threads: the ends of the levels of each, and the shares of their antecedents.

    Only of the levels above one. A thread adds to the antecedents between two neighbours in the list of shares.
    """
    ends = dag.ends[above + 1 :]
    if n == 1 or not len(ends):
        yield ends, [0, dag.n_nodes]
        return
    for first, stop in [(max(first, int(ends[0])), stop) for first, stop in reversed(_steps(dag)) if stop > ends[0]]:
        cuts = [0, stop]
        if _is_wide(dag, first, stop):
            start = distinct(dag.start[first : stop + 1])
            low, high = dag.antecedent[start[:-1]].min(), dag.antecedent[start[1:] - 1].max() + 1
            cuts = np.unique(np.linspace(low, high, n + 1).astype(int)).tolist()
        yield dag.ends[np.searchsorted(dag.ends, first) : np.searchsorted(dag.ends, stop) + 1], cuts


# -- sums of powers, without making the powers --------------------------------------------------------------------


def power_sums(net: BlockNetwork, q: float, x: Array) -> bool:
    """The sums of the q-th powers of the absolute path products up to every neuron, in place of the starts in `x`.

    Returns whether the sums may be relied on: whether no float came near the ends of its range (see `stays_in_range`).
    """
    lost = _forward(flat_of(net), _untouched(net), x, *_coded(q))
    return not lost and stays_in_range(x)


def power_marginals(net: BlockNetwork, q: float, x: Array, *, by_neuron: bool = False) -> tuple[Array, bool]:
    """What `power_sums` does, and the sum of the q-th powers of the path products over the paths through each entry.

    The sums from the neurons to the outputs come first: the forward sweep then makes the mass of an entry from the very
    term that it adds. In the other order each entry would cost more: the sweep that makes the masses would also have to
    read and to write the sums of the antecedents.

    Parameters
    ----------
    net : network
    q : number
    x : ndarray, shape (N,)
        The start values.
    by_neuron : bool
        Put the masses neuron by neuron, the edges of each before its bias, as theta does; by default in the order of
        the entries.

    Returns
    -------
    mass : ndarray, shape (n_entries,)
        The sums over the paths through each entry.
    safe : bool
        Whether all of them may be relied on.
    """
    dag, outputs = flat_of(net), net.dag.outputs
    entries, power = _untouched(net), _coded(q)
    y, mass = np.zeros_like(x), np.empty(len(entries), dtype=x.dtype)
    y[outputs] = 1
    # the sums from neurons that read no other are needed for nothing but the masses of their biases
    above = 0 if len(dag.biased) and dag.biased[0] < dag.ends[1] else 1
    _backward(dag, entries, y, *power, above)
    lost = _masses(dag, entries, x, power, y, mass, dag.by_neuron if by_neuron else (dag.start[:-1], dag.bias))
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(x[outputs].sum())  # no path has more than all of them
    return mass, not lost and total <= limits_of(x.dtype).top and stays_in_range(x) and stays_in_range(y)


def _untouched(net: BlockNetwork) -> Array:
    """The entries as they are: a kernel that sums in float32 must see those of float64 that vanish in it."""
    return flattened(net, net.tensors, np.float64)


def _masses(
    dag: FlatDag, values: Array, x: Array, power: tuple[int, float], y: Array, mass: Array, places: tuple[Array, Array]
) -> bool:
    """The forward sweep of one state, in place in `x`; fills `mass` with the masses of the entries.

    Parameters
    ----------
    dag : FlatDag
    values : ndarray
        The entries.
    x, y : ndarray, shape (N,)
        The start values, and the result of the backward sweep.
    power : (code, q)
        Which function of the entries is summed.
    mass : ndarray, shape (n_entries,)
    places : pair of ndarray
        Where in `mass` the edges of each neuron begin, and where its bias is.

    Returns
    -------
    bool
        Whether a number may be wrong, because it or a product on the way to it is below the normal range.
    """
    from pathgraph.pathsum.numba_sums import mass_rows

    code, q = power
    rows = mass_rows(code, dag.has_runs, len(dag.biased) > 0, x.nbytes >= VAST, ASKS)
    graph = (dag.start, dag.antecedent, dag.run, dag.bias, values, x, q, y, mass, *places)
    room = limits_of(x.dtype).room
    n = _n_threads(dag)
    if n == 1:
        return bool(rows(0, dag.n_nodes, *graph, room)[0])
    lost = False
    for first, stop in _steps(dag):
        found = threads.run([partial(rows, *part, *graph, room) for part in _shares(dag, first, stop, n)])
        lost |= any(is_lost for is_lost, _ in found)
        room = x.dtype.type(max(room for _, room in found))
    return lost


def _coded(q: float) -> tuple[int, float]:
    """The code of the kernels for abs(w)**q, and q."""
    return (int(q), float(q)) if q in (1, 2, 4) else (3, float(q))
