"""Numbers of paths, exactly and of any size, by sweeps of floats modulo primes and the Chinese remainder theorem.

Float64 adds whole numbers exactly as long as their sum is less than 2**53, in whatever order. So any block can count
modulo a prime with its fast float code. A bound of the numbers of paths is found first; then so many primes are used
that their product exceeds it, and the remainders determine the numbers.

Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.pathsum.blocks import CONSTANT, BlockDag
from pathgraph.pathsum.semirings import REAL
from pathgraph.scalars import object_array

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["PathCounter", "count_by_residues"]

ROOM = 1 << 23
"""About how many numbers the buffer of a sweep has: several primes are swept together while it is not larger."""

MULTIPLIER = 0x9E3779B97F4A7C15
"""An odd number, of which keys of lists of remainders are made: lists that differ in one place have different keys."""


def count_by_residues(
    dag: BlockDag, ones: Sequence[Array], *, inputs: Sequence[int] | Array | None = None, biases: bool = True
) -> list[int]:
    """The number of paths up to each output, exactly; the arguments are those of `PathCounter`."""
    counts: list[int] = PathCounter(dag, ones, inputs=inputs, biases=biases).up_to(dag.outputs).tolist()
    return counts


class PathCounter:
    """Counts the paths of a DAG: up to positions, through neurons, or through entries.

    Parameters
    ----------
    dag : BlockDag
    ones : sequence of ndarray
        In the shapes of the tensors: one where an entry makes edges, zero where it shall make none.
    inputs : sequence of int >= 0 (or of bool), shape (n_inputs,), optional
        How many paths start at each input; one by default.
    biases : bool
        Whether paths start at biases.
    source : int, optional
        A buffer position, at which all paths start in the place of the inputs and the biases.
    """

    def __init__(
        self,
        dag: BlockDag,
        ones: Sequence[Array],
        *,
        inputs: Sequence[int] | Array | None = None,
        biases: bool = True,
        source: int | None = None,
    ) -> None:
        self.dag, self.ones = dag, ones
        numbers = [1] * len(dag.inputs) if inputs is None else [int(number) for number in inputs]
        if source is None:
            self.places, self.numbers = np.append(dag.inputs, CONSTANT), [*numbers, int(biases)]
        else:
            self.places, self.numbers = np.array([source]), [1]
        self._most = max(self.numbers, default=0)

    def up_to(self, positions: Array) -> Array:
        """The number of paths up to each of some buffer positions, as Python integers."""
        bounds = _bounds(self.dag)
        bound = 1 + self._most * max((bounds.most[i] for i in set(bounds.owner[positions].tolist())), default=0)
        primes = _primes(min(2**31, 2**53 // (bounds.widest + 1)), bound)
        remainders = [self._forward(some)[:, positions] for some in self._groups(primes)]
        return _numbers(primes, np.concatenate(remainders))

    def through_neurons(self) -> Array:
        """The number of paths through each buffer position to an output, as Python integers."""
        primes = self._primes(1, 1)
        remainders = [
            np.fmod(self._forward(some) * self._backward(some), some[:, None]).astype(np.int32)
            for some in self._groups(primes)
        ]
        return _numbers(primes, np.concatenate(remainders))

    def through_entries(self, tensors: Collection[int]) -> dict[int, Array]:
        """The number of paths through each entry of some tensors; a path that meets an entry twice counts twice.

        Returns
        -------
        dict
            From tensors to arrays of Python integers, in their shapes.
        """
        blocks = [block for block in self.dag.blocks() if block.tensor in tensors]
        times = {tensor: sum(block.tensor == tensor for block in blocks) for tensor in tensors}
        shapes = {tensor: self.ones[tensor].shape for tensor in tensors}
        places = 1
        for block in blocks:
            one, two = np.ones((1, block.shape[1])), np.ones((1, block.shape[0]))
            found = block.entry_gradient(one, two, shapes[block.tensor], REAL)
            places = max(places, int(found.max(initial=0)))
        primes = self._primes(places, max(times.values(), default=1))
        found_of: dict[int, list[Array]] = {tensor: [] for tensor in tensors}
        for some in self._groups(primes):
            x, y = self._forward(some), self._backward(some)
            for row, prime in enumerate(some):
                parts = {tensor: np.zeros(shape) for tensor, shape in shapes.items()}
                for block in blocks:
                    ends = x[row : row + 1, block.source], y[row : row + 1, block.target]
                    through = block.entry_gradient(*ends, shapes[block.tensor], REAL) * self.ones[block.tensor]
                    parts[block.tensor] = np.fmod(parts[block.tensor] + np.fmod(through, prime), prime)
                for tensor, part in parts.items():
                    found_of[tensor].append(part.ravel().astype(np.int32))
        return {tensor: _numbers(primes, np.stack(found)).reshape(shapes[tensor]) for tensor, found in found_of.items()}

    def _primes(self, places: int, times: int) -> list[int]:
        """The primes for counting paths through something.

        Parameters
        ----------
        places : int
            How many products of two remainders are added up, at most, before the next remainder is taken.
        times : int
            How many times a path can be counted, at most.
        """
        bounds = _bounds(self.dag)
        total = sum(self.up_to(self.dag.outputs).tolist())
        # one prime squared, times the number of products, is below 2**53; so is a sum of a block, either way
        below = min(math.isqrt(2**53 // (places + 1)), 2**53 // (max(bounds.widest, bounds.widest_back) + 1))
        return _primes(below, 1 + total * times)

    def _groups(self, primes: Sequence[int]) -> Iterator[Array]:
        """The primes in groups that are swept together."""
        rows = max(1, ROOM // self.dag.size)
        for low in range(0, len(primes), rows):
            yield np.array(primes[low : low + rows], dtype=np.float64)

    def _forward(self, primes: Array) -> Array:
        """The numbers of paths up to each position, modulo some primes."""
        x = np.zeros((len(primes), self.dag.size))
        for row, prime in zip(x, primes.astype(np.int64).tolist(), strict=True):
            row[self.places] = [number % prime for number in self.numbers]
        for node in self.dag.nodes:
            for block in (*node.blocks, *node.biases):
                part = block.apply(x[:, block.source], self.ones[block.tensor], REAL)
                x[:, block.target] += np.fmod(part, primes[:, None])
            x[:, node.target] = np.fmod(x[:, node.target], primes[:, None])
        return x

    def _backward(self, primes: Array) -> Array:
        """The numbers of paths from each position to the outputs, modulo some primes."""
        y = np.zeros((len(primes), self.dag.size))
        y[:, self.dag.outputs] = 1
        for node in reversed(self.dag.nodes):
            for block in (*node.blocks, *node.biases):
                part = block.apply_transpose(y[:, block.target], self.ones[block.tensor], REAL)
                y[:, block.source] = np.fmod(y[:, block.source] + np.fmod(part, primes[:, None]), primes[:, None])
        return y


class _Bounds(NamedTuple):
    """How large numbers of paths, and sums over blocks, can be.

    Attributes
    ----------
    most : list of int
        A number larger than that of the paths up to any neuron of each node, if one starts at each input and bias.
    owner : ndarray of int, shape (N,)
        The node of each position, 0 for inputs and the constant.
    widest, widest_back : int
        No smaller than any in-degree, and than the number of edges of a block out of a neuron.
    """

    most: list[int]
    owner: Array
    widest: int
    widest_back: int


def _bounds(dag: BlockDag) -> _Bounds:
    owner = np.full(dag.size, 0)
    most, widest, widest_back = [1], 1, 1
    for index, node in enumerate(dag.nodes, start=1):
        bound = degree = 0
        for block in (*node.blocks, *node.biases):
            sources = np.flatnonzero(np.bincount(owner[block.source])).tolist()
            most_edges = int(block.degrees().max(initial=0))
            bound += most_edges * max((most[i] for i in sources), default=0)
            degree += most_edges
            widest_back = max(widest_back, block.shape[0])
        most.append(bound)
        widest = max(widest, degree)
        owner[node.target] = index
    return _Bounds(most, owner, widest, widest_back)


def _numbers(primes: Sequence[int], remainders: Array) -> Array:
    """The numbers with these remainders (a row for each prime), all less than the product of the primes."""
    key = np.zeros(remainders.shape[1], dtype=np.uint64)
    for row in remainders:
        key = key * np.uint64(MULTIPLIER) + row.astype(np.uint64)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    if any((row[first][inverse] != row).any() for row in remainders):  # two numbers have one key
        first = inverse = np.arange(len(key))
    totals, modulus = [0] * len(first), 1
    for prime, row in zip(primes, remainders[:, first].astype(np.int64).tolist(), strict=True):
        inverse_of = pow(modulus, -1, prime)
        totals = [t + modulus * ((r - t) * inverse_of % prime) for t, r in zip(totals, row, strict=True)]
        modulus *= prime
    return object_array(totals)[inverse]


def _primes(below: int, bound: int) -> list[int]:
    """The largest primes below a number, as many as it takes for their product to exceed a bound."""
    sieve = np.ones(math.isqrt(below) + 1, dtype=bool)
    for n in range(2, math.isqrt(len(sieve)) + 1):
        sieve[n * n :: n] = False
    divisors = np.flatnonzero(sieve)[3:]  # 0, 1 and 2 are left out: candidates are odd
    primes, product, candidate = list[int](), 1, below - 1 - below % 2
    while product <= bound:
        if (candidate % divisors).all():
            primes.append(candidate)
            product *= candidate
        candidate -= 2
    return primes
