"""Numbers of paths far beyond floats, up to outputs, through neurons and through entries, against Python integers."""

import math

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.pathsum import residues

WIDTH, DEPTH = 3, 70


@pytest.fixture(scope="module")
def deep():
    """Dense layers with biases: 3**70 paths, more than the square of what floats hold exactly."""
    b = pg.LayerGraphBuilder()
    x = b.input((WIDTH,))
    for layer in range(DEPTH):
        ends = (b.tensor(f"{name}{layer}", np.ones(shape)) for name, shape in (("w", (WIDTH, WIDTH)), ("b", (WIDTH,))))
        x = b.linear(x, *ends)
        if layer < DEPTH - 1:
            x = b.relu(x)
    return b.build([x])


def counter_of(graph, **options):
    return residues.PathCounter(graph.dag, [np.ones(tensor.shape) for tensor in graph.tensors], **options)


def assert_right(graph, starts):
    """Forward, backward and through the edges, one after the other, from so many paths at each input."""
    found = counter_of(graph, inputs=starts)
    forward, backward = [list(starts)], [1] * WIDTH
    for _ in range(DEPTH):
        forward.append([sum(forward[-1]) + 1] * WIDTH)
    assert found.up_to(graph.dag.outputs).tolist() == forward[-1]
    neurons = [None] * (DEPTH + 1)
    entries = found.through_entries(range(len(graph.tensors)))
    names = graph.architecture.tensor_names
    for layer in reversed(range(DEPTH + 1)):
        neurons[layer] = [x * y for x, y in zip(forward[layer], backward, strict=True)]
        if layer:
            through = {
                f"w{layer - 1}": [[x * y for x in forward[layer - 1]] for y in backward],
                f"b{layer - 1}": backward,
            }
            for name, right in through.items():
                assert entries[names.index(name)].tolist() == right
        backward = [sum(backward)] * WIDTH
    counts = found.through_neurons()[1:].tolist()
    for layer, right in enumerate(neurons[:DEPTH]):
        assert counts[layer * WIDTH : (layer + 1) * WIDTH] == right


@pytest.mark.parametrize("starts", [(1, 1, 1), (0, 10**40 + 1, 2**53 - 1)])
def test_numbers_beyond_floats(deep, starts):
    assert_right(deep, starts)


def test_numbers_with_one_key_are_told_apart(monkeypatch):
    monkeypatch.setattr(residues, "MULTIPLIER", 0)  # the key is the last remainder
    primes, numbers = [101, 103], [5, 108, 5 + 2 * 103, 6, 5]
    remainders = np.array([[number % prime for number in numbers] for prime in primes])
    assert residues._numbers(primes, remainders).tolist() == numbers


def test_a_few_primes_at_a_time(deep, monkeypatch):
    monkeypatch.setattr(residues, "ROOM", 1)
    assert_right(deep, (1, 2, 3))


@pytest.mark.parametrize("below", [2**10, 2**13 + 1])
def test_primes_are_the_largest_ones_and_no_more_than_are_needed(below):
    found, bound = residues._primes(below, 2**300), 2**300
    assert found == [n for n in range(below - 1, found[-1] - 1, -1) if all(n % p for p in range(2, n))]
    product = math.prod(found)
    assert product > bound >= product // found[-1]
