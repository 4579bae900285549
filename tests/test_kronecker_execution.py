"""Every method of multiplication, in every layout and type: the result, its type, and what is refused."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.kronecker import execution
from pathgraph.kronecker.cost import machine
from pathgraph.kronecker.kernels import launch
from pathgraph.testing import ks_patterns
from tests.kronecker import placed, same
from tests.tolerances import gamma

METHODS = [name for name in execution.METHODS if name != "tiles" or launch.is_available(np.float64)]
PLAIN = ["reference", "matmul"]
"""Methods for all machine numbers."""
TYPES = [bool, np.int8, np.uint8, np.int32, np.uint64, np.float16, np.float32, np.float64, np.complex64, np.complex128]
PAIRS = list(product(TYPES, repeat=2))
FLOATS = [np.float32, np.float64, np.complex64, np.complex128]
PATTERNS = [
    (1, 1, 1, 1),
    (1, 7, 5, 1),
    (3, 4, 5, 1),
    (1, 3, 4, 6),
    (2, 5, 3, 4),
    (2, 2, 2, 8),
    (1, 2, 3, 130),
    (5, 1, 6, 2),
]


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        drawn = drawn + 1j * rng.standard_normal(shape)
    return drawn.astype(dtype)


def within(found, values, x, dtype):
    """Componentwise: abs(Y - found) <= gamma(c) abs(K) abs(X), with 4 roundings for a complex product."""
    dense = placed(values).astype(np.clongdouble if np.dtype(dtype).kind == "c" else np.longdouble)
    wide = np.asarray(x).astype(dense.dtype)
    real = np.zeros(1, dtype).real.dtype
    steps = (values.shape[2] + 2) * (4 if np.dtype(dtype).kind == "c" else 1)
    bound = float(gamma(steps, real)) * (np.abs(dense) @ np.abs(wide)) + np.finfo(real).smallest_subnormal * steps
    return bool((np.abs(found - dense @ wide) <= bound).all())


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_products_in_both_layouts(method, dtype):
    if method == "tiles" and np.dtype(dtype).kind == "c":
        with pytest.raises(pg.BackendError, match="'tiles' multiplies float32 and float64"):
            pg.KSMatrix(numbers((1, 2, 2, 1), dtype)).apply(numbers((2, 3), dtype), method=method)
        return
    for pattern, n in product(PATTERNS, (1, 17)):
        values = numbers(pattern, dtype)
        matrix = pg.KSMatrix(values)
        x = numbers((matrix.shape[1], n), dtype, seed=1)
        last = matrix.apply(x, method=method)
        first = matrix.apply(np.ascontiguousarray(x.T), axis=-1, method=method)
        assert last.dtype == first.dtype == dtype
        assert last.shape == first.shape[::-1] == (matrix.shape[0], n)
        assert within(last, values, x, dtype)
        assert within(first.T, values, x, dtype)


@settings(max_examples=60)
@given(ks_patterns(max_size=7), st.integers(0, 5), st.sampled_from([*PLAIN, "auto"]), st.sampled_from([0, -1]))
def test_products_of_integers_are_exact(pattern, n, method, axis):
    rng = np.random.default_rng(n)
    values = rng.integers(-9, 9, pattern.values_shape)
    x = rng.integers(-9, 9, (pattern.shape[1], n))
    found = pg.KSMatrix(values).apply(x if axis == 0 else x.T, axis, method=method)
    assert found.dtype == np.int64
    assert same(found if axis == 0 else found.T, placed(values) @ x)


# -- layouts ------------------------------------------------------------------------------------------------------


def laid_out(x):
    """The same numbers in memory in many ways."""
    yield "as they are", x
    yield "Fortran order", np.asfortranarray(x)
    yield "negative strides", x[::-1, ::-1].copy()[::-1, ::-1]
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    yield "every other row", wide[::2, ::3]
    for offset in (1, 4):
        moved = np.zeros(x.nbytes + offset, np.uint8)[offset:].view(x.dtype).reshape(x.shape)
        moved[...] = x
        yield f"off by {offset} bytes", moved
    yield "big-endian", x.astype(x.dtype.newbyteorder(">"))
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield "nested lists", x.tolist()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pattern", [(2, 3, 5, 1), (2, 3, 4, 4)])
def test_memory_layouts_of_x(method, pattern):
    matrix = pg.KSMatrix(numbers(pattern, np.float64))
    for axis in (0, -1):
        x = numbers((matrix.shape[1], 6) if axis == 0 else (6, matrix.shape[1]), np.float64, seed=2)
        wanted = x if axis == 0 else x.T
        for name, array in laid_out(x):
            found = matrix.apply(array, axis, method=method)
            assert found.dtype == np.float64, name
            assert within(found if axis == 0 else found.T, matrix.values, wanted, np.float64), name
    constant = np.broadcast_to(np.float64(0.5), (matrix.shape[1], 6))
    assert within(matrix.apply(constant, method=method), matrix.values, constant, np.float64)
    column = np.broadcast_to(numbers((matrix.shape[1], 1), float), (matrix.shape[1], 6))
    assert within(matrix.apply(column, method=method), matrix.values, column, np.float64)


@pytest.mark.parametrize("method", METHODS)
def test_memory_layouts_of_out_and_values(method):
    pattern = (2, 3, 5, 4)
    values = numbers(pattern, np.float32)
    fortran = pg.KSMatrix(np.asfortranarray(values), copy=False)
    swapped = pg.KSMatrix(values.transpose(0, 2, 1, 3), copy=False).T
    x = numbers((40, 6), np.float32, seed=3)
    for matrix in (pg.KSMatrix(values), fortran, swapped, pg.KSMatrix(values.astype(">f4"), copy=False)):
        for name, out in laid_out(np.zeros((24, 6), np.float32)):
            if name not in ("big-endian", "read-only", "nested lists"):
                assert matrix.apply(x, out=out, method=method) is out
                assert within(out, values, x, np.float32), name
                assert matrix.apply(x.T, -1, out=out.T, method=method) is not None
                assert within(out, values, x, np.float32), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pattern", [(2, 3, 5, 1), (2, 3, 4, 4)])
def test_batches_of_any_shape(method, pattern):
    matrix = pg.KSMatrix(numbers(pattern, np.float64))
    rows, columns = matrix.shape
    dense = matrix.toarray()
    for batch in [(), (1,), (0,), (3, 0, 2), (2, 3), (2, 1, 3)]:
        last = numbers((columns, *batch), float)
        first = np.moveaxis(last, 0, -1)
        wanted = np.tensordot(dense, last, (1, 0))
        slack = 2 * float(gamma(columns)) * np.tensordot(abs(dense), abs(last), (1, 0))  # both are sums of products

        def assert_wanted(found, *, order=None, wanted=wanted, slack=slack):
            order = tuple(range(wanted.ndim) if order is None else order)
            assert (abs(found - wanted.transpose(order)) <= slack.transpose(order)).all()

        assert_wanted(matrix.apply(last, method=method))
        found = matrix.apply(first, -1, method=method)
        assert found.shape == (*batch, rows)
        assert_wanted(found, order=[*range(1, wanted.ndim), 0])
        out = np.empty((rows, *reversed(batch))).transpose(0, *range(len(batch), 0, -1))  # no view as a matrix
        assert matrix.apply(last, out=out, method=method) is out
        assert_wanted(out)
        out = np.empty((rows, *batch)).transpose(*range(len(batch), -1, -1))
        assert matrix.apply(first.transpose(*reversed(range(len(batch))), -1), -1, out=out, method=method) is out
        assert_wanted(out, order=range(len(batch), -1, -1))


# -- types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*PLAIN, "auto"])
@pytest.mark.parametrize(("left", "right"), PAIRS, ids=[f"{np.dtype(t).name}-{np.dtype(u).name}" for t, u in PAIRS])
def test_types_are_promoted_like_numpy(method, left, right):
    rng = np.random.default_rng(4)
    values = rng.integers(0, 2, (2, 2, 3, 2)).astype(left)
    x = rng.integers(0, 2, (12, 3)).astype(right)
    found = pg.KSMatrix(values).apply(x, method=method)
    wanted = placed(values) @ x
    assert found.dtype == np.result_type(left, right) == wanted.dtype
    assert same(found, wanted)
    assert same(pg.KSMatrix(values).apply(x.T, -1, method=method), wanted.T)


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_accumulated_in_single(method):
    """2048 + 1 + ... + 1 stays 2048 in float16: every addition is rounded away."""
    values = np.ones((1, 1, 2049, 1), np.float16)
    x = np.ones((2049, 2), np.float16)
    x[0] = 2048
    found = pg.KSMatrix(values).apply(x, method=method)
    assert found.dtype == np.float16
    assert (found == np.float16(4096)).all()
    assert (pg.KSMatrix(values).apply(x.T, -1, method=method) == np.float16(4096)).all()
    chain = pg.KSChain([pg.KSMatrix(np.full((1, 1, 1, 1), factor, np.float16)) for factor in (2.0**-6, 2.0**10)])
    assert (chain @ np.array([2.0**7], np.float16)).tolist() == [2**11]  # 2**17 in between is beyond float16


def test_objects_take_the_reference():
    values = np.array([Fraction(1, 3), Fraction(2), 5, Fraction(-1, 2)], dtype=object).reshape(1, 2, 2, 1)
    matrix = pg.KSMatrix(values)
    assert (matrix @ [3, 1]).tolist() == [3, Fraction(29, 2)]
    assert (pg.KSMatrix([[[[0.5]]]]) @ np.array([Fraction(1, 2)], dtype=object)).tolist() == [0.25]
    huge = pg.KSMatrix(np.array([[[[10**30]]]], dtype=object))
    assert (huge @ np.array([10**30], dtype=object)).tolist() == [10**60]
    with pytest.raises(pg.BackendError, match=r"'matmul' multiplies machine numbers.*needed 'reference'"):
        matrix.apply([3, 1], method="matmul")
    assert matrix.explain(2).method == "reference"


def test_integers_wrap_as_in_numpy():
    matrix = pg.KSMatrix(np.full((1, 1, 2, 1), 100, np.int8))
    for method in (*PLAIN, "auto"):
        assert matrix.apply(np.ones(2, np.int8), method=method).tolist() == [-56]


# -- what does not mix --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, -1])
def test_nan_and_infinity_stay_in_their_block_and_column(method, bad, dtype, axis):
    pattern = (2, 3, 5, 4)
    matrix = pg.KSMatrix(np.abs(numbers(pattern, dtype)) + 1)
    clean = numbers((matrix.shape[1], 9), dtype, seed=5)
    wanted = matrix.apply(clean if axis == 0 else clean.T, axis, method=method)
    wanted = wanted if axis == 0 else wanted.T
    for column, entry in [(0, 0), (4, 7), (8, 39)]:
        x = clean.copy()
        x[entry, column] = bad
        with np.errstate(invalid="ignore"):
            found = matrix.apply(x if axis == 0 else x.T, axis, method=method)
        found = found if axis == 0 else found.T
        reached = np.zeros(found.shape, dtype=bool)
        reached[:, column] = placed(np.ones(pattern, int))[:, entry] == 1
        assert (~np.isfinite(found[reached])).all()
        assert (found[~reached] == wanted[~reached]).all()
    values = matrix.values.copy()
    values[1, 2, 3, 1] = bad
    with np.errstate(invalid="ignore"):
        found = pg.KSMatrix(values).apply(clean if axis == 0 else clean.T, axis, method=method)
    found = found if axis == 0 else found.T
    row = 1 * 3 * 4 + 2 * 4 + 1
    assert (~np.isfinite(found[row])).all()
    others = np.delete(np.arange(24), row)
    assert (found[others] == wanted[others]).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, -1])
def test_reference_has_the_same_bits_for_any_batch(dtype, axis):
    for pattern in [(2, 5, 7, 3), (1, 9, 16, 1), (1, 4, 4, 33)]:
        matrix = pg.KSMatrix(numbers(pattern, dtype))
        x = numbers((matrix.shape[1], 203), dtype, seed=6)
        full = matrix.apply(x if axis == 0 else x.T.copy(), axis, method="reference")
        full = full if axis == 0 else full.T
        for start, stop in [(0, 1), (202, 203), (3, 10), (0, 32), (7, 40), (100, 164)]:
            part = x[:, start:stop].copy()
            found = matrix.apply(part if axis == 0 else part.T.copy(), axis, method="reference")
            assert same(found if axis == 0 else found.T, full[:, start:stop])


def test_subnormal_numbers_are_kept():
    tiny = np.finfo(np.float32).smallest_subnormal
    for method in METHODS:
        matrix = pg.KSMatrix(np.ones((1, 2, 8, 2), np.float32))
        assert (matrix.apply(np.full((16, 5), tiny), method=method) == 8 * tiny).all()


# -- refused ------------------------------------------------------------------------------------------------------


def test_shapes_that_do_not_fit():
    matrix = pg.KSMatrix(np.ones((1, 2, 3, 1)))
    message = r"x: needed 3 entries along axis -?\d for an operator of shape \(2, 3\), got shape"
    for refused in (
        lambda: matrix.apply(np.ones((2, 3))),
        lambda: matrix.apply(np.ones((3, 2)), -1),
        lambda: matrix.apply(5.0),
        lambda: matrix @ np.ones((4, 5, 2)),
    ):
        with pytest.raises(pg.ParameterError, match=message):
            refused()
    for axis in (0.0, "0", None, True):
        with pytest.raises(pg.ParameterError, match="axis: needed an integer"):
            matrix.apply(np.ones(3), axis)
    for axis in (2, -3):
        with pytest.raises(pg.ParameterError, match=rf"axis: needed an axis of x.*\(3, 2\), got {axis}"):
            matrix.apply(np.ones((3, 2)), axis)
    with pytest.raises(pg.ParameterError, match=r"needed 2 entries along axis -1 for an operator of shape \(3, 2\)"):
        np.ones(3) @ matrix


def test_out_that_cannot_be_written():
    matrix = pg.KSMatrix(np.ones((1, 2, 2, 2)))
    x = np.ones((4, 3))
    frozen = np.empty((4, 3))
    frozen.flags.writeable = False
    for out, message in [
        (np.empty((4, 2)), r"out: needed shape \(4, 3\), got \(4, 2\)"),
        (np.empty((4, 3), np.float32), "out: needed dtype float64, got float32"),
        (np.empty((4, 3), ">f8"), "out: needed dtype float64, got >f8"),
        (frozen, "read-only"),
        (x, "shares no memory"),
        (np.broadcast_to(np.empty((4, 1)), (4, 3)), "read-only"),
        (np.lib.stride_tricks.as_strided(np.empty(4), (4, 3), (8, 0)), "different places"),
        ([[0.0] * 3] * 4, "needed a NumPy array, got list"),
    ]:
        with pytest.raises(pg.ParameterError, match=message):
            matrix.apply(x, out=out)
    buffer = np.ones((8, 3))
    with pytest.raises(pg.ParameterError, match="shares no memory"):
        matrix.apply(buffer[:4], out=buffer[3:7])
    assert matrix.apply(buffer[::2], out=buffer[1::2]) is not None  # interleaved, not shared
    values = np.ones((1, 2, 2, 1))
    with pytest.raises(pg.ParameterError, match="shares no memory"):
        pg.KSMatrix(values, copy=False).apply(np.ones((2, 2)), out=values[0, :, :, 0])


class OnAnotherDevice:
    __cuda_array_interface__ = None


@pytest.mark.parametrize(
    "use", [lambda K, x: K.apply(x), lambda K, x: K @ x, lambda K, x: K.solve(x), lambda K, x: pg.KSMatrix(x)]
)
def test_other_devices_are_refused(use):
    with pytest.raises(TypeError, match="on a GPU"):
        use(pg.KSMatrix(np.ones((1, 1, 1, 1))), OnAnotherDevice())


def test_unknown_methods_are_refused():
    matrix = pg.KSMatrix(np.ones((1, 2, 2, 2)))
    message = r"method: needed 'auto' or one of 'reference', 'matmul'.*got 'abacus'"
    for x in (np.ones(4), np.ones((4, 0))):
        with pytest.raises(pg.BackendError, match=message):
            matrix.apply(x, method="abacus")
    with pytest.raises(pg.BackendError, match="abacus"):
        matrix.explain(method="abacus")
    for x in (np.ma.masked_array(np.ones(4), True), ["a"] * 4, [[1], [1, 2]]):
        with pytest.raises(pg.ParameterError, match="x: needed an array"):
            matrix.apply(x)


# -- plans --------------------------------------------------------------------------------------------------------


def test_plans_name_what_runs(monkeypatch):
    ran = []

    def recorded(name, method):
        return lambda *args: ran.append(name) or method(*args)

    for name, method in execution.METHODS.items():
        monkeypatch.setitem(execution.METHODS, name, recorded(name, method))
    for pattern, dtype, axis in product(PATTERNS, [np.float32, np.int64, object], (0, -1)):
        matrix = pg.KSMatrix(np.ones(pattern, dtype=dtype))
        n = 5
        plan = matrix.explain(n, axis=axis)
        ran.clear()
        matrix.apply(np.ones((matrix.shape[1], n) if axis == 0 else (n, matrix.shape[1]), dtype=dtype), axis)
        assert ran == [plan.method], plan


def test_plans_count():
    matrix = pg.KSMatrix(np.ones((4, 64, 64, 2), np.float32))
    plan = matrix.explain(100)
    assert plan.flops == 2 * matrix.nnz * 100
    assert plan.bytes == 4 * (matrix.nnz + 2 * 512 * 100)
    assert plan.dtype == np.float32
    assert (matrix.explain(100, axis=-1).bytes == plan.bytes) == (plan.method == "tiles")
    packed = matrix.explain(100, axis=-1, dtype=np.complex64)
    assert packed.bytes > matrix.explain(100, dtype=np.complex64).bytes
    assert "packed" in packed.reason
    assert matrix.explain(100, dtype=np.complex128).flops == 8 * matrix.nnz * 100
    assert matrix.explain(100, method="reference").reason == "it was asked for"
    assert matrix.explain(0).flops == 0
    rates = machine()
    assert rates == machine()
    assert plan.seconds >= plan.flops / (2 * rates.flops)
    assert plan.seconds >= plan.bytes / rates.bandwidth
    text = repr(plan)
    for part in (plan.method, "KSPattern(4, 64, 64, 2)", "100 vectors of float32", "on this machine"):
        assert part in text
    steps = pg.hadamard(8).explain(1000)
    assert steps.flops == sum(step.flops for step in steps.steps)
    assert steps.bytes == sum(step.bytes for step in steps.steps)
    assert steps.seconds == sum(step.seconds for step in steps.steps)
    assert repr(steps).startswith("3 factors, right to left, fused, on ")
    assert (steps.is_fused, pg.hadamard(8).explain(1000, method="matmul").is_fused) == (True, False)
    assert repr(pg.KSChain([matrix]).explain(1)).startswith(
        "1 factor, right to left, one after the other, on 1 tile of at most"
    )
