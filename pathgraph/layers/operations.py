"""The linear maps between layers, as geometry: their shapes, their edges, and which entry each edge takes.

An operation knows neither values nor buffers. It is a product of relations along axes (`pathgraph.layers.axes`), from
which its edges follow; a subclass says which relations. Kernels read the attributes of the subclasses.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pathgraph.layers.axes import AxisTaps, WeightedAxis, broadcast, dense, grouped, identity, kronecker, window
from pathgraph.pathsum.blocks import Pattern

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "Convolution",
    "Diagonal",
    "FixedLinear",
    "KroneckerSparse",
    "Linear",
    "Operation",
    "Separable",
    "Shape",
    "TransposedConvolution",
    "TransposedLinear",
]

Shape: TypeAlias = "tuple[int, ...]"


class Operation(ABC):
    """A linear map between tensors, without its entries.

    Attributes
    ----------
    source_shape, target_shape, tensor_shape : tuple of int
        Shapes of what it reads, of what it makes, and of the tensor of its entries.
    """

    source_shape: Shape
    target_shape: Shape

    @property
    @abstractmethod
    def axes(self) -> tuple[AxisTaps, ...]:
        """The relations along axes whose product this map is, in C order of all three tensors."""

    @cached_property
    def relations(self) -> tuple[AxisTaps, ...]:
        """The relations of `axes`, made once."""
        return self.axes

    @property
    def tensor_shape(self) -> Shape:
        """Shape of the tensor of entries, possibly with axes merged."""
        return tuple(axis.n_taps for axis in self.relations)

    @property
    def source_size(self) -> int:
        """Number of coordinates read."""
        return math.prod(self.source_shape)

    @property
    def target_size(self) -> int:
        """Number of coordinates made."""
        return math.prod(self.target_shape)

    @cached_property
    def n_edges(self) -> int:
        """Number of edges."""
        return math.prod(len(axis.index) for axis in self.relations)

    @cached_property
    def max_degree(self) -> int:
        """The most edges into one target."""
        return math.prod(int(axis.degree.max(initial=0)) for axis in self.relations)

    def degrees(self) -> Array:
        """The number of edges into each target: shape (target_size,)."""
        out = np.ones(1, dtype=np.int64)
        for axis in self.relations:
            out = np.multiply.outer(out, axis.degree).ravel()
        return out

    def pattern(self, targets: Array | None = None) -> Pattern:
        """The edges into all targets, or into those of some flat indices, sorted by (target, source)."""
        if targets is None:
            targets = np.arange(self.target_size)
        targets = np.asarray(targets, dtype=np.int64)
        sizes = tuple(axis.n_out for axis in self.relations)
        coordinates = np.unravel_index(targets, sizes) if sizes else ()
        row = np.arange(len(targets))
        source = np.zeros(len(targets), dtype=np.int64)
        entry = np.zeros(len(targets), dtype=np.int64)
        for axis, coordinate in zip(self.relations, coordinates, strict=True):
            output = coordinate[row]
            count = axis.degree[output]
            read = np.arange(count.sum()) + np.repeat(axis.start[output] - np.cumsum(count) + count, count)
            source = np.repeat(source, count) * axis.n_in + axis.index[read]
            entry = np.repeat(entry, count) * axis.n_taps + axis.tap[read]
            row = np.repeat(row, count)
        return Pattern(targets[row], source, entry)

    def chunks(self, size: int) -> Iterator[Array]:
        """The targets in consecutive runs of about `size` edges each."""
        step = max(1, size // max(1, self.max_degree))
        for low in range(0, self.target_size, step):
            yield np.arange(low, min(low + step, self.target_size))


@dataclass(frozen=True)
class Linear(Operation):
    """A matrix of shape (n_out, n_in) on the last axis.

    Attributes
    ----------
    lead : tuple of int
        The axes before the last.
    n_in, n_out : int
    """

    lead: Shape
    n_in: int
    n_out: int

    @property
    def source_shape(self) -> Shape:  # type: ignore[override]
        """``(*lead, n_in)``."""
        return (*self.lead, self.n_in)

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """``(*lead, n_out)``."""
        return (*self.lead, self.n_out)

    @property
    def tensor_shape(self) -> Shape:
        """(n_out, n_in)."""
        return (self.n_out, self.n_in)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """Nothing happens along the leading axes."""
        return (*map(identity, self.lead), dense(self.n_out, self.n_in))


@dataclass(frozen=True)
class KroneckerSparse(Operation):
    """A Kronecker-sparse matrix on the last axis; its tensor holds the values, of shape (a, b, c, d).

    Attributes
    ----------
    lead : tuple of int
        The axes before the last.
    a, b, c, d : int
        The pattern: see `pathgraph.KSPattern`.
    """

    lead: Shape
    a: int
    b: int
    c: int
    d: int

    @property
    def source_shape(self) -> Shape:  # type: ignore[override]
        """``(*lead, a c d)``."""
        return (*self.lead, self.a * self.c * self.d)

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """``(*lead, a b d)``."""
        return (*self.lead, self.a * self.b * self.d)

    @property
    def tensor_shape(self) -> Shape:
        """(a, b, c, d)."""
        return (self.a, self.b, self.c, self.d)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """Nothing happens along the leading axes."""
        return (*map(identity, self.lead), kronecker(*self.tensor_shape))


@dataclass(frozen=True)
class TransposedLinear(Operation):
    """A product with a matrix of shape (n_in, n_out) on the right, on the last axis.

    Attributes
    ----------
    lead : tuple of int
        The axes before the last.
    n_in, n_out : int
    """

    lead: Shape
    n_in: int
    n_out: int

    @property
    def source_shape(self) -> Shape:  # type: ignore[override]
        """The leading axes and n_in."""
        return (*self.lead, self.n_in)

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """The leading axes and n_out."""
        return (*self.lead, self.n_out)

    @property
    def tensor_shape(self) -> Shape:
        """(n_in, n_out)."""
        return (self.n_in, self.n_out)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """Nothing happens along the leading axes."""
        return (*map(identity, self.lead), grouped(self.n_out, self.n_in, 1, transposed=True))


@dataclass(frozen=True)
class Convolution(Operation):
    """A convolution (a correlation, as deep learning has it); its tensor is ``(channels, C / groups, *kernel)``.

    Attributes
    ----------
    source_shape : tuple of int
        ``(C, *space)``.
    channels : int
    kernel, stride, dilation : tuple of int
    padding : tuple of (int, int)
        Before and after each spatial axis.
    groups : int
    """

    source_shape: Shape
    channels: int
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int = 1

    @property
    def space(self) -> Shape:
        """Sizes of the output's spatial axes."""
        return tuple(
            (n + before + after - d * (k - 1) - 1) // s + 1
            for n, k, s, (before, after), d in zip(
                self.source_shape[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """``(channels, *space)``."""
        return (self.channels, *self.space)

    @property
    def tensor_shape(self) -> Shape:
        """``(channels, C / groups, *kernel)``."""
        return (self.channels, self.source_shape[0] // self.groups, *self.kernel)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """Groups of channels, and windows."""
        return (grouped(self.channels, self.source_shape[0], self.groups), *self.windows)

    @cached_property
    def windows(self) -> tuple[AxisTaps, ...]:
        """The relations along the spatial axes."""
        return tuple(
            window(n, m, k, stride=s, before=p[0], dilation=d)
            for n, m, k, s, p, d in zip(
                self.source_shape[1:], self.space, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )


@dataclass(frozen=True)
class TransposedConvolution(Operation):
    """The transpose of a convolution, as a map of its own, with a tensor ``(C, channels / groups, *kernel)``.

    Attributes are those of `Convolution`, and the size of the output beyond what the input covers:

    output_padding : tuple of int
    """

    source_shape: Shape
    channels: int
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    output_padding: Shape
    dilation: Shape
    groups: int = 1

    @property
    def space(self) -> Shape:
        """Sizes of the output's spatial axes."""
        return tuple(
            (n - 1) * s - before - after + d * (k - 1) + 1 + extra
            for n, k, s, (before, after), d, extra in zip(
                self.source_shape[1:],
                self.kernel,
                self.stride,
                self.padding,
                self.dilation,
                self.output_padding,
                strict=True,
            )
        )

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """``(channels, *space)``."""
        return (self.channels, *self.space)

    @property
    def tensor_shape(self) -> Shape:
        """``(C, channels / groups, *kernel)``."""
        return (self.source_shape[0], self.channels // self.groups, *self.kernel)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """Groups of channels, and windows read the other way."""
        channels = grouped(self.channels, self.source_shape[0], self.groups, transposed=True)
        return (channels, *self.windows)

    @cached_property
    def windows(self) -> tuple[AxisTaps, ...]:
        """The relations along the spatial axes."""
        return tuple(
            window(n, m, k, stride=s, before=p[0], dilation=d, transposed=True)
            for n, m, k, s, p, d in zip(
                self.source_shape[1:], self.space, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )


@dataclass(frozen=True)
class Diagonal(Operation):
    """A product with a tensor, entry by entry, both read by broadcasting; with the constant as source, a bias.

    Attributes
    ----------
    source_shape : tuple of int
        As many axes as the target, of its size or 1; or (), which stands for the constant.
    target_shape : tuple of int
    factor_shape : tuple of int
        As many axes as the target, of its size or 1.
    """

    source_shape: Shape
    target_shape: Shape
    factor_shape: Shape

    @property
    def tensor_shape(self) -> Shape:
        """Shape of the factor."""
        return self.factor_shape

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """Along each axis the coordinate itself or the only one, by the tap of the coordinate or the only one."""
        sources = self.source_shape or (1,) * len(self.target_shape)
        return tuple(
            (identity if source == size else broadcast)(size, tapped=factor == size)
            for source, size, factor in zip(sources, self.target_shape, self.factor_shape, strict=True)
        )


@dataclass(frozen=True)
class Separable(Operation):
    """A fixed matrix along each trailing axis: pooling windows, averages, interpolation.

    Attributes
    ----------
    lead : tuple of int
        The leading axes, along which nothing happens.
    maps : tuple of WeightedAxis
        One per trailing axis.
    """

    lead: Shape
    maps: tuple[WeightedAxis, ...]

    @property
    def source_shape(self) -> Shape:  # type: ignore[override]
        """``(*lead, *sizes read)``."""
        return (*self.lead, *(m.taps.n_in for m in self.maps))

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """``(*lead, *sizes made)``."""
        return (*self.lead, *(m.taps.n_out for m in self.maps))

    @property
    def tensor_shape(self) -> Shape:
        """One entry for each combination of coefficients."""
        return tuple(len(m.coefficients) for m in self.maps)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """The relations of the maps."""
        return (*map(identity, self.lead), *(m.taps for m in self.maps))

    def coefficients(self) -> list[Fraction]:
        """The entries, exactly, in C order: products of one coefficient per axis."""
        return [math.prod(factors, start=Fraction(1)) for factors in product(*(m.coefficients for m in self.maps))]


@dataclass(frozen=True)
class FixedLinear(Operation):
    """Any sparse matrix on the flattened tensor, its stored entries being the tensor.

    Attributes
    ----------
    source_shape, target_shape : tuple of int
    relation : AxisTaps
        One read and one tap per stored entry of the matrix.
    """

    source_shape: Shape
    target_shape: Shape
    relation: AxisTaps

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """The matrix as a relation on one axis."""
        return (self.relation,)
