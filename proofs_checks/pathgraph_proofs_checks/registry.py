"""What a check is, and the registry of all of them.

A **check** states a theorem, draws instances of it, and evaluates both sides exactly. It is parametrised by a strategy
for networks, so the same check runs on random networks and on one given network. Its **mutants** are wrong versions
of the theorem (a hypothesis dropped, a bias lost, a pool kept, ...): the *same* function, with one ingredient or the
strategy replaced. A check that cannot refute its mutants proves nothing; so each mutant stores its smallest known
counterexample, which every run replays.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from hypothesis.strategies import SearchStrategy

from pathgraph import Network
from pathgraph.testing.outcome import Comparison
from pathgraph.testing.theorems import instances_of
from pathgraph_proofs_checks.codec import decode
from pathgraph_proofs_checks.sizes import relu_dags

__all__ = [
    "DERIVED",
    "METRIC",
    "REQUIREMENTS",
    "TOOLKIT",
    "Check",
    "Instances",
    "Mutant",
    "all_checks",
    "collected",
    "drawn",
    "registered",
    "theorem",
]

Networks = SearchStrategy[Network]
Instances = Callable[[Networks], SearchStrategy[tuple[Any, ...]]]

TOOLKIT = "Gonon, Brisebarre, Riccietti, Gribonval, A path-norm toolkit for modern networks, arXiv:2310.01225"
METRIC = "Gonon, Brisebarre, Riccietti, Gribonval, A rescaling-invariant Lipschitz bound, arXiv:2405.15006"
DERIVED = "derived here"


REQUIREMENTS = (
    "layered",
    "no pools",
    "no structural values",
    "no zeros",
    "few paths",
    "small fan-in",
    "no ties",
    "nothing fixed",
)
"""What a check may assume of a given network. The last two are met by freeing its values; see `models.freed`."""


@dataclass(frozen=True)
class Mutant:
    """A wrong version of a theorem.

    Attributes
    ----------
    check : str
        The name of the check.
    name : str
        What is wrong.
    counterexample : tuple
        The smallest known one, as a literal of `pathgraph_proofs_checks.codec`.
    ingredients : mapping
        Keyword arguments of the check's function that replace its right ingredients.
    instances, networks : callable or None, strategy or None
        Where counterexamples are searched, if a hypothesis on instances is dropped; None: where the check looks.
    file : str or None
        As in `Check`.
    """

    check: str
    name: str
    counterexample: tuple[Any, ...]
    ingredients: Mapping[str, Any]
    instances: Instances | None
    networks: Networks | None
    file: str | None = None

    @cached_property
    def instance(self) -> tuple[Any, ...]:
        """The stored counterexample, decoded."""
        instance = decode(self.counterexample)
        assert isinstance(instance, tuple)
        return instance

    @property
    def drops_hypothesis(self) -> bool:
        """Whether the instance may lie outside the theorem's hypotheses."""
        return self.instances is not None or self.networks is not None

    def __reduce__(self) -> Any:
        return registered, (self.check, self.file, self.name)


@dataclass(frozen=True)
class Check:
    """A theorem, as a function that evaluates both of its sides exactly on one instance.

    Attributes
    ----------
    name : str
    statement, latex, hypotheses, source : str
        `statement` is plain text; `source` is a paper, or "derived here".
    evaluate : callable
        ``evaluate(*instance, **ingredients)`` returns an `Equality` or an `Inequality`.
    instances : callable
        From a strategy for networks to one for instances.
    networks : strategy
        The random networks.
    on_network : int
        How many instances are drawn on a given network; 0 if the theorem speaks of no network.
    enumerates : bool
        Whether it lists all paths, so that it runs on parts of a large network.
    constant : Fraction or None
        For an inequality: the factor proved, with which the worst ratio found is compared.
    mutants : list of Mutant
    file : str or None
        The file outside the package that it was loaded from.
    needs : tuple of str
        What it assumes of a network that is given, from `REQUIREMENTS`.
    """

    name: str
    statement: str
    latex: str
    hypotheses: str
    source: str
    evaluate: Callable[..., Comparison]
    instances: Instances
    networks: Networks
    on_network: int
    enumerates: bool
    constant: Fraction | None
    mutants: list[Mutant] = field(default_factory=list)
    file: str | None = None
    needs: tuple[str, ...] = ()

    def __call__(self, *instance: Any, **ingredients: Any) -> Comparison:
        """Evaluate both sides on an instance, perhaps with wrong ingredients."""
        outcome = self.evaluate(*instance, **ingredients)
        if not isinstance(outcome, Comparison):
            raise TypeError(f"{self.name}: needed an Equality or an Inequality as result, got {outcome!r}")
        return outcome

    def __reduce__(self) -> Any:
        return registered, (self.name, self.file)

    def mutant(
        self,
        name: str,
        counterexample: tuple[Any, ...],
        *,
        instances: Instances | None = None,
        networks: Networks | None = None,
        **ingredients: Any,
    ) -> None:
        """Add a wrong version of the theorem."""
        self.mutants.append(Mutant(self.name, name, counterexample, ingredients, instances, networks, self.file))


_REGISTERED: dict[str, Check] = {}
_LOADED: dict[str, dict[str, Check]] = {}
"""The checks of files outside the package, by file and name."""

_loading: str | None = None


def all_checks() -> tuple[Check, ...]:
    """Every check, by name: the modules of `pathgraph_proofs_checks.theorems` are imported and register them.

    Examples
    --------
    >>> from pathgraph.proofs_checks import all_checks
    >>> "factorisation" in [check.name for check in all_checks()]
    True
    """
    theorems = importlib.import_module("pathgraph_proofs_checks.theorems")
    for module in pkgutil.iter_modules(theorems.__path__, f"{theorems.__name__}."):
        importlib.import_module(module.name)
    return tuple(_REGISTERED[name] for name in sorted(_REGISTERED))


@contextmanager
def collected(file: str) -> Iterator[dict[str, Check]]:
    """Within the block, checks are registered under a file, in place of those that were."""
    global _loading
    all_checks()  # first, since the file may import some of them
    _LOADED[file], _loading = {}, file
    try:
        yield _LOADED[file]
    except BaseException:
        del _LOADED[file]
        raise
    finally:
        _loading = None


def registered(name: str, file: str | None = None, mutant: str | None = None) -> Check | Mutant:
    """A check, or one of its mutants, by name: what their pickles say, since functions of checks cannot be pickled.

    A process that has not read the file does so now.
    """
    if file is None:
        found = next(one for one in all_checks() if one.name == name)
    else:
        if file not in _LOADED:
            importlib.import_module("pathgraph_proofs_checks.conjectures").load(file)
        found = _LOADED[file][name]
    return found if mutant is None else next(one for one in found.mutants if one.name == mutant)


def theorem(
    *,
    statement: str,
    instances: Instances,
    latex: str = "",
    hypotheses: str = "",
    source: str = "",
    networks: Networks | None = None,
    on_network: int = 3,
    enumerates: bool = False,
    constant: int | None = None,
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[..., Comparison]], Check]:
    """Decorate the function of a check and register it, under its name with hyphens.

    Checks of the package have a formula, hypotheses and a source.

    Parameters
    ----------
    statement : str
        What is claimed, in plain text.
    instances : callable
        From a strategy for networks to one for the tuples of arguments of the function; `drawn` makes it.
    latex, hypotheses, source : str
        The formula, what it assumes, and a paper or "derived here".
    networks : strategy, optional
        The random networks; any DAG by default.
    on_network : int
        How many instances are drawn on the trained network; 0 if the statement speaks of no network.
    enumerates : bool
        Whether the function lists all paths, so that it runs on parts of the trained network.
    constant : int, optional
        Of an inequality: the factor claimed, with which the worst ratio found is compared.
    needs : tuple of str
        What the statement assumes of a network that a user gives, from `REQUIREMENTS`: what `networks` ensures for the
        random ones. On models without it the check is not run, and said not to apply.

    Returns
    -------
    callable
        A decorator: from the function to its `Check`.

    Raises
    ------
    ValueError
        If there is a check of this name already, in the package or in the same file, or a need is unknown.
    """
    if unknown := set(needs) - set(REQUIREMENTS):
        raise ValueError(f"needs: needed some of {', '.join(REQUIREMENTS)}, got {', '.join(sorted(unknown))}")

    def register(evaluate: Callable[..., Comparison]) -> Check:
        name = evaluate.__name__.replace("_", "-")
        bound = None if constant is None else Fraction(constant)
        drawn_from = relu_dags() if networks is None else networks
        check = Check(
            name,
            statement,
            latex,
            hypotheses,
            source,
            evaluate,
            instances,
            drawn_from,
            on_network,
            enumerates,
            bound,
            file=_loading,
            needs=needs,
        )
        home = _REGISTERED if _loading is None else _LOADED[_loading]
        if name in home or name in _REGISTERED:
            raise ValueError(f"there is a check {name!r} already; give the function another name")
        home[name] = check
        return check

    return register


def drawn(*parts: SearchStrategy[Any] | Callable[[Network], SearchStrategy[Any]]) -> Instances:
    """Instances ``(net, ...)`` whose further parts come from strategies, or from functions of the network to them."""
    return lambda networks: instances_of((networks, *parts))
