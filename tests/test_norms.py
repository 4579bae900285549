"""Path-norms of every registered network: one sweep against the list of all path products."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.arguments import exponent
from tests.networks import on_networks
from tests.oracles import logarithm
from tests.tolerances import assert_close, bits, gamma, norm_roundings, power_roundings, roundings, unit

INF = math.inf
ORDERS = [0, 1, 2, 3, INF]


def per_output(case, q, widths=None):
    """Per output: the sum of the q-th powers of the path products, their number or their maximum."""
    powers = [case.oracle.powers(1 if q in (0, INF) else q, v, widths) for v in case.oracle.outputs]
    if q == INF:
        return [max(masses, default=0) for masses in powers]
    return [sum(mass != 0 for mass in masses) if q == 0 else sum(masses) for masses in powers]


def over_outputs(sums, q, r):
    """The r-th power of the (q, r)-norm, for q dividing r, or the maximum of the sums."""
    base = q if 0 < q < INF else 1
    return max(sums) if r == INF else sum(s ** (r // base) for s in sums)


@pytest.mark.parametrize("q", ORDERS)
@on_networks()
def test_sums_of_powers_are_exact(case, q):
    sums = per_output(case, q)
    for backend in ("numpy", "reference"):
        assert pg.path_norm(case.net, q, root=False, per_output=True, backend=backend).tolist() == sums
    base = q if 0 < q < INF else 1
    for r in (base, 2 * base, 3 * base, INF):
        norm = pg.path_norm(case.net, q, r, root=False)
        assert norm == over_outputs(sums, q, r)
        assert type(norm) is (int if q == 0 else Fraction)
    assert pg.path_norm(case.net, q, root=False) == (
        pg.path_norm(case.net, q, INF if q == INF else base, root=False)  # r = q by default
    )


@pytest.mark.parametrize("q", ORDERS)
@on_networks()
def test_weighted_inputs(case, q):
    widths = {u: Fraction(i + 1, 2) * (i != 1) for i, u in enumerate(case.oracle.inputs)}
    sums = per_output(case, q, widths)
    for inputs in (widths, list(widths.values())):
        assert pg.path_norm(case.net, q, root=False, per_output=True, inputs=inputs).tolist() == sums
    some = dict(list(widths.items())[:1])
    assert pg.path_norm(case.net, 1, inputs=some) == sum(per_output(case, 1, some))
    assert pg.path_norm(case.net, 1, inputs=2) == sum(per_output(case, 1, dict.fromkeys(widths, 2)))


@on_networks()
def test_exact_norms_are_rational_where_no_root_is_taken(case):
    l1, largest = per_output(case, 1), per_output(case, INF)
    assert pg.path_norm(case.net) == sum(l1)
    assert pg.path_norm(case.net, 1, INF) == max(l1)
    assert pg.path_norm(case.net, INF) == max(largest)
    assert pg.path_norm(case.net, INF, 1) == sum(largest)
    assert pg.path_norm(case.net, 0) == sum(per_output(case, 0))
    assert {type(pg.path_norm(case.net, q)) for q in (1, INF)} == {Fraction}
    assert pg.path_norm(case.net, q=Fraction(1)) == pg.path_norm(case.net, q=1.0) == pg.path_norm(case.net, np.int64(1))


@on_networks()
def test_roots_of_exact_norms(case):
    for q, r in product([1, 2, 3], [1, 2, 3]):
        if r % q:
            continue
        power, norm = pg.path_norm(case.net, q, r, root=False), pg.path_norm(case.net, q, r)
        assert_close(Fraction(norm) ** r, power, gamma(r * power_roundings(bits([power]), 1 / r)))
    for norm, power in zip(pg.path_norm(case.net, 2, per_output=True), per_output(case, 2), strict=True):
        assert_close(Fraction(norm) ** 2, power, gamma(2 * power_roundings(bits([power]), 1 / 2)))


@pytest.mark.parametrize("q", [1, 2, 3])
@on_networks()
def test_float_norms_are_as_near_as_the_analysis_says(case, q):
    """(fan-in + 1) roundings per level, 4 per power (correct to 2 ulps), and one addition per output."""
    rough = case.rough
    counted = roundings(rough.oracle) + (4 * (q > 1)) * len(rough.oracle.nodes) + len(rough.oracle.outputs)
    for found, sums in zip(
        pg.path_norm(rough.float64, q, root=False, per_output=True), per_output(rough, q), strict=True
    ):
        assert_close(found, sums, gamma(counted))
    low = rough.net.to_float(np.float32)
    assert pg.path_norm(low, q) == pg.path_norm(rough.float64, q)  # accumulated in float64
    single = pg.path_norm(low, q, root=False, dtype=np.float32)
    assert single.dtype == np.float32
    assert_close(single, sum(per_output(rough, q)), gamma(counted, np.float32))


@pytest.mark.parametrize("q", [1 / 4, 1 / 2, 3 / 2, 7.5])
@on_networks()
def test_orders_that_are_no_integers(case, q):
    """Against a float sum over the paths: each side with its own round-off, powers correct to 2 ulps."""
    for v, found in zip(case.oracle.outputs, pg.path_norm(case.net, q, root=False, per_output=True), strict=True):
        masses = [float(mass) ** q for mass in case.oracle.powers(1, v)]
        exponents = sum(abs(math.log2(mass)) for mass in case.oracle.powers(1, v) if mass)
        slack = (q + 1) * (8 * len(case.net.values) + 8 + len(masses) + exponents) * unit()
        assert_close(found, Fraction(math.fsum(masses)), slack)


@pytest.mark.parametrize("q", [0, 1, 2, 3, INF])
@on_networks()
def test_logarithms(case, q):
    base = q if 0 < q < INF else 1
    sums = per_output(case, q)
    for log, power in zip(pg.log_path_norm(case.net, q, per_output=True), sums, strict=True):
        if power == 0:
            assert log == -INF
            continue
        exact = logarithm(Fraction(power)) / base
        assert abs(exact - type(exact)(float(log))) <= type(exact)(float(8 * unit() * (1 + abs(Fraction(exact)))))
    total = pg.log_path_norm(case.net, q)
    assert total == -INF if not any(sums) else math.isfinite(total)
    assert type(total) is float


@on_networks()
def test_the_logarithm_is_convex_and_the_norm_does_not_grow_with_q(case):
    """With S_q = ||Phi||_q^q: log S_q is convex in q, which are inequalities of rationals for integer q."""
    sums = [pg.path_norm(case.net, q, root=False) for q in range(9)]
    assert all(sums[q] ** 2 <= sums[q - 1] * sums[q + 1] for q in range(1, 8))
    assert all(sums[q + 1] ** q <= sums[q] ** (q + 1) for q in range(1, 8))


# -- products of layer norms --------------------------------------------------------------------------------------


def rows(case):
    """Per level, the rows of entries with the bias, and whether there is one; None if the network is not layered."""
    oracle, level = case.oracle, case.oracle.level
    last = max(level.values())
    skips = any(level[v] != level[u] + 1 for u, v in case.graph.edges) or any(level[v] < last for v in oracle.outputs)
    if skips or any(level[v] == 0 and oracle.kind[v] != "input" for v in case.graph):
        return None
    layers = [[] for _ in range(last)]
    for v in oracle.nodes:
        if level[v] and (level[v] < last or v in oracle.outputs):
            parts = [(u, v) for u in oracle.antecedents(v)] + [(None, v)] * (v in oracle.bias)
            layers[level[v] - 1].append((list(map(oracle.weight, parts)), v in oracle.bias))
    return layers


@on_networks()
def test_product_of_layer_norms(case):
    layers = rows(case)
    if layers is None:
        with pytest.raises(pg.GraphError, match="layered"):
            pg.operator_norm_product(case.net)
        return
    for q, r in product([1, INF], [1, INF]):
        norms = [[sum(map(abs, row)) if q == 1 else max(map(abs, row)) for row, _ in layer] for layer in layers]
        expected = sum(norms[-1]) if r == 1 else max(norms[-1])
        for level, layer in enumerate(norms[:-1]):
            later_bias = any(has_bias for rest in layers[level + 1 :] for _, has_bias in rest)
            expected *= max(1, *layer) if later_bias else max(layer)
        assert pg.operator_norm_product(case.net, q, r) == expected
        assert pg.path_norm(case.net, q, r) <= expected
        if case.is_dyadic:
            assert pg.operator_norm_product(case.float64, q, r) == expected
    for q in (1 / 2, 2, 3.5):
        for r in (q, INF):
            norm, bound = (f(case.rough.float64, q, r) for f in (pg.path_norm, pg.operator_norm_product))
            slack = gamma(norm_side_roundings(case.rough, q, norm) + product_roundings(rows(case.rough), q))
            assert Fraction(norm) <= Fraction(bound) * (1 + slack)


def test_the_product_of_norms_does_not_vanish():
    tiny = pg.from_weights([[[5e-324]], [[1e-300]]])
    assert pg.operator_norm_product(tiny) > 0
    assert pg.operator_norm_product(tiny.with_theta([5e-324, 0.0])) == 0


def norm_side_roundings(case, q, norm):
    """The powers of the entries, correct to 2 ulps, the sweep and the sum over the outputs; then the root."""
    swept = roundings(case.oracle) + 4 * len(set(case.oracle.level.values())) + len(case.oracle.outputs)
    return math.ceil(swept / q) + power_roundings(q * bits([norm]), 1 / q)


def product_roundings(layers, q):
    """Of the norms of the rows, of their norm in the last layer, and of the product."""
    of_rows = [max(norm_roundings(row, q) for row, _ in layer) for layer in layers]
    last = [sum(abs(float(w)) ** q for w in row) ** (1 / q) for row, _ in layers[-1]]
    return sum(of_rows) + norm_roundings(last, q) + len(layers)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("width", "weight"), [(1e-50, 1e30), (1e-50, 1e50), (1e50, 1e-50), (1e-320, 1e300)])
@pytest.mark.parametrize("q", [1, 2])
def test_widths_that_leave_the_range_of_float32_count(backend, width, weight, q):
    net = pg.from_weights([[[weight, 0.0]], [[1.0]]])
    found = pg.path_norm(net, q, inputs=[width, 1.0], dtype=np.float32, backend=backend)
    assert found == pytest.approx(width * weight, rel=16 * 2.0**-24, abs=0)  # fewer roundings than that


@pytest.mark.parametrize("value", [1, 2, 1.0, Fraction(2), np.int64(1), np.float32(2), 2**20, math.inf])
def test_exponents_come_as_python_integers_where_they_are(value):
    for found in (exponent(value, "q"), exponent(value, "q", least=1), exponent(value, "q", zero=True)):
        assert found == value
        assert type(found) is (float if value == math.inf else int)


@pytest.mark.parametrize("value", [True, False, -1, 2**20 + 1, "1", math.nan, None, 10**400, Fraction(1, 2**21), 1j])
def test_no_other_exponents_are_taken(value):
    for options in ({}, {"least": 1}, {"zero": True}):
        with pytest.raises(pg.ParameterError, match=r"^q: needed"):
            exponent(value, "q", **options)
