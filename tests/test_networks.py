"""Every registered network: structure, evaluation, other values, round trips. The oracle says what is right."""

import pickle
from fractions import Fraction
from itertools import permutations

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.graph import conversion
from tests.networks import REGISTRY, on_networks
from tests.tolerances import gamma, roundings

# -- structure ----------------------------------------------------------------------------------------------------


@on_networks()
def test_canonical_order(case):
    net, oracle = case.net, case.oracle
    assert list(net.nodes) == oracle.nodes
    assert list(net.inputs) == oracle.inputs
    assert list(net.outputs) == oracle.outputs
    assert list(net.hidden) == [v for v in oracle.nodes if v not in {*oracle.inputs, *oracle.outputs}]
    assert list(net.architecture.activations) == [oracle.kind[v] for v in oracle.nodes]
    for v in net.nodes:
        assert list(net.architecture.antecedents(v)) == oracle.antecedents(v)


@on_networks()
def test_values_of_edges_and_biases(case):
    assert all(case.net.weight(u, v) == w for u, v, w in case.graph.edges.data("weight"))
    assert {v: case.net.bias(v) for v in case.graph} == dict(case.graph.nodes.data("bias"))


@on_networks()
def test_theta_goes_neuron_by_neuron_and_holds_a_tied_parameter_once(case):
    free, fixed = {}, {}
    for v in case.oracle.nodes:
        entries = [((u, v), case.graph.edges[u, v], "") for u in case.oracle.antecedents(v)]
        for key, data, prefix in [*entries, (v, case.graph.nodes[v], "bias_")]:
            value = data.get("bias" if prefix else "weight")
            if value is not None and data.get(prefix + "role"):
                fixed[key] = value
            elif value is not None:
                free.setdefault(data.get(prefix + "parameter", key), value)
    assert dict(zip(case.net.parameters, case.net.theta, strict=True)) == free
    assert list(case.net.parameters) == list(free)
    assert dict(zip(case.net.architecture.fixed_names, case.net.fixed, strict=True)) == fixed
    assert list(case.net.architecture.fixed_names) == list(fixed)


@on_networks()
@pytest.mark.parametrize("by_target", [False, True])
def test_the_edges_of_a_graph_may_be_read_in_both_directions(case, by_target, monkeypatch):
    strides = iter([int(by_target), int(not by_target)])
    monkeypatch.setattr(conversion, "_stride", lambda given: next(strides))
    assert conversion._rows(case.graph)[1] == by_target
    strides = iter([int(by_target), int(not by_target)])
    assert pg.from_networkx(case.graph) == case.net


@pytest.mark.parametrize("strides", [(0, 1), (1, 0)])
def test_errors_name_the_edge_in_both_directions(strides, monkeypatch):
    graph = nx.DiGraph(REGISTRY["skip"].graph)
    graph.edges[list(graph.edges)[-1]]["weight"] = float("nan")
    u, v = list(graph.edges)[-1]
    given = iter(strides)
    monkeypatch.setattr(conversion, "_stride", lambda rows: next(given))
    with pytest.raises(pg.ParameterError, match=f"edge {u!r} -> {v!r}: weight"):
        pg.from_networkx(graph)


def test_parts_of_a_graph_are_read_like_copies_of_them():
    graph = REGISTRY["dense"].graph
    kept = [v for v in graph if v != REGISTRY["dense"].net.hidden[0]]
    for part in (graph.subgraph(kept), nx.freeze(nx.DiGraph(graph.subgraph(kept)))):
        assert pg.from_networkx(part) == pg.from_networkx(nx.DiGraph(graph.subgraph(kept)))


# -- evaluation ---------------------------------------------------------------------------------------------------


@on_networks()
def test_evaluation_at_every_neuron(case):
    for x in case.inputs:
        expected = case.values(x)
        found = case.net.neuron_values(x)
        assert dict(zip(case.net.nodes, found, strict=True)) == expected
        assert case.net(x).tolist() == [expected[v] for v in case.oracle.outputs]
        assert {type(value) for value in found} == {Fraction}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@on_networks()
def test_float_evaluation_is_as_near_as_the_analysis_says(case, dtype):
    rough = case.rough
    net, slack = rough.net.to_float(dtype), gamma(roundings(rough.oracle), dtype)
    for x in case.inputs:
        found = net.neuron_values(np.array(x, dtype=dtype))
        assert found.dtype == dtype
        exact, widths = rough.values(x), {u: abs(value) for u, value in zip(net.inputs, x, strict=True)}
        for v, value in zip(net.nodes, found, strict=True):
            assert abs(Fraction(float(value)) - exact[v]) <= slack * sum(rough.oracle.powers(1, v, widths))


@on_networks()
def test_batches_of_every_shape(case):
    x = np.array(case.inputs[:6], dtype=object)
    rows = case.net(x)
    assert [row.tolist() for row in rows] == [case.net(list(row)).tolist() for row in x]
    assert np.array_equal(case.net(x.reshape(2, 3, -1)), rows.reshape(2, 3, -1))
    for net in (case.net, case.float64):
        assert net(x[:0].astype(net.dtype)).shape == (0, len(net.outputs))
        assert net.neuron_values(np.empty((2, 0, len(net.inputs)), dtype=net.dtype)).shape == (2, 0, len(net.nodes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@on_networks()
def test_a_sample_gives_the_same_bits_in_any_batch(case, dtype):
    net = case.rough.net.to_float(dtype)
    x = np.random.default_rng(0).normal(size=(33, len(net.inputs))).astype(dtype)
    together = net(x)
    for size in (1, 2, 16):
        assert b"".join(net(x[i : i + size]).tobytes() for i in range(0, 33, size)) == together.tobytes()
    assert net(np.asfortranarray(x)).tobytes() == net(x[:, :]).tobytes() == together.tobytes()


@on_networks()
def test_evaluation_leaves_its_input_alone(case):
    x = np.array(case.inputs[3], dtype=np.float64)
    copy = x.copy()
    case.float64(x)
    case.float64.neuron_values(x)
    assert np.array_equal(x, copy)


# -- the same architecture with other values ----------------------------------------------------------------------


@on_networks()
def test_with_theta_changes_the_parameters_only(case):
    theta = [Fraction(3, 2) * value + 1 for value in case.net.theta]
    other = case.net.with_theta(theta)
    assert other.theta.tolist() == theta
    assert other.fixed.tolist() == case.net.fixed.tolist()
    assert other.architecture == case.net.architecture
    assert other.with_theta(case.net.theta) == case.net
    assert case.net.with_values(case.net.values) == case.net.map_values(lambda values: 1 * values) == case.net


@on_networks()
def test_floats_and_rationals(case):
    floats = case.rough.float64
    assert floats.dtype == np.float64
    assert floats.to_exact() == case.rough.net
    assert floats.to_exact().to_float() == floats.to_float() == floats
    assert case.rough.net.to_exact() == case.rough.net
    assert floats.to_float(np.float32).to_float() == floats  # rough values fit in float32
    assert floats.to_exact().is_exact
    assert not floats.is_exact
    assert floats != case.rough.net
    assert all(type(value) is Fraction for value in case.net.theta)


@on_networks()
def test_values_are_read_only(case):
    for array in (case.net.values, case.net.theta, case.net.fixed, case.float64.values):
        assert not array.flags.writeable


# -- round trips --------------------------------------------------------------------------------------------------


def described(graph):
    """Nodes in order and edges, with the attributes that say something."""
    marks = {v: data for v, data in graph.nodes(data=True) if data.get("output")}
    implied = {v for v in graph if not graph.succ[v] and graph.nodes[v]["activation"] != "input"}
    dropped = {"rank": 1} | ({"output": True} if set(marks) == implied else {})
    nodes = [
        (v, {name: value for name, value in data.items() if value is not None and dropped.get(name) != value})
        for v, data in graph.nodes(data=True)
    ]
    return nodes, {(u, v): data for u, v, data in graph.edges(data=True)}


@on_networks()
def test_networkx_round_trip(case):
    written = pg.to_networkx(case.net)
    assert described(written) == described(case.graph)
    for net in (case.net, case.rough.float64, case.rough.net.to_float(np.float32)):
        assert pg.from_networkx(pg.to_networkx(net), dtype=net.dtype) == net
    assert nx.is_frozen(case.net.graph)
    assert described(case.net.graph) == described(written)


@on_networks()
def test_file_round_trip(case, tmp_path):
    for net in (case.net, case.rough.float64, case.rough.net.to_float(np.float32)):
        pg.save(net, tmp_path / "net.npz")
        read = pg.load(str(tmp_path / "net.npz"))
        assert read == net
        assert (read.nodes, read.dtype, read.theta.tolist()) == (net.nodes, net.dtype, net.theta.tolist())
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]


@on_networks()
def test_pickle_equality_and_hash(case):
    for net in (case.net, case.float64):
        copy = pickle.loads(pickle.dumps(net))
        assert copy == net
        assert hash(copy) == hash(net)
        assert copy(case.inputs[1] if net.is_exact else [1.0] * len(net.inputs)).shape == (len(net.outputs),)
        assert hash(copy.architecture) == hash(net.architecture)
        assert not copy.values.flags.writeable
        assert repr(copy) == repr(net)
    changed = case.net.map_values(lambda values: values + 1)
    assert (changed != case.net) == bool(len(case.net.values))
    assert case.net != "a network"


def test_equal_values_on_other_architectures_are_other_networks():
    nets = [pg.from_weights([[[1.0, 2.0]]]), pg.from_weights([[[1.0], [2.0]]]), pg.from_weights([[[1.0]], [[2.0]]])]
    assert len(set(nets)) == 3


# -- weight matrices ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [None, np.float32, np.float64, object])
def test_from_weights_is_the_perceptron(dtype):
    first, second, bias = [[1, -2], [3, 1], [0, 4]], [[1, 1, -1]], [0, 5, -1]
    net = pg.from_weights([first, second], [bias, None], dtype=dtype)
    graph = nx.DiGraph()
    graph.add_nodes_from([(0, 0), (0, 1)], activation="input")
    for i in range(3):
        graph.add_node((1, i), activation="relu", bias=bias[i])
        graph.add_weighted_edges_from(((0, j), (1, i), first[i][j]) for j in range(2))
    graph.add_node((2, 0), activation="identity")
    graph.add_weighted_edges_from(((1, j), (2, 0), second[0][j]) for j in range(3))
    assert net == pg.from_networkx(graph, dtype=dtype)
    assert net.dtype == (dtype or np.float64)
    as_arrays = [np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)]
    if net.dtype != object:
        assert pg.from_weights(as_arrays, [np.array(bias), None], dtype=dtype) == net


@pytest.mark.parametrize("big", [2**53 + 1, 2**63 - 1, 2**64 - 1, 2**70 + 1])
def test_integers_of_any_size_stay_exact(big):
    half = Fraction(1, 2)
    for given in ([[big]], [[big, -1]], np.array([[big]])):
        assert pg.from_weights([given], dtype=object).theta[0] == big
        assert pg.from_weights([given, [[half]]]).theta[0] == big
    net = pg.from_weights([[[half]]])
    assert net.with_theta([big]).theta[0] == net.with_theta(np.array([big])).theta[0] == big
    assert net([big]).tolist() == net(np.array([big])).tolist() == [big * half]


# -- the part between two neurons ---------------------------------------------------------------------------------


@on_networks(lambda case: len(case.graph) < 20)
def test_subnetwork_has_the_paths_between_two_neurons(case):
    for source, target in permutations(case.net.nodes, 2):
        between = list(map(tuple, nx.all_simple_paths(case.graph, source, target)))
        if not between:
            with pytest.raises(pg.GraphError, match="no path"):
                pg.subnetwork(case.net, source, target)
            continue
        part = pg.subnetwork(case.net, source, target)
        lifting = pg.path_lifting(part)
        tail = () if case.oracle.kind[target] == "identity" else ((target, "output"),)
        assert (part.inputs, part.outputs) == ((source,), tail or (target,))
        expected = {(*path, *tail): case.oracle.product_of_edges(path) for path in between}
        assert dict(zip(lifting.paths, lifting.values, strict=True)) == expected


def test_subnetwork_keeps_the_order_of_the_neurons():
    """Also when it is a small part of the network."""
    names = [f"h{i}" for i in range(20)]
    graph = nx.DiGraph()
    graph.add_nodes_from(["x", "z"], activation="input")
    graph.add_nodes_from(names, activation="relu")
    graph.add_nodes_from(["y", "w"], activation="identity")
    graph.add_weighted_edges_from(("x" if i < 6 else "z", name, 1) for i, name in enumerate(names))
    graph.add_weighted_edges_from((name, "y" if i < 6 else "w", 1) for i, name in enumerate(names))
    assert pg.subnetwork(pg.from_networkx(graph), "x", "y").nodes == ("x", *names[:6], "y")
