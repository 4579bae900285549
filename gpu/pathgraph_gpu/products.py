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

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph_gpu.configurations import C_NAMES, THREADS, Configuration
from pathgraph_gpu.tiles import SECTOR, TILES, Operand, Problem, Tile, axes, blocks_of, lanes, run_along_l, way
from pathgraph_gpu.tuning import chosen

if TYPE_CHECKING:
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph_gpu.device import Device

__all__ = [
    "configurations",
    "gradient_problem",
    "is_aligned",
    "launch",
    "multiply",
    "multiply_chain",
    "product_problem",
    "values_gradient",
]

BLOCKS = 2**31 - 1
"""The most blocks of a grid that CUDA allows; if there are more tiles, blocks take them in turns."""
ADDING_BLOCKS = 2**16
"""The most blocks that add parts, for the same reason."""
FILLED = 512
"""Blocks that fill a device: the batch is cut into parts where the values alone make fewer."""
LEAST_PART = 256
"""Vectors of a part, at least."""

Factor = tuple["KSPattern", Any, bool]
"""A pattern, an array of the device with values of this pattern, and whether the factor is their transpose."""


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
    macros = (f"-D{name}={C_NAMES[dtype]}" for name, dtype in names.items())
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
    out = Operand(b * c * d, 1, c * d, d)
    return Problem(a, a, d, b, c, batch, part, g, x, out, is_batch_outer=False, is_batch_depth=True)


def launch(device: Device, problem: Problem, A: Any, B: Any, C: Any, tile: Tile | None = None) -> None:
    """Write the products of A and B to C, with a tile, or with the one that was tuned or that the model chooses."""
    dtype, arrays = np.dtype(A.dtype), (A, B, C)
    used = tile or chosen(device, problem, dtype)
    size = total_of(dtype).itemsize
    along = axes(used, problem, used.slice_rows(size))
    widths = way(used, along, problem.part, size, [_address(array) // array.dtype.itemsize for array in arrays])
    run_l = run_along_l(used, problem)
    a, groups, d, m, n, depth, part, *operands = problem[:10]
    is_whole = run_l * dtype.itemsize % SECTOR == d * dtype.itemsize % SECTOR == 0  # blocks share no sectors
    args: list[Any] = [*map(np.int64, (a, groups, d, m, n, depth, part))]
    args += [np.int32(run_l.bit_length() - 1), np.int32(problem.is_batch_outer and not is_whole)]
    for array, operand, sizes in zip(arrays, operands, along, strict=True):
        args += [array, *map(np.int64, (operand.i, operand.row, operand.col, operand.l)), np.int32(lanes(sizes))]
    args += [np.int32(widths.C), np.int64(groups * d * m * n)]
    kernel = device.kernel("products", "ks_product", options(dtype, C.dtype, used, (widths.A, widths.B)))
    kernel((min(blocks_of(used, problem), BLOCKS),), (used.threads,), args)


def _address(array: Any) -> int:
    """Where an array begins: of CuPy or of NumPy."""
    return int(array.data.ptr if hasattr(array.data, "ptr") else array.ctypes.data)


def is_aligned(array: Any) -> bool:
    """Whether the numbers of an array lie at multiples of their size, as kernels need that read complex ones whole."""
    return _address(array) % int(array.dtype.itemsize) == 0


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
    grid = (min(ADDING_BLOCKS, -(-pattern.nnz // THREADS)),)
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
