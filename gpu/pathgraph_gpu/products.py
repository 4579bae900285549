r"""Products of Kronecker-sparse matrices whose values are on a device: how the kernels are launched.

Each function takes the device, contiguous arrays of it, and shapes that pathgraph has checked. A batch has shape
(outer, columns, inner): batch last is outer = 1, batch first is inner = 1, and a batch along two sides of the vectors
needs no copy. The kernel is ``kernels/products.cu``; `pathgraph_gpu.tiles` says how blocks cut a product.

**Order.** Each entry of a product is one sum, k = 0, 1, ..., so its bits depend neither on the batch nor on the tile.
The gradient of the values is a sum over the batch, which is cut into parts whose number depends on shapes only, and
whose sums are added in their order. Two runs give the same bits; there are no atomics.

**Types.** float32 and float64 are computed as they are, float16 in float32 and rounded once; complex numbers by their
real and imaginary parts, in `pathgraph_gpu.complex_products`.

Nothing here waits for the device, and the values are never looked at: NaN and infinities spread along the pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph_gpu.configurations import Configuration
from pathgraph_gpu.tiles import SECTOR, TILES, Operand, Problem, Tile, lanes, pack, run_along_l
from pathgraph_gpu.tuning import chosen

if TYPE_CHECKING:
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph_gpu.device import Device

__all__ = [
    "configurations",
    "gradient_problem",
    "launch",
    "multiply",
    "multiply_chain",
    "product_problem",
    "values_gradient",
]

THREADS = 256
"""Of a block that adds parts."""
BLOCKS = 2**31 - 1
"""At most; larger problems are taken in turns."""
FILLED = 512
"""Blocks that fill a device: the batch is cut into parts where the values alone make fewer."""
LEAST_PART = 256
"""Vectors of a part, at least."""

Factor = tuple["KSPattern", Any, bool]
"""The pattern of some values, they, and whether the matrix is the transpose."""

_C_NAMES = {"float16": "__half", "float32": "float", "float64": "double"}


def total_of(dtype: Any) -> np.dtype[Any]:
    """The type of sums of products of values."""
    return np.dtype(np.float32) if np.dtype(dtype) == np.float16 else np.dtype(dtype)


def options(dtype: Any, out: Any, tile: Tile, widths: tuple[int, int] = (1, 1)) -> tuple[str, ...]:
    """The macros of a product, in the order in which they make a key."""
    packs = (f"-DA_WIDTH={widths[0]}", f"-DB_WIDTH={widths[1]}")
    resident = f"-DRESIDENT={tile.resident(total_of(dtype).itemsize, packed=max(widths) > 1)}"
    return (*_types(VALUE=dtype, TOTAL=total_of(dtype), OUT=out), *tile.macros, *packs, resident)


def parts_options(dtype: Any) -> tuple[str, ...]:
    """The macros of the sum of parts."""
    return _types(VALUE=dtype, TOTAL=total_of(dtype))


def _types(**types: Any) -> tuple[str, ...]:
    names = {name: np.dtype(dtype).name for name, dtype in types.items()}
    macros = (f"-D{name}={_C_NAMES[dtype]}" for name, dtype in names.items())
    return (*macros, f"-DHALF={int('float16' in names.values())}")


def product_problem(pattern: KSPattern, outer: int, inner: int, *, transposed: bool = False) -> Problem:
    """The product with a batch of shape (outer, columns, inner); of the transpose, whose pattern is (a, c, b, d)."""
    a, b, c, d = pattern
    values = Operand(b * c * d, 1, c * d, d)
    if transposed:
        b, c, values = c, b, Operand(values.i, values.l, values.col, values.row)
    x, y = Operand(c * d * inner, inner, d * inner, 1), Operand(b * d * inner, inner, d * inner, 1)
    if inner == 1:  # the vectors lie along memory: a batch is what is beside them
        x, y = Operand(c * d, 1, d, a * c * d), Operand(b * d, 1, d, a * b * d)
        return Problem(a, a, d, b, outer, c, c, values, x, y, is_batch_outer=True)
    return Problem(a, outer * a, d, b, inner, c, c, values, x, y, is_batch_outer=False)


def gradient_problem(pattern: KSPattern, batch: int, *, batch_first: bool) -> Problem:
    """The gradient of the values: products of that of the outputs, b x batch, and the vectors, batch x c."""
    a, b, c, d = pattern
    if batch_first:
        g, x = Operand(b * d, 1, d, a * b * d), Operand(c * d, 1, a * c * d, d)
    else:
        g, x = Operand(b * d * batch, batch, d * batch, 1), Operand(c * d * batch, batch, 1, d * batch)
    blocks = -(-a * d // 8) * -(-b // 64) * -(-c // 32)
    parts = max(1, min(-(-FILLED // blocks), batch // LEAST_PART))
    part = -((-batch // parts) // 32) * 32  # a multiple of 32
    return Problem(a, a, d, b, c, batch, part, g, x, Operand(b * c * d, 1, c * d, d), is_batch_outer=False)


def launch(device: Device, problem: Problem, A: Any, B: Any, C: Any, tile: Tile | None = None) -> None:
    """Write the products of A and B to C, with a tile, or with the one that was tuned or that the model chooses."""
    dtype = np.dtype(A.dtype)
    used = tile or chosen(device, problem, dtype)
    a, groups, d, m, n, depth, part, *operands, is_batch_outer = problem
    run_l = run_along_l(used, problem)
    run_i = used.groups // run_l
    size = total_of(dtype).itemsize
    shapes = (
        ((used.rows, m), (used.depth, depth)),
        ((used.depth, depth), (used.columns, n)),
        ((used.slice_rows(size), m), (used.columns, n)),
    )
    sizes = [
        [(run_l, d, operand.l), (run_i, groups, operand.i), (*rows, operand.row), (*columns, operand.col)]
        for operand, (rows, columns) in zip(operands, shapes, strict=True)
    ]
    line = 16 // size
    within = math.gcd(line, part)  # a pack lies in one part of the depth
    a_pack, b_pack, c_pack = (
        pack(along, most, _address(array) // array.dtype.itemsize)
        for along, most, array in zip(sizes, (within, within, line), (A, B, C), strict=True)
    )
    widths = next(both for both in used.widths(size) if both[0] <= a_pack and both[1] <= b_pack)
    args: list[Any] = [*map(np.int64, (a, groups, d, m, n, depth, part))]
    is_whole = run_l * dtype.itemsize % SECTOR == d * dtype.itemsize % SECTOR == 0  # blocks share no sectors
    args += [np.int32(run_l.bit_length() - 1), np.int32(is_batch_outer and not is_whole)]
    for array, operand, along in zip((A, B, C), operands, sizes, strict=True):
        args += [array, *map(np.int64, (operand.i, operand.row, operand.col, operand.l)), np.int32(lanes(along))]
    args += [np.int32(line if c_pack == line else 1), np.int64(groups * d * m * n)]
    blocks = -(-m // used.rows) * -(-n // used.columns) * -(-d // run_l) * -(-groups // run_i) * problem.parts
    kernel = device.kernel("products", "ks_product", options(dtype, C.dtype, used, widths))
    kernel((min(blocks, BLOCKS),), (used.threads,), args)


def _address(array: Any) -> int:
    """Where an array begins: of CuPy or of NumPy."""
    return int(array.data.ptr if hasattr(array.data, "ptr") else array.ctypes.data)


def multiply(
    device: Device, pattern: KSPattern, values: Any, x: Any, *, transposed: bool = False, out: Any = None
) -> Any:
    """The products of a matrix, or of its transpose, with the vectors of a batch.

    Parameters
    ----------
    values : array of the device, shape (a, b, c, d)
    x : array of the device, shape (outer, columns, inner)
    out : array of the device, shape (outer, rows, inner), optional
        Where the products are written: contiguous, of the type of x, sharing no memory with it or the values.

    Returns
    -------
    array of the device, shape (outer, rows, inner)
        `out`, or a new one.
    """
    if x.dtype.kind == "c":
        from pathgraph_gpu import complex_products

        return complex_products.multiply(device, pattern, values, x, transposed=transposed, out=out)
    outer, _, inner = x.shape
    problem = product_problem(pattern, outer, inner, transposed=transposed)
    result = device.xp.empty((outer, pattern.shape[transposed], inner), dtype=x.dtype) if out is None else out
    if outer * inner:
        launch(device, problem, values, x, result)
    return result


def multiply_chain(device: Device, factors: Sequence[Factor], x: Any, kept: dict[Any, Any], *, out: Any = None) -> Any:
    """The products of a chain with the vectors of a batch; see `pathgraph_gpu.chains.multiply_chain`."""
    from pathgraph_gpu import chains

    return chains.multiply_chain(device, factors, x, kept, out=out)


def values_gradient(device: Device, pattern: KSPattern, x: Any, gradient: Any) -> Any:
    """The gradient of the values: over the batch, the sum of the products of the gradient and the vectors.

    For complex numbers, the vectors are conjugated.

    Parameters
    ----------
    x : array of the device, shape (outer, columns, inner)
    gradient : array of the device, shape (outer, rows, inner)

    Returns
    -------
    array of the device, shape (a, b, c, d)
    """
    xp, (outer, _, inner) = device.xp, x.shape
    if not outer * inner:
        return xp.zeros(pattern.values_shape, dtype=x.dtype)
    if x.dtype.kind == "c":
        from pathgraph_gpu import complex_products

        return complex_products.values_gradient(device, pattern, x, gradient)
    if outer > 1 and inner > 1:  # a batch on both sides of the vectors is turned to one side
        x, gradient = (xp.ascontiguousarray(array.transpose(0, 2, 1)) for array in (x, gradient))
    problem = gradient_problem(pattern, outer * inner, batch_first=outer > 1 or inner == 1)
    out = xp.empty(pattern.values_shape, dtype=x.dtype)
    total = total_of(x.dtype)
    if problem.parts == 1 and total == x.dtype:
        launch(device, problem, gradient, x, out)
        return out
    partial = xp.empty((problem.parts, *pattern.values_shape), dtype=total)
    launch(device, problem, gradient, x, partial)
    kernel = device.kernel("product_parts", "ks_add_parts", parts_options(x.dtype))
    grid = (min(2**16, -(-pattern.nnz // THREADS)),)
    kernel(grid, (THREADS,), (np.int64(pattern.nnz), np.int64(problem.parts), partial, out))
    return out


def configurations() -> list[Configuration]:
    """Every configuration of these kernels, and of those of chains, that can be chosen.

    A main tile has 64 sums in a thread, or at least 32 of float64.
    """
    from pathgraph_gpu import chains

    found = chains.configurations()
    for name, tiles in TILES.items():
        dtype = np.dtype(name)
        for tile in tiles:
            is_main = tile.row_sums * tile.column_sums * total_of(dtype).itemsize >= 256
            for out in dict.fromkeys((dtype, total_of(dtype))):
                for widths in tile.widths(total_of(dtype).itemsize):
                    macros = options(dtype, out, tile, widths)
                    found.append(Configuration("products", "ks_product", macros, (tile.threads,), 0, is_main, dtype))
        found.append(Configuration("product_parts", "ks_add_parts", parts_options(dtype), (THREADS,), 0, False, dtype))
    return found
