"""Joules from the counter of NVML, with a counter that is none."""

import sys
import types

import pytest

import pathgraph as pg
from pathgraph_gpu.verification import energy, timing


class NVMLError(Exception):
    pass


def fake(*, counter=True, found=True, loads=True):
    """A module pynvml, with one GPU whose counter advances by 2500 mJ at every look."""
    nvml = types.ModuleType("pynvml")
    looks = iter(range(0, 10**6, 2500))

    def init():
        if not loads:
            raise NVMLError("driver not loaded")

    def handle(bus):
        assert bus == b"0000:01:00.0"
        if not found:
            raise NVMLError("not found")
        return "the GPU"

    def total(handle):
        assert handle == "the GPU"
        if not counter:
            raise NVMLError("not supported")
        return next(looks)

    nvml.NVMLError, nvml.nvmlInit = NVMLError, init
    nvml.nvmlDeviceGetHandleByPciBusId, nvml.nvmlDeviceGetTotalEnergyConsumption = handle, total
    return nvml


def test_the_counter_is_that_of_the_gpu_on_the_bus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake())
    counter = energy.nvml_counter("0000:01:00.0")
    assert counter.joules() == 2.5  # the first look, whether there is a counter, was 0
    assert counter.joules() == 5.0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"counter": False}, "no energy counter"),
        ({"found": False}, "not found"),
        ({"loads": False}, "driver not loaded"),
    ],
)
def test_without_a_counter_the_reason_is_given(options, reason, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake(**options))
    with pytest.raises(pg.BackendError, match=reason):
        energy.nvml_counter("0000:01:00.0")


def test_without_the_package_the_reason_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(pg.BackendError, match="nvidia-ml-py is not installed"):
        energy.nvml_counter("0000:01:00.0")


def test_a_run_is_repeated_for_some_time_between_two_waits():
    events = []

    class Counter:
        def joules(self):
            events.append("look")
            return 10.0 * events.count("run")

    found = energy.joules(lambda: events.append("run"), lambda: events.append("wait"), Counter(), 0.3, seconds=1.0)
    assert found == 10.0
    assert events == ["wait", "look", *["run"] * 4, "wait", "look"]


def test_times_are_those_of_the_profiler_of_cupy(monkeypatch):
    given = {}

    def benchmark(run, args, **options):
        given.update(options, args=args)
        run()
        return types.SimpleNamespace(gpu_times=[[0.25, 0.5]])

    profiler = types.ModuleType("cupyx.profiler")
    profiler.benchmark = benchmark
    monkeypatch.setitem(sys.modules, "cupyx", types.ModuleType("cupyx"))
    monkeypatch.setitem(sys.modules, "cupyx.profiler", profiler)
    assert timing.cupy_timer(repeat=7, warmup=2)(lambda: None) == [0.25, 0.5]
    assert (given["n_repeat"], given["n_warmup"], given["args"]) == (7, 2, ())
