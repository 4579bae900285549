r"""Gaussian laws on the parameters, and the one of a rescaling orbit that is closest to another.

Rescaling random parameters by fixed factors turns a Gaussian with independent coordinates into another one, with the
same random *function*. Of all these laws, one may take the one with the smallest Kullback-Leibler divergence from a
given law, :math:`\mathcal N(\mu_0, t^2)`. With :math:`d = e^y, y = C^\top z` the factors of the parameters, z a
combination of the potentials of `pathgraph.geometry.potentials`,

.. math:: KL = \sum_i \tfrac12 \Big( \frac{d_i^2 s_i^2}{t_i^2} + \frac{(d_i \mu_i - \mu_{0,i})^2}{t_i^2} - 1 \Big)
   - \log \frac{d_i s_i}{t_i} .

If :math:`\mu_0 = 0` this is convex in z, and the minimum is found by coordinate steps in closed form and Newton steps.
Otherwise it is not; then it is minimised from two starts that depend on the orbit alone, and from the law given, and
the best end is taken. Whatever z is found, the divergence is that of a law with the same random function.

Sources: the idea is that of arXiv 2509.26149; convexity, steps, fixed and tied values are derived here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from pathgraph.arguments import generator, natural
from pathgraph.errors import ParameterError, RangeError
from pathgraph.geometry.potentials import Potentials, generic_potentials
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network
from pathgraph.scalars import Array, frozen

__all__ = ["ClosestGaussian", "Gaussian", "closest_gaussian", "gaussian_kl"]

UNIT = float(np.finfo(np.float64).eps) / 2
MAX_ROUNDS = 200


class Gaussian:
    """Independent Gaussian parameters.

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


@dataclass(frozen=True, eq=False)
class ClosestGaussian:
    """The closest law of an orbit; made by `closest_gaussian`.

    Attributes
    ----------
    law : Gaussian
        The closest one; parameters on no path, which change nothing, have the law they are compared with.
    factors : dict
        Of the neurons, for `rescale`.
    divergence : float
        An upper bound on the divergence of the law with exactly these factors: round-off included.
    before : float
        The same for the law that was given.
    residual : float
        The largest component of the gradient, relative to the terms that cancel in it.
    rounds : int
        Rounds of coordinate steps.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1.0]], [[1.0]]])
    >>> found = pg.closest_gaussian(net, pg.Gaussian([0.0, 0.0], [4.0, 1.0]), pg.Gaussian([0.0, 0.0], 1.0))
    >>> found.law.std, found.factors
    (array([2., 2.]), {(1, 0): 0.5})
    """

    law: Gaussian
    factors: Mapping[Hashable, float]
    divergence: float
    before: float
    residual: float
    rounds: int

    def __repr__(self) -> str:
        return f"ClosestGaussian(KL <= {self.divergence:.6g}, was {self.before:.6g}; residual {self.residual:.1e})"


def gaussian_kl(law: Gaussian, prior: Gaussian) -> float:
    r"""An upper bound on the Kullback-Leibler divergence :math:`KL(\text{law} \| \text{prior})`, round-off included.

    Parameters
    ----------
    law, prior : Gaussian

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
    _same_size(law, prior)
    everywhere = np.ones(len(law), dtype=bool)
    return _divergence(law, prior, np.zeros(len(law)), np.zeros(len(law)), everywhere)


def closest_gaussian(net: Network | Architecture, law: Gaussian, prior: Gaussian) -> ClosestGaussian:
    r"""The law of the rescaling orbit of a Gaussian that is closest to a prior.

    Parameters
    ----------
    net : Network or Architecture
        Its parameters do not count; its fixed values stay, and its ties.
    law, prior : Gaussian
        Of its parameters.

    Returns
    -------
    ClosestGaussian

    Raises
    ------
    ParameterError
        If the laws are of other numbers of parameters than the network has.
    RangeError
        If the divergence leaves the range of floats.

    Notes
    -----
    For a prior of mean zero the minimum is global and the same for all laws of the orbit. The coordinate step at a
    neuron then is :math:`e^{2 z_v} = X`, the positive root of :math:`a X^2 - m X - c = 0`, where a and c are the sums
    of :math:`(s_i^2 + \mu_i^2) / t_i^2` over what enters and leaves the neuron, and m the difference of their numbers.
    For another prior it is the best of some local minima; two of the three depend on the orbit alone.

    References
    ----------
    Derived here, after arXiv 2509.26149.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1.0]], [[1.0]]])
    >>> prior = pg.Gaussian([0.0, 0.0], 1.0)
    >>> laws = pg.Gaussian([2.0, 1.0], [1.0, 1.0]), pg.Gaussian([16.0, 0.125], [8.0, 0.125])
    >>> [round(pg.closest_gaussian(net, law, prior).divergence, 9) for law in laws]
    [2.16227766, 2.16227766]
    """
    basis = generic_potentials(net)
    size = basis.architecture.n_parameters
    for name, one in (("law", law), ("prior", prior)):
        if len(one) != size:
            raise ParameterError(f"{name}: needed a law of {size} parameters, as in net.theta, got one of {len(one)}")
    objective = _Objective(basis, law, prior)
    z, rounds = objective.minimise()
    y, spread = basis.on_parameters.T @ z, abs(basis.on_parameters).T @ np.abs(z)
    with np.errstate(over="ignore", under="ignore"):
        mean = np.where(basis.acts_on, law.mean * np.exp(y), prior.mean)
        std = np.where(basis.acts_on, law.std * np.exp(y), prior.std)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise RangeError("closest_gaussian: a mean or a standard deviation leaves the range of float64")
    divergence = _divergence(law, prior, y, spread, basis.acts_on)
    try:
        before = gaussian_kl(law, prior)
    except RangeError:
        before = math.inf
    return ClosestGaussian(Gaussian(mean, std), _factors(basis, z), divergence, before, objective.residual(z), rounds)


class _Objective:
    r"""The divergence up to a constant: :math:`F(z) = \sum_i \frac12 w_i e^{2 y_i} - u_i e^{y_i} - y_i`."""

    def __init__(self, basis: Potentials, law: Gaussian, prior: Gaussian) -> None:
        chosen = np.flatnonzero(basis.acts_on)
        self.exponents: csr_array = csr_array(basis.on_parameters[:, chosen])
        self.transposed: csr_array = csr_array(self.exponents.T)
        self.absolute = abs(self.exponents)
        self.total = np.asarray(self.exponents.sum(axis=1), dtype=np.float64)
        mean, std, centre, width = (a[chosen] for a in (law.mean, law.std, prior.mean, prior.std))
        with np.errstate(divide="ignore"):
            self.log_w = 2 * (np.log(np.hypot(mean, std)) - np.log(width))
            self.log_u = np.log(np.abs(mean)) + np.log(np.abs(centre)) - 2 * np.log(width)
        self.sign_u = np.sign(mean) * np.sign(centre)
        self.log_ratio = np.log(std) - np.log(width)

    def minimise(self) -> tuple[Array, int]:
        """The best end of the starts."""
        from scipy.optimize import minimize  # slow to import

        starts = [self._by_coordinates()]
        rounds = starts[0][1]
        if self.sign_u.any():
            from scipy.sparse.linalg import lsmr

            starts.append((lsmr(self.transposed, -self.log_ratio, atol=1e-14, btol=1e-14)[0], 0))
            starts.append((np.zeros(len(starts[0][0])), 0))
        ends = []
        for z, _ in starts:
            if len(z) and 1e-13 < self.residual(z) < math.inf:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    found = minimize(
                        self.value, z, jac=self.gradient, hessp=self._curvature, method="trust-ncg",
                        options={"gtol": 1e-12 * float(self._terms(z).max()), "maxiter": 1000},
                    )  # fmt: skip
                z = found.x if np.isfinite(found.x).all() and self.value(found.x) <= self.value(z) else z
            ends.append(z)
        return self._polished(min(ends, key=self.value)), rounds

    def _polished(self, z: Array) -> Array:
        """Newton steps near a minimum, for as long as they halve the residual."""
        from scipy.sparse import csc_array, diags_array
        from scipy.sparse.linalg import spsolve

        while len(z):
            residual = self.residual(z)
            square, cross = self._parts(z)
            hessian = csc_array(self.exponents @ diags_array(2 * square - cross) @ self.transposed)
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a singular matrix: its step is refused
                better = z - np.atleast_1d(spsolve(hessian, self.gradient(z)))
            if not (np.isfinite(better).all() and 2 * self.residual(better) < residual):
                break
            z = better
        return z

    def _parts(self, z: Array) -> tuple[Array, Array]:
        y = self.transposed @ z
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.log_w + 2 * y), self.sign_u * np.exp(self.log_u + y)

    def value(self, z: Array) -> float:
        """F(z)."""
        square, cross = self._parts(z)
        value = float((square / 2 - cross).sum() - self.total @ z)
        return value if value == value else math.inf

    def gradient(self, z: Array) -> Array:
        """Its gradient."""
        square, cross = self._parts(z)
        return np.asarray(self.exponents @ (square - cross) - self.total)

    def _curvature(self, z: Array, direction: Array) -> Array:
        square, cross = self._parts(z)
        return np.asarray(self.exponents @ ((2 * square - cross) * (self.transposed @ direction)))

    def _terms(self, z: Array) -> Array:
        square, cross = self._parts(z)
        return np.asarray(self.absolute @ (square + np.abs(cross)) + np.abs(self.total))

    def residual(self, z: Array) -> float:
        """The largest component of the gradient, relative to the sum of the absolute values of its terms."""
        if not len(z):
            return 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            found = float(np.max(np.abs(self.gradient(z)) / self._terms(z)))
        return found if found == found else math.inf

    def _by_coordinates(self) -> tuple[Array, int]:
        """Minimise without the cross terms, so that it is convex, in logarithms: any range of values will do."""
        z = np.zeros(self.exponents.shape[0])
        logs = self.log_w.copy()
        rows = self.exponents
        for count in range(1, MAX_ROUNDS + 1):
            largest = 0.0
            for k in range(len(z)):
                part = slice(rows.indptr[k], rows.indptr[k + 1])
                touched, exponents = rows.indices[part], rows.data[part]
                step = coordinate_step(logs[touched], exponents)
                z[k] += step
                logs[touched] += 2 * exponents * step
                largest = max(largest, abs(step))
            if largest < 1e-3:  # close enough for Newton steps
                return z, count
        return z, MAX_ROUNDS


def coordinate_step(logs: Array, exponents: Array) -> float:
    r"""The t with :math:`\sum_i c_i e^{\ell_i + 2 c_i t} = \sum_i c_i`: the minimiser along one direction.

    In closed form where every c is 1 or -1: :math:`X = e^{2t}` is the positive root of :math:`a X^2 - m X - c = 0`.
    """
    if (abs(exponents) == 1).all():
        up, down = exponents == 1, exponents == -1
        if not (up.any() and down.any()):
            return 0.0
        a, c = _log_total(logs[up]), _log_total(logs[down])
        m = int(up.sum()) - int(down.sum())
        log_half = math.log(abs(m) / 2) - (a + c) / 2 if m else -math.inf
        # arcsinh(h), h = m / (2 sqrt(ac)), without overflow
        bend = math.copysign(math.asinh(math.exp(log_half)) if log_half < 300 else log_half + math.log(2), m)
        return (bend + (c - a) / 2) / 2

    from scipy.optimize import brentq

    def slope(t: float) -> float:
        with np.errstate(over="ignore", under="ignore"):
            moved = np.exp(np.minimum(logs + 2 * exponents * t, 700))
        return float(exponents @ moved - exponents.sum())

    low, high = -1.0, 1.0
    while slope(high) < 0 and high < 1000:
        high *= 2
    while slope(low) > 0 and low > -1000:
        low *= 2
    return float(brentq(slope, low, high, xtol=1e-14)) if slope(low) < 0 < slope(high) else 0.0


def _divergence(law: Gaussian, prior: Gaussian, y: Array, spread: Array, counted: Array) -> float:
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


def _factors(basis: Potentials, z: Array) -> dict[Hashable, float]:
    factors = np.exp(basis.on_neurons.T @ z)
    moved = np.unique(basis.on_neurons.indices).tolist()
    return {basis.architecture.nodes[v]: float(factors[v]) for v in moved}


def _log_total(logs: Array) -> float:
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).sum()))


def _same_size(law: Gaussian, prior: Gaussian) -> None:
    for name, one in (("law", law), ("prior", prior)):
        if not isinstance(one, Gaussian):
            raise ParameterError(f"{name}: needed a pathgraph.Gaussian, got {type(one).__name__}")
    if len(law) != len(prior):
        raise ParameterError(f"prior: needed a law of {len(law)} parameters, got one of {len(prior)}")


def _reals(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiu":
            raise TypeError
    except (TypeError, ValueError):
        raise ParameterError(f"{name}: needed real numbers, got {values!r}") from None
    array = array.astype(np.float64)
    for i in np.flatnonzero(~np.isfinite(array.ravel()))[:1].tolist():
        raise ParameterError(f"{name}: needed finite numbers, got {array.ravel()[i]} at {i}")
    return array
