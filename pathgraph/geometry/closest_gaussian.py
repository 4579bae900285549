r"""The Gaussian law of a rescaling orbit that is closest to another one.

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

import numpy as np
from scipy.sparse import csr_array

from pathgraph.distinct import distinct
from pathgraph.errors import ParameterError, RangeError
from pathgraph.generalization.gaussians import Gaussian, check_law, divergence_above, gaussian_kl
from pathgraph.geometry.coordinate_steps import increasing_root, log_root, log_total
from pathgraph.geometry.potentials import Potentials, generic_potentials
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network, require_network
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array

__all__ = ["ClosestGaussian", "closest_gaussian"]

# When to stop. These decide how tight the divergence is, never whether it is valid: whatever z is found, it is bounded.
MAX_ROUNDS = 200
"""Rounds of coordinate steps."""
SMALL_STEP = 1e-3
"""A round whose steps are all smaller ends the coordinate steps: Newton steps do the rest."""
SMALL_RESIDUAL, SMALL_GRADIENT = 1e-13, 1e-12
"""From where the trust-region method is not started, and where it ends, relative to the terms that cancel."""
MAX_TRUST_STEPS = 1000
LARGEST_SYSTEM = 5000
"""Up to this many directions the last Newton steps are made."""
RISE = 1e-12
"""By how much, relatively, a last Newton step may seem to raise the value: its round-off."""
PRECISION = 1e-14
"""Of the starting point by least squares."""


@dataclass(frozen=True)
class ClosestGaussian:
    """The closest law of an orbit; made by `closest_gaussian`.

    Attributes
    ----------
    law : Gaussian
        The closest one; parameters on no path, which change nothing, have the law they are compared with.
    factors : dict
        Of the neurons, for `rescale`.
    divergence : float
        An upper bound on the divergence of a law of the orbit, round-off included; `law` and `factors` are rounded.
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
    if isinstance(net, ReluNetwork):
        require_network(net)
    if not isinstance(net, (Network, Architecture)):
        raise ParameterError(f"net: needed a Network or an Architecture, got {type(net).__name__}")
    basis = generic_potentials(net)
    check_law(law, "law", basis.architecture.n_parameters)
    check_law(prior, "prior", basis.architecture.n_parameters)
    objective = _Objective(basis, law, prior)
    z, rounds = objective.minimise()
    y, spread = basis.on_parameters.T @ z, abs(basis.on_parameters).T @ np.abs(z)
    with np.errstate(over="ignore", under="ignore"):
        mean = np.where(basis.acts_on, law.mean * np.exp(y), prior.mean)
        std = np.where(basis.acts_on, law.std * np.exp(y), prior.std)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise RangeError("closest_gaussian: a mean or a standard deviation leaves the range of float64")
    divergence = divergence_above(law, prior, y, spread, basis.acts_on)
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

        z, rounds = self._by_coordinates()
        starts, ends = [z], []
        if self.sign_u.any():
            from scipy.sparse.linalg import lsmr

            starts += [lsmr(self.transposed, -self.log_ratio, atol=PRECISION, btol=PRECISION)[0], np.zeros(len(z))]
        for z in starts:
            if len(z) and SMALL_RESIDUAL < self.residual(z) < math.inf:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    found = minimize(
                        self.value, z, jac=self.gradient, hessp=self._curvature, method="trust-ncg",
                        options={"gtol": SMALL_GRADIENT * float(self._terms(z).max()), "maxiter": MAX_TRUST_STEPS},
                    )  # fmt: skip
                z = found.x if np.isfinite(found.x).all() and self.value(found.x) <= self.value(z) else z
            ends.append(z)
        return self._polished(min(ends, key=self.value)), rounds

    def _polished(self, z: Array) -> Array:
        """Newton steps near a minimum, for as long as they halve the residual."""
        from scipy.sparse import csc_array, diags_array
        from scipy.sparse.linalg import spsolve

        while 0 < len(z) <= LARGEST_SYSTEM:
            residual = self.residual(z)
            square, cross = self._parts(z)
            hessian = csc_array(self.exponents @ diags_array(2 * square - cross) @ self.transposed)
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a singular matrix: its step is refused
                better = z - np.atleast_1d(spsolve(hessian, self.gradient(z)))
            value = self.value(z)
            is_lower = np.isfinite(better).all() and self.value(better) <= value + RISE * (1 + abs(value))
            if not (is_lower and 2 * self.residual(better) < residual):
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
                step = _step(logs[touched], exponents)
                z[k] += step
                logs[touched] += 2 * exponents * step
                largest = max(largest, abs(step))
            if largest < SMALL_STEP:
                return z, count
        return z, MAX_ROUNDS


def _step(logs: Array, exponents: Array) -> float:
    r"""The t with :math:`\sum_i c_i e^{\ell_i + 2 c_i t} = \sum_i c_i`: the minimiser along one direction.

    In closed form where every c is 1 or -1: :math:`X = e^{2t}` is the positive root of :math:`a X^2 - m X - c = 0`.
    """
    if (abs(exponents) == 1).all():
        up, down = exponents == 1, exponents == -1
        if not (up.any() and down.any()):
            return 0.0
        m = int(up.sum()) - int(down.sum())
        log_m = math.log(abs(m)) if m else -math.inf
        return log_root(log_total(logs[up]), m, log_m, log_total(logs[down])) / 2

    def slope(t: float) -> float:
        with np.errstate(over="ignore", under="ignore"):
            moved = np.exp(np.minimum(logs + 2 * exponents * t, 700))
        return float(exponents @ moved - exponents.sum())

    return increasing_root(slope)


def _factors(basis: Potentials, z: Array) -> dict[Hashable, float]:
    factors = np.exp(basis.on_neurons.T @ z)
    moved = distinct(basis.on_neurons.indices).tolist()
    return {basis.architecture.nodes[v]: float(factors[v]) for v in moved}
