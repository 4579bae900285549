"""Products that are made again: nothing that was refused the first time is let through, and no result changes."""

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.kronecker import execution, repeated
from pathgraph.kronecker.kernels import chains, launch

numba = pytest.importorskip("numba")

OPERATORS = {
    "matrix": lambda dtype: pg.KSMatrix(np.arange(1, 49).reshape(2, 3, 4, 2).astype(dtype)),
    "fused chain": lambda dtype: pg.hadamard(16, dtype=dtype),
    "chain": lambda dtype: pg.KSChain([pg.KSMatrix(np.full(p, 2, dtype)) for p in ((1, 65, 66, 1), (1, 66, 65, 1))]),
}


@pytest.fixture(params=OPERATORS)
def operator(request):
    return OPERATORS[request.param](np.float64)


def batch(operator, axis, n=40, seed=0):
    shape = (operator.shape[1], n) if axis == 0 else (n, operator.shape[1])
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(operator.dtype)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_same_product_again(operator, axis, n):
    dense = operator.toarray()
    for seed in range(3):
        x = batch(operator, axis, n, seed)
        right = dense @ x if axis == 0 else x @ dense.T
        found = operator.apply(x, axis)
        assert np.array_equal(found, right)
        assert found.base is None
        out = np.full_like(right, np.nan)
        assert operator.apply(x, axis, out=out) is out
        assert np.array_equal(out, right)
        backwards = np.full_like(right, np.nan)[::-1]
        assert operator.apply(x, axis, out=backwards) is backwards
        assert np.array_equal(backwards, right)


def test_which_chains_are_fused():
    for name, operator in ((name, make(np.float64)) for name, make in OPERATORS.items() if "chain" in name):
        for axis in (0, -1):
            operator.apply(batch(operator, axis), axis)
            assert bool(operator._packed) == (name == "fused chain")
            operator._packed.clear()


def test_results_do_not_share_memory_with_what_is_kept():
    chain = OPERATORS["chain"](np.float64)
    x = batch(chain, 0)
    first = chain.apply(x)
    kept = first.copy()
    chain.apply(2 * x)
    assert np.array_equal(first, kept)


def test_a_product_may_be_interrupted_by_another(monkeypatch):
    """A handler of signals, or a finaliser, may multiply between two factors of a chain."""
    operator, depth = OPERATORS["chain"](np.float64), []
    x, multiply = batch(operator, 0), execution.multiply
    right = operator.toarray() @ x

    def interrupted(*arguments):
        if not depth:
            depth.append(1)
            assert np.array_equal(operator.apply(-x), -right)
            depth.pop()
        multiply(*arguments)

    monkeypatch.setattr(execution, "multiply", interrupted)
    assert np.array_equal(operator.apply(x), right)


def test_what_is_refused_is_refused_again(operator):
    x = batch(operator, 0)
    out = np.zeros((operator.shape[0], x.shape[1]))
    operator.apply(x, out=out)
    out.flags.writeable = False
    with pytest.raises(pg.ParameterError, match="read-only"):
        operator.apply(x, out=out)
    for bad in (True, 0.0):
        with pytest.raises(pg.ParameterError, match="axis: needed an integer"):
            operator.apply(x, bad)
    with pytest.raises(pg.ParameterError, match="without a mask"):
        operator.apply(np.ma.masked_array(x))
    with pytest.raises(pg.ParameterError, match="needed dtype float64, got >f8"):
        operator.apply(x, out=np.zeros(out.shape, ">f8"))
    assert np.array_equal(operator.apply(x.astype(">f8")), operator.apply(x))


def test_an_overlap_is_seen_again():
    matrix = pg.KSMatrix(np.ones((1, 2, 2, 2)))
    room = np.ones((12, 3))
    matrix.apply(room[:4], out=room[4:8])
    assert matrix.apply(room[4:8], out=room[8:]) is not None
    for out in (room[1:5], room[:4], room[3:7]):
        with pytest.raises(pg.ParameterError, match="shares no memory"):
            matrix.apply(room[:4], out=out)
    woven = np.ones((8, 3))
    for _ in range(2):  # their ranges meet, their entries do not
        assert (matrix.apply(woven[::2], out=woven[1::2]) == 2).all()
        woven[1::2] = 1
    values = np.ones((2, 2, 2, 2))
    kept = pg.KSMatrix(values, copy=False)
    x = np.ones((8, 2))
    kept.apply(x, out=np.zeros((8, 2)))
    with pytest.raises(pg.ParameterError, match="shares no memory"):
        kept.apply(x, out=values.reshape(8, 2))


def test_checks_are_passed_once(operator, monkeypatch):
    x = batch(operator, 0)
    right, out = operator.apply(x), np.empty((operator.shape[0], x.shape[1]))
    operator.apply(x, out=out)
    monkeypatch.setattr(type(operator), "_run", None)  # the way through all checks ends there
    if operator._known:  # a chain that is not fused is made factor by factor
        assert np.array_equal(operator.apply(2 * x), 2 * right)
        assert np.array_equal(operator.apply(2 * x, out=out), 2 * right)
    else:
        assert isinstance(operator, pg.KSChain)
        assert not operator._is_fused(x.shape[1], x.dtype, "auto", batch_first=False)


def test_threads_may_change_between_two_products():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba has one thread here")
    worth, before = launch.WORTH, numba.get_num_threads()
    try:
        launch.WORTH = chains.WORTH = 0
        for make in OPERATORS.values():
            operator = make(np.float64)
            x = batch(operator, 0, 300)
            numba.set_num_threads(1)
            right = [operator.apply(x).copy() for _ in range(2)][1]
            numba.set_num_threads(2)
            assert all(np.array_equal(operator.apply(x), right) for _ in range(2))
    finally:
        launch.WORTH = chains.WORTH = worth
        launch.plan.cache_clear()
        numba.set_num_threads(before)


def test_only_so_much_is_remembered():
    matrix = pg.KSMatrix(np.ones((1, 1, 1, 1)))
    for n in range(1, 3 * repeated.MOST):
        assert matrix.apply(np.ones((1, n))).shape == (1, n)
        assert len(matrix._known) <= repeated.MOST


def test_copies_and_integers_are_not_remembered():
    matrix = pg.KSMatrix(np.ones((1, 1, 1, 1)))
    matrix.apply(np.ones((1, 2), np.float32))
    matrix.apply([[1.0, 2.0]])
    assert len(matrix._known) == 1  # a list has become an array of float64
    whole = pg.KSMatrix(np.ones((1, 1, 1, 1), int))
    assert whole.apply(np.ones((1, 2), int)).tolist() == [[1, 1]]
    assert not whole._known


def test_reach():
    array = np.zeros((4, 5, 6))
    for view in (array, array[::-1], array[1:3, ::-2, ::3], array.T, array[:1, 2:3]):
        low, high = np.lib.array_utils.byte_bounds(view)
        start = repeated.address(view)
        assert (low - start, high - start) == repeated.reach(view)


@pytest.mark.parametrize("axis", [0, -1])
def test_large_products_begin_with_a_cache_line(axis):
    matrix = pg.KSMatrix(np.ones((1, 700, 3, 37), dtype=np.float32))
    x = np.ones((111, 3) if axis == 0 else (3, 111), dtype=np.float32)
    assert {matrix.apply(x, axis).ctypes.data % 64 for _ in range(3)} == {0}
