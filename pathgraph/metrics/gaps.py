r"""The change of path sums between two parameters, by recursions on the error and not by subtraction.

For non-negative entries m <= w, edge by edge, the sum pass of w exceeds the one of m by the last state of

.. math:: s_v = \sum_u m_{uv}\, s_u , \qquad e_v = \sum_u w_{uv}\, e_u + (w_{uv} - m_{uv})\, s_u ,

a sum of non-negative terms, which floats compute with the relative accuracy of a norm however close w and m are. With
other entries in the place of w - m the same three terms make every bound of `pathgraph.metrics.path_metrics`. The start
vector holds the weights of the inputs; the constant starts at 1, every error at 0.

Entries come as one array per tensor, of whatever network: these functions look at nothing but its blocks.

Source: derived here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pathgraph.pathsum import engine_pairs
from pathgraph.pathsum.blocks import CONSTANT, BlockNetwork
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.flat import FlatTensors, mapped
from pathgraph.pathsum.preparation import choose_backend, is_safe
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_absolute, scaled_sum
from pathgraph.pathsum.semirings import REAL, SCALED
from pathgraph.pathsum.sweep import Pools, Term, sweep
from pathgraph.resolutions import is_streamed
from pathgraph.scalars import Array, object_array, to_fraction

__all__ = [
    "Entries",
    "GapStates",
    "distance",
    "fallen_back",
    "gamma",
    "gap_sweep",
    "masked",
    "may_be_exact",
    "meet",
    "meet_sweep",
    "power_sweep",
    "roundings",
    "to_rationals",
    "total",
    "zeros",
]

Entries: TypeAlias = "Sequence[Array]"
"""One array per tensor of a network."""

MAX_EXACT = 100_000
"""Float networks with more entries are not computed in rationals where floats do not suffice."""


class GapStates(NamedTuple):
    """What a sweep of this module leaves at the outputs.

    Attributes
    ----------
    states : ndarray, shape (n_states, n_outputs)
    in_range : bool
        Whether floats stayed clear of the ends of their range; True for other scalars.
    """

    states: Array
    in_range: bool


def gap_sweep(
    net: BlockNetwork, small: Entries, apart: Entries, large: Entries, start: Array, *, pools: Pools = "sum"
) -> GapStates:
    r"""The states (s, e): ``s_v = sum small s_u`` and ``e_v = sum large e_u + apart s_u``.

    For ``apart = large - small`` >= 0, e is the sum pass of `large` minus the one of `small`. For ``large = |w|``,
    ``apart = |w - w'|``, ``small = |w'|`` it is the telescoped bound U4; and with ``pools="max"``, which takes at each
    pool the largest candidate ``large e_u + apart s_u`` and the largest ``small s_u``, the bound that pools sharpen.

    Parameters
    ----------
    net : network
        At either resolution; only its structure is read.
    small, apart, large : sequence of ndarray
        Non-negative entries, one array per tensor: floats, rationals, or scaled numbers.
    start : ndarray, shape (n_inputs,)
        Weights of the inputs. The sweep runs in its scalars: float32 or float64, rationals, or scaled numbers.
    pools : {"sum", "max"}
        "max" needs floats or rationals.

    Notes
    -----
    Three multiplications and additions per edge. Summands are non-negative, so the relative error of float states is
    that of a norm, plus the one of `apart` itself: one rounding.
    """
    if _is_compiled(net, start, small, apart, large):
        x, in_range = engine_pairs.gap(net, small, apart, large, _start(net, start, 2), largest=pools == "max")
        return GapStates(x[:, net.dag.outputs], in_range)
    terms: list[Term] = [(small, _move(2, 0, 0)), (apart, _move(2, 0, 1)), (large, _move(2, 1, 1))]
    return _swept(net, terms, start, states=2, pools=pools, is_non_negative=True)


def meet_sweep(net: BlockNetwork, ours: Entries, theirs: Entries, start: Array) -> GapStates:
    r"""The states (s, e, e'): the sum pass s of the meet m of both networks, and what each exceeds it by.

    The meet of two entries is the smaller absolute value if their signs agree, else 0. Here
    ``s_v = sum m s_u``, ``e_v = sum |w| e_u + (|w| - m) s_u`` and ``e'_v = sum |w'| e'_u + (|w'| - m) s_u``, hence
    P(w) = s + e, P(w') = s + e', the bound U2 is e + e', and P(w) - P(w') = e - e'.

    Parameters are those of `gap_sweep`, with the signed entries of the two networks.
    """
    if _is_compiled(net, start, ours, theirs):
        x, in_range = engine_pairs.meet(net, ours, theirs, _start(net, start, 3))
        return GapStates(x[:, net.dag.outputs], in_range)
    small = mapped(meet, ours, theirs)
    terms: list[Term] = [(small, _move(3, 0, 0))]
    for state, entries in ((1, ours), (2, theirs)):
        large = mapped(abs, entries)
        apart = mapped(operator.sub, large, small)
        terms += [(apart, _move(3, 0, state)), (large, _move(3, state, state))]
    return _swept(net, terms, start, states=3, is_non_negative=True)


def power_sweep(net: BlockNetwork, ours: Entries, theirs: Entries, start: Array, q: int) -> tuple[GapStates, GapStates]:
    r"""The sums over the paths of :math:`d^j\,\Phi_p(\theta')^{q-j}`, j = 0, ..., q, where d is the change of the path.

    Appending an edge turns d into ``w d + (w - w') Phi'``, so that state j is fed by the states i <= j with the entries
    ``binomial(j, i) w**i (w - w')**(j - i) w'**(q - j)``. The last state is the q-th power of the metric.

    Parameters are those of `meet_sweep`, in floats, and an even q.

    Returns
    -------
    sums, masses : GapStates
        Shape (q + 1, n_outputs): the same sums with every term made positive say how much has cancelled.
    """
    terms: list[Term] = []
    sizes: list[Term] = []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        apart = [a - b for a, b in zip(ours, theirs, strict=True)]
        powers = start**q
        for j in range(q + 1):
            for i in range(j + 1):
                values = [
                    math.comb(j, i) * a**i * d ** (j - i) * b ** (q - j)
                    for a, d, b in zip(ours, apart, theirs, strict=True)
                ]
                terms.append((values, _move(q + 1, i, j)))
                sizes.append(([np.abs(w) for w in values], _move(q + 1, i, j)))
    factors = np.concatenate([np.abs(w).ravel() for w in (start, *ours, *apart, *theirs)])
    bits = np.log2(factors[factors != 0])
    kept = bool((np.abs(bits) < 1000 / q).all())  # else a product of q factors may overflow or vanish
    sums = _swept(net, terms, powers, states=q + 1)
    masses = _swept(net, sizes, powers, states=q + 1)
    return GapStates(sums.states, kept and sums.in_range), GapStates(masses.states, kept and masses.in_range)


def zeros(w: Array) -> Array:
    """Zeros of the kind of finite numbers w: `np.zeros_like` would put integers among rationals."""
    return np.asarray(w - w)


def meet(a: Array, b: Array) -> Array:
    """The smaller absolute value where the signs agree, else 0."""
    differ = ((a < 0) & (b > 0)) | ((a > 0) & (b < 0))
    small = np.minimum(abs(a), abs(b))
    return np.asarray(np.where(differ, zeros(small), small))


def distance(a: Array, b: Array) -> Array:
    """The absolute values of a - b: scaled numbers for scaled numbers, and where floats would overflow."""
    if a.dtype == SCALED_DTYPE:
        minus_b = b.copy()
        minus_b["mantissa"] = -b["mantissa"]
        apart = scaled_sum(a, minus_b)
    else:
        apart = total(a, -b)
    return scaled_absolute(apart) if apart.dtype == SCALED_DTYPE else np.asarray(abs(apart))


def total(a: Array, b: Array) -> Array:
    """The sums a + b; as scaled numbers if one of them is scaled, or where floats would overflow."""
    if SCALED_DTYPE in (a.dtype, b.dtype):
        return scaled_sum(scaled(a), scaled(b))
    if a.dtype == object:
        return np.asarray(a + b)
    with np.errstate(over="ignore"):
        out = np.asarray(a + b)
    return out if np.isfinite(out).all() else scaled_sum(scaled(a), scaled(b))


def masked(entries: Entries, keep: Entries | None) -> list[Array]:
    """The entries, with zeros where `keep` is False."""
    if keep is None:
        return list(entries)
    return [np.where(mask, w, zeros(w)) for w, mask in zip(entries, keep, strict=True)]


def fallen_back(
    run: Callable[[Array], GapStates], widths: Array, *, exactly: Callable[[], Array] | None = None
) -> Array:
    """The states of a sweep, in floats if they stay in range, else in scaled numbers; rationals as Fractions.

    Parameters
    ----------
    run : callable
        From a start vector to `GapStates`.
    widths : ndarray, shape (n_inputs,)
        Floats or rationals.
    exactly : callable, optional
        The states by rational arithmetic, for sweeps that have no scaled form.
    """
    states, in_range = run(widths)
    if widths.dtype == object:
        return restored(states)
    if in_range:
        return states
    return run(scaled(widths)).states if exactly is None else scaled(exactly())


def may_be_exact(entries: Entries) -> bool:
    """Whether a network is small enough for rationals to take over from floats."""
    return sum(w.size for w in entries) <= MAX_EXACT


def to_rationals(entries: Entries) -> list[Array]:
    """Floats or scaled numbers as the rationals that they are."""
    return [object_array(map(_rational, w.ravel().tolist())).reshape(w.shape) for w in entries]


def _rational(number: Any) -> Fraction:
    if isinstance(number, tuple):
        return Fraction(number[0]) * Fraction(2) ** int(number[1])
    return to_fraction(number)


def roundings(net: BlockNetwork, terms: int, entry: int = 1) -> int:
    """How many roundings a summand of a sweep with that many terms meets at most on its way to an output.

    Per node at most one rounding for each antecedent and term, in whatever order they are added, one multiplication,
    and `entry` roundings in what is multiplied by.
    """
    if net.dag.flat is not None:
        fan_ins = net.dag.flat.fan_ins
    else:
        fan_ins = tuple(sum(block.shape[1] for block in (*node.blocks, *node.biases)) for node in net.dag.nodes)
    return sum(terms * (fan_in + 1) + 1 + entry for fan_in in fan_ins)


def gamma(count: int) -> float:
    """How far from 1 a product of `count` factors 1 + d or 1 / (1 + d), abs(d) <= 2**-53, can be, rounded up."""
    return count * 2.0**-53 / (1 - 2 * count * 2.0**-53) * (1 + 2.0**-50)


# -- the sweep ----------------------------------------------------------------------------------------------------


def _move(states: int, before: int, after: int) -> Array:
    """The transition that leads one state to one other and drops the rest."""
    matrix = np.zeros((states, states), dtype=bool)
    matrix[before, after] = True
    return matrix


def _swept(
    net: Any, terms: list[Term], start: Array, *, states: int, pools: Pools = "sum", is_non_negative: bool = False
) -> GapStates:
    if is_non_negative and pools == "sum" and _sums_by_layer(net, start, [values for values, _ in terms]):
        return GapStates(*net.streams.state_sums(net, terms, start, states))
    is_scaled = start.dtype == SCALED_DTYPE
    ring = SCALED if is_scaled else REAL
    if start.dtype.kind == "f" and any(w.dtype == SCALED_DTYPE for values, _ in terms for w in values):
        return GapStates(np.full((states, len(net.dag.outputs)), np.inf, dtype=start.dtype), False)
    if is_scaled:
        terms = [(mapped(scaled, values), move) for values, move in terms]
    x = sweep(net, terms, _start(net, start, states), ring=ring, pools=pools)
    in_range = start.dtype.kind != "f" or is_safe([start, *(w for values, _ in terms for w in values)], x)
    return GapStates(np.asarray(x[:, net.dag.outputs]), bool(in_range))


def _sums_by_layer(net: Any, start: Array, entries: Sequence[Entries]) -> bool:
    """Whether a sweep over these entries runs layer by layer."""
    return is_streamed(net) and start.dtype == np.float64 and all(w.dtype == np.float64 for v in entries for w in v)


def _start(net: BlockNetwork, start: Array, states: int) -> Array:
    """The buffer of a sweep, with the weights of the inputs in the first state."""
    x = np.zeros((states, net.dag.size), dtype=start.dtype)
    x[0, CONSTANT] = scaled(np.ones(1))[0] if start.dtype == SCALED_DTYPE else 1
    x[0, net.dag.inputs] = start
    return x


def _is_compiled(net: BlockNetwork, start: Array, *entries: Entries) -> bool:
    """Whether there is a kernel for a sweep that starts so, over these entries."""
    return (
        choose_backend(None, net) == "numba"
        and start.dtype.kind == "f"
        and all(isinstance(values, FlatTensors) and values.flat.dtype.kind == "f" for values in entries)
    )
