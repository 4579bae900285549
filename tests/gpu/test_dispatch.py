"""Where functions go when networks and arrays are on a device; the loop-back device, which computes on the CPU."""

import copy
import pickle
import sys
import types

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.devices import device_named, device_of, is_device_array, register
from pathgraph.gpu import LoopbackArray, from_dlpack, loopback
from pathgraph.graph.device_network import DeviceNetwork
from tests import layer_graphs
from tests.networks import REGISTRY, on_networks

DEVICE = loopback()
NET = pg.from_weights([[[1, -2], [3, 1]], [[1, 1], [2, 0]]], [[0, 5], None])
THERE = NET.to_device(DEVICE)


def moved(array):
    return DEVICE.to_device(np.array(array, dtype=float))


def host(result):
    assert isinstance(result, LoopbackArray)
    return result.get().tolist()


# -- results ------------------------------------------------------------------------------------------------------


@on_networks(lambda case: case.is_dyadic)
def test_results_are_those_of_the_cpu(case):
    for net in (case.float64, case.net.to_float(np.float32)):
        there = net.to_device(DEVICE)
        widths = np.arange(len(net.inputs)) / 2
        for q in (1, 2, 3, np.inf):
            assert pg.path_norm(there, q) == pg.path_norm(net, q)
            assert pg.log_path_norm(there, q, inputs=1.5) == pg.log_path_norm(net, q, inputs=1.5)
            found = pg.path_norm(there, q, per_output=True, inputs=moved(widths))
            assert host(found) == pg.path_norm(net, q, per_output=True, inputs=widths).tolist()
        assert host(pg.log_path_norm(there, per_output=True)) == pg.log_path_norm(net, per_output=True).tolist()
        assert pg.path_sum(there) == pg.path_sum(net)
        assert host(pg.path_sum(there, per_output=True)) == pg.path_sum(net, per_output=True).tolist()
        assert host(pg.path_marginals(there, biases=False)) == pg.path_marginals(net, biases=False).tolist()
        if not len(net.architecture.scattered):
            assert host(pg.path_magnitude(there)) == pg.path_magnitude(net).tolist()
        x = np.array(case.inputs, dtype=float)
        assert host(there(DEVICE.to_device(x))) == net(x).tolist()
        assert host(there.neuron_values(DEVICE.to_device(x))) == net.neuron_values(x).tolist()
        assert host(there.theta) == net.theta.tolist()
        assert there.to_host() == net


def test_what_is_a_float_is_a_float_and_what_is_an_array_is_one_of_the_device():
    assert type(pg.path_norm(THERE)) is type(pg.log_path_norm(THERE)) is type(pg.path_sum(THERE)) is float
    assert type(pg.path_norm(THERE, dtype=np.float32)) is np.float32
    assert type(pg.path_sum(THERE, source=(0, 0), target=(2, 1))) is float
    expected = [pg.path_norm(NET, 2, root=False, per_output=True, inputs=box).tolist() for box in ([1, 1], [0, 2])]
    assert host(THERE.power_sums(moved([[1, 1], [0, 2]]), q=2)) == expected


def test_numbers_sequences_and_mappings_are_welcome():
    for inputs in (2, [2, 1], (2, 1), {(0, 0): 2}):
        assert pg.path_norm(THERE, inputs=inputs) == pg.path_norm(NET, inputs=inputs)
    assert pg.path_sum(THERE, inputs=[-2, 1]) == pg.path_sum(NET, inputs=[-2, 1])


def test_attributes():
    assert THERE.inputs == NET.inputs
    assert THERE.outputs == NET.outputs
    assert THERE.nodes == NET.nodes
    assert list(THERE.parameters) == list(NET.parameters)
    assert THERE.dtype == NET.dtype
    assert THERE.device is DEVICE
    assert THERE.architecture is NET.architecture
    assert "float64 on loopback" in repr(THERE)
    other = THERE.with_theta(2 * THERE.theta)
    assert other.to_host() == NET.with_theta(2 * NET.theta)
    assert THERE.with_values(THERE.values).to_host() == NET
    assert DeviceNetwork(NET.architecture, THERE.values).to_host() == NET


def test_values_are_copied():
    values = DEVICE.to_device(np.array(NET.values))
    net = THERE.with_values(values)
    values[0] = 99
    assert net.to_host() == NET


# -- mixtures and what is not supported ---------------------------------------------------------------------------


def test_nothing_is_moved_silently():
    x = np.ones(2)
    for mixture in (
        lambda: THERE(x),
        lambda: THERE([1.0, 1.0]),
        lambda: NET(moved(x)),
        lambda: NET.neuron_values(moved(x)),
        lambda: pg.path_norm(THERE, inputs=x),
        lambda: pg.path_sum(THERE, inputs=x),
        lambda: pg.path_norm(NET, inputs=moved(x)),
        lambda: pg.log_path_norm(NET, inputs=moved(x)),
        lambda: pg.path_sum(NET, inputs=moved(x)),
        lambda: pg.path_magnitude(NET, inputs=moved(x)),
        lambda: pg.input_lipschitz(NET, inputs=moved(x)),
        lambda: pg.certify(NET, NET, inputs=moved(x)),
        lambda: pg.path_activations(NET, moved(x)),
        lambda: pg.set_magnitude(NET, moved(np.zeros(10)).astype(bool)),
        lambda: NET.with_theta(THERE.theta),
        lambda: NET.with_values(THERE.values),
        lambda: pg.from_weights([np.ones((2, 2)), moved(np.ones((1, 2)))]),
        lambda: pg.from_weights([np.ones((1, 2))], [moved([1])]),
        lambda: layer_graphs.build("linear", float)(DEVICE.to_device(np.ones((1, 3)))),
        lambda: pg.path_magnitude(THERE, inputs=x),
        lambda: THERE.power_sums(np.ones((1, 2))),
        lambda: THERE.with_theta(NET.theta),
        lambda: THERE.with_values(NET.values),
        lambda: DeviceNetwork(NET.architecture, NET.values),
        lambda: np.asarray(THERE.values),
        lambda: THERE.values + NET.values,
        lambda: NET.values * THERE.values,
        lambda: THERE.values[np.array([0])],
        lambda: np.add(THERE.values, 1, out=np.zeros(10)),
        lambda: pickle.dumps(THERE),
        lambda: copy.copy(THERE),
    ):
        with pytest.raises(pg.ConversionError) as caught:
            mixture()
        assert isinstance(caught.value, TypeError)


NEEDS_THE_HOST = {
    "count_paths": lambda net: pg.count_paths(net),
    "depth": lambda net: pg.depth(net),
    "q=0": lambda net: pg.path_norm(net, 0),
    "another semiring": lambda net: pg.path_sum(net, pg.semirings.MAX_TIMES),
    "marginals in another semiring": lambda net: pg.path_marginals(net, pg.semirings.COUNT),
    "node_marginals": lambda net: pg.node_marginals(net),
    "sign_flip_masses": lambda net: pg.sign_flip_masses(net, net),
    "set_magnitude": lambda net: pg.set_magnitude(net, []),
    "importance_scores": lambda net: pg.importance_scores(net),
    "prune": lambda net: pg.prune(net, 0.5),
    "minimize": lambda net: pg.minimize(net),
    "path_lifting": lambda net: pg.path_lifting(net),
    "path_activations": lambda net: pg.path_activations(net, [1, 1]),
    "sample_paths": lambda net: pg.sample_paths(net, 3, 0),
    "heaviest_path": lambda net: pg.heaviest_path(net),
    "path_metric": lambda net: pg.path_metric(net, net),
    "parameter_lipschitz": lambda net: pg.parameter_lipschitz(net, net),
    "input_lipschitz": lambda net: pg.input_lipschitz(net),
    "operator_norm_product": lambda net: pg.operator_norm_product(net),
    "rescale": lambda net: pg.rescale(net, {}),
    "random_rescaling": lambda net: pg.random_rescaling(net, 0),
    "normalize": lambda net: pg.normalize(net),
    "balance": lambda net: pg.balance(net),
    "path_condition": lambda net: pg.path_condition(net),
    "find_rescaling": lambda net: pg.find_rescaling(net, net),
    "conserved_quantities": lambda net: pg.conserved_quantities(net),
    "functional_dimension": lambda net: pg.functional_dimension(net, [[1, 1]]),
    "generalization_bound": lambda net: pg.generalization_bound(net, 100),
    "quantize": lambda net: pg.quantize(net, pg.Quantizer("nearest", step=1)),
    "certify": lambda net: pg.certify(net, net),
    "bits_fixed": lambda net: pg.bits_fixed(net, 0.1),
    "save": lambda net: pg.save(net, "file"),
    "to_networkx": lambda net: pg.to_networkx(net),
    "to_arrays": lambda net: pg.to_arrays(net),
    "subnetwork": lambda net: pg.subnetwork(net, (0, 0), (2, 0)),
}


@pytest.mark.parametrize("what", NEEDS_THE_HOST)
def test_what_does_not_run_there_says_what_to_do(what):
    with pytest.raises(pg.UnsupportedOperatorError, match=r"to_host\(\)"):
        NEEDS_THE_HOST[what](THERE)


def test_what_cannot_go_there():
    with pytest.raises(pg.UnsupportedOperatorError, match=r"the values are exact; use net.to_float\(\)"):
        NET.to_exact().to_device(DEVICE)
    with pytest.raises(pg.UnsupportedOperatorError, match=r"got a LayerGraph; .* edges, .*expand\(\).to_device\(\)"):
        layer_graphs.build("linear", float).to_device(DEVICE)
    with pytest.raises(pg.BackendError, match=r"needed one of .*'cupy'.* or a Device, got 'abacus'"):
        NET.to_device("abacus")
    with pytest.raises(pg.BackendError, match="leave it out"):
        pg.path_norm(THERE, backend="numpy")
    with pytest.raises(pg.UnsupportedOperatorError, match="paths may meet the parameter 'w' twice"):
        pg.path_magnitude(REGISTRY["tied_across_depth"].float64.to_device(DEVICE))


def test_without_cupy_the_reason_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(pg.BackendError, match="the GPU cannot be used: CuPy"):
        NET.to_device()


def test_wrong_arguments():
    wrong = {
        "x: needed shape": lambda: THERE(moved([1, 2, 3])),
        "x: needed real numbers": lambda: THERE(DEVICE.to_device(np.array([1j, 0]))),
        "needed a finite number, got nan": lambda: THERE(moved([np.nan, 1])),
        "inputs: needed 2 real numbers": lambda: pg.path_norm(THERE, inputs=moved([1])),
        "boxes: needed real numbers of shape": lambda: THERE.power_sums(moved([1, 1])),
        "boxes: needed .* n_boxes >= 1": lambda: THERE.power_sums(moved(np.ones((0, 2)))),
        "q: needed a number in .0, inf.": lambda: THERE.power_sums(moved([[1, 1]]), q=0),
        "theta: needed shape": lambda: THERE.with_theta(moved([1])),
        "theta: needed shape .10,. and float64": lambda: THERE.with_theta(THERE.theta.astype(np.float32)),
        "values: needed shape": lambda: THERE.with_values(moved([1])),
        "values: needed float32 or float64": lambda: THERE.with_values(THERE.values.astype(np.int64)),
        "values.*: needed a finite": lambda: THERE.with_values(np.nan * THERE.values),
        "the width of .* must be >= 0": lambda: pg.path_norm(THERE, inputs=-1),
        "per_output: with target=": lambda: pg.path_sum(THERE, per_output=True, target=(1, 0)),
        "inputs: with source=": lambda: pg.path_sum(THERE, inputs=1, source=(1, 0)),
        "semiring: needed": lambda: pg.path_sum(THERE, "plus"),
    }
    for message, call in wrong.items():
        with pytest.raises(pg.ParameterError, match=message):
            call()
    with pytest.raises(pg.GraphError, match="no neuron"):
        pg.path_sum(THERE, target="nowhere")
    huge = pg.from_weights([[[1e200]], [[1e200]]]).to_device(DEVICE)
    for f in (
        pg.path_norm,
        pg.path_sum,
        pg.path_marginals,
        pg.path_magnitude,
        lambda net: net.power_sums(moved([[1]])),
    ):
        with pytest.raises(pg.RangeError):
            f(huge)


# -- arrays and devices -------------------------------------------------------------------------------------------


def test_arrays_of_the_loopback_device():
    x = moved([[1, 2], [3, 4]])
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 2), 2, 4, np.float64, 2)
    assert host(x.T) == host(x.T.copy()) == [[1, 3], [2, 4]]
    assert host(-x[0] + 1) == [0, -1]
    assert host(x.reshape(4)[1:3].astype(int)) == [2, 3]
    assert host(np.abs(-x)) == x.tolist() == [[1, 2], [3, 4]]
    x[0] = 7
    x[x == 7] = 8
    assert [host(row) for row in x] == [[8, 8], [3, 4]]
    assert float(x[0, 0]) == 8.0
    assert bool(x[0, 0] == 8)
    x += 1
    assert host(x) == [[9, 9], [4, 5]]
    assert repr(x[0]) == "LoopbackArray([9., 9.])"
    xp = DEVICE.xp
    for array in (xp.zeros(2), xp.ones(2), xp.empty(2), xp.asarray([1, 2]), xp.ascontiguousarray(x, dtype=np.float32)):
        assert isinstance(array, LoopbackArray)
    assert xp.asnumpy(xp.ones(2)).tolist() == [1, 1]
    assert repr(DEVICE) == "<device loopback>"


def test_the_device_of_operands():
    x = moved([1])
    assert is_device_array(x)
    assert device_of(x=x, y=x, z=None) is DEVICE
    with pytest.raises(pg.ConversionError, match=r"x on loopback, y on the CPU: .* to_device\(\)"):
        device_of(x=x, y=np.ones(1))
    assert device_named("loopback") is DEVICE


def test_a_device_of_someone_else():
    """Any device with the functions of `pathgraph_gpu.networks` can hold networks."""

    class Array(LoopbackArray):
        pass

    Array.__module__ = "elsewhere.arrays"
    other = types.SimpleNamespace(name="elsewhere", xp=DEVICE.xp, networks=DEVICE.networks)
    register("elsewhere", lambda: other)
    assert device_of(x=Array(np.ones(1))) is other
    with pytest.raises(pg.ConversionError, match="on elsewhere"):
        THERE(Array(np.ones(2)))


class Lent:
    """An array of another library, somewhere."""

    def __init__(self, kind):
        self.kind = kind

    def __dlpack_device__(self):
        return (self.kind, 0)

    def __dlpack__(self, **options):
        raise AssertionError("nothing is read from here")


def test_arrays_of_other_libraries(monkeypatch):
    for wrong, message in (
        (np.ones(2), "it is on the CPU; move it there first"),
        (Lent(10), "it is on ROCm"),
        (Lent(99), "on a device of kind 99"),
        ([1, 2], "needed an array that offers __dlpack__, got list"),
        (moved([1]), "needed an array that offers __dlpack__, got LoopbackArray"),
    ):
        with pytest.raises(pg.ConversionError, match=message):
            from_dlpack(wrong)
    cupy = types.ModuleType("cupy")
    cupy.from_dlpack = lambda array: ("taken", array)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    pg.gpu.cuda.cache_clear()
    lent = Lent(2)
    assert from_dlpack(lent) == ("taken", lent)
    pg.gpu.cuda.cache_clear()
