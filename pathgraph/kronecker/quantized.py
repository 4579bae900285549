r"""The best quantization of a rank-one matrix: rescale, then round.

A rank-one matrix is :math:`xy^\top=(\lambda x)(y/\lambda)^\top` for every :math:`\lambda\ne0`, and rounding to p
significant bits does not commute with :math:`\lambda`, unless it is a power of two. So rounding after a good rescaling
is better than rounding to nearest.

*Theorem* (derived here). Among all pairs of vectors of p-bit floating-point numbers, with exponents of any size, some
pair nearest to :math:`xy^\top` in the Frobenius norm, also with positive weights on rows and columns, has the form
:math:`(\mathrm{round}(\lambda x),\mathrm{round}(\mu y))` with :math:`\lambda\in[1,2)` and
:math:`\mu=\langle x,\hat x\rangle/\|\hat x\|^2`. *Proof.* Let :math:`\hat x\ne0`. The squared error is

.. math:: \|x-\mu\hat x\|^2\|y\|^2+\|\hat x\|^2\|\mu y-\hat y\|^2 ,

because :math:`x-\mu\hat x` is orthogonal to :math:`\hat x`; the last norm is least, coordinate by coordinate, for
:math:`\hat y=\mathrm{round}(\mu y)`, however ties are broken. By symmetry, for a given :math:`\hat y\ne0` the vector
:math:`\mathrm{round}(\lambda x)`, with another :math:`\lambda`, is at least as good as any other. So take an optimal
pair, replace its second vector, then its first, then its second again: it stays optimal and has the form claimed.
Negative :math:`\lambda` change both signs; powers of two commute with rounding. (If :math:`\hat y` becomes 0, so is
:math:`\mu y`, and nothing is better than 0; then x or y is 0.) ∎

The vector :math:`\mathrm{round}(\lambda x)` is piecewise constant in :math:`\lambda`, and changes only where
:math:`\lambda|x_i|` is a midpoint of two neighbouring numbers: at :math:`2^{p-1}` places per coordinate. At such a
place either side will do, by the remark on ties. So at most :math:`n2^{p-1}+1` candidates give the optimum. For complex
vectors, whose real and imaginary parts are rounded apart, the theorem holds with complex :math:`\lambda`, by the same
proof; its modulus is searched as above, for a number of angles in :math:`[0,\pi/2)`, since multiplication by i commutes
with rounding. Then the result is as good as the angles.

Source: the idea is that of Gribonval, Mary, Riccietti, Optimal quantization of rank-one matrices in floating-point
arithmetic, with applications to butterfly factorizations, hal-04125381; the statements are derived here.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError, RangeError
from pathgraph.kronecker.rounding import as_numbers, rounded, significant_bits
from pathgraph.scalars import Array
from pathgraph.shown import number_text

__all__ = ["QuantizedPair", "candidates", "pair_costs", "quantize_pair"]

ANGLES = 16
MOST_CANDIDATES = 2**20


@dataclass(frozen=True, eq=False)
class QuantizedPair:
    """Two quantized vectors; the result of `quantize_pair`.

    Attributes
    ----------
    x, y : ndarray
        float64, complex128, or Fractions in object arrays.
    bits : int
        Significant bits.
    squared_error : float or Fraction
        Of the product: the squared Frobenius norm, with the weights.
    exact : bool
        Whether no other pair is better: up to round-off for floats. Not so if not all candidates were tried.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.quantize_pair([5.0, 5.0], [3.0], 2)
    QuantizedPair(2 x 1, 2 bits, squared error 2.0: optimal)
    """

    x: Array
    y: Array
    bits: int
    squared_error: Any
    exact: bool

    @property
    def error(self) -> float:
        """The root of `squared_error`."""
        return math.sqrt(self.squared_error)

    def __repr__(self) -> str:
        known = "optimal" if self.exact else "the best of those tried"
        return (
            f"QuantizedPair({len(self.x)} x {len(self.y)}, {self.bits} bits, squared error "
            f"{number_text(self.squared_error)}: {known})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantizedPair):
            return NotImplemented
        return (
            np.array_equal(self.x, other.x)
            and np.array_equal(self.y, other.y)
            and (self.bits, self.squared_error, self.exact) == (other.bits, other.squared_error, other.exact)
        )

    __hash__ = None  # type: ignore[assignment]


def quantize_pair(
    x: Any,
    y: Any,
    bits: int,
    *,
    row_weights: Any = None,
    column_weights: Any = None,
    max_candidates: int = MOST_CANDIDATES,
) -> QuantizedPair:
    """The vectors of numbers with few significant bits whose outer product is nearest to that of two given ones.

    Parameters
    ----------
    x, y : array_like, shapes (n,) and (m,)
        Floats; complex numbers (the product is ``x y^T``, without a conjugate); or Fractions, for an exact result.
    bits : int
        Significant bits, the leading one counted; the range of exponents is not limited.
    row_weights, column_weights : array_like, shapes (n,) and (m,), optional
        The error is the Frobenius norm after multiplication of rows and columns by these; >= 0.
    max_candidates : int
        If there are more candidates than this, evenly spread ones are tried.

    Returns
    -------
    QuantizedPair

    Raises
    ------
    ParameterError
        On other shapes, NaN, infinities, negative weights.

    Notes
    -----
    The statement and its proof are in the docstring of `pathgraph.kronecker.quantized`. The shorter of the two vectors
    is the one that is rescaled: min(n, m) 2**(bits - 1) + 1 candidates of n + m operations each.

    References
    ----------
    After Gribonval, Mary, Riccietti, hal-04125381; the proof is derived here.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import pathgraph as pg
    >>> pair = pg.quantize_pair([Fraction(5), Fraction(10)], [Fraction(1, 5), Fraction(3, 5)], 2)
    >>> list(map(str, pair.x)), list(map(str, pair.y)), pair.squared_error
    (['8', '16'], ['1/8', '3/8'], Fraction(0, 1))
    """
    first, second = as_numbers(x, "x"), as_numbers(y, "y")
    for name, vector in (("x", first), ("y", second)):
        if vector.ndim != 1:
            raise ParameterError(f"{name}: needed a vector, got shape {vector.shape}")
    if (first.dtype.kind == "O") != (second.dtype.kind == "O"):
        raise ParameterError("x, y: needed floats or Fractions for both; convert one of them")
    natural(max_candidates, "max_candidates", least=1)
    count = significant_bits(bits)
    weights = [
        _weights(given, vector, name)
        for given, vector, name in ((row_weights, first, "row_weights"), (column_weights, second, "column_weights"))
    ]
    kind = np.result_type(first, second)
    vectors, squares = [first.astype(kind)[None], second.astype(kind)[None]], [found[None] for found in weights]
    swapped = len(second) < len(first)
    if swapped:
        vectors, squares = vectors[::-1], squares[::-1]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # what is lost shows in the error
        found, scales, complete = candidates(vectors[0], count, squares[0], max_candidates)
        costs, partners = pair_costs(vectors[0], vectors[1], found, scales, count, squares[0], squares[1])
    best = int(np.argmin(costs[0]))
    result = (found[0, best], partners[0, best])
    total = costs[0, best]
    if first.dtype.kind != "O" and not math.isfinite(float(total)):
        raise RangeError("x, y: the squared error leaves the range of floats; scale the vectors, or use Fractions")
    return QuantizedPair(
        *(result[::-1] if swapped else result), count, total if first.dtype.kind == "O" else float(total), complete
    )


def _weights(given: Any, vector: Array, name: str) -> Array:
    """The squares of the weights."""
    if given is None:
        ones = np.ones(len(vector), dtype=int)
        return ones.astype(object) if vector.dtype.kind == "O" else ones.astype(float)
    found = as_numbers(given, name)
    if found.shape != vector.shape or found.dtype.kind == "c" or (found < 0).any():
        raise ParameterError(f"{name}: needed {len(vector)} real numbers >= 0, got shape {found.shape}")
    if (found.dtype.kind == "O") != (vector.dtype.kind == "O"):
        raise ParameterError(f"{name}: needed floats beside floats and Fractions beside Fractions; convert one of them")
    return found**2


def candidates(x: Array, bits: int, weights: Array, most: int = MOST_CANDIDATES) -> tuple[Array, Array, bool]:
    """For each of some vectors, the vectors round(lam x), and the factor mu of each.

    Parameters
    ----------
    x : ndarray, shape (n, size)
    bits : int
    weights : ndarray, shape (n, size)
        Squares of weights.
    most : int

    Returns
    -------
    vectors : ndarray, shape (n, n_candidates, size)
    scales : ndarray, shape (n, n_candidates)
        The mu for which mu times the candidate is nearest to x.
    complete : bool
        Whether these are all there are.
    """
    turned, complete = [x], x.dtype.kind != "c"
    if x.dtype.kind == "c":
        turned = [x * z for z in np.exp(0.5j * np.pi / ANGLES * np.arange(ANGLES))]
        modulus = abs(x)
        for entry in range(min(x.shape[1], ANGLES)):  # one coordinate becomes real
            size = np.where(modulus[:, entry] == 0, 1, modulus[:, entry])
            turned.append(x * np.where(modulus[:, entry] == 0, 1, x[:, entry].conj() / size)[:, None])
    stacks = []
    for vectors in turned:
        lam, all_of_them = _scalings(vectors, bits, max(1, most // len(turned)))
        complete = complete and all_of_them
        stacks.append(rounded(lam[..., None] * vectors[:, None, :], bits))
    found = np.concatenate(stacks, axis=1)
    weighted = weights[:, None, :] * found.conj()
    inner = (weighted * x[:, None, :]).sum(axis=-1)
    square = (weighted * found).sum(axis=-1)
    square = square if x.dtype.kind == "O" else square.real
    return found, np.where(square == 0, 0, inner / np.where(square == 0, 1, square)), complete


def _scalings(x: Array, bits: int, most: int) -> tuple[Array, bool]:
    """One lam in [1, 2) for each value that round(lam x) takes, up to powers of two: shape (n, n_scalings)."""
    parts = np.concatenate([x.real, x.imag], axis=1) if x.dtype.kind == "c" else x
    number = parts.shape[1] * 2 ** (bits - 1)
    if x.dtype.kind == "O":
        return _exact_scalings(parts, bits)
    if number > most:
        return np.broadcast_to(1 + (np.arange(most) + 0.5) / most, (len(x), most)), False
    mantissa = 2 * np.frexp(abs(parts))[0][..., None]  # in [1, 2), or 0
    midpoints = 1 + (2 * np.arange(2 ** (bits - 1)) + 1) / 2.0**bits
    places = np.where(midpoints >= mantissa, 1, 2) * midpoints / np.where(mantissa == 0, 1, mantissa)
    places = np.where(mantissa == 0, 1, places).reshape(len(x), number)
    ends = np.sort(np.concatenate([np.ones((len(x), 1)), places, np.full((len(x), 1), 2.0)], axis=1), axis=1)
    return (ends[:, 1:] + ends[:, :-1]) / 2, True


def _exact_scalings(x: Array, bits: int) -> tuple[Array, bool]:
    rows = []
    for row in x:
        places = {Fraction(1), Fraction(2)}
        for value in filter(None, row):
            size = abs(value)
            while size >= 2:
                size /= 2
            while size < 1:
                size *= 2
            for k in range(2 ** (bits - 1)):
                midpoint = 1 + Fraction(2 * k + 1, 2**bits)
                places.add(midpoint / size if midpoint >= size else 2 * midpoint / size)
        ordered = sorted(places)
        rows.append([(low + high) / 2 for low, high in itertools.pairwise(ordered)])
    width = max(map(len, rows))
    filled = [row + row[-1:] * (width - len(row)) for row in rows]
    return np.array(filled, dtype=object).reshape(len(rows), width), True


def pair_costs(
    x: Array, y: Array, found: Array, scales: Array, bits: int, row_squares: Array, column_squares: Array
) -> tuple[Array, Array]:
    """The squared errors of the candidates with their best partners, and these partners.

    Parameters
    ----------
    x, y : ndarray, shapes (n, size) and (n, other)
    found, scales : ndarray, shapes (n, n_candidates, size) and (n, n_candidates)
        As from `candidates`.
    bits : int
    row_squares, column_squares : ndarray, shapes (n, size) and (n, other)
        Squares of weights.

    Returns
    -------
    costs : ndarray, shape (n, n_candidates)
    partners : ndarray, shape (n, n_candidates, other)
    """
    wanted = scales[..., None] * y[:, None, :]
    partners = rounded(wanted, bits)
    beside = _mass(x[:, None, :] - scales[..., None] * found, row_squares) * _mass(y[:, None, :], column_squares)
    return beside + _mass(found, row_squares) * _mass(wanted - partners, column_squares), partners


def _mass(vectors: Array, squares: Array) -> Array:
    """Weighted squared norms of the last axis."""
    moduli = vectors * vectors if vectors.dtype.kind == "O" else vectors.real**2 + vectors.imag**2
    return np.asarray((squares[:, None, :] * moduli).sum(axis=-1))
