"""What an attacker found once, and must not find again."""

from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.tolerances import assert_close, gamma

CHAIN = pg.from_weights([[[1.0]], [[1e300]], [[1.0]]])


@pytest.mark.parametrize(
    ("net", "factors"),
    [
        (CHAIN, {(1, 0): 1.4e161, (2, 0): 1e-162}),
        (pg.from_weights([[[1e-8]], [[1.0]]], dtype=np.float32), {(1, 0): 2.0**-120}),
    ],
    ids=["the ratio is subnormal", "a value is subnormal"],
)
def test_rescaling_keeps_the_norm_or_refuses(net, factors):
    """Each of at most three edges rounds its ratio, its factors and its value: no more than six roundings each."""
    try:
        copy = pg.rescale(net, factors)
    except pg.RangeError:
        return
    before, after = pg.path_norm(net.to_exact()), pg.path_norm(copy.to_exact())
    assert abs(after / before - 1) <= gamma(18, net.dtype)


def test_a_ratio_beyond_the_floats_is_no_reason_to_refuse():
    copy = pg.rescale(CHAIN, {(1, 0): 1e200, (2, 0): 1e-200})
    assert_close(
        copy.weight((1, 0), (2, 0)),
        Fraction(CHAIN.weight((1, 0), (2, 0))) * Fraction(1e-200) / Fraction(1e200),
        gamma(4),
    )


@pytest.mark.parametrize("method", ["max-pass", "input-paths", "path-norm"])
def test_a_bound_does_not_vanish(method):
    assert pg.input_lipschitz(pg.from_weights([[[1e-200]], [[1e-200]]]), method=method) > 0


@pytest.mark.parametrize("s", [Fraction(3, 2), 3])
def test_dual_norms_between_one_and_infinity(s):
    """One neuron: the best constant for the s-norm is the dual norm of its weights."""
    weights = [3.0, -1.0, 2.0]
    dual = float(s / (s - 1))
    expected = sum(abs(w) ** dual for w in weights) ** (1 / dual)
    found = pg.input_lipschitz(pg.from_weights([[weights]]), method="input-paths", input_norm=s)
    assert found == pytest.approx(expected, rel=float(gamma(20)), abs=0)


def test_the_product_bound_looks_at_every_later_layer():
    """A bias in the last layer alone makes the maximum with 1 necessary at every layer before it."""
    net = pg.from_weights([[[Fraction(1, 4)]], [[2]], [[Fraction(1, 10)]]], [None, None, [1]])
    assert pg.operator_norm_product(net) == Fraction(11, 5) >= pg.path_norm(net) == Fraction(21, 20)


def test_tied_places_need_one_factor():
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_node("x", activation="input")
    graph.add_nodes_from(["g", "h"], activation="relu")
    graph.add_node("y", activation="identity")
    for v in ("g", "h"):
        graph.add_edge("x", v, weight=2.0, parameter="w")
        graph.add_edge(v, "y", weight=1.0)
    net = pg.from_networkx(graph)
    assert pg.rescale(net, {"g": 3.0, "h": 3.0}).theta[0] == 6
    with pytest.raises(pg.RescalingError, match="tied"):
        pg.rescale(net, {"g": 3.0, "h": 3.0 * (1 + 1e-6)})


MASKED = np.ma.array([1.0, 2.0], mask=[0, 1])
NET = pg.from_weights([[[1.0, 2.0]]])
REFUSED = {
    "masked input": lambda: NET(MASKED),
    "masked theta": lambda: NET.with_theta(MASKED),
    "masked values": lambda: NET.with_values(MASKED),
    "set of widths": lambda: pg.path_norm(NET, inputs={3.0, 1.0}),
    "no network, norm": lambda: pg.path_norm(None),
    "no network, sum": lambda: pg.path_sum(None),
    "no semiring": lambda: pg.path_marginals(NET, 3),
    "more digits than Python prints": lambda: pg.path_lifting(pg.from_weights([np.ones((10, 10))] * 4400)),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_refused_with_an_error_of_the_library(call):
    with pytest.raises(pg.PathgraphError):
        call()


@pytest.mark.parametrize("text", ["1e1000000000", "1e-99999999", "nan", "1/0", " 1"])
def test_files_expand_no_exponents(tmp_path, text):
    path = tmp_path / "net.npz"
    pg.save(NET.to_exact(), path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["values"] = np.array([text] * 2)
    np.savez(path, **arrays)
    with pytest.raises(pg.FileFormatError):
        pg.load(path)
