"""What is refused: the error says which node, edge or argument, and the caller's objects stay as they were."""

import copy
import functools
import inspect
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.shown import argument_text
from tests.networks import dag, frozen, identity, pool, relu, structural, tied
from tests.refusals import refused

NAN, INF = float("nan"), float("inf")


def test_every_exception_derives_from_the_base_and_from_a_builtin_one():
    errors = [value for name, value in vars(pg).items() if inspect.isclass(value) and issubclass(value, BaseException)]
    assert len(errors) >= 9
    for error in errors:
        assert issubclass(error, pg.PathgraphError)
        assert error.__name__ in pg.__all__
        builtin = (ValueError, OverflowError, NotImplementedError, TypeError)
        assert error is pg.PathgraphError or issubclass(error, builtin)


# -- graphs -------------------------------------------------------------------------------------------------------


def valid():
    """x, z -> h (ReLU, bias) -> y, and a pool m of x and h -> y."""
    return dag(
        "x z",
        h=relu({"x": 1, "z": -2}, 1),
        m=pool({"x": 1, "h": "1/2"}, 2),
        y=identity({"h": 3, "m": -1}, 2),
    )


def changed(**attributes):
    """A change of `valid`: ``node__attribute=value`` or ``u_v__attribute=value``."""

    def change(graph):
        for key, value in attributes.items():
            place, name = key.split("__")
            data = graph.edges[tuple(place.split("_"))] if "_" in place else graph.nodes[place]
            if value is None:
                del data[name]
            else:
                data[name] = value
        return graph

    return change


def with_edges(*edges, **nodes):
    def change(graph):
        graph.add_nodes_from((v, {"activation": activation}) for v, activation in nodes.items())
        graph.add_weighted_edges_from((u, v, Fraction(1)) for u, v in edges)
        return graph

    return change


BAD_GRAPHS = {
    "cycle": (with_edges(("y", "h")), r"acyclic.*cycle"),
    "self-loop": (with_edges(("h", "h")), "cycle 'h'"),
    "multigraph": (lambda graph: nx.MultiDiGraph(graph), "MultiDiGraph.*identity neuron"),
    "undirected": (lambda graph: nx.Graph(graph), "DiGraph, got a Graph"),
    "no graph": (lambda graph: {"x": "y"}, "graph: .*dict"),
    "empty graph": (lambda graph: nx.DiGraph(), "empty graph"),
    "no activation": (changed(h__activation=None), "node 'h'.*activation.*'relu'"),
    "unknown activation": (changed(h__activation="tanh"), "node 'h'.*'relu'.*'tanh'"),
    "activation that is no name": (changed(h__activation=["relu"]), "node 'h'.*activation"),
    "missing weight": (changed(h_y__weight=None), "edge 'h' -> 'y'.*weight"),
    "rank too large": (changed(m__rank=3), "node 'm'.*rank.*2.*3"),
    "rank without a text": (changed(m__rank=10**5000), "node 'm'.*rank.*predecessors, got ~1e5000"),
    "rank without a text on a ReLU": (changed(h__rank=10**5000), "node 'h'.*only a pool has a rank, got rank=~1e5000"),
    "rank zero": (changed(m__rank=0), "node 'm'.*rank.*0"),
    "negative rank": (changed(m__rank=-1), "node 'm'.*rank.*-1"),
    "fractional rank": (changed(m__rank=1.5), "node 'm'.*rank.*integer.*1.5"),
    "boolean rank": (changed(m__rank=True), "node 'm'.*rank.*integer.*True"),
    "rank of text": (changed(m__rank="2"), "node 'm'.*rank.*integer.*'2'"),
    "rank on a ReLU": (changed(h__rank=1), "node 'h'.*only a pool has a rank"),
    "pool without predecessors": (with_edges(n="pool"), "node 'n'.*pool needs predecessors"),
    "output that is a ReLU": (with_edges(("x", "r"), r="relu"), "node 'r'.*output must be an identity.*'relu'"),
    "marked ReLU": (changed(h__output=True), "node 'h'.*output must be an identity"),
    "marked input": (changed(x__output=True), "node 'x'.*output must be an identity"),
    "marked output with successors": (
        lambda graph: changed(y__output=True)(with_edges(("y", "w"), w="identity")(graph)),
        "node 'y'.*successors",
    ),
    "output mark that is no truth value": (changed(y__output="yes"), "node 'y'.*'output'.*True or False"),
    "no output": (lambda graph: dag("x z"), "needs an output"),
    "no input": (changed(x__activation="identity", z__activation="relu"), "needs an input"),
    "input with predecessors": (with_edges(("z", "x")), "node 'x'.*input has no predecessors.*'z' -> 'x'"),
    "input with a bias": (changed(x__bias=Fraction(1)), "node 'x'.*input has no bias"),
    "input with a zero bias": (changed(x__bias=0), "node 'x'.*input has no bias"),
    "unknown role": (changed(h_y__role="fixed"), "edge 'h' -> 'y'.*'frozen'.*'fixed'"),
    "role that is no name": (changed(h_y__role=1), "edge 'h' -> 'y'.*role"),
    "unknown bias role": (changed(h__bias_role="constant"), "node 'h'.*role.*'constant'"),
    "bias role without bias": (changed(m__bias_role="frozen"), "node 'm'.*bias"),
    "bias name without bias": (changed(m__bias_parameter="b"), "node 'm'.*bias"),
    "name on a frozen weight": (changed(h_y__role="frozen", h_y__parameter="w"), "the weight of 'h' -> 'y'.*'w'"),
    "name on a structural bias": (changed(h__bias_role="structural", h__bias_parameter="b"), "bias of 'h'.*'b'"),
    "unequal ties": (changed(h_y__parameter="w", m_y__parameter="w"), "'w'.*must be equal.*3.*-1"),
    "unequal tied bias and weight": (changed(h_y__parameter="w", h__bias_parameter="w"), "'w'.*must be equal"),
    "unhashable parameter name": (changed(h_y__parameter=["w"]), r"edge 'h' -> 'y'.*\['w'\]"),
}

BAD_VALUES = {
    "NaN": NAN,
    "infinity": INF,
    "minus infinity": np.float32(-INF),
    "text": "1.5",
    "bytes": b"1",
    "boolean": True,
    "NumPy boolean": np.True_,
    "complex": 1 + 0j,
    "NumPy complex": np.complex128(1),
    "none": type(None)(),
    "list": [1.0],
    "array": np.ones(2),
    "scalar array": np.array(1.0),
    "huge integer beside floats": 10**400,
    "object": object(),
}


def snapshot(graph):
    return copy.deepcopy((list(graph.nodes(data=True)), list(graph.edges(data=True))))


@pytest.mark.parametrize("name", BAD_GRAPHS)
def test_bad_graphs(name):
    change, words = BAD_GRAPHS[name]
    graph = change(valid())
    before = snapshot(graph) if isinstance(graph, nx.Graph) else None
    refused(lambda: pg.from_networkx(graph), pg.GraphError, words)
    if before is not None:
        assert snapshot(graph) == before


def floats(graph):
    for *_, data in graph.edges(data=True):
        data["weight"] = float(data["weight"])
    for _, data in graph.nodes(data=True):
        if "bias" in data:
            data["bias"] = float(data["bias"])
    return graph


@pytest.mark.parametrize("dtype", [None, np.float32, object])
@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_weights_and_biases(name, dtype):
    value = BAD_VALUES[name]
    if name == "huge integer beside floats" and dtype is object:
        pytest.skip("exact networks hold integers of any size")
    for kind in (floats, lambda graph: graph):
        if name == "huge integer beside floats" and kind is not floats and dtype is None:
            continue
        for place, words in (("h_y__weight", "edge 'h' -> 'y'.*weight"), ("h__bias", "node 'h'.*bias")):
            graph = kind(valid())
            data = graph.edges["h", "y"] if "_y" in place else graph.nodes["h"]
            data[place.split("__")[1]] = value
            if value is None and place == "h__bias":
                assert pg.from_networkx(graph).bias("h") is None  # that is how a bias is absent
                continue
            refused(lambda: pg.from_networkx(graph, dtype=dtype), pg.ParameterError, words)  # noqa: B023
            assert data[place.split("__")[1]] is value


def test_a_float_beside_rationals_is_refused_and_integers_are_welcome():
    graph = valid()
    graph.edges["h", "y"]["weight"] = 3
    assert pg.from_networkx(graph).is_exact
    graph.edges["h", "y"]["weight"] = 3.0
    refused(lambda: pg.from_networkx(graph), pg.ParameterError, "edge 'h' -> 'y'.*float 3.0.*Fraction")


@pytest.mark.parametrize("dtype", ["foo", int, np.float16, complex, np.complex64, bool, "U3", 3.5, [1]])
def test_bad_dtypes(dtype):
    net = pg.from_weights([[[1.0]]])
    for call in (
        lambda: pg.from_networkx(valid(), dtype=dtype),
        lambda: pg.from_weights([[[1.0]]], dtype=dtype),
        lambda: net.to_float(dtype),
        lambda: pg.path_norm(net, dtype=dtype),
    ):
        refused(call, pg.ParameterError, "dtype")


# -- weight matrices ----------------------------------------------------------------------------------------------

BAD_MATRICES = {
    "no list": (lambda: pg.from_weights(5), "weights"),
    "nothing": (lambda: pg.from_weights([]), "weights"),
    "a vector": (lambda: pg.from_weights([[1.0, 2.0]]), r"weights\[0\].*matrix"),
    "one matrix instead of a list": (lambda: pg.from_weights(np.ones((2, 3))), r"weights\[0\].*matrix"),
    "three axes": (lambda: pg.from_weights([np.ones((2, 2, 2))]), r"weights\[0\].*matrix"),
    "an empty matrix": (lambda: pg.from_weights([np.ones((2, 0))]), r"weights\[0\]"),
    "a ragged matrix": (lambda: pg.from_weights([[[1, 2], [3]]]), r"weights\[0\]"),
    "shapes that do not chain": (
        lambda: pg.from_weights([np.ones((2, 3)), np.ones((1, 3))]),
        r"weights\[1\].*2 columns",
    ),
    "text": (lambda: pg.from_weights([[["a"]]]), r"weights.*'a'"),
    "a boolean": (lambda: pg.from_weights([[[True, 2.0]]]), "weights.*True"),
    "a boolean beside an integer": (lambda: pg.from_weights([[[True, 2]]]), "weights.*True"),
    "booleans": (lambda: pg.from_weights([np.array([[True]])]), "weights.*True"),
    "complex": (lambda: pg.from_weights([np.array([[1j]])]), "weights.*1j"),
    "NaN": (lambda: pg.from_weights([[[1.0]], [[NAN]]]), r"weights: edge \(1, 0\) -> \(2, 0\).*nan"),
    "none": (lambda: pg.from_weights([[[None]]]), "weights"),
    "none for a matrix": (lambda: pg.from_weights([None]), r"weights\[0\]"),
    "text beside a rational": (
        lambda: pg.from_weights([np.array([[Fraction(1), "2"]], dtype=object)], dtype=float),
        "weights.*'2'",
    ),
    "a boolean beside a rational": (
        lambda: pg.from_weights([np.array([[Fraction(1), True]], dtype=object)], dtype=float),
        "weights.*True",
    ),
    "a rational beyond floats": (lambda: pg.from_weights([[[Fraction(10**400)]]], dtype=float), "weights.*range"),
    "a double beyond float32": (lambda: pg.from_weights([[[1e300]]], dtype=np.float32), "weights.*1e.300"),
    "biases without a list": (lambda: pg.from_weights([[[1.0]]], 5), "biases"),
    "too few biases": (lambda: pg.from_weights([[[1.0]]], []), "biases.*1.*0"),
    "biases of another layer": (lambda: pg.from_weights([[[1.0]]], [[1.0, 2.0]]), r"biases\[0\].*\(1,\)"),
    "NaN bias": (lambda: pg.from_weights([[[1.0]]], [[NAN]]), r"biases: neuron \(1, 0\).*nan"),
    "boolean bias": (lambda: pg.from_weights([[[1.0]]], [[True]]), "biases.*True"),
}


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_bad_matrices(name):
    call, words = BAD_MATRICES[name]
    refused(call, pg.ParameterError, words)


# -- arguments of everything else ---------------------------------------------------------------------------------

NET = pg.from_networkx(floats(valid()))
EXACT = pg.from_networkx(valid())
LAYERED = pg.from_weights([[[1.0, 2.0, 3.0]], [[1.0]]])
FIXED = pg.from_networkx(
    dag(
        "x",
        h=relu({"x": 2}),
        s=relu({"h": structural(1)}),
        f=relu({"s": frozen(2)}, structural(1)),
        a=relu({"x": tied("w", 2)}),
        b=identity({"a": tied("w", 2)}),
        y=identity({"f": 1, "b": 1}),
    )
)
SIZE = len(NET.theta)

BAD_ARGUMENTS = {
    # evaluation
    "x of another length": (lambda: NET([1.0]), r"x.*\(\.\.\., 2\).*\(1,\)"),
    "x transposed": (lambda: NET(np.ones((2, 3))), r"x.*\(2, 3\)"),
    "x a number": (lambda: NET(1.0), "x"),
    "x ragged": (lambda: NET([[1, 2], [3]]), "x"),
    "x none": (lambda: NET(None), "x"),
    "x text": (lambda: NET(["a", "b"]), "x"),
    "x complex": (lambda: NET([1j, 2]), "x"),
    "x boolean": (lambda: NET([True, False]), "x"),
    "x NaN": (lambda: NET([NAN, 1]), "x.*finite"),
    "x infinite": (lambda: NET([1, INF]), "x.*finite"),
    "x beyond floats": (lambda: NET([10**400, 1]), "x"),
    "x beyond float32": (lambda: NET.to_float(np.float32)([1e300, 1]), "x.*finite.*float32"),
    "x objects": (lambda: NET(np.array([None, 1], dtype=object)), "x"),
    "x floats to an exact network": (lambda: EXACT([0.5, 1]), "x.*exact"),
    "x a float array to an exact network": (lambda: EXACT(np.ones(2)), "x.*exact"),
    "x ragged to an exact network": (lambda: EXACT([[1, 2], [3]]), "x"),
    "x text to an exact network": (lambda: EXACT(["1", "2"]), "x"),
    # other values
    "theta too short": (lambda: NET.with_theta(np.ones(SIZE - 1)), rf"theta.*\({SIZE},\)"),
    "theta a matrix": (lambda: NET.with_theta(np.ones((SIZE, 1))), "theta"),
    "theta a number": (lambda: NET.with_theta(1.0), "theta"),
    "theta NaN": (lambda: NET.with_theta([NAN] * SIZE), r"theta\[0\].*parameter"),
    "theta boolean": (lambda: NET.with_theta(np.ones(SIZE, dtype=bool)), r"theta\[0\]"),
    "theta complex": (lambda: NET.with_theta(np.ones(SIZE, dtype=complex)), r"theta\[0\]"),
    "theta text": (lambda: NET.with_theta(["1"] * SIZE), r"theta\[0\]"),
    "theta mixed": (lambda: EXACT.with_theta([Fraction(1)] + [0.5] * (SIZE - 1)), r"theta\[1\].*float 0.5"),
    "values too short": (lambda: NET.with_values(NET.values[1:]), "values"),
    "values of two axes": (lambda: pg.Network(NET.architecture, np.ones((SIZE, 3))), "values"),
    "values a number": (lambda: pg.Network(NET.architecture, 3), "values"),
    "values NaN": (lambda: NET.map_values(lambda w: w * NAN), r"values\[0\] \(the weight of"),
    "float32 out of range": (lambda: NET.map_values(lambda w: w * 1e300).to_float(np.float32), "finite|range"),
    "rational out of range": (lambda: EXACT.map_values(lambda w: w * 10**400).to_float(), "range"),
    # lookups
    "lifting of an unknown node": (lambda: pg.path_lifting(NET, node="q"), "'q'"),
    "activations of an unknown node": (lambda: pg.path_activations(NET, [1.0, 1.0], node="q"), "'q'"),
    "activations of a batch": (lambda: pg.path_activations(NET, [[1.0, 1.0]]), r"x.*\(2,\)"),
    "unknown source": (lambda: pg.path_sum(NET, source="q"), "'q'"),
    "unknown target": (lambda: pg.path_sum(NET, target="q"), "'q'"),
    "unhashable target": (lambda: pg.path_sum(NET, target=["y"]), "'y'"),
    "unknown edge": (lambda: NET.weight("x", "y"), "'x' -> 'y'"),
    "unknown bias": (lambda: NET.bias("q"), "'q'"),
    "subnetwork of an unknown node": (lambda: pg.subnetwork(NET, "q", "y"), "'q'"),
    "subnetwork to an unknown node": (lambda: pg.subnetwork(NET, "x", "q"), "'q'"),
    "subnetwork backwards": (lambda: pg.subnetwork(NET, "y", "x"), "'x'.*no path"),
    "subnetwork of one node": (lambda: pg.subnetwork(NET, "h", "h"), "'h'"),
    # path sums
    "max_paths negative": (lambda: pg.path_lifting(NET, max_paths=-1), "max_paths"),
    "max_paths a float": (lambda: pg.path_lifting(NET, max_paths=1e6), "max_paths"),
    "max_paths a boolean": (lambda: pg.path_activations(NET, [1.0, 1.0], max_paths=True), "max_paths"),
    "semiring by name": (lambda: pg.path_sum(NET, "real"), "semiring"),
    "inputs with a source": (lambda: pg.path_sum(NET, inputs=1, source="x"), "inputs.*source"),
    "inputs text": (lambda: pg.path_sum(NET, inputs=["a", "b"]), "inputs"),
    "inputs NaN": (lambda: pg.path_sum(NET, inputs=[NAN, 1.0]), "inputs"),
    "inputs floats to an exact network": (lambda: pg.path_sum(EXACT, inputs=[0.5, 1]), "inputs"),
    "inputs too short": (lambda: pg.path_sum(NET, inputs=[1.0]), "inputs.*2.*1"),
    "inputs unknown": (lambda: pg.path_sum(NET, inputs={"q": 1.0}), "inputs.*'q'"),
    "inputs a hidden neuron": (lambda: pg.path_marginals(NET, inputs={"h": 1.0}), "inputs.*'h'"),
    "masses of other architectures": (lambda: pg.sign_flip_masses(NET, LAYERED), "other.*architecture"),
    "number of paths negative": (lambda: pg.sample_paths(NET, -1, 0), "n:.*-1"),
    "number of paths a float": (lambda: pg.sample_paths(NET, 2.0, 0), "n:.*2.0"),
    "more paths than there is memory": (lambda: pg.sample_paths(NET, 10**400, 0), "n:.*<= 1000000000"),
    "number of paths without a text": (lambda: pg.sample_paths(NET, -(10**5000), 0), "n:.*-1.*e5000"),
    "rng text": (lambda: pg.sample_paths(NET, 1, "seed"), "rng"),
    "rng negative": (lambda: pg.random_rescaling(NET, -1), "rng"),
    "samples beyond all floats": (lambda: pg.generalization_bound(NET, 10**400), "n_samples:.*<= 9007199254740992"),
    # norms
    "q negative": (lambda: pg.path_norm(NET, -1), "q.*-1"),
    "q NaN": (lambda: pg.log_path_norm(NET, NAN), "q.*nan"),
    "q text": (lambda: pg.path_norm(NET, "1"), "q.*'1'"),
    "q none": (lambda: pg.path_norm(NET, None), "q.*None"),
    "q complex": (lambda: pg.path_norm(NET, 1j), "q.*1j"),
    "q boolean": (lambda: pg.path_norm(NET, True), "q.*True"),
    "q a fraction without a text": (lambda: pg.path_norm(NET, Fraction(1, 10**5000)), "q.*1.*e-5000"),
    "q enormous": (lambda: pg.path_norm(NET, 1e9), "q.*infinity"),
    "q minute": (lambda: pg.path_norm(NET, 1e-310), "q"),
    "r zero": (lambda: pg.path_norm(NET, 1, 0), "r:.*0"),
    "r negative": (lambda: pg.log_path_norm(NET, 1, -2), "r:.*-2"),
    "r NaN": (lambda: pg.path_norm(NET, 1, NAN), "r:.*nan"),
    "r text": (lambda: pg.path_norm(NET, 1, "1"), "r:.*'1'"),
    "widths negative": (lambda: pg.path_norm(NET, inputs=[1.0, -1.0]), "inputs.*'z'.*-1"),
    "widths NaN": (lambda: pg.path_norm(NET, inputs=NAN), "inputs"),
    "widths infinite": (lambda: pg.path_norm(NET, inputs=[1.0, INF]), "inputs"),
    "widths beyond floats": (lambda: pg.path_norm(NET, inputs=[10**400, 1]), "inputs"),
    "width without a text": (lambda: pg.path_norm(EXACT, inputs=-(10**5000)), "inputs.*>= 0.*-1e5000"),
    "widths text": (lambda: pg.path_norm(NET, inputs="ab"), "inputs"),
    "widths too many": (lambda: pg.path_norm(NET, inputs=np.ones(3)), "inputs.*2.*3"),
    "widths of two axes": (lambda: pg.path_norm(NET, inputs=np.ones((2, 1))), "inputs"),
    "widths of an unknown input": (lambda: pg.path_norm(NET, inputs={"q": 1.0}), "inputs.*'q'"),
    "widths floats to an exact network": (lambda: pg.path_norm(EXACT, inputs=0.5), "inputs.*exact"),
    "product with q zero": (lambda: pg.operator_norm_product(LAYERED, 0), "q.*0"),
    "product with q text": (lambda: pg.operator_norm_product(LAYERED, "a"), "q.*'a'"),
    "product of a network that is not layered": (lambda: pg.operator_norm_product(NET), "layered.*'x' -> 'm'"),
    # Lipschitz
    "unknown method": (lambda: pg.input_lipschitz(NET, method="best"), "method.*'max-pass'.*'best'"),
    "output norm below one": (lambda: pg.input_lipschitz(NET, r=0.5), "r:.*0.5"),
    "input norm below one": (lambda: pg.input_lipschitz(NET, method="input-paths", input_norm=0), "input_norm.*0"),
    "input norm with the max-pass": (lambda: pg.input_lipschitz(NET, input_norm=2), "input_norm.*input-paths"),
    "input norm with a box": (
        lambda: pg.input_lipschitz(NET, method="input-paths", input_norm=2, inputs=1.0),
        "input_norm.*inputs",
    ),
    "box negative": (lambda: pg.input_lipschitz(NET, inputs=-1.0), "inputs.*-1"),
    # symmetry
    "factors no mapping": (lambda: pg.rescale(NET, [1, 2]), "factors.*mapping"),
    "factor of an unknown node": (lambda: pg.rescale(NET, {"q": 2.0}), "'q'"),
    "factor of an input": (lambda: pg.rescale(NET, {"x": 2.0}), "'x'.*input.*2"),
    "factor of an output": (lambda: pg.rescale(NET, {"y": 2.0}), "'y'.*output.*2"),
    "factor zero": (lambda: pg.rescale(NET, {"h": 0.0}), "'h'.*positive.*0"),
    "factor zero on an identity neuron": (lambda: pg.rescale(FIXED, {"b": 0}), "'b'.*non-zero"),
    "factor negative on a ReLU": (lambda: pg.rescale(NET, {"h": -1.0}), "'h'.*positive.*-1"),
    "factor negative on a pool": (lambda: pg.rescale(NET, {"m": -1.0}), "'m'.*positive.*-1"),
    "factor NaN": (lambda: pg.rescale(NET, {"h": NAN}), r"factors\['h'\].*nan"),
    "factor infinite": (lambda: pg.rescale(NET, {"h": INF}), r"factors\['h'\].*inf"),
    "factor text": (lambda: pg.rescale(NET, {"h": "2"}), r"factors\['h'\].*'2'"),
    "factor a boolean": (lambda: pg.rescale(NET, {"h": True}), r"factors\['h'\].*True"),
    "factor without a text of an output": (lambda: pg.rescale(EXACT, {"y": 10**5000}), "'y'.*output.*1e5000"),
    "factor without a text on a ReLU": (lambda: pg.rescale(EXACT, {"h": -(10**5000)}), "'h'.*positive.*-1e5000"),
    "factor of a float network without a text": (lambda: pg.rescale(NET, {"h": Fraction(1, 10**5000)}), "1e-5000"),
    "factor beyond floats": (lambda: pg.rescale(NET, {"h": 10**400}), "factors"),
    "factor below floats": (lambda: pg.rescale(NET, {"h": Fraction(1, 10**400)}), "factors"),
    "factor a float on an exact network": (lambda: pg.rescale(EXACT, {"h": 2.0}), "'h'.*float"),
    "factor across a structural edge": (lambda: pg.rescale(FIXED, {"h": 2}), "'h' -> 's'.*structural"),
    "factor on a structural bias": (lambda: pg.rescale(FIXED, {"f": 2}), "bias of 'f'.*structural"),
    "factor on a tied weight": (lambda: pg.rescale(FIXED, {"a": 2}), "tied.*'w'"),
    "max_exponent negative": (lambda: pg.random_rescaling(NET, 0, max_exponent=-1), "max_exponent"),
    "max_exponent a float": (lambda: pg.random_rescaling(NET, 0, max_exponent=1.5), "max_exponent"),
    "max_exponent enormous": (lambda: pg.random_rescaling(NET, 0, max_exponent=10**4), "max_exponent"),
    "normal form with q zero": (lambda: pg.normalize(NET, 0), "q.*0"),
    "normal form with q NaN": (lambda: pg.normalize(NET, NAN), "q.*nan"),
    "normal form with q text": (lambda: pg.normalize(NET, "1"), "q.*'1'"),
    "normal form with q none": (lambda: pg.normalize(NET, None), "q.*None"),
    "normal form of fixed entries": (lambda: pg.normalize(FIXED), "structural.*unfreeze"),
    # back ends
    **{
        f"unknown back end of {f.__name__}": (lambda f=f: f(NET, backend="cuda"), "backend.*'numpy'.*'cuda'")
        for f in (pg.path_sum, pg.path_marginals, pg.node_marginals, pg.count_paths, pg.depth, pg.path_norm)
    },
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments(name):
    call, words = BAD_ARGUMENTS[name]
    before = [copy.deepcopy(net) for net in (NET, EXACT, LAYERED, FIXED)]
    refused(call, (pg.ParameterError, pg.GraphError, pg.BackendError), words)
    assert before == [NET, EXACT, LAYERED, FIXED]


HUGE, MANY = 10**5000, [0] * 10**6
OPERATOR, SQUARE = pg.hadamard(4), np.ones((4, 4))
UNSHOWABLE = {
    "parameters": lambda it: pg.set_magnitude(NET, it),
    "a parameter": lambda it: pg.set_magnitude(NET, [it]),
    "a neuron": lambda it: NET.weight(it if isinstance(it, int) else tuple(it), "y"),
    "inputs": lambda it: pg.path_norm(NET, inputs={it if isinstance(it, int) else tuple(it): 1}),
    "source": lambda it: pg.path_sum(NET, source=it if isinstance(it, int) else tuple(it)),
    "semiring": lambda it: pg.path_sum(NET, it),
    "backend": lambda it: pg.path_norm(NET, backend=it),
    "dtype": lambda it: NET.to_float(it),
    "path": lambda it: pg.save(NET, it),
    "method": lambda it: pg.path_metric(NET, NET, method=it),
    "method of pruning": lambda it: pg.prune(NET, 1, method=it),
    "biases": lambda it: pg.prune(NET, 1, biases=it),
    "by": lambda it: pg.parameter_groups(NET, it),
    "quantizer": lambda it: pg.quantize(NET, it),
    "mode": lambda it: pg.Quantizer(it),
    "format": lambda it: pg.Quantizer(step=1, format=it),
    "label": lambda it: pg.quantize(NET, {it if isinstance(it, int) else tuple(it): pg.Quantizer(step=1)}),
    "factors": lambda it: pg.rescale(EXACT, {it if isinstance(it, int) else tuple(it): 0.5}),
    "powers_of_two": lambda it: pg.equalize(NET, powers_of_two=it),
    "loss": lambda it: pg.generalization_bound(NET, 10, loss=it if isinstance(it, list) else -it),
    "weights": lambda it: pg.from_weights([it, it]),
    "order": lambda it: pg.butterfly_factorize(SQUARE, OPERATOR, order=it),
    "rank": lambda it: pg.butterfly_factorize(SQUARE, OPERATOR, rank=it if isinstance(it, list) else -it),
    "patterns": lambda it: pg.butterfly_factorize(SQUARE, it),
    "pattern": lambda it: pg.KSPattern(1, 1, 1, it),
    "n": lambda it: pg.hadamard(it if isinstance(it, list) else it + 1),
    "shape": lambda it: pg.monarch(it, p=1, q=1),
    "role": lambda it: pg.LayerGraphBuilder().tensor("w", np.ones(1), role=it),
    "model": lambda it: pg.from_onnx(it if isinstance(it, int) else "x" * len(it)),
    "paths": lambda it: pg.plot.draw(NET, paths=it if isinstance(it, list) else [it]),
}


@pytest.mark.parametrize("it", [HUGE, MANY], ids=["a number without a text", "a long list"])
@pytest.mark.parametrize("name", UNSHOWABLE)
def test_no_message_is_long_or_fails(name, it):
    with pytest.raises(pg.PathgraphError) as caught:
        UNSHOWABLE[name](it)
    assert len(str(caught.value)) < 1500


class Silent:
    def __repr__(self):
        raise RuntimeError("no text")


def test_an_argument_that_cannot_be_written_is_named_by_its_type():
    deep = functools.reduce(lambda inner, _: [inner], range(10**5), [])
    for it, text in ((Silent(), "a Silent"), ([Silent()], "a list"), (deep, "a list")):
        assert argument_text(it) == text
        with pytest.raises(pg.ParameterError, match=f"^loss: .* got {text}$"):
            pg.generalization_bound(NET, 10, loss=it)


NAMES = [10**5000, (0,) * 10**6, ("a", (10**5000,))]
BADLY_NAMED = {
    "an unknown attribute": {"activaton": "relu"},
    "an unknown activation": {"activation": "tanh"},
    "a rank of no pool": {"activation": "relu", "rank": 2},
    "a bad rank": {"activation": "pool", "rank": 1.5},
    "a large rank": {"activation": "pool", "rank": 10},
    "a bad mark": {"activation": "relu", "output": "yes"},
    "a bias": {"activation": "input", "bias": 1.0},
    "a bias that is none": {"activation": "relu", "bias": float("nan")},
    "an output that is a ReLU": {"activation": "relu", "output": True},
    "a name": {"activation": "relu", "bias": 1.0, "bias_role": "frozen", "bias_parameter": "b"},
}


@pytest.mark.parametrize("name", NAMES, ids=["a long number", "many numbers", "a long number inside"])
@pytest.mark.parametrize("attributes", BADLY_NAMED.values(), ids=BADLY_NAMED)
def test_no_name_of_a_neuron_makes_a_message_long_or_fail(name, attributes):
    graph = nx.DiGraph()
    graph.add_node("x", activation="input")
    graph.add_node(name, **attributes)
    graph.add_node("y", activation="identity")
    graph.add_edge("x", name, weight=1.0)
    graph.add_edge(name, "y", weight=1.0)
    with pytest.raises(pg.PathgraphError) as caught:
        pg.from_networkx(graph)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("name", NAMES, ids=["a long number", "many numbers", "a long number inside"])
def test_nor_does_a_factor_or_a_parameter_of_such_a_name(name):
    net = pg.from_arrays([0, 1], [1.0, 1.0], targets=[1, 2], activation="relu", names=[name, "h", "y"])
    for call in (
        lambda: pg.rescale(net, {name: 2}),
        lambda: pg.rescale(net, {name: "a"}),
        lambda: pg.from_arrays([0], [1.0], targets=[1], activation="relu", names=[name, name]),
        lambda: net.with_theta([np.nan, 1.0]),
        lambda: pg.path_norm(net, inputs={name: -1}),
    ):
        with pytest.raises(pg.PathgraphError) as caught:
            call()
        assert len(str(caught.value)) < 1500


def test_a_rescaling_error_is_told_apart():
    for factors in ({"x": 2}, {"h": -1}, {"h": 2}, {"a": 2}):
        refused(lambda: pg.rescale(FIXED, factors), pg.RescalingError, "factors")  # noqa: B023


@pytest.mark.parametrize("q", [2.0**-20, 1e-3, 0.1, 2**20])
def test_orders_at_the_ends_of_their_range(q):
    """Small orders make enormous numbers: an error or a finite number, never an overflow."""
    for f in (pg.path_norm, pg.normalize, pg.operator_norm_product):
        try:
            found = f(LAYERED, q)
        except pg.PathgraphError as error:
            assert "range" in str(error) or "q:" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(found.theta if f is pg.normalize else found).all()
    assert np.isfinite(pg.log_path_norm(LAYERED, q))


def test_arguments_are_not_mutated():
    weights, bias, x = [np.ones((2, 3)), np.ones((1, 2))], np.ones(2), np.ones((4, 3))
    theta, widths = np.ones(10), np.ones(3)
    given = [*weights, bias, x, theta, widths]
    before = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    net = pg.from_weights(weights, [bias, None])
    net(x)
    net.with_theta(theta)
    pg.path_norm(net, 2, inputs=widths)
    pg.path_sum(net, inputs=widths)
    pg.input_lipschitz(net, inputs=widths)
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))
    factors = {(1, 0): 2.0}
    pg.rescale(net, factors)
    assert factors == {(1, 0): 2.0}


def test_networks_do_not_share_memory_with_the_caller():
    matrix, theta = np.ones((1, 2)), np.ones(2)
    net = pg.from_weights([matrix])
    other = net.with_theta(theta)
    matrix[0, 0] = theta[0] = 7
    assert net.theta.tolist() == other.theta.tolist() == [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        net.theta[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        net.values[0] = 2
    graph = pg.to_networkx(net)
    graph.edges[(0, 0), (1, 0)]["weight"] = 5
    assert net.weight((0, 0), (1, 0)) == 1
