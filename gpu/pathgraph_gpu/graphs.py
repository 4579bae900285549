"""The device's copy of a graph of neurons: what the kernels of path sums and of evaluation read besides the values.

A `DeviceGraph` is made once for an architecture and a device (each GPU has its own), and lives as long as the
architecture. Its arrays are those of `pathgraph.pathsum.flat.FlatDag`, neurons and entries in 32 bits where that is
enough. The edges by source, which backward sweeps read, and the groups of neurons, which evaluation takes together, are
made when they are first needed. Whoever first needs an array waits until it is there: the next one may do so on another
stream.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from scipy import sparse

from pathgraph.pathsum.blocks import INPUT, POOL

if TYPE_CHECKING:
    from pathgraph.graph.architecture import Architecture
    from pathgraph.pathsum.flat import FlatDag
    from pathgraph.scalars import Array
    from pathgraph_gpu.device import Device

__all__ = ["DeviceGraph", "Groups", "Outgoing", "graph_of"]

TOGETHER = 4
"""Neurons that evaluation takes together if they read one run of antecedents."""


class Outgoing(NamedTuple):
    """The edges by source, on the host.

    Attributes
    ----------
    start : ndarray of int64, shape (n_nodes + 1,)
        The edges out of neuron u are ``start[u]:start[u + 1]``.
    target, entry : ndarray, shape (n_edges,)
        Where each leads, increasing for each source, and its entry.
    fan : ndarray, shape (n_nodes,)
        The first target of each neuron whose targets are consecutive and all read runs, else -1: then ``target`` and
        ``entry`` need not be read.
    """

    start: Array
    target: Array
    entry: Array
    fan: Array


class Groups(NamedTuple):
    """Neurons that are evaluated together, on the host.

    Attributes
    ----------
    first : ndarray, shape (n_groups + 1,)
        The neurons of group g are ``first[g]:first[g + 1]``: four that read one run, or one.
    ends : ndarray of int64, shape (n_levels + 1,)
        The groups of level l are ``ends[l]:ends[l + 1]``.
    """

    first: Array
    ends: Array


def outgoing(dag: FlatDag) -> Outgoing:
    """The edges of a graph by source."""
    n = dag.n_nodes
    by_target = sparse.csr_array((np.arange(dag.n_edges), dag.antecedent, dag.start), shape=(n, n))
    by_source = by_target.tocsc()
    start, target, entry = (np.asarray(a) for a in (by_source.indptr, by_source.indices, by_source.data))
    start = start.astype(np.int64)
    fan = np.full(n, -1, dtype=np.int64)
    some = np.flatnonzero(np.diff(start))
    first, last = target[start[some]].astype(np.int64), target[start[some + 1] - 1].astype(np.int64)
    reads_run = np.concatenate([[0], np.cumsum(dag.run >= 0)])
    is_fan = (last - first == np.diff(start)[some] - 1) & (reads_run[last + 1] - reads_run[first] == last - first + 1)
    fan[some[is_fan]] = first[is_fan]
    return Outgoing(start, target, entry, fan)


def groups(dag: FlatDag) -> Groups:
    """The neurons of a graph in groups that are evaluated together."""
    degree = np.diff(dag.start)
    plain = (dag.run >= 0) & (dag.activation != POOL) & (dag.activation != INPUT)
    same = np.zeros(dag.n_nodes, dtype=bool)
    same[1:] = plain[1:] & plain[:-1] & (dag.run[1:] == dag.run[:-1]) & (degree[1:] == degree[:-1])
    same[dag.ends[:-1]] = False
    heads = np.flatnonzero(~same)
    length = np.diff(heads, append=dag.n_nodes)
    place = np.arange(dag.n_nodes) - np.repeat(heads, length)
    is_full = place < np.repeat(length // TOGETHER * TOGETHER, length)
    first = np.append(np.flatnonzero(~is_full | (place % TOGETHER == 0)), dag.n_nodes)
    return Groups(first, np.searchsorted(first, dag.ends).astype(np.int64))


class DeviceGraph:
    """An architecture on a device.

    Parameters
    ----------
    device : Device
    architecture : Architecture
        Read, and not kept.

    Attributes
    ----------
    index : dtype
        Of neurons and entries: int32, or int64 from 2**31 of them on.
    levels : ndarray, shape (n_levels + 1,)
        On the host: the neurons of level l are ``levels[l]:levels[l + 1]``.
    edges_in, edges_out : ndarray, shape (n_levels,)
        On the host: how many edges lead to each level, and from it.
    start, ends, antecedent, run, bias, activation, rank
        As in `FlatDag`, on the device.
    inputs, outputs
        Their positions in a buffer, on the device.
    """

    def __init__(self, device: Device, architecture: Architecture) -> None:
        dag = architecture.dag.flat
        assert dag is not None
        self._device, self._dag = device, dag
        self.index = np.dtype(np.int32 if max(dag.n_nodes, architecture.n_entries) < 2**31 else np.int64)
        self.levels = dag.ends
        self.edges_in = np.diff(dag.start[dag.ends])
        self.n_nodes, self.n_edges = dag.n_nodes, dag.n_edges
        self.n_entries, self.n_parameters = architecture.n_entries, architecture.n_parameters
        self.start, self.ends = self._wide(dag.start), self._wide(dag.ends)
        self.antecedent, self.run, self.bias = map(self._narrow, (dag.antecedent, dag.run, dag.bias))
        self.activation = device.for_every_stream(dag.activation.astype(np.int8))
        self.rank = self._narrow(dag.rank)
        self.inputs, self.outputs = self._narrow(architecture.dag.inputs), self._narrow(architecture.dag.outputs)
        self.is_tied = architecture.is_tied
        self._parameter, self._first_entry = architecture.parameter, architecture.first_entry

    def _wide(self, array: Array) -> Any:
        return self._device.for_every_stream(np.ascontiguousarray(array, dtype=np.int64))

    def _narrow(self, array: Array) -> Any:
        return self._device.for_every_stream(np.ascontiguousarray(array, dtype=self.index))

    def positions(self, nodes: Array) -> Any:
        """Some buffer positions, on the device, for the current stream."""
        return self._device.to_device(np.ascontiguousarray(nodes, dtype=self.index))

    @cached_property
    def everything(self) -> Any:
        """The buffer positions of all neurons."""
        return self._narrow(np.arange(1, self.n_nodes + 1))

    @cached_property
    def ones(self) -> Any:
        """What backward sweeps start with: a one for each output."""
        return self._device.for_every_stream(np.ones(len(self.outputs)))

    # -- by source ------------------------------------------------------------------------------------------------

    @cached_property
    def _outgoing(self) -> Outgoing:
        return outgoing(self._dag)

    @cached_property
    def edges_out(self) -> Array:
        """How many edges lead from each level, on the host."""
        return np.asarray(np.diff(self._outgoing.start[self.levels]))

    @cached_property
    def outgoing(self) -> Outgoing:
        """The edges by source, on the device; targets and entries only if some neuron needs them."""
        start, target, entry, fan = self._outgoing
        if bool(((fan >= 0) | (np.diff(start) == 0)).all()):
            target = entry = np.zeros(1, dtype=self.index)
        return Outgoing(self._wide(start), self._narrow(target), self._narrow(entry), self._narrow(fan))

    # -- for evaluation -------------------------------------------------------------------------------------------

    @cached_property
    def _groups(self) -> Groups:
        return groups(self._dag)

    @cached_property
    def groups_per_level(self) -> Array:
        """How many groups each level has, on the host."""
        return np.asarray(np.diff(self._groups.ends))

    @cached_property
    def groups(self) -> Groups:
        """The groups of neurons, on the device."""
        return Groups(self._narrow(self._groups.first), self._wide(self._groups.ends))

    # -- parameters -----------------------------------------------------------------------------------------------

    @cached_property
    def parameter(self) -> Any:
        """The place in theta of each entry, or -1: shape (n_entries,)."""
        return self._narrow(self._parameter)

    @cached_property
    def first_entry(self) -> Any:
        """The first entry of each parameter: shape (n_parameters,)."""
        return self._narrow(self._first_entry)

    @cached_property
    def first_of_its_parameter(self) -> Any:
        """For each entry the first one that shares its parameter, or itself: shape (n_entries,)."""
        entries = np.arange(self.n_entries)
        free = self._parameter >= 0
        entries[free] = self._first_entry[self._parameter[free]]
        return self._narrow(entries)

    @cached_property
    def owned(self) -> tuple[Any, Any]:
        """The entries parameter by parameter: where those of each begin, and the entries."""
        free = np.flatnonzero(self._parameter >= 0)
        order = free[np.argsort(self._parameter[free], kind="stable")]
        start = np.searchsorted(self._parameter[order], np.arange(self.n_parameters + 1))
        return self._wide(start), self._narrow(order)


_GRAPHS: WeakKeyDictionary[Device, WeakKeyDictionary[Architecture, dict[int, DeviceGraph]]] = WeakKeyDictionary()


def graph_of(device: Device, architecture: Architecture) -> DeviceGraph:
    """The copy of an architecture on a device; made at the first request, and shared by equal architectures."""
    graphs = _GRAPHS.setdefault(device, WeakKeyDictionary()).setdefault(architecture, {})
    place = device.place()
    if place not in graphs:
        graphs[place] = DeviceGraph(device, architecture)
    return graphs[place]
