"""Building layer graphs: what is fused, what gets identity neurons, what is refused, and what a graph then is."""

import inspect
import pickle
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.errors import GraphError, ParameterError, RangeError
from pathgraph.layers import Signal
from tests.tolerances import float_slack


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-3, 4, size=shape)


def kinds(graph):
    return [layer.kind for layer in graph.layers]


@pytest.fixture
def build():
    return pg.LayerGraphBuilder()


# -- structure ----------------------------------------------------------------------------------------------------


def test_a_relu_is_the_activation_of_the_layer_that_it_alone_reads(build):
    x = build.linear(build.input((2,)), build.tensor("w", integers((3, 2))))
    graph = build.build(build.linear(build.relu(x), build.tensor("v", integers((1, 3)))))
    assert [(layer.kind, layer.activation) for layer in graph.layers] == [
        ("input", "input"),
        ("linear", "relu"),
        ("linear", "identity"),
    ]


def test_a_relu_of_what_others_read_has_neurons_of_its_own(build):
    x = build.linear(build.input((2,)), build.tensor("w", integers((3, 2))))
    graph = build.build(build.add([build.relu(x), x]))
    assert kinds(graph) == ["input", "linear", "relu", "add"]
    rows = integers((4, 2), 1)
    z = rows @ integers((3, 2)).T
    assert (graph(rows) == z + np.maximum(z, 0)).all()


@pytest.mark.parametrize("make", ["input", "view", "pool"])
def test_a_relu_of_what_has_no_activation_to_give_has_neurons_of_its_own(build, make):
    x = build.input((1, 4))
    x = {"input": lambda: x, "view": lambda: build.flatten(build.copy(x)), "pool": lambda: build.max_pool(x, 2)}[make]()
    graph = build.build(build.copy(build.relu(x)))
    assert "relu" in kinds(graph)


@pytest.mark.parametrize(
    ("make", "copies"),
    [
        (lambda b, x: x, 1),
        (lambda b, x: b.relu(b.copy(x)), 1),
        (lambda b, x: b.max_pool(x, 2), 1),
        (lambda b, x: b.flatten(x), 1),
        (lambda b, x: b.copy(x), 0),
        (lambda b, x: b.flatten(b.copy(x)), 0),
        (lambda b, x: b.take(b.copy(x), (0, slice(0, 2))), 1),
        (lambda b, x: b.concatenate([b.copy(x), b.copy(x)], 1), 0),
        (lambda b, x: b.concatenate([b.copy(x), b.relu(b.copy(x))], 1), 1),
    ],
)
def test_outputs_are_identity_neurons_without_successors(build, make, copies):
    graph = build.build(make(build, build.input((1, 4))))
    names = [layer.name for layer in graph.layers if layer.name.startswith("output")]
    assert len(names) == copies
    rows = np.arange(-4, 4).reshape(2, 1, 4)
    assert len(graph(rows)) == 2


def test_an_output_that_others_read_or_that_is_asked_twice_gets_copies(build):
    x = build.copy(build.input((2,)))
    graph = build.build([x, build.copy(x)])
    assert list(graph.output_shapes) == ["output", "copy2"]
    again = pg.LayerGraphBuilder()
    y = again.copy(again.input((2,)))
    twice = again.build([y, y])
    assert len(set(twice.output_shapes)) == 2
    assert all((part == [[1, 2]]).all() for part in twice([[1, 2]]))


def test_parallel_edges_get_identity_neurons(build):
    x = build.input((3,))
    graph = build.build(build.add([x, x, x]))
    assert kinds(graph) == ["input", "copy", "copy", "add"]
    assert (graph([[1, 2, 3]]) == [[3, 6, 9]]).all()


def test_a_sum_with_another_part_of_the_same_tensor_has_no_parallel_edges(build):
    x = build.input((4,))
    halves = [build.take(x, slice(0, 2)), build.take(x, slice(2, 4))]
    graph = build.build(build.add(halves, signs=[1, -1]))
    assert kinds(graph) == ["input", "take", "take", "add"]
    assert (graph([[1, 2, 3, 5]]) == [[-2, -3]]).all()


def test_concatenating_a_tensor_with_itself_copies_it_and_a_shuffle_does_not(build):
    x = build.input((4,))
    both = build.concatenate([x, x])
    shuffled = build.concatenate([build.take(x, slice(2, 4)), build.take(x, slice(0, 2))])
    w = build.tensor("w", integers((2, 8)))
    v = build.tensor("v", integers((2, 4), 1))
    graph = build.build(build.add([build.linear(both, w), build.linear(shuffled, v)]))
    assert kinds(graph).count("copy") == 1
    rows = integers((3, 4), 2)
    expected = np.tile(rows, 2) @ integers((2, 8)).T + rows[:, [2, 3, 0, 1]] @ integers((2, 4), 1).T
    assert (graph(rows) == expected).all()


def test_views_are_other_names_of_positions(build):
    x = build.input((2, 3))
    y = build.reshape(build.transpose(x, (1, 0)), (2, -1))
    graph = build.build(build.copy(build.take(y, (slice(None), slice(None, None, -1)))))
    rows = np.arange(12).reshape(2, 2, 3)
    expected = rows.transpose(0, 2, 1).reshape(2, 2, 3)[:, :, ::-1]
    assert (graph(rows) == expected).all()
    assert graph.architecture.n_neurons == 12


def test_a_handle_used_twice_is_one_tensor(build):
    w = build.tensor("w", [[2]])
    x = build.input((1,))
    graph = build.build(build.linear(build.relu(build.linear(x, w)), w))
    assert list(graph.parameters) == ["w"]
    assert graph([[3]]) == 12
    assert graph.with_parameters({"w": [[5]]})([[1]]) == 25


def test_constants_shifts_and_scales(build):
    x = build.input((2, 2))
    c = build.constant(build.tensor("c", [[1, 2], [3, 4]]))
    y = build.shift(build.scale(x, build.tensor("s", [[2], [3]])), build.tensor("t", [10, 20]))
    graph = build.build(build.add([y, c], signs=[1, -1]))
    rows = np.ones((1, 2, 2))
    assert (graph(rows)[0] == rows[0] * [[2], [3]] + [10, 20] - [[1, 2], [3, 4]]).all()


def test_several_inputs_and_outputs(build):
    x, z = build.input((2,), name="left"), build.input((1, 2), name="right")
    graph = build.build([build.add([x, z]), build.relu(x)])
    assert graph.input_shapes == {"left": (2,), "right": (1, 2)}
    one, other = graph([[1, -2]], [[[5, 5]]])
    assert one.tolist() == [[[6, 3]]]
    assert other.tolist() == [[1, 0]]
    with pytest.raises(ParameterError, match="2 arrays, one per input"):
        graph([[1, 2]])
    with pytest.raises(ParameterError, match="one batch size"):
        graph(np.ones((2, 2)), np.ones((3, 1, 2)))


# -- values -------------------------------------------------------------------------------------------------------


def small(build):
    """A convolution, a batch-norm, a pool, a skip and a linear layer, in Fractions."""
    x = build.input((2, 4, 4))
    w = build.tensor("conv.weight", integers((2, 2, 3, 3)) * Fraction(1, 3))
    b = build.tensor("conv.bias", [Fraction(1, 2), 2])
    y = build.convolution(x, w, b, padding=1)
    y = build.batch_norm(y, build.tensor("s", [2, -1], role="frozen"), build.tensor("t", [1, 3], role="frozen"))
    y = build.add([build.relu(y), x])
    y = build.average_pool(build.max_pool(y, 2, stride=1), 3)
    return build.linear(build.flatten(y), build.tensor("fc", integers((3, 2), 5)))


def test_exact_graphs_are_evaluated_exactly_and_floats_agree(build):
    graph = build.build(small(build))
    assert graph.is_exact
    rows = integers((3, 2, 4, 4), 7).astype(object)
    exact = graph(rows)
    assert all(isinstance(v, Fraction) for v in exact.flat)
    floats = graph.to_float()
    (slack,) = float_slack(floats, rows, dtype=np.float64)  # of two evaluations: thirds among the entries round less
    assert (abs(floats(rows.astype(float)) - exact.astype(float)) <= slack).all()
    assert graph.to_float(np.float32).dtype == np.float32
    assert graph.to_float().to_exact() != graph, "1/3 is no float"


def test_fractions_reach_the_coefficients_of_fixed_maps(build):
    graph = build.build(small(build))
    pool = next(name for name in graph.entries_by_name if name.startswith("average_pool"))
    assert graph.entries_by_name[pool].item() == Fraction(1, 9)
    assert graph.roles[pool] == "structural"


@pytest.mark.parametrize("role", ["parameter", "frozen", "structural"])
def test_a_fraction_in_a_tensor_of_any_role_makes_a_graph_exact(build, role):
    x = build.scale(build.input((3,)), build.tensor("thirds", [Fraction(1, 3)] * 3, role=role))
    graph = build.build(build.add([x, build.mean(x, 0)]))
    assert graph.is_exact
    assert graph([[1, 1, 4]]).tolist() == [[1, 1, 2]]


def test_what_layers_make_by_themselves_follows_the_floats(build):
    x = build.input((3,))
    graph = build.build(build.add([build.mean(x, 0), build.scale(x, build.tensor("factor", [np.float32(2)]))]))
    assert graph.dtype == np.float32
    alone = pg.LayerGraphBuilder()
    assert alone.build(alone.mean(alone.input((3,)), 0)).dtype == np.float64


def test_folding_keeps_the_function_exactly(build):
    graph = build.build(small(build))
    folded = graph.fold_batch_norm()
    assert "batch_norm" not in kinds(folded)
    assert "s" not in folded.entries_by_name
    rows = integers((3, 2, 4, 4), 7).astype(object)
    assert (folded(rows) == graph(rows)).all()


@pytest.mark.parametrize("groups", [1, 2])
def test_folding_into_transposed_convolutions_and_without_bias(build, groups):
    x = build.input((4, 2))
    y = build.transposed_convolution(
        x, build.tensor("up.weight", integers((4, 3, 2)) * Fraction(1)), stride=2, groups=groups
    )
    s = build.tensor("s", np.arange(1, 3 * groups + 1), role="frozen")
    t = build.tensor("t", np.arange(3 * groups), role="frozen")
    graph = build.build(build.batch_norm(y, s, t))
    folded = graph.fold_batch_norm()
    assert list(folded.parameters) == ["up.weight", "up.bias"]
    rows = integers((2, 4, 2), 3).astype(object)
    assert (folded(rows) == graph(rows)).all()


def test_a_batch_norm_of_what_others_read_is_not_folded(build):
    x = build.linear(build.input((2,)), build.tensor("w", [[1, 2]]))
    y = build.batch_norm(x, build.tensor("s", [3], role="frozen"))
    graph = build.build(build.add([x, y]))
    assert graph.fold_batch_norm() == graph


def test_graphs_are_values(build):
    graph = build.build(small(build))
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert hash(pickle.loads(pickle.dumps(graph))) == hash(graph)
    other = graph.with_parameters({"fc": integers((3, 2), 6)})
    assert other != graph
    assert other.architecture == graph.architecture
    assert graph.graph.nodes["linear1"]["kind"] == "linear"
    assert "LayerGraph(" in repr(graph)
    with pytest.raises(ValueError, match="read-only"):
        graph.parameters["fc"][0, 0] = 1


def test_float32_stays_float32(build):
    w = build.tensor("w", np.ones((1, 2), dtype=np.float32))
    graph = build.build(build.shift(build.linear(build.input((2,)), w), build.tensor("b", [1])))
    assert graph.dtype == np.float32
    assert graph(np.ones((1, 2))).dtype == np.float32


def test_overflow_is_an_error(build):
    w = build.tensor("w", np.array([[1e200]]))
    graph = build.build(build.linear(build.linear(build.input((1,)), w), w))
    with pytest.raises(RangeError, match="leaves the range of float64"):
        graph([[1.0]])


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b, x: b.linear(x, b.tensor("w", np.ones((2, 3)))), "needed shape .n_out, 4. for the last axis"),
        (lambda b, x: b.linear(x, np.ones((2, 4))), "needed a handle made by .tensor"),
        (lambda b, x: b.linear(x, b.tensor("w", np.ones(4))), "'w' needed 2 axes"),
        (lambda b, x: b.convolution(x, b.tensor("w", np.ones((1, 3, 2)))), "needed shape .channels, 2 / 1 groups"),
        (lambda b, x: b.convolution(x, b.tensor("w", np.ones((1, 2, 9)))), "does not fit into 'input'"),
        (lambda b, x: b.convolution(x, b.tensor("w", np.ones((1, 2, 2))), stride=0), "stride: needed an integer >= 1"),
        (lambda b, x: b.convolution(x, b.tensor("w", np.ones((1, 2, 2))), padding=(1, 2)), "padding: needed one"),
        (lambda b, x: b.convolution(x, b.tensor("w", np.ones((3, 1, 2))), groups=2), "multiple of groups"),
        (lambda b, x: b.max_pool(x, 5), "no window fits"),
        (lambda b, x: b.max_pool(x, 2, rank=3), "needed at most 2, the entries of the smallest window, got 3"),
        (lambda b, x: b.scale(x, b.tensor("s", np.ones(3))), "needed a shape that broadcasts to"),
        (lambda b, x: b.batch_norm(x, b.tensor("s", np.ones(3))), "one per channel"),
        (lambda b, x: b.add([x, b.input((3,))]), "do not broadcast to one"),
        (lambda b, x: b.add([x], signs=[2]), "signs: needed 1 or -1"),
        (lambda b, x: b.concatenate([x, b.input((2, 3))], 0), "equal shapes but for axis 0"),
        (lambda b, x: b.reshape(x, (3, -1)), "cannot be reshaped"),
        (lambda b, x: b.transpose(x, (0, 0)), "an order of the axes"),
        (lambda b, x: b.take(x, [0, 1]), "needed integers, slices"),
        (lambda b, x: b.take(x, 7), "does not fit the shape"),
        (lambda b, x: b.mean(x, 2), "needed an axis"),
        (lambda b, x: b.pad(x, [(1, 1)]), "a pair for each axis"),
        (lambda b, x: b.pad(x, [(-1, 1), (0, 0)]), "widths: needed an integer >= 0"),
        (lambda b, x: b.fixed_linear(x, np.ones((3, 7)), (3,)), "matrix: needed shape .3, 8."),
        (lambda b, x: b.relu(Signal("nowhere", (2,))), "needed a signal made by this builder"),
        (lambda b, x: b.batch_norm(x, None), "scale: needed a handle"),
        (lambda b, x: b.batch_norm(x, b.tensor("s", np.ones(2)), [1, 2]), "shift: needed a handle"),
        (lambda b, x: b.relu(x, name="input"), "a name that no layer has yet"),
        (lambda b, x: b.tensor("w", [[1], [1, 2]]), "rectangular"),
        (lambda b, x: b.tensor("w", ["a"]), "needed real numbers"),
        (lambda b, x: b.tensor("w", [1], role="loose"), "role: needed one of"),
        (lambda b, x: b.build([]), "needed at least one signal"),
        (lambda b, x: b.build(b.shift(x, b.tensor("b", [np.nan]))), r"b\[0\]: needed a finite number"),
        (
            lambda b, x: b.build(b.shift(b.shift(x, b.tensor("b", [Fraction(1)])), b.tensor("c", [0.5]))),
            "needed exact numbers beside Fractions, got floats in 'c'",
        ),
        (
            lambda b, x: b.build(
                b.shift(b.scale(x, b.tensor("k", [Fraction(1)], role="structural")), b.tensor("c", [0.5]))
            ),
            "needed exact numbers beside Fractions, got floats in 'c'",
        ),
    ],
)
def test_bad_layers_are_refused_with_what_was_needed(build, make, message):
    x = build.input((2, 4))
    with pytest.raises((ParameterError, GraphError), match=message):
        make(build, x)


TAKING_SIGNALS = [
    (name, first)
    for name, method in inspect.getmembers(pg.LayerGraphBuilder, inspect.isfunction)
    for first in list(inspect.signature(method).parameters)[1:2]
    if not name.startswith("_") and first in ("x", "xs", "outputs")
]


@pytest.mark.parametrize(("name", "first"), TAKING_SIGNALS)
def test_what_is_no_signal_of_the_builder_is_refused_by_name(build, name, first):
    """Before anything else is looked at, and also if another builder has a signal of that name and another shape."""
    x = build.input((2, 4))
    method = getattr(build, name)
    others = [p for p in list(inspect.signature(method).parameters.values())[1:] if p.default is p.empty]
    rest = [None] * sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in others)
    foreign = pg.LayerGraphBuilder().input((3, 4))
    wrong = [None, 1, [1], np.ones(2), np.array(1), "input", foreign, [x, foreign], [x, None], Signal("nowhere", ())]
    for value in wrong:
        with pytest.raises(ParameterError, match=rf"^{first}: needed a .*made by this builder, got"):
            method(value, *rest)
        with pytest.raises(ParameterError, match=rf"^{first}: needed a .*made by this builder, got"):
            method(**{first: value}, **{p.name: None for p in others})
    assert len(build._drafts) == 1


def test_methods_of_builders_keep_their_signatures():
    assert len(TAKING_SIGNALS) == 26
    assert list(inspect.signature(pg.LayerGraphBuilder.relu).parameters) == ["self", "x", "name"]
    x = (build := pg.LayerGraphBuilder()).input((2,))
    assert build.build(outputs=build.add(xs=iter([x, build.copy(x=x)])))([[1, 2]]).tolist() == [[2, 4]]


def test_a_graph_without_input_is_refused(build):
    with pytest.raises(GraphError, match="no input"):
        build.build(build.constant(build.tensor("c", [1])))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"nothing": [1]}, "no tensor of the graph"),
        ({"fc": [1]}, "'fc' needed shape"),
        ({"fc": np.full((3, 2), 0.5)}, "needed an exact number"),
        ({"add1.skip0": [2]}, "structural"),
    ],
)
def test_other_parameters_are_checked(build, parameters, message):
    graph = build.build(small(build))
    with pytest.raises(ParameterError, match=message):
        graph.with_parameters(parameters)


def test_inputs_are_checked(build):
    graph = build.build(small(build)).to_float()
    with pytest.raises(ParameterError, match=r"needed shape \(batch, 2, 4, 4\), got \(2, 4, 4\); a single input is x"):
        graph(np.ones((2, 4, 4)))
    with pytest.raises(ParameterError, match=r"got \(4, 4\)$"):  # x[None] would not help
        graph(np.ones((4, 4)))
    with pytest.raises(ParameterError, match="needed a finite number"):
        graph(np.full((1, 2, 4, 4), np.inf))
    assert graph(np.ones((0, 2, 4, 4))).shape == (0, 3)


@pytest.mark.parametrize(
    ("index", "other"),
    [
        (0, (0, slice(None))),
        ((Ellipsis, 1), (slice(None), 1)),
        ((slice(0, 2), Ellipsis), slice(None)),
        ((-1, slice(None, None, -1)), (1, slice(2, None, -1), Ellipsis)),
        ((None, slice(-2, 9)), (None, slice(0, 2, 1), slice(0, 3))),
    ],
)
def test_indices_that_take_the_same_are_the_same(index, other):
    taken = []
    for each in (index, other):
        build = pg.LayerGraphBuilder()
        x = build.input((2, 3))
        y = build.take(x, each)
        assert y.shape == np.zeros((2, 3))[each].shape
        taken.append(build.build(build.copy(y)))
        x = np.arange(6.0).reshape(1, 2, 3)
        items = each if isinstance(each, tuple) else (each,)
        assert taken[-1](x)[0].tolist() == x[0][items].tolist()
    assert taken[0] == taken[1]


def test_signals_without_axes():
    build = pg.LayerGraphBuilder()
    graph = build.build(build.copy(build.relu(build.input(()))))
    assert graph(np.array([3.0, -2.0])).tolist() == [3.0, 0.0]


def test_long_chains_of_views():
    build = pg.LayerGraphBuilder()
    x = y = build.input((2, 3))
    for _ in range(1500):
        y = build.transpose(y, (1, 0))
    graph = build.build(build.add([x, y]))
    assert kinds(graph).count("copy") == 1
    x = integers((1, 2, 3))
    assert graph(x).tolist() == (2 * x).tolist()


def test_batch_norms_in_a_row_are_folded_one_after_the_other(build):
    x = build.linear(build.input((2,)), build.tensor("w", [[1, 2]]), build.tensor("b", [3]))
    for i in "12":
        scale, shift = build.tensor("s" + i, [2], role="frozen"), build.tensor("t" + i, [-5], role="frozen")
        x = build.batch_norm(x, scale, shift)
    graph = build.build(x)
    folded = graph.fold_batch_norm()
    assert kinds(folded) == ["input", "linear"]
    assert folded([[1, 1]]) == graph([[1, 1]]) == 9


def test_folding_does_not_lose_a_product(build):
    x = build.linear(build.input((1,)), build.tensor("w", np.array([[1e-30]], "f4")))
    graph = build.build(build.batch_norm(x, build.tensor("s", np.array([1e-30], "f4"), role="frozen")))
    with pytest.raises(RangeError, match="fold_batch_norm: a product in 'linear1' leaves the range of float32"):
        graph.fold_batch_norm()
    assert graph.to_float().fold_batch_norm().parameters["w"] == np.float64(np.float32(1e-30)) ** 2
