r"""Minimisation over a rescaling orbit: one convex function of the potentials, whose minima are the normal forms.

Take n positive numbers with logarithms :math:`\ell_i`, a matrix C of integers with a row for each direction in which a
rescaling can move them, and a combination z of these directions, the **potentials**. It changes the logarithms by
:math:`C^\top z`. The function is

.. math:: F(z) = n \log \sum_i e^{\ell_i + a (C^\top z)_i} - r \sum_i (C^\top z)_i .

It is minimised along one direction after the other, in closed form where the entries of C are 1 and -1. Newton steps in
between are kept only if they are a gain. The residual says how far z is from a minimum; callers measure it once more on
the network that they make of z.

Derived here; the theorem check ``conditioning-of-one-neuron`` holds the closed form against exact arithmetic.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_array

from pathgraph.geometry.coordinate_steps import increasing_root, log_root, log_total
from pathgraph.scalars import Array

__all__ = ["Objective", "coordinate_step"]

DENSE = 30
"""Up to this many directions a Newton step solves its equations by a dense matrix; with more, by iteration."""


class Objective:
    """The function F of the module.

    Parameters
    ----------
    exponents : csr_array of int, shape (n_directions, n)
        The matrix C.
    logs : ndarray, shape (n,)
        The logarithms l at z = 0.
    power, linear : int
        The numbers a and r.
    """

    def __init__(self, exponents: csr_array, logs: Array, *, power: int, linear: int) -> None:
        self.exponents = exponents
        self.transposed = csr_array(exponents.T)
        self.logs = logs
        self.power, self.linear = power, linear
        self.size = exponents.shape[1]
        self.total = linear * np.asarray(exponents.sum(axis=1), dtype=np.float64) / power
        self.absolute = abs(exponents)

    def _shares(self, z: Array) -> Array:
        """The share of each term in the sum of exponentials."""
        logs = self.logs + self.power * (self.transposed @ z)
        return np.asarray(np.exp(logs - log_total(logs)))

    def gradient(self, z: Array) -> Array:
        """The gradient of F, divided by the power a."""
        return np.asarray(self.size * (self.exponents @ self._shares(z)) - self.total)

    def residual(self, z: Array) -> float:
        """The largest component of the gradient, each relative to the sum of the absolute values of its terms."""
        if not len(z):
            return 0.0
        terms = self.size * (self.absolute @ self._shares(z)) + np.abs(self.total)
        return float(np.max(np.abs(self.gradient(z)) / np.where(terms > 0, terms, 1)))

    def minimise(self, tolerance: float, max_sweeps: int) -> tuple[Array, int]:
        """Minimise F from z = 0, by rounds of coordinate steps, each followed by Newton steps while they are a gain.

        Returns
        -------
        z : ndarray, shape (n_directions,)
        n_rounds : int
            It stops when the residual is at most the tolerance, or after `max_sweeps` rounds.
        """
        z = np.zeros(self.exponents.shape[0])
        sweeps = 0
        while self.residual(z) > tolerance and sweeps < max_sweeps:
            self._round(z)
            sweeps += 1
            while self.residual(z) > tolerance:
                better = self._newton(z)
                if better is None:
                    break
                z = better
        return z, sweeps

    def _value(self, z: Array) -> float:
        moved = self.transposed @ z
        return float(self.size * log_total(self.logs + self.power * moved) - self.linear * moved.sum())

    def _round(self, z: Array) -> None:
        """Minimise along each direction in turn, and change z in place."""
        rows = self.exponents
        logs = self.logs + self.power * (self.transposed @ z)
        for k in range(len(z)):
            part = slice(rows.indptr[k], rows.indptr[k + 1])
            touched, exponents = rows.indices[part], rows.data[part]
            if len(touched):
                rest = _log_rest(logs, touched) if self.linear else -np.inf
                step = coordinate_step(logs[touched], exponents, rest, self.size, self.total[k]) / self.power
                z[k] += step
                logs[touched] += self.power * exponents * step

    def _newton(self, z: Array) -> Array | None:
        """The end of a damped Newton step that makes F clearly smaller, or halves the residual; None if none does."""
        gradient = self.gradient(z)
        step = -self._solve(self._shares(z), gradient)
        residual, value, slope = self.residual(z), self._value(z), self.power * float(gradient @ step)
        for fraction in (1.0, 0.5, 0.25, 0.125):
            better = z + fraction * step
            decrease = value - self._value(better)
            if 2 * self.residual(better) < residual or decrease > max(-0.1 * fraction * slope, 1e-12 * abs(value)):
                return np.asarray(better)
        return None

    def _solve(self, shares: Array, gradient: Array) -> Array:
        """The Newton direction: the (pseudo-)inverse of the second derivative over a, times the gradient over a."""
        scale, size = self.power * self.size, len(gradient)
        if size <= DENSE:
            dense = self.exponents.toarray()
            mean = dense @ shares
            curvature = scale * ((dense * shares) @ dense.T - np.outer(mean, mean))
            return np.asarray(np.linalg.lstsq(curvature, gradient, rcond=None)[0])
        from scipy.sparse.linalg import LinearOperator, cg  # slow to import, rarely needed

        def curve(direction: Array) -> Array:
            along = self.transposed @ direction.ravel()
            return np.asarray(scale * (self.exponents @ (shares * (along - shares @ along))))

        diagonal = scale * (csr_array(self.exponents**2) @ shares) + np.finfo(float).tiny
        operator = LinearOperator((size, size), matvec=curve, dtype=np.float64)
        inverse = LinearOperator((size, size), matvec=lambda v: v.ravel() / diagonal, dtype=np.float64)
        return np.asarray(cg(operator, gradient, rtol=1e-6, maxiter=size + 10, M=inverse)[0])


def _log_rest(logs: Array, touched: Array) -> float:
    """The logarithm of the sum of the exponentials of all but some of the logarithms."""
    top = logs.max()
    total, part = np.exp(logs - top).sum(), np.exp(logs[touched] - top).sum()
    if part < total / 2:
        return float(top + np.log(total - part))
    return log_total(np.delete(logs, touched))


def coordinate_step(logs: Array, exponents: Array, rest: float, size: int, total: float) -> float:
    r"""The step along one direction to the minimum: a times the change of its potential.

    It is the t with :math:`n \sum_i c_i m_i e^{c_i t} = s (\rho + \sum_i m_i e^{c_i t})`. If every c is 1 or -1 there
    is a closed form: with :math:`X = e^t`, and B and C the sums of the m where c is 1 and -1, X is the positive root
    of :math:`(n - s) B X^2 - s \rho X - (n + s) C = 0`.

    Parameters
    ----------
    logs : ndarray, shape (k,)
        The logarithms of the m, the numbers that the direction moves.
    exponents : ndarray of int, shape (k,)
        The c.
    rest : float
        The logarithm of rho, the sum of all other numbers.
    size : int
        n, how many numbers there are in all.
    total : float
        s, the sum of the c of the direction, times r / a.
    """
    if (abs(exponents) == 1).all():
        up, down = exponents == 1, exponents == -1
        b = log_total(logs[up]) + np.log(size - total) if up.any() else -np.inf
        c = log_total(logs[down]) + np.log(size + total) if down.any() else -np.inf
        if np.isinf(b) or np.isinf(c):
            return 0.0  # flat: the potential acts on one side only, where all potentials act alike
        log_m = math.log(abs(total)) + rest if total else -math.inf
        return log_root(b, total, log_m, c)

    def slope(t: float) -> float:
        moved = logs + exponents * t
        top = max(rest, float(moved.max()))
        shares = np.exp(moved - top)
        return float(size * (exponents @ shares) - total * (np.exp(rest - top) + shares.sum()))

    return increasing_root(slope)
