"""Kronecker-sparse matrices and chains on a device: where products go, on the loop-back device."""

import copy
import pickle
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings

import pathgraph as pg
from pathgraph.gpu import LoopbackArray, loopback
from pathgraph.testing import ks_chains

DEVICE = loopback()
K = pg.KSMatrix(np.arange(1.0, 13.0).reshape(1, 2, 3, 2))
THERE = K.to_device(DEVICE)
CHAIN = pg.KSChain([K, pg.KSMatrix(np.arange(1.0, 13.0).reshape(1, 3, 2, 2))])


def moved(array, dtype=float):
    return DEVICE.to_device(np.array(array, dtype=dtype))


def same(found, wanted):
    assert isinstance(found, LoopbackArray)
    assert found.dtype == wanted.dtype
    return np.array_equal(found.get(), wanted)


@given(chain=ks_chains())
@settings(max_examples=30, deadline=None)
def test_results_are_those_of_the_cpu(chain):
    chain = chain.astype(float)
    there = chain.to_device(DEVICE)
    x = np.arange(2.0 * chain.shape[1]).reshape(chain.shape[1], 2)
    g = np.arange(2.0 * chain.shape[0]).reshape(chain.shape[0], 2)
    assert same(there @ moved(x), chain @ x)
    assert same(moved(g.T) @ there, g.T @ chain)
    assert same(there.apply(moved(x.T), -1), chain.apply(x.T, -1))
    assert same(there.T @ moved(g), chain.T @ g)
    found, wanted = there.vjp(moved(x), moved(g)), chain.vjp(x, g)
    assert same(found[0], wanted[0])
    assert all(same(*pair) for pair in zip(found[1], wanted[1], strict=True))
    assert there.to_host() == chain
    assert there.T.to_host() == chain.T
    assert there.patterns == chain.patterns


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_types_stay(dtype):
    there = K.astype(dtype).to_device(DEVICE)
    assert there.dtype == dtype == THERE.astype(dtype).dtype
    assert there.to_host() == K.astype(dtype)
    assert same(there @ moved(np.ones(6), dtype), K.astype(dtype) @ np.ones(6, dtype=dtype))
    assert CHAIN.to_device(DEVICE).astype(dtype).to_host() == CHAIN.astype(dtype)
    assert THERE.T.astype(dtype).to_host() == K.astype(dtype).T


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers(dtype):
    rng = np.random.default_rng(0)

    def numbers(*shape):
        return (rng.integers(-3, 4, size=shape) + 1j * rng.integers(-3, 4, size=shape)).astype(dtype)

    matrix = pg.KSMatrix(numbers(1, 2, 3, 2))
    for operator in (matrix, matrix.T, pg.KSChain([matrix, pg.KSMatrix(numbers(1, 3, 2, 2))])):
        there = operator.to_device(DEVICE)
        x, g = numbers(operator.shape[1], 3), numbers(operator.shape[0], 3)
        assert same(there @ moved(x, dtype), operator @ x)
        assert same(there.H @ moved(g, dtype), operator.H @ g)
        assert there.conj().to_host() == operator.conj()
        of_x, of_values = there.vjp(moved(x, dtype), moved(g, dtype))
        wanted = operator.vjp(x, g)
        assert same(of_x, wanted[0])
        pairs = (
            [(of_values, wanted[1])] if isinstance(operator, pg.KSMatrix) else zip(of_values, wanted[1], strict=True)
        )
        assert all(same(*pair) for pair in pairs)
    assert THERE.conj() is THERE
    assert CHAIN.to_device(DEVICE).H.to_host() == CHAIN.T


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("operator", [K, K.T, CHAIN], ids=["matrix", "transpose", "chain"])
def test_a_product_into_an_array(operator, dtype):
    there = operator.astype(dtype).to_device(DEVICE)
    rows, columns = operator.shape
    for axis, shape, wanted in (
        (0, (columns, 2), (rows, 2)),
        (-1, (3, columns), (3, rows)),
        (1, (2, columns, 2), None),
    ):
        x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        out = moved(np.full(wanted or (2, rows, 2), np.nan), dtype)
        assert there.apply(moved(x, dtype), axis, out=out) is out
        assert same(out, operator.astype(dtype).apply(x, axis))
    buffer = moved(np.zeros(2 * rows), dtype)
    there.apply(moved(np.ones(columns), dtype), out=buffer[:rows])  # a part of an array
    assert buffer.get()[:rows].any()
    assert not buffer.get()[rows:].any()


def test_arrays_that_a_product_cannot_be_written_to():
    square = pg.KSMatrix(np.ones((1, 2, 2, 2))).to_device(DEVICE)
    x, fixed = moved(np.ones((4, 4))), moved(np.ones((4, 4)))
    fixed.flags.writeable = False
    wrong = {
        "out: needed a writeable array": lambda: square.apply(x, out=fixed),
        "out: needed shape .4, 4., got .4,": lambda: square.apply(x, out=moved(np.ones(4))),
        "out: needed float64, the type of the values, got float32": lambda: square.apply(
            x, out=moved(x.get(), np.float32)
        ),
        "out: needed a contiguous array": lambda: square.apply(x, out=moved(np.ones((4, 4))).T),
        "shares no memory": lambda: square.apply(x, out=x),
        "out: needed an array that shares no memory": lambda: square.apply(
            moved(np.ones(4))[:], out=square._stored.reshape(-1)[4:]
        ),
    }
    for message, call in wrong.items():
        with pytest.raises(pg.ParameterError, match=message):
            call()
    for out in (np.ones((4, 4)), [1.0]):
        with pytest.raises(pg.ConversionError):
            square.apply(x, out=out)


def test_any_axes():
    x = np.arange(36.0).reshape(2, 6, 3)
    assert same(THERE @ moved(x), K @ x)
    for axis, shape in ((0, (6, 2)), (1, (2, 6)), (-1, (3, 2, 6)), (2, (2, 2, 6, 2))):
        x = np.arange(np.prod(shape, dtype=float)).reshape(shape)
        assert same(THERE.apply(moved(x), axis), K.apply(x, axis))
    assert same(THERE.apply(moved(np.ones((6, 0)))), K.apply(np.ones((6, 0))))
    of_x, of_values = THERE.vjp(moved(np.ones((6, 0))), moved(np.ones((4, 0))))
    assert of_x.shape == (6, 0)
    assert same(of_values, np.zeros((1, 2, 3, 2)))


def test_attributes():
    assert THERE.pattern == K.pattern
    assert THERE.shape == K.shape
    assert THERE.nnz == K.nnz
    assert THERE.device is DEVICE
    assert same(THERE.values, K.values)
    assert same(THERE.T.values, K.T.values)
    assert THERE.T.T.to_host() == K
    assert THERE.H.to_host() == K.H
    assert repr(THERE.T) == "DeviceKSMatrix(6 x 4, pattern (1, 3, 2, 2), float64 on loopback)"
    chain = THERE @ CHAIN.to_device(DEVICE).factors[1] @ THERE
    assert repr(chain) == "DeviceKSChain(4 x 6, 3 factors, float64 on loopback)"
    assert chain.nnz == 36
    assert chain.to_host() == pg.KSChain([CHAIN, K])


def test_values_are_copied():
    values = moved(K.values)
    there = pg.DeviceKSMatrix(values)
    values[0] = 99
    assert there.to_host() == K


def test_nothing_is_moved_silently():
    x = np.ones(6)
    chain = CHAIN.to_device(DEVICE)
    for mixture in (
        lambda: THERE @ x,
        lambda: THERE @ list(x),
        lambda: THERE.apply(x),
        lambda: np.ones(4) @ THERE,
        lambda: K @ moved(x),
        lambda: K.apply(moved(x)),
        lambda: moved(np.ones(4)) @ K,
        lambda: CHAIN @ moved(np.ones(4)),
        lambda: chain @ np.ones(4),
        lambda: THERE.vjp(x, moved(np.ones(4))),
        lambda: THERE.vjp(moved(x), np.ones(4)),
        lambda: chain.vjp(np.ones(4), moved(np.ones(4))),
        lambda: K.vjp(moved(x), moved(np.ones(4))),
        lambda: K @ THERE.T,
        lambda: THERE @ K.T,
        lambda: CHAIN @ chain.T,
        lambda: chain @ CHAIN.T,
        lambda: pg.KSChain([K, THERE.T]),
        lambda: pg.DeviceKSChain([THERE, K.T]),
        lambda: K.multiply(THERE),
        lambda: K.apply(np.ones(6), out=moved(np.ones(4))),
        lambda: THERE.apply(moved(x), out=np.ones(4)),
        lambda: pg.butterfly_factorize(moved(np.eye(4)), pg.square_dyadic(4)),
        lambda: pg.KSMatrix(THERE.values),
        lambda: pg.DeviceKSMatrix(K.values),
        lambda: np.asarray(THERE),
        lambda: pickle.dumps(THERE),
        lambda: copy.copy(chain),
    ):
        with pytest.raises(pg.ConversionError) as caught:
            mixture()
        assert isinstance(caught.value, TypeError)


def test_wrong_arguments():
    chain = CHAIN.to_device(DEVICE)
    wrong = {
        "x: needed 6 entries along axis 0": lambda: THERE @ moved(np.ones(4)),
        "x: needed float64, the type of the values, got float32": lambda: THERE @ moved(np.ones(6), np.float32),
        "x: needed an array of loopback, got None": lambda: THERE.apply(None),
        "axis: needed an integer": lambda: THERE.apply(moved(np.ones(6)), None),
        "gradient: needed shape .4, 2., that of the product": lambda: THERE.vjp(moved(np.ones((6, 2))), moved([1])),
        "got the number 2": lambda: THERE @ 2,
        "got the number 3": lambda: 3 @ THERE,
        "values: needed shape .a, b, c, d.": lambda: pg.DeviceKSMatrix(moved([1])),
        "each at least 1, got .1, 0, 1, 1.": lambda: pg.DeviceKSMatrix(moved(np.ones((1, 0, 1, 1)))),
        "values: needed one of float16, float32, float64, complex64, complex128, got int64": lambda: THERE.astype(int),
        "factors: needed at least one": lambda: pg.DeviceKSChain([]),
        "factors.0.: needed a DeviceKSMatrix, got int": lambda: pg.DeviceKSChain([1]),
        "x: needed float64, the type of the values, got int64; use astype": lambda: THERE @ moved(np.ones(6), int),
        "gradient: needed float64, the type of the values, got float32": lambda: THERE.vjp(
            moved(np.ones(6)), moved(np.ones(4), np.float32)
        ),
        "the 6 columns of factor 0": lambda: THERE @ THERE,
        "factors: needed one type, got float64 and float32": lambda: THERE @ THERE.T.astype(np.float32),
        "complex128, got object": lambda: pg.DeviceKSMatrix(DEVICE.to_device(np.ones((1, 1, 1, 1), dtype=object))),
        "x: needed float64, the type of the values, got complex128": lambda: THERE @ moved(np.ones(6), complex),
        "dtype: needed a complex type for values of complex128": lambda: THERE.astype(complex).astype(float),
        "x: needed 4 entries": lambda: chain @ moved([1]),
    }
    for message, call in wrong.items():
        with pytest.raises(pg.ParameterError, match=message):
            call()
    for values in (np.ones((1, 1, 1, 1), dtype=int), np.full((1, 1, 1, 1), 1, dtype=object)):
        with pytest.raises(pg.UnsupportedOperatorError, match=r"to_device: needed one of float16, .* use .astype"):
            pg.KSMatrix(values).to_device(DEVICE)
    with pytest.raises(pg.BackendError, match=r"needed one of .*'cupy'.* or a Device, got 'abacus'"):
        K.to_device("abacus")
    without = types.SimpleNamespace(name="elsewhere", to_device=np.array)
    with pytest.raises(pg.BackendError, match="elsewhere has no products"):
        K.to_device(without)


def test_without_cupy_the_reason_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    for operator in (K, CHAIN):
        with pytest.raises(pg.BackendError, match="the GPU cannot be used: CuPy"):
            operator.to_device()


def test_the_clock_the_streams_and_the_kind_of_the_gpu(monkeypatch):
    """By events of the current stream, and the name of the current GPU, with a module that stands for CuPy."""
    log, current = [], [0]

    class Event:
        def __init__(self, disable_timing=False):
            self.disable_timing = disable_timing

        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("synchronize")

    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        getDevice=lambda: current[0], getDeviceProperties=lambda number: {"name": f"GPU {number}".encode()}
    )
    cupy.cuda = types.SimpleNamespace(Event=Event, get_elapsed_time=lambda begin, end: 2500.0, runtime=runtime)
    cupy.cuda.get_current_stream = lambda: types.SimpleNamespace(
        wait_event=lambda event: log.append(("stream 2 waits", event.disable_timing))
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    pg.gpu.cuda.cache_clear()
    device = pg.gpu.cuda()
    pg.gpu.cuda.cache_clear()
    assert device.clock(lambda: log.append("work")) == 2.5
    assert log == ["record", "work", "record", "synchronize"]
    log.clear()
    wait = device.mark()
    assert log == ["record"]
    wait()
    assert log == ["record", ("stream 2 waits", True)]
    assert (device.identity(), device.place()) == ("GPU 0", 0)
    current[0] = 3
    assert (device.identity(), device.place()) == ("GPU 3", 3)
