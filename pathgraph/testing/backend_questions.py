r"""The questions that a back end is asked, and the exact answers with what rounding can change.

**Tolerance.** A number that a back end computes by sums and products over paths is the sum of the path products, each
times at most N factors 1 + d, :math:`|d| \le u`, where N is the number of roundings. No product can meet more of them
than all sweeps make: a product and an addition per edge and bias forward and backward, an addition per output or tied
place, and 24 for each power. So the error is at most :math:`\gamma_N = (1-u)^{-N} - 1` times the sum of the absolute
values of the path products, which is computed exactly, and the smallest float for a result that underflows. Evaluation
rounds as often; ReLUs and pools are exact and 1-Lipschitz, so that the same bound holds, and what underflows on the way
is carried on by the absolute weights.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from pathgraph.errors import RangeError
from pathgraph.graph.network import Network
from pathgraph.norms import log_path_norm, path_norm
from pathgraph.path_sums import node_marginals, path_marginals, path_sum
from pathgraph.scalars import Array, object_array
from pathgraph.testing.shown import value_text

__all__ = ["QUESTIONS", "Ask", "Case", "Question", "Wanted"]

POWER_ROUNDINGS = 24
"""Of one power, as `pathgraph.numbers` derives it: 2 p + 20 for p = 2."""


class Case:
    """A network in floats and over the rationals, inputs, and what bounds the errors."""

    def __init__(self, exact: Network, x: Array, dtype: np.dtype[Any]) -> None:
        self.exact, self.net, self.rows = exact, exact.to_float(dtype), x
        self.x = x.astype(dtype)
        self.first = [abs(value) for value in x[0].tolist()] if len(x) else [Fraction(1)] * len(exact.inputs)
        self.absolute = exact.with_values(object_array(map(abs, exact.values)))
        structure = exact.architecture
        n, n_nodes = structure.n_entries, len(structure.nodes)
        self.roundings = 4 * (n + n_nodes) + 8
        self.power_roundings = POWER_ROUNDINGS * (n + len(structure.input)) + self.roundings

    def magnitudes(self, x: list[Fraction], least: Fraction) -> tuple[list[Fraction], list[Fraction]]:
        """Per neuron the sum of the absolute path products, and what underflowing products add up to."""
        net, structure = self.absolute, self.absolute.architecture
        at = dict(zip(net.inputs, map(abs, x), strict=True))
        sizes: dict[Any, Fraction] = {}
        lost: dict[Any, Fraction] = {}
        for v in net.nodes:
            before = structure.antecedents(v)
            weights = [net.weight(u, v) for u in before]
            bias = net.bias(v) or Fraction(0)
            sizes[v] = at.get(v, Fraction(0)) + bias + sum(w * sizes[u] for u, w in zip(before, weights, strict=True))
            lost[v] = len(before) * least + sum(w * lost[u] for u, w in zip(before, weights, strict=True))
        return [sizes[v] for v in net.nodes], [lost[v] for v in net.nodes]


class Wanted(NamedTuple):
    """The right answer: exact numbers, and how far computed ones may lie from them.

    Attributes
    ----------
    exact, slack : ndarray of Fraction
        Of the same shape.
    may_overflow, must_overflow : bool
        Whether a `RangeError` is right, too, and whether nothing else is.
    is_log_of_zero : bool
        Whether minus infinity is right, and nothing else.
    dtype : dtype or None
        That an array must have; None for any.
    """

    exact: Array
    slack: Array
    may_overflow: bool
    must_overflow: bool
    is_log_of_zero: bool = False
    dtype: Any = None

    def admits(self, found: Any) -> bool:
        """Whether what was found is right: numbers of the shape and near the exact ones, or a RangeError."""
        if isinstance(found, Exception):
            return isinstance(found, RangeError) and self.may_overflow
        try:
            numbers = np.asarray(found)
        except Exception:  # a ragged list, or an object that cannot be made an array
            return False
        if self.dtype not in (None, getattr(found, "dtype", self.dtype)):
            return False
        is_real = numbers.dtype.kind in "fiuO" and all(
            isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers.ravel().tolist()
        )
        if numbers.shape != self.exact.shape or not is_real or self.must_overflow:
            return False
        if self.is_log_of_zero or not np.isfinite(numbers.astype(float)).all():
            return self.is_log_of_zero and bool(numbers == -np.inf)
        pairs = zip(numbers.ravel().tolist(), self.exact.ravel(), self.slack.ravel(), strict=True)
        return all(abs(Fraction(a) - b) <= slack for a, b, slack in pairs)


def _wanted(exact: Any, absolute: Any, roundings: int, dtype: Any, lost: Any = 0) -> Wanted:
    numbers, sizes = np.asarray(exact, dtype=object), np.asarray(absolute, dtype=object)
    info = np.finfo(dtype)
    unit, top = Fraction(float(info.eps)) / 2, Fraction(float(info.max))
    gamma = 1 / (1 - unit) ** roundings - 1
    slack = sizes * gamma + np.asarray(lost, dtype=object) * (1 + gamma) + Fraction(float(info.smallest_subnormal))
    slack = np.broadcast_to(np.asarray(slack, dtype=object), numbers.shape)
    largest = max((Fraction(size) * (1 + gamma) for size in sizes.ravel()), default=Fraction(0))
    certain = max((abs(a) - s for a, s in zip(numbers.ravel(), slack.ravel(), strict=True)), default=Fraction(0))
    return Wanted(numbers, slack, largest > top, certain > top)


Ask = Callable[..., Any]


class Question(NamedTuple):
    """What is asked of a back end.

    Attributes
    ----------
    function : str
        The one that answers, by the name in `check_backend`.
    asked : callable
        From what answers and a `Case` to the answer.
    wanted : callable
        From a `Case` to the right answer.
    """

    function: str
    asked: Callable[[Ask, Case], Any]
    wanted: Callable[[Case], Wanted]


def _unchanged(argument: Any, answer: Callable[[], Any]) -> Any:
    """An answer, unless finding it changed an argument."""
    before = np.array(argument)
    found = answer()
    if not np.array_equal(before, np.array(argument)):
        raise AssertionError(f"wrote {value_text(argument)} into its argument {value_text(before)}")
    return found


def _norm(q: float, **options: Any) -> Question:
    """A path-norm to the power q; the inputs may be the first row."""
    has_inputs = options.pop("inputs", False)

    def filled(case: Case, kind: type) -> dict[str, Any]:
        return options | ({"inputs": [kind(value) for value in case.first]} if has_inputs else {})

    def wanted(case: Case) -> Wanted:
        norm = path_norm(case.exact, q, root=False, backend="reference", **filled(case, Fraction))
        return _wanted(norm, norm, case.power_roundings, np.float64)

    def asked(ask: Ask, case: Case) -> Any:
        given = filled(case, float)
        return _unchanged(given.get("inputs"), lambda: ask("path_norm", case.net, q, root=False, **given))

    return Question("path_norm", asked, wanted)


def _logarithm(case: Case) -> Wanted:
    """Both logarithms are off by 8 units of their size + 2, beside the error of the norm."""
    exact = log_path_norm(case.exact, backend="reference")
    unit = Fraction(1, 2**53)
    if not np.isfinite(exact):
        zero = np.array(Fraction(0), dtype=object)
        return Wanted(zero, zero, False, False, is_log_of_zero=True)
    gamma = 1 / (1 - unit) ** case.power_roundings - 1
    slack = gamma / (1 - gamma) + 16 * unit * (abs(Fraction(exact)) + 2)
    return Wanted(np.array(Fraction(exact), dtype=object), np.array(slack, dtype=object), False, False)


def _sum(**options: Any) -> Question:
    def wanted(case: Case) -> Wanted:
        size = path_sum(case.absolute, backend="reference", **options)
        total = np.sum(size) if options.get("per_output") else size
        found = _wanted(path_sum(case.exact, backend="reference", **options), size, case.roundings, np.float64)
        return found._replace(may_overflow=found.may_overflow or total > Fraction(float(np.finfo(np.float64).max)))

    return Question("path_sum", lambda ask, case: ask("path_sum", case.net, **options), wanted)


def _through(function: str, compute: Callable[..., Any], absolute: bool = False) -> Question:
    """Sums over the paths through each parameter or neuron."""

    def wanted(case: Case) -> Wanted:
        exact = compute(case.absolute if absolute else case.exact, backend="reference")
        return _wanted(exact, compute(case.absolute, backend="reference"), 2 * case.roundings, np.float64)

    return Question(function, lambda ask, case: ask(function, case.net), wanted)


def _evaluation(function: str, *, neurons: bool, rows: Callable[[Case], Any]) -> Question:
    def asked(ask: Ask, case: Case) -> Any:
        x = rows(case)[0].copy()
        return _unchanged(x, lambda: ask(function, case.net, x))

    def wanted(case: Case) -> Wanted:
        exact = rows(case)[1]
        found = np.asarray(case.exact.neuron_values(exact) if neurons else case.exact(exact))
        at = range(len(case.exact.nodes)) if neurons else [case.exact.nodes.index(v) for v in case.exact.outputs]
        least = Fraction(float(np.finfo(case.net.dtype).smallest_subnormal)) / 2
        both = [case.magnitudes(row, least) for row in exact.tolist()]
        sizes = object_array([size[v] for size, _ in both for v in at]).reshape(found.shape)
        lost = object_array([lost[v] for _, lost in both for v in at]).reshape(found.shape)
        answer = _wanted(found, sizes, case.roundings, case.net.dtype, lost)
        top = Fraction(float(np.finfo(case.net.dtype).max)) / 2  # computed sizes are at most twice the exact ones
        return answer._replace(may_overflow=any(max(size, default=0) > top for size, _ in both), dtype=case.net.dtype)

    return Question(function, asked, wanted)


def _theta(case: Case) -> Wanted:
    theta = case.exact.theta
    return Wanted(theta, theta * 0, False, False, dtype=case.net.dtype)


QUESTIONS: dict[str, Question] = {
    "theta": Question("theta", lambda ask, case: ask("theta", case.net), _theta),
    "path_norm": _norm(1),
    "path_norm, per output": _norm(1, per_output=True),
    "path_norm, q=2": _norm(2),
    "path_norm, q=inf": _norm(np.inf),
    "path_norm, inputs=x": _norm(1, inputs=True),
    "log_path_norm": Question("log_path_norm", lambda ask, case: ask("log_path_norm", case.net), _logarithm),
    "path_sum": _sum(),
    "path_sum, per output": _sum(per_output=True),
    "path_sum, without biases": _sum(biases=False),
    "path_marginals": _through("path_marginals", path_marginals),
    "node_marginals": _through("node_marginals", node_marginals),
    "path_magnitude": _through("path_magnitude", path_marginals, absolute=True),
    "evaluation": _evaluation("evaluate", neurons=False, rows=lambda case: (case.x, case.rows)),
    "evaluation, empty batch": _evaluation("evaluate", neurons=False, rows=lambda case: (case.x[:0], case.rows[:0])),
    "neuron values": _evaluation("neuron_values", neurons=True, rows=lambda case: (case.x, case.rows)),
}
"""By name: what is asked, and what is right."""
