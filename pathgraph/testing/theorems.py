"""Is a statement true, and would a wrong one be noticed? A search for counterexamples of a statement and its mutants.

A *statement* is a function that evaluates both sides on one instance. Its *mutants* are wrong versions: another
function, the same one with other ingredients, or the same one on instances that do not meet a hypothesis. A check that
cannot refute them says little about the statement. `pathgraph.proofs_checks` holds the theorems of pathgraph, which
are such statements with papers and stored counterexamples; this is the same for one statement, in a test of your own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.shown import argument_text
from pathgraph.testing.outcome import Comparison, Inequality
from pathgraph.testing.search import smallest
from pathgraph.testing.shown import told, value_text

__all__ = ["Refutation", "TheoremCheck", "check_theorem", "instances_of"]

LONGER = 10
"""So many times as many instances are drawn for a mutant as for the statement."""


@dataclass(frozen=True, eq=False)
class Refutation:
    """An instance on which a statement, or a mutant of it, is false.

    Attributes
    ----------
    instance : tuple
    outcome : Equality, Inequality or bool
        What the function gave.
    """

    instance: tuple[Any, ...]
    outcome: Any

    def __str__(self) -> str:
        lines = [told(part) if hasattr(part, "architecture") else _side(part) for part in self.instance]
        if isinstance(self.outcome, Comparison):
            relation = "should be at most" if isinstance(self.outcome, Inequality) else "should equal"
            lines += [f"left:  {_side(self.outcome.left)}", relation, f"right: {_side(self.outcome.right)}"]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class TheoremCheck:
    """What the searches found.

    Attributes
    ----------
    holds : bool
        Whether no counterexample of the statement was found.
    examples : int
        On how many instances it was evaluated.
    counterexample : Refutation or None
    mutants : mapping from str to Refutation or None
        The smallest counterexample found of each wrong version; None where there is none. Empty if the statement is
        refuted.
    raised : mapping from str to str
        For mutants that raised: the last error. An error refutes nothing.
    """

    holds: bool
    examples: int
    counterexample: Refutation | None
    mutants: Mapping[str, Refutation | None]
    raised: Mapping[str, str]

    def __bool__(self) -> bool:
        """Whether the statement holds and every mutant is refuted."""
        return self.holds and all(found is not None for found in self.mutants.values())

    def __repr__(self) -> str:
        if self.counterexample is not None:
            return f"TheoremCheck(refuted)\n{self.counterexample}"
        refuted = sum(found is not None for found in self.mutants.values())
        return f"TheoremCheck(holds on {self.examples} instances; {refuted} of {len(self.mutants)} mutants refuted)"


def check_theorem(
    statement: Callable[..., Any],
    *,
    given: Any,
    mutants: Mapping[str, Any] = MappingProxyType({}),
    max_examples: int = 200,
    raises: bool = True,
) -> TheoremCheck:
    """Check that a statement holds on drawn instances, and that wrong versions of it do not.

    Parameters
    ----------
    statement : callable
        ``statement(*instance)`` gives an `Equality` or an `Inequality` of exact numbers, or a bool. A check of
        `pathgraph.proofs_checks` is one, too.
    given : SearchStrategy, or tuple of them
        The parts of an instance. Parts after the first may be functions from the first part to a strategy, such as
        `inputs`; then they fit the network. A single strategy draws whole instances: tuples, or else their only
        part.
    mutants : mapping from str to wrong versions
        By what is wrong with them: a callable like `statement`; or a mapping of keyword arguments, with which
        `statement` is called; or a strategy or tuple like `given`, from which instances are drawn that do not meet
        some hypothesis. A mapping may have such a one under the key "given".
    max_examples : int
        For the statement; ten times as many for each mutant.
    raises : bool
        Whether a counterexample of the statement, or a mutant without one, is an error, or only in the result.

    Returns
    -------
    TheoremCheck

    Raises
    ------
    AssertionError
        If the statement is refuted, with the smallest counterexample found; or if a mutant is not.
    ParameterError
        On wrong arguments, and on a statement that gives neither sides nor a bool.

    Notes
    -----
    The searches are the same at every call. What the statement raises is passed on. A mutant that raises on an instance
    is not refuted by it; nor is one within the hypotheses by an instance that refutes the statement. Coincidences of
    many numbers, such as two networks of one orbit, are hardly ever drawn by chance: `given` has to draw them.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.testing import Inequality, check_theorem, inputs, mlps
    >>> def outputs_are_bounded(net, x, *, largest=max):
    ...     size = largest(map(abs, [*x, 1]))
    ...     return Inequality(sum(abs(net(x))), size * pg.path_norm(net))
    >>> check_theorem(outputs_are_bounded, given=(mlps(), inputs), mutants={"the smallest input": {"largest": min}})
    TheoremCheck(holds on 200 instances; 1 of 1 mutants refuted)
    """
    natural(max_examples, "max_examples", least=1)
    if not callable(statement):
        raise ParameterError(f"statement: needed a function of an instance, got {argument_text(statement)}")
    instances = instances_of(given, "given")
    if not isinstance(mutants, Mapping):
        raise ParameterError(f"mutants: needed a mapping from names to wrong versions, got {argument_text(mutants)}")
    searches = {name: _search(statement, instances, name, mutant) for name, mutant in mutants.items()}
    count = 0
    false: Any = None

    def is_false(instance: tuple[Any, ...]) -> bool:
        nonlocal count, false
        outcome = statement(*instance)
        count += 1
        if not _truth(outcome):
            false = Refutation(instance, outcome)
        return not _truth(outcome)

    found = smallest(instances, is_false, max_examples)
    if found:
        outcome = statement(*found[0])
        refutation = false if _truth(outcome) else Refutation(found[0], outcome)  # true now: it depends on the call
        if raises:
            raise AssertionError(f"{_name(statement)} is refuted:\n{refutation}")
        return TheoremCheck(False, count, refutation, {}, {})
    refutations: dict[str, Refutation | None] = {}
    raised: dict[str, str] = {}
    for name, (drawn, evaluate, is_within) in searches.items():
        is_refuting = partial(
            _is_refuting, evaluate, statement if is_within else None, partial(raised.__setitem__, name)
        )
        some = smallest(drawn, is_refuting, LONGER * max_examples)
        refutations[name] = Refutation(some[0], evaluate(*some[0])) if some else None
    result = TheoremCheck(True, count, None, MappingProxyType(refutations), MappingProxyType(raised))
    missed = [name for name, refutation in refutations.items() if refutation is None]
    if missed and raises:
        told_why = [f"{name!r}" + (f" (raised {raised[name]})" if name in raised else "") for name in missed]
        raise AssertionError(
            f"{_name(statement)}: needed a counterexample of every mutant, got none of {', '.join(told_why)} in "
            f"{LONGER * max_examples} instances; draw instances that tell it from the statement, or drop it"
        )
    return result


def instances_of(given: Any, name: str = "given") -> SearchStrategy[tuple[Any, ...]]:
    """Tuples of parts, of which those after the first may be drawn by functions of the first one.

    Raises
    ------
    ParameterError
        If there is no part, or one is neither a strategy nor, after the first, a function.
    """
    if isinstance(given, SearchStrategy):
        return given.map(lambda drawn: drawn if type(drawn) is tuple else (drawn,))
    parts = given if isinstance(given, (tuple, list)) else ()
    if not parts or not isinstance(parts[0], SearchStrategy) or not all(callable(p) or _draws(p) for p in parts[1:]):
        raise ParameterError(
            f"{name}: needed a strategy, or a tuple of one and of strategies or functions that give them, got "
            f"{argument_text(given)}"
        )
    first, *others = parts
    if all(map(_draws, others)):
        return st.tuples(*parts)

    def completed(part: Any) -> SearchStrategy[tuple[Any, ...]]:
        return st.tuples(st.just(part), *(_part(other, part, name) for other in others))

    return first.flatmap(completed)  # type: ignore[no-any-return]


def _draws(part: Any) -> bool:
    return isinstance(part, SearchStrategy)


def _part(other: Any, part: Any, name: str) -> SearchStrategy[Any]:
    drawn = other if _draws(other) else other(part)
    if not isinstance(drawn, SearchStrategy):
        raise ParameterError(
            f"{name}: needed functions that give strategies, got one that gives {argument_text(drawn)}"
        )
    return drawn


def _search(
    statement: Callable[..., Any], instances: SearchStrategy[Any], name: str, mutant: Any
) -> tuple[SearchStrategy[Any], Callable[..., Any], bool]:
    """Where counterexamples of a mutant are searched, what is evaluated, and whether the statement holds there."""
    what = f"mutants[{name!r}]"
    if isinstance(mutant, Mapping):
        options = dict(mutant)
        dropped = options.pop("given", None)
        drawn = instances if dropped is None else instances_of(dropped, what)
        return drawn, partial(statement, **options), dropped is None
    if isinstance(mutant, (tuple, list, SearchStrategy)):
        return instances_of(mutant, what), statement, False
    if callable(mutant):
        return instances, mutant, True
    raise ParameterError(
        f"{what}: needed a function, a mapping of keyword arguments, or strategies for instances, got "
        f"{argument_text(mutant)}"
    )


def _is_refuting(
    evaluate: Callable[..., Any], statement: Callable[..., Any] | None, note: Callable[[str], None], instance: Any
) -> bool:
    """Whether a mutant is false, and the statement, if it is given, is true on an instance; errors are noted."""
    try:
        return not _truth(evaluate(*instance)) and (statement is None or _truth(statement(*instance)))
    except Exception as error:
        note(f"{type(error).__name__}: {error}")
        return False


def _truth(outcome: Any) -> bool:
    if not isinstance(outcome, (Comparison, bool, np.bool_)):
        raise ParameterError(
            f"statement: needed one that gives an Equality, an Inequality or a bool, got {argument_text(outcome)}"
        )
    return bool(outcome)


def _side(side: Any) -> str:
    if isinstance(side, (tuple, list)):
        return f"({', '.join(map(_side, side))})"
    return str(side) if isinstance(side, Fraction) else value_text(side)


def _name(statement: Any) -> str:
    return str(getattr(statement, "__name__", None) or getattr(statement, "name", "the statement"))
