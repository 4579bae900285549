"""The structure of a ReLU network, compiled once and never changed.

An `Architecture` is the graph without the values: neurons in canonical order, edges in CSR form by target, roles,
ties, inputs and outputs. The **canonical order** of the neurons is (level, insertion index), where the level is the
longest distance from a source; antecedents are sorted in it, inputs and outputs keep their insertion order. It
decides the order of the parameters, of the paths, and which candidate of a tied pool is selected.

The values of a network are one flat array of **entries**: the weights of all edges by (target, antecedent), then the
biases that are present, by neuron.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import GraphError
from pathgraph.graph.array_names import TiedEntries
from pathgraph.graph.names import EntryNames, place_of, same_names
from pathgraph.graph.neuron_structure import NeuronStructure
from pathgraph.pathsum.blocks import INPUT, BlockDag, Node
from pathgraph.pathsum.flat import FlatDag
from pathgraph.pathsum.level_numpy import LevelBlock
from pathgraph.scalars import frozen
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["ACTIVATIONS", "FROZEN", "PARAMETER", "ROLES", "STRUCTURAL", "Architecture", "EntryNames"]

ACTIVATIONS = ("input", "identity", "relu", "pool")
"""Names of the activations; the index is the code, as in `pathgraph.pathsum.blocks`."""

PARAMETER, FROZEN, STRUCTURAL = 0, 1, 2
ROLES = ("parameter", "frozen", "structural")
"""Names of the roles; the index is the code."""


@dataclass(frozen=True, eq=False, repr=False)
class Architecture(NeuronStructure):
    """The structure of a network: everything but the values.

    Made by `from_networkx`, `from_weights` and `from_arrays`; the attributes are read-only arrays. Node numbers have
    32 bits where that is enough.

    Attributes
    ----------
    nodes : tuple, range or another sequence
        Names of the neurons in canonical order; no tuple where they are numbers. Arrays below speak of neurons by
        their index in it.
    insertion : ndarray, shape (n_nodes,)
        Place of each neuron in the order in which it was inserted.
    activation, rank, level : ndarray, shape (n_nodes,)
        Code of the activation (index in `ACTIVATIONS`), pool rank (1 where it is no pool), level.
    start : ndarray, shape (n_nodes + 1,)
        The edges into neuron v are ``start[v]:start[v + 1]``.
    antecedent : ndarray, shape (n_edges,)
        Source of each edge, increasing for each target.
    biased : ndarray, shape (n_biases,)
        The neurons with a bias.
    role : ndarray, shape (n_entries,)
        Role of each entry (index in `ROLES`): edges first, then biases.
    output : ndarray, shape (n_outputs,)
        The outputs, in insertion order.
    ties : mapping
        Name of the parameter of an entry that was given one; entries with one name are one parameter. A dict, or
        `TiedEntries` where there are many.

    Examples
    --------
    >>> import pathgraph as pg
    >>> architecture = pg.from_weights([[[1, 2]], [[3]]], [[4], None]).architecture
    >>> architecture
    Architecture(4 neurons: 2 inputs, 1 hidden, 1 output; 3 edges, 1 bias; 4 parameters)
    >>> list(architecture.parameters)
    [((0, 0), (1, 0)), ((0, 1), (1, 0)), (1, 0), ((1, 0), (2, 0))]
    """

    nodes: Sequence[Hashable]
    insertion: Array
    activation: Array
    rank: Array
    level: Array
    start: Array
    antecedent: Array
    biased: Array
    role: Array
    output: Array
    ties: Mapping[int, Hashable]

    # -- sizes and names ------------------------------------------------------------------------------------------

    @property
    def n_nodes(self) -> int:
        """Number of neurons, inputs included."""
        return len(self.nodes)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.antecedent)

    @property
    def n_entries(self) -> int:
        """Number of values: edges and present biases, tied ones counted at each place."""
        return len(self.role)

    @cached_property
    def n_parameters(self) -> int:
        """Length of theta."""
        repeated = len(self.ties) - self._n_tie_names
        return self.n_entries - int(np.count_nonzero(self.role)) - repeated

    @cached_property
    def inputs(self) -> tuple[Hashable, ...]:
        """Names of the inputs, in insertion order."""
        return tuple(self.nodes[i] for i in self.input.tolist())

    @cached_property
    def outputs(self) -> tuple[Hashable, ...]:
        """Names of the outputs, in insertion order."""
        return tuple(self.nodes[i] for i in self.output.tolist())

    @cached_property
    def hidden(self) -> tuple[Hashable, ...]:
        """Names of the other neurons, in canonical order."""
        inner = self.activation != INPUT
        inner[self.output] = False
        return tuple(self.nodes[i] for i in np.flatnonzero(inner).tolist())

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """Name of the activation of each neuron, in canonical order."""
        return tuple(ACTIVATIONS[code] for code in self.activation.tolist())

    @cached_property
    def input(self) -> Array:
        """Indices of the inputs, in insertion order."""
        found = np.flatnonzero(self.activation == INPUT)
        return frozen(found[np.argsort(self.insertion[found])])

    @cached_property
    def target(self) -> Array:
        """The neuron each entry leads to, shape (n_entries,)."""
        ends = np.repeat(np.arange(self.n_nodes, dtype=self.antecedent.dtype), np.diff(self.start))
        return frozen(np.concatenate([ends, self.biased.astype(ends.dtype)]))

    def index(self, node: Hashable) -> int:
        """Place of a neuron in the canonical order.

        Raises
        ------
        GraphError
            If the network has no such neuron.
        """
        try:
            place = self._indices.get(node) if isinstance(self.nodes, tuple) else place_of(self.nodes, node)
        except TypeError:
            place = None
        if place is None:
            raise GraphError(f"node: the network has no neuron {argument_text(node)}; see .nodes for their names")
        return place

    def antecedents(self, node: Hashable) -> tuple[Hashable, ...]:
        """Names of the antecedents of a neuron, in canonical order."""
        v = self.index(node)
        return tuple(self.nodes[u] for u in self.antecedent[self.start[v] : self.start[v + 1]].tolist())

    def edge_entry(self, u: Hashable, v: Hashable) -> int:
        """Index of the entry of the edge u -> v.

        Raises
        ------
        GraphError
            If the network has no such edge.
        """
        of, to = self.antecedent.dtype.type(self.index(u)), self.index(v)
        lo, hi = self.start[to : to + 2]
        place = lo + np.searchsorted(self.antecedent[lo:hi], of)
        if place == hi or self.antecedent[place] != of:
            raise GraphError(f"edge: the network has no edge {argument_text(u)} -> {argument_text(v)}")
        return int(place)

    def bias_entry(self, node: Hashable) -> int | None:
        """Index of the entry of the bias of a neuron, or None if it has none."""
        return self._bias_entry(self.index(node))

    def entries_into(self, v: int) -> Array:
        """The entries of neuron number v: its incoming weights in antecedent order, then its bias if it has one."""
        edges = np.arange(self.start[v], self.start[v + 1])
        bias = self._bias_entry(v)
        return edges if bias is None else np.append(edges, bias)

    def describe(self, entry: int) -> str:
        """An entry in words, for messages."""
        name = self.entry_name(entry)
        if entry < self.n_edges:
            return f"the weight of {argument_text(name[0])} -> {argument_text(name[1])}"
        return f"the bias of {argument_text(name)}"

    def entry_name(self, entry: int) -> Any:
        """(u, v) for the entry of an edge, v for the one of a bias."""
        if entry >= self.n_edges:
            return self.nodes[int(self.biased[entry - self.n_edges])]
        v = int(np.searchsorted(self.start, entry, side="right")) - 1
        return self.nodes[int(self.antecedent[entry])], self.nodes[v]

    # -- parameters and fixed values ------------------------------------------------------------------------------

    @cached_property
    def theta_order(self) -> Array:
        """The entries neuron by neuron: incoming weights in antecedent order, then the bias."""
        edges = np.arange(self.n_edges)
        behind = self.start[self.biased + 1]
        return frozen(np.insert(edges, behind, np.arange(self.n_edges, self.n_entries)) if len(behind) else edges)

    @cached_property
    def parameter(self) -> Array:
        """Index in theta of each entry, or -1 where it is fixed: shape (n_entries,)."""
        out = np.full(self.n_entries, -1, dtype=np.int64)
        free = self._free
        if not self.ties:
            out[free] = np.arange(len(free))
            return frozen(out)
        if isinstance(self.ties, TiedEntries):
            out[free] = _first_places(self.ties.owner[free], len(self.ties.names))
            return frozen(out)
        by_name: dict[Hashable, int] = {}
        for entry in free.tolist():
            name = self.ties.get(entry, _Untied(entry))
            out[entry] = by_name.setdefault(name, len(by_name))
        return frozen(out)

    @cached_property
    def first_entry(self) -> Array:
        """For each parameter, its first entry in the order of theta: shape (n_parameters,)."""
        free = self._free
        if not self.is_tied:
            return free
        _, first = np.unique(self.parameter[free], return_index=True)
        return frozen(free[first])

    @property
    def _free(self) -> Array:
        """The entries that are parameters, in the order of theta."""
        order = self.theta_order
        return frozen(order[self.role[order] == PARAMETER]) if self.role.any() else order

    @cached_property
    def fixed_entry(self) -> Array:
        """The frozen and structural entries, in the order of theta: shape (n_fixed,)."""
        return frozen(self.theta_order[self.role[self.theta_order] != PARAMETER])

    @property
    def parameters(self) -> EntryNames:
        """Names aligned with theta: (u, v) for a weight, v for a bias, its own name for a tied parameter."""
        return EntryNames(self, self.first_entry)

    @property
    def fixed_names(self) -> EntryNames:
        """Names of the frozen and structural entries, aligned with ``net.fixed``."""
        return EntryNames(self, self.fixed_entry)

    @cached_property
    def is_tied(self) -> bool:
        """Whether some parameter stands at two places."""
        return self._n_tie_names < len(self.ties)

    @cached_property
    def _n_tie_names(self) -> int:
        return self.ties.n_used if isinstance(self.ties, TiedEntries) else len(set(self.ties.values()))

    # -- blocks ---------------------------------------------------------------------------------------------------

    @cached_property
    def dag(self) -> BlockDag:
        """The blocks, one set per level."""
        return BlockDag(self.n_nodes + 1, self.input + 1, self.output + 1, _Levels(self), self._flat)

    @cached_property
    def tensor_slices(self) -> tuple[slice, ...]:
        """Where the tensor of each block lies among the entries: for each level its edges, then its biases."""
        edges = self.start[self._ends].tolist()
        biases = (self.n_edges + np.searchsorted(self.biased, self._ends)).tolist()
        pairs = zip(pairwise(edges), pairwise(biases), strict=True)
        return tuple(slice(lo, hi) for pair in pairs for lo, hi in pair if hi > lo)

    @cached_property
    def _ends(self) -> Array:
        """The neurons of level l are ``ends[l]:ends[l + 1]``."""
        return frozen(np.searchsorted(self.level, np.arange(self.level[-1] + 2)))

    @cached_property
    def _flat(self) -> FlatDag:
        rank = frozen(np.ascontiguousarray(self.rank))  # one value in memory may stand for all, but not in the kernels
        return FlatDag(self.start, self.antecedent, self.biased, self.activation, rank, self._ends)

    # -- identity -------------------------------------------------------------------------------------------------

    @cached_property
    def _indices(self) -> dict[Hashable, int]:
        return {node: i for i, node in enumerate(self.nodes)}

    def _bias_entry(self, v: int) -> int | None:
        place = int(np.searchsorted(self.biased, v))
        has_one = place < len(self.biased) and self.biased[place] == v
        return self.n_edges + place if has_one else None

    def _arrays(self) -> tuple[Array, ...]:
        return (
            self.insertion,
            self.activation,
            self.rank,
            self.start,
            self.antecedent,
            self.biased,
            self.role,
            self.output,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self is other or (
            same_names(self.nodes, other.nodes)
            and self.ties == other.ties
            and all(np.array_equal(a, b) for a, b in zip(self._arrays(), other._arrays(), strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.n_nodes, self.n_edges, tuple(self.nodes[:8]), self.output.tobytes()))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in (*self._arrays(), self.level):
            frozen(array)

    def __repr__(self) -> str:
        def count(n: int, noun: str) -> str:
            plural = {"bias": "biases", "hidden": "hidden"}.get(noun, noun + "s")
            return f"{n} {noun if n == 1 else plural}"

        return (
            f"Architecture({count(self.n_nodes, 'neuron')}: {count(len(self.input), 'input')}, "
            f"{count(self.n_nodes - len(self.input) - len(self.output), 'hidden')}, "
            f"{count(len(self.output), 'output')}; "
            f"{count(self.n_edges, 'edge')}, {count(len(self.biased), 'bias')}; "
            f"{count(self.n_parameters, 'parameter')})"
        )


class _Levels(Sequence[Node]):
    """The levels of an architecture as nodes, made when they are asked for."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, index: Any) -> Any:
        return self._nodes[index]

    @cached_property
    def _nodes(self) -> tuple[Node, ...]:
        graph = self._architecture
        nodes: list[Node] = []
        tensor = 0
        for level, (first, stop) in enumerate(pairwise(graph._ends.tolist())):
            blocks, biases = [], []
            lo, hi = graph.start[first], graph.start[stop]
            if hi > lo:
                start = graph.start[first : stop + 1] - lo
                blocks.append(LevelBlock(slice(first + 1, stop + 1), start, graph.antecedent[lo:hi] + 1, tensor))
                tensor += 1
            lo, hi = np.searchsorted(graph.biased, [first, stop])
            if hi > lo:
                one_each = np.arange(hi - lo + 1)
                biases.append(LevelBlock(graph.biased[lo:hi] + 1, one_each, np.zeros_like(one_each[1:]), tensor))
                tensor += 1
            inner = np.arange(first, stop)[graph.activation[first:stop] != INPUT]
            if len(inner):
                target = slice(first + 1, stop + 1) if level else inner + 1
                nodes.append(Node(target, graph.activation[inner], graph.rank[inner], tuple(blocks), tuple(biases)))
        return tuple(nodes)


def _first_places(owner: Array, n_names: int) -> Array:
    """Numbers for names, equal names having one, in the order in which they come; -1 has one of its own each time."""
    place = np.arange(len(owner))
    first = np.empty(n_names + 1, dtype=np.int64)
    first[owner[::-1]] = place[::-1]  # the last to be written is the first that comes
    is_first = (owner < 0) | (first[owner] == place)
    number = np.cumsum(is_first) - 1
    return np.where(is_first, number, number[first[owner]])


class _Untied:
    """A key that equals no name a user could give."""

    __slots__ = ("entry",)

    def __init__(self, entry: int) -> None:
        self.entry = entry
