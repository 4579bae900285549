"""How checks are run: examples are drawn and shrunk by Hypothesis, verdicts are decided by exact arithmetic.

A **profile** says how many examples are drawn and with which seed. The examples of a check depend on the seed and on
the name of the check alone: not on the checks before it, the process it runs in or what that has imported. So a failure
is a fact about the code and not about luck. No profile keeps a database or has a deadline per example.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from time import perf_counter, process_time
from traceback import extract_tb
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings, target
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph import Network
from pathgraph.testing.outcome import Comparison, Inequality
from pathgraph_proofs_checks.codec import summary
from pathgraph_proofs_checks.models import Model
from pathgraph_proofs_checks.parts import parts_of
from pathgraph_proofs_checks.registry import Check, Mutant
from pathgraph_proofs_checks.sizes import larger

__all__ = ["BINS", "Failure", "Profile", "Report", "Verdict", "examine", "refute", "replay"]

BINS = 40
"""Of the histograms of ratios."""

PARTS = 4
"""So many times as many instances are drawn on parts of a model as on a whole one."""

_CLAMP = 2
"""Ratios are clamped here before they guide the search, which refuses infinities; a valid bound stays below 1."""


@dataclass(frozen=True)
class Profile:
    """How much is drawn, and with which randomness.

    Attributes
    ----------
    max_examples : int
        Random instances of a check; searches for a counterexample of a mutant draw ten times as many.
    seed : int
        Of the random examples.
    thorough : bool
        Ten times as many examples, larger networks, and a new search for a counterexample of every mutant.
    """

    max_examples: int = 70
    seed: int = 0
    thorough: bool = False

    def apply(self, test: Callable[[], None], name: str, examples: int, *, shrink: bool = True) -> Callable[[], None]:
        """`test` with the settings of this profile and the seed of this name."""
        phases = [Phase.generate, Phase.target, *([Phase.shrink] if shrink else [])]
        configured = settings(
            max_examples=examples * (10 if self.thorough else 1),
            derandomize=False,
            phases=phases,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )(test)
        return seed(int(sha256(f"{self.seed} {name}".encode()).hexdigest()[:16], 16))(configured)


@dataclass(frozen=True)
class Failure:
    """An instance on which a check does not hold, or could not be evaluated.

    Attributes
    ----------
    instance : tuple or None
        None: none could be drawn.
    outcome : Equality, Inequality or None
        Both sides; None if the check raised.
    error : Exception or None
        What was raised: then the instance refutes nothing.
    place : str
        File and line where it was raised, in the file of the check if it went through there.
    """

    instance: tuple[Any, ...] | None
    outcome: Comparison | None = None
    error: Exception | None = None
    place: str = ""

    def __reduce__(self) -> Any:
        error = self.error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # exceptions with arguments of their own: the text is what is shown
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return Failure, (self.instance, self.outcome, error, self.place)


@dataclass(frozen=True)
class Verdict:
    """What replaying a mutant's stored counterexample gave.

    Attributes
    ----------
    mutant : Mutant
    refuted : bool
        Whether the check, on that instance, told the mutant from the theorem.
    reason : str
        Why not; empty if refuted.
    """

    mutant: Mutant
    refuted: bool
    reason: str = ""


@dataclass
class Report:
    """Everything that one check gave.

    Attributes
    ----------
    check : Check
    instances, on_network : int
        How many instances were evaluated, on random networks and on the given one (None: there was none).
    inapplicable : str
        Why it was not run on a model; empty if it was, or there is none.
    verdicts : tuple of Verdict
        One per mutant.
    failure : Failure or None
        The smallest counterexample found, or the smallest instance on which the check raised, if any.
    ratio : Fraction or None
        Of an inequality: the largest left side / right side.
    worst : tuple or None
        The instance with that ratio.
    histogram : Counter of int
        Of an inequality with a constant: how many instances have a ratio in [k, k + 1) / `BINS` of the constant, by k;
        the key `BINS` are those that attain it, or exceed it.
    found_again : dict of str to tuple or None
        Of a thorough run: by mutant, the counterexample of a new search, or None if it found none.
    seconds, cpu_seconds : float
        By the clock, and of this process.
    evaluating : float
        The part of the CPU seconds that went into the function of the check; the rest drew instances.
    """

    check: Check
    instances: int = 0
    on_network: int | None = None
    inapplicable: str = ""
    verdicts: tuple[Verdict, ...] = ()
    failure: Failure | None = None
    ratio: Fraction | None = None
    worst: tuple[Any, ...] | None = None
    histogram: Counter[int] = field(default_factory=Counter)
    found_again: dict[str, tuple[Any, ...] | None] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    evaluating: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the theorem held on every instance and every mutant was refuted."""
        return self.failure is None and all(verdict.refuted for verdict in self.verdicts)

    @property
    def verdict(self) -> str:
        """Of the theorem: "holds", "REFUTED", "ERROR" if it raised and so nothing was decided, or "not run"."""
        if self.failure is None:
            return "not run" if self.inapplicable else "holds"
        return "REFUTED" if self.failure.error is None else "ERROR"

    @property
    def tightness(self) -> str:
        """Of an inequality: "attained", "gap open" or "exceeded", by the constant; empty for an equality."""
        if self.check.constant is None:
            return ""
        if self.ratio is not None and self.ratio > self.check.constant:
            return "exceeded"
        return "attained" if self.ratio == self.check.constant else "gap open"


def search(
    instances: SearchStrategy[tuple[Any, ...]],
    evaluate: Callable[..., Comparison],
    configure: Callable[[Callable[[], None]], Callable[[], None]],
    watch: Callable[[tuple[Any, ...], Comparison], None] = lambda instance, outcome: None,
    *,
    raising_is_failure: bool = True,
) -> Failure | None:
    """Look for an instance on which `evaluate` gives a false outcome, and shrink it.

    Parameters
    ----------
    instances : strategy
    evaluate : callable
    configure : callable
        Gives the settings to the test.
    watch : callable
        Called with every instance and its outcome.
    raising_is_failure : bool
        Whether an instance on which `evaluate` raises is a failure too, or is passed over.
    """
    found: Failure | None = None

    @given(instances)
    def holds(instance: tuple[Any, ...]) -> None:
        nonlocal found
        try:
            outcome = evaluate(*instance)
        except Exception as error:
            if raising_is_failure:
                found = Failure(instance, error=error)
                raise
            return
        watch(instance, outcome)
        if not outcome:
            found = Failure(instance, outcome)
            raise _Refuted

    try:
        configure(holds)()
    except Exception as error:
        # Hypothesis ends with the smallest failing instance, so `found` is that one.
        return found or Failure(None, error=error)
    return found


class _Refuted(Exception):
    """A false outcome, as Hypothesis wants it."""


def examine(check: Check, profile: Profile, net: Network | Model | None = None) -> Report:
    """Run a check: on random networks, on a given one, and on the stored counterexample of every mutant.

    Parameters
    ----------
    check : Check
    profile : Profile
    net : Network or Model, optional
        An exact network that meets the hypotheses of all checks, as a perceptron does; or any model, which then takes
        the place of the random networks, too.

    Returns
    -------
    Report
    """
    report = Report(check)
    started, cpu = perf_counter(), process_time()

    def timed(*instance: Any) -> Comparison:
        before = process_time()
        try:
            return check(*instance)
        finally:
            report.evaluating += process_time() - before

    def watch(instance: tuple[Any, ...], outcome: Comparison) -> None:
        report.instances += 1
        _keep_worst(report, instance, outcome)

    if not isinstance(net, Model):
        report.failure = search(
            check.instances(larger(check.networks) if profile.thorough else check.networks),
            timed,
            lambda test: profile.apply(test, check.name, profile.max_examples),
            watch,
        )
    networks = _networks(check, net)
    if isinstance(networks, str):
        report.inapplicable = networks
    elif networks is not None and report.failure is None:
        report.on_network = 0
        examples = check.on_network * (PARTS if isinstance(net, Model) and net.is_cut(check) else 1)

        def watch_network(instance: tuple[Any, ...], outcome: Comparison) -> None:
            report.on_network = (report.on_network or 0) + 1
            _keep_worst(report, instance, outcome)

        report.failure = search(
            check.instances(networks),
            timed,
            lambda test: replace(profile, thorough=False).apply(test, check.name, examples, shrink=False),
            watch_network,
        )
    if report.failure is not None and report.failure.error is not None:
        report.failure = replace(report.failure, place=_place(check, report.failure.error))
    report.verdicts = tuple(replay(check, mutant) for mutant in check.mutants)
    if profile.thorough:
        report.found_again = {mutant.name: _found_again(check, mutant, profile) for mutant in check.mutants}
    report.seconds, report.cpu_seconds = perf_counter() - started, process_time() - cpu
    return report


def _networks(check: Check, net: Network | Model | None) -> SearchStrategy[Network] | str | None:
    """The given networks; None if there are none, and a reason if the check does not apply to a model."""
    if isinstance(net, Model):
        return net.networks(check)
    if net is None or not check.on_network:
        return None
    return parts_of(net) if check.enumerates else st.just(net)


def _place(check: Check, error: Exception) -> str:
    """The last line of the check's own file that an error went through, or that of its function if there is none."""
    code = check.evaluate.__code__
    own = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == code.co_filename]
    return f"{code.co_filename}, line {own[-1] if own else code.co_firstlineno}"


def _keep_worst(report: Report, instance: tuple[Any, ...], outcome: Comparison) -> None:
    if not isinstance(outcome, Inequality) or (ratio := outcome.ratio) is None:
        return
    target(float(min(ratio, Fraction(_CLAMP))))
    if report.check.constant:
        report.histogram[max(0, min(BINS, int(BINS * ratio / report.check.constant)))] += 1
    best = report.ratio
    shorter = ratio == best and report.worst is not None and len(summary(instance)) < len(summary(report.worst))
    if best is None or ratio > best or shorter:
        report.ratio, report.worst = ratio, instance


def replay(check: Check, mutant: Mutant) -> Verdict:
    """Evaluate a mutant on its stored counterexample.

    A mutant that raises is not refuted. Nor is one whose instance, though within the hypotheses, refutes the theorem.
    """
    try:
        outcome = check(*mutant.instance, **mutant.ingredients)
        theorem_holds = mutant.drops_hypothesis or bool(check(*mutant.instance))
    except Exception as error:
        return Verdict(mutant, False, f"raised {type(error).__name__}: {error}")
    if outcome:
        return Verdict(mutant, False, "holds on its stored counterexample")
    if not theorem_holds:
        return Verdict(mutant, False, "its stored counterexample refutes the theorem, too")
    return Verdict(mutant, True)


def refute(check: Check, mutant: Mutant, profile: Profile) -> Failure | None:
    """Search for a counterexample of a mutant again, and shrink it; None if none was found."""
    draw = mutant.instances or check.instances

    def evaluate(*instance: Any) -> Comparison:
        return check(*instance, **mutant.ingredients)

    return search(
        draw(check.networks if mutant.networks is None else mutant.networks),
        evaluate,
        lambda test: profile.apply(test, f"{check.name}: {mutant.name}", 10 * profile.max_examples),
        raising_is_failure=False,
    )


def _found_again(check: Check, mutant: Mutant, profile: Profile) -> tuple[Any, ...] | None:
    """The shrunk counterexample of a new search."""
    failure = refute(check, mutant, profile)
    return None if failure is None else failure.instance
