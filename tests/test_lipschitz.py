"""Bounds on the change of the output: each against its definition, and against all pairs of some inputs."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

import pathgraph as pg
from tests.networks import on_networks
from tests.tolerances import assert_close, gamma, norm_roundings, roundings

METHODS = ("max-pass", "input-paths", "path-norm")


def by_definition(case, method, widths):
    oracle = case.oracle
    if method == "max-pass":
        return [oracle.max_pass(v, widths) for v in oracle.outputs]
    if method == "path-norm":
        return [max(widths.values()) * sum(oracle.powers(1, v)) for v in oracle.outputs]
    kept = [[path for path in oracle.paths(v) if oracle.starts_at_input(path)] for v in oracle.outputs]
    return [sum(widths[path[0]] * abs(oracle.product(path)) for path in paths) for paths in kept]


@pytest.mark.parametrize("method", METHODS)
@on_networks()
def test_every_method_is_its_definition(case, method):
    ones = dict.fromkeys(case.oracle.inputs, Fraction(1))
    weighted = {u: Fraction(i, 2) for i, u in enumerate(case.oracle.inputs)}
    for widths, inputs in ((ones, None), (weighted, weighted), (weighted, list(weighted.values()))):
        bounds = by_definition(case, method, widths)
        found = pg.input_lipschitz(case.net, method=method, inputs=inputs, per_output=True)
        assert found.tolist() == bounds
        assert pg.input_lipschitz(case.net, method=method, inputs=inputs) == sum(bounds)
        assert pg.input_lipschitz(case.net, method=method, inputs=inputs, r=math.inf) == max(bounds)
        assert {type(bound) for bound in found} == {Fraction}
    assert pg.input_lipschitz(case.net) == sum(by_definition(case, "max-pass", ones))
    assert pg.path_norm(case.net, 1, 1) == sum(by_definition(case, "path-norm", ones))


@on_networks()
def test_the_bounds_hold_for_all_pairs_and_are_ordered(case):
    bounds = [pg.input_lipschitz(case.net, method=method, per_output=True) for method in METHODS]
    assert all(a <= b <= c for a, b, c in zip(*bounds, strict=True))
    for x, y in combinations(case.inputs, 2):
        moves = [abs(a - b) for a, b in zip(x, y, strict=True)]
        outputs = list(zip(case.net(x), case.net(y), strict=True))
        for (a, b), bound in zip(outputs, bounds[0], strict=True):
            assert abs(a - b) <= bound * max(moves)
        for method in METHODS:
            box = pg.input_lipschitz(case.net, method=method, inputs=moves, per_output=True)
            assert all(abs(a - b) <= bound for (a, b), bound in zip(outputs, box, strict=True))


@on_networks()
def test_other_norms_of_the_input(case):
    oracle = case.oracle
    columns = [
        [sum(abs(oracle.product(path)) for path in oracle.paths(v) if path[0] == u) for u in oracle.inputs]
        for v in oracle.outputs
    ]
    found = pg.input_lipschitz(case.net, method="input-paths", input_norm=1, per_output=True)
    assert found.tolist() == [max(column) for column in columns]
    euclidean = pg.input_lipschitz(case.net, method="input-paths", input_norm=2, per_output=True)
    for bound, column in zip(euclidean, columns, strict=True):
        assert_close(Fraction(bound) ** 2, sum(mass**2 for mass in column), gamma(2 * norm_roundings(column, 2)))


@on_networks()
def test_float_bounds_are_as_near_as_the_analysis_says(case):
    rough, slack = case.rough, gamma(roundings(case.oracle) + len(case.oracle.outputs))
    ones = dict.fromkeys(rough.oracle.inputs, Fraction(1))
    for net in (rough.float64, rough.net.to_float(np.float32)):
        for method in METHODS:
            found = pg.input_lipschitz(net, method=method, per_output=True)
            for bound, exact in zip(found, by_definition(rough, method, ones), strict=True):
                assert_close(bound, exact, slack)
            assert_close(pg.input_lipschitz(net, method=method), sum(by_definition(rough, method, ones)), slack)
