r"""Families of patterns, and transforms that are chains of Kronecker-sparse matrices.

The square dyadic patterns :math:`(2^{l-1}, 2, 2, 2^{L-l})`, l = 1, ..., L, of size :math:`n = 2^L` are those of the
fast Fourier and Hadamard transforms: 2 n values each, where the dense matrix has n^2. Monarch patterns are two factors
of sqrt(n)-sized blocks; BLAST chains are blocks of low rank that share their row and column spaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.operands import as_operand
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["bit_reversal", "blast", "dft", "hadamard", "monarch", "square_dyadic"]


def square_dyadic(n: int) -> tuple[KSPattern, ...]:
    r"""The square dyadic patterns of size n: :math:`(2^{l-1}, 2, 2, n / 2^l)` for l = 1, ..., log2(n).

    Parameters
    ----------
    n : int
        A power of two, at least 2.

    Returns
    -------
    tuple of KSPattern
        A chainable sequence; every pair has rank 1, and the product is dense.

    Raises
    ------
    ParameterError
        If n is no power of two, or less than 2.

    References
    ----------
    arXiv 2411.04506.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.square_dyadic(4)
    (KSPattern(1, 2, 2, 2), KSPattern(2, 2, 2, 1))
    """
    levels = _levels(n)
    return tuple(KSPattern(2**level, 2, 2, n >> (level + 1)) for level in range(levels))


def _levels(n: int) -> int:
    natural(n, "n", least=2)
    if n & (n - 1):
        raise ParameterError(f"n: needed a power of two, got {argument_text(n)}")
    return int(n).bit_length() - 1


def monarch(shape: Sequence[int], p: int, q: int, *, rank: int = 1) -> tuple[KSPattern, KSPattern]:
    r"""The two patterns (1, p, q r, M/p) and (q, r M/p, N/q, 1) of Monarch matrices of shape (M, N), for r = `rank`.

    The product consists of M N / (p N/q) = (M/p) q blocks of shape p x N/q and of rank at most r.

    Parameters
    ----------
    shape : (int, int)
        (M, N).
    p : int
        Rows of a block: a divisor of M.
    q : int
        Number of blocks side by side: a divisor of N.
    rank : int

    Returns
    -------
    tuple of two KSPattern
        A chainable pair, left to right.

    Raises
    ------
    ParameterError
        On sizes that are not positive integers, p that does not divide M, or q that does not divide N.

    References
    ----------
    arXiv 2204.00595 for square matrices and rank 1; the general form is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.monarch((1536, 384), 768, 6, rank=32)
    (KSPattern(1, 768, 192, 2), KSPattern(6, 64, 64, 1))
    """
    try:
        rows, columns = (natural(size, "shape", least=1) for size in shape)
    except (TypeError, ValueError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(f"shape: needed two integers, got {argument_text(shape)}") from None
    for size, name, part in ((rows, "p", p), (columns, "q", q)):
        if size % natural(part, name, least=1):
            raise ParameterError(f"{name}: needed a divisor of {argument_text(size)}, got {argument_text(part)}")
    r, d = natural(rank, "rank", least=1), rows // p
    return KSPattern(1, p, q * r, d), KSPattern(q, r * d, columns // q, 1)


def hadamard(n: int, *, dtype: DTypeLike = np.float64) -> KSChain:
    """The Hadamard matrix of size n, entries 1 and -1, as a chain of log2(n) factors; no permutation is needed.

    Parameters
    ----------
    n : int
        A power of two, at least 2.
    dtype : dtype
        object gives Python integers.

    Returns
    -------
    KSChain
        Of the patterns `square_dyadic(n)`.

    Raises
    ------
    ParameterError
        If n is no power of two, or less than 2.

    Notes
    -----
    Sylvester's matrix: the Kronecker power of [[1, 1], [1, -1]]. Its factors have no other values than 1 and -1.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.hadamard(4, dtype=int).toarray()
    array([[ 1,  1,  1,  1],
           [ 1, -1,  1, -1],
           [ 1,  1, -1, -1],
           [ 1, -1, -1,  1]])
    """
    block = np.array([[1, 1], [1, -1]], dtype=object).astype(dtype)
    patterns = square_dyadic(n)
    return KSChain([KSMatrix(np.broadcast_to(block[None, :, :, None], p.values_shape)) for p in patterns])


def dft(n: int, *, dtype: DTypeLike = np.complex128) -> KSChain:
    r"""The discrete Fourier transform of size n, up to the bit reversal of its input, as a chain of log2(n) factors.

    Parameters
    ----------
    n : int
        A power of two, at least 2.
    dtype : {complex128, complex64}

    Returns
    -------
    KSChain
        B with :math:`\mathrm{DFT}_n = B \, P`, where P is the bit reversal: ``dft(n) @ x[bit_reversal(n)]`` is the
        transform :math:`y_j = \sum_k e^{-2 \pi i j k / n} x_k` of x.

    Raises
    ------
    ParameterError
        If n is no power of two, or less than 2; or on a dtype that is not complex.

    Notes
    -----
    The radix-2 factorisation, decimation in time. P would not be sparse in a chain, and is left to indexing. Twiddle
    factors are reduced to the first octant, so that 1, -1, i and -i are exact and symmetries hold to the bit.

    References
    ----------
    J. W. Cooley, J. W. Tukey, An algorithm for the machine calculation of complex Fourier series, 1965.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> x = np.array([1, 2, 3, 4])
    >>> pg.dft(4) @ x[pg.bit_reversal(4)]
    array([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    kind = np.dtype(dtype)
    if kind.kind != "c":
        raise ParameterError(f"dtype: needed a complex type, got {kind}")
    factors = []
    for pattern in square_dyadic(n):
        values = np.ones((1, 2, 2, pattern.d), dtype=kind)
        values[0, 0, 1] = _roots(2 * pattern.d)[: pattern.d]
        values[0, 1, 1] = -values[0, 0, 1]
        factors.append(KSMatrix(np.broadcast_to(values, pattern.values_shape)))
    return KSChain(factors)


def _roots(n: int) -> Array:
    """The powers 0, ..., n - 1 of exp(-2 pi i / n), n a power of two, from angles of at most pi / 4."""
    turn = 8 * np.arange(n) / n  # in octants: exact
    octant = np.floor(turn)
    part = np.where(octant % 2 == 0, turn - octant, octant + 1 - turn)
    c, s = np.cos(part * (np.pi / 4)), np.sin(part * (np.pi / 4))
    c[part == 1] = s[part == 1] = np.sqrt(0.5)
    swapped = np.isin(octant % 4, (1, 2))
    c, s = np.where(swapped, s, c), np.where(swapped, c, s)
    real = np.where(np.isin(octant, (2, 3, 4, 5)), -c, c)
    imaginary = np.where(octant < 4, -s, s)
    return (real + 0.0) + 1j * (imaginary + 0.0)


def bit_reversal(n: int) -> Array:
    """The permutation that reverses the bits of 0, ..., n - 1: the order in which `dft` takes its input.

    Parameters
    ----------
    n : int
        A power of two, at least 2.

    Returns
    -------
    ndarray of int, shape (n,)

    Raises
    ------
    ParameterError
        If n is no power of two, or less than 2.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.bit_reversal(8)
    array([0, 4, 2, 6, 1, 5, 3, 7])
    """
    order = np.zeros(1, dtype=np.int64)
    for _ in range(_levels(n)):
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def blast(left: ArrayLike, coupling: ArrayLike, right: ArrayLike) -> KSChain:
    r"""A block low-rank (BLAST) matrix: blocks :math:`A_{ij} = U_i \, \mathrm{diag}(s_{ij}) \, V_j^T`, as a chain.

    Parameters
    ----------
    left : array_like, shape (m, p, r)
        The :math:`U_i`, of p rows.
    coupling : array_like, shape (m, n, r)
        The :math:`s_{ij}`.
    right : array_like, shape (n, q, r)
        The :math:`V_j`, of q rows.

    Returns
    -------
    KSChain
        Of patterns (m, p, r, 1), (1, m, n, r) and (n, r, q, 1): a matrix of shape (m p, n q).

    Raises
    ------
    ParameterError
        On shapes that do not fit together.

    References
    ----------
    arXiv 2410.21262; the chain is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.blast([[[1], [2]]], [[[10]]], [[[3], [4]]]).toarray().tolist()
    [[30, 40], [60, 80]]
    """
    u, s, v = as_operand(left, "left"), as_operand(coupling, "coupling"), as_operand(right, "right")
    if not u.ndim == s.ndim == v.ndim == 3 or s.shape != (len(u), len(v), u.shape[2]) or v.shape[2] != u.shape[2]:
        raise ParameterError(
            "left, coupling, right: needed shapes (m, p, r), (m, n, r) and (n, q, r), "
            f"got {u.shape}, {s.shape} and {v.shape}"
        )
    values: tuple[Any, ...] = (u[..., None], s[None], v.transpose(0, 2, 1)[..., None])
    return KSChain([KSMatrix(part) for part in values])
