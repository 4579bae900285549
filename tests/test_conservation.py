"""Conservation laws of gradient flow, and what gradient descent does to them, in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import dyadics, inputs, relu_dags
from tests.networks import REGISTRY, on_networks


def excess(case, v):
    """Squared incoming weights and bias, less squared outgoing weights, of parameters only."""
    total = Fraction(0)
    for (a, b), value, role, _ in case.oracle.entries():
        if role in (None, "parameter"):
            total += value**2 * ((b == v) - (a == v))
    return total


@on_networks(lambda case: not case.net.architecture.is_tied)
def test_each_law_is_a_sum_over_neurons(case):
    found = pg.conserved_quantities(case.net)
    assert len(found) == len(found.laws) == len(found.values)
    owner = {v for path in case.oracle.paths() for v in path}
    if all(role in (None, "parameter") for _, _, role, _ in case.oracle.entries()):
        assert list(found.laws) == [{v: 1} for v in case.net.hidden if v in owner]
    if set(case.net.nodes) <= owner:
        assert found.values.tolist() == [sum(k * excess(case, v) for v, k in law.items()) for law in found.laws]


@on_networks()
def test_gradients_are_orthogonal_to_the_laws(case):
    found = pg.conserved_quantities(case.net)
    for rows in pg.parameter_jacobian(case.net, case.inputs):
        for row in rows:
            assert not any(found.change(row * 2) - found.drift(row * 2, 1))


def test_laws_are_complete():
    for case in REGISTRY.values():
        rank, on_path = pg.generic_rank(case.net), pg.lifting_kernel(case.net).shape
        assert rank + len(pg.conserved_quantities(case.net)) <= on_path[0]


@settings(max_examples=80)
@given(
    relu_dags(max_hidden=4).flatmap(
        lambda net: st.tuples(st.just(net), st.lists(inputs(net), min_size=2, max_size=3), dyadics())
    )
)
def test_training_with_exact_steps(instance):
    net, xs, rate = instance
    if not len(net.theta):
        return
    records, before = [net.theta], net
    for x in xs:
        gradient = pg.parameter_jacobian(before, [x])[0].sum(axis=0)
        after = before.with_theta(before.theta - rate * gradient)
        laws = pg.conserved_quantities(before)
        change = pg.conserved_quantities(after).values - laws.values
        assert change.tolist() == laws.drift(gradient, rate).tolist() == laws.change(-rate * gradient).tolist()
        records.append(after.theta)
        before = after
    report = pg.check_conservation(net, records)
    assert report
    assert report.defect == 0
    assert report.drift <= report.quadratic


def test_weight_decay():
    net, rate = REGISTRY["dense"].net, Fraction(1, 8)
    gradient = pg.parameter_jacobian(net, [REGISTRY["dense"].inputs[3]])[0].sum(axis=0)
    records = [net.theta, net.theta - rate * (gradient + net.theta / 4)]
    assert not pg.check_conservation(net, records)
    assert pg.check_conservation(net, records, decay=rate / 4)


def test_float_training_drifts_as_the_square_of_the_step():
    net = REGISTRY["dense"].float64
    xs = np.random.default_rng(0).normal(size=(20, len(net.inputs)))
    drifts = []
    for steps in (16, 32, 64):
        records, current = [net.theta], net
        for _ in range(steps):
            residual = current(xs) - 1
            gradient = np.einsum("no,nop->p", residual, pg.parameter_jacobian(current, xs)) / len(xs)
            current = current.with_theta(current.theta - 0.032 / steps * gradient)
            records.append(current.theta)
        report = pg.check_conservation(net, records)
        assert report
        drifts.append(report.drift)
    assert drifts[0] > 1.8 * drifts[1] > 3.2 * drifts[2] > 0


@pytest.mark.parametrize("rate", [0.01, 1e-5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_records_of_float32(rate, dtype):
    net = REGISTRY["dense"].float64
    xs = np.random.default_rng(0).normal(size=(20, len(net.inputs)))
    current, records = net, [net.theta]
    for _ in range(25):
        gradient = np.einsum("no,nop->p", current(xs) - 1, pg.parameter_jacobian(current, xs)) / len(xs)
        current = current.with_theta(current.theta - rate * gradient)
        records.append(current.theta)
    history = np.array(records).astype(dtype)
    assert pg.check_conservation(net, history)
    if rate == 0.01:
        report = pg.check_conservation(net, history[::5])
        assert not report
        assert "every step of plain gradient descent must be recorded" in repr(report)
        assert "np.float" not in repr(report)
        assert type(report.drift) is type(report.quadratic) is float


def test_momentum_shows():
    net = REGISTRY["dense"].float64
    random = np.random.default_rng(0)
    report = pg.check_conservation(net, [net.theta, net.theta + 0.01 * random.normal(size=len(net.theta))])
    assert not report
    assert report.defect > 0.01
    assert report.worst[0] == 0


def test_repr_and_arguments():
    net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    assert repr(pg.conserved_quantities(net)) == "ConservedQuantities(2 laws: {(1, 0): 4.0, (1, 1): 34.0})"
    with pytest.raises(pg.ParameterError, match="at least two records, got 1"):
        pg.check_conservation(net, [net.theta])
    with pytest.raises(pg.ParameterError, match=r"gradient: needed shape \(8,\)"):
        pg.conserved_quantities(net).drift([1], 1)
    with pytest.raises(pg.ParameterError):
        pg.check_conservation(net, [net.theta, net.theta * np.nan])
