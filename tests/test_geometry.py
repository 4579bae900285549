"""Jacobian, rank, kernel, tangent kernel and functional dimension, against lists of paths and dual numbers."""

from collections import Counter
from fractions import Fraction
from math import prod

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.geometry.exactmatrix import ExactMatrix, echelon, null_space
from pathgraph.geometry.potentials import generic_potentials
from pathgraph.testing import inputs, relu_dags
from tests.networks import REGISTRY, on_networks


def rank(matrix):
    """Over the rationals, by Gaussian elimination."""
    rows, found = [list(row) for row in matrix if any(row)], 0
    while rows:
        pivot = rows.pop()
        column = next(j for j, value in enumerate(pivot) if value)
        rows = [[a - row[column] / pivot[column] * b for a, b in zip(row, pivot, strict=True)] for row in rows]
        rows, found = [row for row in rows if any(row)], found + 1
    return found


def owners(case):
    """The parameter of each part of the graph: its place in theta; fixed parts are missing."""
    place = {name: index for index, name in enumerate(case.net.parameters)}
    found = {}
    for (u, v), _, role, name in case.oracle.entries():
        if role in (None, "parameter"):
            key = name if name is not None else v if u is None else (u, v)
            found[u, v] = place[key]
    return found


def jacobian(case):
    """Path by path: the product without each place of a parameter in turn."""
    owner, rows = owners(case), []
    for path in case.oracle.paths():
        parts = case.oracle.parts(path)
        row = [Fraction(0)] * len(case.net.theta)
        for k, part in enumerate(parts):
            if part in owner:
                row[owner[part]] += prod(map(case.oracle.weight, parts[:k] + parts[k + 1 :]), start=Fraction(1))
        rows.append(row)
    return rows


def derivatives(case, x):
    """The derivatives of the outputs by the parameters, by dual numbers in every parameter at once."""
    owner, oracle, graph = owners(case), case.oracle, case.graph
    value = case.values(x)
    slope = {v: [Fraction(0)] * len(case.net.theta) for v in oracle.inputs}

    def moved(u, v):
        row = [oracle.weight((u, v)) * d for d in slope[u]]
        if (u, v) in owner:
            row[owner[u, v]] += value[u]
        return row

    for v in oracle.nodes:
        if oracle.kind[v] == "input":
            continue
        sources = [oracle.selected(v, value)] if oracle.kind[v] == "pool" else list(graph.pred[v])
        total = [sum(column, Fraction(0)) for column in zip(*(moved(u, v) for u in sources), strict=True)]
        total = total or [Fraction(0)] * len(case.net.theta)
        if v in oracle.bias and (None, v) in owner:
            total[owner[None, v]] += 1
        slope[v] = total if oracle.kind[v] != "relu" or value[v] > 0 else [Fraction(0)] * len(total)
    return [slope[v] for v in oracle.outputs]


small = on_networks(lambda case: pg.count_paths(case.net) <= 200)


@small
def test_jacobian(case):
    rows = jacobian(case)
    exact = pg.path_lifting(case.net).jacobian()
    assert isinstance(exact, ExactMatrix)
    assert exact.toarray().tolist() == rows
    assert exact.shape == (len(rows), len(case.net.theta))
    if case.is_dyadic:
        floats = pg.path_lifting(case.float64).jacobian()
        assert floats.toarray().tolist() == [list(map(float, row)) for row in rows] or not rows


@small
def test_rank_and_kernel(case):
    found = rank(jacobian(case))
    assert pg.lifting_rank(case.net) == pg.lifting_rank(case.float64) == found
    assert pg.path_lifting(case.net).jacobian().rank() == found
    basis = pg.lifting_kernel(case.net)
    assert not (pg.path_lifting(case.net).jacobian() @ basis).nnz
    assert basis.rank() == basis.shape[1] == len(case.net.theta) - found
    assert pg.lifting_kernel(case.float64).toarray().tolist() == [list(map(float, row)) for row in basis.toarray()]


@small
def test_generic_rank_is_the_rank_without_zeros(case):
    theta = [w or Fraction(k + 1) for k, w in enumerate(case.net.theta)]
    net = case.net.with_theta(theta)
    assert pg.generic_rank(case.net) == pg.lifting_rank(net) == pg.path_lifting(net).jacobian().rank()
    if all(case.net.fixed):
        assert pg.generic_rank(case.net.architecture) == pg.generic_rank(case.net)


def test_a_padded_convolution_without_bias_has_more_potentials_than_channels():
    net = REGISTRY["padded_convolution_without_bias"].net
    assert (pg.generic_rank(net), len(generic_potentials(net))) == (2, 2)


@settings(max_examples=60)
@given(relu_dags(max_hidden=4))
def test_rank_on_random_networks(net):
    lifting = pg.path_lifting(net).jacobian()
    assert lifting.rank() == rank(lifting.toarray().tolist()) == pg.lifting_rank(net) <= pg.generic_rank(net)


@on_networks(lambda case: pg.count_paths(case.net) <= 200)
def test_derivatives_of_the_outputs(case):
    xs = case.inputs[:5]
    exact = pg.parameter_jacobian(case.net, xs)
    assert exact.tolist() == [derivatives(case, x) for x in xs]
    kernel = pg.tangent_kernel(case.net, xs, xs[:2])
    assert kernel.shape == (len(xs), 2, len(case.net.outputs), len(case.net.outputs))
    assert (kernel == pg.tangent_kernel(case.net, xs, xs[:2], method="paths")).all()
    assert (kernel == np.einsum("iop,jqp->ijoq", exact, exact[:2])).all()
    if case.is_dyadic:
        floats = pg.parameter_jacobian(case.float64, [list(map(float, x)) for x in xs])
        assert (floats == exact.astype(float)).all()


def test_derivatives_by_finite_differences():
    net = REGISTRY["k_pool"].net
    x, step = REGISTRY["k_pool"].inputs[4], Fraction(1, 2**30)
    derivative = pg.parameter_jacobian(net, [x])[0]
    for i in range(len(net.theta)):
        theta = net.theta.copy()
        theta[i] += step
        assert ((net.with_theta(theta)(x) - net(x)) / step == derivative[:, i]).all()


@settings(max_examples=60)
@given(relu_dags(max_hidden=4).flatmap(lambda net: st.tuples(st.just(net), st.lists(inputs(net), min_size=1))))
def test_functional_dimension_is_at_most_the_rank(instance):
    net, xs = instance
    found = pg.functional_dimension(net, xs)
    assert found.dimension <= pg.lifting_rank(net) <= found.generic_rank <= found.n_parameters
    assert pg.functional_dimension(net.to_float(), [list(map(float, x)) for x in xs]) == found


def test_a_rich_sample_identifies():
    case = REGISTRY["dense"]
    xs = [[Fraction(3 * i - 7 * j, 5 + i) for j in range(len(case.net.inputs))] for i in range(60)]
    found = pg.functional_dimension(case.net, xs)
    assert found.dimension < found.generic_rank or found.is_identifying
    few = pg.functional_dimension(case.net, xs[:1])
    assert not few
    assert few.dimension <= len(case.net.outputs)
    net = pg.from_weights([[[1, 2], [-1, 1]], [[3, 1]]], dtype=object)
    assert pg.functional_dimension(net, [[1, 3], [-1, 2], [3, 1], [2, 0]])
    assert pg.functional_dimension(net, [[0, 0], [1, 1]]).kinks == 2


def test_symbols():
    sympy = pytest.importorskip("sympy")
    a, b, c = sympy.symbols("a b c")
    matrix = pg.path_lifting(pg.from_weights([[[a]], [[b]]], [[c], None])).jacobian()
    assert matrix.toarray().tolist() == [[b, 0, a], [0, b, c]]
    with pytest.raises(pg.UnsupportedOperatorError, match="substitute numbers"):
        matrix.rank()


def test_exact_matrices():
    matrix = ExactMatrix((2, 3), [(0, 0, Fraction(1)), (0, 0, Fraction(1)), (1, 2, Fraction(3)), (1, 1, Fraction(0))])
    assert matrix.nnz == 2
    assert matrix == matrix.T.T
    assert matrix != matrix.T
    assert (matrix @ matrix.T).toarray().tolist() == [[4, 0], [0, 9]]
    assert (matrix @ np.eye(3, dtype=int)).tolist() == matrix.toarray().tolist()
    with pytest.raises(pg.ParameterError, match="needed 3 rows"):
        matrix @ [1, 2]


@given(st.lists(st.lists(st.integers(-2, 2), min_size=4, max_size=4), max_size=5))
def test_elimination(matrix):
    rows = [{j: Fraction(v) for j, v in enumerate(row) if v} for row in matrix]
    assert len(echelon(rows)) == rank([list(map(Fraction, row)) for row in matrix])
    vectors = null_space(rows, range(4))
    assert (
        len(vectors) == 4 - len(echelon(rows)) == len(echelon({j: Fraction(v) for j, v in x.items()} for x in vectors))
    )
    assert all(sum(row.get(j, 0) * v for j, v in x.items()) == 0 for x in vectors for row in rows)


def test_one_unit_vector_per_hidden_neuron_on_a_path():
    net = REGISTRY["hidden_sink"].net
    on_path = {v for path in pg.path_lifting(net).paths for v in path}
    assert generic_potentials(net).directions == tuple({v: 1} for v in net.hidden if v in on_path)
    assert Counter(generic_potentials(net).on_neurons.data.tolist()).keys() <= {1}


@pytest.mark.parametrize("xs", [[1, 2], [[1]], [[[1, 2]]], 3])
def test_wrong_samples(xs):
    net = pg.from_weights([[[1, 2]]])
    with pytest.raises(pg.ParameterError, match=r"xs: needed shape \(n_samples, 2\)"):
        pg.parameter_jacobian(net, xs)


def test_wrong_arguments():
    net = pg.from_weights([[[1e200]], [[1e200]], [[1e200]]])
    with pytest.raises(pg.RangeError, match="to_exact"):
        pg.path_lifting(net).jacobian()
    with pytest.raises(pg.ParameterError, match="'sweep' or 'paths'"):
        pg.tangent_kernel(net, [[1.0]], method="fast")
    with pytest.raises(pg.ParameterError, match="exact rank"):
        pg.functional_dimension(pg.from_weights([[[1]]], dtype=object), [[1]], tolerance=0.1)
    for tolerance in (-1, np.nan, "a"):
        with pytest.raises(pg.ParameterError, match=r"tolerance: needed a number in \[0, inf\), got"):
            pg.functional_dimension(net, [[1]], tolerance=tolerance)
    exact = pg.path_lifting(pg.from_weights([[[1, 2]]], dtype=object)).jacobian()
    for other, message in (
        (None, "a vector or a matrix"),
        ([1], "2 rows"),
        ([1, 0.5], "an exact number, got the float"),
    ):
        with pytest.raises(pg.ParameterError, match=rf"other.*: needed {message}"):
            exact @ other
    with pytest.raises(pg.PathCountError):
        pg.tangent_kernel(pg.from_weights([[[1.0, 1.0]]]), [[1, 1]], method="paths", max_paths=1)


def test_a_zero_bias_may_cost_dimensions():
    """The formula for frozen values admits zero biases only where something else leads to their neurons."""
    graph = nx.DiGraph()
    graph.add_node("x", activation="input")
    graph.add_node("c", activation="identity", bias=Fraction(0))
    for i in range(3):
        graph.add_node(i, activation="identity", output=True)
        graph.add_edge("c", i, weight=Fraction(1))
    constant = pg.from_networkx(graph)
    assert (pg.lifting_rank(constant), pg.generic_rank(constant)) == (1, 3)
    assert pg.path_lifting(constant).jacobian().rank() == 1
    graph.add_edge("x", "c", weight=Fraction(1))
    fed = pg.from_networkx(graph)
    assert pg.lifting_rank(fed) == pg.generic_rank(fed) == pg.path_lifting(fed).jacobian().rank() == 4
