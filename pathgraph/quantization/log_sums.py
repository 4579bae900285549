r"""Logarithms of sums of exponentials of affine functions, group by group, and their gradients.

Kinds of parameters move with the logarithms z of the factors of a rescaling: kind k by :math:`z_t - z_s`, where t
multiplies it and s divides it, or by a row of a matrix. Wanted are

.. math:: F_g(z) = \log \sum_{k \in g} \exp(\ell_k + c (z_{t_k} - z_{s_k})) .

Around a point :math:`z^0` the exponential is a product, :math:`K_k\, u_{t_k} / u_{s_k}` with
:math:`u = \exp(c (z - z^0))`: one exponential for each direction instead of one for each kind. Values and gradients are
then two products with the sparse matrix of the K, whose rows are runs of kinds of one group and one t. The point is
moved when z is so far from it that the products could leave the range of floats.

Source: derived here; the products are those of Sinkhorn's algorithm in its stabilised form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pathgraph.scalars import Array

__all__ = ["Ends", "LogSums", "Slopes"]

FARTHEST = 150.0
"""Largest exponent of a factor: products of two, summed over all kinds, stay in the range of float64."""


class Ends(NamedTuple):
    """The directions that multiply and that divide each kind; `n_directions` for none.

    Attributes
    ----------
    target, source : ndarray of int, shape (n_kinds,)
    n_directions : int
    """

    target: Array
    source: Array
    n_directions: int


class Slopes:
    """Of kinds of parameters in the logarithms of the factors: a matrix, or the ends of each where those are two.

    Parameters
    ----------
    given : csr_array of shape (n_kinds, n_directions), or Ends
    """

    def __init__(self, given: csr_array | Ends) -> None:
        self.ends = given if isinstance(given, Ends) else None
        self._matrix = None if isinstance(given, Ends) else given
        self._transposed = None if isinstance(given, Ends) else csr_array(given.T)

    def along(self, z: Array) -> Array:
        """How far the logarithm of each kind moves."""
        if self.ends is None:
            return np.asarray(self._matrix @ z)
        z = np.append(z, 0.0)
        out = z[self.ends.target]
        out -= z[self.ends.source]
        return out

    def back(self, weights: Array) -> Array:
        """The sum of the slopes, with a weight for each kind: a gradient."""
        if self.ends is None:
            return np.asarray(self._transposed @ weights)
        n = self.ends.n_directions
        target, source = (np.bincount(ends, weights, minlength=n + 1)[:n] for ends in self.ends[:2])
        return np.asarray(target - source)

    def matrix(self) -> csr_array:
        """One row for each kind."""
        if self.ends is None:
            return self._matrix
        n, n_directions = len(self.ends.target), self.ends.n_directions
        ends, rows = np.concatenate(self.ends[:2]), np.tile(np.arange(n), 2)
        there = ends < n_directions
        return csr_array((np.repeat([1.0, -1.0], n)[there], (rows[there], ends[there])), shape=(n, n_directions))


class LogSums:
    """The functions F of the module's docstring, for all groups.

    Parameters
    ----------
    slopes : Slopes
    logs : ndarray, shape (n_kinds,)
        The numbers l, kinds sorted by group. They are kept, not copied.
    factor : float
        The number c.
    first : ndarray of int, shape (n_groups,)
        Where each group begins.
    """

    def __init__(self, slopes: Slopes, logs: Array, factor: float, first: Array) -> None:
        self._slopes, self._logs, self._factor, self._first = slopes, logs, factor, first
        self._sizes = np.diff(np.append(first, len(logs)))
        self._centre: Array | None = None
        if slopes.ends is None:
            return
        target, source, n = slopes.ends
        begins = np.ones(len(target), dtype=bool)
        begins[1:] = target[1:] != target[:-1]
        begins[first] = True
        start = np.flatnonzero(begins)
        self._target = target[start]
        self._first_run = np.searchsorted(start, first)
        self._runs = np.diff(np.append(self._first_run, len(start)))
        # shape (n_runs, n_directions + 1); its entries are those of the kinds, in their order
        self._kernel = csr_array((logs, source, np.append(start, len(target))), shape=(len(start), n + 1))

    def __call__(self, z: Array, shares: Array) -> tuple[Array, Array]:
        """The value of each group, and the gradient of their sum with a share for each."""
        if self._slopes.ends is None:
            values = self._exponents(z)
            tops, totals = self._exponentials(values)
            values *= np.repeat(shares / totals, self._sizes)
            return tops + np.log(totals), self._factor * self._slopes.back(values)
        if self._centre is None or np.abs(z - self._centre).max(initial=0.0) > FARTHEST / abs(self._factor):
            self._move(z)
        moved = np.append(self._factor * (z - self._centre), 0.0)
        up, down = np.exp(moved), np.exp(-moved)
        of_target = up[self._target]
        sums = of_target * (self._kernel @ down)
        totals = np.add.reduceat(sums, self._first_run)
        weights = np.repeat(shares / totals, self._runs)
        gained = np.bincount(self._target, weights * sums, minlength=len(up))
        lost = down * (self._kernel.T @ (weights * of_target))
        return self._tops + np.log(totals), self._factor * np.asarray(gained - lost)[:-1]

    def curvature(self, z: Array, shares: Array) -> Array:
        """The second derivatives of that sum, a full matrix."""
        values, sizes = self._exponents(z), self._sizes
        values /= np.repeat(self._exponentials(values)[1], sizes)
        slopes = self._slopes.matrix()
        weighted = csr_array(slopes.multiply((values * np.repeat(shares, sizes))[:, None]))
        out = np.asarray((slopes.T @ weighted).todense())
        for share, first, size in zip(shares, self._first, sizes, strict=True):
            members = slice(first, first + size)
            mean = np.asarray(slopes[members].T @ values[members])
            out -= share * np.outer(mean, mean)
        return self._factor**2 * out

    def _move(self, z: Array) -> None:
        """Take the point z as that around which the exponentials are products."""
        values = self._exponents(z)
        self._tops, _ = self._exponentials(values)
        self._kernel.data, self._centre = values, np.array(z)

    def _exponents(self, z: Array) -> Array:
        """The number of each kind whose exponential is summed."""
        values = self._slopes.along(z)
        values *= self._factor
        values += self._logs
        return values

    def _exponentials(self, values: Array) -> tuple[Array, Array]:
        """Their largest of each group and the sums of the exponentials over that, which replace them."""
        tops = np.maximum.reduceat(values, self._first)
        values -= np.repeat(tops, self._sizes)
        np.exp(values, out=values)
        return tops, np.add.reduceat(values, self._first)
