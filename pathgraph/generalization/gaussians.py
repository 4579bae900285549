r"""Gaussian laws on the parameters of a network, and their divergence, rounded upwards.

.. math:: KL\big(\mathcal N(\mu, s^2) \,\big\|\, \mathcal N(\mu_0, t^2)\big) = \sum_i \tfrac12 \Big( \frac{s_i^2}{t_i^2}
   + \frac{(\mu_i - \mu_{0,i})^2}{t_i^2} - 1 \Big) - \log \frac{s_i}{t_i} .

The closest law of a rescaling orbit is found in `pathgraph.geometry.closest_gaussian`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import generator, natural
from pathgraph.errors import ParameterError, RangeError
from pathgraph.scalars import UNIT, Array, frozen
from pathgraph.shown import argument_text

__all__ = ["Gaussian", "check_law", "divergence_above", "gaussian_kl"]


class Gaussian:
    """A law of the parameters of a network, under which they are independent Gaussians.

    Parameters
    ----------
    mean, std : array_like, shape (n_parameters,), or scalar
        Means and standard deviations, aligned with ``net.theta``; one of the two may be a scalar.

    Raises
    ------
    ParameterError
        On standard deviations that are not positive, NaN, infinities, or other shapes.

    Examples
    --------
    >>> import pathgraph as pg
    >>> law = pg.Gaussian([1.0, -2.0], 0.5)
    >>> law, law.sample(3, rng=0).shape
    (Gaussian(2 parameters, standard deviations 0.5 to 0.5), (3, 2))
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        centre, width = _reals(mean, "mean"), _reals(std, "std")
        if centre.ndim > 1 or width.ndim > 1 or centre.ndim == width.ndim == 0:
            raise ParameterError(f"std: needed one array per law, got shapes {centre.shape} and {width.shape}")
        if centre.ndim == width.ndim == 1 and centre.shape != width.shape:
            raise ParameterError(f"std: needed shape {centre.shape}, that of the means, got {width.shape}")
        for i in np.flatnonzero(width.ravel() <= 0)[:1].tolist():
            raise ParameterError(f"std: needed standard deviations > 0, got {width.ravel()[i]} at {i}")
        shape = np.broadcast_shapes(centre.shape, width.shape)
        self.mean: Array = frozen(np.broadcast_to(centre, shape).copy())
        self.std: Array = frozen(np.broadcast_to(width, shape).copy())

    def __len__(self) -> int:
        return len(self.mean)

    def scaled(self, factor: float) -> Gaussian:
        """The law with all standard deviations multiplied by a factor > 0."""
        return Gaussian(self.mean, self.std * factor)

    def sample(self, n: int, rng: np.random.Generator | int) -> Array:
        """Draw parameters: shape (n, n_parameters)."""
        noise = generator(rng).standard_normal((natural(n, "n"), len(self)))
        return np.asarray(self.mean + self.std * noise)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gaussian):
            return NotImplemented
        return np.array_equal(self.mean, other.mean) and np.array_equal(self.std, other.std)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        low, high = self.std.min(initial=np.inf), self.std.max(initial=0)
        return f"Gaussian({len(self)} parameters, standard deviations {low:.4g} to {high:.4g})"


def gaussian_kl(law: Gaussian, prior: Gaussian) -> float:
    r"""An upper bound on the Kullback-Leibler divergence :math:`KL(\text{law} \| \text{prior})`, round-off included.

    Parameters
    ----------
    law, prior : Gaussian

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If they are laws of different numbers of parameters.
    RangeError
        If the divergence leaves the range of floats.

    Examples
    --------
    >>> import pathgraph as pg
    >>> round(pg.gaussian_kl(pg.Gaussian([3.0], 1.0), pg.Gaussian([1.0], 1.0)), 12)
    2.0
    """
    check_law(law, "law", len(law) if isinstance(law, Gaussian) else 0)
    check_law(prior, "prior", len(law))
    zeros = np.zeros(len(law))
    return divergence_above(law, prior, zeros, zeros, np.ones(len(law), dtype=bool))


def divergence_above(law: Gaussian, prior: Gaussian, y: Array, spread: Array, counted: Array) -> float:
    """The divergence of the law with the factors exp(y), rounded up, over the parameters that count.

    `spread` bounds the sums of absolute values that y was computed from. With r = d s / t and e = (d m - m0) / t a term
    is (r^2 - 1) / 2 - log r + e^2 / 2. Its derivative in y is at most r^2 + 1 + (|d m| + |m0|)^2 / t^2 =: size, so the
    error of y, and of the logarithms that it is added to, enters multiplied by that. All other operations are a few
    units relative to size + |log r|; powers and logarithms of NumPy are off by less than 4 units each.
    """
    with np.errstate(over="ignore", under="ignore"):
        log_r = y + np.log(law.std) - np.log(prior.std)
        factor = np.exp(y)
        moved, centre = factor * law.mean, prior.mean
        squares = np.exp(2 * log_r) + ((moved - centre) / prior.std) ** 2
        terms = (squares - 1) / 2 - log_r
        size = np.exp(2 * log_r) + 1 + ((np.abs(moved) + np.abs(centre)) / prior.std) ** 2
        error_of_y = 8 * UNIT * (spread + np.abs(np.log(law.std)) + np.abs(np.log(prior.std)) + 1)
        slack = 4 * error_of_y * size + 32 * UNIT * (size + np.abs(log_r))
    if not np.isfinite(slack[counted]).all():
        raise RangeError("gaussian_kl: the divergence leaves the range of float64; use other standard deviations")
    return max(0.0, math.fsum(terms[counted].tolist())) + math.fsum(slack[counted].tolist()) * (1 + 4 * UNIT)


def check_law(law: Any, name: str, size: int) -> None:
    """Refuse what is no law of `size` parameters.

    Raises
    ------
    ParameterError
    """
    if not isinstance(law, Gaussian):
        raise ParameterError(f"{name}: needed a pathgraph.Gaussian, got {type(law).__name__}")
    if len(law) != size:
        raise ParameterError(f"{name}: needed a law of {size} parameters, got one of {len(law)}")


def _reals(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiu":
            raise TypeError
    except (TypeError, ValueError):
        raise ParameterError(f"{name}: needed real numbers, got {argument_text(values)}") from None
    array = array.astype(np.float64)
    for i in np.flatnonzero(~np.isfinite(array.ravel()))[:1].tolist():
        raise ParameterError(f"{name}: needed finite numbers, got {array.ravel()[i]} at {i}")
    return array
