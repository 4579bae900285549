"""Path sums and evaluation on a device, by the kernels as they are shipped, against pathgraph on the CPU."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

import pathgraph as pg
from pathgraph.testing import relu_dags
from pathgraph_gpu import graphs, networks, plans
from tests.cuda_on_cpu.path_checks import DEEP, FAR_CHECKS, LARGE, WIDE, chain, maker, same, sums_agree, values_agree
from tests.cuda_on_cpu.runtime import MODES, ORDERS, XP, cpu_device, needs_compiler
from tests.networks import REGISTRY, on_networks
from tests.test_engine import random_dag
from tests.tolerances import bits, exponential_roundings, gamma, power_roundings, roundings, unit

pytestmark = needs_compiler

CHECKED = cpu_device("check", "forward")


@pytest.fixture(params=[(mode, order) for mode in MODES for order in ORDERS], ids="-".join)
def device(request):
    return cpu_device(*request.param)


@pytest.fixture(params=["as chosen", "level by level"])
def _launches(request, monkeypatch):
    """As the launch code chooses, and one launch for each level, with as many blocks as there can be."""
    if request.param == "level by level":
        monkeypatch.setattr(plans, "NARROW", 0)


# -- against the CPU ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_launches")
@on_networks(lambda case: case.is_dyadic)
def test_small_dyadic_numbers_are_equal_to_the_last_bit(case, device):
    for dtype in (np.float64, np.float32):
        net = case.net.to_float(dtype)
        there = net.to_device(device)
        sums_agree(net, there)
        values_agree(net, there, [list(map(float, x)) for x in case.inputs])
        assert there.to_host() == net


@pytest.mark.usefixtures("_launches")
@pytest.mark.parametrize("net", [LARGE, LARGE.to_float(np.float32), WIDE], ids=["large", "large float32", "wide"])
def test_large_networks_are_equal_to_the_last_bit(net, device):
    there = net.to_device(device)
    sums_agree(net, there)
    values_agree(net, there, np.random.default_rng(2).integers(-8, 9, size=(131, len(net.inputs))) / 4)


@given(net=relu_dags())
@settings(max_examples=60)
def test_networks_of_all_kinds(net):
    net = net.to_float()
    there = net.to_device(CHECKED)
    sums_agree(net, there)
    values_agree(net, there, np.random.default_rng(3).integers(-6, 7, size=(5, len(net.inputs))) / 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@on_networks()
def test_sums_are_as_near_as_the_analysis_says(case, dtype):
    """As `tests.test_engine` has it: up to four products for a power, one with the sum, and the additions."""
    rough = case.rough
    there = rough.float64.to_device(CHECKED)
    for q in (1, 2, 4, 3):
        masses = [sum(rough.oracle.powers(q, v)) for v in rough.net.outputs]
        found = pg.path_norm(there, q, r=q, root=False, per_output=True, dtype=dtype)
        assert found.dtype == dtype
        deep = len(rough.oracle.nodes) * power_roundings(8, q)
        for value, mass in zip(found.tolist(), masses, strict=True):
            assert abs(Fraction(value) - mass) <= gamma(roundings(rough.oracle) + deep, dtype) * mass
    through = pg.path_marginals(there).tolist()
    exact = pg.path_marginals(rough.net)
    mass = pg.path_marginals(rough.net.map_values(abs))
    slack = gamma(2 * roundings(rough.oracle) + 3)  # of both sweeps, two products, and the sums over the places
    slack += gamma(len(rough.oracle.nodes) ** 2)
    for value, expected, size in zip(through, exact, mass, strict=True):
        assert abs(Fraction(value) - expected) <= slack * size


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@on_networks()
def test_an_evaluation_is_as_near_as_the_analysis_says(case, dtype):
    rough = case.rough
    there = rough.net.to_float(dtype).to_device(CHECKED)
    for x in case.inputs:
        found = there(CHECKED.to_device(np.array(list(map(float, x)), dtype=dtype))).tolist()
        values = rough.values(x)
        sizes = pg.path_norm(rough.net, inputs=[abs(t) for t in x], per_output=True)
        for v, value, size in zip(rough.net.outputs, found, sizes, strict=True):
            assert abs(Fraction(value) - values[v]) <= gamma(roundings(rough.oracle), dtype) * size


def test_a_result_has_the_same_bits_at_every_run_in_any_order():
    net = random_dag(4)
    x = np.random.default_rng(5).normal(size=(40, len(net.inputs)))

    def results(device):
        there = net.to_device(device)
        yield np.asarray(pg.path_norm(there, 3, per_output=True))
        yield np.asarray(pg.path_marginals(there))
        yield np.asarray(pg.path_magnitude(there))
        yield np.asarray(there(device.to_device(x)))

    first = list(results(cpu_device("fast", "forward")))
    for order in ORDERS:
        for found, expected in zip(results(cpu_device("fast", order)), first, strict=True):
            assert found.tobytes() == expected.tobytes()


# -- right-hand sides and batches ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("_launches")
@pytest.mark.parametrize("n_boxes", [1, 2, 3, 31, 32, 33, 70])
def test_several_boxes_in_one_sweep(n_boxes):
    boxes = np.random.default_rng(n_boxes).integers(0, 9, size=(n_boxes, len(LARGE.inputs))) / 4
    there = LARGE.to_device(CHECKED)
    for q in (1, np.inf):
        found = there.power_sums(CHECKED.to_device(boxes), q)
        expected = [pg.path_norm(LARGE, q, root=False, per_output=True, inputs=box) for box in boxes]
        assert same(found, np.array(expected))
    deep = pg.from_weights([[[2.0**600, 2.0**-600]], [[2.0**600]], [[2.0**-600]]])
    deep = deep.to_device(CHECKED).power_sums(CHECKED.to_device(boxes[:, :2] * [1, 0.5]))
    assert same(deep, boxes[:, :1] * 2.0**600 + boxes[:, 1:2] * 2.0**-601)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 127, 128, 129, 300])
def test_the_size_of_a_batch_changes_no_bit(n, monkeypatch):
    net = random_dag(6)
    there = net.to_device(CHECKED)
    x = CHECKED.to_device(np.random.default_rng(7).normal(size=(300, len(net.inputs))))
    whole = there.neuron_values(x)
    assert there.neuron_values(x[:n]).tobytes() == whole[:n].tobytes()
    monkeypatch.setattr(networks, "CHUNK_BYTES", 0)  # one tile of samples at a time
    assert there.neuron_values(x[:n]).tobytes() == whole[:n].tobytes()
    monkeypatch.setattr(plans, "MANY_TILES", 0)
    assert there.neuron_values(x[:n]).tobytes() == whole[:n].tobytes()


def test_shapes_and_types_of_inputs():
    net = LARGE.to_device(CHECKED)
    n, m = len(LARGE.inputs), len(LARGE.outputs)
    assert net(XP.zeros((2, 3, n))).shape == (2, 3, m)
    assert net(XP.zeros((2, 0, n))).shape == (2, 0, m)
    x = np.random.default_rng(8).integers(-3, 4, size=(6, n))
    assert same(net(CHECKED.to_device(x)), LARGE(x))
    assert same(net(CHECKED.to_device(x)[::2]), LARGE(x[::2]))


# -- the ends of the range of floats ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DEEP)
def test_nothing_overflows_or_vanishes(name, mode):
    net = DEEP[name]
    there = net.to_device(cpu_device(mode))
    depth = pg.depth(net)
    for q in (1, 2, 4, 3, 0.5, np.inf):
        expected = pg.log_path_norm(net.to_exact() if q != 0.5 else net, q)
        # of each level a power, a product and at most three sums, of which the root is taken; of both logarithms
        power = q if q < np.inf else 1
        levels = depth * (power_roundings(1100, power) + 4) / power * (1 if q != 0.5 else 2)
        slack = float(unit()) * (levels + 2 * exponential_roundings(abs(expected)))
        assert abs(pg.log_path_norm(there, q) - expected) <= slack
    assert same(pg.log_path_norm(there, per_output=True), pg.log_path_norm(net, per_output=True))
    for f in (pg.path_norm, pg.path_sum, pg.path_marginals, pg.path_magnitude):
        outcomes = []
        for on in (net, there):
            try:
                outcomes.append(f(on))
            except pg.RangeError:
                outcomes.append(None)
        assert (outcomes[0] is None) == (outcomes[1] is None)
        assert outcomes[0] is None or same(outcomes[1], outcomes[0])


def test_deep_networks_with_rough_numbers():
    random = np.random.default_rng(9)
    net = pg.from_weights([random.normal(size=(6, 6)) * 10.0 ** random.integers(-90, 90) for _ in range(50)])
    there = net.to_device(CHECKED)
    exact = net.to_exact()
    for q in (1, 2):
        found, expected = pg.log_path_norm(there, q), pg.log_path_norm(exact, q)
        slack = 50 * (7 + power_roundings(0, q))  # roundings of a level: six sums and products, and a power
        assert abs(found - expected) <= float(unit()) * (slack + 4 * abs(expected))
    third = there.with_theta(there.theta)
    assert pg.log_path_norm(third, 1.5) == pg.log_path_norm(there, 1.5)
    found, expected = pg.log_path_norm(there, 1.5), pg.log_path_norm(net, 1.5)
    slack = 2 * 50 * (7 + power_roundings(bits(net.theta.tolist()), 1.5)) / 1.5  # both round, the root divides
    assert abs(found - expected) <= float(unit()) * (slack + 8 * abs(expected))


def test_float32_sums_fall_back_to_wide_ones():
    net = chain(2.0**100, 2.0**100, 2.0**-100).to_float(np.float32)
    there = net.to_device(CHECKED)
    assert pg.path_norm(there, dtype=np.float32) == np.float32(2.0**100)
    with pytest.raises(pg.PathNormOverflowError):
        pg.path_norm(chain(2.0**100, 2.0**100).to_device(CHECKED), dtype=np.float32)


def test_values_that_overflow_in_an_evaluation():
    for net in (chain(1e200, 1e200), pg.from_weights([[[-1e200]], [[1e200]], [[1]]], [[0], [-1e308], None])):
        there = net.to_device(CHECKED)
        with pytest.raises(pg.RangeError, match="leaves the range of float64"):
            there(CHECKED.to_device(np.array([-1e150])))


# -- values -------------------------------------------------------------------------------------------------------


@on_networks(lambda case: case.is_dyadic)
def test_theta_on_the_device(case):
    net = case.float64
    there = net.to_device(CHECKED)
    assert same(there.theta, net.theta)
    theta = np.arange(len(net.theta)) / 4
    assert there.with_theta(CHECKED.to_device(theta)).to_host() == net.with_theta(theta)
    assert there.with_values(CHECKED.to_device(net.values)).to_host() == net


def test_values_are_checked_on_the_device():
    net = REGISTRY["convolution"].float64
    there = net.to_device(CHECKED)
    values = np.array(net.values)
    values[3] = np.nan
    with pytest.raises(pg.ParameterError, match="values: needed finite numbers"):
        there.with_values(CHECKED.to_device(values))
    with pytest.raises(pg.ParameterError, match="theta: needed finite numbers"):
        there.with_theta(CHECKED.to_device(np.full(len(net.theta), np.inf)))
    tied = np.flatnonzero(net.architecture.parameter == net.architecture.parameter[0])
    values = np.array(net.values)
    values[tied[1]] += 1
    with pytest.raises(pg.GraphError, match="must be equal"):
        there.with_values(CHECKED.to_device(values))
    for wrong in ([-1.0], [np.nan], [np.inf]):
        inputs = CHECKED.to_device(np.array(wrong * len(net.inputs)))
        with pytest.raises(pg.ParameterError, match="inputs: needed finite numbers >= 0"):
            pg.path_norm(there, inputs=inputs)
        with pytest.raises(pg.ParameterError, match="inputs: needed finite numbers >= 0"):
            pg.path_magnitude(there, inputs=inputs)
    for wrong in (np.nan, -np.inf):
        x = CHECKED.to_device(np.full((40, len(net.inputs)), wrong))
        with pytest.raises(pg.ParameterError, match="x: needed finite numbers"):
            there(x)


# -- the structure on the device ----------------------------------------------------------------------------------


@on_networks()
def test_edges_by_source_and_groups(case):
    check_structure(case.net.architecture)


def test_edges_by_source_and_groups_of_large_networks():
    found = [check_structure(net.architecture) for net in (LARGE, WIDE)]
    assert all(n_fans > 5 and n_fours > 5 for n_fans, n_fours in found)


def check_structure(architecture):
    dag = architecture.dag.flat
    out = graphs.outgoing(dag)
    edges = [(dag.antecedent[e], v, e) for v in range(dag.n_nodes) for e in range(dag.start[v], dag.start[v + 1])]
    expected = sorted(edges)
    source = np.repeat(np.arange(dag.n_nodes), np.diff(out.start))
    assert list(zip(source, out.target, out.entry, strict=True)) == expected
    for u in np.flatnonzero(out.fan >= 0):
        mine = [(v, e) for w, v, e in expected if w == u]
        assert mine == [(v, dag.start[v] + u - dag.run[v]) for v in range(out.fan[u], out.fan[u] + len(mine))]
    first, ends = graphs.groups(dag)
    assert first[0] == 0
    assert first[-1] == dag.n_nodes
    assert set(np.diff(first).tolist()) <= {1, 4}
    assert first[ends].tolist() == dag.ends.tolist()
    for v in first[:-1][np.diff(first) == 4].tolist():
        assert len(set(dag.run[v : v + 4].tolist())) == 1
        assert dag.run[v] >= 0
        assert len(set(np.diff(dag.start[v : v + 5]).tolist())) == 1
        assert not np.isin(dag.activation[v : v + 4], [0, 3]).any()
    return int((out.fan >= 0).sum()), int((np.diff(first) == 4).sum())


def test_a_graph_is_copied_once_for_an_architecture():
    net = pg.from_weights([np.ones((3, 4))])
    one, other = net.to_device(CHECKED), net.with_theta(np.arange(12.0)).to_device(CHECKED)
    assert graphs.graph_of(CHECKED, one.architecture) is graphs.graph_of(CHECKED, other.architecture)


def test_launches_of_narrow_levels_are_joined(monkeypatch):
    deep = graphs.graph_of(CHECKED, pg.from_weights([np.ones((3, 3))] * 200).architecture)
    assert len(plans.forward_steps(deep, 1)) == len(plans.backward_steps(deep, 1)) == 1
    assert len(plans.evaluation_steps(deep, 1)) == 1
    mixed = graphs.graph_of(
        CHECKED, pg.from_weights([np.ones(s) for s in ((2, 3), (200, 2), (200, 200), (1, 200))]).architecture
    )
    steps = plans.forward_steps(mixed, 1)
    assert [(s.first, s.last) for s in steps] == [(0, 3), (3, 4), (4, 5)]
    assert steps[1].blocks > 1
    assert [(s.first, s.last) for s in plans.backward_steps(mixed, 1)] == [(3, 5), (2, 3), (0, 2)]
    for sides in (1, 7, 40):
        covered = [level for s in plans.forward_steps(mixed, sides) for level in range(s.first, s.last)]
        assert covered == list(range(5))
    assert len(plans.evaluation_steps(mixed, plans.MANY_TILES)) == 1
    monkeypatch.setattr(plans, "NARROW_GROUPS", 1)
    assert [s.blocks for s in plans.evaluation_steps(mixed, 1)][-1] == 1


def test_every_configuration_compiles_and_is_listed_once():
    found = networks.configurations()
    assert len({(c.file, c.kernel, c.options) for c in found}) == len(found)
    for file, options in sorted({(c.file, c.options) for c in found}):
        names = [c.kernel for c in found if (c.file, c.options) == (file, options)]
        for name in names:
            assert CHECKED.kernel(file, name, options).types


# -- beyond 2**32 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", FAR_CHECKS)
def test_indices_beyond_32_bits(what, mode):
    FAR_CHECKS[what](maker(mode))
