"""`pathgraph.gpu.is_available` answers in every environment and never raises."""

import dataclasses
import sys
import types

import pytest

import pathgraph as pg
from pathgraph_gpu import is_available
from pathgraph_gpu.device import cuda


def fake_cupy(*, available, count=1):
    """A module with the two functions that the probe calls; `available` may be an exception to raise."""

    def is_cuda_available():
        if isinstance(available, Exception):
            raise available
        return available

    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(
        is_available=is_cuda_available, runtime=types.SimpleNamespace(getDeviceCount=lambda: count)
    )
    return cupy


class RaisingFinder:
    """A finder under which ``import cupy`` raises the given error."""

    def __init__(self, error):
        self.error = error

    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise self.error


@pytest.fixture
def without_cupy(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)


def test_cupy_absent(without_cupy, monkeypatch):
    error = ModuleNotFoundError("No module named 'cupy'", name="cupy")
    monkeypatch.setattr(sys, "meta_path", [RaisingFinder(error), *sys.meta_path])
    answer = is_available()
    assert not answer
    assert answer.reason.startswith("CuPy is not installed; pip install 'pathgraph[cuda12]'")
    with pytest.raises(pg.BackendError, match=r"the GPU cannot be used: CuPy is not installed; pip install"):
        cuda()


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libcudart.so: cannot open shared object file"),
        ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
        RuntimeError("incompatible build"),
    ],
)
def test_cupy_that_cannot_be_imported(without_cupy, monkeypatch, error):
    monkeypatch.setattr(sys, "meta_path", [RaisingFinder(error), *sys.meta_path])
    answer = is_available()
    assert not answer
    assert "cannot be imported" in answer.reason
    assert type(error).__name__ in answer.reason
    with pytest.raises(pg.BackendError, match=r"the GPU cannot be used: CuPy cannot be imported"):
        cuda()
    assert str(error) in answer.reason


def test_no_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(available=False))
    answer = is_available()
    assert not answer
    assert "no CUDA device" in answer.reason


def test_driver_that_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(available=OSError("driver too old")))
    answer = is_available()
    assert not answer
    assert "OSError: driver too old" in answer.reason


def test_module_that_is_not_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    answer = is_available()
    assert not answer
    assert "AttributeError" in answer.reason


@pytest.mark.parametrize(("count", "text"), [(1, "1 CUDA device"), (3, "3 CUDA devices")])
def test_device(monkeypatch, count, text):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(available=True, count=count))
    answer = is_available()
    assert answer
    assert answer.available is True
    assert answer.reason == f"CuPy sees {text}"


def test_result_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        is_available().available = True


def test_facade_re_exports():
    import pathgraph.gpu as facade
    import pathgraph_gpu

    assert facade.is_available is pathgraph_gpu.is_available
    assert facade.Availability is pathgraph_gpu.Availability
