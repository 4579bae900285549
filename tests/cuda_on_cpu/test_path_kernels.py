"""Path sums and evaluation on a device, by the kernels as they are shipped, against pathgraph on the CPU."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

import pathgraph as pg
from pathgraph.pathsum.scaled import scaled_log
from pathgraph.testing import relu_dags
from pathgraph_gpu import graphs, networks, sources
from pathgraph_gpu.device import Device
from tests.cuda_on_cpu.path_mutants import MUTANTS
from tests.cuda_on_cpu.runtime import MODES, ORDERS, XP, CpuKernel, KernelError, cpu_device, needs_compiler, sparse
from tests.networks import REGISTRY, on_networks
from tests.test_engine import random_dag
from tests.tolerances import exponential_roundings, gamma, power_roundings, roundings, unit

pytestmark = needs_compiler

QS = (1, 2, 4, 3, np.inf)
CHECKED = cpu_device("check", "forward")


@pytest.fixture(params=[(mode, order) for mode in MODES for order in ORDERS], ids="-".join)
def device(request):
    return cpu_device(*request.param)


@pytest.fixture(params=["as chosen", "level by level"])
def _launches(request, monkeypatch):
    """As the launch code chooses, and one launch for each level, with as many blocks as there can be."""
    if request.param == "level by level":
        monkeypatch.setattr(networks, "NARROW", 0)


def dyadic(net):
    """The same network with multiples of 1/4, so that sums are exact in floats."""
    return net.map_values(lambda values: np.round(4 * values) / 4)


LARGE = dyadic(random_dag(1))
WIDE = dyadic(pg.from_weights([np.random.default_rng(0).normal(size=s) for s in ((70, 9), (5, 70))], [None, np.ones(5)]))


def same(found, expected):
    """Whether an array of the device, or a number, is that of the CPU to the last bit."""
    return np.array_equal(np.asarray(found), np.asarray(expected), equal_nan=False)


def widths_of(net):
    return np.random.default_rng(len(net.nodes)).integers(0, 5, size=len(net.inputs)) / 2


def sums_agree(net, there):
    """Path sums of all kinds on the device are those of the CPU; the sums must be exact in floats."""
    widths = widths_of(net)
    here = there.device.to_device(widths)
    for q in QS:
        assert pg.path_norm(there, q, root=False) == pg.path_norm(net, q, root=False)
        found = pg.path_norm(there, q, root=False, per_output=True, inputs=here)
        assert same(found, pg.path_norm(net, q, root=False, per_output=True, inputs=widths))
    assert pg.path_norm(there, 2, r=3) == pg.path_norm(net, 2, r=3)
    assert pg.log_path_norm(there) == pg.log_path_norm(net)
    for options in ({}, {"biases": False}, {"inputs": -widths}):
        moved = options | ({"inputs": there.device.to_device(-widths)} if "inputs" in options else {})
        assert pg.path_sum(there, **moved) == pg.path_sum(net, **options)
        assert same(pg.path_sum(there, per_output=True, **moved), pg.path_sum(net, per_output=True, **options))
        assert same(pg.path_marginals(there, **moved), pg.path_marginals(net, **options))
    source, target = net.nodes[0], net.nodes[len(net.nodes) // 2]
    assert pg.path_sum(there, source=source) == pg.path_sum(net, source=source)
    assert pg.path_sum(there, target=target) == pg.path_sum(net, target=target)
    if not len(net.architecture.scattered):
        assert same(pg.path_magnitude(there, inputs=here), pg.path_magnitude(net, inputs=widths))


def values_agree(net, there, x):
    """Evaluation on the device is that of the CPU; the values must be exact in floats."""
    rows = there.device.to_device(np.array(x, dtype=net.dtype))
    assert same(there(rows), net(x))
    assert same(there.neuron_values(rows), net.neuron_values(x))
    assert same(there(rows[0]), net(x)[0])


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
    monkeypatch.setattr(networks, "MANY_TILES", 0)
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


def chain(*weights):
    return pg.from_weights([[[float(w)]] for w in weights])


DEEP = {
    "large": chain(*[2.0**500] * 60),
    "small": chain(*[2.0**-500] * 60),
    "up and down": chain(*[2.0**900, 2.0**900, 2.0**-900, 2.0**-900] * 5),
    "down and up": chain(*[2.0**-900, 2.0**-900, 2.0**900, 2.0**900] * 5),
    "subnormal weight": chain(2.0**-1070, 2.0**1000, 3),
    "one path lost beside a large one": pg.from_weights([[[2.0**-800], [2.0**800]], [[2.0**-800, 1]], [[1]]]),
    "one output lost": pg.from_weights([[[2.0**-600], [1.0]], [[2.0**-600, 0], [0, 1]]]),
    "sums of two sizes": pg.from_weights([[[2.0**800, 2.0**780], [2.0**780, 2.0**800]], [[2.0**800, 2.0**770]]]),
    "fractions of one exponent": pg.from_weights([[[2.0**800, 0], [0, 1.5 * 2.0**800]], [[2.0**800, 2.0**800]]]),
    "with biases": pg.from_weights([[[2.0**800]], [[2.0**800]]], [[2.0**-900], [2.0**900]]),
}


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
    assert abs(pg.log_path_norm(there, 1.5) - pg.log_path_norm(net, 1.5)) <= 2.0**-40 * abs(expected)


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
    assert len(networks.forward_steps(deep, 1)) == len(networks.backward_steps(deep, 1)) == 1
    assert len(networks.evaluation_steps(deep, 1)) == 1
    mixed = graphs.graph_of(CHECKED, pg.from_weights([np.ones(s) for s in ((2, 3), (200, 2), (200, 200), (1, 200))]).architecture)
    steps = networks.forward_steps(mixed, 1)
    assert [(s.first, s.last) for s in steps] == [(0, 3), (3, 4), (4, 5)]
    assert steps[1].blocks > 1
    assert [(s.first, s.last) for s in networks.backward_steps(mixed, 1)] == [(3, 5), (2, 3), (0, 2)]
    for sides in (1, 7, 40):
        covered = [level for s in networks.forward_steps(mixed, sides) for level in range(s.first, s.last)]
        assert covered == list(range(5))
    assert len(networks.evaluation_steps(mixed, networks.MANY_TILES)) == 1
    monkeypatch.setattr(networks, "NARROW_GROUPS", 1)
    assert [s.blocks for s in networks.evaluation_steps(mixed, 1)][-1] == 1


def test_every_configuration_compiles_and_is_listed_once():
    found = networks.configurations()
    assert len({(c.file, c.kernel, c.options) for c in found}) == len(found)
    for file, options in sorted({(c.file, c.options) for c in found}):
        names = [c.kernel for c in found if (c.file, c.options) == (file, options)]
        for name in names:
            assert CHECKED.kernel(file, name, options).types


# -- beyond 2**32 -------------------------------------------------------------------------------------------------
#
# `make(file, name, macros)` gives a kernel with floats and 64-bit indices.

FAR = 2**32 + 8
SUMS = ("-DSUM=float", "-DPOWER=1", "-DSCALED=0")
ONE = np.int64(1)


def far_edges():
    """Neurons 0, 1 and 2, of which the first has FAR edges, and neuron 3 on the next level with three behind them."""
    start, ends = np.array([0, FAR, FAR, FAR, FAR + 3]), np.array([0, 3, 4])
    w = sparse(FAR + 4, np.float32)
    w[FAR : FAR + 4] = [1, -2, 4, 16]
    return start, ends, w


def edges_beyond_32_bits(make, run):
    start, ends, w = far_edges()
    antecedent = sparse(FAR + 3, np.int64)
    antecedent[FAR : FAR + 3] = [0, 1, 2] if run < 0 else 7
    runs, bias = np.array([-1, -1, -1, run]), np.array([-1, -1, -1, FAR + 3])
    x, status = np.array([1, 3, 5, 7, 0], dtype=np.float32), np.zeros(1, dtype=np.int32)
    arrays = (ends, start, antecedent, runs, bias, w, x)
    scalars = (ONE, np.int32(1), np.int32(4), np.float32(1), status)
    make("path_sums", "path_forward", SUMS)((1,), (32,), (ONE, 2 * ONE, *arrays, *scalars))
    assert x[4] == 3 + 10 + 28 + 16
    y, mass = np.array([0, 0, 0, 0, 2], dtype=np.float32), sparse(FAR + 4, np.float32)
    arrays = (start, antecedent, runs, bias, w, x, y, np.int32(0), bias, mass)
    args = (4 * ONE, *arrays, np.int32(4), np.float32(1), status)
    make("path_sums", "path_masses", SUMS)((4,), (4,), args, blocks=[(3,)])
    assert mass[FAR : FAR + 4].tolist() == [6, 20, 56, 32]


def backward_entries_beyond_32_bits(make, fan):
    start, ends, w = far_edges()
    out_start, target, entry = np.array([0, 1, 2, 3, 3]), np.array([3, 3, 3]), np.array([FAR, FAR + 1, FAR + 2])
    if fan >= 0:
        target[:], entry[:] = 99, 0
    y, status = np.array([0, 0, 0, 0, 5], dtype=np.float32), np.zeros(1, dtype=np.int32)
    arrays = (ends, out_start, target, entry, np.array([fan, fan, fan, -1]), start, np.array([-1, -1, -1, 0]), w, y)
    args = (0 * ONE, 2 * ONE, *arrays, ONE, np.float32(1), status)
    make("path_sums", "path_backward", SUMS)((1,), (32, 8), args)
    assert y.tolist() == [0, 5, 10, 20, 5]


def neurons_beyond_32_bits(make):
    """Neuron FAR, alone on its level, reads neurons FAR - 2 and FAR - 1, by numbers or as a run."""
    for consecutive in (-1, FAR - 2):
        start, run, bias = sparse(FAR + 2, np.int64), sparse(FAR + 1, np.int64), sparse(FAR + 1, np.int64)
        start[FAR + 1], run[FAR], bias[FAR] = 2, consecutive, -1
        antecedent, w = np.array([FAR - 2, FAR - 1]), np.array([1, 10], dtype=np.float32)
        x, status = sparse(FAR + 2, np.float32), np.zeros(1, dtype=np.int32)
        x[FAR - 1 : FAR + 1] = [3, 4]
        arrays = (np.array([0, FAR, FAR + 1]), start, antecedent, run, bias, w, x)
        args = (ONE, 2 * ONE, *arrays, ONE, np.int32(1), np.int32(2), np.float32(1), status)
        make("path_sums", "path_forward", SUMS)((1,), (32,), args)
        assert x[FAR + 1] == 43


def samples_beyond_32_bits(make):
    """Two inputs and a neuron on 2**31 + 40 samples, of which the last tile is computed."""
    batch = 2**31 + 40
    x = sparse(4 * batch, np.float32)
    rows, out = sparse(2 * batch, np.float32).reshape(batch, 2), sparse(batch, np.float32).reshape(batch, 1)
    rows[-8:] = np.arange(16).reshape(8, 2)
    status, n = np.zeros(1, dtype=np.int32), np.int64(batch)
    load = (n, 2 * ONE, rows, np.array([1, 2]), x, status)
    tiles = -(-batch // 32)
    make("evaluate", "evaluate_load")((tiles,), (32, 8), load, blocks=[(tiles - 1,)])
    assert x[3 * batch - 8 : 3 * batch].tolist() == list(range(1, 16, 2))
    w = np.array([1, 10, 0.5], dtype=np.float32)
    structure = (np.array([0, 2, 3]), np.array([0, 1, 2, 3]), np.array([0, 0, 0, 2]), np.array([0, 1]))
    structure += (np.array([-1, -1, 0]), np.array([-1, -1, 2]), np.array([0, 0, 2], dtype=np.int8), np.array([1, 1, 1]))
    args = (ONE, 2 * ONE, *structure, w, x, n, status)
    blocks = -(-batch // 128)
    make("evaluate", "evaluate_levels")((blocks,), (32, 8), args, blocks=[(blocks - 1,)])
    store = (n, ONE, x, np.array([3]), out)
    make("evaluate", "evaluate_store")((tiles,), (32, 8), store, blocks=[(tiles - 1,)])
    assert out[-8:, 0].tolist() == [i + 10 * (i + 1) + 0.5 for i in range(0, 16, 2)]
    assert status[0] == 0


def parameters_beyond_32_bits(make):
    """Of FAR entries, the last ones: a grid of 2**16 blocks takes them in turns, of which one block is run."""
    out, numbers = sparse(FAR, np.float32), np.array([7, 9], dtype=np.float32)
    place = sparse(FAR, np.int64)
    place[-2:] = [1, -1]
    n_blocks, last = 2**16, [((FAR - 1) // 256 % 2**16,)]
    make("path_values", "path_take")((n_blocks,), (256,), (np.int64(FAR), place, numbers, out), blocks=last)
    assert out[-2:].tolist() == [9, 0]
    values, status = sparse(FAR, np.float32), np.zeros(1, dtype=np.int32)
    values[-1] = np.inf
    args = (np.int64(FAR), values, np.int32(0), place, status)
    make("path_values", "path_check")((n_blocks,), (256,), args, blocks=last)
    assert status[0] == networks.INVALID


FAR_CHECKS = {
    "edges": lambda make: edges_beyond_32_bits(make, -1),
    "edges of a run": lambda make: edges_beyond_32_bits(make, 0),
    "entries": lambda make: backward_entries_beyond_32_bits(make, -1),
    "entries of a fan": lambda make: backward_entries_beyond_32_bits(make, 3),
    "neurons": neurons_beyond_32_bits,
    "samples": samples_beyond_32_bits,
    "parameters": parameters_beyond_32_bits,
}


def maker(mode, change=lambda text: text):
    """Kernels of a text that is changed first."""

    def make(file, name, macros=()):
        return CpuKernel(change(sources.text(file)), name, ("-DVALUE=float", "-DINDEX=long long", *macros), mode=mode)

    return make


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", FAR_CHECKS)
def test_indices_beyond_32_bits(what, mode):
    FAR_CHECKS[what](maker(mode))


# -- wrong versions of the kernels --------------------------------------------------------------------------------


def magnitudes_agree(there, net):
    assert pg.path_norm(there) == pg.path_norm(net)
    assert same(pg.path_norm(there, per_output=True), pg.path_norm(net, per_output=True))
    assert same(pg.path_magnitude(there), pg.path_magnitude(net))


def boxes_agree(there, net):
    for n in (3, 33):
        boxes = np.random.default_rng(n).integers(0, 5, size=(n, len(net.inputs))) / 2
        expected = [pg.path_norm(net, per_output=True, inputs=box) for box in boxes]
        assert same(there.power_sums(there.device.to_device(boxes)), np.array(expected))


def logs_agree(there, net):
    for q in (1, np.inf):
        assert same(pg.log_path_norm(there, q, per_output=True), pg.log_path_norm(net, q, per_output=True))


def limits_agree(there, net):
    logs_agree(there, net)
    outcomes = []
    for one in (there, net):
        try:
            outcomes.append(np.asarray(pg.path_magnitude(one)).tolist())
        except pg.RangeError:
            outcomes.append("too large")
    assert outcomes[0] == outcomes[1]


def powers_agree(there, net):
    for q in (4, 3):
        assert pg.path_norm(there, q, root=False) == pg.path_norm(net, q, root=False)
    tiny = net.map_values(lambda values: values * 2.0**-300).to_device(there.device)
    assert pg.log_path_norm(tiny, 4) == pg.log_path_norm(net.map_values(lambda values: values * 2.0**-300), 4)


def refused(there, net):
    with pytest.raises(pg.ParameterError):
        pg.path_norm(there, inputs=there.device.to_device(-np.ones(len(net.inputs))))


def evaluations_agree(there, net):
    values_agree(net, there, np.random.default_rng(1).integers(-6, 7, size=(37, len(net.inputs))) / 2)


def ranges_of_values_agree(there, net):
    with pytest.raises(pg.RangeError):
        there(there.device.to_device(np.full(len(net.inputs), 1e308)))
    with pytest.raises(pg.ParameterError):
        there(there.device.to_device(np.full(len(net.inputs), np.nan)))


def theta_agrees(there, net):
    theta = np.arange(len(net.theta)) / 4
    moved = there.device.to_device(theta)
    assert there.with_theta(moved).to_host() == net.with_theta(theta)
    assert there.with_values(there.values).to_host() == net
    with pytest.raises(pg.ParameterError):
        there.with_theta(there.device.to_device(np.full(len(net.theta), np.inf)))
    if net.architecture.is_tied:
        values = np.arange(float(net.architecture.n_entries))
        with pytest.raises(pg.GraphError):
            there.with_values(there.device.to_device(values))


def registered(name):
    return REGISTRY[name].float64


MANY_INPUTS = pg.from_weights([np.ones((5, 300)), np.ones((1, 5))])
PROBES = {
    "path_sums": [
        *((magnitudes_agree, registered(name)) for name in ("k_pool", "convolution", "fixed_bias", "only_constants")),
        *((f, net) for net in (LARGE, WIDE, MANY_INPUTS) for f in (magnitudes_agree, boxes_agree)),
        (refused, LARGE),
        *((limits_agree, net) for net in DEEP.values()),
        (powers_agree, LARGE),
    ],
    "evaluate": [
        *((evaluations_agree, registered(name)) for name in ("k_pool", "pool_ties", "constants", "multi_output")),
        *((evaluations_agree, net) for net in (LARGE, WIDE, MANY_INPUTS)),
        (ranges_of_values_agree, LARGE),
    ],
    "path_values": [(theta_agrees, registered(name)) for name in ("k_pool", "fixed_bias", "convolution")],
}
FAR_PROBES = {
    "path_sums": ["edges", "edges of a run", "entries", "entries of a fan", "neurons"],
    "evaluate": ["samples"],
    "path_values": ["parameters"],
}


def complaint(file, change, monkeypatch):
    """What the checks of a translation unit find if its text is changed: None for the text as it is."""

    def compiler(text, name, options):
        return CpuKernel(change(text), name, options, mode="check", order="backward")

    device = Device("the CPU, with a mutant", XP, compiler)
    try:
        for narrow in (networks.NARROW, 0):
            with monkeypatch.context() as patched:
                patched.setattr(networks, "NARROW", narrow)
                patched.setattr(networks, "_turns", lambda columns: 1)
                for agree, net in PROBES[file]:
                    agree(net.to_device(device), net)
        for what in FAR_PROBES[file]:
            FAR_CHECKS[what](maker("check", change))
    except (KernelError, AssertionError, pg.PathgraphError, pytest.fail.Exception) as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("file", PROBES)
def test_the_kernels_as_they_are_shipped_are_never_blamed(file, monkeypatch):
    assert complaint(file, lambda text: text, monkeypatch) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
def test_wrong_kernels_are_caught(mutant, monkeypatch):
    text = sources.text(mutant.file)
    assert text.count(mutant.old) == 1
    assert complaint(mutant.file, lambda text: text.replace(mutant.old, mutant.new), monkeypatch) is not None


def test_there_are_enough_mutants():
    assert len(MUTANTS) >= 30
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
