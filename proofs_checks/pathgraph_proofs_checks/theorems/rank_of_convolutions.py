"""The rank of the path-lifting of a convolutional network: one dimension per channel is lost, mostly."""

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

import networkx as nx
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import hidden_on_paths, lifting_jacobian, parameters_on_paths, rank
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Layer = tuple[int, Sequence[Fraction], int]
"""Number of channels, values of the kernel, padding at both ends."""


def channel(neuron: Hashable) -> str:
    """The channel of a neuron c_i."""
    return str(neuron).rpartition("_")[0]


def convolutions(size: int, layers: Sequence[Layer], *, biased: bool) -> Network:
    """Convolutions on a line of inputs, each but the last followed by ReLUs; neuron i of channel c is c_i."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    before, length = ["x"], size
    graph.add_nodes_from((f"x_{i}" for i in range(size)), activation="input")
    for depth, (n_channels, kernel, padding) in enumerate(layers):
        is_last = depth == len(layers) - 1
        now = [f"{'y' if is_last else 'h'}{depth}{c}" for c in range(n_channels)]
        reached = max(1, length + 2 * padding - len(kernel) + 1)
        for c in now:
            for i in range(reached):
                graph.add_node(f"{c}_{i}", activation="identity" if is_last else "relu", output=is_last)
                if biased:
                    graph.nodes[f"{c}_{i}"].update(bias=kernel[0], bias_parameter=f"b_{c}")
                for b in before:
                    for k, value in enumerate(kernel):
                        if 0 <= i + k - padding < length:
                            edge = f"{b}_{i + k - padding}", f"{c}_{i}"
                            graph.add_edge(*edge, weight=value, parameter=f"w_{b}_{c}_{k}")
        before, length = now, reached
    return pg.from_networkx(graph, dtype=object)


def layers(paddings: SearchStrategy[int]) -> SearchStrategy[list[Layer]]:
    """Two or three layers; no value is zero."""
    kernels = st.lists(dyadics().map(lambda value: value or Fraction(1)), min_size=1, max_size=3)
    return st.lists(st.tuples(st.integers(1, 2), kernels, paddings), min_size=2, max_size=3)


def networks(*, pads_without_bias: bool = False) -> SearchStrategy[Network]:
    """Convolutions with biases, or without padding; or only those with padding and without biases."""
    padded = layers(st.integers(0, 1))
    if pads_without_bias:
        return st.builds(convolutions, st.integers(1, 2), padded, biased=st.just(False))
    return st.one_of(
        st.builds(convolutions, st.integers(1, 3), layers(st.just(0)), biased=st.just(False)),
        st.builds(convolutions, st.integers(1, 3), padded, biased=st.just(True)),
    )


def one_per_channel(net: Network) -> int:
    """The parameters on paths, less the channels of the hidden neurons on paths."""
    return len(parameters_on_paths(net)) - len({channel(v) for v in hidden_on_paths(net)})


@theorem(
    statement=(
        "The rank of the Jacobian of the path-lifting of a convolutional network is the number of shared parameters on "
        "a path, less the number of hidden channels on a path. The library counts so, too."
    ),
    latex=r"\mathrm{rank}\,\partial\Phi(\theta)=\#\{\text{shared parameters on a path}\}"
    r"-\#\{\text{hidden channels on a path}\}",
    hypotheses="no parameter is zero; each hidden channel has a bias, or no layer is padded",
    source=DERIVED,
    instances=drawn(),
    networks=networks(),
    on_network=0,
    enumerates=True,
)
def rank_of_convolutions(net: Network, *, formula: Callable[[Network], int] = one_per_channel) -> Equality:
    """Compare the rank by elimination with the formula, and with the library's count."""
    found = rank(lifting_jacobian(net))
    return Equality((found, found), (formula(net), pg.generic_rank(net)))


rank_of_convolutions.mutant(
    "layers may be padded without biases",
    ("x_0; a_0 = relu(x_0@p); a_1 = relu(x_0@q); y_0 = out(a_0@r, a_1@s)",),
    networks=networks(pads_without_bias=True),
)
rank_of_convolutions.mutant(
    "one per hidden neuron",
    ("x_0 x_1; a_0 = relu(x_0@p); a_1 = relu(x_1@p); y_0 = out(a_0@r); y_1 = out(a_1@r)",),
    formula=lambda net: len(parameters_on_paths(net)) - len(hidden_on_paths(net)),
)
rank_of_convolutions.mutant(
    "nothing is lost",
    ("x_0; a_0 = relu(x_0); y_0 = out(a_0)",),
    formula=lambda net: len(parameters_on_paths(net)),
)
