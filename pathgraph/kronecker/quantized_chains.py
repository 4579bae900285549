r"""Kronecker-sparse chains with few significant bits per number: rescale the inner indices, then round.

In a chain whose cuts have rank 1, each inner index links one column of the left factor with one row of the right one,
and the outer products of these have disjoint supports. The product does not change if the column is multiplied by a
number and the row divided by it. There are about as many such numbers as half of the values: they are free, and decide
how well the values are rounded.

All methods are compared by the error of the product, since factors are not unique.

* ``"nearest"`` rounds every value.
* ``"scaling-aware"`` goes from left to right. At a cut, each column is replaced by the best quantization of its
  *direction*, and its row takes the factor over; the last cut quantizes both sides, by the optimal rank-one
  quantization. The weights of rows and columns are the norms of the columns and rows of the factors around them.
* ``"alternate"`` improves on that result: at a cut, with all other factors as they are, the best column and row of each
  inner index are sought again, until nothing improves or for a number of sweeps. The error never increases.

That the weights give the global error is again the disjointness of the blocks: if L and R are the products of the
factors on the two sides, the columns of L that meet one block have disjoint supports, and so have the rows of R; so the
squared error is a constant plus the sum over blocks of :math:`g_j^2h_k^2|B_{jk}-\hat x_j\hat y_k|^2`, with the norms g
and h of the columns of L and the rows of R, and :math:`B_{jk}=\langle L_jR_k,A\rangle/(g_jh_k)^2`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.cuts import Cut, product_of, span
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.quantized import candidates, pair_costs
from pathgraph.kronecker.rounding import as_numbers, rounded, significant_bits
from pathgraph.kronecker.sequences import Patterns, chainable_sequence
from pathgraph.scalars import Array
from pathgraph.shown import argument_text, number_text

__all__ = ["QuantizedChain", "quantize_chain"]

METHODS = ("nearest", "scaling-aware", "alternate")
CHUNK = 2**22
"""Numbers that are held at a time."""


@dataclass(frozen=True, eq=False)
class QuantizedChain:
    """Quantized factors; the result of `quantize_chain`.

    Attributes
    ----------
    factors : tuple of KSMatrix
        From left to right, float64 or complex128.
    bits : int
        Significant bits of each number, and of each real and imaginary part.
    method : str
    error : float
        The Frobenius norm of the difference of the products.
    norm : float
        The Frobenius norm of the product of the given chain.
    sweeps : int
        How many sweeps were made; 0 unless the method is "alternate".

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.quantize_chain(pg.hadamard(4), 1)
    QuantizedChain(2 factors, 1 bits, scaling-aware, relative error 0.0)
    """

    factors: tuple[KSMatrix, ...]
    bits: int
    method: str
    error: float
    norm: float
    sweeps: int = 0

    @property
    def patterns(self) -> Patterns:
        """The patterns of the factors."""
        return tuple(factor.pattern for factor in self.factors)

    @property
    def chain(self) -> KSChain:
        """The factors as a `KSChain`."""
        return KSChain(self.factors)

    @property
    def relative_error(self) -> float:
        """The error over the norm of the product; 0 for a product that is 0."""
        return self.error / self.norm if self.norm else self.error

    def __repr__(self) -> str:
        return (
            f"QuantizedChain({len(self.factors)} factors, {self.bits} bits, {self.method}, relative error "
            f"{number_text(self.relative_error, 3)})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantizedChain):
            return NotImplemented
        numbers = ("bits", "method", "error", "norm", "sweeps", "patterns")
        return all(getattr(self, name) == getattr(other, name) for name in numbers) and all(
            np.array_equal(mine.values, its.values) for mine, its in zip(self.factors, other.factors, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


def quantize_chain(
    chain: Any, bits: int, method: str = "scaling-aware", *, sweeps: int = 4, max_candidates: int = 2**12
) -> QuantizedChain:
    """A chain of numbers with few significant bits, whose product is close to that of a given one.

    Parameters
    ----------
    chain : KSChain, or sequence of KSMatrix
        Real or complex floats.
    bits : int
        Significant bits, the leading one counted; the range of exponents is not limited.
    method : {"scaling-aware", "alternate", "nearest"}
        As in the docstring of this module.
    sweeps : int
        Of the method "alternate", at most; one goes over all cuts from right to left and back.
    max_candidates : int
        Scalings tried per column, at most; evenly spread if there are more places where its rounding changes.

    Returns
    -------
    QuantizedChain

    Raises
    ------
    ParameterError
        On cuts of rank above 1 (not for "nearest"), on what is no chain, NaN, infinities, and wrong options.

    Notes
    -----
    Time per cut: the number of inner indices times that of the candidates, times b + c; "alternate" also needs the
    dense product and multiplies it by the factors at each cut.

    References
    ----------
    After Gribonval, Mary, Riccietti, hal-04125381; the weights and the sweeps are derived here.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> left = pg.KSMatrix(np.array([5.0, 10.0]).reshape(1, 2, 1, 1))
    >>> right = pg.KSMatrix(np.array([0.2, 0.6]).reshape(1, 1, 2, 1))
    >>> pg.quantize_chain([left, right], 2, "nearest")
    QuantizedChain(2 factors, 2 bits, nearest, relative error 0.326)
    >>> pg.quantize_chain([left, right], 2).relative_error < 1e-15
    True
    """
    if method not in METHODS:
        raise ParameterError(f"method: needed one of {', '.join(map(repr, METHODS))}, got {argument_text(method)}")
    precision = significant_bits(bits)
    natural(sweeps, "sweeps", least=0)
    natural(max_candidates, "max_candidates", least=1)
    patterns, factors = _read(chain)
    cuts = [Cut(left, right) for left, right in itertools.pairwise(patterns)]
    if method != "nearest":
        for place, cut in enumerate(cuts, 1):
            if cut.rank != 1:
                raise ParameterError(
                    f"chain: needed cuts of rank 1, got rank {cut.rank} at cut {place}, between {cut.left} and "
                    f"{cut.right}; its products have no pairs with disjoint supports, so use method='nearest'"
                )
    product = product_of(patterns, factors)
    if method == "nearest" or not cuts:
        found, made = [rounded(factor, precision) for factor in factors], 0
    else:
        found, made = _left_to_right(cuts, factors, precision, max_candidates), 0
    if method == "alternate" and cuts:
        made = _improve(patterns, found, product, precision, max_candidates, sweeps)
    error = float(np.linalg.norm((product - product_of(patterns, found)).ravel()))
    return QuantizedChain(
        tuple(map(KSMatrix, found)), precision, method, error, float(np.linalg.norm(product.ravel())), made
    )


def _read(chain: Any) -> tuple[Patterns, list[Array]]:
    matrices = getattr(chain, "factors", chain)
    if not isinstance(matrices, Sequence) or not all(isinstance(matrix, KSMatrix) for matrix in matrices):
        raise ParameterError(f"chain: needed a KSChain, or a sequence of KSMatrix, got {type(chain).__name__}")
    patterns = chainable_sequence([matrix.pattern for matrix in matrices])
    factors = [as_numbers(matrix.values, f"chain: factor {n}") for n, matrix in enumerate(matrices, 1)]
    for n, factor in enumerate(factors, 1):
        if factor.dtype.kind == "O":
            raise ParameterError(f"chain: factor {n}: needed floats, got exact numbers; convert with .astype(float)")
    kind = np.result_type(*factors)
    return patterns, [factor.astype(kind) for factor in factors]


# -- weights: squared norms of the columns of a product from the left, of its rows from the right ----------------------


def _through(factor: Array, squares: Array) -> Array:
    """Squared norms of the columns of a product, from those without its last factor, whose cut has rank 1."""
    a, b, _, d = factor.shape
    return np.asarray(np.einsum("ijl,ijkl->ikl", squares.reshape(a, b, d), abs(factor) ** 2)).ravel()


def _before(factor: Array, squares: Array) -> Array:
    """Squared norms of the rows of a product, from those without its first factor."""
    a, _, c, d = factor.shape
    return np.asarray(np.einsum("ikl,ijkl->ijl", squares.reshape(a, c, d), abs(factor) ** 2)).ravel()


def _row_squares(cut: Cut, squares: Array) -> Array:
    """Weights of the rows of the left factor, as weights of the entries of each column: shape (n, b)."""
    a, b, c, d = cut.left
    spread = np.broadcast_to(squares.reshape(a, b, 1, d), (a, b, c, d))
    return cut.columns(spread)[..., 0].reshape(-1, b)


def _column_squares(cut: Cut, squares: Array) -> Array:
    """Weights of the columns of the right factor, as weights of the entries of each row: shape (n, c)."""
    a, b, c, d = cut.right
    spread = np.broadcast_to(squares.reshape(a, 1, c, d), (a, b, c, d))
    return cut.rows(spread)[..., 0, :].reshape(-1, c)


def _pairs(cut: Cut, left: Array, right: Array) -> tuple[Array, Array]:
    """The columns of the left factor and the rows of the right one, one per inner index: shapes (n, b), (n, c)."""
    return cut.columns(left)[..., 0].reshape(-1, cut.left.b), cut.rows(right)[..., 0, :].reshape(-1, cut.right.c)


def _replaced(cut: Cut, columns: Array, rows: Array) -> tuple[Array, Array]:
    """The factors with these columns and rows."""
    return (
        cut.left_values(columns.reshape(*cut.groups, cut.left.b, 1)),
        cut.right_values(rows.reshape(*cut.groups, 1, cut.right.c)),
    )


def _simplest_of_exact(costs: Array, found: Array, mass: Array, bits: int) -> Array:
    """The costs, in which candidates that are exact up to round-off cost what decides between them.

    They have the direction of the column, so all are right here; small integers leave more to what follows.
    """
    parts = np.ascontiguousarray(found).view(np.float64) if found.dtype.kind == "c" else found
    mantissas = np.ldexp(np.frexp(abs(parts))[0], bits).astype(np.int64)
    odd = mantissas // np.maximum(mantissas & -mantissas, 1)
    exact = costs <= 2.0**-96 * mass[:, None]  # squares of a few roundings
    return np.where(exact, 2.0**-160 * mass[:, None] * odd.sum(axis=-1), costs)


def _chunks(total: int, each: int) -> list[slice]:
    step = max(1, CHUNK // max(1, each))
    return [slice(start, start + step) for start in range(0, total, step)]


# -- from left to right ------------------------------------------------------------------------------------------------


def _left_to_right(cuts: list[Cut], factors: list[Array], bits: int, most: int) -> list[Array]:
    done = list(factors)
    squares = np.ones(cuts[0].left.shape[0])
    behind = np.ones(cuts[-1].right.shape[1])
    for place, cut in enumerate(cuts):
        columns, rows = _pairs(cut, done[place], done[place + 1])
        columns, rows = columns.copy(), rows.copy()
        weights = _row_squares(cut, squares)
        last = place == len(cuts) - 1
        others = _column_squares(cut, behind) if last else np.ones(rows.shape)
        for part in _chunks(len(columns), min(most, columns.shape[1] * 2 ** (bits - 1)) * sum(cut.block_shape)):
            found, scales, _ = candidates(columns[part], bits, weights[part], most)
            if last:
                costs, partners = pair_costs(
                    columns[part], rows[part], found, scales, bits, weights[part], others[part]
                )
            else:
                apart = columns[part][:, None, :] - scales[..., None] * found
                costs = (weights[part][:, None, :] * abs(apart) ** 2).sum(axis=-1)
                mass = (weights[part] * abs(columns[part]) ** 2).sum(axis=-1)
                costs = _simplest_of_exact(costs, found, mass, bits)
            best = np.argmin(costs, axis=1)
            each = np.arange(len(best))
            columns[part] = found[each, best]
            rows[part] = partners[each, best] if last else scales[each, best][:, None] * rows[part]
        done[place], done[place + 1] = _replaced(cut, columns, rows)
        squares = _through(done[place], squares)
    return done


# -- improvement -------------------------------------------------------------------------------------------------------


def _improve(patterns: Patterns, found: list[Array], product: Array, bits: int, most: int, sweeps: int) -> int:
    """Improve the factors in place, cut by cut; returns the number of sweeps made."""
    count = len(patterns) - 1
    order = [*range(count - 1, -1, -1), *range(1, count)]
    for sweep in range(sweeps):
        changed = [_improve_cut(patterns, found, product, place, bits, most) for place in order]
        if not any(changed):
            return sweep + 1
    return sweeps


def _improve_cut(patterns: Patterns, found: list[Array], product: Array, place: int, bits: int, most: int) -> bool:
    """Seek the best columns and rows at one cut, with the other factors as they are; whether any changed."""
    cut = Cut(patterns[place], patterns[place + 1])
    inner, squares, behind = product, np.ones(cut.left.shape[0]), np.ones(cut.right.shape[1])
    if place:
        before = product_of(patterns[:place], found[:place])
        outer = Cut(span(patterns[:place]), span(patterns[place:]))
        inner = outer.right_values(outer.columns(before).conj().swapaxes(-1, -2) @ outer.blocks(inner))
        squares = np.ones(span(patterns[:place]).shape[0])
        for factor in found[:place]:
            squares = _through(factor, squares)
    rest = patterns[place:]
    if len(rest) > 2:
        after = product_of(rest[2:], found[place + 2 :])
        outer = Cut(span(rest[:2]), span(rest[2:]))
        inner = outer.left_values(outer.blocks(inner) @ outer.rows(after).conj().swapaxes(-1, -2))
        behind = np.ones(rest[-1].shape[1])
        for factor in reversed(found[place + 2 :]):
            behind = _before(factor, behind)
    b, c = cut.block_shape
    weights, others = _row_squares(cut, squares), _column_squares(cut, behind)
    both = weights[:, :, None] * others[:, None, :]
    wanted = np.divide(
        cut.blocks(inner).reshape(-1, b, c), both, out=np.zeros((len(both), b, c), inner.dtype), where=both > 0
    )
    columns, rows = (array.copy() for array in _pairs(cut, found[place], found[place + 1]))
    changed = False
    for part in _chunks(len(columns), (min(most, b * 2 ** (bits - 1)) + 1) * b * c):
        g, h, target = weights[part], others[part], wanted[part]
        first = np.linalg.svd(np.sqrt(both[part]) * target, full_matrices=False)[0][..., 0]
        seeds = first / np.sqrt(np.where(g > 0, g, 1))
        tried, _, _ = candidates(seeds, bits, g, most)
        tried = np.concatenate([columns[part][:, None, :], tried], axis=1)
        weighted = g[:, None, :] * tried.conj()
        masses = (weighted * tried).sum(axis=-1).real
        partners = rounded((weighted @ target) / np.where(masses > 0, masses, 1)[..., None], bits)
        partners[:, 0] = rows[part]
        costs = np.empty(tried.shape[:2])
        for n in range(b):
            apart = abs(target[:, None, n, :] - tried[..., n, None] * partners) ** 2
            costs = (0 if n == 0 else costs) + g[:, n, None] * (h[:, None, :] * apart).sum(axis=-1)
        best = np.argmin(costs, axis=1)
        each = np.arange(len(best))
        better = costs[each, best] < costs[:, 0]
        changed = changed or bool(better.any())
        columns[part][better] = tried[each, best][better]
        rows[part][better] = partners[each, best][better]
    found[place], found[place + 1] = _replaced(cut, columns, rows)
    return changed
