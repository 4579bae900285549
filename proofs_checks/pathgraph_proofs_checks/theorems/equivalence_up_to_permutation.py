"""Networks that a permutation of hidden neurons and a rescaling turn into each other are recognised, and no others."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from fractions import Fraction
from itertools import permutations
from typing import Any, NamedTuple

import networkx as nx
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import DERIVED, Instances, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import rescaled

Image = Mapping[Hashable, Hashable]
Change = tuple[int, Fraction]
GROUND = object()
"""Stands for the inputs, the outputs and the constant behind the biases, whose factors are 1."""


class Places(NamedTuple):
    """A network without an order: what is at each neuron, and the value, role and source of each weight and bias."""

    neurons: dict[Hashable, Any]
    values: dict[tuple[Hashable, Hashable], Fraction]
    fixed: dict[tuple[Hashable, Hashable], Any]
    ties: frozenset[frozenset[tuple[Hashable, Hashable]]]


def places(net: Network) -> Places:
    """Weights are at (u, v), biases at (GROUND, v)."""
    graph, architecture = net.graph, net.architecture
    neurons = {v: (data["activation"], data.get("rank", 1)) for v, data in graph.nodes(data=True)}
    names = [architecture.entry_name(e) for e in range(architecture.n_entries)]
    at: list[Any] = [(GROUND, name) if e >= architecture.n_edges else name for e, name in enumerate(names)]
    roles = [graph.edges[p].get("role") if p[0] is not GROUND else graph.nodes[p[1]].get("bias_role") for p in at]
    tied: dict[int, set[Any]] = {}
    for place, parameter in zip(at, architecture.parameter.tolist(), strict=True):
        if parameter >= 0:
            tied.setdefault(parameter, set()).add(place)
    values = dict(zip(at, net.values.tolist(), strict=True))
    fixed = {p: (role, values[p] if role == "structural" else None) for p, role in zip(at, roles, strict=True)}
    return Places(neurons, values, fixed, frozenset(map(frozenset, tied.values())))


def moved(net: Places, image: Image) -> Places:
    """The same with other names."""

    def at(place: tuple[Hashable, Hashable]) -> tuple[Hashable, Hashable]:
        return image.get(place[0], place[0]), image[place[1]]

    return Places(
        {image[v]: kind for v, kind in net.neurons.items()},
        {at(p): value for p, value in net.values.items()},
        {at(p): kind for p, kind in net.fixed.items()},
        frozenset(frozenset(map(at, tie)) for tie in net.ties),
    )


def is_rescaling(net: Places, other: Places, outer: Collection[Hashable]) -> bool:
    """Whether there are factors, by following the entries from the ground, and from a neuron of every other piece."""
    if (net.neurons, net.fixed, net.ties) != (other.neurons, other.fixed, other.ties):
        return False
    if any((a == 0) != (other.values[p] == 0) for p, a in net.values.items()):
        return False
    end = {v: GROUND if v in outer else v for v in net.neurons} | {GROUND: GROUND}
    ratios = [(end[u], end[v], other.values[u, v] / a) for (u, v), a in net.values.items() if a]

    def follow(lam: dict[Any, Fraction]) -> dict[Any, Fraction] | None:
        size = 0
        while size != len(lam):
            size = len(lam)
            for u, v, ratio in ratios:
                if u in lam:
                    lam.setdefault(v, lam[u] * ratio)
                elif v in lam:
                    lam[u] = lam[v] / ratio
        closes = all(lam[v] == lam[u] * ratio for u, v, ratio in ratios if u in lam)
        signed = all(a > 0 or (v is not GROUND and net.neurons[v][0] == "identity") for v, a in lam.items())
        return lam if closes and signed else None

    lam = follow({GROUND: Fraction(1)})
    for v in net.neurons:
        if lam is not None and end[v] not in lam:
            lam = follow({**lam, v: Fraction(1)}) or follow({**lam, v: Fraction(-1)})
    return lam is not None


def relabellings(net: Network, kinds: Collection[str] = ("hidden",)) -> Iterator[dict[Hashable, Hashable]]:
    """All permutations of the names of the hidden neurons, or of others."""
    moving = [v for kind in kinds for v in getattr(net, kind)]
    for image in permutations(moving):
        yield {v: v for v in net.nodes} | dict(zip(moving, image, strict=True))


def is_equivalent(net: Network, other: Network, kinds: Collection[str] = ("hidden",)) -> bool:
    """Whether one of all permutations, followed by a rescaling, turns the first network into the second."""
    first, second, outer = places(net), places(other), {*net.inputs, *net.outputs}
    return any(is_rescaling(moved(first, image), second, outer) for image in relabellings(net, kinds))


def is_witnessed(net: Network, other: Network, image: Image, factors: Mapping[Hashable, Any]) -> bool:
    """Whether a permutation and factors turn the first network into the second."""
    if set(image) != set(net.nodes) or set(image.values()) != set(other.nodes):
        return False
    return moved(places(rescaled(net, factors)), image) == places(other)


def decided(net: Network, other: Network) -> tuple[bool, bool]:
    """What the library says, and whether it shows it: by a witness that fits, or by an invariant that differs."""
    found = pg.find_rescaling(net, other, permutations=True)
    if found:
        return True, is_witnessed(net, other, found.permutation or {}, found.factors or {})
    return False, bool(found.difference) and (found.values is None or found.values[0] != found.values[1])


def renamed(net: Network, image: Image) -> Network:
    """The network with other names; its hidden neurons are inserted in the order of the names."""
    graph = nx.relabel_nodes(pg.to_networkx(net), dict(image))
    hidden = {image[v] for v in net.hidden}
    ordered = nx.DiGraph()
    rest = iter(sorted(hidden, key=str))
    ordered.add_nodes_from([(u, graph.nodes[u]) for v in graph for u in [next(rest) if v in hidden else v]])
    ordered.add_edges_from(graph.edges(data=True))
    return pg.from_networkx(ordered, dtype=object)


def permuted(net: Network, order: tuple[int, ...]) -> Network:
    """The hidden neurons renamed, by the permutation that sorts the numbers."""
    numbers = dict(zip(net.hidden, [*order, *[0] * len(net.hidden)], strict=False))
    image = dict(zip(net.hidden, sorted(net.hidden, key=lambda v: numbers[v]), strict=True))
    return renamed(net, {v: v for v in net.nodes} | image)


def changed(net: Network, change: Change) -> Network:
    """One parameter multiplied."""
    theta = list(net.theta)
    if theta:
        theta[change[0] % len(theta)] *= change[1]
    return net.with_theta(theta)


def changes(*factors: int) -> Instances:
    """A rescaling, numbers that permute, a parameter and the factor by which it changes on top."""
    return drawn(
        lambda net: rescalings(net, negative=["identity"]),
        st.lists(st.integers(0, 3), max_size=4).map(tuple),
        st.tuples(st.integers(0, 9), st.sampled_from([Fraction(f) for f in factors])),
    )


@theorem(
    statement=(
        "A permutation of hidden neurons and a rescaling turn a network into another one if and only if the library "
        "finds an isomorphism of the coloured graphs of their normal forms that a rescaling completes; the permutation "
        "and the factors it then returns do it, and the numbers it returns otherwise are different."
    ),
    latex=r"\exists\,\pi,\lambda:\ \theta'=\pi(\lambda\diamond\theta)\ \Longleftrightarrow\ "
    r"\theta'=\hat\pi(\hat\lambda\diamond\theta)\text{ for the }(\hat\pi,\hat\lambda)\text{ found}",
    hypotheses="any network: zeros, dead neurons, fixed and tied values; negative factors at identity neurons",
    source=DERIVED,
    instances=changes(1, 2, -1, 0),
    networks=relu_dags(max_hidden=3),
    on_network=0,
)
def equivalence_up_to_permutation(
    net: Network,
    factors: dict[Hashable, Fraction],
    order: tuple[int, ...],
    change: Change,
    *,
    decided: Callable[[Network, Network], tuple[bool, bool]] = decided,
) -> Equality:
    """Rescale, permute, change a parameter, and hold what is decided against all permutations."""
    other = permuted(changed(rescaled(net, factors), change), order)
    return Equality(decided(net, other), (is_equivalent(net, other), True))


def without_permutations(net: Network, other: Network) -> tuple[bool, bool]:
    """Whether the second network is a rescaling of the first, name by name."""
    return is_rescaling(places(net), places(other), {*net.inputs, *net.outputs}), True


def without_rescaling(net: Network, other: Network) -> tuple[bool, bool]:
    """Whether the second network is a permutation of the first."""
    second = places(other)
    return any(moved(places(net), image) == second for image in relabellings(net)), True


def same_path_products(net: Network, other: Network) -> tuple[bool, bool]:
    """Whether the path products are the same, in any order."""
    return sorted(pg.path_lifting(net).values) == sorted(pg.path_lifting(other).values), True


def same_outputs(net: Network, other: Network) -> tuple[bool, bool]:
    """Whether the functions agree on two opposite inputs."""
    xs = [[1] * len(net.inputs), [-1] * len(net.inputs)]
    return bool((net(xs) == other(xs)).all()), True


def without_signs(net: Network, other: Network) -> tuple[bool, bool]:
    """The equivalence of the absolute values."""
    return is_equivalent(net.map_values(abs), other.map_values(abs)), True


def backward(net: Network, other: Network, *, permutation: bool) -> tuple[bool, bool]:
    """The library's decision, with the inverse permutation, or with the inverse factors."""
    found = pg.find_rescaling(net, other, permutations=True)
    image, factors = dict(found.permutation or {}), found.factors or {}
    if permutation:
        return bool(found), not found or is_witnessed(net, other, {v: u for u, v in image.items()}, factors)
    return bool(found), not found or is_witnessed(net, other, image, {v: 1 / lam for v, lam in factors.items()})


equivalence_up_to_permutation.mutant(
    "hidden neurons keep their names",
    ("x0; h0 = id(x0); h1 = relu(h0); y0 = out(h1)", {"h0": 1, "h1": 1}, (1,), (0, 1)),
    decided=without_permutations,
)
equivalence_up_to_permutation.mutant(
    "there is no rescaling",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": -1}, (), (0, 1)),
    decided=without_rescaling,
)
equivalence_up_to_permutation.mutant(
    "equal path products suffice",
    ("x0; h0 = relu(x0); h1 = relu(h0); y0 = out()", {"h0": 1, "h1": 1}, (), (0, -1)),
    decided=same_path_products,
)
equivalence_up_to_permutation.mutant(
    "equal outputs suffice",
    ("x0; h0 = relu(x0); h1 = relu(-1*h0); y0 = out(h1)", {"h0": 1, "h1": 1}, (), (0, 2)),
    decided=same_outputs,
)
equivalence_up_to_permutation.mutant(
    "signs do not matter", ("x0; y0 = out(x0)", {}, (), (0, -1)), decided=without_signs
)
equivalence_up_to_permutation.mutant(
    "the permutation is inverted",
    ("x0; h0 = id(x0); h1 = relu(h0); h2 = relu(h1); y0 = out(h2)", {"h0": 1, "h1": 1, "h2": 1}, (1,), (0, 1)),
    decided=lambda net, other: backward(net, other, permutation=True),
)
equivalence_up_to_permutation.mutant(
    "the factors are inverted",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": 2}, (), (0, 1)),
    decided=lambda net, other: backward(net, other, permutation=False),
)
