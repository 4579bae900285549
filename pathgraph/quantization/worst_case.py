r"""What the worst fully connected network does: Lipschitz constants of the parameters, and covering numbers.

Layers of widths N_0, ..., N_L have matrices with operator norm at most r on the q-norm, and biases of q-norm at most r;
inputs have q-norm at most D. Two such networks whose parameters differ by at most delta in each entry differ by at most
K delta, in the q-norm, where with :math:`w_\ell = N_\ell^{1/q} N_{\ell-1}^{1-1/q}` and
:math:`\beta_\ell = N_\ell^{1/q}`

.. math:: K_q = \sum_{\ell=1}^{L} r^{L-\ell} (w_\ell Y_{\ell-1} + \beta_\ell), \qquad Y_0 = D, \quad
   Y_\ell = r Y_{\ell-1} + r .

That is the smallest such constant, for every q in [1, inf] and every r > 0: `extremal_pair` attains it in the limit.

Source: derived here; arXiv 2205.11874 has bounds of the orders L r^(L-1) and W L^2 r^(L-1), between which the constant
lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from pathgraph.arguments import exponent, natural, positive
from pathgraph.errors import ParameterError, RangeError
from pathgraph.graph.network import Network
from pathgraph.graph.weights import from_weights
from pathgraph.scalars import Array, to_fraction
from pathgraph.shown import argument_text, number_text

__all__ = ["covering_number", "extremal_pair", "lipschitz_constant"]

BEYOND = "r: a number leaves the range of float64; use Fractions for r and D, and q in {1, inf}"


@contextmanager
def _in_range() -> Iterator[None]:
    """Where a rational beyond the floats meets one, or a result leaves their range: refused by name."""
    try:
        yield
    except RangeError:
        raise
    except OverflowError:
        raise RangeError(BEYOND) from None


@_in_range()
def lipschitz_constant(
    widths: Sequence[int],
    r: Any,
    D: Any = 1,
    q: float = math.inf,
    *,
    r_bias: Any = None,
    biases: bool = True,
) -> Any:
    r"""The Lipschitz constant :math:`K_q` of the parameters of fully connected ReLU networks, exactly.

    Parameters
    ----------
    widths : sequence of int
        (N_0, ..., N_L): inputs, hidden layers, outputs.
    r : number > 0
        The bound of the operator norms of the matrices, and of the norms of the biases.
    D : number >= 0
        The bound of the norms of the inputs; for the box [-a, a]^d it is :math:`a\, d^{1/q}`.
    q : number in [1, inf]
        The norm of inputs, layers and outputs.
    r_bias : number >= 0, optional
        Another bound for the biases.
    biases : bool
        Whether there are biases.

    Returns
    -------
    Fraction or float
        Rational for rational r and D and q in {1, inf}.

    Raises
    ------
    ParameterError
        On widths, r, D or q out of range.
    RangeError
        If the constant leaves the range of floats; rationals have none.

    Notes
    -----
    :math:`\|R_\theta(x) - R_{\theta'}(x)\|_q \le K_q \|\theta - \theta'\|_\infty`. The constant is attained in the
    limit at the input with all entries :math:`D N_0^{-1/q}`. For constant width W and r >= 1 it lies below
    :math:`2 \max(D, 1) W L^2 r^{L-1}`, but not below that without the factor 2, and for r < 1 it is bounded in L while
    :math:`r^{L-1}` is not a bound: the last bias moves the output by itself.

    References
    ----------
    Derived here; the setting is that of arXiv 2205.11874.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.lipschitz_constant([1, 1, 1], r=1), pg.lipschitz_constant([4, 8, 8, 1], r=2)
    (Fraction(5, 1), Fraction(167, 1))
    >>> pg.lipschitz_constant([4, 8, 8, 1], r=2, biases=False)
    Fraction(80, 1)
    """
    sizes, radius, bias_radius, start, q = _arguments(widths, r, D, q, r_bias)
    total, reach = _zero(radius, start), start
    for below, size in pairwise(sizes):
        w, beta = _factor(size, q) * _factor(below, _dual(q)), _factor(size, q)
        total = radius * total + w * reach + (beta if biases else 0)
        reach = radius * reach + (bias_radius if biases else 0)
    if isinstance(total, float) and not math.isfinite(total):
        raise RangeError(BEYOND)
    return total


@_in_range()
def extremal_pair(
    widths: Sequence[int], r: Any, D: Any = 1, q: float = math.inf, *, delta: Any
) -> tuple[Network, Network, Array]:
    r"""Two networks and an input that attain `lipschitz_constant` as delta goes to 0.

    All entries of each matrix, and of each bias, are equal and as large as r allows; in the other network each is less
    by delta.

    Parameters
    ----------
    widths, r, D, q
        As for `lipschitz_constant`.
    delta : number > 0
        At most the smallest entry.

    Returns
    -------
    net, other : Network
        Exact for rational arguments and q in {1, inf}; floats else.
    x : ndarray, shape (N_0,)

    Raises
    ------
    ParameterError
        If delta exceeds an entry.
    RangeError
        If an entry leaves the range of floats; rationals have none.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import pathgraph as pg
    >>> net, other, x = pg.extremal_pair([1, 2, 1], r=1, delta=Fraction(1, 1000))
    >>> (net(x) - other(x))[0] * 1000, pg.lipschitz_constant([1, 2, 1], r=1)
    (Fraction(1749, 250), Fraction(7, 1))
    """
    sizes, radius, _, start, q = _arguments(widths, r, D, q, None)
    step = _number(delta, "delta")
    matrices, vectors = [], []
    for below, size in pairwise(sizes):
        w, beta = _factor(size, q) * _factor(below, _dual(q)), _factor(size, q)
        matrices.append((radius / w, (size, below)))
        vectors.append((radius / beta, (size,)))
    smallest = min(value for value, _ in (*matrices, *vectors))
    if step > smallest:
        raise ParameterError(
            f"delta: needed a number in (0, {number_text(smallest)}], the smallest entry, got {argument_text(delta)}"
        )
    entry = start / _factor(sizes[0], q)
    is_exact = all(isinstance(value, Fraction) for value, _ in matrices) and isinstance(entry, Fraction)
    dtype: Any = object if is_exact and isinstance(step, Fraction) else np.float64

    def filled(value: Any, shape: tuple[int, ...]) -> Array:
        return np.full(shape, value if dtype is object else float(value), dtype=dtype)

    net, other = (
        from_weights(
            [filled(value - less, shape) for value, shape in matrices],
            [filled(value - less, shape) for value, shape in vectors],
            dtype=dtype,
        )
        for less in (0, step)
    )
    return net, other, filled(entry, (sizes[0],))


@_in_range()
def covering_number(
    widths: Sequence[int],
    r: Any,
    eps: Any,
    D: Any = 1,
    q: float = math.inf,
    *,
    n_nonzero: int | None = None,
) -> float:
    r"""A bound of the binary logarithm of the covering number of the functions of these networks.

    Parameters
    ----------
    widths, r, D, q
        As for `lipschitz_constant`.
    eps : number > 0
        The radius of the balls, in the supremum over the inputs.
    n_nonzero : int, optional
        Only networks with at most so many non-zero parameters.

    Returns
    -------
    float
        In bits: :math:`n \log_2 \lceil 2 r K_q / \varepsilon \rceil` for n parameters, and with `n_nonzero` = M
        :math:`\log_2 \sum_{m \le M} \binom{n}{m} + M \log_2 \lceil 2 r K_q / \varepsilon \rceil`.

    Raises
    ------
    ParameterError
        On widths, r, D or q out of range, eps that is not > 0, or a negative `n_nonzero`.
    RangeError
        If the constant leaves the range of floats; rationals have none.

    Notes
    -----
    The centres are networks of the family: the cube of the parameters is cut into cells of side
    :math:`\varepsilon / K_q`, and one network kept of each cell that holds one.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.covering_number([1, 1, 1], r=1, eps=10), pg.covering_number([1, 1, 1], r=1, eps=1, n_nonzero=0)
    (0.0, 0.0)
    >>> round(pg.covering_number([1, 1, 1], r=1, eps=0.625), 9)
    16.0
    """
    accuracy = positive(eps, "eps")
    constant = lipschitz_constant(widths, r, D, q)
    n = sum(size * (below + 1) for below, size in pairwise(widths))
    cells = math.ceil(2 * to_fraction(r) * to_fraction(constant) / accuracy)
    bits = math.log2(max(1, cells))
    if n_nonzero is None:
        return n * bits
    kept = min(n, natural(n_nonzero, "n_nonzero"))
    return math.log2(sum(math.comb(n, m) for m in range(kept + 1))) + kept * bits if kept else 0.0


# -- shared -------------------------------------------------------------------------------------------------------


def _arguments(widths: Any, r: Any, D: Any, q: Any, r_bias: Any) -> tuple[list[int], Any, Any, Any, Any]:
    if isinstance(widths, (str, bytes)) or not isinstance(widths, (Sequence, np.ndarray)) or len(widths) < 2:
        raise ParameterError(f"widths: needed at least two widths (N_0, ..., N_L), got {argument_text(widths)}")
    sizes = [natural(width, "widths", least=1) for width in widths]
    q = exponent(q, "q", least=1)
    radius, start = _number(r, "r"), _number(D, "D", zero=True)
    return sizes, radius, radius if r_bias is None else _number(r_bias, "r_bias", zero=True), start, q


def _number(value: Any, name: str, *, zero: bool = False) -> Any:
    """A number > 0, or >= 0: a rational for integers and rationals, a float for floats."""
    exact = positive(value, name, zero=zero)
    return float(value) if isinstance(value, (float, np.floating)) else exact


def _dual(q: Any) -> Any:
    return math.inf if q == 1 else 1 if q == math.inf else q / (q - 1)


def _factor(n: int, q: Any) -> Any:
    """The power 1 / q of n; the supremum norm gives 1."""
    return Fraction(1) if q == math.inf else Fraction(n) if q == 1 else float(n) ** (1 / q)


def _zero(*numbers: Any) -> Any:
    return 0.0 if any(isinstance(number, float) for number in numbers) else Fraction(0)
