"""`check_backend` passes what is right and refutes, with small networks, whatever is broken in a back end or device."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.pathsum import engine
from pathgraph.testing import check_backend, mlps
from pathgraph_gpu.loopback import LoopbackArray, LoopbackDevice, Networks

BACKENDS = ["reference", "numpy", "loopback"]
if engine.is_available():
    BACKENDS.append("numba")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_back_ends_are_right(backend, dtype):
    found = check_backend(backend, dtype=dtype, max_examples=30)
    assert found
    assert [name for name, count in found.answers.items() if count < 20] == [unanswered(backend)]
    assert not found.answers[unanswered(backend)]
    assert repr(found).startswith("Agreement(no disagreement in ")


def unanswered(backend):
    return "node_marginals" if backend == "loopback" else "path_magnitude"


def right(net, function, *args, **options):
    return {
        "path_norm": pg.path_norm,
        "path_sum": pg.path_sum,
        "path_marginals": pg.path_marginals,
        "log_path_norm": pg.log_path_norm,
        "evaluate": lambda net, x: net(x),
        "neuron_values": lambda net, x: net.neuron_values(x),
        "theta": lambda net: net.theta,
    }[function](net, *args, **options)


def without_biases(net, q, **options):
    """Of the network whose biases are zero."""
    is_edge = np.arange(len(net.values)) < net.architecture.n_edges
    return pg.path_norm(net.with_values(net.values * is_edge), q, **options)


def unscaled(net, q, **options):
    """Sums of squares as floats have them, overflow, underflow and all."""
    if q != 2:
        return pg.path_norm(net, q, **options)
    sums = {}
    with np.errstate(all="ignore"):
        for v in net.nodes:
            terms = [np.float64(net.weight(u, v)) ** 2 * sums[u] for u in net.architecture.antecedents(v)]
            sums[v] = np.float64(v in net.inputs) + sum(terms) + np.float64(net.bias(v) or 0) ** 2
        total = float(sum(sums[v] for v in net.outputs))
    if not math.isfinite(total):
        raise pg.RangeError("too large")
    return total


def places_of_tied(net):
    """Of tied parameters half of the sum."""
    if not net.architecture.is_tied:
        return pg.path_marginals(net)
    return pg.path_marginals(net) / 2


def largest_pools(net, x):
    """Evaluation in which every pool takes the largest candidate."""
    rows = []
    for row in x:
        value = dict(zip(net.inputs, row, strict=True))
        kinds = dict(zip(net.nodes, net.architecture.activations, strict=True))
        for v in net.nodes:
            terms = [net.weight(u, v) * value[u] for u in net.architecture.antecedents(v)]
            if v not in value:
                value[v] = (max(terms) if kinds[v] == "pool" else sum(terms)) + (net.bias(v) or 0)
                value[v] = max(value[v], 0) if kinds[v] == "relu" else value[v]
        rows.append([value[v] for v in net.outputs])
    return np.array(rows, dtype=net.dtype).reshape(len(x), len(net.outputs))


def raising(net, *args, **options):
    raise ValueError("mine")


def refusing_by_range(net, *args, **options):
    raise pg.RangeError("never")


BROKEN = {
    "no biases": {"path_norm": without_biases},
    "signs lost": {"path_sum": lambda net, **o: abs(right(net, "path_sum", **o))},
    "overflow": {"path_norm": unscaled},
    "infinite": {"path_sum": lambda net, **o: infinite(net, **o)},
    "ties": {"path_marginals": places_of_tied},
    "a rank": {"evaluate": largest_pools},
    "order of neurons": {"neuron_values": lambda net, x: right(net, "neuron_values", x)[:, ::-1]},
    "float32": {"theta": lambda net: (net.theta / 3).astype(np.float32).astype(float) * 3},
    "a digit": {"log_path_norm": lambda net: right(net, "log_path_norm") + 1e-9},
    "half a result": {"path_marginals": lambda net: right(net, "path_marginals")[:1]},
    "empty batches": {
        "evaluate": lambda net, x: right(net, "evaluate", x) if len(x) else np.zeros((1, len(net.outputs)))
    },
    "an error": {"path_sum": raising},
    "a range": {"path_sum": refusing_by_range},
    "text": {"theta": lambda net: "theta"},
    "a bool": {"path_norm": lambda net, q, **options: True},
    "text of an empty batch": {
        "evaluate": lambda net, x: right(net, "evaluate", x) if len(x) else np.zeros((0, len(net.outputs)), dtype="U3")
    },
    "a ragged list": {"evaluate": lambda net, x: [[1.0], [1.0, 2.0]]},
    "a changed input": {"evaluate": lambda net, x: right(net, "evaluate", x) + 0 * zeroed(x)},
    "changed half-widths": {"path_norm": lambda net, q, **o: pg.path_norm(net, q, **o) + 0 * zeroed(o.get("inputs"))},
}


def zeroed(numbers):
    """Zero, and so are the numbers."""
    if numbers is not None:
        numbers[:] = [0 * number for number in numbers]
    return 0


def infinite(net, **options):
    try:
        return pg.path_sum(net, **options)
    except pg.RangeError:
        return np.inf


@pytest.mark.parametrize("name", BROKEN)
def test_broken_functions_are_refuted(name):
    found = check_backend(BROKEN[name], raises=False, max_examples=300)
    assert not found
    assert found.counterexample.net.architecture.n_edges <= 6


def test_a_disagreement_is_shown():
    with pytest.raises(AssertionError, match="the back end of log_path_norm disagrees with exact arithmetic") as caught:
        check_backend(BROKEN["a digit"])
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("inputs x0")
    assert lines[-3].startswith("log_path_norm, x = ")
    assert lines[-2].startswith("found:    ")
    assert lines[-1].startswith("expected: ")


def test_right_functions_pass():
    mine = {
        name: lambda net, *a, name=name, **o: right(net, name, *a, **o)
        for name in ("path_norm", "path_sum", "evaluate")
    }
    found = check_backend(mine, max_examples=20)
    assert found
    assert sum(count > 0 for count in found.answers.values()) == 10


def test_the_dtype_of_an_evaluation_is_that_of_the_network():
    wider = {"evaluate": lambda net, x: net(x).astype(np.float64)}
    assert check_backend(wider, max_examples=5)
    assert not check_backend(wider, dtype=np.float32, max_examples=5, raises=False)


def test_what_is_right_at_times_has_a_counterexample():
    calls = iter(range(10**6))

    def wrong_at_times(net, q, **options):
        return pg.path_norm(net, q, **options) * (1 + (next(calls) % 7 == 0))

    found = check_backend({"path_norm": wrong_at_times}, networks=mlps(), max_examples=20, raises=False)
    assert not found
    assert "found:" in str(found.counterexample)


def test_one_question_and_given_networks():
    found = check_backend("numpy", questions=["path_sum"], networks=mlps(), max_examples=np.int64(10))
    assert dict(found.answers) == {"path_sum": 10}


class NoBiases(Networks):
    def sums(self, device, net, q, start, ends, dtype):
        return super().sums(device, net, q, start._replace(biases=False), ends, dtype)


class Unsigned(Networks):
    def masses(self, device, net, q, start, what):
        return super().masses(device, net, 1, start._replace(weights=LoopbackArray(abs(start.weights.get()))), what)


class Stale(Networks):
    def evaluate(self, device, net, rows, *, neurons=False):
        return LoopbackArray(super().evaluate(device, net, rows, neurons=neurons).get() * 0)


@pytest.mark.parametrize("networks", [NoBiases, Unsigned, Stale])
def test_broken_devices_are_refuted(networks):
    device = LoopbackDevice()
    device.networks = networks()
    found = check_backend(device, raises=False)
    assert not found
    assert found.counterexample.net.architecture.n_edges <= 3


def test_a_device_that_changes_the_values_is_refuted():
    class Rounding(LoopbackDevice):
        def to_device(self, array):
            return super().to_device(np.round(array))

    found = check_backend(Rounding(), questions=["theta"], raises=False)
    assert "to_host() is not the network that went there" in str(found.counterexample)


def test_what_refuses_everything_has_not_passed():
    def refusing(net, **options):
        raise pg.UnsupportedOperatorError("not here")

    with pytest.raises(pg.ParameterError, match="backend: needed one that answers some question"):
        check_backend({"path_sum": refusing}, max_examples=3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"backend": 3}, "backend: needed the name"),
        ({"backend": {}}, "backend: needed functions by some of the names"),
        ({"backend": {"norm": max}}, "backend: needed functions by some of the names"),
        ({"backend": {"path_norm": 3}}, "backend: needed functions by some of the names"),
        ({"dtype": int}, "dtype: needed float32 or float64"),
        ({"questions": "path_sum"}, "questions: needed some of"),
        ({"questions": []}, "questions: needed some of"),
        ({"questions": ["norm"]}, "questions: needed some of"),
        ({"questions": 5}, "questions: needed some of"),
        ({"questions": [["norm"]]}, "questions: needed some of"),
        ({"dtype": "floats"}, "dtype: needed float32 or float64"),
        ({"networks": 3}, "networks: needed a strategy"),
        ({"networks": st.integers()}, "networks: needed a strategy of networks of neurons, got one that draws"),
        ({"networks": st.nothing()}, "needed a strategy that draws something"),
        ({"max_examples": 0}, "max_examples"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(pg.ParameterError, match=match):
        check_backend(**{"backend": "numpy"} | options)
    with pytest.raises(pg.BackendError, match=r"device: needed one of 'cupy'.*'loopback'"):
        check_backend("abacus")


def test_the_loop_back_device_has_a_name():
    program = "import pathgraph as pg; print(pg.from_weights([[[1.0]]]).to_device('loopback').device)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert found.stdout.strip() == "<device loopback>", found.stderr
