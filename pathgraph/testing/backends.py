"""Does a back end, or a device, compute what it should? A search for the smallest network on which it does not.

The reference is the same network over the rationals, swept by the back end "reference". Drawn are networks of small
dyadic numbers, on which floats mostly do not round, and the same with parameters times huge and tiny powers of two. How
far floats may lie from the exact numbers is derived in `pathgraph.testing.backend_questions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from typing import Any

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
from pathgraph.shown import argument_text, decimal_text
from pathgraph.testing.backend_questions import QUESTIONS, Ask, Case
from pathgraph.testing.networks import relu_dags
from pathgraph.testing.search import smallest
from pathgraph.testing.shown import told, value_text
from pathgraph.testing.values import inputs

__all__ = ["Agreement", "Disagreement", "check_backend"]

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
        raise ParameterError(f"dtype: needed float32 or float64, got {argument_text(dtype)}")
    ask = _asker(backend)
    is_some = isinstance(questions, Collection) and not isinstance(questions, str)
    chosen = list(QUESTIONS) if questions is None else list(questions or ()) if is_some else []
    if not chosen or not all(name in list(QUESTIONS) for name in chosen):
        raise ParameterError(
            f"questions: needed some of {', '.join(map(repr, QUESTIONS))}, got {argument_text(questions)}"
        )
    if networks is not None and not isinstance(networks, SearchStrategy):
        raise ParameterError(f"networks: needed a strategy of networks or None, got {argument_text(networks)}")
    answers, refused = dict.fromkeys(chosen, 0), dict.fromkeys(chosen, 0)
    last: Disagreement | None = None

    def disagreement(example: tuple[Network, Array]) -> Disagreement | None:
        nonlocal last
        case = Case(*example, np.dtype(dtype))
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
            raise ParameterError(
                f"networks: needed a strategy of networks of neurons, got one that draws {argument_text(net)}"
            )
        return st.builds(scaled, st.just(net), exponents, st.lists(inputs(net), max_size=2))

    return (relu_dags() if networks is None else networks).flatmap(with_rest)


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
                f"backend: needed functions by some of the names {', '.join(sorted(known))}, got "
                f"{argument_text(backend)}"
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
            f"got {argument_text(backend)}"
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
