r"""Kronecker-sparse products on a device against plain NumPy, on ragged patterns, with every tile.

An entry of a product of depth c is off by at most :math:`\gamma_c` times the sum of the absolute terms, in the
arithmetic of the sums and, for the reference, in float64. A result in float16 is rounded once more; its smallest step
is 2**-24. Real and imaginary parts are compared apart, each with the moduli :math:`|\mathrm{Re}| + |\mathrm{Im}|` of
the terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.kronecker.patterns import KSPattern
from pathgraph_gpu import chains, products
from pathgraph_gpu.tiles import TILES, Tile
from pathgraph_gpu.verification.outcomes import Outcome, Recorder, gamma, near, outcome, twice

if TYPE_CHECKING:
    from pathgraph.scalars import Array
    from pathgraph_gpu.device import Device

__all__ = ["PATTERNS", "QUICK", "multiplied", "product_outcomes", "values_gradient"]

RAGGED = ((1, 1, 1, 1), (2, 3, 5, 7), (3, 17, 9, 1), (1, 65, 33, 4), (5, 4, 6, 33), (1, 130, 70, 3))
PACKED = ((1, 8, 16, 32), (4, 16, 8, 1), (1, 8, 12, 2), (2, 8, 8, 4))
"""Whose numbers are read in packs of every width, with batches of a multiple of eight."""
PATTERNS = RAGGED + PACKED
QUICK = ((2, 3, 5, 7), (1, 65, 33, 2), (1, 8, 8, 3), *PACKED)
CHAINS = (
    ((1, 2, 3, 10), (3, 2, 2, 5)),
    ((1, 8, 8, 40), (8, 8, 7, 5)),
    ((1, 8, 8, 32), (8, 8, 8, 4), (64, 4, 3, 1)),
)
"""Whose parts have all the widths of the kernel of chains."""
COMPLEX = {"complex64": "float32", "complex128": "float64"}
"""By the type of their parts, whose kernels multiply them."""
BATCHES = ((1, 1), (1, 37), (41, 1), (3, 5), (1, 32), (32, 1))
"""(outer, inner): batch last is outer = 1, batch first is inner = 1."""


def multiplied(values: Array, x: Array, *, transposed: bool = False) -> Array:
    """The product with a batch of shape (outer, columns, inner), in the type of the values."""
    a, b, c, d = values.shape
    if transposed:
        b, c, values = c, b, values.transpose(0, 2, 1, 3)
    blocks = x.reshape(len(x), a, c, d, -1)
    return np.asarray(np.einsum("ajkl,nakli->najli", values, blocks)).reshape(len(x), a * b * d, -1)


def values_gradient(shape: tuple[int, ...], x: Array, gradient: Array) -> Array:
    """The sum over the batch of the products of the gradient and the vectors, which are conjugated."""
    a, b, c, d = shape
    left, right = gradient.reshape(len(x), a, b, d, -1), x.conj().reshape(len(x), a, c, d, -1)
    return np.asarray(np.einsum("najli,nakli->ajkl", left, right))


def _numbers(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    numbers = random.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        numbers = numbers + 1j * random.normal(size=shape)
    return np.asarray(numbers.astype(dtype))


def _wide(numbers: Array) -> Array:
    return np.asarray(numbers.astype(np.result_type(numbers, np.float64)))


def _moduli(numbers: Array) -> Array:
    """The absolute values, in float64; of both parts together."""
    wide = _wide(numbers)
    return np.asarray(np.abs(wide.real) + np.abs(wide.imag))


def _compared(found: Array, expected: Array, mass: Array, depth: int, total: Any) -> float:
    if found.dtype.kind == "c":
        (found, expected), mass = (np.stack([one.real, one.imag]) for one in (found, expected)), np.stack([mass, mass])
    slack = (gamma(depth + 1, total) + gamma(depth + 1, np.float64)) * mass
    if found.dtype == np.float16:
        slack = slack + 2.0**-11 * (np.abs(expected) + slack) + 2.0**-25
    return near(found, expected, slack)


def _product(
    device: Device, pattern: KSPattern, dtype: Any, tile: Tile | None, out: Any, batch: Any, transposed: bool
) -> float:
    random = np.random.default_rng(pattern.nnz)
    outer, inner = batch
    rows, columns = pattern.shape[transposed], pattern.shape[not transposed]
    values, x = _numbers(random, pattern.values_shape, dtype), _numbers(random, (outer, columns, inner), dtype)
    moved = device.to_device(values), device.to_device(x)

    def compute() -> Any:
        if tile is None:
            return products.multiply(device, pattern, *moved, transposed=transposed)
        made = device.xp.empty((outer, rows, inner), dtype=out)
        problem = products.product_problem(pattern, outer, inner, transposed=transposed)
        products.launch(device, problem, *moved, made, tile)
        return made

    found = twice(lambda: device.to_host(compute()))
    expected, mass = (multiplied(of(values), of(x), transposed=transposed) for of in (_wide, _moduli))
    depth = pattern.b if transposed else pattern.c
    return _compared(found, expected, mass, depth, products.total_of(dtype))


def _gradient(device: Device, pattern: KSPattern, dtype: Any, batch: tuple[int, int]) -> float:
    random = np.random.default_rng(pattern.nnz)
    outer, inner = batch
    x = _numbers(random, (outer, pattern.shape[1], inner), dtype)
    gradient = _numbers(random, (outer, pattern.shape[0], inner), dtype)
    moved = device.to_device(x), device.to_device(gradient)
    found = twice(lambda: device.to_host(products.values_gradient(device, pattern, *moved)))
    expected, mass = (values_gradient(pattern.values_shape, of(x), of(gradient)) for of in (_wide, _moduli))
    terms = outer * inner * (2 if found.dtype.kind == "c" else 1)
    return _compared(found, expected, mass, terms, products.total_of(dtype))


def _chain(device: Device, patterns: Sequence[KSPattern], dtype: Any, batch: tuple[int, int]) -> float:
    random = np.random.default_rng(len(patterns))
    outer, inner = batch
    values = [_numbers(random, pattern.values_shape, dtype) for pattern in patterns]
    x = _numbers(random, (outer, patterns[-1].shape[1], inner), dtype)
    factors = [(pattern, device.to_device(own), False) for pattern, own in zip(patterns, values, strict=True)]
    moved = device.to_device(x)
    found = twice(lambda: device.to_host(chains.multiply_chain(device, factors, moved, {})))
    expected, mass = _wide(x), _moduli(x)
    for own in reversed(values):
        expected, mass = multiplied(_wide(own), expected), multiplied(_moduli(own), mass)
    depth = sum(pattern.c + 1 for pattern in patterns)
    return _compared(found, expected, mass, depth, products.total_of(dtype))


def product_outcomes(
    device: Device, *, quick: bool = False, tiles: dict[str, Sequence[Tile]] | None = None
) -> Iterator[Outcome]:
    """Check the kernels of Kronecker-sparse products and chains.

    Parameters
    ----------
    device : Device
    quick : bool
        Small patterns only, as for a sanitizer.
    tiles : dict of str to sequence of Tile, optional
        By dtype; all by default. Then the last outcome says whether every configuration ran. Complex numbers take the
        tile that is chosen for their parts, if their type is among these.

    Yields
    ------
    Outcome
    """
    recorder = Recorder(device)
    patterns = [KSPattern(*sizes) for sizes in (QUICK if quick else PATTERNS)]
    chosen = TILES if tiles is None else tiles
    for name, members in chosen.items():
        dtype = np.dtype(name)
        for tile in members:
            for out in dict.fromkeys((dtype, products.total_of(dtype))):
                title = f"{name} to {out.name}, tile {tuple(tile)}"
                yield outcome(title, partial(_tile, recorder, patterns, dtype, tile, out, quick))
        yield from _chosen(recorder, patterns, dtype)
    for name, parts in COMPLEX.items():
        if parts in chosen:
            yield from _chosen(recorder, patterns, np.dtype(name))
    if tiles is None:
        yield outcome("every configuration ran", lambda: recorder.require(products.configurations()))


def _chosen(device: Device, patterns: Sequence[KSPattern], dtype: np.dtype[Any]) -> Iterator[Outcome]:
    """Gradients, products and chains as they are computed for users."""
    for pattern in patterns:
        for batch in ((1, 300), (300, 1), (7, 5)):
            check = partial(_gradient, device, pattern, dtype, batch)
            yield outcome(f"{dtype.name}, gradient of the values of {pattern}, batch {batch}", check)
        for batch in ((1, 37), (41, 1)):
            for transposed in (False, True):
                check = partial(_product, device, pattern, dtype, None, None, batch, transposed)
                title = f"{pattern}{', transposed,' if transposed else ''} with the tile that is chosen, batch {batch}"
                yield outcome(f"{dtype.name}, {title}", check)
    for sizes in CHAINS:
        run = [KSPattern(*one) for one in sizes]
        for batch in ((1, 37), (41, 1), (3, 5)):
            yield outcome(f"{dtype.name}, chain of {run}, batch {batch}", partial(_chain, device, run, dtype, batch))


def _tile(device: Device, patterns: Sequence[KSPattern], dtype: Any, tile: Tile, out: Any, quick: bool) -> float:
    """The largest error of all patterns, batches and directions, as a share of its bound."""
    return max(
        _product(device, pattern, dtype, tile, out, batch, transposed)
        for pattern in patterns
        for batch in (BATCHES[1:3] + BATCHES[4:] if quick else BATCHES)
        for transposed in (False, True)
    )
