r"""Does a back end, or a device, compute what it should? A search for the smallest network on which it does not.

The reference is the same network over the rationals, swept by the back end "reference". Drawn are networks of small
dyadic numbers, on which floats mostly do not round, and the same with parameters times huge and tiny powers of two.

**Tolerance.** A number that a back end computes by sums and products over paths is the sum of the path products, each
times at most N factors 1 + d, :math:`|d| \le u`, where N is the number of roundings. No product can meet more of them
than all sweeps make: a product and an addition per edge and bias forward and backward, an addition per output or tied
place, and 24 for each power. So the error is at most :math:`\gamma_N = (1-u)^{-N} - 1` times the sum of the absolute
values of the path products, which is computed exactly, and the smallest float for a result that underflows. Evaluation
rounds as often; ReLUs and pools are exact and 1-Lipschitz, so that the same bound holds, and what underflows on the way
is carried on by the absolute weights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.arguments import natural
from pathgraph.devices import device_named
from pathgraph.errors import BackendError, ParameterError, RangeError, UnsupportedOperatorError
from pathgraph.graph.network import Network
from pathgraph.norms import log_path_norm, path_norm
from pathgraph.path_sums import node_marginals, path_marginals, path_sum
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pruning.masses import path_magnitude
from pathgraph.scalars import FLOATS, Array, object_array
from pathgraph.shown import decimal_text
from pathgraph.testing.networks import relu_dags
from pathgraph.testing.search import smallest
from pathgraph.testing.shown import told, value_text
from pathgraph.testing.values import inputs

__all__ = ["Agreement", "Disagreement", "check_backend"]

POWER_ROUNDINGS = 24
"""Of one power, as `pathgraph.numbers` derives it: 2 p + 20 for p = 2."""

EXPONENTS = {8: (0, 0, 0, 0, 1, -1, 400, -400, 1000, -1000), 4: (0, 0, 0, 0, 1, -1, 40, -40, 100, -100)}
"""Of the powers of two that parameters are scaled by, by the bytes of a float."""


@dataclass(frozen=True, eq=False)
class Disagreement:
    """A network, a question, and two answers.

    Attributes
    ----------
    net : Network
        In floats.
    question : str
        Such as "path_norm, q=2".
    x : ndarray, shape (n, n_inputs)
        The inputs, which some of the questions use.
    found : object
        What the back end gave, or the text of its error.
    expected : ndarray of Fraction
    slack : ndarray of Fraction
        The largest differences that rounding can make.
    """

    net: Network
    question: str
    x: Array
    found: Any
    expected: Any
    slack: Any

    def __str__(self) -> str:
        return "\n".join(
            [
                told(self.net),
                f"{self.question}, x = {value_text(self.x)}",
                f"found:    {value_text(self.found)}",
                f"expected: {_floats(self.expected)}, up to {_floats(self.slack)}",
            ]
        )


@dataclass(frozen=True, eq=False)
class Agreement:
    """What a search found.

    Attributes
    ----------
    holds : bool
        Whether no disagreement was found; it is also the truth value of the object.
    answers : mapping from str to int
        How often each question was answered.
    refused : mapping from str to int
        How often the back end said that it cannot answer, by a BackendError or an UnsupportedOperatorError.
    counterexample : Disagreement or None
    """

    holds: bool
    answers: Mapping[str, int]
    refused: Mapping[str, int]
    counterexample: Disagreement | None

    def __bool__(self) -> bool:
        return self.holds

    def __repr__(self) -> str:
        if self.counterexample is not None:
            return f"Agreement(refuted)\n{self.counterexample}"
        asked = sum(count > 0 for count in self.answers.values())
        return f"Agreement(no disagreement in {sum(self.answers.values())} answers to {asked} questions)"


def check_backend(
    backend: Any,
    *,
    networks: SearchStrategy[Network] | None = None,
    questions: Collection[str] | None = None,
    dtype: Any = np.float64,
    max_examples: int = 100,
    raises: bool = True,
) -> Agreement:
    """Check what a back end, a device or functions of your own compute against exact arithmetic.

    Parameters
    ----------
    backend : str, Device or mapping
        "reference", "numpy" or "numba"; the name of a device, as ``net.to_device`` takes it, or the device itself; or a
        mapping from names to functions of your own, called like pathgraph's: ``path_norm(net, q, **options)``,
        ``log_path_norm(net, q)``, ``path_sum(net, **options)``, ``path_marginals(net, **options)``,
        ``node_marginals(net)``, ``path_magnitude(net)``, ``evaluate(net, x)``, ``neuron_values(net, x)`` and
        ``theta(net)``. Only questions to functions that are there are asked.
    networks : SearchStrategy of Network, optional
        Exact ones; `relu_dags` by default.
    questions : collection of str, optional
        Which ones to ask; all by default. Their names are the keys of `Agreement.answers`.
    dtype : dtype
        float64 or float32: of the networks.
    max_examples : int
    raises : bool
        Whether a disagreement is an error, or only in the result.

    Returns
    -------
    Agreement

    Raises
    ------
    AssertionError
        On a disagreement: the smallest network found, with both answers.
    ParameterError
        On wrong arguments, and if no question was ever answered.

    Notes
    -----
    Numbers must be floats or integers; those of an evaluation, and theta, must have the dtype of the network if they
    come in an array. A function that writes into its arguments disagrees. A `RangeError` is the right answer where a
    result exceeds the largest float, and is allowed where the sum of absolute values does. Any other error of the back
    end is a disagreement, too. The search is the same at every call.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> from pathgraph.testing import check_backend
    >>> check_backend("numpy", max_examples=5).holds
    True
    >>> wrong = {"path_norm": lambda net, q, **options: pg.path_norm(net, q, **(options | {"inputs": None}))}
    >>> found = check_backend(wrong, questions=["path_norm, inputs=x"], raises=False)
    >>> bool(found), found.counterexample.net.architecture.n_edges
    (False, 1)
    """
    natural(max_examples, "max_examples", least=1)
    if not _is_float(dtype):
        raise ParameterError(f"dtype: needed float32 or float64, got {dtype!r}")
    ask = _asker(backend)
    is_some = isinstance(questions, Collection) and not isinstance(questions, str)
    chosen = list(QUESTIONS) if questions is None else list(questions or ()) if is_some else []
    if not chosen or not all(name in list(QUESTIONS) for name in chosen):
        raise ParameterError(f"questions: needed some of {', '.join(map(repr, QUESTIONS))}, got {questions!r}")
    if networks is not None and not isinstance(networks, SearchStrategy):
        raise ParameterError(f"networks: needed a strategy of networks or None, got {networks!r}")
    answers, refused = dict.fromkeys(chosen, 0), dict.fromkeys(chosen, 0)
    last: Disagreement | None = None

    def disagreement(example: tuple[Network, Array]) -> Disagreement | None:
        nonlocal last
        case = _Case(*example, np.dtype(dtype))
        for name in chosen:
            question = QUESTIONS[name]
            if isinstance(backend, Mapping) and question.function not in backend:
                continue
            try:
                found: Any = question.asked(ask, case)
                answers[name] += 1
            except (BackendError, UnsupportedOperatorError):
                refused[name] += 1
                continue
            except RangeError as error:
                answers[name] += 1
                found = error
            except Exception as error:
                found = error
            wanted = question.wanted(case)
            if not wanted.admits(found):
                text = f"{type(found).__name__}: {found}" if isinstance(found, Exception) else found
                last = Disagreement(case.net, name, case.x, text, wanted.exact, wanted.slack)
                return last
        return None

    found = smallest(_examples(networks, np.dtype(dtype)), lambda e: disagreement(e) is not None, max_examples)
    if found:
        counterexample = disagreement(found[0]) or last  # the last one of a back end that is right at times
        if raises:
            raise AssertionError(f"{_named(backend)} disagrees with exact arithmetic:\n{counterexample}")
        return Agreement(False, answers, refused, counterexample)
    if not any(answers.values()):
        raise ParameterError(f"backend: needed one that answers some question, {_named(backend)} refused all of them")
    return Agreement(True, answers, refused, None)


# -- what is drawn ------------------------------------------------------------------------------------------------


def _examples(networks: SearchStrategy[Any] | None, dtype: np.dtype[Any]) -> SearchStrategy[tuple[Network, Array]]:
    """Networks with scaled parameters, and some inputs; all of them are floats of the type, held as Fractions."""
    exponents = st.lists(st.sampled_from(EXPONENTS[dtype.itemsize]), max_size=6)

    def scaled(net: Network, steps: list[int], rows: list[tuple[Fraction, ...]]) -> tuple[Network, Array]:
        exact = net.to_float(dtype).to_exact()
        factors = [Fraction(2) ** step for step in islice(cycle([*steps, 0]), len(exact.theta))]
        other = exact.with_theta(exact.theta * object_array(factors)).to_float(dtype).to_exact()
        x = np.array([[Fraction(value) for value in row] for row in rows], dtype=object)
        return other, x.reshape(len(rows), len(net.inputs))

    def with_rest(net: Any) -> SearchStrategy[tuple[Network, Array]]:
        if not isinstance(net, Network):
            raise ParameterError(f"networks: needed a strategy of networks of neurons, got one that draws {net!r}")
        return st.builds(scaled, st.just(net), exponents, st.lists(inputs(net), max_size=2))

    return (relu_dags() if networks is None else networks).flatmap(with_rest)


class _Case:
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


class _Wanted(NamedTuple):
    """Exact numbers, how far computed ones may lie, and whether floats may not reach on the way."""

    exact: Array
    slack: Array
    may_overflow: bool
    must_overflow: bool
    is_log_of_zero: bool = False
    dtype: Any = None  # that an array must have; None for any

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


def _wanted(exact: Any, absolute: Any, roundings: int, dtype: Any, lost: Any = 0) -> _Wanted:
    numbers, sizes = np.asarray(exact, dtype=object), np.asarray(absolute, dtype=object)
    info = np.finfo(dtype)
    unit, top = Fraction(float(info.eps)) / 2, Fraction(float(info.max))
    gamma = 1 / (1 - unit) ** roundings - 1
    slack = sizes * gamma + np.asarray(lost, dtype=object) * (1 + gamma) + Fraction(float(info.smallest_subnormal))
    slack = np.broadcast_to(np.asarray(slack, dtype=object), numbers.shape)
    largest = max((Fraction(size) * (1 + gamma) for size in sizes.ravel()), default=Fraction(0))
    certain = max((abs(a) - s for a, s in zip(numbers.ravel(), slack.ravel(), strict=True)), default=Fraction(0))
    return _Wanted(numbers, slack, largest > top, certain > top)


# -- the questions ------------------------------------------------------------------------------------------------

Ask = Callable[..., Any]


class _Question(NamedTuple):
    function: str
    asked: Callable[[Ask, _Case], Any]
    wanted: Callable[[_Case], _Wanted]


def _unchanged(argument: Any, answer: Callable[[], Any]) -> Any:
    """An answer, unless finding it changed an argument."""
    before = np.array(argument)
    found = answer()
    if not np.array_equal(before, np.array(argument)):
        raise AssertionError(f"wrote {value_text(argument)} into its argument {value_text(before)}")
    return found


def _norm(q: float, **options: Any) -> _Question:
    """A path-norm to the power q; the inputs may be the first row."""
    has_inputs = options.pop("inputs", False)

    def filled(case: _Case, kind: type) -> dict[str, Any]:
        return options | ({"inputs": [kind(value) for value in case.first]} if has_inputs else {})

    def wanted(case: _Case) -> _Wanted:
        norm = path_norm(case.exact, q, root=False, backend="reference", **filled(case, Fraction))
        return _wanted(norm, norm, case.power_roundings, np.float64)

    def asked(ask: Ask, case: _Case) -> Any:
        given = filled(case, float)
        return _unchanged(given.get("inputs"), lambda: ask("path_norm", case.net, q, root=False, **given))

    return _Question("path_norm", asked, wanted)


def _logarithm(case: _Case) -> _Wanted:
    """Both logarithms are off by 8 units of their size + 2, beside the error of the norm."""
    exact = log_path_norm(case.exact, backend="reference")
    unit = Fraction(1, 2**53)
    if not np.isfinite(exact):
        zero = np.array(Fraction(0), dtype=object)
        return _Wanted(zero, zero, False, False, is_log_of_zero=True)
    gamma = 1 / (1 - unit) ** case.power_roundings - 1
    slack = gamma / (1 - gamma) + 16 * unit * (abs(Fraction(exact)) + 2)
    return _Wanted(np.array(Fraction(exact), dtype=object), np.array(slack, dtype=object), False, False)


def _sum(**options: Any) -> _Question:
    def wanted(case: _Case) -> _Wanted:
        size = path_sum(case.absolute, backend="reference", **options)
        total = np.sum(size) if options.get("per_output") else size
        found = _wanted(path_sum(case.exact, backend="reference", **options), size, case.roundings, np.float64)
        return found._replace(may_overflow=found.may_overflow or total > Fraction(float(np.finfo(np.float64).max)))

    return _Question("path_sum", lambda ask, case: ask("path_sum", case.net, **options), wanted)


def _through(function: str, compute: Callable[..., Any], absolute: bool = False) -> _Question:
    """Sums over the paths through each parameter or neuron."""

    def wanted(case: _Case) -> _Wanted:
        exact = compute(case.absolute if absolute else case.exact, backend="reference")
        return _wanted(exact, compute(case.absolute, backend="reference"), 2 * case.roundings, np.float64)

    return _Question(function, lambda ask, case: ask(function, case.net), wanted)


def _evaluation(function: str, *, neurons: bool, rows: Callable[[_Case], Any]) -> _Question:
    def asked(ask: Ask, case: _Case) -> Any:
        x = rows(case)[0].copy()
        return _unchanged(x, lambda: ask(function, case.net, x))

    def wanted(case: _Case) -> _Wanted:
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

    return _Question(function, asked, wanted)


def _theta(case: _Case) -> _Wanted:
    theta = case.exact.theta
    return _Wanted(theta, theta * 0, False, False, dtype=case.net.dtype)


QUESTIONS: dict[str, _Question] = {
    "theta": _Question("theta", lambda ask, case: ask("theta", case.net), _theta),
    "path_norm": _norm(1),
    "path_norm, per output": _norm(1, per_output=True),
    "path_norm, q=2": _norm(2),
    "path_norm, q=inf": _norm(np.inf),
    "path_norm, inputs=x": _norm(1, inputs=True),
    "log_path_norm": _Question("log_path_norm", lambda ask, case: ask("log_path_norm", case.net), _logarithm),
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


# -- who answers --------------------------------------------------------------------------------------------------


def _is_float(dtype: Any) -> bool:
    try:
        return np.dtype(dtype) in FLOATS
    except TypeError:
        return False


def _asker(backend: Any) -> Ask:
    if isinstance(backend, Mapping):
        known = {question.function for question in QUESTIONS.values()}
        if not backend or not set(backend) <= known or not all(map(callable, backend.values())):
            raise ParameterError(
                f"backend: needed functions by some of the names {', '.join(sorted(known))}, got {backend!r}"
            )
        return lambda function, net, *args, **options: backend[function](net, *args, **options)
    if isinstance(backend, str) and backend in ("reference", "numpy", "numba"):
        return lambda function, net, *args, **options: _by_name(backend, function, net, *args, **options)
    if isinstance(backend, str):
        device: Any = device_named(backend)
    elif hasattr(backend, "to_device") and hasattr(backend, "to_host"):
        device = backend
    else:
        raise ParameterError(
            "backend: needed the name of a back end or of a device, a device, or a mapping from names to functions, "
            f"got {backend!r}"
        )
    return lambda function, net, *args, **options: _there(device, function, net, *args, **options)


PUBLIC: dict[str, Callable[..., Any]] = {
    "path_norm": path_norm,
    "log_path_norm": log_path_norm,
    "path_sum": path_sum,
    "path_marginals": path_marginals,
    "node_marginals": node_marginals,
}


def _by_name(backend: str, function: str, net: Network, *args: Any, **options: Any) -> Any:
    match function:
        case "theta":
            return net.theta
        case "evaluate":
            return net._evaluate(args[0], net.dag.outputs, backend)
        case "neuron_values":
            return net._evaluate(args[0], np.arange(CONSTANT + 1, net.dag.size), backend)
        case "path_magnitude":
            raise BackendError("path_magnitude: chooses its back end itself")
    return PUBLIC[function](net, *args, backend=backend, **options)


def _there(device: Any, function: str, net: Network, *args: Any, **options: Any) -> Any:
    there = net.to_device(device)
    match function:
        case "theta":
            if there.to_host() != net:
                raise AssertionError("to_host() is not the network that went there")
            found = there.theta
        case "evaluate":
            found = there(device.to_device(args[0]))
        case "neuron_values":
            found = there.neuron_values(device.to_device(args[0]))
        case "node_marginals":
            raise BackendError("node_marginals: not on devices")
        case "path_magnitude":
            found = path_magnitude(there)
        case _:
            found = PUBLIC[function](there, *args, **options)
    is_number = isinstance(found, (int, float, np.number, np.ndarray))
    return found if is_number else device.to_host(found)


def _named(backend: Any) -> str:
    if isinstance(backend, Mapping):
        return f"the back end of {', '.join(map(str, backend))}"
    return f"the back end {getattr(backend, 'name', backend)}"


def _floats(numbers: Any) -> str:
    """Exact numbers in a few digits."""
    array = np.asarray(numbers, dtype=object)
    texts = [decimal_text(Fraction(number), 6) for number in array.ravel()]
    return texts[0] if array.ndim == 0 else f"[{', '.join(texts)}]"
