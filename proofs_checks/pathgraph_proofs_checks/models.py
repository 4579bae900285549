"""A model that a user gives: what of it the checks run on, and which checks do not apply to it.

Checks are evaluated in rational arithmetic. A model that is small is taken as a whole; of larger ones, and for checks
that list all paths, **parts** are taken: a few random outputs, for each of them a few random antecedents, and so on
back to the inputs, with the weights and biases they have. A part is a network like any other, so every theorem speaks
of it.

What a check *needs* of a network is declared with it (`pathgraph_proofs_checks.registry.theorem`). Ties and roles are
not a matter of values: where a check needs networks without them, it runs on the same network with every value a
parameter of its own. Everything else that is needed and missing makes the check inapplicable, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from random import Random
from typing import Any

import networkx as nx
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import GraphError, LayerGraph, Network, ParameterError
from pathgraph.graph.architecture import ACTIVATIONS, ROLES
from pathgraph.pathsum.blocks import Block, Positions
from pathgraph.scalars import to_fraction
from pathgraph_proofs_checks.parts import SMALL
from pathgraph_proofs_checks.registry import Check

__all__ = ["MAX_WHOLE", "Model", "freed", "thinned"]

MAX_WHOLE = 20_000
"""Models with more edges are not evaluated as a whole."""

N_PARTS = 12

FEW, NARROW = 100_000, 32
"""The most paths that some checks list of a whole network, and the terms of a neuron that are too many for others."""

SIZES = ((6, 6), (4, 4), (3, 3), (2, 2), (2, 1), (1, 1))
"""Neurons per layer and antecedents per neuron of a part, until it has few paths."""


@dataclass(frozen=True)
class Model:
    """What the checks take of a model.

    Attributes
    ----------
    name, size : str
        The file, and the model in words.
    whole : Network or None
        The exact network of all neurons, if it is small enough.
    parts : tuple of Network
        Exact, with few paths; the whole itself if it has few.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph_proofs_checks.models import Model
    >>> model = Model.of(pg.from_weights([[[1, 2]], [[3]]]), "tiny")
    >>> len(model.parts), model.whole.is_exact
    (1, True)
    """

    name: str
    size: str
    whole: Network | None
    parts: tuple[Network, ...]

    @classmethod
    def of(cls, net: Network | LayerGraph, name: str, *, max_whole: int = MAX_WHOLE) -> Model:
        """The parts of a model, and the whole if it has at most `max_whole` edges.

        Raises
        ------
        ParameterError
            On a symbolic network.
        """
        if net.scalars == "symbolic":
            raise ParameterError(f"{name}: needed numbers, got SymPy expressions, whose values no check can compare")
        n_edges, whole = net.architecture.n_edges, None
        if n_edges <= max_whole:
            whole = (net.expand() if isinstance(net, LayerGraph) else net).to_exact()
        if whole is not None and pg.count_paths(whole) <= SMALL:
            parts: tuple[Network, ...] = (whole,)
        else:
            parts = tuple(thinned(net, seed) for seed in range(N_PARTS))
        return cls(name, repr(net), whole, parts)

    def networks(self, check: Check) -> SearchStrategy[Network] | str:
        """The networks on which a check is run; or, in words, why it does not apply."""
        fitting, reason = self._fitting(check)
        return st.sampled_from(fitting) if fitting else reason

    def is_cut(self, check: Check) -> bool:
        """Whether a check sees parts of the model and not the whole."""
        return not any(net is self.whole for net in self._candidates(check)) or not self._meets(check)

    def _candidates(self, check: Check) -> Sequence[Network]:
        """The whole, if there is one and the check can stand it."""
        whole = self.whole is not None and (not check.enumerates or self.parts == (self.whole,))
        return [self.whole] if whole and self.whole is not None else list(self.parts)

    def _meets(self, check: Check) -> bool:
        return any(not unmet(check, net) for net in self._candidates(check))

    def _fitting(self, check: Check) -> tuple[list[Network], str]:
        """The networks that have what a check needs: the whole, else parts; and what is missing if there are none."""
        if not check.on_network:
            return [], "it draws networks of a kind of its own, and takes no given one"
        first = ""
        for candidates in (self._candidates(check), self.parts):
            fitting = [net for net in candidates if not unmet(check, net)]
            if fitting and {"no ties", "nothing fixed"} & set(check.needs):
                fitting = [freed(net, roles="nothing fixed" in check.needs) for net in fitting]
            if fitting:
                return fitting, ""
            first = first or unmet(check, candidates[0])
        return [], f"it needs {first}" + (", and so with all parts that were tried" if len(self.parts) > 1 else "")


def unmet(check: Check, net: Network) -> str:
    """What a check needs and a network lacks, in words; empty if it lacks nothing."""
    return next((found for need in check.needs if (found := _missing(need, net))), "")


@lru_cache(maxsize=512)
def _missing(need: str, net: Network) -> str:
    return NEEDS[need](net)


def _no_pools(net: Network) -> str:
    return "networks without max-pools, and there are some" if "pool" in net.architecture.activations else ""


def _no_structural(net: Network) -> str:
    fixed = ROLES.index("structural") in net.architecture.role.tolist()
    return "networks without structural values (skips, pooling weights), and there are some" if fixed else ""


def _no_zeros(net: Network) -> str:
    count = sum(value == 0 for value in net.values)
    return f"networks without zero weights or biases, and {count} are zero" if count else ""


def _layered(net: Network) -> str:
    try:
        pg.operator_norm_product(net)
    except GraphError as error:
        return str(error).partition("needed ")[2]
    return ""


def _few_paths(net: Network) -> str:
    found = pg.count_paths(net)
    return f"networks of at most {FEW:,} paths, and there are {found:.3g}" if found > FEW else ""


def _small_fan_in(net: Network) -> str:
    terms = np.bincount(net.architecture.target, minlength=1).max(initial=0)
    return f"neurons with fewer than {NARROW} terms, and one has {terms}" if terms >= NARROW else ""


def _never(net: Network) -> str:
    return ""


NEEDS: Mapping[str, Callable[[Network], str]] = {
    "layered": _layered,
    "no pools": _no_pools,
    "no structural values": _no_structural,
    "no zeros": _no_zeros,
    "few paths": _few_paths,
    "small fan-in": _small_fan_in,
    "no ties": _never,  # these two are met by `freed`
    "nothing fixed": _never,
}


def freed(net: Network, *, roles: bool = True) -> Network:
    """The same network with every value a parameter of its own; without `roles` only ties are undone."""
    if not net.architecture.is_tied and not (roles and net.architecture.role.any()):
        return net
    graph = pg.to_networkx(net)
    for data in [*(data for _, _, data in graph.edges(data=True)), *(data for _, data in graph.nodes(data=True))]:
        for key in ("parameter", "bias_parameter", *(("role", "bias_role") if roles else ())):
            data.pop(key, None)
    return pg.from_networkx(graph, dtype=object)


# -- parts ----------------------------------------------------------------------------------------------------------


def thinned(net: Network | LayerGraph, seed: int) -> Network:
    """A random part of a network or layer graph, with at most `SMALL` paths: exact, at the resolution of neurons.

    Works block by block from the outputs back, and so never expands a layer graph.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> from pathgraph_proofs_checks.models import thinned
    >>> wide = pg.from_weights([np.ones((50, 40)), np.ones((30, 50))])
    >>> part = thinned(wide, 0)
    >>> len(part.outputs), len(part.hidden), part.is_exact
    (6, 6, True)
    """
    for width, fan_in in SIZES:
        part = _Thinning(net, Random(seed), width, fan_in).network()
        if pg.count_paths(part) <= SMALL:
            break
    return part


class _Thinning:
    """The neurons that were chosen, and the edges between them."""

    def __init__(self, net: Network | LayerGraph, random: Random, width: int, fan_in: int) -> None:
        self.net, self.random, self.width, self.fan_in = net, random, width, fan_in
        dag = net.dag
        self.home = np.full(dag.size, -1)
        for place, node in enumerate(dag.nodes):
            self.home[node.target] = place
        self.chosen: dict[int, set[int]] = {}
        outputs = dag.outputs.tolist()
        for position in random.sample(outputs, min(width, len(outputs))):
            self._choose(position)
        self.outputs = {position for group in self.chosen.values() for position in group}
        self.edges: list[tuple[int, int, Any, str, Hashable]] = []
        self.biases: dict[int, tuple[Any, str, Hashable]] = {}
        for place in reversed(range(len(dag.nodes))):
            self._descend(place)

    def _choose(self, position: int) -> None:
        self.chosen.setdefault(int(self.home[position]), set()).add(position)

    def _may_choose(self, position: int) -> bool:
        group = self.chosen.get(int(self.home[position]), set())
        return position in group or len(group) < self.width

    def _descend(self, place: int) -> None:
        """Choose the antecedents of the neurons of one node that were chosen."""
        node = self.net.dag.nodes[place]
        for target in sorted(self.chosen.get(place, ())):
            found = [edge for block in node.blocks for edge in self._into(block, target)]
            self.random.shuffle(found)
            kept: list[tuple[int, int, int]] = []
            for source, tensor, entry in found:
                if len(kept) < self.fan_in and self._may_choose(source):
                    self._choose(source)
                    kept.append((source, tensor, entry))
            if found and not kept:  # every layer before it is full of neurons that do not lead here
                kept = found[:1]
                self._choose(kept[0][0])
            self.edges += [(source, target, *self._entry(tensor, entry)) for source, tensor, entry in kept]
            for block in node.biases:
                for _, tensor, entry in self._into(block, target):
                    self.biases[target] = self._entry(tensor, entry)

    def _into(self, block: Block, target: int) -> list[tuple[int, int, int]]:
        """The edges of a block into one neuron: (source, tensor, entry)."""
        local = _local(block.target, target)
        if local is None:
            return []
        _, source, entry = block.pattern(np.array([local]))
        places = _global(block.source, source)
        return [(u, block.tensor, e) for u, e in zip(places.tolist(), entry.tolist(), strict=True)]

    def _entry(self, tensor: int, entry: int) -> tuple[Any, str, Hashable]:
        """Value, role and name of an entry; no name for one that is not tied."""
        value = to_fraction(self.net.tensors[tensor].ravel()[entry])
        structure = self.net.architecture
        if isinstance(self.net, LayerGraph):
            role = self.net.roles[self.net.architecture.tensor_names[tensor]]
            return value, role, (self.net.architecture.tensor_names[tensor], entry) if role == "parameter" else None
        assert isinstance(structure, pg.Architecture)
        place = structure.tensor_slices[tensor].start + entry
        return value, ROLES[structure.role[place]], structure.ties.get(place)

    def network(self) -> Network:
        """The network of what was chosen."""
        positions = sorted(position for group in self.chosen.values() for position in group)
        graph: nx.DiGraph[Hashable] = nx.DiGraph()
        used = Counter(name for *_, name in (*self.edges, *((0, *bias) for bias in self.biases.values())))
        fan_in = Counter(target for _, target, *_ in self.edges)
        codes, ranks = self._codes()
        if not (self.home[positions] < 0).any():  # all paths start at biases: an input that nothing reads
            positions = [int(self.net.dag.inputs[0]), *positions]
        for position in positions:
            activation = "input" if self.home[position] < 0 else ACTIVATIONS[codes[position]]
            if activation == "pool" and not fan_in[position]:
                activation = "identity"
            graph.add_node(self._name(position), activation=activation)
            if activation == "pool":
                graph.nodes[self._name(position)]["rank"] = min(int(ranks[position]), fan_in[position])
            if position in self.outputs:
                graph.nodes[self._name(position)]["output"] = True
            if position in self.biases:
                value, role, name = self.biases[position]
                graph.nodes[self._name(position)].update(bias=value, **_attributes("bias_", role, name, used))
        for source, target, value, role, name in self.edges:
            start = self._name(source)
            if graph.has_edge(start, self._name(target)):  # as in x + x: a neuron of its own for the second edge
                copy = ("copy", len(graph))
                graph.add_node(copy, activation="identity")
                graph.add_edge(start, copy, weight=Fraction(1), role="structural")
                start = copy
            graph.add_edge(start, self._name(target), weight=value, **_attributes("", role, name, used))
        return pg.from_networkx(graph, dtype=object)

    def _codes(self) -> tuple[Any, Any]:
        codes, ranks = np.zeros(self.net.dag.size, dtype=np.int64), np.ones(self.net.dag.size, dtype=np.int64)
        for node in self.net.dag.nodes:
            codes[node.target], ranks[node.target] = node.activation, node.rank
        return codes, ranks

    def _name(self, position: int) -> Hashable:
        """The name of a neuron; of layer graphs, (layer, index...)."""
        if isinstance(self.net, Network):
            return self.net.nodes[position - 1]
        layer, first = max(
            ((name, first) for name, first in self.net.architecture.offsets.items() if first <= position),
            key=lambda found: found[1],
        )
        shape = self.net.architecture.layer(layer).shape
        return layer, *(int(i) for i in np.unravel_index(position - first, shape))


def _attributes(prefix: str, role: str, name: Hashable, used: Mapping[Hashable, int]) -> dict[str, Any]:
    """The attributes of a value; a name that occurs once in the part ties nothing."""
    if role != "parameter":
        return {f"{prefix}role": role}
    return {f"{prefix}parameter": name} if name is not None and used[name] > 1 else {}


def _local(positions: Positions, position: int) -> int | None:
    """The place of a buffer position in a slice or an array of them."""
    if isinstance(positions, slice):
        return position - positions.start if positions.start <= position < positions.stop else None
    found = np.flatnonzero(positions == position)
    return int(found[0]) if len(found) else None


def _global(positions: Positions, local: Sequence[int] | Any) -> Any:
    return local + positions.start if isinstance(positions, slice) else positions[local]
