"""Checks of the kernels of Kronecker-sparse products, for the kernels as they are shipped and for wrong versions."""

import numpy as np

import pathgraph as pg
from pathgraph_gpu import products, sources
from pathgraph_gpu.tiles import Tile
from tests.cuda_on_cpu.runtime import CpuKernel, here, sparse


def small_integers(shape, dtype, seed=0):
    """Integers of at most 3, so that sums of up to 200 products are exact even in float16."""
    return np.random.default_rng([seed, *shape]).integers(-3, 4, size=shape).astype(dtype)


def same(found, wanted):
    return found.dtype == wanted.dtype and np.array_equal(np.asarray(found), wanted)


def product_agrees(device, tile, dtype, pattern, outer, inner, *, transposed=False):
    """A product by a tile is that of the CPU to the last bit."""
    pattern = pg.KSPattern(*pattern)
    values = small_integers(pattern.values_shape, dtype)
    matrix = pg.KSMatrix(values).T if transposed else pg.KSMatrix(values)
    x = small_integers((outer, matrix.shape[1], inner), dtype, 1)
    problem = products.product_problem(pattern, outer, inner, transposed=transposed)
    out = device.xp.empty((outer, matrix.shape[0], inner), dtype=dtype)
    products.launch(device, problem, here(values), here(x), out, tile)
    assert same(out, matrix.apply(x, 1)), (tile, dtype, pattern, outer, inner, transposed)


def gradient_agrees(device, tile, dtype, pattern, batch, *, batch_first, part=None):
    """A gradient of the values by a tile is that of the CPU to the last bit."""
    pattern = pg.KSPattern(*pattern)
    sides = (batch, 1) if batch_first else (1, batch)
    x, g = (small_integers((sides[0], size, sides[1]), dtype, size) for size in reversed(pattern.shape))
    problem = products.gradient_problem(pattern, batch, batch_first=batch_first)
    problem = problem._replace(part=part or problem.part)
    total = products.total_of(dtype)
    partial = device.xp.empty((problem.parts, *pattern.values_shape), dtype=total)
    products.launch(device, problem, here(g), here(x), partial, tile)
    wanted = pg.KSMatrix(np.zeros(pattern.values_shape, total)).vjp(x.astype(total), g.astype(total), 1)[1]
    assert same(np.asarray(partial).sum(axis=0), wanted), (tile, dtype, pattern, batch, batch_first)


def parts_agree(device):
    """The sums of some parts are those of NumPy, in several turns of a block."""
    for count, parts in ((1, 1), (255, 2), (600, 3)):
        partial, out = small_integers((parts, count), np.float32), device.xp.empty((count,), dtype=np.float32)
        kernel = device.kernel("product_parts", "ks_add_parts", products.parts_options(np.float32))
        kernel((2,), (256,), (np.int64(count), np.int64(parts), here(partial), out))
        assert same(out, partial.sum(axis=0))


def around(size):
    return [n for n in (size - 1, size, size + 1) if n > 0]


def ragged(tile):
    """Patterns and batches around every boundary of a tile: (pattern, outer, inner, whether it is transposed)."""
    groups, rows, columns, depth = tile[:4]
    cases = [((1, b, 2, 1), 1, 3, False) for b in around(rows)]
    cases += [((1, 2, c, 1), 1, 3, True) for c in around(rows)]
    cases += [((1, 2, c, 2), 1, 3, False) for c in (*around(depth), 2 * depth, 2 * depth + 1)]
    cases += [((1, 3, 2, d), 1, 2, d % 2 == 1) for d in around(groups)]
    cases += [((a, 2, 3, 1), 2, 1, a % 2 == 1) for a in around(groups)]
    cases += [((1, 2, 3, 1), 1, n, False) for n in around(columns)]
    cases += [((2, 1, 3, 3), n, 1, False) for n in around(columns)]
    cases += [((1, 12, 8, 8), 1, 8, False), ((2, 4, 12, 4), 4, 1, True), ((2, 8, 12, 1), 1, 4, True)]  # in packs
    cases += [((1, 4, 20, 1), 8, 1, False), ((1, 4, 6, 8), 1, 6, True), ((2, 3, 2, 3), 3, 2, False)]
    cases += [((3, 1, 1, 1), 2, 5, True), ((1, 1, 1, 1), 1, 1, False)]
    return list(dict.fromkeys(cases))


def ragged_batches(tile):
    """Patterns, batches and parts around the boundaries of a tile, for gradients of the values."""
    groups, rows, columns, depth = tile[:4]
    cases = [((1, b, 2, 1), 3, None) for b in around(rows)] + [((1, 2, c, 1), 3, None) for c in around(columns)]
    cases += [((2, 2, 3, d), 3, None) for d in around(groups)[-1:]]
    cases += [((1, 2, 3, 3), n, None) for n in (*around(depth), 2 * depth + 1)]
    cases += [((2, 2, 3, 2), 5 * depth + 1, 2 * depth), ((1, 2, 1, 3), 3 * depth, depth)]
    cases += [((1, 4, 8, 8), n, None) for n in (8, 12)] + [((2, 8, 4, 1), n, 8) for n in (16, 24)]  # in packs
    return list(dict.fromkeys(cases))


# -- beyond 2**32 -------------------------------------------------------------------------------------------------

FAR = 2**32 + 64
TILE = Tile(4, 8, 8, 2, 4, 4)  # small, so that few threads run


def maker(mode, change=lambda text: text):
    """Devices that run some blocks only, of a text that is changed first: those that have the tiles of some numbers."""

    class Chosen:
        def __init__(self, blocks):
            self.blocks = blocks
            self.grid = None

        def kernel(self, file, name, options):
            kernel = CpuKernel(change(sources.text(file)), name, options, mode=mode)

            def call(grid, block, args):
                self.grid = grid
                kernel(grid, block, args, blocks=[(place % grid[0],) for place in self.blocks])

            return call

    return Chosen


def far_products(make, *, batch_first, along):
    """One product in the last block, whose batch, vectors or values end beyond 2**32."""
    a, b, c, d, n = {"batch": (1, 2, 3, 1, FAR // 2), "groups": (FAR // 4, 2, 2, 1, 2), "l": (1, 2, 2, FAR // 2, 1)}[
        along
    ]
    pattern = pg.KSPattern(a, b, c, d)
    values, x, y = (sparse(size, np.float32) for size in (a * b * c * d, a * c * d * n, a * b * d * n))
    values[-b * c * d :: d] = values[d - 1 :: d][-b * c :] = np.arange(1, b * c + 1)
    problem = products.product_problem(pattern, *((n, 1) if batch_first else (1, n)))
    last_x = [a * c * d * n - 1 - (c - 1 - k) * (d if batch_first else d * n) for k in range(c)]
    last_y = [a * b * d * n - 1 - (b - 1 - j) * (d if batch_first else d * n) for j in range(b)]
    x[last_x] = np.arange(1, c + 1)
    products.launch(make([-1]), problem, values, x, y, TILE)
    w = np.array([values[((a - 1) * b * c + e) * d + d - 1] for e in range(b * c)]).reshape(b, c)
    assert np.count_nonzero(w) == b * c
    assert y[last_y].tolist() == (w @ np.arange(1, c + 1)).tolist()


def far_gradients(make, *, batch_first):
    """The gradient of two values over a batch beyond 2**32, of which the last part is taken."""
    n, b, c = FAR // 2, 2, 1
    pattern, part = pg.KSPattern(1, b, c, 1), 64
    problem = products.gradient_problem(pattern, n, batch_first=batch_first)._replace(part=part)
    g, x, out = sparse(b * n, np.float32), sparse(c * n, np.float32), sparse(problem.parts * b * c, np.float32)
    places = [n * b - 2, n * b - 1] if batch_first else [n - 1, 2 * n - 1]
    g[places], x[-1] = [3, 5], 7
    products.launch(make([-1]), problem, g, x, out, TILE)
    assert out[-2:].tolist() == [21, 35]


def far_tiles(make):
    """More than 2**32 tiles, of which a block takes three in turns, the last one among them."""
    groups = 4 * (2**32 + 8)
    values, x, y = (sparse(groups, np.float32) for _ in range(3))
    values[-1], x[-1] = 3, 5
    problem = products.product_problem(pg.KSPattern(groups, 1, 1, 1), 1, 1)
    products.launch(make([groups // 4 - 1]), problem, values, x, y, TILE)
    assert y[-1] == 15


def far_parts(make):
    """The sums of partial sums that lie beyond 2**32: a grid of 2**16 blocks takes them in turns."""
    count = FAR // 2
    partial, out = sparse(2 * count, np.float32), sparse(count, np.float32)
    partial[count - 1], partial[-1] = 2, 5
    options = products.parts_options(np.float32)
    block = (count - 1) // 256 % 2**16
    args = (np.int64(count), np.int64(2), partial, out)
    make([block]).kernel("product_parts", "ks_add_parts", options)((2**16,), (256,), args)
    assert out[-1] == 7


FAR_CHECKS = {
    **{
        f"{along}, batch {'first' if first else 'last'}": lambda make, first=first, along=along: far_products(
            make, batch_first=first, along=along
        )
        for first in (False, True)
        for along in ("batch", "groups", "l")
    },
    "gradient, batch last": lambda make: far_gradients(make, batch_first=False),
    "gradient, batch first": lambda make: far_gradients(make, batch_first=True),
    "tiles": far_tiles,
    "parts": far_parts,
}


# -- what a wrong version of the kernels meets --------------------------------------------------------------------

WIDE = Tile(2, 8, 8, 2, 4, 4)  # of float64, whose threads have two runs of rows


def probe(device, make, monkeypatch):
    """Everything that a wrong version of the kernels may break, in little time."""
    for name, what in FAR_CHECKS.items():
        if name != "parts":
            what(make)
    for blocks in (products.BLOCKS, 2):
        with monkeypatch.context() as patched:
            patched.setattr(products, "BLOCKS", blocks)
            for pattern, outer, inner, transposed in ragged(TILE):
                product_agrees(device, TILE, "float32", pattern, outer, inner, transposed=transposed)
            for i, (pattern, batch, part) in enumerate(ragged_batches(TILE)):
                gradient_agrees(device, TILE, "float32", pattern, batch, batch_first=i % 2, part=part)
    product_agrees(device, WIDE, "float64", (3, 9, 3, 3), 1, 9)


def probe_parts(device, make, monkeypatch):
    """The same for the sum of parts."""
    far_parts(make)
    parts_agree(device)
