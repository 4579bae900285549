"""Networks from arrays: the same as from graphs, in any order of the edges; nothing of the caller's is kept."""

import pickle
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import scipy.sparse

import pathgraph as pg
from tests.networks import REGISTRY, on_networks

PARTS = {"antecedents", "weights", "indptr", "activation", "rank", "bias", "biased", "outputs", "roles", "bias_roles"}


def small(**changes):
    """x, z -> h (ReLU, bias 1) -> y, and a pool m of x and h -> y: nodes 0, 1 -> 2; 0, 2 -> 3; 2, 3 -> 4."""
    arguments = {
        "antecedents": np.array([0, 1, 0, 2, 2, 3]),
        "weights": np.array([1.0, -2.0, 1.0, 0.5, 3.0, -1.0]),
        "indptr": np.array([0, 0, 0, 2, 4, 6]),
        "activation": ["input", "input", "relu", "pool", "identity"],
        "bias": [1.0],
        "biased": [2],
    }
    return {key: value for key, value in (arguments | changes).items() if value is not ...}


def shuffled(arrays, seed):
    """The same network: edges in another order, by target; ties follow."""
    random = np.random.default_rng(seed)
    n_edges, n_biases = len(arrays["antecedents"]), len(arrays["biased"])
    edges, biases = random.permutation(n_edges), random.permutation(n_biases)
    targets = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
    new = arrays | {key: arrays[key][edges] for key in ("antecedents", "weights", "roles")}
    new |= {key: arrays[key][biases] for key in ("bias", "biased", "bias_roles")}
    places = np.argsort(np.concatenate([edges, n_edges + biases]))
    new["ties"] = {int(places[entry]): name for entry, name in arrays.get("ties", {}).items()}
    del new["indptr"]
    return new | {"targets": targets[edges]}


# -- the same network as from a graph -----------------------------------------------------------------------------


@on_networks()
def test_round_trip(case):
    for net in (case.net, case.float64, case.net.to_float(np.float32)):
        arrays = pg.to_arrays(net)
        assert set(arrays) - {"names", "ties", "dtype"} == PARTS
        back = pg.from_arrays(**arrays)
        assert back == net
        assert hash(back) == hash(net)
        assert back.parameters == net.parameters
        assert back.dtype == net.dtype


@on_networks()
def test_edges_in_any_order(case):
    for seed in range(3):
        assert pg.from_arrays(**shuffled(pg.to_arrays(case.net), seed)) == case.net


def renumbered(net, seed):
    """The arrays of `net` without names, the neurons numbered at random; and the new number of each neuron."""
    arrays = pg.to_arrays(net)
    n_nodes = len(arrays["activation"])
    number = np.random.default_rng(seed).permutation(n_nodes)
    old = np.argsort(number)
    new = shuffled(arrays, seed)
    new |= {key: number[new[key]] for key in ("antecedents", "targets", "biased")}
    new |= {key: arrays[key][old] for key in ("activation", "rank")}
    new |= {"outputs": np.sort(number[arrays["outputs"]])}
    return {key: value for key, value in new.items() if key != "names"}, number


@on_networks()
def test_numbers_for_names_in_any_order(case):
    arrays, number = renumbered(case.net, 5)
    counted = pg.from_arrays(**arrays)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(number)))
    names = {node: int(number[i]) for i, node in enumerate(case.graph)}
    graph.update(nx.relabel_nodes(case.graph, names))
    for v in graph:
        graph.nodes[v].pop("output", None)
    for v in arrays["outputs"].tolist():
        graph.nodes[v]["output"] = True
    named = pg.from_networkx(graph)
    assert counted == named
    assert named == counted
    assert hash(counted) == hash(named)
    assert tuple(counted.nodes) == named.nodes
    assert (counted.inputs, counted.hidden, counted.outputs) == (named.inputs, named.hidden, named.outputs)
    assert counted.parameters == named.parameters
    assert repr(counted) == repr(named)
    assert pg.path_lifting(counted) == pg.path_lifting(named)
    assert pickle.loads(pickle.dumps(counted)) == counted
    assert pg.from_networkx(pg.to_networkx(counted)) == counted
    assert pg.from_arrays(**pg.to_arrays(counted)) == counted
    assert "names" not in pg.to_arrays(counted)
    for v in named.nodes:
        assert counted.architecture.index(v) == counted.architecture.index(np.int32(v)) == named.architecture.index(v)
        assert counted.bias(v) == named.bias(v)
        assert counted.architecture.antecedents(v) == named.architecture.antecedents(v)
    factors = pg.random_rescaling(named, 0)
    assert pg.rescale(counted, factors) == pg.rescale(named, factors)


@on_networks()
def test_numbered_networks_on_disk(case, tmp_path):
    net = pg.from_arrays(**renumbered(case.net, 6)[0])
    pg.save(net, tmp_path / "net.npz")
    back = pg.load(tmp_path / "net.npz")
    assert back == net
    assert type(back.nodes) is type(net.nodes)


def test_names_of_neurons_are_no_objects():
    net = pg.from_arrays(**small())
    assert net.nodes == range(5)
    assert net.hidden == (2, 3)
    assert net.weight(2, 4) == 3
    for wrong in (5, -1, "2", None, 1.5, (0, 1), [2]):
        with pytest.raises(pg.GraphError, match="no neuron"):
            net.architecture.index(wrong)
    turned = pg.from_arrays([2, 1], [1.0, 2.0], targets=[1, 0], activation="relu")
    assert list(turned.nodes) == [2, 1, 0]
    assert turned.nodes[:2] == (2, 1)
    assert turned.nodes[-1] == 0
    assert turned.nodes.index(0) == 2
    assert turned.nodes.count(1) == 1
    assert turned.nodes.count("1") == 0
    assert 3 not in turned.nodes
    assert turned.nodes == (2, 1, 0)
    assert hash(turned.nodes) == hash((2, 1, 0))
    assert turned.nodes != (0, 1, 2)
    assert repr(turned.nodes) == "(2, 1, 0) (3)"
    with pytest.raises(ValueError, match="not in range"):
        turned.nodes.index(3)
    with pytest.raises(ValueError, match="places"):
        turned.nodes.index(2, 1)


# -- forms of the arguments ---------------------------------------------------------------------------------------


def test_forms_that_say_the_same():
    net = pg.from_arrays(**small())
    targets = [2, 2, 3, 3, 4, 4]
    for same in (
        small(antecedents=[0, 1, 0, 2, 2, 3], weights=[1, -2, 1, 0.5, 3, -1], indptr=[0, 0, 0, 2, 4, 6]),
        small(activation=np.array([0, 0, 2, 3, 1], dtype=np.uint8)),
        small(activation=np.array(["input", "input", "relu", "pool", "identity"], dtype=object)),
        small(biased=np.array([False, False, True, False, False])),
        small(bias=1),
        small(bias=np.float64(1), biased=np.array([2], dtype=np.int16)),
        small(outputs=[4]),
        small(outputs=np.arange(5) == 4),
        small(rank=1),
        small(rank=np.ones(5, dtype=np.int8)),
        small(roles="parameter", bias_roles=0),
        small(roles=[0] * 6, bias_roles=["parameter"]),
        small(ties={}),
        small(ties={0: None}),
        small(dtype=np.float64),
        small(indptr=..., targets=targets),
        small(antecedents=np.array([0, 1, 0, 2, 2, 3], dtype=np.uint64)),
        small(antecedents=np.array([0, 9, 1, 9, 0, 9, 2, 9, 2, 9, 3, 9])[::2]),
        small(antecedents=np.array([0, 1, 0, 2, 2, 3], dtype=">i4")),
        small(weights=np.array([[1.0, -2, 1, 0.5, 3, -1]] * 2, order="F")[0]),
    ):
        assert pg.from_arrays(**same) == net
    read_only = small()
    for value in read_only.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    assert pg.from_arrays(**read_only) == net


def test_a_single_activation():
    net = pg.from_arrays(**small(activation="relu"))
    assert net.architecture.activations == ("input", "input", "relu", "relu", "identity")
    assert pg.from_arrays(**small(activation=2)) == net
    everywhere = pg.from_arrays(**small(activation="relu", bias=7, biased=...))
    assert [everywhere.bias(v) for v in range(5)] == [None, None, 7, 7, 7]


def test_a_sparse_matrix():
    matrix = scipy.sparse.random_array((30, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    matrix = scipy.sparse.csr_array(scipy.sparse.tril(matrix, -1))
    net = pg.from_arrays(matrix.indices, matrix.data, indptr=matrix.indptr, activation="relu")
    v = net.outputs[-1]
    assert all(net.weight(u, v) == matrix[v, u] for u in net.architecture.antecedents(v))
    assert net.architecture.n_edges == matrix.nnz


def test_pools_ranks_roles_and_ties():
    net = pg.from_arrays(**small(rank=2, roles=["frozen"] + ["parameter"] * 5, ties={2: "w", 6: "w"}))
    graph = pg.to_networkx(net)
    assert graph.nodes[3] == {"activation": "pool", "rank": 2}
    assert graph.edges[0, 2] == {"weight": 1.0, "role": "frozen"}
    assert graph.nodes[2]["bias_parameter"] == graph.edges[0, 3]["parameter"] == "w"
    assert pg.from_networkx(graph) == net


def test_types_of_values():
    single = np.array([1, -2, 1, 0.5, 3, -1], dtype=np.float32)
    assert pg.from_arrays(**small(weights=single, bias=1)).dtype == np.float32
    assert pg.from_arrays(**small(weights=single, bias=[1.0])).dtype == np.float64
    assert pg.from_arrays(**small(weights=single, bias=..., biased=...)).dtype == np.float32
    assert pg.from_arrays(**small(dtype=np.float32)).dtype == np.float32
    assert pg.from_arrays(**small(weights=single.astype(np.float16))).dtype == np.float64
    assert pg.from_arrays(**small(weights=[1, 2, 3, 4, 5, 6], bias=[7])).dtype == np.float64
    exact = pg.from_arrays(**small(weights=[Fraction(1, 3)] + [1] * 5, bias=2))
    assert exact.is_exact
    assert exact.values[0] == Fraction(1, 3)
    assert pg.from_arrays(**small(dtype=object)) == pg.from_arrays(**small()).to_exact()
    mixed = pg.from_arrays(**small(weights=np.array([2**62 + 1] * 6), bias=np.array([0.5]), dtype=object))
    assert (mixed.values[0], mixed.bias(2)) == (2**62 + 1, Fraction(1, 2))
    assert pg.from_arrays(**small(weights=np.array([1] * 6), bias=np.array([0.5]))).bias(2) == 0.5
    assert pg.from_arrays(**small(weights=np.array([1.5] * 6), bias=np.array([2], dtype=np.int8))).weight(0, 2) == 1.5
    identity = pg.from_arrays([], [], indptr=[0, 0, 0], activation=["input", "identity"], bias=2)
    assert identity.dtype == np.float64
    assert identity([5.0]) == 2


# -- what the caller holds ----------------------------------------------------------------------------------------


def test_nothing_of_the_callers_is_kept_or_changed():
    arguments = small(
        activation=np.array([0, 0, 2, 3, 1], dtype=np.int8),
        rank=np.ones(5, dtype=np.int64),
        bias=np.array([1.0]),
        biased=np.array([2]),
        outputs=np.array([4]),
        roles=np.array([1, 0, 0, 0, 0, 0], dtype=np.int8),
        bias_roles=np.array([1], dtype=np.int8),
    )
    arguments["antecedents"] = arguments["antecedents"].astype(np.int32)
    before = {key: value.copy() for key, value in arguments.items()}
    net = pg.from_arrays(**arguments)
    same = pickle.loads(pickle.dumps(net))
    for key, value in arguments.items():
        assert value.flags.writeable, key
        assert np.array_equal(value, before[key]), key
        assert not any(np.shares_memory(value, own) for own in (net.values, *net.architecture._arrays())), key
        value[...] = 0
    assert net == same
    for own in (net.values, *net.architecture._arrays()):
        assert not own.flags.writeable
    for value in pg.to_arrays(net).values():
        assert not isinstance(value, np.ndarray) or not np.shares_memory(value, net.values) or not value.flags.writeable


def test_lazily_made_arrays_are_not_made():
    net = pg.from_arrays(**small())
    pg.path_norm(net)
    net([1.0, 2.0])
    assert repr(net)
    assert net == pg.from_arrays(**small())
    made = set(vars(net.architecture)) - set(net.architecture.__dataclass_fields__)
    assert not made & {"target", "theta_order", "parameter", "first_entry", "_indices", "hidden", "activations"}
    assert net.architecture.antecedent.itemsize == 4
    assert net.architecture.role.strides == (0,)


# -- what is refused ----------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")

REFUSED = {
    "unequal lengths": (small(weights=[1.0] * 5), pg.ParameterError, r"weights: needed shape \(6,\)"),
    "matrix of weights": (small(weights=np.ones((6, 1))), pg.ParameterError, r"weights: .*\(6, 1\)"),
    "NaN": (small(weights=[1.0, NAN, 1, 1, 1, 1]), pg.ParameterError, "weights: the weight of 1 -> 2: .*finite"),
    "NaN in an array": (small(weights=np.array([1, NAN, 1, 1, 1, 1])), pg.ParameterError, "weights: .* 1 -> 2: .*nan"),
    "infinite bias": (small(bias=[INF]), pg.ParameterError, "bias: the bias of 2: .*finite"),
    "NaN as the single bias": (small(bias=NAN), pg.ParameterError, "bias: the bias of 2: .*finite"),
    "too large for float32": (
        small(weights=[1e39] * 6, dtype=np.float32),
        pg.ParameterError,
        "weights: .*finite.*float32",
    ),
    "too large as a single bias": (small(bias=1e39, dtype=np.float32), pg.ParameterError, "bias: .*inf"),
    "huge single bias": (small(bias=10**400), pg.ParameterError, "bias: .*beyond the range"),
    "boolean weights": (small(weights=np.ones(6, dtype=bool)), pg.ParameterError, "weights: .*real number"),
    "complex weights": (small(weights=np.ones(6) * 1j), pg.ParameterError, "weights: .*real number"),
    "words for weights": (small(weights=["1"] * 6), pg.ParameterError, "weights: .*real number"),
    "a word for a bias": (small(bias="1"), pg.ParameterError, "bias: .*real number"),
    "masked weights": (small(weights=np.ma.ones(6)), pg.ParameterError, "weights: .*mask"),
    "float beside Fraction": (small(weights=[Fraction(1)] * 6), pg.ParameterError, "bias: .*exact number"),
    "dtype": (small(dtype=np.float16), pg.ParameterError, "dtype: "),
    "float antecedents": (small(antecedents=[0.0, 1, 0, 2, 2, 3]), pg.ParameterError, "antecedents: .*float64.*astype"),
    "boolean antecedents": (small(antecedents=[False] * 6), pg.ParameterError, "antecedents: .*bool"),
    "huge antecedents": (small(antecedents=[2**70] * 6), pg.ParameterError, "antecedents: .*object"),
    "matrix of antecedents": (
        small(antecedents=np.ones((2, 3), dtype=int)),
        pg.ParameterError,
        r"antecedents: .*\(2, 3",
    ),
    "ragged antecedents": (small(antecedents=[[0], [1, 2]]), pg.ParameterError, "antecedents: needed"),
    "masked antecedents": (small(antecedents=np.ma.ones(6, dtype=int)), pg.ParameterError, "antecedents: .*mask"),
    "sparse matrix": (small(antecedents=scipy.sparse.eye_array(6)), pg.ParameterError, "antecedents: .*M.indices"),
    "negative": (small(antecedents=[0, -1, 0, 2, 2, 3]), pg.ParameterError, "antecedents: .*0 to 4.*-1 at place 1"),
    "out of range": (small(antecedents=[0, 5, 0, 2, 2, 3]), pg.ParameterError, "antecedents: .*0 to 4.*5 at place 1"),
    "64 bits that wrap around": (
        small(antecedents=np.array([0, 2**64 - 1, 0, 2, 2, 3], dtype=np.uint64)),
        pg.ParameterError,
        "antecedents: .*18446744073709551615 at place 1",
    ),
    "32 bits that wrap around": (
        small(antecedents=np.array([0, 2**32 + 1, 0, 2, 2, 3])),
        pg.ParameterError,
        "antecedents: .*4294967297 at place 1",
    ),
    "neither": (small(indptr=...), pg.ParameterError, "indptr, targets: .*neither"),
    "both": (small(targets=[2, 2, 3, 3, 4, 4]), pg.ParameterError, "indptr, targets: .*both"),
    "decreasing indptr": (small(indptr=[0, 0, 3, 2, 4, 6]), pg.ParameterError, "indptr: .*3 and then 2 at neuron 2"),
    "overflowing indptr": (
        small(indptr=np.array([0, 0, 2**31 - 1, -(2**31), 4, 6], dtype=np.int32)),
        pg.ParameterError,
        "indptr: .*int64",
    ),
    "indptr from 1": (small(indptr=[1, 1, 1, 2, 4, 6]), pg.ParameterError, "indptr: .*got 1 and 6"),
    "short indptr": (small(indptr=[0, 0, 0, 2, 4, 5]), pg.ParameterError, "indptr: .*6 at last.*0 and 5"),
    "empty indptr": (small(indptr=[]), pg.GraphError, "at least one node"),
    "float indptr": (small(indptr=[0.0, 0, 0, 2, 4, 6]), pg.ParameterError, "indptr: .*float64"),
    "short targets": (small(indptr=..., targets=[2, 2, 3]), pg.ParameterError, "targets: needed 6"),
    "targets out of range": (
        small(indptr=..., targets=[2, 2, 3, 3, 4, 5]),
        pg.ParameterError,
        "targets: .*5 at place 5",
    ),
    "no neurons": (
        {"antecedents": [], "weights": [], "targets": [], "activation": "relu"},
        pg.GraphError,
        "at least one node",
    ),
    "targets with gaps": (
        {"antecedents": [0], "weights": [1.0], "targets": [10**15], "activation": "relu"},
        pg.ParameterError,
        "targets: .*1000000000000000.*activation for each",
    ),
    "duplicate": (small(antecedents=[0, 0, 0, 2, 2, 3]), pg.GraphError, "edge 0 -> 2 came twice"),
    "duplicate apart": (
        small(indptr=..., targets=[2, 2, 3, 3, 4, 3], antecedents=[0, 1, 0, 2, 3, 0]),
        pg.GraphError,
        "edge 0 -> 3 came twice",
    ),
    "cycle": (small(antecedents=[0, 4, 0, 2, 2, 3]), pg.GraphError, "acyclic.*cycle 2 -> (3 -> )?4 -> .*unroll"),
    "self-loop": (small(antecedents=[0, 2, 0, 2, 2, 3]), pg.GraphError, r"cycle 2 -> \.\.\. \(1 long\)"),
    "activation": (small(activation=[*"abcde"]), pg.ParameterError, "activation: .*'relu'.*'a' at place 0"),
    "single activation": (small(activation="tanh"), pg.ParameterError, "activation: .*'tanh'"),
    "activation code": (small(activation=[0, 0, 2, 4, 1]), pg.ParameterError, "activation: .*4 at place 3"),
    "float activation": (small(activation=np.zeros(5)), pg.ParameterError, "activation: .*float64"),
    "activations": (small(activation=["input"] * 4), pg.ParameterError, "activation: .*5 of them, got 4"),
    "input inside": (small(activation="input"), pg.GraphError, "input has no predecessors"),
    "no input": (small(activation=[1, 1, 2, 3, 1]), pg.GraphError, "needs an input"),
    "rank": (small(rank=3), pg.GraphError, "node 3: a pool's rank.*2, got 3"),
    "rank elsewhere": (small(rank=[1, 1, 2, 1, 1]), pg.GraphError, "node 2: only a pool"),
    "float rank": (small(rank=1.5), pg.ParameterError, "rank: .*float64"),
    "bias of an input": (small(biased=[0]), pg.GraphError, "node 0: an input has no bias"),
    "two biases": (small(biased=[2, 2], bias=[1.0, 2.0]), pg.GraphError, "node 2: two biases"),
    "biased out of range": (small(biased=[7]), pg.ParameterError, "biased: .*0 to 4.*7"),
    "short mask": (small(biased=np.array([True])), pg.ParameterError, r"biased: .*mask.*\(5,\)"),
    "biases": (small(bias=[1.0, 2.0]), pg.ParameterError, r"bias: needed shape \(1,\)"),
    "biased without bias": (small(bias=...), pg.ParameterError, "biased: .*no bias came"),
    "outputs out of order": (small(outputs=[4, 3]), pg.ParameterError, "outputs: .*increasing"),
    "output twice": (small(outputs=[4, 4]), pg.ParameterError, "outputs: .*once"),
    "output inside": (small(outputs=[2]), pg.GraphError, "node 2: an output must be an identity"),
    "no output": (small(outputs=[]), pg.GraphError, r"needs an output; mark .* outputs=\[...\] for arrays"),
    "role": (small(roles="fixed"), pg.ParameterError, "roles: .*'frozen'.*'fixed'"),
    "roles": (small(roles=[0, 0]), pg.ParameterError, "roles: .*6 of them, got 2"),
    "roles of biases": (small(bias_roles=[0, 0]), pg.ParameterError, "bias_roles: .*1 of them, got 2"),
    "ties": (small(ties=["w"]), pg.ParameterError, "ties: needed a mapping"),
    "tie out of range": (small(ties={7: "w"}), pg.ParameterError, "ties: .*0 to 6, got 7"),
    "tie without a hash": (small(ties={0: ["w"]}), pg.ParameterError, "ties: .*hashable"),
    "unequal ties": (small(ties={0: "w", 1: "w"}), pg.GraphError, "'w'.*must be equal"),
    "tie named like an edge": (small(ties={0: (2, 4)}), pg.GraphError, "ties: .*name of an edge"),
    "tie named like a bias": (small(ties={0: 2}), pg.GraphError, "ties: .*neuron with a bias"),
    "tie on a frozen weight": (small(ties={0: "w"}, roles="frozen"), pg.GraphError, "0 -> 2.*fixed value"),
    "few names": (small(names="abcd"), pg.ParameterError, "names: .*'abcd'"),
    "wrong number of names": (small(names=[*"abcd"]), pg.ParameterError, "names: needed 5 .*got 4"),
    "one name twice": (small(names=[*"abcda"]), pg.ParameterError, "names: .*'a'"),
    "no name": (small(names=[*"abcd", None]), pg.ParameterError, "names: .*None"),
    "a name without a hash": (small(names=[*"abcd", ([],)]), pg.ParameterError, "names: .*hashable"),
    "no sequence of names": (small(names=3), pg.ParameterError, "names: needed a sequence"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason):
    arguments, error, message = REFUSED[reason]
    before = {key: np.copy(value) for key, value in arguments.items() if type(value) is np.ndarray}
    with pytest.raises(error, match=message):
        pg.from_arrays(**arguments)
    for key, value in before.items():
        assert np.array_equal(arguments[key], value, equal_nan=value.dtype.kind == "f")


def test_messages_use_the_names():
    with pytest.raises(pg.GraphError, match="edge 'x' -> 'h' came twice"):
        pg.from_arrays(**small(antecedents=[0, 0, 0, 2, 2, 3], names=[*"xzhmy"]))
    with pytest.raises(pg.GraphError, match="cycle 'h' -> "):
        pg.from_arrays(**small(antecedents=[0, 4, 0, 2, 2, 3], names=[*"xzhmy"]))
    assert pg.from_arrays(**small(names=np.array([*"xzhmy"]))).nodes == (*"xzhmy",)


# -- sizes --------------------------------------------------------------------------------------------------------


def test_graphs_of_networkx_are_guarded(monkeypatch):
    net = REGISTRY["fixed_bias"].float64
    n_edges = net.architecture.n_edges
    with pytest.raises(pg.ParameterError, match=rf"max_edges: .* {n_edges} edges.*GiB.*max_edges={n_edges}"):
        pg.to_networkx(net, max_edges=n_edges - 1)
    assert pg.from_networkx(pg.to_networkx(net, max_edges=n_edges)) == net
    with pytest.raises(pg.ParameterError, match="max_edges: needed an integer"):
        pg.to_networkx(net, max_edges=-1)
    width = 1500
    large = pg.from_weights([np.ones((width, width)), np.ones((1, width))])
    with pytest.raises(pg.ParameterError, match=r"2251500 edges.*0\.69 GiB.*to_networkx\(net, max_edges=2251500\)"):
        _ = large.graph
    assert pg.path_norm(large) == width**2
