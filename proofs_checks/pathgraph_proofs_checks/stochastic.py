"""Stochastic perceptrons: training the means and the deviations of their parameters, and sampling their errors.

Everything is plain NumPy, and independent of the library but for the law: a layer whose weights are independent
Gaussians has, on one sample, independent Gaussian pre-activations. So instead of weights their pre-activations are
drawn, anew for every sample, which has the same law for each sample and less noise.

No theorem check uses it. It stands beside `pathgraph_proofs_checks.digits`, the other training program, because the
notebook on guarantees and the tests need a stochastic network whose bound is not vacuous, and pathgraph itself trains
nothing: its bounds take errors from any such program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pathgraph import Gaussian

__all__ = ["sample_errors", "starting_law", "train_gaussian"]

Floats = NDArray[np.float64]


def starting_law(widths: Sequence[int], std: float, seed: int = 0) -> Gaussian:
    """Random means of the usual size, that of 1 / sqrt(fan-in), biases of mean zero, and equal deviations.

    Parameters
    ----------
    widths : sequence of int
        From the inputs to the outputs.
    std : float
    seed : int

    Returns
    -------
    Gaussian
        In the order of the parameters of `pathgraph.from_weights`: per neuron its incoming weights, then its bias.
    """
    random = np.random.default_rng(seed)
    rows = [
        np.concatenate([random.normal(size=(b, a)) * (2 * a) ** -0.5, np.zeros((b, 1))], axis=1)
        for a, b in pairwise(widths)
    ]
    return Gaussian(np.concatenate([row.ravel() for row in rows]), std)


def train_gaussian(
    widths: Sequence[int],
    images: Floats,
    labels: NDArray[np.int64],
    prior: Gaussian,
    start: Gaussian,
    *,
    weight: float = 1.0,
    n_steps: int = 1000,
    rate: float = 0.02,
    seed: int = 0,
) -> Gaussian:
    """Minimise the mean cross-entropy plus ``weight / n`` times the divergence from the prior, by Adam.

    Parameters
    ----------
    widths : sequence of int
        Of a perceptron with biases.
    images, labels : ndarray, shape (n, widths[0]) and (n,)
    prior, start : Gaussian
    weight : float
        Of the divergence.
    n_steps : int
        Steps, each on all samples.
    rate : float
        Of the first two thirds of the steps; it then falls to a hundredth.
    seed : int
        Of the noise.

    Returns
    -------
    Gaussian
    """
    random = np.random.default_rng(seed)
    value = np.stack([start.mean, np.log(start.std)])
    first, second = np.zeros_like(value), np.zeros_like(value)
    for step in range(1, n_steps + 1):
        gradient = _gradient(widths, images, labels, value[0], np.exp(value[1]), random)
        gradient[0] += weight / len(images) * (value[0] - prior.mean) / prior.std**2
        gradient[1] += weight / len(images) * (np.exp(2 * value[1]) / prior.std**2 - 1)
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        size = rate * min(1.0, 3 * (1 - step / n_steps) + 0.01) / (1 - 0.9**step)
        value -= size * first / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return Gaussian(value[0], np.exp(value[1]))


def sample_errors(
    widths: Sequence[int], law: Gaussian, images: Floats, labels: NDArray[np.int64], n_draws: int, seed: int = 0
) -> Floats:
    """Errors, 0 or 1, of each image with `n_draws` draws of its own: independent, of shape (n_draws * n,)."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n_draws):
        scores = _forward(widths, images, law.mean, law.std, random)[-1][-1]
        found.append(scores.argmax(axis=1) != labels)
    return np.concatenate(found).astype(np.float64)


def _layers(widths: Sequence[int], vector: Floats) -> Iterator[Floats]:
    """The rows of each layer, the biases in the last column."""
    at = 0
    for a, b in pairwise(widths):
        yield vector[at : at + b * (a + 1)].reshape(b, a + 1)
        at += b * (a + 1)


def _forward(
    widths: Sequence[int], images: Floats, mean: Floats, std: Floats, random: np.random.Generator
) -> list[tuple[Floats, Floats, Floats, Floats]]:
    """For each layer: its input with ones, the deviations of its pre-activations, their noise, and these."""
    out: list[tuple[Floats, Floats, Floats, Floats]] = []
    ones = np.ones((len(images), 1))
    hidden = images
    for m, s in zip(_layers(widths, mean), _layers(widths, std), strict=True):
        x = np.concatenate([hidden, ones], axis=1)
        deviation = np.sqrt(x**2 @ (s**2).T)
        noise = random.standard_normal(deviation.shape)
        scores = x @ m.T + deviation * noise
        out.append((x, deviation, noise, scores))
        hidden = np.maximum(scores, 0)
    return out


def _gradient(
    widths: Sequence[int],
    images: Floats,
    labels: NDArray[np.int64],
    mean: Floats,
    std: Floats,
    random: np.random.Generator,
) -> Floats:
    """The gradient of the mean cross-entropy in the means and in the logarithms of the deviations: shape (2, size)."""
    passed = _forward(widths, images, mean, std, random)
    scores = passed[-1][-1]
    delta = np.exp(scores - scores.max(axis=1, keepdims=True))
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    parts = []
    layers = list(zip(_layers(widths, mean), _layers(widths, std), strict=True))
    for place in range(len(layers) - 1, -1, -1):
        (m, s), (x, deviation, noise, _) = layers[place], passed[place]
        spread = delta * noise / (2 * deviation)
        parts.append((delta.T @ x, 2 * s**2 * (spread.T @ x**2)))
        if place:
            delta = (delta @ m + 2 * x * (spread @ s**2))[:, :-1] * (passed[place - 1][-1] > 0)
    return np.stack([np.concatenate([part[k].ravel() for part in reversed(parts)]) for k in (0, 1)])
