"""The path-lifting and the path-activations of every registered network, path by path."""

import pickle
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.networks import on_networks


@on_networks()
def test_paths_and_products_in_the_documented_order(case):
    lifting = pg.path_lifting(case.net)
    assert list(lifting.paths) == list(case.lifting)
    assert lifting.values.tolist() == list(case.lifting.values())
    assert {type(value) for value in lifting.values} <= {Fraction}
    assert len(lifting) == len(lifting.paths) == lifting.paths.total == len(case.lifting)
    assert pg.path_lifting(case.float64).values.dtype == np.float64


@on_networks()
def test_paths_to_every_neuron(case):
    for v in case.net.nodes:
        lifting = pg.path_lifting(case.net, node=v)
        assert list(lifting.paths) == case.oracle.paths(v)
        assert lifting.values.tolist() == [case.oracle.product(path) for path in case.oracle.paths(v)]


@on_networks()
def test_paths_are_a_sequence(case):
    paths, expected = pg.path_lifting(case.net).paths, list(case.lifting)
    assert [paths[i] for i in range(len(paths))] == expected
    assert [paths[-1 - i] for i in range(len(paths))] == expected[::-1]
    for part in (slice(None), slice(1, 4), slice(None, None, -3), slice(-2, None)):
        assert paths[part] == expected[part]
    assert paths == expected
    assert paths != [*expected, ()]
    for beyond in (len(paths), -1 - len(paths)):
        with pytest.raises(IndexError):
            paths[beyond]
    assert all(path in paths for path in expected[:3])
    assert repr(len(paths)) in repr(paths)


@on_networks()
def test_activations_are_those_of_the_definition(case):
    for x in case.inputs:
        value = case.values(x)
        rows = pg.path_activations(case.net, x)
        assert (rows.dtype, rows.shape) == (np.int8, (len(case.lifting), len(x) + 1))
        columns = [*case.oracle.inputs, "bias"]
        for path, row in zip(case.lifting, rows.toarray(), strict=True):
            start = path[0] if case.oracle.starts_at_input(path) else "bias"
            assert row.tolist() == [case.oracle.is_active(path, value) and column == start for column in columns]


@on_networks()
def test_factorisation_at_every_neuron(case):
    """v(theta, x) = <Phi, A (x, 1)>: an equality of rationals."""
    for x in case.inputs:
        values = case.values(x)
        for v in case.net.nodes:
            lifting, active = pg.path_lifting(case.net, node=v), pg.path_activations(case.net, x, node=v)
            assert lifting.values @ (active.toarray().astype(object) @ np.array([*x, 1])) == values[v]


@on_networks(lambda case: case.is_dyadic)
def test_float_activations_are_the_exact_ones(case):
    """With dyadic weights and inputs floats compute without rounding, ties included."""
    for x in case.inputs:
        for net in (case.float64, case.net.to_float(np.float32)):
            different = pg.path_activations(net, np.array(x, dtype=net.dtype)) != pg.path_activations(case.net, x)
            assert different.nnz == 0


@on_networks()
def test_the_guard_counts_before_it_lists(case):
    total = len(case.lifting)
    assert len(pg.path_lifting(case.net, max_paths=total)) == total
    if total:
        for refused in (
            lambda: pg.path_lifting(case.net, max_paths=total - 1),
            lambda: pg.path_activations(case.net, case.inputs[0], max_paths=total - 1),
        ):
            with pytest.raises(pg.PathCountError, match=f"{total} paths, more than max_paths={total - 1}"):
                refused()


def test_a_million_paths_are_refused_at_once_and_huge_numbers_are_exact():
    net = pg.from_weights([np.ones((100, 100))] * 20)
    with pytest.raises(pg.PathCountError, match=r"has 1e42 paths, .* too many to list: use path_sum"):
        pg.path_lifting(net)
    lifting = pg.path_lifting(net, max_paths=10**60)
    assert lifting.paths.total == 100**21
    assert lifting.paths[10**40 + 7] == pg.path_lifting(net, max_paths=10**60).paths[10**40 + 7]
    assert lifting.paths[0] == tuple((layer, 0) for layer in range(21))
    assert lifting.paths[100**21 - 1] == tuple((layer, 99) for layer in range(21))
    assert str(100**21) in repr(lifting)
    assert str(100**21) in repr(lifting.paths)


@on_networks()
def test_repr_equality_and_pickle(case):
    lifting = pg.path_lifting(case.net)
    copy = pickle.loads(pickle.dumps(lifting))
    assert copy == lifting == pg.path_lifting(case.net)
    assert f"({len(lifting)} path" in repr(lifting)
    assert (lifting != pg.path_lifting(case.net.map_values(lambda w: w + 1))) == bool(len(case.lifting))
    assert not lifting.values.flags.writeable
    assert lifting != list(case.lifting)


def latex(name):
    """A node or a parameter; words are upright, parts of tuples are separated by commas."""
    if isinstance(name, tuple):
        return ",".join(map(latex, name))
    if isinstance(name, (int, float)) or len(name) == 1:
        return str(name)
    return r"\mathrm{" + name.replace("_", r"\_") + "}"


def factor(graph, part):
    """An edge, or (None, v) for the bias of v; what is tied has the name of its parameter."""
    u, v = part
    tie = graph.nodes[v].get("bias_parameter") if u is None else graph.edges[part].get("parameter")
    if tie is not None:
        return rf"\theta_{{{latex(tie)}}}"
    return f"b_{{{latex(v)}}}" if u is None else rf"\theta_{{{latex(u)} \to {latex(v)}}}"


@on_networks(lambda case: len(case.lifting) < 50)
def test_latex_is_the_product_of_the_parts_of_every_path(case):
    lifting = pg.path_lifting(case.net)
    products = [r"\,".join(factor(case.graph, part) for part in case.oracle.parts(path)) for path in case.lifting]
    rows = " \\\\\n".join(products)
    assert lifting.to_latex(max_rows=50) == f"\\Phi(\\theta) = \\begin{{pmatrix}}\n{rows}\n\\end{{pmatrix}}"
    if len(lifting) > 2:
        assert lifting.to_latex(max_rows=2).splitlines()[3] == r"\vdots"


def test_latex_escapes_names():
    import networkx as nx

    graph = nx.DiGraph([("x_1", "50%"), ("50%", "y")])
    nx.set_node_attributes(graph, {"x_1": "input", "50%": "relu", "y": "identity"}, "activation")
    nx.set_edge_attributes(graph, 1.0, "weight")
    assert r"\theta_{\mathrm{x\_1} \to \mathrm{50\%}}\,\theta_{\mathrm{50\%} \to y}" in (
        pg.path_lifting(pg.from_networkx(graph)).to_latex()
    )
