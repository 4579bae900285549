"""How fast the kernels are, beside matrix products of cuBLAS that compute the same, and what they cost.

Each case has variants that compute one thing; all of them take the same arrays, which are on the device before. Times
are those of the device, after a warm-up; every sample is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.graph.device_network import DeviceNetwork, Start
from pathgraph.graph.weights import from_weights
from pathgraph.kronecker.patterns import KSPattern
from pathgraph_gpu import networks, products
from pathgraph_gpu.roofline import network_cost, product_cost

if TYPE_CHECKING:
    from pathgraph_gpu.device import Device

__all__ = ["BATCH", "PATTERNS", "Case", "Timer", "Timing", "cupy_timer", "network_cases", "product_cases"]

BATCH = 25088
"""Of the published measurements: 128 images of 196 patches."""
PATTERNS = ((1, 64, 64, 1), (1, 64, 64, 16), (1, 64, 64, 64), (1, 192, 48, 64), (4, 128, 128, 16), (1, 768, 192, 2))
DENSE_BYTES = 2**30
"""Of a matrix with its zeros, at most; larger ones have no dense variant."""

Timer = Callable[[Callable[[], object]], list[float]]
"""From what is launched to seconds on the device, one number for each repetition."""


@dataclass(frozen=True)
class Case:
    """One thing to compute, in several ways.

    Parameters
    ----------
    title : str
    flops, bytes : float
        Of the computation: two for each multiply-add that is needed, and every number that has to be moved, once.
    variants : dict of str to callable
        The first is pathgraph's.
    """

    title: str
    flops: float
    bytes: float
    variants: dict[str, Callable[[], Any]] = field(repr=False)


@dataclass(frozen=True)
class Timing:
    """What was measured of a variant.

    Parameters
    ----------
    case, variant : str
    flops, bytes : float
        Of the case.
    seconds : list of float
        Every sample.
    joules : float or None
        Of one run, if there is a counter.

    Examples
    --------
    >>> timing = Timing("a product", "pathgraph", 2e9, 1e8, [0.002, 0.001, 0.004])
    >>> print(timing)
    pathgraph          2.000 ms  (1.100 to 3.800)    1000.0 GFLOP/s     50.0 GB/s
    """

    case: str
    variant: str
    flops: float
    bytes: float
    seconds: list[float]
    joules: float | None = None

    @property
    def median(self) -> float:
        """Of the samples."""
        return float(np.median(self.seconds))

    def __str__(self) -> str:
        low, high = np.percentile(self.seconds, [5, 95])
        energy = "" if self.joules is None else f"  {self.joules:9.4f} J"
        return (
            f"{self.variant:16}{1e3 * self.median:8.3f} ms  ({1e3 * low:.3f} to {1e3 * high:.3f})  "
            f"{self.flops / self.median / 1e9:8.1f} GFLOP/s  {self.bytes / self.median / 1e9:7.1f} GB/s{energy}"
        )


def cupy_timer(*, repeat: int = 50, warmup: int = 10, max_duration: float = 5.0) -> Timer:
    """Times by CUDA events, as `cupyx.profiler.benchmark` takes them.

    Raises
    ------
    ImportError
        If CuPy is not installed.
    """
    profiler = import_module("cupyx.profiler")

    def timer(run: Callable[[], object]) -> list[float]:
        result = profiler.benchmark(run, (), n_repeat=repeat, n_warmup=warmup, max_duration=max_duration)
        return [float(seconds) for seconds in result.gpu_times[0]]

    return timer


# -- Kronecker-sparse products ------------------------------------------------------------------------------------


def _numbers(random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    numbers = random.normal(size=shape).astype(dtype)
    if dtype.kind == "c":
        numbers.imag = random.normal(size=shape)
    return numbers


def _dense(values: Any) -> Any:
    """The matrix with its zeros."""
    a, b, c, d = values.shape
    matrix = np.zeros((a, b, d, a, c, d), dtype=values.dtype)
    i, l = np.ogrid[:a, :d]  # noqa: E741
    matrix[i, :, l, i, :, l] = values.transpose(0, 3, 1, 2)
    return matrix.reshape(a * b * d, a * c * d)


def _permuted(xp: Any, blocks: Any, x: Any) -> Any:
    """Permute, multiply the blocks of shape (a, d, b, c), permute back; the batch of shape (outer, columns, inner)."""
    a, d, b, c = blocks.shape
    if len(x) == 1:
        moved = xp.ascontiguousarray(x.reshape(a, c, d, -1).transpose(0, 2, 1, 3))
        return xp.ascontiguousarray(xp.matmul(blocks, moved).transpose(0, 2, 1, 3)).reshape(1, a * b * d, -1)
    moved = xp.ascontiguousarray(x.reshape(-1, a, c, d).transpose(1, 3, 0, 2))
    made = xp.matmul(moved, blocks.transpose(0, 1, 3, 2))
    return xp.ascontiguousarray(made.transpose(2, 0, 3, 1)).reshape(-1, a * b * d, 1)


def _with_zeros(xp: Any, matrix: Any, x: Any) -> Any:
    if len(x) == 1:
        return xp.matmul(matrix, x[0]).reshape(1, len(matrix), -1)
    return xp.matmul(x[:, :, 0], matrix.T).reshape(len(x), len(matrix), 1)


def product_cases(
    device: Device, dtype: Any, *, batch: int = BATCH, patterns: Sequence[tuple[int, int, int, int]] = PATTERNS
) -> Iterator[Case]:
    """Products in both layouts: pathgraph's kernel, permute + batched product + permute, and the dense product."""
    xp, dtype = device.xp, np.dtype(dtype)
    for sizes in patterns:
        pattern, random = KSPattern(*sizes), np.random.default_rng(0)
        values = _numbers(random, sizes, dtype)
        there = device.to_device(values)
        blocks = device.to_device(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
        has_dense = np.prod(pattern.shape, dtype=float) * dtype.itemsize <= DENSE_BYTES
        matrix = device.to_device(_dense(values)) if has_dense else None
        cost = product_cost(sizes, batch, dtype)
        for layout, outer, inner in (("last", 1, batch), ("first", batch, 1)):
            x = device.to_device(_numbers(random, (outer, pattern.shape[1], inner), dtype))
            variants: dict[str, Callable[[], Any]] = {
                "pathgraph": partial(products.multiply, device, pattern, there, x),
                "permute + matmul": partial(_permuted, xp, blocks, x),
            }
            if has_dense:
                variants["dense"] = partial(_with_zeros, xp, matrix, x)
            title = f"{tuple(sizes)}, {dtype.name}, batch {layout} {batch}"
            yield Case(title, cost.flops, cost.bytes, variants)


# -- networks -----------------------------------------------------------------------------------------------------


def network_cases(
    device: Device, dtype: Any, *, width: int = 2048, depth: int = 4, batch: int = 4096
) -> Iterator[Case]:
    """Evaluation and path-norm of dense layers, beside products with the same matrices."""
    xp, dtype, random = device.xp, np.dtype(dtype), np.random.default_rng(0)
    weights = [(random.normal(size=(width, width)) / np.sqrt(width)).astype(dtype) for _ in range(depth)]
    net = from_weights(weights)
    there = DeviceNetwork._of(net.architecture, device.to_device(net.values), device)
    matrices = [device.to_device(np.ascontiguousarray(w.T)) for w in weights]
    rows = device.to_device(random.normal(size=(batch, width)).astype(dtype))
    boxes = Start(None, device.to_device(np.ones((1, width))), True)
    ones = device.to_device(np.ones((1, width), dtype=dtype))

    def chained() -> Any:
        x = rows
        for matrix in matrices[:-1]:
            x = xp.maximum(xp.matmul(x, matrix), 0)
        return xp.matmul(x, matrices[-1])

    def summed() -> Any:
        x = ones
        for matrix in matrices:
            x = xp.matmul(x, abs(matrix))
        return device.to_host(x)

    n_edges = depth * width * width
    title = f"{depth} layers of {width}, {dtype.name}"
    cost = network_cost(n_edges, (depth + 1) * width, dtype, batch=batch)
    values: dict[str, Callable[[], Any]] = {
        "pathgraph": partial(networks.evaluate, device, there, rows),
        "matmul": chained,
    }
    yield Case(f"evaluation, {title}, batch {batch}", cost.flops, cost.bytes, values)
    cost = network_cost(n_edges, (depth + 1) * width, dtype)
    norm = partial(networks.sums, device, there, 1, boxes, None, np.float64)
    yield Case(f"path-norm, {title}", cost.flops, cost.bytes, {"pathgraph": norm, "matmul": summed})
