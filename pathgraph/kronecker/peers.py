"""Kronecker-sparse matrices from the layouts and orders of other libraries, as arrays; none of them is imported.

===================  ===========================  ==============================================================
layout               shape                        from the values w of shape (a, b, c, d)
===================  ===========================  ==============================================================
``"canonical"``      (a, b, c, d)                 w: the public weights of ksmm and lazylinop, and of this library
``"adbc"``           (a, d, b, c)                 ``w.transpose(0, 3, 1, 2)``: lazylinop's own storage
``"bmm"``            (a d, b, c)                  the same with the first axes merged: stacks for batched products
``"kernel"``         (a d c, b)                   ``w.transpose(0, 3, 2, 1)`` merged: ksmm's CUDA kernel
===================  ===========================  ==============================================================

Chains are written left to right here and in lazylinop, right to left (in the order of application) in ksmm.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.errors import ParameterError
from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.operands import as_operand
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = [
    "from_blockdiag_butterfly",
    "from_butterfly",
    "from_ksmm",
    "from_layout",
    "from_lazylinop",
    "to_layout",
]

LAYOUTS = {"canonical": (0, 1, 2, 3), "adbc": (0, 3, 1, 2), "bmm": (0, 3, 1, 2), "kernel": (0, 3, 2, 1)}
"""The order in which each layout has the axes (a, b, c, d)."""


def from_layout(array: ArrayLike, pattern: KSPattern, layout: str = "canonical") -> KSMatrix:
    """The matrix whose values come in some layout.

    Parameters
    ----------
    array : array_like
        Of the shape that the table of this module gives.
    pattern : KSPattern
    layout : {"canonical", "adbc", "bmm", "kernel"}

    Returns
    -------
    KSMatrix

    Raises
    ------
    ParameterError
        On an unknown layout, or another shape than it has.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.kronecker.peers import from_layout
    >>> from_layout([[[1, 2]], [[3, 4]]], pg.KSPattern(1, 1, 2, 2), "bmm").values.tolist()
    [[[[1, 3], [2, 4]]]]
    """
    order = _axes(layout)
    if not isinstance(pattern, KSPattern):
        raise ParameterError(f"pattern: needed a KSPattern, got {argument_text(pattern)}")
    values = as_operand(array, "array")
    needed = _shape(pattern, layout)
    if values.shape != needed:
        raise ParameterError(f"array: needed shape {needed} in the layout {layout!r} of {pattern}, got {values.shape}")
    sizes = [pattern.values_shape[axis] for axis in order]
    return KSMatrix(values.reshape(sizes).transpose(np.argsort(order).tolist()))


def to_layout(matrix: KSMatrix, layout: str = "canonical") -> Array:
    """The values of a matrix in some layout, as a new array.

    Parameters
    ----------
    matrix : KSMatrix
    layout : {"canonical", "adbc", "bmm", "kernel"}

    Returns
    -------
    ndarray
        Of the shape that the table of this module gives.

    Raises
    ------
    ParameterError
        On an unknown layout.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.kronecker.peers import to_layout
    >>> to_layout(pg.KSMatrix([[[[1, 3], [2, 4]]]]), "kernel").tolist()
    [[1], [2], [3], [4]]
    """
    ordered = np.array(matrix.values.transpose(_axes(layout)), order="C")
    return ordered.reshape(_shape(matrix.pattern, layout))


def _axes(layout: str) -> tuple[int, ...]:
    if layout not in LAYOUTS:
        raise ParameterError(f"layout: needed one of {', '.join(map(repr, LAYOUTS))}, got {argument_text(layout)}")
    return LAYOUTS[layout]


def _shape(pattern: KSPattern, layout: str) -> tuple[int, ...]:
    a, b, c, d = pattern
    return {"canonical": (a, b, c, d), "adbc": (a, d, b, c), "bmm": (a * d, b, c), "kernel": (a * d * c, b)}[layout]


def from_ksmm(
    weights: Sequence[ArrayLike],
    patterns: Sequence[KSPattern | tuple[int, ...]] | None = None,
    layout: str = "canonical",
) -> KSChain:
    """The chain of the factors of a ksmm layer, which lists them right to left.

    Parameters
    ----------
    weights : sequence of array_like
        The first one is applied first.
    patterns : sequence of KSPattern or (a, b, c, d), optional
        In the same order; needed in other layouts than the canonical one.
    layout : {"canonical", "adbc", "bmm", "kernel"}

    Returns
    -------
    KSChain

    Raises
    ------
    ParameterError
        On an unknown layout, shapes that it does not have, or missing patterns.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.kronecker.peers import from_ksmm
    >>> from_ksmm([np.ones((2, 2, 2, 1)), np.ones((1, 2, 2, 2))]).patterns
    (KSPattern(1, 2, 2, 2), KSPattern(2, 2, 2, 1))
    """
    listed = list(weights)
    if patterns is None:
        if layout != "canonical":
            raise ParameterError(
                f"patterns: needed with the layout {layout!r}, whose shapes do not tell them, got None"
            )
        return KSChain([KSMatrix(array) for array in reversed(listed)])
    known = [pattern if isinstance(pattern, KSPattern) else KSPattern(*pattern) for pattern in patterns]
    if len(known) != len(listed):
        raise ParameterError(f"patterns: needed {len(listed)}, one per weight, got {len(known)}")
    pairs = zip(reversed(listed), reversed(known), strict=True)
    return KSChain([from_layout(array, pattern, layout) for array, pattern in pairs])


def from_lazylinop(operator: Any) -> KSChain:
    """The chain of a lazylinop operator, or of its list of values, left to right.

    Parameters
    ----------
    operator : object with `ks_values`, or sequence of array_like of shape (a, b, c, d)

    Returns
    -------
    KSChain

    Raises
    ------
    ParameterError
        On values with other than four axes, or factors whose sizes do not meet.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.kronecker.peers import from_lazylinop
    >>> from_lazylinop([np.ones((1, 2, 2, 2)), np.ones((2, 2, 2, 1))]).patterns
    (KSPattern(1, 2, 2, 2), KSPattern(2, 2, 2, 1))
    """
    values = getattr(operator, "ks_values", operator)
    if isinstance(values, np.ndarray) and values.ndim == 4 and values.dtype.kind != "O":
        values = [values]
    return KSChain([KSMatrix(array) for array in values])


def from_butterfly(twiddle: ArrayLike, *, increasing_stride: bool = True) -> KSChain:
    """The chain of the twiddle factors of a HazyResearch butterfly layer.

    Parameters
    ----------
    twiddle : array_like, shape (1, n_blocks, log2(n), n / 2, 2, 2)
        One stack; the blocks are applied one after the other, with strides that grow and shrink in turns.
    increasing_stride : bool
        Whether the first block starts with stride 1.

    Returns
    -------
    KSChain

    Raises
    ------
    ParameterError
        On another shape, such as several stacks: each of them is a chain of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.kronecker.peers import from_butterfly
    >>> from_butterfly(np.ones((1, 1, 2, 2, 2, 2))).patterns
    (KSPattern(1, 2, 2, 2), KSPattern(2, 2, 2, 1))
    """
    values = as_operand(twiddle, "twiddle")
    levels = values.shape[2] if values.ndim == 6 else 0
    if not levels or values.shape[0] != 1 or not values.shape[1] or values.shape[3:] != (2**levels // 2, 2, 2):
        raise ParameterError(
            "twiddle: needed shape (1, n_blocks, log2(n), n / 2, 2, 2), one stack of at least one block, "
            f"got {values.shape}"
        )
    applied = []
    for block, is_increasing in zip(values[0], cycle((increasing_stride, not increasing_stride)), strict=False):
        for place, level in enumerate(range(levels) if is_increasing else reversed(range(levels))):
            pairs = block[place].reshape(2 ** (levels - 1 - level), 2**level, 2, 2)
            applied.append(KSMatrix(pairs.transpose(0, 2, 3, 1)))
    return KSChain(applied[::-1])


def from_blockdiag_butterfly(first: ArrayLike, second: ArrayLike) -> KSChain:
    """The chain of a HazyResearch Monarch layer: two block-diagonal matrices with permutations around the second.

    Parameters
    ----------
    first : array_like, shape (k, q, p)
        The blocks that are applied first.
    second : array_like, shape (l, s, r)
        With l r = k q.

    Returns
    -------
    KSChain
        Of patterns (1, s, r, l) and (k, q, p, 1).

    Raises
    ------
    ParameterError
        On arrays with other than three axes, or sizes that do not meet.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.kronecker.peers import from_blockdiag_butterfly
    >>> from_blockdiag_butterfly(np.ones((2, 3, 4)), np.ones((3, 5, 2))).patterns
    (KSPattern(1, 5, 2, 3), KSPattern(2, 3, 4, 1))
    """
    right, left = as_operand(first, "first"), as_operand(second, "second")
    for array, name in ((right, "first"), (left, "second")):
        if array.ndim != 3:
            raise ParameterError(f"{name}: needed three axes, got shape {array.shape}")
    return KSChain([KSMatrix(left.transpose(1, 2, 0)[None]), KSMatrix(right[..., None])])
