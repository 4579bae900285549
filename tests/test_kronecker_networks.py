"""Kronecker-sparse layers of networks and layer graphs: the edges of the support, and the numbers of dense layers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.layers.operations import KroneckerSparse, Linear
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.preparation import buffer, entries
from pathgraph.pathsum.semirings import REAL
from pathgraph.pathsum.sweep import back, marginals, sweep
from pathgraph.testing import ks_chains, ks_patterns
from tests.kronecker import placed, same

SETTINGS = settings(max_examples=30)


def networks(chain, biases=None):
    """The factors of a chain as the layers of a perceptron, and the same network with dense layers."""
    layers = chain.factors[::-1]
    return pg.from_weights(layers, biases), pg.from_weights([placed(layer.values) for layer in layers], biases)


def biases_of(chain):
    return [np.arange(-1, layer.shape[0] - 1) for layer in chain.factors[::-1]]


# -- neurons ------------------------------------------------------------------------------------------------------


@SETTINGS
@given(ks_chains(chainable=False, max_size=2))
def test_edges_are_those_of_the_supports(chain):
    net, _ = networks(chain)
    wanted = {}
    for layer, factor in enumerate(chain.factors[::-1]):
        dense, inside = placed(factor.values), placed(np.ones(factor.values.shape, dtype=int))
        for v, u in np.argwhere(inside == 1).tolist():
            wanted[(layer, u), (layer + 1, v)] = dense[v, u]  # zeros among the values are edges
    found = {(u, v): weight for u, v, weight in net.graph.edges(data="weight")}
    assert found == wanted
    assert net.architecture.n_edges == chain.nnz


@SETTINGS
@given(ks_chains(chainable=False, max_size=2), st.booleans())
def test_norms_metrics_and_scores_are_those_of_dense_layers(chain, is_biased):
    biases = biases_of(chain) if is_biased else None
    net, dense = networks(chain, biases)
    x = np.arange(chain.shape[1]) - 1
    assert same(net(x), dense(x))
    assert pg.depth(net) == pg.depth(dense) == len(chain.factors)
    for q in (1, 2):
        norms = [pg.path_norm(each, q, per_output=True, root=False) for each in (net, dense)]
        assert same(*norms)
    assert pg.operator_norm_product(net) == pg.operator_norm_product(dense)
    assert pg.input_lipschitz(net) == pg.input_lipschitz(dense)
    assert (
        pg.path_metric(net, net.with_theta(net.theta / 2)).value
        == pg.path_metric(dense, dense.with_theta(dense.theta / 2)).value
    )
    scores = dict(zip(dense.parameters, pg.path_magnitude(dense), strict=True))
    found = dict(zip(net.parameters, pg.path_magnitude(net), strict=True))
    assert found == {name: scores[name] for name in found}
    assert all(score == 0 for name, score in scores.items() if name not in found)


@SETTINGS
@given(ks_chains(chainable=False, max_size=2))
def test_paths_are_counted_along_the_support(chain):
    ones = pg.KSChain([pg.KSMatrix(np.ones(factor.values.shape, dtype=int)) for factor in chain.factors])
    net, _ = networks(chain)
    assert pg.count_paths(net) == ones.toarray().sum()


def test_linear_layers_have_the_lifting_of_their_product():
    """Non-negative weights: the network is linear on non-negative inputs, and is the chain."""
    chain = pg.KSChain(
        [pg.KSMatrix(np.full(p.values_shape, Fraction(i + 1, 2))) for i, p in enumerate(pg.square_dyadic(8))]
    )
    net, _ = networks(chain)
    x = np.arange(8)
    assert same(net(x), chain @ x)
    assert pg.path_norm(net) == np.abs(chain.toarray()).sum()
    assert pg.count_paths(net) == 64


def test_scalars_of_kronecker_layers():
    for dtype, wanted in [(np.float32, np.float32), (np.float16, np.float64), (np.int8, np.float64), (object, object)]:
        values = np.array([[[[Fraction(1, 2)]]]]) if dtype is object else np.ones((1, 1, 1, 1), dtype)
        assert pg.from_weights([pg.KSMatrix(values)]).dtype == wanted
    assert pg.from_weights([pg.KSMatrix([[[[1.0]]]]), np.ones((1, 1))]).dtype == np.float64
    with pytest.raises(pg.ParameterError, match=r"edge \(0, 0\) -> \(1, 0\).*finite"):
        pg.from_weights([pg.KSMatrix([[[[np.nan]]]])])
    with pytest.raises(pg.ParameterError, match="needed a real number"):
        pg.from_weights([pg.KSMatrix([[[[1j]]]])])
    with pytest.raises(pg.ParameterError, match=r"weights\[1\]: needed 4 columns"):
        pg.from_weights([pg.KSMatrix(np.ones((1, 2, 2, 2))), pg.KSMatrix(np.ones((1, 1, 3, 1)))])
    with pytest.raises(pg.ParameterError, match=r"weights\[0\]: a KSChain is several linear layers"):
        pg.from_weights([pg.hadamard(4)])
    with pytest.raises(pg.ParameterError, match="weights: needed a sequence"):
        pg.from_weights(pg.hadamard(4))


# -- layers -------------------------------------------------------------------------------------------------------


@SETTINGS
@given(ks_patterns(max_size=3), st.lists(st.integers(1, 3), max_size=2))
def test_operation_has_the_edges_of_the_support(pattern, lead):
    operation = KroneckerSparse(tuple(lead), *pattern)
    rows, columns = pattern.shape
    assert operation.source_shape == (*lead, columns)
    assert operation.target_shape == (*lead, rows)
    assert operation.tensor_shape == pattern.values_shape
    entries = placed(np.arange(1, pattern.nnz + 1).reshape(pattern.values_shape))
    for targets in (None, np.arange(0, operation.target_size, 2)):
        wanted = [
            (target, target // rows * columns + u, entries[target % rows, u] - 1)
            for target in range(operation.target_size)
            for u in range(columns)
            if entries[target % rows, u] and (targets is None or target in targets)
        ]
        assert list(zip(*(part.tolist() for part in operation.pattern(targets)), strict=True)) == wanted
    assert operation.n_edges == len(operation.pattern().target)
    assert operation.max_degree == pattern.c


def layer_graphs(chain, lead=(), is_exact=True):
    """Kronecker-sparse layers with biases and ReLUs between them, and the same with dense ones."""
    graphs = []
    for method in ("kronecker", "linear"):
        build = pg.LayerGraphBuilder()
        x = build.input((*lead, chain.shape[1]))
        layers = chain.factors[::-1]
        for i, (factor, bias) in enumerate(zip(layers, biases_of(chain), strict=True)):
            values = factor.values if method == "kronecker" else placed(factor.values)
            weight = build.tensor(f"w{i}", values if is_exact else values.astype(float))
            x = getattr(build, method)(x, weight, build.tensor(f"b{i}", bias))
            if i + 1 < len(layers):
                x = build.relu(x)
        graphs.append(build.build([x]))
    return graphs


@SETTINGS
@given(ks_chains(chainable=False, max_size=2), st.lists(st.integers(1, 2), max_size=1), st.booleans())
def test_layer_graphs_agree_with_dense_layers(chain, lead, is_exact):
    """Evaluation, path-norms by output and their marginals: exact in floats, too, since the numbers are dyadic."""
    sparse, dense = layer_graphs(chain, lead, is_exact)
    x = np.arange(2 * sparse.dag.inputs.size).reshape(2, *lead, chain.shape[1]) - 3
    assert same(sparse(x), dense(x))
    results = []
    for graph in (sparse, dense):
        sizes = entries(np.abs, graph)
        forward = buffer(graph, REAL)
        forward[:, [CONSTANT, *graph.dag.inputs]] = 1
        sweep(graph, [(sizes, None)], forward)
        backward = buffer(graph, REAL)
        backward[:, graph.dag.outputs] = 1
        back(graph, [(sizes, None)], backward)
        results.append((forward[:, graph.dag.outputs], marginals(graph, (sizes, None), forward, backward)))
    assert same(results[0][0], results[1][0])
    names = [list(graph.entries_by_name) for graph in (sparse, dense)]
    assert names[0] == names[1]
    for name, found, wanted in zip(names[0], results[0][1], results[1][1], strict=True):
        if name.startswith("w"):
            factor = chain.factors[::-1][int(name[1:])]
            assert same(placed(found), wanted * (placed(np.ones(factor.values.shape, dtype=int)) == 1))
        else:
            assert same(found, wanted)


def test_bad_layers_are_refused():
    build = pg.LayerGraphBuilder()
    x = build.input((2, 4))
    values = build.tensor("w", np.ones((1, 3, 2, 2)))
    assert build.kronecker(x, values).shape == (2, 6)
    for refused, message in [
        (lambda: build.kronecker(x, build.tensor("m", np.ones((4, 4)))), "values"),
        (
            lambda: build.kronecker(x, build.tensor("v", np.ones((1, 3, 3, 1)))),
            r"a c d = 4, the last axis.*got \(1, 3, 3, 1\)",
        ),
        (lambda: build.kronecker(x, values, build.tensor("b", np.ones(4))), r"bias: 'b' needed shape \(6,\)"),
    ]:
        with pytest.raises(pg.ParameterError, match=message):
            refused()


def test_a_layer_of_one_dense_block_is_linear():
    pairs = zip(KroneckerSparse((2,), 1, 3, 4, 1).pattern(), Linear((2,), 4, 3).pattern(), strict=True)
    for found, wanted in pairs:
        assert same(found, wanted)
