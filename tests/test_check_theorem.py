"""`check_theorem` refutes what is false, small, and says which wrong versions it could not tell from the statement."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import Equality, Inequality, check_theorem, inputs, mlps, parameters, relu_dags

NETS = mlps(max_layers=2, max_width=2)


def bound(net, x, *, largest=max, biases=1, q=1):
    """The outputs are at most max(|x|, 1) times the path-norm."""
    size = largest(map(abs, [*x, biases]))
    return Inequality(sum(abs(net(x))), size * pg.path_norm(net, q, root=False))


MUTANTS = {
    "the smallest input": {"largest": min},
    "biases forgotten": {"biases": 0},
    "another function": lambda net, x: Inequality(sum(abs(net(x))), max(map(abs, [*x, 1]))),
    "a hypothesis dropped": (NETS, lambda net: inputs(net).map(lambda x: [v / 2 for v in x])),
    "both": {"q": 2, "given": (NETS, inputs)},
}


def test_a_theorem_holds_and_its_mutants_are_refuted():
    mutants = {name: MUTANTS[name] for name in ("the smallest input", "biases forgotten", "another function", "both")}
    found = check_theorem(bound, given=(NETS, inputs), mutants=mutants, max_examples=60)
    assert found
    assert (found.holds, found.examples, found.counterexample) == (True, 60, None)
    assert set(found.mutants) == set(mutants)
    for refutation in found.mutants.values():
        net, x = refutation.instance
        assert not refutation.outcome
        assert bound(net, x)
        assert net.architecture.n_edges <= 2
    assert repr(found) == "TheoremCheck(holds on 60 instances; 4 of 4 mutants refuted)"


def test_a_false_statement_is_refuted_by_a_small_instance():
    def without_the_norm(net, x):
        return Inequality(sum(abs(net(x))), max(map(abs, [*x, 1])))

    with pytest.raises(AssertionError, match="without_the_norm is refuted") as caught:
        check_theorem(without_the_norm, given=(NETS, inputs))
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("inputs (0, 0)")
    assert lines[-2] == "should be at most"
    assert len(lines) <= 8
    found = check_theorem(without_the_norm, given=(NETS, inputs), raises=False, mutants={"m": bound})
    assert not found
    assert not found.holds
    assert not found.mutants
    assert repr(found).startswith("TheoremCheck(refuted)\ninputs")


def test_mutants_that_cannot_be_told_apart_are_said():
    given = (NETS, inputs)
    same = {"nothing": bound, "scaled inputs": MUTANTS["a hypothesis dropped"]}
    found = check_theorem(bound, given=given, mutants=same, max_examples=10, raises=False)
    assert found.holds
    assert not found
    assert list(found.mutants.values()) == [None, None]
    with pytest.raises(AssertionError, match="got none of 'nothing', 'scaled inputs' in 100 instances"):
        check_theorem(bound, given=given, mutants=same, max_examples=10)


def test_a_mutant_that_raises_is_not_refuted():
    def broken(net, x):
        raise ZeroDivisionError("mine")

    found = check_theorem(bound, given=(NETS, inputs), mutants={"broken": broken}, max_examples=5, raises=False)
    assert not found
    assert found.raised == {"broken": "ZeroDivisionError: mine"}
    with pytest.raises(AssertionError, match=r"'broken' .raised ZeroDivisionError: mine."):
        check_theorem(bound, given=(NETS, inputs), mutants={"broken": broken}, max_examples=5)
    with pytest.raises(ZeroDivisionError, match="mine"):
        check_theorem(broken, given=(NETS, inputs))


def test_a_mutant_within_the_hypotheses_needs_an_instance_on_which_the_statement_holds():
    found = check_theorem(lambda n: True, given=st.integers(0, 9), mutants={"wrong": lambda n: n != 7}, max_examples=20)
    assert found.mutants["wrong"].instance == (7,)


def test_parts_are_drawn_for_the_network_or_by_themselves():
    def vectors(net):
        return st.tuples(parameters(net), st.just(net))

    def fits(net, drawn, n):
        theta, same = drawn
        assert same is net
        assert isinstance(n, int)
        return Equality(net.with_theta(theta).theta.tolist(), theta.tolist())

    assert check_theorem(fits, given=(relu_dags(), vectors, st.integers(0, 3)), max_examples=20)
    assert check_theorem(lambda a, b: a + b == b + a, given=[st.integers(), st.integers()], max_examples=20)
    assert check_theorem(lambda net: np.bool_(net.is_exact), given=mlps(), max_examples=5)


def test_sides_of_different_sizes_are_refused():
    for sides in (([1], [1, 2]), ([1, 2], 3), ([[1, 2], [3]], [4, 5])):
        with pytest.raises(ValueError, match=r"needed sides with equally many numbers, got \d and \d"):
            bool(Inequality(*sides))


def test_instances_that_are_assumed_away_are_not_counted():
    evaluated = []

    def on_even_numbers(n):
        assume(n % 2 == 0)
        evaluated.append(n)
        return True

    assert check_theorem(on_even_numbers, given=st.integers(0, 1000), max_examples=20).examples == len(evaluated)


def test_a_statement_that_is_false_at_times_is_refuted():
    calls = iter(range(10**6))
    found = check_theorem(lambda n: next(calls) != 5, given=st.integers(), max_examples=20, raises=False)
    assert not found
    assert found.counterexample.outcome is False


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"statement": 3}, "statement: needed a function"),
        ({"statement": lambda net: 3}, "statement: needed one that gives an Equality"),
        ({"given": ()}, "given: needed a strategy"),
        ({"given": inputs}, "given: needed a strategy"),
        ({"given": (mlps(), 3)}, "given: needed a strategy"),
        ({"given": (mlps(), lambda net: 3)}, "given: needed functions that give strategies, got one that gives 3"),
        ({"mutants": {"m": 3}}, r"mutants\['m'\]: needed a function"),
        ({"mutants": {"m": {"given": 3}}}, r"mutants\['m'\]: needed a strategy"),
        ({"mutants": None}, "mutants: needed a mapping"),
        ({"mutants": [lambda net: False]}, "mutants: needed a mapping"),
        ({"given": st.nothing()}, "needed a strategy that draws something"),
        ({"statement": lambda n: assume(False), "given": st.integers()}, "needed a strategy that draws something"),
        ({"max_examples": 0}, "max_examples"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(pg.ParameterError, match=match):
        check_theorem(**{"statement": lambda net: True, "given": mlps()} | options)


# -- beside the theorems of the package ---------------------------------------------------------------------------


def test_a_registered_check_is_a_statement():
    from pathgraph.proofs_checks import all_checks

    [check] = [check for check in all_checks() if check.name == "factorisation"]
    mutant = next(mutant for mutant in check.mutants if not mutant.drops_hypothesis)
    nets = relu_dags(max_hidden=2)
    assert check_theorem(check, given=check.instances(nets), mutants={mutant.name: mutant.ingredients}, max_examples=12)


def test_nothing_of_pathgraph_imports_the_theorems():
    root = Path(pg.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if file.name == "proofs_checks.py":  # the name under which they are imported
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong = [name for name in names if name.startswith(("pathgraph_proofs_checks", "pathgraph.proofs_checks"))]
            assert not wrong, (file, wrong)
