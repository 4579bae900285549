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


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        (None, {}, "thetas: needed a sequence of records"),
        ([[1, 2], [1, 3]], {"decay": np.nan}, "decay: needed a finite number, got nan"),
        ([[1, 2], [1, 3]], {"decay": "a"}, "decay: needed a real number"),
        ([[1, 2], [1, 3]], {"tolerance": np.nan}, r"tolerance: needed a number in \[0, inf\], got nan"),
        ([[1, 2], [1, 3]], {"tolerance": -1}, r"tolerance: needed a number in \[0, inf\], got -1"),
    ],
)
def test_records_and_options_that_are_no_numbers(records, options, message):
    with pytest.raises(pg.ParameterError, match=message):
        pg.check_conservation(pg.from_weights([[[3]], [[4]]]), records, **options)


def test_exact_networks_take_no_floats():
    net = pg.from_weights([[[3]], [[4]]], dtype=object)
    laws = pg.conserved_quantities(net)
    assert laws.change([1, Fraction(1, 2)]).tolist() == [7 - Fraction(17, 4)]
    assert laws.drift(np.array([1, 2]), 2).tolist() == [-12]
    for call in (
        lambda: laws.change([0.5, 1]),
        lambda: laws.drift([0.5, 1], 1),
        lambda: laws.drift([1, 1], 0.5),
        lambda: pg.check_conservation(net, [net.theta, net.theta], decay=0.5),
    ):
        with pytest.raises(pg.ParameterError, match=r"needed an exact number, got the float 0\.5"):
            call()
    with pytest.raises(pg.ParameterError, match=r"thetas: record 0: needed an exact record .*, got float scalars"):
        pg.check_conservation(net, [[3.0, 4.0], [3.5, 4.0]])


@pytest.mark.parametrize(("bad", "got"), [([np.nan, 1], "got nan"), ([1], r"got \(1,\)"), (["a", 1], "got 'a'")])
def test_records_are_named_by_their_number(bad, got):
    net = pg.from_weights([[[3]], [[4]]])
    with pytest.raises(pg.ParameterError, match=f"thetas: record 1: theta.*needed.*{got}"):
        pg.check_conservation(net, [net.theta, bad])


@pytest.mark.parametrize("bad", [[np.nan, 1], ["a", 1], [1], [[1, 2]]])
def test_steps_that_are_no_numbers(bad):
    laws = pg.conserved_quantities(pg.from_weights([[[3]], [[4]]]))
    for call in (lambda: laws.change(bad), lambda: laws.drift(bad, 1)):
        with pytest.raises(pg.ParameterError, match=r"^(step|gradient)(\[0\] \(parameter .*\))?: needed"):
            call()


def test_float32_networks_are_compared_in_float64():
    laws = pg.conserved_quantities(pg.from_weights([[[3]], [[4]]], dtype=np.float32))
    step = np.array([2.0**-20, 0], dtype=np.float32)
    assert laws.change(step).tolist() == [6 * 2.0**-20 + 2.0**-40]


@pytest.mark.parametrize("scale", [-600, 0, 505])
def test_verdicts_do_not_depend_on_the_scale(scale):
    """Squares of 2**-600 and of 2**600 are no floats; those of 2**505 are, up to the drift."""
    net = pg.from_weights([[[3.0]], [[4.0]]])
    records = np.ldexp(np.array([[3.0, 4.0], [7.0, 7.0]]), scale)  # a multiple of the gradient of 3 * 4
    assert pg.check_conservation(net, records)
    report = pg.check_conservation(net, records + np.ldexp([[0, 0], [1.0, 0]], scale))
    assert not report
    # The products 3 * 5 and 4 * 3, less half a unit of 3 (3 + 8) + 4 (4 + 7).
    assert report.defect == (3 - 2.0**-53 * 77) / 27
    assert report.drift == np.ldexp(22.0, 2 * scale)


def test_what_leaves_the_range_of_floats_is_said():
    net = pg.from_weights([[[3e200]], [[4e200]]])
    laws = pg.conserved_quantities(net.with_theta([3, 4]))
    steps = [[3e200, 4e200], [7e200, 7e200], [9e200, 7e200]]
    for call in (
        lambda: pg.conserved_quantities(net),
        lambda: laws.change([1e200, 0]),
        lambda: laws.drift([1e200, 0], 1),
        lambda: pg.check_conservation(net, steps),
        lambda: pg.check_conservation(net, [[15, 15], [15, 15]], decay=1.7e308),
    ):
        with pytest.raises(pg.RangeError, match=r"use net\.to_exact\(\)"):
            call()
    assert not pg.check_conservation(net.to_exact(), [[Fraction(x) for x in step] for step in steps])
