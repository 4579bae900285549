"""What a product costs: operations, bytes, and the time that the rates of the machine predict.

The model is a roofline: the larger of operations over peak rate and bytes over bandwidth, plus the calls. Bytes count
every number once, and once more for every copy that the method makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.kronecker import execution
from pathgraph.kronecker.operands import product_type
from pathgraph.shown import argument_text, counted

if TYPE_CHECKING:
    from pathgraph.kronecker.matrix import KSMatrix
    from pathgraph.kronecker.patterns import KSPattern

__all__ = ["ChainPlan", "Machine", "Plan", "explain", "machine"]


@dataclass(frozen=True)
class Machine:
    """Rates of the machine.

    Attributes
    ----------
    flops : float
        Operations a second of a large matrix product in float64; twice as many are assumed in float32.
    bandwidth : float
        Bytes a second, read and written, of sums of large arrays.
    call : float
        Seconds of the smallest matrix product in a stack of them.
    """

    flops: float
    bandwidth: float
    call: float


@dataclass(frozen=True, repr=False)
class Plan:
    """What will run, why, and what it costs.

    Attributes
    ----------
    pattern : KSPattern
    batch : int
    dtype : dtype
        Of the product.
    method, reason : str
    flops : int
        Multiplications and additions (of real numbers).
    bytes : int
        Numbers read and written once, and copies of the method.
    seconds : float
        What the roofline of this machine predicts, without the few microseconds in which a call finds its kernel.
    """

    pattern: KSPattern
    batch: int
    dtype: np.dtype[Any]
    method: str
    reason: str
    flops: int
    bytes: int
    seconds: float

    def __repr__(self) -> str:
        a, b, c, d = self.pattern
        return (
            f"{self.method}: {self.reason}\n"
            f"{self.pattern}: {a * d} blocks of {b} x {c}, {counted(self.batch, 'vector')} of {self.dtype}\n"
            f"{self.flops:.3g} flop, {self.bytes:.3g} bytes, {self.flops / self.bytes:.2g} flop/byte\n"
            f"about {self.seconds:.2g} s on this machine, beside the microseconds of a call"
        )


@dataclass(frozen=True, repr=False)
class ChainPlan:
    """The plans of the factors of a chain, and the tiles of the batch that go through all of them.

    Attributes
    ----------
    steps : tuple of Plan
        Left to right, for the whole batch.
    tile : int
        Vectors in a tile.
    tiles : int
        Number of tiles.
    is_fused : bool
        Whether one compiled kernel takes each tile through all factors; if not, each factor is a product of its own, by
        the method of its plan.
    """

    steps: tuple[Plan, ...]
    tile: int
    tiles: int
    is_fused: bool

    @property
    def flops(self) -> int:
        """Operations of all factors."""
        return sum(step.flops for step in self.steps)

    @property
    def bytes(self) -> int:
        """Numbers that all factors read and write, between cache and processor where the tiles fit."""
        return sum(step.bytes for step in self.steps)

    @property
    def seconds(self) -> float:
        """The sum of the predictions, each factor a product of its own: an upper estimate if they are fused."""
        return sum(step.seconds for step in self.steps)

    def __repr__(self) -> str:
        factors, tiles = counted(len(self.steps), "factor"), counted(self.tiles, "tile")
        way = "fused" if self.is_fused else "one after the other"
        head = f"{factors}, right to left, {way}, on {tiles} of at most {counted(self.tile, 'vector')}"
        lines = [
            f"{tuple(step.pattern)}: {step.method}, {step.flops:.3g} flop, {step.bytes:.3g} bytes, {step.seconds:.2g} s"
            for step in reversed(self.steps)
        ]
        return "\n".join([head, *lines])


def explain(matrix: KSMatrix, batch: int, axis: int, dtype: DTypeLike | None, method: str) -> Plan:
    """The plan of a product; see `KSMatrix.explain`.

    Raises
    ------
    ParameterError
    BackendError
    """
    natural(batch, "batch")
    if axis not in (0, -1):
        raise ParameterError(f"axis: needed 0 (batch last) or -1 (batch first), got {argument_text(axis)}")
    kind = product_type(matrix.dtype, matrix.dtype if dtype is None else np.dtype(dtype))
    pattern = matrix.pattern
    name, reason = execution.choose(pattern, kind, batch, batch_first=axis == -1)
    if method != "auto":
        name, reason = execution.require(method, kind), "it was asked for"
    is_complex = kind.kind == "c"
    flops = pattern.nnz * batch * (8 if is_complex else 2)
    rows, columns = pattern.shape
    moved = (rows + columns) * batch + pattern.nnz + extra_words(name, pattern, batch, axis)
    return Plan(
        pattern, batch, kind, name, reason, flops, moved * kind.itemsize, _seconds(name, pattern, flops, moved, kind)
    )


def extra_words(method: str, pattern: KSPattern, batch: int, axis: int) -> int:
    """Numbers that a method moves besides each one once."""
    rows, columns = pattern.shape
    if method == "matmul" and axis == -1 and pattern.d > 1:
        return 2 * (rows + columns) * batch  # packed and unpacked
    if method == "reference":
        return (pattern.c - 1) * 5 * rows * batch  # a term is written, read, and added
    return 0


def _seconds(method: str, pattern: KSPattern, flops: int, moved: int, kind: np.dtype[Any]) -> float:
    rates = machine()
    if kind.kind == "O":
        return flops * 1e-7  # an operation of the interpreter
    width = 8 / (kind.itemsize // (2 if kind.kind == "c" else 1))  # float16 is computed in float32
    is_blas = method != "reference" and kind.kind in "fc"  # NumPy multiplies integers without it
    peak = rates.flops * min(width, 2) * (1 if is_blas else 0.1)
    calls = {"matmul": pattern.a * pattern.d, "reference": pattern.c}.get(method, 1)
    return max(flops / peak, moved * kind.itemsize / rates.bandwidth) + calls * rates.call


@cache
def machine() -> Machine:
    """The rates of this machine, measured at the first call, on the threads that BLAS has."""
    square, long = np.ones((512, 512)), np.ones(2**21)
    out, many = np.empty_like(long), np.ones((4096, 1, 1))
    return Machine(
        flops=2 * 512**3 / _fastest(lambda: square @ square),
        bandwidth=3 * long.nbytes / _fastest(lambda: np.add(long, long, out=out)),
        call=_fastest(lambda: many @ many) / len(many),
    )


def _fastest(work: Any) -> float:
    times = []
    for _ in range(4):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)
