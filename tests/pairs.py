"""Pairs of networks of one architecture, and brute force on the paths of both."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import cycle, islice
from math import prod

import pytest

import pathgraph as pg
from tests.networks import REGISTRY, Case
from tests.oracles import Oracle

MOVES = {
    "pruned": [1, 0, 1],
    "shrunk": [Fraction(1, 2), Fraction(3, 4)],
    "grown": [2, 1, Fraction(5, 4)],
    "mixed": [2, Fraction(1, 2), 1],
    "flipped": [-1, Fraction(1, 2), 1, 2, 0],
    "reversed": [-1],
}


@dataclass(frozen=True)
class PairCase:
    """A registered network and its parameters moved."""

    case: Case
    move: str

    @cached_property
    def net(self):
        return self.case.net

    @cached_property
    def other(self):
        theta = self.net.theta
        return self.net.with_theta(theta * list(islice(cycle(map(Fraction, MOVES[self.move])), len(theta))))

    @cached_property
    def ours(self):
        return Oracle(pg.to_networkx(self.net))

    @cached_property
    def theirs(self):
        return Oracle(pg.to_networkx(self.other))

    @cached_property
    def paths(self):
        """For each output, for each path: its start, and the entries on it in both networks."""
        return [
            [
                (path[0], [self.ours.weight(p) for p in parts], [self.theirs.weight(p) for p in parts])
                for path in self.ours.paths(v)
                for parts in [self.ours.parts(path)]
            ]
            for v in self.ours.outputs
        ]

    def sums(self, f, widths):
        """For each output, the sum over the paths of their weights times f(entries, other entries)."""
        return [sum(widths.get(start, 1) * f(a, b) for start, a, b in paths) for paths in self.paths]

    def widths(self, k=0):
        return {u: Fraction(1 + (i + k) % 3, 2) if k else Fraction(1) for i, u in enumerate(self.ours.inputs)}

    def __str__(self):
        return f"{self.case}-{self.move}"


PAIRS = [PairCase(case, move) for case in REGISTRY.values() for move in MOVES]


def on_pairs(*moves):
    """Parametrise a test with ``pair``, over the registered networks and the ways in which their parameters move."""
    return pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.move in (moves or MOVES)], ids=str)


# -- what the entries on one path in both networks contribute -----------------------------------------------------


def flips(a, b):
    return sum(x * y < 0 for x, y in zip(a, b, strict=True))


def metric(a, b):
    return abs(prod(a) - prod(b))


def without_signs(a, b):
    return abs(prod(a)) + abs(prod(b)) if flips(a, b) else metric(a, b)


def sizes(choose):
    return lambda a, b: prod(choose(abs(x), abs(y)) for x, y in zip(a, b, strict=True))


def meet(a, b):
    smallest = prod(min(abs(x), abs(y)) if x * y > 0 else 0 for x, y in zip(a, b, strict=True))
    return abs(prod(a)) + abs(prod(b)) - 2 * smallest


def max_min(a, b):
    return sizes(max)(a, b) - sizes(min)(a, b)


def join(a, b):
    return 2 * sizes(max)(a, b) - abs(prod(a)) - abs(prod(b))


def telescope(a, b):
    return sum(abs(prod(b[:i])) * abs(a[i] - b[i]) * abs(prod(a[i + 1 :])) for i in range(len(a)))


def is_mixed(a, b):
    shrinks = any(abs(y) < abs(x) for x, y in zip(a, b, strict=True))
    return shrinks and any(abs(y) > abs(x) for x, y in zip(a, b, strict=True))


def max_telescope(ours, theirs, widths):
    """The recursion (s', e) with maxima at pools, neuron by neuron, at the outputs."""
    small, error = {}, {}
    for v in ours.nodes:
        if ours.kind[v] == "input":
            small[v], error[v] = widths[v], 0
            continue
        entries = [(u, abs(ours.weight((u, v))), abs(theirs.weight((u, v)))) for u in ours.antecedents(v)]
        apart = {u: abs(ours.weight((u, v)) - theirs.weight((u, v))) for u in ours.antecedents(v)}
        join = max if ours.kind[v] == "pool" else sum
        small[v] = join([b * small[u] for u, _, b in entries] or [0]) + abs(theirs.bias.get(v, 0))
        error[v] = join([a * error[u] + apart[u] * small[u] for u, a, _ in entries] or [0])
        error[v] += abs(ours.bias.get(v, 0) - theirs.bias.get(v, 0))
    return [error[v] for v in ours.outputs]
