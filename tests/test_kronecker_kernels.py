"""Compiled products of Kronecker-sparse matrices against sums in exact integers, and bit against bit."""

import hashlib
import importlib
import os
import subprocess
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.processors import VECTORS, run_compiled_for
from tests.tolerances import gamma

numba = pytest.importorskip("numba")

import pathgraph as pg  # noqa: E402
from pathgraph.cache_lines import aligned_empty  # noqa: E402
from pathgraph.kronecker.kernels import chains, launch, packing, tiles  # noqa: E402

DTYPES = (np.float32, np.float64)
LAYOUTS = ("last", "first", "strided", "reversed", "odd")


@pytest.fixture(autouse=True)
def _restored():
    """What a test does to the threads ends with it."""
    worth, chain_worth, n_threads = launch.WORTH, chains.WORTH, numba.get_num_threads()
    yield
    launch.WORTH, chains.WORTH = worth, chain_worth
    launch.plan.cache_clear()
    numba.set_num_threads(n_threads)


def with_threads(n):
    """Every product is worth n threads, from now on; skips the test if there are none to be had."""
    if n > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"Numba has {numba.config.NUMBA_NUM_THREADS} thread(s) here")
    launch.WORTH = chains.WORTH = 0
    numba.set_num_threads(n)


def laid_out(array, layout):
    """The same four-axis array as other arrays lie in memory; what lies between its entries is NaN."""
    array = np.asarray(array)
    if layout == "last":
        return np.ascontiguousarray(array)
    if layout == "first":
        return np.ascontiguousarray(array.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0)
    if layout == "strided":
        wide = np.full((*array.shape[:3], 2 * array.shape[3] + 1), np.nan, dtype=array.dtype)
        wide[..., 1::2] = array
        return wide[..., 1::2]
    if layout == "reversed":
        return np.ascontiguousarray(array[:, ::-1, :, ::-1])[:, ::-1, :, ::-1]
    memory = np.zeros(array.nbytes + 3, dtype=np.uint8)  # "odd": not aligned to anything
    view = np.ndarray(array.shape, array.dtype, buffer=memory, offset=3)
    view[...] = array
    return view


def integers(random, shape, dtype):
    """Numbers whose products are summed without rounding."""
    return random.integers(-8, 9, size=shape).astype(dtype)


def expected(values, x):
    """The sum as it is written, in integers."""
    return np.einsum("abcd,acdn->abdn", values.astype(np.int64), x.astype(np.int64))


def multiplied(values, x, layout="last", packed=None):
    """The product by the kernels, into an array of this layout that held NaN."""
    a, b, _, d = values.shape
    out = laid_out(np.full((a, b, d, x.shape[3]), np.nan, dtype=x.dtype), layout)
    launch.multiply(values, x, out, packed)
    return out


def same_bits(first, second):
    return np.array_equal(np.ascontiguousarray(first).view(np.uint8), np.ascontiguousarray(second).view(np.uint8))


def edges(*sizes):
    """Numbers around the multiples of some sizes."""
    return sorted({n + step for size in sizes for n in (size, 2 * size) for step in (-1, 0, 1)} | {1, 2})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["last", "first"])
def test_around_the_edges_of_every_tile(dtype, layout):
    random = np.random.default_rng(0)
    wide = tiles.NV * tiles.VECTOR // np.dtype(dtype).itemsize
    for b in edges(tiles.SHORT, tiles.TALL, wide):
        for c, d, n in ((3, 1, wide + 1), (2, wide // 2 + 1, 2 * wide), (5, 3, tiles.TALL + 1)):
            w, x = integers(random, (2, b, c, d), dtype), integers(random, (2, c, d, n), dtype)
            assert np.array_equal(multiplied(w, laid_out(x, layout), layout), expected(w, x)), (b, c, d, n)
    for n, d in product([0, *edges(tiles.TALL, wide)], (1, 2, wide // 2, wide + 3)):
        w, x = integers(random, (2, 5, 3, d), dtype), integers(random, (2, 3, d, n), dtype)
        assert np.array_equal(multiplied(w, laid_out(x, layout), layout), expected(w, x)), (n, d)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_strides_and_alignment(dtype):
    random = np.random.default_rng(1)
    for shape, n in (((2, 7, 5, 3), 37), ((1, 9, 20, 1), 40), ((2, 3, 4, 17), 33), ((3, 18, 2, 2), 3)):
        a, _, c, d = shape
        w, x = integers(random, shape, dtype), integers(random, (a, c, d, n), dtype)
        for given_as, written_as in product(LAYOUTS, LAYOUTS):
            out = multiplied(w, laid_out(x, given_as), written_as)
            assert np.array_equal(out, expected(w, x)), (shape, n, given_as, written_as)
            if written_as == "strided":
                assert np.isnan(out.base[..., ::2]).all()  # nothing else was written


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_vector(dtype):
    """Blocks of every number of machine vectors that a tile may have, and with rows left over."""
    random = np.random.default_rng(2)
    lanes = tiles.VECTOR // np.dtype(dtype).itemsize
    for b in {*edges(tiles.WIDE * lanes), *(v * lanes + r for v in range(tiles.WIDE) for r in (1, lanes))}:
        for c, d in ((1, 1), (3, 1), (5, 3)):
            w, x = integers(random, (2, b, c, d), dtype), integers(random, (2, c, d, 1), dtype)
            for given_as, written_as in (*zip(LAYOUTS, LAYOUTS, strict=True), ("odd", "last"), ("strided", "odd")):
                out = multiplied(w, laid_out(x, given_as), written_as)
                assert np.array_equal(out, expected(w, x)), (b, c, d, given_as, written_as)
                if written_as == "strided":
                    assert np.isnan(out.base[..., ::2]).all()
            whole = multiplied(w, np.repeat(x, 2, axis=3))
            assert all(same_bits(multiplied(w, x), whole[..., v : v + 1]) for v in (0, 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_kernel_leaves_its_buffer(monkeypatch, dtype):
    behind = bytes(range(256)) * 16
    rooms = []

    def scratch(n_bytes):
        room = aligned_empty((n_bytes + len(behind),), np.uint8)
        room[n_bytes:] = np.frombuffer(behind, dtype=np.uint8)
        rooms.append(room[n_bytes:])
        return room, room.ctypes.data

    monkeypatch.setattr(launch, "scratch", scratch)
    random = np.random.default_rng(0)
    shapes = ((2, 5, 3, 2), (1, 150, 7, 1), (1, 40, 9, 8), (2, 33, 20, 1))
    for (a, b, c, d), n, layout in product(shapes, (1, 3, 7, 20, 40), LAYOUTS):
        w, x = integers(random, (a, b, c, d), dtype), integers(random, (a, c, d, n), dtype)
        assert np.array_equal(multiplied(w, laid_out(x, layout), layout), expected(w, x))
        assert all(room.tobytes() == behind for room in rooms), (b, c, d, n, layout)


@given(
    st.tuples(*[st.integers(1, 20)] * 4),
    st.integers(0, 70),
    st.sampled_from(DTYPES),
    st.sampled_from(LAYOUTS),
    st.sampled_from(LAYOUTS),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=150)
def test_random_patterns(shape, n, dtype, given_as, written_as, seed):
    random = np.random.default_rng(seed)
    w, x = integers(random, shape, dtype), integers(random, (shape[0], *shape[2:], n), dtype)
    assert np.array_equal(multiplied(w, laid_out(x, given_as), written_as), expected(w, x))


@pytest.mark.parametrize(
    "sizes",
    [
        (0, 20, 0, 0, 0, 0, 0),
        (0, 16, 10**9, 0, 10**9, 10**9, 0),
        (10**4, 10**9, 0, 2**10, 10**4, 10**4, 10**9),
        (10**9, 33, 10**5, 0, 10**4, 0, 0),
    ],
)
def test_any_size_of_the_caches(monkeypatch, sizes):
    """Whatever is packed together, and however few of the lanes are taken at once: the same bits."""
    random = np.random.default_rng(9)
    n, products = 83, []
    for shape in ((2, 9, 5, 37), (2, 35, 9, 4), (2, 37, 30, 1)):
        w = random.normal(size=shape).astype(np.float32)
        x = random.normal(size=(2, *shape[2:], n)).astype(np.float32)
        products.append((w, x, multiplied(w, x)))
    for name, size in zip(("ROOM", "LINES", "CLOSE", "BESIDE", "COPIES", "GROUPED", "LARGE"), sizes, strict=True):
        monkeypatch.setattr(launch, name, size)
    for threads in (1, 2):
        with_threads(threads)
        launch.plan.cache_clear()
        for (w, x, right), layout in product(products, LAYOUTS):
            assert same_bits(multiplied(w, laid_out(x, layout), layout), right), layout


@pytest.mark.parametrize("far", [0, 2**60])
@pytest.mark.parametrize("dtype", DTYPES)
def test_groups_of_numbers_batch_first(monkeypatch, dtype, far):
    """Around the edges of its tiles, in rows that are longer than needed, on one and two threads."""
    monkeypatch.setattr(launch, "FAR", far)
    launch.plan.cache_clear()
    random = np.random.default_rng(11)
    lanes = tiles.VECTOR // np.dtype(dtype).itemsize
    for d in (d for d in (2, 4, 8, 16) if d <= lanes):
        least = tiles.ABREAST * lanes // d
        for b, c, n in ((least, lanes // d, 33), (least + 1, lanes // d + 1, 40), (2 * least - 1, 20, 32)):
            w, x = integers(random, (2, b, c, d), dtype), integers(random, (2, c, d, n), dtype)
            right = expected(w, x)
            long = [np.full((n, 2 * m * d + 3), np.nan, dtype) for m in (c, b)]
            given, out = (array[:, 2:-1].reshape(n, 2, -1, d).transpose(1, 2, 3, 0) for array in long)
            assert np.shares_memory(out, long[1])
            given[...] = x
            assert launch.plan(w.shape, n, w.itemsize, given.strides, out.strides, 1).name == "by_groups"
            for n_threads in (1, 2)[: numba.config.NUMBA_NUM_THREADS]:
                with_threads(n_threads)
                out[...] = np.nan
                launch.multiply(w, given, out)
                assert np.array_equal(out, right), (d, b, c, n, n_threads)
                assert np.isnan(long[1][:, [0, 1, -1]]).all()  # nothing else was written


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_that_are_read_where_they_lie(monkeypatch, dtype):
    """Around the edges of its tiles, in rows that are longer than needed: the bits of the other kernels."""
    monkeypatch.setattr(tiles, "N_REGISTERS", 32)
    launch.plan.cache_clear()
    random = np.random.default_rng(12)
    long = tiles.BROAD * tiles.VECTOR // np.dtype(dtype).itemsize
    for d, n, more in ((1, long, 3), (1, 2 * long - 1, 1), (2, long, 0)):
        for b, c in product((1, tiles.LOW, tiles.DEEP - 1, tiles.DEEP, 2 * tiles.DEEP + 1), (1, 5)):
            w, x = random.normal(size=(3, b, c, d)).astype(dtype), random.normal(size=(3, c, d, n)).astype(dtype)
            rows = [np.full((3, m, d, n + more), np.nan, dtype) for m in (c, b)]
            given, out = (array[..., more // 2 : more // 2 + n] for array in rows)
            given[...] = x
            assert launch.plan(w.shape, n, w.itemsize, given.strides, out.strides, 1).name == "by_near"
            right = multiplied(w, laid_out(x, "strided"))
            for n_threads in (1, 2)[: numba.config.NUMBA_NUM_THREADS]:
                with_threads(n_threads)
                out[...] = np.nan
                launch.multiply(w, given, out)
                assert same_bits(out, right), (d, b, c, n, n_threads)
                assert np.isnan(rows[1]).sum() == 3 * b * d * more  # nothing else was written
    narrow = np.broadcast_to(given[:, :1], given.shape)  # rows at one place
    assert same_bits(multiplied(w, narrow), multiplied(w, laid_out(narrow, "strided")))


def test_read_only_and_broadcast_operands():
    w = np.broadcast_to(np.float32(2), (2, 3, 4, 5))
    x = np.broadcast_to(np.float32(3), (2, 4, 5, 40))
    assert (multiplied(w, x) == 24).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_error_is_that_of_a_sum_of_c_terms(dtype):
    """Each of the c steps rounds once where multiplication and addition are fused, twice elsewhere."""
    random = np.random.default_rng(2)
    for c, n in ((5, 3), (30, 40)):
        w, x = (random.normal(size=shape).astype(dtype) for shape in ((1, 3, c, 2), (1, c, 2, n)))
        slack = gamma(2 * c, dtype)
        for out in (multiplied(w, x), multiplied(w, laid_out(x, "first"), "first")):
            for j, lane, column in product(range(3), range(2), (0, n - 1)):
                terms = [Fraction(float(w[0, j, k, lane])) * Fraction(float(x[0, k, lane, column])) for k in range(c)]
                error = abs(Fraction(float(out[0, j, lane, column])) - sum(terms))
                assert error <= slack * sum(map(abs, terms))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 13, 40, 3), (3, 66, 7, 1), (1, 10, 9, 16), (2, 34, 9, 4)])
def test_a_column_has_the_same_bits_in_every_batch_and_layout(dtype, shape):
    random = np.random.default_rng(3)
    w = random.normal(size=shape).astype(dtype)
    x = random.normal(size=(shape[0], *shape[2:], 203)).astype(dtype)
    whole = multiplied(w, x)
    for layout in LAYOUTS:
        for low, high in ((0, 1), (5, 6), (3, 10), (1, 33), (0, 64), (100, 203)):
            part = multiplied(w, laid_out(x[..., low:high], layout), layout)
            assert same_bits(part, whole[..., low:high]), (layout, low, high)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["last", "first"])
def test_threads_change_no_bit(dtype, layout):
    random = np.random.default_rng(4)
    for shape, n in (((1, 20, 30, 1), 500), ((2, 9, 5, 17), 100), ((7, 3, 2, 2), 5), ((1, 3, 3, 1), 1)):
        w = random.normal(size=shape).astype(dtype)
        x = laid_out(random.normal(size=(shape[0], *shape[2:], n)).astype(dtype), layout)
        with_threads(1)
        alone = multiplied(w, x, layout)
        with_threads(2)
        assert same_bits(multiplied(w, x, layout), alone)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (1, 40, 3, 9), (3, 2, 2, 1), (2, 33, 8, 2)])
def test_what_is_not_finite_stays_in_its_block_and_column(shape, layout):
    a, b, c, d = shape
    random = np.random.default_rng(5)
    for n in (1, 7, 16, 45):
        w, x = np.abs(integers(random, shape, np.float32)) + 1, np.abs(integers(random, (a, c, d, n), np.float32)) + 1
        i, k, lane, column = a - 1, c - 1, d // 2, n // 2
        for bad in (np.nan, np.inf):
            one = x.copy()
            one[i, k, lane, column] = bad
            out = multiplied(w, laid_out(one, layout), layout)
            reached = np.zeros(out.shape, dtype=bool)
            reached[i, :, lane, column] = True
            assert np.array_equal(~np.isfinite(out), reached)
            assert np.array_equal(out[~reached], expected(w, x)[~reached])
            v = w.copy()
            v[i, b - 1, k, lane] = bad
            out = multiplied(v, laid_out(x, layout), layout)
            reached = np.zeros(out.shape, dtype=bool)
            reached[i, b - 1, lane] = True
            assert np.array_equal(~np.isfinite(out), reached)
    zero = np.zeros((a, c, d, 20), dtype=np.float32)
    assert not np.isnan(multiplied(np.full(shape, np.float32(3)), laid_out(zero, layout), layout)).any()


def test_offsets_beyond_32_bits():
    """The rows of x and of the product lie 2**31 bytes and more apart, in memory that is mapped but never touched."""
    try:
        memory = np.lib.stride_tricks.as_strided
        base = np.zeros(2**33, dtype=np.uint8)
    except MemoryError:
        pytest.skip("there is no address space for it")
    far = base.view(np.float32)
    x = memory(far, (1, 2, 1, 20), (0, 2**32, 0, 4))
    out = memory(far[1000:], (1, 2, 1, 20), (0, 2**32, 0, 4))
    x[0, :, 0] = np.arange(40).reshape(2, 20)
    w = np.array([[1, 2], [3, 4]], dtype=np.float32).reshape(1, 2, 2, 1)
    launch.multiply(w, x, out)
    assert np.array_equal(out, expected(w, x))
    launch.multiply(w, x[..., :3], out[..., :3])
    assert np.array_equal(out, expected(w, x))


def test_packed_values_are_kept_and_serve_all_batches():
    random = np.random.default_rng(6)
    w, packed = integers(random, (1, 9, 4, 1), np.float32), {}
    for layout, n in product(("last", "first"), (1, 40, 2, 64)):
        x = integers(random, (1, 4, 1, n), np.float32)
        assert np.array_equal(multiplied(w, laid_out(x, layout), layout, packed), expected(w, x))
    forms = {"one", "rows", "vectors"} | ({"near"} if tiles.N_REGISTERS == 32 else set())
    assert {form[0] for form in packed} == forms
    assert len(packed) == len(forms)
    kept = list(packed.values())
    multiplied(w, integers(random, (1, 4, 1, 50), np.float32), packed=packed)
    assert all(one is other for one, other in zip(kept, packed.values(), strict=True))


@pytest.mark.parametrize("n_registers", [16, 32])
def test_every_kernel_is_chosen(monkeypatch, n_registers):
    monkeypatch.setattr(tiles, "N_REGISTERS", n_registers)
    launch.plan.cache_clear()

    def name(shape, n, layout):
        a, b, c, d = shape
        x, out = (laid_out(np.zeros((a, m, d, n), dtype=np.float32), layout) for m in (c, b))
        return launch.plan(shape, n, 4, x.strides, out.strides, 1).name

    found = {name((2, 40, 40, d), n, layout) for d in (1, 32) for n in (1, 2, 64, 100) for layout in ("last", "first")}
    others = {"by_one", "by_rows", "by_vectors", "by_copies", "transposing"}
    assert found == (others | {"by_near"} if n_registers == 32 else others)


def test_cuts_cover_the_rows():
    for b, (tall, short) in product(range(1, 70), ((6, 4), (8, 4))):
        heights = packing.starts(b, *packing.cut(b, tall, short), tall, short)
        rows = {min(first + r, b - 1) for first, height in heights for r in range(height)}
        assert rows == set(range(b))
        assert all(first + height <= b or first == 0 for first, height in heights)


# -- chains -------------------------------------------------------------------------------------------------------


def dyadic(n):
    """The patterns of the butterfly factors of size n."""
    depth = n.bit_length() - 1
    return [(2**level, 2, 2, 2 ** (depth - 1 - level)) for level in range(depth)]


CHAINS = [
    dyadic(16),
    [(1, 16, 16, 4), (4, 4, 16, 4), (32, 2, 2, 4)],
    [(1, 6, 4, 9), (4, 9, 9, 1)],
    [(1, 3, 5, 2), (2, 5, 7, 1), (7, 2, 3, 1)],
    [(2, 2, 2, 1)],
]


def chained(values, x):
    """The product with a chain, by the kernel."""
    a, b, _, d = values[0].shape
    out = np.full((a * b * d, x.shape[1]), np.nan, dtype=x.dtype)
    out = out if x.strides[1] <= x.strides[0] else np.ascontiguousarray(out.T).T
    chains.multiply(values, x, out)
    return out


def one_by_one(values, x):
    """The product with a chain, factor by factor."""
    for w in reversed(values):
        a, b, c, d = w.shape
        x = multiplied(w, np.ascontiguousarray(x).reshape(a, c, d, -1)).reshape(a * b * d, -1)
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", CHAINS)
def test_a_chain_has_the_bits_of_its_factors(dtype, shapes):
    random = np.random.default_rng(7)
    values = [random.normal(size=shape).astype(dtype) for shape in shapes]
    a, _, c, d = shapes[-1]
    for n in (0, 1, 5, 16, 40, 300):
        x = random.normal(size=(n, a * c * d)).astype(dtype)
        if n:
            with_threads(1)
            right = one_by_one(values, x.T)
            for threads in (1, 2):
                with_threads(threads)
                assert same_bits(chained(values, x.T), right)
                assert same_bits(chained(values, np.ascontiguousarray(x.T)), right)
            both_ways = np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1].T
            assert same_bits(chained(values, both_ways), right)
        else:
            assert chained(values, np.ascontiguousarray(x.T)).shape[1] == 0


@pytest.mark.parametrize("shapes", CHAINS)
def test_a_chain_in_integers(shapes):
    random = np.random.default_rng(8)
    values = [integers(random, shape, np.float64) for shape in shapes]
    a, _, c, d = shapes[-1]
    x = integers(random, (a * c * d, 21), np.float64)
    right = x
    for w in reversed(values):
        a, _, c, d = w.shape
        right = expected(w, right.reshape(a, c, d, -1)).reshape(-1, 21)
    assert np.array_equal(chained(values, x), right)


def test_chains_are_fused_where_tiles_fit_into_the_cache():
    def is_fused(shapes, dtype=np.float32, n=1024, *, batch_first=False):
        return chains.is_worth_it(shapes, n, dtype, batch_first=batch_first)

    assert is_fused(dyadic(4096))
    assert not is_fused(dyadic(2**20))  # a tile is larger than the cache
    monarch = [(1, 64, 64, 64), (64, 64, 64, 1)]
    assert not is_fused(monarch)  # large blocks
    assert is_fused(monarch, batch_first=True)  # they are transposed once
    assert is_fused(dyadic(4096), n=1)  # small blocks, on any batch
    assert not is_fused(monarch, n=1, batch_first=True)
    assert not is_fused(dyadic(4096), np.complex64)
    assert not is_fused([(1, 2, 2, 1)])  # nothing to fuse


# -- compilation --------------------------------------------------------------------------------------------------


def test_types_without_kernels():
    assert launch.is_available(np.float32)
    assert launch.is_available(np.float64)
    assert not any(launch.is_available(dtype) for dtype in (np.float16, np.complex64, np.int64, object))


def test_without_numba(monkeypatch):
    matrix = pg.KSMatrix(np.ones((1, 2, 3, 2)))
    assert matrix.explain(10).method == "tiles"
    monkeypatch.setitem(sys.modules, "numba", None)
    assert matrix.explain(10).method == "matmul"
    assert (matrix @ np.ones(6)).tolist() == [3] * 4
    assert (pg.hadamard(64) @ np.ones((64, 40)))[0].tolist() == [64] * 40
    with pytest.raises(pg.BackendError, match="Numba is installed"):
        matrix.apply(np.ones(6), method="tiles")


def test_public_products_have_the_same_bits_in_any_batch():
    random = np.random.default_rng(10)
    for dtype in (np.float16, *DTYPES):
        matrix = pg.KSMatrix(random.normal(size=(2, 7, 30, 3)).astype(dtype))
        x = random.normal(size=(50, matrix.shape[1])).astype(dtype)
        whole = matrix.apply(x, axis=-1)
        assert same_bits(matrix.apply(np.ascontiguousarray(x.T)).T, whole)
        assert all(same_bits(matrix @ row, product) for row, product in zip(x, whole, strict=True))
    chain = pg.hadamard(64, dtype=np.float32)
    x = random.normal(size=(40, 64)).astype(np.float32)
    plan = chain.explain(1000)
    assert plan.tile * plan.tiles >= 1000 > plan.tile
    assert all(same_bits(chain @ row, product) for row, product in zip(x, chain.apply(x, axis=-1), strict=True))


COMPILING = """
import sys
import pathgraph
assert "numba" not in sys.modules
from pathgraph.kronecker.kernels import chains, launch
assert "numba" not in sys.modules
import numpy as np
w, x = np.ones((1, 9, 5, 7), np.float32), np.ones((40, 1, 5, 7), np.float32).transpose(1, 2, 3, 0)
out = np.empty((40, 1, 9, 7), np.float32).transpose(1, 2, 3, 0)
launch.multiply(w, x, out)
launch.multiply(w, x[..., :1], out[..., :1])
from pathgraph.kronecker.kernels import numba_tiles
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in (numba_tiles.by_one, numba_tiles.transposing)))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def compilations():
        done = subprocess.run(
            [sys.executable, "-c", COMPILING], env=environment, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert compilations() == 2
    assert compilations() == 0


KERNELS = "kronecker.kernels"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (f"{KERNELS}.numba_blocks", ["kernel_text", f"{KERNELS}.tiles"]),
        (f"{KERNELS}.numba_chains", ["kernel_text", f"{KERNELS}.tiles", f"{KERNELS}.numba_blocks"]),
        (f"{KERNELS}.numba_tiles", ["kernel_text", f"{KERNELS}.tiles", f"{KERNELS}.numba_blocks"]),
        ("layers.numba_powers", ["kernel_text"]),
    ],
)
def test_a_cached_kernel_notices_changes_in_what_it_is_made_of(name, parts):
    """Numba looks at one file. So a kernel's file names the digest of the others, and changes with them."""
    module, folder = importlib.import_module(f"pathgraph.{name}"), Path(pg.__file__).parent
    files = [folder / f"{part.replace('.', '/')}.py" for part in parts]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert digest[:16] == module.MADE_OF, f"write MADE_OF = {digest[:16]!r} into {name}.py"


OTHER_PROCESSOR = """
from pathgraph.kronecker.kernels import launch, tiles
assert tiles.VECTOR == WIDTH
random = np.random.default_rng(0)
shapes = [(21, 9, d) for d in (1, 2, 4, 5, 8, 16, 20)] + [(72, 19, 1), (150, 7, 3)]
for (b, c, d), n, dtype in product(shapes, (1, 3, 4, 5, 7, 40, 64), (np.float32, np.float64)):
    w, x = random.integers(-8, 9, (1, b, c, d)).astype(dtype), random.integers(-8, 9, (1, c, d, n)).astype(dtype)
    right = np.einsum("abcd,acdn->abdn", w, x)
    out = np.empty(right.shape, dtype)
    launch.multiply(w, x, out)
    assert np.array_equal(out, right), (b, c, d, n)
    room = np.full((n + 16, b * d), np.inf, dtype)
    x, out = np.ascontiguousarray(x.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0), room[8:-8].reshape(n, 1, b, d)
    launch.multiply(w, x, out.transpose(1, 2, 3, 0))
    assert np.array_equal(out.transpose(1, 2, 3, 0), right), (b, c, d, n)
    assert np.isinf(room[:8]).all() and np.isinf(room[-8:]).all(), (b, c, d, n)  # nothing else is written
"""


@pytest.mark.parametrize("processor", VECTORS)
def test_the_code_for_other_processors_is_right(tmp_path, processor):
    run_compiled_for(processor, OTHER_PROCESSOR, tmp_path)
