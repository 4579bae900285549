"""The registry: one exact network for every feature that a ReLU network may have.

A network is one function that returns a `networkx.DiGraph` with Fractions; a test that is parametrised with
`on_networks` then runs on it. Weights are small dyadic rationals, so that floats carry them exactly, except where
the feature itself is not dyadic (an average of three).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from itertools import count
from random import Random

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from tests.oracles import Oracle


@dataclass(frozen=True)
class Case:
    """A registered network: its name, its graph, the oracle on the graph, and the network of the library."""

    name: str
    build: Callable[[], nx.DiGraph]

    @cached_property
    def graph(self) -> nx.DiGraph:
        return nx.freeze(self.build())

    @cached_property
    def oracle(self) -> Oracle:
        return Oracle(self.graph)

    @cached_property
    def net(self) -> pg.Network:
        return pg.from_networkx(self.graph)

    @cached_property
    def float64(self) -> pg.Network:
        return self.net.to_float()

    @cached_property
    def is_dyadic(self) -> bool:
        """Whether floats carry the values without rounding."""
        return self.float64.to_exact() == self.net

    @cached_property
    def rough(self) -> "Case":
        """The same graph with values that fill the 24 bits of float32, so that floating point rounds."""
        net = self.net.to_float(np.float32)
        random = np.random.default_rng(len(self.name))
        net = net.with_theta(random.normal(size=len(net.theta)).astype(np.float32))
        return Case(f"rough {self.name}", partial(pg.to_networkx, net.to_exact()))

    @cached_property
    def lifting(self) -> dict[tuple, Fraction]:
        """Path to product, by the oracle, in the documented order."""
        return {path: self.oracle.product(path) for path in self.oracle.paths()}

    @cached_property
    def inputs(self) -> list[list[Fraction]]:
        """Some exact inputs: zeros and equal values (ties), signs, and small multiples of 1/4."""
        random, n = Random(self.name), len(self.oracle.inputs)
        drawn = [[Fraction(random.randint(-12, 12), 4) for _ in range(n)] for _ in range(4)]
        return [[Fraction(0)] * n, [Fraction(1)] * n, [Fraction(-1)] * n, *drawn]

    def values(self, x) -> dict:
        """Every neuron on the input vector x, by the oracle."""
        return self.oracle.values(dict(zip(self.oracle.inputs, x, strict=True)))

    def __str__(self) -> str:
        return self.name


REGISTRY: dict[str, Case] = {}


def network(builder):
    """Register a builder under its name."""
    REGISTRY[builder.__name__] = Case(builder.__name__, builder)
    return builder


def on_networks(condition=lambda case: True):
    """Parametrise a test with ``case``, over the registered networks that meet a condition."""
    return pytest.mark.parametrize("case", list(filter(condition, REGISTRY.values())), ids=str)


# -- a small language for graphs ----------------------------------------------------------------------------------


def dag(inputs, **neurons) -> nx.DiGraph:
    """A graph from its input names and ``name=neuron``, in insertion order."""
    graph = nx.DiGraph()
    graph.add_nodes_from(inputs.split(), activation="input")
    for v, (antecedents, attributes) in neurons.items():
        graph.add_node(v, **attributes)
        graph.add_edges_from((u, v, entry("weight", "", w)) for u, w in antecedents.items())
    return graph


def neuron(activation, antecedents=None, bias=None, **attributes):
    bias = {} if bias is None else entry("bias", "bias_", bias)
    return antecedents or {}, {"activation": activation, **bias, **attributes}


def identity(*args, **attributes):
    return neuron("identity", *args, **attributes)


def relu(*args, **attributes):
    return neuron("relu", *args, **attributes)


def pool(antecedents, rank=1, bias=None, **attributes):
    return neuron("pool", antecedents, bias, rank=rank, **attributes)


@dataclass(frozen=True)
class Special:
    """A value with a role, or with the name of the parameter that it shares."""

    value: object
    role: str | None = None
    parameter: str | None = None


def entry(name, prefix, value):
    if not isinstance(value, Special):
        return {name: Fraction(value)}
    marks = {"role": value.role, "parameter": value.parameter}
    return {name: Fraction(value.value)} | {prefix + key: mark for key, mark in marks.items() if mark}


def structural(value):
    return Special(value, role="structural")


def frozen(value):
    return Special(value, role="frozen")


def tied(name, value):
    return Special(value, parameter=name)


def numbers():
    """An endless sequence of small dyadic rationals of both signs, none zero."""
    return (Fraction((-1) ** (k % 3) * (1 + k % 5), 2 ** (k % 4 // 2)) for k in count())


def layered(widths, biases=True, weights=None, activation="relu") -> nx.DiGraph:
    """A perceptron; neurons are named (layer, index)."""
    value = weights or numbers()
    graph = nx.DiGraph()
    for layer, width in enumerate(widths):
        kind = "input" if layer == 0 else "identity" if layer == len(widths) - 1 else activation
        for v in range(width):
            graph.add_node((layer, v), activation=kind, **({"bias": next(value)} if biases and layer else {}))
            graph.add_weighted_edges_from(
                ((layer - 1, u), (layer, v), next(value)) for u in range(widths[layer - 1]) if layer
            )
    return graph


# -- the networks -------------------------------------------------------------------------------------------------


@network
def single_edge():
    return dag("x", y=identity({"x": "-3/2"}))


@network
def dense():
    return layered([2, 3, 2])


@network
def dense_without_biases():
    return layered([3, 3, 3, 2], biases=False)


@network
def linear():
    return layered([2, 2, 2], activation="identity")


@network
def skip():
    """A residual branch: x + f(x), and a skip over two levels."""
    return dag(
        "x z",
        h=relu({"x": 2, "z": -1}, "1/2"),
        g=relu({"h": "3/2"}, -1),
        add=identity({"x": structural(1), "g": structural(1)}),
        y=identity({"add": -2, "z": "1/4", "h": 1}, 3),
    )


@network
def max_pool():
    return dag("x z", a=relu({"x": 1, "z": 1}), m=pool({"x": -2, "z": "1/2", "a": 3}), y=identity({"m": 3, "x": 1}, 1))


@network
def k_pool():
    """Largest, second, median, minimum of the same four: GroupSort, and one pool on top."""
    candidates = {"x": 1, "z": -2, "a": "1/2", "b": -1}
    return dag(
        "x z",
        a=relu({"x": 1, "z": -1}),
        b=identity({"x": -1, "z": 3}, "1/2"),
        first=pool(candidates, 1),
        second=pool(candidates, 2),
        third=pool(candidates, 3),
        least=pool(candidates, 4),
        median=pool({"first": 1, "second": -1, "least": 1}, 2),
        y=identity({"median": 2, "third": -1}),
        w=identity({"least": 1}, 1),
    )


@network
def pool_ties():
    """Four candidates that tie: two equal copies, and two dead neurons tied with each other."""
    return dag(
        "x",
        a=relu({"x": 1}),
        b=relu({"x": 1}),
        dead=relu({"x": 0}, -1),
        late=relu({"x": 0}, -2),
        m=pool({"late": 5, "dead": 1, "b": 2, "a": 2}, 2),
        n=pool({"late": 1, "dead": 3, "b": 1, "a": 1}, 4),
        y=identity({"m": 1, "n": -1, "b": "1/2"}),
    )


@network
def pool_bias():
    return dag("x z", m=pool({"x": 1, "z": -1}, 2, "-3/2"), n=pool({"m": 2, "x": 1}, 1, 1), y=identity({"n": -1}, 2))


@network
def average_pool():
    third = structural(Fraction(1, 3))
    return dag(
        "x z",
        a=relu({"x": 2}, 1),
        b=relu({"z": -1}, 1),
        c=relu({"x": 1, "z": 1}),
        mean=identity({"a": third, "b": third, "c": third}),
        y=identity({"mean": "3/2"}, -1),
    )


@network
def batch_norm():
    """Frozen scale and shift; and a frozen bias that is zero."""
    return dag(
        "x z",
        c=identity({"x": 2, "z": -1}, 1),
        n=identity({"c": frozen("-1/2")}, frozen("3/4")),
        h=relu({"n": structural(1)}),
        g=relu({"h": 3, "x": frozen(1)}, frozen(0)),
        y=identity({"g": -2}, 1),
    )


@network
def fixed_bias():
    """A structural bias holds its neuron; a structural zero holds nothing."""
    return dag(
        "x",
        h=relu({"x": 2}, structural(1)),
        g=relu({"x": structural(0)}, 3),
        f=relu({"h": structural(1), "g": -1}),
        y=identity({"f": 2, "g": structural(-1)}),
    )


@network
def convolution():
    """Length 4, kernel 3, padding 1, one to two channels, then max-pooling by 2 and a dense output."""
    kernel = [[1, -2, "1/2"], [-1, "3/2", 1]]
    graph = {}
    for c, values in enumerate(kernel):
        for i in range(4):
            taps = {f"x{i + k - 1}": tied(f"k{c}{k}", w) for k, w in enumerate(values) if 0 <= i + k - 1 < 4}
            graph[f"c{c}{i}"] = relu(taps, tied(f"b{c}", "1/2" if c else -1))
    for c in range(2):
        for i in (0, 2):
            graph[f"m{c}{i}"] = pool({f"c{c}{i}": structural(1), f"c{c}{i + 1}": structural(1)})
    values = numbers()
    graph["y"] = identity({name: next(values) for name in graph if name[0] == "m"}, 2)
    return dag("x0 x1 x2 x3", **graph)


@network
def padded_convolution_without_bias():
    """The counterexample to one scalar per channel: the group has two directions here (theory, 6.2)."""
    return dag(
        "x",
        h0=relu({"x": tied("w1", 2)}),
        h1=relu({"x": tied("w0", -1)}),
        y=identity({"h0": tied("v0", 3), "h1": tied("v1", "1/2")}),
    )


@network
def tied_across_depth():
    """One weight used three times on one path, and one bias at two depths."""
    return dag(
        "x",
        h=relu({"x": tied("w", 2)}, tied("b", 1)),
        g=relu({"h": tied("w", 2)}, tied("b", 1)),
        y=identity({"g": tied("w", 2), "x": -1}),
    )


@network
def kronecker_sparse():
    """The supports I_a x ones(b, c) x I_d of two butterfly factors of size 4."""
    value = numbers()

    def factor(a, b, c, d, names, onto):
        return {
            f"{onto}{(i * b + j) * d + k}": {f"{names}{(i * c + m) * d + k}": next(value) for m in range(c)}
            for i in range(a)
            for j in range(b)
            for k in range(d)
        }

    hidden = {v: identity(edges) for v, edges in factor(2, 2, 2, 1, "x", "h").items()}
    outputs = {v: identity(edges) for v, edges in factor(1, 2, 2, 2, "h", "y").items()}
    return dag("x0 x1 x2 x3", **hidden, **outputs)


@network
def dead_unit():
    """Neurons whose incoming entries are all zero, and one that is never active."""
    return dag(
        "x z",
        zero=relu({"x": 0, "z": 0}, 0),
        bare=relu({"z": 0}),
        behind=relu({"zero": 3, "bare": -1}),
        negative=relu({"x": 0}, -4),
        alive=relu({"x": 1, "z": 2}, 1),
        y=identity({"zero": 5, "bare": 2, "behind": 1, "negative": 2, "alive": -1}),
    )


@network
def constants():
    """Neurons without antecedents, with and without a bias, and pools of them."""
    return dag(
        "x",
        one=identity(bias=1),
        none=identity(),
        minus=relu(bias=-2),
        nothing=relu(),
        m=pool({"one": 2, "none": 1, "x": 1, "minus": -3}, 2),
        h=relu({"one": -1, "m": 2, "nothing": 7}, "1/2"),
        y=identity({"h": 1, "none": 4}),
    )


@network
def only_constants():
    """An input that is connected to nothing, and outputs without any antecedent."""
    return dag("x", y=identity(bias="5/2"), z=identity())


@network
def multi_output():
    """Outputs on several levels, marked and inserted in an order that is not the canonical one."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["late", "early"], activation="identity", output=True)
    graph.nodes["late"]["bias"] = Fraction(1)
    graph.update(dag("x z", h=relu({"x": 1, "z": -1}, 1), g=relu({"h": 2})))
    edges = [("h", "late", 1), ("g", "late", -2), ("z", "late", 3), ("x", "early", "1/2")]
    graph.add_weighted_edges_from((u, v, Fraction(w)) for u, v, w in edges)
    return graph


@network
def insertion_order():
    """Names of several types, inserted from the end to the start; edges from two levels."""
    graph = nx.DiGraph()
    graph.add_node("y", activation="identity", bias=Fraction(1))
    graph.add_node((1, "h"), activation="relu", bias=Fraction(-1, 2))
    graph.add_node(7, activation="pool", rank=2)
    graph.add_node(True, activation="relu")
    graph.add_nodes_from([2.5, "x"], activation="input")
    edges = [("x", (1, "h"), 2), (2.5, (1, "h"), -1), ("x", True, 1), (2.5, True, 1), ((1, "h"), 7, 1), (True, 7, 2)]
    graph.add_weighted_edges_from((u, v, Fraction(w)) for u, v, w in [*edges, (2.5, 7, -1), (7, "y", 3), ("x", "y", 1)])
    return graph


@network
def disconnected():
    """Two pieces that share nothing, and an input without successors."""
    return dag(
        "x z lost", h=relu({"x": 1}, 1), y=identity({"h": -2}), g=relu({"z": 3}), w=identity({"g": 1, "z": "-1/2"})
    )


@network
def hidden_sink():
    """Hidden neurons that reach no output."""
    return dag(
        "x",
        h=relu({"x": 2}),
        y=identity({"h": 1}, 1, output=True),
        sink=relu({"h": 3, "x": -1}, 5),
        end=pool({"sink": 1, "x": 1}),
    )


@network
def deep_chain():
    return layered([1] * 13)


@network
def wide():
    return layered([2, 16, 2])


@network
def zeros():
    """Zero weights on some paths and a zero bias: they are paths, with product zero."""
    return dag(
        "x z",
        h=relu({"x": 0, "z": 1}, 0),
        g=relu({"x": 2, "z": 0}),
        y=identity({"h": -1, "g": 0}),
        w=identity({"g": 1, "h": 0}, 0),
    )


@network
def only_zeros():
    """Paths, all with product zero."""
    return dag("x", m=pool({"x": -1}, 1, 2), y=identity({"m": 0}))


@network
def cancellations():
    """Opposite weights: the network is zero everywhere, its paths are not."""
    return dag("x", a=relu({"x": 1}), b=relu({"x": 1}), m=identity({"a": 1, "b": -1}), y=identity({"m": 3}))


def random_network(seed):
    """Everything at once, at random."""
    random = Random(seed)

    def value(may_be_fixed=True):
        number = Fraction(random.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]), random.choice([1, 1, 2, 4]))
        mark = random.random() if may_be_fixed else 1
        return structural(number) if mark < 0.1 else frozen(number) if mark < 0.2 else number

    names, neurons = ["x0", "x1", "x2"], {}
    for i in range(8):
        kind = random.choice(["relu", "relu", "pool", "identity"]) if i < 6 else "identity"
        chosen = random.sample(names, random.randint(0 if kind == "relu" else 1, min(4, len(names))))
        antecedents = {u: value() for u in chosen}
        bias = random.choice([None, value()])
        extra = {"rank": random.randint(1, len(chosen))} if kind == "pool" else {}
        neurons[f"h{i}"] = neuron(kind, antecedents, bias, **extra, **({"output": True} if i >= 6 else {}))
        if i < 6:
            names.append(f"h{i}")
    return dag("x0 x1 x2", **neurons)


for seed in range(6):
    REGISTRY[f"random_{seed}"] = Case(f"random_{seed}", partial(random_network, seed))
