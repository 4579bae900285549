"""Real data: a ReLU perceptron trained on the handwritten digits that come with scikit-learn, in a second or two."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pathgraph as pg
from pathgraph import Network
from pathgraph_proofs_checks.parts import Input

__all__ = ["SIDE", "TrainedDigits", "train"]

SIDE = 8
"""Images have SIDE x SIDE pixels with values k / 16, so both weights and images are exact rationals."""


@dataclass(frozen=True)
class TrainedDigits:
    """A trained network and the images it has not seen.

    Attributes
    ----------
    net : Network
        In float64; inputs are pixels, outputs the logits of the ten digits.
    images : ndarray, shape (n_test, 64)
    labels : ndarray, shape (n_test,)
    accuracy : float
        On these images.
    iterations : int
        Passes over the training set.
    """

    net: Network
    images: NDArray[np.float64]
    labels: NDArray[np.int64]
    accuracy: float
    iterations: int

    def exact_images(self, n: int) -> list[Input]:
        """The first `n` images as rationals."""
        return [tuple(map(Fraction, image)) for image in self.images[:n].tolist()]


def train(hidden: tuple[int, ...] = (32, 32), seed: int = 0, max_iter: int = 400) -> TrainedDigits:
    """Train a perceptron on three quarters of the digits; its weights become a `Network`.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    seed : int
        Of the split, of the initial weights and of the batches.
    max_iter : int
        Training that has not converged by then is stopped, without a warning.

    Returns
    -------
    TrainedDigits

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    RuntimeError
        If the network does not reproduce the decisions of the estimator.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import train_test_split
        from sklearn.neural_network import MLPClassifier
    except ImportError as error:
        raise ImportError(
            "the digits need scikit-learn, which is not installed; pip install 'pathgraph[checks]', or pip install "
            "'.[checks]' in a checkout, or use --no-digits"
        ) from error

    data: Any = load_digits()
    split = train_test_split(data.data / 16, data.target, random_state=seed, stratify=data.target)
    images, test_images, labels, test_labels = split
    estimator = MLPClassifier(hidden, random_state=seed, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(images, labels)
    net = pg.from_weights([weight.T for weight in estimator.coefs_], estimator.intercepts_)
    decisions = net(test_images).argmax(axis=1)
    if not np.array_equal(decisions, estimator.predict(test_images)):
        raise RuntimeError("the network built from coefs_ and intercepts_ decides otherwise than the estimator")
    accuracy = float(np.mean(decisions == test_labels))
    return TrainedDigits(net, test_images, test_labels, accuracy, int(estimator.n_iter_))
