r"""What a kernel cannot be faster than: bytes, operations on floats and instructions, against the rates of a GPU.

.. math:: t \ge \max\Big(\frac{\text{bytes}}{\text{bandwidth}}, \frac{\text{flops}}{\text{peak}},
    \frac{\text{instructions}}{\text{issue rate}}\Big)

Bytes are *compulsory*: every number that is read or written, once. Instructions are those of the main loop in the
compile report, index arithmetic included. All of it is a **prediction** from data sheets. Not modelled: latency,
launches, caches that are too small, and clocks below the nominal boost.

The energy of a run is modelled as :math:`E = \alpha\,\text{flops} + \beta\,\text{bytes} + P t`, with numbers
:math:`\alpha, \beta, P \ge 0` that are not known here; so only its sign is predicted, and only where it is the same for
all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError

__all__ = [
    "A100",
    "H100",
    "Cost",
    "Gpu",
    "Limit",
    "break_even",
    "energy_sign",
    "limit",
    "network_cost",
    "permuted_cost",
    "product_cost",
]


@dataclass(frozen=True, slots=True)
class Gpu:
    """The rates of a data sheet.

    Parameters
    ----------
    name : str
    peak : dict of str to float
        FLOP/s outside tensor cores, by the dtype of the arithmetic.
    bandwidth : float
        Bytes/s of the memory.
    processors : int
    clock : float
        Hz, the boost clock that the peaks are given for. Four warps issue one instruction each a cycle.
    """

    name: str
    peak: dict[str, float]
    bandwidth: float
    processors: int
    clock: float

    @property
    def issue(self) -> float:
        """Instructions of single threads a second."""
        return self.processors * 4 * 32 * self.clock


A100 = Gpu("A100-PCIE-40GB", {"float32": 19.5e12, "float64": 9.7e12}, 1555e9, 108, 1.41e9)
"""NVIDIA A100 Tensor Core GPU data sheet: the GPU of the published measurements."""
H100 = Gpu("H100 SXM5 80 GB", {"float32": 66.9e12, "float64": 33.5e12}, 3352e9, 132, 1.98e9)
"""NVIDIA H100 Tensor Core GPU data sheet."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a computation takes.

    Parameters
    ----------
    flops : float
        Two for each multiply-add.
    bytes : float
        To and from the memory.
    dtype : str
        Of the arithmetic: float16 is computed in float32.
    instructions : float
        Of single threads; 0 if they are not counted.
    """

    flops: float
    bytes: float
    dtype: str
    instructions: float = 0.0


def _arithmetic(dtype: Any) -> str:
    return "float64" if np.dtype(dtype) in (np.float64, np.complex128) else "float32"


def product_cost(pattern: tuple[int, int, int, int], batch: int, dtype: Any, *, per_other: float = np.inf) -> Cost:
    """The cost of a Kronecker-sparse product.

    Parameters
    ----------
    pattern : (a, b, c, d)
    batch : int
    dtype : dtype
        Of the values and vectors; a complex multiply-add is four real ones.
    per_other : float
        Multiply-adds for each other instruction of the main loop.

    Examples
    --------
    >>> cost = product_cost((1, 64, 64, 64), 25088, "float32")
    >>> cost.flops / 1e9, round(cost.bytes / 1e6)
    (13.153337344, 823)
    """
    a, b, c, d = pattern
    fmas = float(a * b * c * d) * batch * (4 if np.dtype(dtype).kind == "c" else 1)
    words = float(a * d * (b + c)) * batch + a * b * c * d
    return Cost(2 * fmas, words * np.dtype(dtype).itemsize, _arithmetic(dtype), fmas * (1 + 1 / per_other))


def permuted_cost(pattern: tuple[int, int, int, int], batch: int, dtype: Any) -> Cost:
    """The cost of permute + batched product + permute: the vectors, and the products, move three times."""
    a, b, c, d = pattern
    cost = product_cost(pattern, batch, dtype)
    moved = float(a * d * (b + c)) * batch * np.dtype(dtype).itemsize
    return Cost(cost.flops, cost.bytes + 2 * moved, cost.dtype)


def network_cost(
    n_edges: int, n_nodes: int, dtype: Any, *, batch: int | None = None, per_edge: float = 0.0, indexed: bool = False
) -> Cost:
    """The cost of a forward sweep over a network, or of its evaluation on a batch.

    Parameters
    ----------
    n_edges, n_nodes : int
    dtype : dtype
        Of the weights.
    batch : int or None
        Samples; None for a sweep of path sums, in float64.
    per_edge : float
        Instructions of a thread for each edge (and sample) in the main loop.
    indexed : bool
        Whether the antecedent of an edge is read: 4 bytes; not where antecedents are consecutive.

    Examples
    --------
    >>> network_cost(1000, 50, "float32")
    Cost(flops=2000.0, bytes=4800.0, dtype='float64', instructions=0.0)
    """
    size = np.dtype(dtype).itemsize
    read = float(n_edges) * (size + (4 if indexed else 0))
    if batch is None:
        return Cost(2.0 * n_edges, read + 2 * 8.0 * n_nodes, "float64", per_edge * n_edges)
    return Cost(
        2.0 * n_edges * batch, read + 2.0 * n_nodes * batch * size, _arithmetic(dtype), per_edge * n_edges * batch
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """A prediction.

    Parameters
    ----------
    seconds : float
        The computation takes at least as long.
    by : {"memory", "arithmetic", "instructions"}
        What limits it.
    """

    seconds: float
    by: str


def limit(cost: Cost, gpu: Gpu) -> Limit:
    """The least time that a computation takes on a GPU, by its data sheet.

    Raises
    ------
    ParameterError
        If the GPU has no peak for the arithmetic.

    Examples
    --------
    >>> limit(product_cost((1, 64, 64, 64), 25088, "float32"), A100).by
    'arithmetic'
    """
    if cost.dtype not in gpu.peak:
        raise ParameterError(f"cost: needed arithmetic in one of {list(gpu.peak)}, got {cost.dtype}")
    times = {
        "memory": cost.bytes / gpu.bandwidth,
        "arithmetic": cost.flops / gpu.peak[cost.dtype],
        "instructions": cost.instructions / gpu.issue,
    }
    reason = max(times, key=lambda name: times[name])
    return Limit(times[reason], reason)


def energy_sign(ours: Cost, our_seconds: float, other: Cost, other_seconds: float) -> int:
    """Whether a computation takes less energy than another, for all prices of flops, bytes and time.

    Returns
    -------
    int
        1 if it takes less, or as much; -1 if it takes more, or as much; 0 if it depends on the prices.

    Examples
    --------
    >>> pattern = (1, 64, 64, 64)
    >>> ours, other = product_cost(pattern, 100, "float32"), permuted_cost(pattern, 100, "float32")
    >>> energy_sign(ours, 1.0, other, 2.0), energy_sign(ours, 3.0, other, 2.0)
    (1, 0)
    """
    gains = (other.flops - ours.flops, other.bytes - ours.bytes, other_seconds - our_seconds)
    if min(gains) >= 0:
        return 1
    return -1 if max(gains) <= 0 else 0


def break_even(cost: Cost, gpu: Gpu, other_seconds: float) -> float:
    """The share of its roofline at which a computation is as fast as another.

    From there on it takes less energy, too, if it moves no more bytes and makes no more operations.

    Examples
    --------
    >>> cost = product_cost((1, 64, 64, 64), 25088, "float32")
    >>> round(break_even(cost, A100, 2 * limit(cost, A100).seconds), 12)
    0.5
    """
    return limit(cost, gpu).seconds / other_seconds
