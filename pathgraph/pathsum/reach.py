"""Counts, lengths and reachability along paths by float sweeps of ones, which any block does fast and exactly.

A sum of less than 2**53 small integers is exact in float64, in whatever order it is taken. So one neuron reaches
another across a block if the block's sum of an indicator is positive; longest paths follow, one indicator for each
length that occurs; and counts of any size come modulo several primes, by the Chinese remainder theorem.

Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.pathsum.blocks import CONSTANT, Block, BlockDag
from pathgraph.pathsum.semirings import REAL

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["count_by_residues", "longest", "reached", "reaching"]

ROOM = 1 << 23
"""Numbers in the buffer of some residues that are swept together."""


def reached(block: Block, ones: Sequence[Array] | Mapping[int, Array], flags: Array) -> Array:
    """Which targets have an edge from a flagged source: bool, (S, n_source) -> (S, n_target)."""
    return np.asarray(block.apply(flags.astype(np.float64), ones[block.tensor], REAL) > 0.5)


def reaching(block: Block, ones: Sequence[Array], flags: Array) -> Array:
    """Which sources have an edge to a flagged target: bool, (S, n_target) -> (S, n_source)."""
    return np.asarray(block.apply_transpose(flags.astype(np.float64), ones[block.tensor], REAL) > 0.5)


def longest(dag: BlockDag, ones: Sequence[Array], length: Array) -> Array:
    """The length of the longest path up to each buffer position, or -1 where there is none: shape (N,).

    Parameters
    ----------
    dag : BlockDag
    ones : sequence of ndarray
        Ones, in the shapes of the tensors.
    length : ndarray of int, shape (N,)
        What a neuron adds to the paths that come to it by an edge.
    """
    found = np.full(dag.size, -1, dtype=np.int64)
    found[dag.inputs] = 0
    for node in dag.nodes:
        for block in node.blocks:
            before = found[block.source]
            lengths = np.unique(before[before >= 0])
            if not len(lengths):
                continue
            hits = reached(block, ones, before == lengths[:, None])
            several = np.where(hits, lengths[:, None], -1).max(axis=0)
            found[block.target] = np.maximum(found[block.target], several)
        own = found[node.target]
        found[node.target] = np.where(own >= 0, own + length[node.target], own)
        for block in node.biases:
            here = reached(block, ones, np.ones((1, 1)))[0]
            found[block.target] = np.where(here, np.maximum(found[block.target], 0), found[block.target])
    return found


def count_by_residues(
    dag: BlockDag, ones: Sequence[Array], *, inputs: Array | None = None, biases: bool = True
) -> list[int]:
    """The number of paths up to each output, exactly.

    Each neuron has at most as many paths as the sum, over its blocks, of the in-degree times the most paths of what is
    read; with primes whose product exceeds the bound for the outputs the residues determine the number.

    Parameters
    ----------
    dag : BlockDag
    ones : sequence of ndarray
        Ones, in the shapes of the tensors, and zeros where there shall be no edge.
    inputs : ndarray of bool, shape (n_inputs,), optional
        Where paths may start; by default at all inputs.
    biases : bool
        Whether paths start at biases.
    """
    start = np.zeros(dag.size)
    start[CONSTANT] = biases
    start[dag.inputs] = 1 if inputs is None else inputs
    bound, widest = _bounds(dag)
    primes = _primes(min(2**31, 2**53 // (widest + 1)), bound)
    rows = max(1, ROOM // dag.size)
    residues = [
        residue
        for low in range(0, len(primes), rows)
        for residue in _residues(dag, ones, start, np.array(primes[low : low + rows], dtype=np.float64))
    ]
    totals, modulus = [0] * len(dag.outputs), 1
    for prime, row in zip(primes, residues, strict=True):
        inverse = pow(modulus, -1, prime)
        totals = [t + modulus * ((r - t) * inverse % prime) for t, r in zip(totals, row, strict=True)]
        modulus *= prime
    return totals


def _bounds(dag: BlockDag) -> tuple[int, int]:
    """A number larger than that of the paths to any output, and one no smaller than any in-degree."""
    owner = np.full(dag.size, 0)
    most, widest = [1], 1
    for index, node in enumerate(dag.nodes, start=1):
        bound = degree = 0
        for block in (*node.blocks, *node.biases):
            sources = np.unique(owner[block.source]).tolist()
            most_edges = int(block.degrees().max(initial=0))
            bound += most_edges * max((most[i] for i in sources), default=0)
            degree += most_edges
        most.append(bound)
        widest = max(widest, degree)
        owner[node.target] = index
    return 1 + max((most[i] for i in np.unique(owner[dag.outputs]).tolist()), default=0), widest


def _residues(dag: BlockDag, ones: Sequence[Array], start: Array, primes: Array) -> Iterator[list[int]]:
    """The numbers of paths to the outputs modulo some primes, swept together."""
    x = np.tile(start, (len(primes), 1))
    for node in dag.nodes:
        for block in (*node.blocks, *node.biases):
            part = block.apply(x[:, block.source], ones[block.tensor], REAL)
            x[:, block.target] += np.fmod(part, primes[:, None])
        x[:, node.target] = np.fmod(x[:, node.target], primes[:, None])
    yield from x[:, dag.outputs].astype(np.int64).tolist()


def _primes(below: int, bound: int) -> list[int]:
    """The largest primes below a number, so many that their product exceeds a bound."""
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
