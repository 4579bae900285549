r"""How many bits per weight keep a network within an accuracy, over a box of inputs.

A priori the answer holds for whatever the rounding does within its error: with step :math:`\eta`, the output moves by
at most :math:`P(|\theta| + \rho) - P(|\theta|)`, rho being :math:`\min(\eta / 2, |\theta|)` to nearest and
:math:`\eta` on the support for rounding down, or by :math:`P(|\theta|) - P((|\theta| - \eta)_+)` toward zero; with p
significant bits, by at most :math:`P((1 + u) |\theta|) - P(|\theta|)`, u = 2**-p. A posteriori it is asked of the
rounded network, by the bound U2.

Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from pathgraph.arguments import Inputs, positive
from pathgraph.errors import ParameterError, RangeError
from pathgraph.metrics.parameter_boxes import largest_change
from pathgraph.metrics.parameter_changes import parameter_lipschitz
from pathgraph.quantization.networks import quantize
from pathgraph.quantization.quantizers import FloatFormat, Quantizer, binary_exponent
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, to_fraction
from pathgraph.shown import argument_text

__all__ = ["bits_fixed", "bits_float", "fixed_step"]

Rounding = Literal["nearest", "floor", "toward_zero"]
MOST = 4096
"""Bits beyond which no answer is sought."""


def bits_fixed(
    net: ReluNetwork,
    eps: Any,
    *,
    inputs: Inputs | None = None,
    mode: Rounding = "nearest",
    a_posteriori: bool = False,
) -> int:
    r"""Bits per weight, in fixed point with one step, that keep the output within eps.

    The step is a power of two.

    Parameters
    ----------
    net : Network or LayerGraph
    eps : number > 0
        The accuracy: a bound of the sum over the outputs of the absolute errors, at all inputs in the box.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box; ones by default.
    mode : {"nearest", "floor", "toward_zero"}
    a_posteriori : bool
        Ask of the rounded network, by the bound U2: the fewest bits from which on all larger numbers succeed, too.

    Returns
    -------
    int
        The binary logarithm of the number of levels of absolute value up to the largest parameter, rounded up.

    Raises
    ------
    ParameterError
        On eps that is not > 0, or an unknown mode.
    RangeError
        If 4096 bits are not enough.

    Notes
    -----
    In first order :math:`\log_2 (2 c\, r_{max} S / \varepsilon)` with :math:`S = \sum_i \partial_{|\theta_i|} P`, and
    :math:`r_{max} S \ge \Lambda = \sum_p D_p\, \mathrm{len}(p) |\Phi_p|`, which no rescaling changes: see `equalize`.
    The bound is mostly far from what sampling finds, and the further the deeper the network.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[0.7, -2.2], [1.1, 0.4]], [[0.3, -0.9]]])
    >>> pg.bits_fixed(net, 0.01), pg.bits_fixed(net, 0.01, a_posteriori=True)
    (12, 11)
    """
    step = fixed_step(net, eps, inputs=inputs, mode=mode, a_posteriori=a_posteriori)
    return Quantizer(mode, step).bits(max(map(abs, net.theta.tolist()), default=0))


def fixed_step(
    net: ReluNetwork,
    eps: Any,
    *,
    inputs: Inputs | None = None,
    mode: Rounding = "nearest",
    a_posteriori: bool = False,
) -> Fraction:
    """The largest power of two that is a step which keeps the output within eps.

    It is the step whose bits `bits_fixed` counts.

    Parameters
    ----------
    net : Network or LayerGraph
    eps : number > 0
        The accuracy: a bound of the sum over the outputs of the absolute errors, at all inputs in the box.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box; ones by default.
    mode : {"nearest", "floor", "toward_zero"}
    a_posteriori : bool
        Ask of the rounded network, as in `bits_fixed`.

    Returns
    -------
    Fraction

    Raises
    ------
    ParameterError, RangeError
        As `bits_fixed`.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.fixed_step(pg.from_weights([[[1, 2]]]), 0.5, mode="floor")
    Fraction(1, 4)
    """
    require_network_of_numbers(net, "bits_fixed")
    bound = positive(eps, "eps")
    if mode not in ("nearest", "floor", "toward_zero"):
        raise ParameterError(f"mode: needed 'nearest', 'floor' or 'toward_zero', got {argument_text(mode)}")
    support, sizes = net.theta != 0, _sizes(net)
    largest = to_fraction(sizes.max(initial=0))

    def succeeds(k: int) -> bool:
        move = _scalar(net, Fraction(2) ** -k / (2 if mode == "nearest" else 1))
        rho = np.minimum(move, sizes) if mode == "nearest" else np.where(support, move, sizes * 0)
        found = largest_change(net, rho, inputs=inputs, shrink=mode == "toward_zero")
        return to_fraction(found) <= bound

    def rounded(k: int) -> bool:
        other = quantize(net, Quantizer(mode, Fraction(2) ** -k))
        return _distance(net, other, inputs) <= bound

    first = -(binary_exponent(largest) + 3) if largest else 0  # all is rounded to zero, or by half a step
    k = _least(_guarded(succeeds), first)
    return Fraction(2) ** -(_descended(rounded, k, first) if a_posteriori else k)


def bits_float(
    net: ReluNetwork,
    eps: Any,
    *,
    inputs: Inputs | None = None,
    mode: Literal["nearest", "toward_zero"] = "nearest",
    a_posteriori: bool = False,
) -> int:
    r"""Significant bits, the implicit one counted, that keep the output within eps.

    Neither underflow nor overflow is considered: see `Quantizer` for formats.

    Parameters
    ----------
    net : Network or LayerGraph
    eps : number > 0
        The accuracy: a bound of the sum over the outputs of the absolute errors, at all inputs in the box.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box; ones by default.
    mode : {"nearest", "toward_zero"}
    a_posteriori : bool
        Ask of the rounded network, by the bound U2: the fewest bits from which on all larger numbers succeed, too.

    Returns
    -------
    int
        At least 1. fp32 has 24, fp16 and tf32 11, bf16 8, e4m3 4, e5m2 3.

    Raises
    ------
    ParameterError
        On eps that is not > 0, or an unknown mode.
    RangeError
        If 4096 bits are not enough.

    Notes
    -----
    Invariant under rescaling by powers of two, and in first order :math:`\log_2 (\Lambda / \varepsilon)`: floating
    point attains what fixed point does only for equalised parameters. Never more than
    :math:`\lceil \log_2 (L / \ln(1 + \varepsilon / P)) \rceil` for paths of at most L parameters.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[0.7, -2.2], [1.1, 0.4]], [[0.3, -0.9]]])
    >>> pg.bits_float(net, 0.01), pg.bits_float(pg.rescale(net, {(1, 0): 64, (1, 1): 0.125}), 0.01)
    (9, 9)
    """
    require_network_of_numbers(net, "bits_float")
    bound = positive(eps, "eps")
    if mode not in ("nearest", "toward_zero"):
        raise ParameterError(f"mode: needed 'nearest' or 'toward_zero', got {argument_text(mode)}")
    sizes = _sizes(net)

    def succeeds(p: int) -> bool:
        unit = _scalar(net, Fraction(1, 2 ** (p if mode == "nearest" else p - 1)))
        found = largest_change(net, _kept(sizes * unit, sizes), inputs=inputs, shrink=mode == "toward_zero")
        return to_fraction(found) <= bound

    def rounded(p: int) -> bool:
        kind = FloatFormat(p, -(10**6), math.inf, 0) if net.is_exact else FloatFormat(p, -1000, math.inf, 0)
        return _distance(net, quantize(net, Quantizer(mode, format=kind)), inputs) <= bound

    p = _least(_guarded(succeeds), 1)
    return _descended(rounded, p, 1) if a_posteriori else p


# -- searches -----------------------------------------------------------------------------------------------------


def _least(succeeds: Callable[[int], bool], first: int) -> int:
    """The least integer from `first` on that succeeds, where all larger ones do, too."""
    if succeeds(first):
        return first
    failed, step = first, 1
    while not succeeds(failed + step):
        failed, step = failed + step, 2 * step
        if step > MOST:
            raise RangeError(f"eps: {MOST} bits are not enough; give a larger one, or use net.to_exact()")
    high = failed + step
    while high - failed > 1:
        middle = (failed + high) // 2
        if succeeds(middle):
            high = middle
        else:
            failed = middle
    return high


def _descended(succeeds: Callable[[int], bool], k: int, first: int) -> int:
    """From k, which succeeds a priori, down to the last that succeeds before one fails."""
    while k > first and succeeds(k - 1):
        k -= 1
    return k


def _guarded(succeeds: Callable[[int], bool]) -> Callable[[int], bool]:
    """A bound that leaves the range of floats is larger than any eps."""

    def run(k: int) -> bool:
        try:
            return succeeds(k)
        except RangeError:
            return False

    return run


def _distance(net: ReluNetwork, other: ReluNetwork, inputs: Inputs | None) -> Fraction:
    return to_fraction(parameter_lipschitz(net, other, inputs=inputs, method="meet").upper)


def _sizes(net: ReluNetwork) -> Array:
    """The absolute values of the parameters; in float64 for all floats, lest a change vanish."""
    return np.asarray(abs(net.theta) if net.is_exact else np.abs(net.theta.astype(np.float64)))


def _kept(moves: Array, sizes: Array) -> Array:
    """Changes that are no smaller than asked for: those of floats must not vanish."""
    if moves.dtype == object:
        return moves
    return np.where(sizes != 0, np.maximum(moves, np.finfo(np.float64).tiny), 0.0)


def _scalar(net: ReluNetwork, value: Fraction) -> Any:
    """In the scalars of the network; not less than the value."""
    if net.is_exact:
        return value
    return max(float(value), float(np.finfo(np.float64).tiny))
