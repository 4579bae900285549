"""The numbers in which the sums over the paths of a layer graph are computed: floats, or scaled numbers.

An **arithmetic** applies the kernels of layers to tensors of its numbers. There are two:

* `Floats` is fast, and watches the range of its numbers: `Floats.in_range` becomes False when a result may be wrong
  because a number came near the largest float, or because products that vanished below the smallest float may matter.
  They cannot matter in a map if the smallest sum is far larger than all that can be lost, or if even the smallest entry
  times the smallest number read is a normal float. (All entries and numbers are non-negative.)
* `ScaledFloats` has no limits of range, and is slower: it cuts the numbers into bands of exponents, and runs the
  kernels of floats on each pair of bands (`pathgraph.layers.bands`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from pathgraph.layers.bands import BAND, bands, one_band, shifted
from pathgraph.layers.compressed import Compressed, combined
from pathgraph.layers.kernels import Axes, Kernel
from pathgraph.layers.power_products import PowerSlabs, threads_for
from pathgraph.layers.slabs import Product, Slabs, largest_products, products, slabs
from pathgraph.layers.views import sent_back
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_maximum, scaled_product, scaled_sum

if TYPE_CHECKING:
    from pathgraph.layers.structure import Layer
    from pathgraph.scalars import Array

__all__ = ["Arrays", "Entries", "Floats", "Powers", "ScaledFloats"]

TINY, HUGE = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).max) / 4
NEGLIGIBLE = 2.0**-930
"""So much larger than 2**-1074 that sums of 2**40 rounding errors of that size do not matter."""

Shape: TypeAlias = "tuple[int, ...]"


class Entries(Protocol):
    """The numbers by which a sweep multiplies: a function of the network's tensors, made a slab at a time."""

    def slabs(self, tensor: int, shape: Shape) -> Slabs:
        """A function that gives slices of the entries of a tensor, as if that had this shape."""


class Arrays:
    """Entries that exist as arrays, one per tensor."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self.arrays = arrays

    def slabs(self, tensor: int, shape: Shape) -> Slabs:
        """Slices of the array."""
        array = self.arrays[tensor].reshape(shape or (1,))
        return lambda *chosen: array[chosen]


class Powers:
    """Entries abs(w)**q of tensors w, made in one buffer when they are asked for.

    Parameters
    ----------
    tensors : sequence of ndarray
    q : number
    n_threads : int, optional
        The number of threads on which products with these entries may be compiled; 0: they are not compiled. By default
        what suits the size of the tensors.
    """

    def __init__(self, tensors: Sequence[Array], q: float, *, n_threads: int | None = None) -> None:
        self.tensors = tensors
        self.q = q
        self._buffer = np.empty(0)
        self.n_threads = threads_for(sum(tensor.size for tensor in tensors), q) if n_threads is None else n_threads

    def shared(self, n: int) -> list[Powers] | None:
        """The same entries for n tasks that run at the same time, the threads divided among them.

        None if there are not enough threads for that to be worth it.
        """
        if self.n_threads < 2:
            return None
        counts = [max(1, self.n_threads * (i + 1) // n - self.n_threads * i // n) for i in range(n)]
        return [Powers(self.tensors, self.q, n_threads=count) for count in counts]

    def slabs(self, tensor: int, shape: Shape) -> Slabs:
        """Powers of slices."""
        array = self.tensors[tensor].reshape(shape or (1,))
        return PowerSlabs(array, self.q, self._powers, self.n_threads)

    def _powers(self, part: Array) -> Array:
        if len(self._buffer) < part.size:
            self._buffer = np.empty(part.size)
        out = np.abs(part, out=self._buffer[: part.size].reshape(part.shape))
        self._raise(out)
        return out

    def least(self, tensor: int) -> float:
        """The smallest power of a non-zero entry, at most 1; zero if it lies below the floats."""
        flat, least = self.tensors[tensor].ravel(), 1.0
        for chosen in slabs(len(flat), 1):
            part = np.abs(flat[chosen])
            least = min(least, float(part.min(initial=1.0, where=part > 0)))
        return math.exp2(max(self.q * math.log2(least), -1074)) if self.q != 1 else least

    def _raise(self, out: Array) -> None:
        if self.q == 2 or self.q == 4:
            np.multiply(out, out, out=out)
            if self.q == 4:
                np.multiply(out, out, out=out)
        elif self.q != 1:
            np.power(out, self.q, out=out)

    def bands(self, tensor: int, shape: Shape) -> Iterator[tuple[int, Slabs]]:
        """The entries cut into bands: pairs of an exponent e and what gives slices of one band, divided by 2**e.

        An entry of another band is zero in those slices.
        """
        array = self.tensors[tensor].reshape(shape or (1,))
        sizes = np.abs(array)
        low, high = float(sizes.min(initial=1.0, where=sizes > 0)), float(sizes.max(initial=0.0))
        if low >= 2.0 ** (-BAND / self.q) and high <= 2.0 ** (BAND / self.q):
            yield 0, self.slabs(tensor, shape)
            return
        edges = scaled(np.array([low, max(high, low)]), self.q)["exponent"]
        for top in range(int(edges[1]), int(edges[0]) - 1, -BAND):
            yield top, lambda *chosen, top=top: one_band(scaled(np.abs(array[chosen]), self.q), top)


class Floats:
    """The arithmetic of floats.

    Parameters
    ----------
    largest : bool
        Take maxima in place of sums.

    Attributes
    ----------
    in_range : bool
        False once a result may be wrong because a number came near the ends of the range of floats. Only watched for
        entries that are `Powers`: others may be negative.
    """

    def __init__(self, *, largest: bool = False) -> None:
        self.product: Product = largest_products if largest else products
        self._add: Callable[..., Array] = np.maximum if largest else np.add
        self.in_range = True
        self._is_largest = largest

    def fresh(self) -> Floats:
        """The same arithmetic for another task, with an `in_range` of its own."""
        return Floats(largest=self._is_largest)

    def forward(self, run: Kernel, x: Compressed, entries: Entries, tensor: int, shape: Shape) -> Compressed:
        """A kernel on a tensor."""
        out = run.forward(x, entries.slabs(tensor, shape), self.product)
        if out is not x:
            self._watch(entries, tensor, x, out)
        return out

    def backward(
        self, run: Kernel, y: Compressed, axes: Axes, entries: Entries, tensor: int, shape: Shape
    ) -> Compressed:
        """The transpose of a kernel, on totals."""
        out = run.backward(y, axes, entries.slabs(tensor, shape), self.product)
        self._watch(entries, tensor, y, out)
        return out

    def backward_with_masses(
        self, run: Kernel, x: Compressed, y: Compressed, entries: Powers, tensor: int, out: Array
    ) -> Compressed:
        """What `backward` does, to the axes of x, and what `masses` does, in one pass over the entries if possible."""
        self.watch_products(x, y, entries.least(tensor) if entries.q != 1 else 1.0)
        made = run.backward_with_masses(x, y, entries.slabs(tensor, out.shape), out)
        self._watch(entries, tensor, y, made)
        return made

    def sent_back(self, layer: Layer, y: Compressed, axes: Sequence[Axes]) -> list[Compressed]:
        """The transpose of a view, on totals."""
        return sent_back(layer, y, axes)

    def masses(self, run: Kernel, x: Compressed, y: Compressed, entries: Powers, tensor: int, out: Array) -> None:
        """The entries times their gradients, into an array of their shape."""
        self.watch_products(x, y, entries.least(tensor) if entries.q != 1 else 1.0)
        run.masses(x, y, entries.slabs(tensor, out.shape), out)

    def add(self, a: Compressed, b: Compressed) -> Compressed:
        """The sum of two tensors."""
        return combined(a, b, self._add)

    def watch_products(self, x: Compressed, y: Compressed, least: float = 1.0) -> None:
        """Watch products: of a number in x, a number in y, and a factor of at least `least`; and the sums of these."""
        smallest, largest = _least(x.values) * _least(y.values) * least, x.largest * float(y.values.sum())
        self.in_range &= smallest >= TINY and largest <= HUGE

    def _watch(self, entries: Entries, tensor: int, x: Compressed, out: Compressed) -> None:
        """Watch a map from x to `out`: what was rounded below the normal floats is wrong by TINY / 2**52 times x."""
        if not isinstance(entries, Powers) or not self.in_range:
            return
        most, lost = out.largest, 1 + x.largest
        self.in_range = most <= HUGE and (
            float(out.values.min(initial=1.0)) >= NEGLIGIBLE * lost or entries.least(tensor) * _least(x.values) >= TINY
        )


def _least(array: Array) -> float:
    """The smallest positive number, at most 1."""
    least = float(array.min(initial=1.0))
    return least if least > 0 else float(array.min(initial=1.0, where=array > 0))


class ScaledFloats:
    """The arithmetic of scaled numbers, whose tensors are structured arrays (`pathgraph.pathsum.scaled`).

    Parameters
    ----------
    largest : bool
        Take maxima in place of sums.
    """

    in_range = True

    def __init__(self, *, largest: bool = False) -> None:
        self.product: Product = largest_products if largest else products
        self._add = scaled_maximum if largest else scaled_sum

    def fresh(self) -> ScaledFloats:
        """The same arithmetic for another task: itself, as it watches nothing."""
        return self

    def forward(self, run: Kernel, x: Compressed, entries: Powers, tensor: int, shape: Shape) -> Compressed:
        """A kernel on a tensor."""
        return self._mapped(run.forward, x, entries, tensor, shape)

    def backward(
        self, run: Kernel, y: Compressed, axes: Axes, entries: Powers, tensor: int, shape: Shape
    ) -> Compressed:
        """The transpose of a kernel, on totals."""

        def map_(band: Compressed, weights: Slabs, product: Product) -> Compressed:
            return run.backward(band, axes, weights, product)

        return self._mapped(map_, y, entries, tensor, shape)

    def backward_with_masses(
        self, run: Kernel, x: Compressed, y: Compressed, entries: Powers, tensor: int, out: Array
    ) -> Compressed:
        """What `backward` does, to the axes of x, and what `masses` does, in one pass over the entries if possible."""
        self.masses(run, x, y, entries, tensor, out)
        return self.backward(run, y, x.axes, entries, tensor, out.shape)

    def sent_back(self, layer: Layer, y: Compressed, axes: Sequence[Axes]) -> list[Compressed]:
        """The transpose of a view, on totals."""
        made = [(e, sent_back(layer, band, axes)) for e, band in _bands(y)]
        made = made or [(0, sent_back(layer, y.map(np.zeros(y.values.shape)), axes))]
        out = []
        for place in range(len(axes)):
            parts = [part[place].map(shifted(scaled(part[place].values), e)) for e, part in made]
            out.append(reduce(self.add, parts))
        return out

    def masses(self, run: Kernel, x: Compressed, y: Compressed, entries: Powers, tensor: int, out: Array) -> None:
        """The entries times their gradients, into an array of their shape."""
        total: Any = None
        for e, of_x in _bands(x):
            for f, of_y in _bands(y):
                gradient = run.gradient(of_x, of_y)
                assert gradient is not None
                part = shifted(scaled(gradient), e + f)
                total = part if total is None else scaled_sum(total, part)
        if total is None:
            out[...] = np.zeros((), dtype=SCALED_DTYPE)
        else:
            out[...] = scaled_product(
                total.reshape(out.shape), scaled(np.abs(entries.tensors[tensor]), entries.q).reshape(out.shape)
            )

    def add(self, a: Compressed, b: Compressed) -> Compressed:
        """The sum of two tensors."""
        return combined(a, b, self._add)

    def _mapped(
        self, map_: Callable[..., Compressed], x: Compressed, entries: Powers, tensor: int, shape: Shape
    ) -> Compressed:
        total = None
        for e, band in _bands(x):
            for f, of_entries in entries.bands(tensor, shape):
                part = map_(band, of_entries, self.product)
                part = part.map(shifted(scaled(part.values), e + f))
                total = part if total is None else self.add(total, part)
        if total is None:
            zero = map_(x.map(np.zeros(x.values.shape)), entries.slabs(tensor, shape), self.product)
            return zero.map(scaled(zero.values))
        return total


def _bands(x: Compressed) -> Iterator[tuple[int, Compressed]]:
    """Pairs of an exponent e and the numbers of one band, divided by 2**e."""
    for top, numbers in bands(x.values):
        yield top, x.map(numbers)
