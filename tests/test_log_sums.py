"""Sums of exponentials near a moving point are those of the definition, with their gradients, far from it too."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from pathgraph.quantization.log_sums import FARTHEST, Ends, LogSums, Slopes

N_KINDS, N_DIRECTIONS, N_GROUPS = 60, 7, 4
EPS = np.finfo(float).eps


def case(seed):
    """Kinds in groups, some of which nothing multiplies or divides, or the same direction does both."""
    rng = np.random.default_rng(seed)
    target, source = np.sort(rng.integers(0, N_DIRECTIONS + 1, N_KINDS)), rng.integers(0, N_DIRECTIONS + 1, N_KINDS)
    first = np.array([0, *np.sort(rng.choice(np.arange(1, N_KINDS), N_GROUPS - 1, replace=False))])
    slopes = np.eye(N_DIRECTIONS + 1)[target] - np.eye(N_DIRECTIONS + 1)[source]
    return Ends(target, source, N_DIRECTIONS), slopes[:, :-1], rng.normal(0, 20, N_KINDS), first, rng


def by_definition(slopes, logs, factor, first, z, shares):
    """Values, gradient and second derivatives, kind by kind."""
    exponents = logs + factor * (slopes @ z)
    parts = np.split(np.arange(N_KINDS), first[1:])
    values, gradient, curvature = [], np.zeros(N_DIRECTIONS), np.zeros((N_DIRECTIONS, N_DIRECTIONS))
    for part, share in zip(parts, shares, strict=True):
        top = exponents[part].max()
        p = [math.exp(e - top) for e in exponents[part]]
        total = math.fsum(p)
        values.append(top + math.log(total))
        p = np.array(p) / total
        mean = slopes[part].T @ p
        gradient += share * factor * mean
        curvature += share * factor**2 * (slopes[part].T @ (p[:, None] * slopes[part]) - np.outer(mean, mean))
    return np.array(values), gradient, curvature


@pytest.mark.parametrize("is_matrix", [False, True])
@pytest.mark.parametrize("factor", [-1.0, 1.0, 1 / 0.0003])
@pytest.mark.parametrize("seed", range(5))
def test_values_gradients_and_curvatures(seed, factor, is_matrix):
    ends, slopes, logs, first, rng = case(seed)
    sums = LogSums(Slopes(csr_array(slopes) if is_matrix else ends), logs.copy(), factor, first)
    shares = rng.uniform(0.1, 1, N_GROUPS)
    z = np.zeros(N_DIRECTIONS)
    for step in (0, 1e-6, 0.1, 0.4, 0.9, 3, 40, 0.5):  # in units of how far the point of reference reaches
        z = z + step * FARTHEST / abs(factor) * rng.uniform(-1, 1, N_DIRECTIONS)
        values, gradient, curvature = by_definition(slopes, logs, factor, first, z, shares)
        found, slope = sums(z, shares)
        # An exponent is a sum of three numbers, rounded, up to the distance of two points of reference; a relative
        # error of all exponentials by that, and of their sums by their number.
        largest = np.abs(logs).max() + 4 * abs(factor) * np.abs(z).max() + 2 * FARTHEST
        error = 4 * EPS * (largest + N_KINDS)
        assert np.abs(found - values).max() <= error
        scale = abs(factor) * shares.sum()
        assert np.abs(slope - gradient).max() <= 4 * error * scale
        assert np.abs(sums.curvature(z, shares) - curvature).max() <= 8 * error * scale * abs(factor)


def test_the_point_of_reference_moves_only_when_it_must(monkeypatch):
    ends, _, logs, first, _ = case(0)
    sums = LogSums(Slopes(ends), logs, 1.0, first)
    moves = []
    move = LogSums._move
    monkeypatch.setattr(LogSums, "_move", lambda self, z: (moves.append(z[0]), move(self, z)))
    for place in (0.0, 0.9, -0.9, 1.1, 2.0, 2.2):
        sums(np.full(N_DIRECTIONS, place * FARTHEST), np.ones(N_GROUPS))
    assert np.allclose(np.array(moves) / FARTHEST, [0.0, 1.1, 2.2])


def test_slopes_are_those_of_their_matrix():
    ends, matrix, _, _, rng = case(1)
    slopes, z, weights = Slopes(ends), rng.integers(-9, 9, N_DIRECTIONS), rng.integers(-9, 9, N_KINDS)
    assert np.array_equal(slopes.matrix().toarray(), matrix)
    assert np.array_equal(slopes.along(z.astype(float)), matrix @ z)
    assert np.array_equal(slopes.back(weights.astype(float)), matrix.T @ weights)
