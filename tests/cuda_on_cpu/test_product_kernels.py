"""The kernels of Kronecker-sparse products, run on the CPU from the shipped text, against the products of the CPU.

Numbers are small integers, so that sums are exact and equal to the last bit, or rough ones with derived bounds.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import ks_patterns
from pathgraph_gpu import products
from pathgraph_gpu import tiles as tiles_module
from pathgraph_gpu.tiles import TILES, Axis, Tile, choose, lanes, pack
from tests.cuda_on_cpu.product_checks import (
    FAR_CHECKS,
    gradient_agrees,
    maker,
    product_agrees,
    ragged,
    ragged_batches,
    same,
    small_integers,
)
from tests.cuda_on_cpu.runtime import MODES, ORDERS, KernelError, aligned, cpu_device, here, needs_compiler
from tests.tolerances import gamma, unit

pytestmark = needs_compiler

CHECKED = cpu_device("check", "forward")
EACH = [
    pytest.param(dtype, tile, id=f"{dtype}-" + "x".join(map(str, tile)))
    for dtype, tiles in TILES.items()
    for tile in tiles
]


@pytest.mark.parametrize(("dtype", "tile"), EACH)
def test_every_tile_at_every_boundary(dtype, tile):
    """All in check mode; the orders of the threads take turns."""
    for i, (pattern, outer, inner, transposed) in enumerate(ragged(tile)):
        device = cpu_device("check", ORDERS[i % 3])
        product_agrees(device, tile, dtype, pattern, outer, inner, transposed=transposed)
    for i, (pattern, batch, part) in enumerate(ragged_batches(tile)):
        gradient_agrees(cpu_device("check", ORDERS[i % 3]), tile, dtype, pattern, batch, batch_first=i % 2, part=part)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_matrices_chains_and_gradients_in_every_order(dtype, order, mode):
    device = cpu_device(mode, order)
    for shape in ((2, 3, 5, 9), (5, 2, 2, 1)):
        K = pg.KSMatrix(small_integers(shape, dtype))
        L = pg.KSMatrix(small_integers((1, K.shape[1], 2, 1), dtype))
        there = K.to_device(device)
        for batch, axis in (((33,), 0), ((7,), -1), ((2, 3), 1), ((), 0)):
            x = small_integers(with_vectors(batch, axis, K.shape[1]), dtype)
            g = small_integers(with_vectors(batch, axis, K.shape[0]), dtype)
            assert same(there.apply(device.to_device(x), axis), K.apply(x, axis))
            assert same(there.T.apply(device.to_device(g), axis), K.T.apply(g, axis))
            for matrix, far, of_x, of_y in ((K, there, x, g), (K.T, there.T, g, x)):
                found = far.vjp(device.to_device(of_x), device.to_device(of_y), axis)
                wanted = matrix.vjp(of_x, of_y, axis)
                assert all(same(*pair) for pair in zip(found, wanted, strict=True))
        y = small_integers((2, 6), dtype)
        chain = pg.KSChain([K, L])
        assert same((there @ L.to_device(device)) @ device.to_device(y), chain @ y)
        assert same(device.to_device(g[None]) @ there, g[None] @ K)
        assert there.T.T.to_host() == K


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128], ids=lambda dtype: dtype.__name__)
def test_complex_matrices_chains_and_gradients(dtype, mode):
    device = cpu_device(mode, "shuffled")
    real = np.dtype(dtype).type().real.dtype

    def numbers(shape, seed=0):
        return (small_integers(shape, real, seed) + 1j * small_integers(shape, real, seed + 1)).astype(dtype)

    for shape in ((2, 3, 5, 9), (5, 2, 2, 1)):
        K = pg.KSMatrix(numbers(shape))
        chain = pg.KSChain([K, pg.KSMatrix(numbers((1, K.shape[1], 2, 1)))])
        for batch, axis in (((33,), 0), ((7,), -1), ((2, 3), 1), ((), 0), ((0,), 0)):
            for matrix, there in ((K, K.to_device(device)), (K.T, K.to_device(device).T)):
                x, g = (numbers(with_vectors(batch, axis, size), 3) for size in reversed(matrix.shape))
                far = device.to_device(x), device.to_device(g)
                assert same(there.apply(far[0], axis), matrix.apply(x, axis))
                assert same(there.H.apply(far[1], axis), matrix.H.apply(g, axis))
                assert all(same(*pair) for pair in zip(there.vjp(*far, axis), matrix.vjp(x, g, axis), strict=True))
            y = numbers(with_vectors(batch, axis, 2))
            assert same(chain.to_device(device).apply(device.to_device(y), axis), chain.apply(y, axis))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128], ids=lambda dtype: dtype.__name__)
def test_complex_products_have_the_same_bits_for_every_batch_and_layout(dtype):
    rng = np.random.default_rng(1)

    def numbers(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)

    K = pg.KSMatrix(numbers(2, 5, 19, 3)).to_device(CHECKED)
    x = numbers(K.shape[1], 34)
    whole = np.asarray(K.apply(CHECKED.to_device(x)))
    for n in (1, 7):
        last, first = K.apply(CHECKED.to_device(x[:, :n])), K.apply(CHECKED.to_device(x[:, :n].T), -1)
        assert np.asarray(last).tobytes() == np.asarray(first).T.tobytes() == whole[:, :n].tobytes()
    both = K.apply(CHECKED.to_device(x.T.reshape(2, 17, -1).transpose(0, 2, 1)), 1)
    assert np.asarray(both).transpose(0, 2, 1).reshape(34, -1).T.tobytes() == whole.tobytes()


def test_complex_batches_are_real_ones_that_need_no_copy(monkeypatch):
    """Batch last, twice as many vectors; batch first, d doubles; one vector is a batch of two."""
    met = []
    monkeypatch.setattr(products, "launch", lambda device, problem, A, B, C: met.append((problem, A.shape)))
    K = pg.KSMatrix(np.ones((2, 5, 4, 3), np.complex64)).to_device(CHECKED)
    for shape, axis, pattern, sides in (
        ((24, 9), 0, (2, 5, 4, 3), (1, 18)),
        ((9, 24), -1, (2, 5, 4, 6), (9, 1)),
        ((3, 24, 9), 1, (2, 5, 4, 3), (3, 18)),
        ((24,), 0, (2, 5, 4, 3), (1, 2)),
    ):
        K.apply(CHECKED.xp.zeros(shape, np.complex64), axis)
        assert met == 2 * [(products.product_problem(pg.KSPattern(*pattern), *sides), pattern)]
        met.clear()


def test_parts_of_complex_numbers_that_are_not_finite_stay_apart():
    K = pg.KSMatrix(np.array([[[[2 + 0j]]]])).to_device(CHECKED)
    found = np.asarray(K @ CHECKED.to_device(np.array([complex(1, 3)])))
    assert found[0] == 2 + 6j
    found = np.asarray(K @ CHECKED.to_device(np.array([complex(np.inf, 3)])))
    assert found.real[0] == np.inf
    assert np.isnan(found.imag[0])  # infinity times the imaginary part, a zero, as for NumPy


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_products_into_an_array(dtype):
    """Nothing but the array is written, and the bits are those of a new one: also of fused chains, at any address."""
    K = pg.KSMatrix(small_integers((2, 4, 4, 2), dtype))
    small = pg.hadamard(16).astype(dtype)
    for operator in (K, K.T, small, pg.KSChain([K, small])):
        there = operator.to_device(CHECKED)
        for axis, batch in ((0, 5), (-1, 5), (0, 8)):
            x = CHECKED.to_device(small_integers(with_vectors((batch,), axis, 16), dtype))
            memory = CHECKED.xp.zeros(16 * batch + 6, dtype=dtype)
            memory[...] = 7
            out = memory[3:-3].reshape(with_vectors((batch,), axis, 16))
            assert there.apply(x, axis, out=out) is out
            assert same(out, np.asarray(there.apply(x, axis)))
            assert same(out, operator.apply(np.asarray(x), axis))
            assert (memory[:3] == 7).all()
            assert (memory[-3:] == 7).all()


def with_vectors(batch, axis, size):
    axis %= len(batch) + 1
    return (*batch[:axis], size, *batch[axis:])


@given(pattern=ks_patterns(max_size=9), data=st.data())
@settings(max_examples=40, deadline=None)
def test_drawn_patterns_and_shapes(pattern, data):
    dtype, axis = data.draw(st.sampled_from((np.float32, np.float64))), data.draw(st.integers(0, 2))
    batch = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 9)))
    K = pg.KSMatrix(small_integers(pattern.values_shape, dtype))
    there = K.to_device(CHECKED)
    x, g = (small_integers(with_vectors(batch, axis, size), dtype, axis) for size in reversed(K.shape))
    assert same(there.apply(CHECKED.to_device(x), axis), K.apply(x, axis))
    found = there.vjp(CHECKED.to_device(x), CHECKED.to_device(g), axis)
    assert all(same(*pair) for pair in zip(found, K.vjp(x, g, axis), strict=True))
    tile = data.draw(st.sampled_from(TILES["float32"][-3:]))
    if np.prod(batch):
        product_agrees(CHECKED, tile, "float32", pattern, *batch, transposed=axis == 2)


# -- rounding, and what is not finite -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_products_are_as_near_as_the_analysis_says(dtype):
    """Each entry is c products and their sum; the gradient of a value, a sum over the batch."""
    rng, n = np.random.default_rng(0), 700
    K = pg.KSMatrix(rng.normal(size=(2, 3, 20, 2)).astype(dtype))
    x, g = (rng.normal(size=(size, n)).astype(dtype) for size in reversed(K.shape))
    there = K.to_device(CHECKED)
    found = np.asarray(there.apply(CHECKED.to_device(x)))
    gradient = np.asarray(there.vjp(CHECKED.to_device(x), CHECKED.to_device(g))[1])
    w, rows, columns = (np.array(array, dtype=object) for array in (K.values, g[:, :9], x[:, :9]))
    w, rows, columns = (np.vectorize(Fraction, otypes=[object])(array.astype(float)) for array in (w, rows, columns))
    for i, j, l, s in np.ndindex(2, 3, 2, 9):  # noqa: E741
        terms = [w[i, j, k, l] * columns[i * 40 + k * 2 + l, s] for k in range(20)]
        assert_near(found[i * 6 + j * 2 + l, s], terms, dtype)
    for i, j, k, l in [(0, 0, 0, 0), (1, 2, 19, 1), (0, 1, 7, 1)]:  # noqa: E741
        both = zip(x[i * 40 + k * 2 + l].tolist(), g[i * 6 + j * 2 + l].tolist(), strict=True)
        assert_near(gradient[i, j, k, l], [Fraction(t) * Fraction(u) for t, u in both], dtype)


def assert_near(found, terms, dtype):
    exact, mass = sum(terms), sum(map(abs, terms))
    error = gamma(len(terms), products.total_of(dtype)) * mass
    if dtype == np.float16:  # the sum is rounded once more
        error += unit(dtype) * (abs(exact) + error) + Fraction(1, 2**25)
    assert abs(Fraction(float(found)) - exact) <= error


@pytest.mark.parametrize("dtype", TILES)
def test_a_result_has_the_same_bits_for_every_batch_tile_order_and_layout(dtype):
    rng = np.random.default_rng(1)
    K = pg.KSMatrix(rng.normal(size=(2, 5, 19, 3)).astype(dtype))
    x = rng.normal(size=(K.shape[1], 34)).astype(dtype)
    whole = np.asarray(K.to_device(CHECKED).apply(CHECKED.to_device(x)))
    for n in (1, 7):
        some = K.to_device(CHECKED).apply(CHECKED.to_device(x[:, :n]))
        assert np.asarray(some).tobytes() == whole[:, :n].tobytes()
    device = cpu_device("check", "shuffled")
    turned = K.to_device(device).apply(device.to_device(x.T), -1)
    assert np.asarray(turned).T.tobytes() == whole.tobytes()
    for tile in TILES[dtype]:
        problem = products.product_problem(K.pattern, 1, 34)
        out = device.xp.empty((1, K.shape[0], 34), dtype=dtype)
        products.launch(device, problem, here(K.values), here(x[None]), out, tile)
        assert np.asarray(out).tobytes() == whole.tobytes()
    g, long = rng.normal(size=(K.shape[0], 700)).astype(dtype), rng.normal(size=(K.shape[1], 700)).astype(dtype)
    gradients = [
        np.asarray(K.to_device(on).vjp(on.to_device(long), on.to_device(g))[1]).tobytes()
        for on in (CHECKED, device, cpu_device("check", "backward"))
    ]
    assert len(set(gradients)) == 1


@pytest.mark.parametrize("first", [False, True], ids=["batch last", "batch first"])
def test_what_is_not_finite_spreads_along_the_pattern(first):
    K = pg.KSMatrix(np.ones((2, 2, 3, 3), dtype=np.float32))
    x = np.ones((K.shape[1], 5), dtype=np.float32)
    x[4, 1], x[10, 2] = np.nan, np.inf
    given = CHECKED.to_device(x.T if first else x)
    found = np.asarray(K.to_device(CHECKED).apply(given, -first))
    expected = np.full((K.shape[0], 5), 3, dtype=np.float32)
    expected[[1, 4], 1], expected[[7, 10], 2] = np.nan, np.inf
    assert np.array_equal(found.T if first else found, expected, equal_nan=True)


# -- launches -----------------------------------------------------------------------------------------------------


def test_threads_lie_along_the_smallest_stride():
    packed = lanes([Axis(8, 3, 1), Axis(1, 5, 100), Axis(16, 4, 3), Axis(4, 4, 12)])  # l, then rows, then columns
    assert [packed >> 8 * i & 255 for i in range(4)] == [0, 9, 3, 7]
    packed = lanes([Axis(8, 1, 1), Axis(2, 5, 100), Axis(16, 4, 30), Axis(4, 4, 1)])  # one l: last
    assert [packed >> 8 * i & 255 for i in range(4)] == [7, 6, 2, 0]


def test_packs_are_as_wide_as_everything_that_they_meet():
    sizes = [Axis(4, 8, 1), Axis(1, 1, 5), Axis(16, 20, 24), Axis(8, 6, 8)]  # l side by side, then rows and columns
    assert pack(sizes, 4, 0) == pack(sizes, 4, 16) == 4
    assert pack(sizes, 2, 0) == pack(sizes, 4, 6) == 2  # at most two, and the place where the operand begins
    assert pack(sizes, 4, 1) == 1
    for which, one, wanted in (
        (0, (4, 6, 1), 2),  # products that are no multiple of four
        (0, (2, 8, 1), 2),  # two places in the tile
        (0, (1, 8, 1), 1),
        (0, (4, 8, 2), 1),  # no neighbours
        (1, (2, 2, 5), 1),  # a stride that is odd
        (2, (16, 1, 25), 4),  # a stride that leads nowhere
        (2, (16, 20, 26), 2),
    ):
        changed = [*sizes[:which], Axis(*one), *sizes[which + 1 :]]
        assert pack(changed, 4, 0) == wanted, one
    assert pack([Axis(4, 1, 1)] * 4, 4, 0) == 1


class Watching:
    """A device that says how wide the packs of its last launch were."""

    def kernel(self, file, name, options):
        self.widths = tuple(int(option.split("=")[1]) for option in options if "_WIDTH=" in option)
        kernel = CHECKED.kernel(file, name, options)

        def call(grid, block, args):
            self.c_width = int(args[-2])
            kernel(grid, block, args)

        return call


def shifted(array, by):
    """The same numbers, `by` elements behind where an array of the device begins."""
    moved = aligned(np.zeros(array.size + by, array.dtype))[by:]
    moved[:] = array.reshape(-1)
    return moved.reshape(array.shape)


PACKED = {
    "along l": ((1, 4, 8, 8), 1, 8, False, (4, 4, 4)),
    "along l and no batch": ((1, 4, 8, 8), 8, 1, False, (4, 4, 4)),
    "along the depth": ((2, 8, 8, 1), 8, 1, False, (4, 4, 4)),
    "along rows": ((1, 8, 8, 1), 1, 8, True, (4, 4, 4)),
    "an odd batch": ((1, 8, 8, 8), 1, 7, False, (1, 1, 1)),
    "results only": ((1, 8, 3, 1), 8, 1, False, (1, 1, 4)),
    "operands only": ((1, 3, 8, 1), 8, 1, False, (4, 4, 1)),
}


@pytest.mark.parametrize("shape", PACKED.values(), ids=PACKED)
def test_packs_are_read_where_they_can_be_and_nowhere_else(shape, monkeypatch):
    pattern, outer, inner, transposed, wanted = shape
    pattern, tile, device = pg.KSPattern(*pattern), Tile(4, 8, 8, 4, 4, 4), Watching()
    values = small_integers(pattern.values_shape, np.float32)
    matrix = pg.KSMatrix(values).T if transposed else pg.KSMatrix(values)
    x = small_integers((outer, matrix.shape[1], inner), np.float32, 1)
    expected = matrix.apply(x, 1)
    problem = products.product_problem(pattern, outer, inner, transposed=transposed)

    def found(shifts):
        out = shifted(np.full(expected.shape, np.nan, np.float32), shifts[2])
        products.launch(device, problem, shifted(values, shifts[0]), shifted(x, shifts[1]), out, tile)
        assert same(out, expected)
        return (*device.widths, device.c_width)

    assert found((0, 0, 0)) == found((4, 8, 4)) == wanted
    assert found((1, 0, 0)) == found((0, 2, 0)) == (1, 1, wanted[2])
    assert found((0, 0, 3)) == (*wanted[:2], 1)
    if wanted == (4, 4, 4):
        monkeypatch.setattr(tiles_module, "pack", lambda along, most, place: most)
        for shifts in ((1, 0, 0), (0, 2, 0), (0, 0, 3)):
            with pytest.raises(KernelError, match="not aligned"):
                found(shifts)


def test_the_model_chooses_tiles_that_fit():
    def chosen(pattern, batch, *, first, dtype=np.float32):
        problem = products.product_problem(pg.KSPattern(*pattern), *((batch, 1) if first else (1, batch)))
        return choose(problem, np.dtype(dtype))

    for dtype in (np.float16, np.float32, np.float64):
        for first in (False, True):
            large = chosen((1, 1024, 1024, 1), 4096, first=first, dtype=dtype)
            assert large == TILES[np.dtype(dtype).name][0]  # most multiply-adds for what is read
            small = chosen((1, 4, 4, 1024), 25088, first=first, dtype=dtype)
            assert small.rows <= 16
            assert small.groups >= 4
            assert chosen((1, 64, 64, 64), 25088, first=first, dtype=dtype).groups >= (4 if first else 2)
            assert chosen((1, 512, 512, 1), 1, first=first, dtype=dtype).columns == 8
        odd = chosen((1, 4, 4, 31), 25088, first=True, dtype=dtype)  # runs begin within sectors: long ones are chosen
        assert odd.groups == (16 if dtype == np.float64 else 32)
    for tiles in TILES.values():
        assert len(set(tiles)) == len(tiles)


def test_the_number_of_parts_depends_on_shapes_only():
    def parts(pattern, batch):
        problems = [
            products.gradient_problem(pg.KSPattern(*pattern), batch, batch_first=first) for first in (False, True)
        ]
        assert problems[0].part == problems[1].part
        return problems[0].parts

    assert parts((1, 4, 4, 1), 100) == 1
    assert parts((1, 4, 4, 1), 10_000) == 35  # of 288 vectors
    assert parts((1, 64, 64, 64), 10_000) == 32
    assert parts((64, 64, 64, 64), 10_000) == 1
    assert parts((1, 1, 1, 1), 10**9) == 512


def test_products_of_one_block_in_turns(monkeypatch):
    monkeypatch.setattr(products, "BLOCKS", 2)
    for first in (False, True):
        product_agrees(CHECKED, TILES["float32"][-2], "float32", (3, 17, 5, 9), *((9, 1) if first else (1, 9)))


def test_every_configuration_is_listed_once_and_compiles():
    found = products.configurations()
    assert len({(c.file, c.kernel, c.options) for c in found}) == len(found)
    assert {c.kernel for c in found} == {"ks_product", "ks_add_parts", "ks_chain"}
    for c in found:
        if c.options[2] == "-DOUT=__half" or c.dtype != np.float16:
            assert CHECKED.kernel(c.file, c.kernel, c.options).types
    for dtype, tiles in TILES.items():
        size = products.total_of(dtype).itemsize
        for tile in tiles:
            assert 32 <= tile.threads <= 1024
            assert tile.shared(size) <= 48 * 1024
            kernel = CHECKED.kernel("products", "ks_product", products.options(dtype, dtype, tile))
            assert kernel.library.cuda_shared_bytes() == tile.shared(size)
            assert tile.widths(size)[-1] == (1, 1)
            assert tile.resident(size) * tile.threads <= 2048


# -- beyond 2**32 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", FAR_CHECKS)
def test_indices_beyond_32_bits(what, mode):
    FAR_CHECKS[what](maker(mode))
