"""The theorem checks: they hold, they refute their mutants, and a broken library or a broken mutant is reported."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.proofs_checks import (
    Equality,
    Inequality,
    Mutant,
    Profile,
    all_checks,
    decode,
    encode,
    examine,
    main,
    network_from_text,
    network_to_text,
    refute,
    replay,
    summary,
)
from pathgraph.testing import relu_dags
from pathgraph_proofs_checks.parallel import examine_all
from pathgraph_proofs_checks.parts import part, parts_of
from pathgraph_proofs_checks.rademacher import signed_mean
from pathgraph_proofs_checks.report import failure_text
from pathgraph_proofs_checks.runner import Failure
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power, without_biases

CHECKS = {check.name: check for check in all_checks()}
MUTANTS = {f"{check.name}: {mutant.name}": (check, mutant) for check in CHECKS.values() for mutant in check.mutants}
QUICK = Profile(max_examples=40)
MLP = pg.from_weights([[[1, -2], [3, 1]], [[1, 1], [0, 2]]], [[1, -1], [0, 3]], dtype=object)


def test_there_are_enough():
    assert len(CHECKS) >= 35
    assert len(MUTANTS) >= 80
    assert all(check.mutants for check in CHECKS.values())


@pytest.mark.parametrize("name", CHECKS)
def test_check_holds(name):
    report = examine(CHECKS[name], QUICK, MLP)
    assert report.failure is None, summary(report.failure.instance)
    assert report.passed
    assert report.instances >= 20
    assert (report.on_network is None) == (not CHECKS[name].on_network)


@pytest.mark.parametrize("name", CHECKS)
def test_check_is_described(name):
    check = CHECKS[name]
    assert check.statement.endswith(".")
    assert check.latex.count("{") == check.latex.count("}")
    assert check.hypotheses
    assert "arXiv:" in check.source or check.source == "derived here"


@pytest.mark.parametrize("name", MUTANTS)
def test_stored_counterexample_refutes_its_mutant(name):
    check, mutant = MUTANTS[name]
    verdict = replay(check, mutant)
    assert verdict.refuted, verdict.reason
    assert decode(encode(mutant.instance)) == mutant.instance
    assert len(repr(mutant.counterexample)) <= 130


@pytest.mark.parametrize(
    "name",
    [
        "factorisation: the lifting loses its signs",
        "path-norm-in-one-sweep: biases are lost",
        "product-bound: largest entries",
        "contraction-of-pools: the constant 1/2 instead of 1",
        "output-bound: without the 1",
    ],
)
def test_counterexamples_are_found_again_and_small(name):
    check, mutant = MUTANTS[name]
    failure = refute(check, mutant, QUICK)
    assert failure is not None
    assert not check(*failure.instance, **mutant.ingredients)
    assert len(repr(encode(failure.instance))) <= 100


def test_hadamard_counterexample_of_the_theory():
    matrix = [[(-1) ** (i & j).bit_count() for j in range(8)] for i in range(8)]
    net = pg.from_weights([matrix, matrix[:1]], dtype=object)
    mutant = MUTANTS["product-bound: spectral norms times the root of the input dimension"][1]
    outcome = CHECKS["product-bound"](net, 1, **mutant.ingredients)
    assert (outcome.left, outcome.right) == (64**2, 8**3)


# -- a broken library, a broken mutant --------------------------------------------------------------------------------


PATH_NORM = pg.path_norm


def pools_kept(net, q, r, *, root):
    sums = at_outputs(net, power(q), pool=kth_largest)
    return sum(total ** (r // q) for total in sums) if r < float("inf") else max(sums)


def biases_lost(net, *args, **options):
    return PATH_NORM(without_biases(net), *args, **options)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("path-norm-in-one-sweep", pools_kept),
        ("path-norm-in-one-sweep", biases_lost),
        ("output-bound", biases_lost),
    ],
)
def test_broken_path_norm_is_refuted(monkeypatch, capsys, tmp_path, name, broken):
    monkeypatch.setattr(pg, "path_norm", broken)
    file = tmp_path / "report.json"
    assert main(["--no-digits", "--only", name, "--json", str(file)]) == 1
    printed = capsys.readouterr().out
    assert f"{name} does not hold on" in printed
    assert "y0 = out(" in printed
    assert "left " in printed
    assert "1 failed" in printed
    document = json.loads(file.read_text())
    assert not document["passed"]
    assert "y0 = out(" in document["checks"][0]["counterexample"]


def test_raising_check_is_reported(monkeypatch, capsys):
    def raising(*args, **options):
        raise ArithmeticError("no norm today")

    monkeypatch.setattr(pg, "path_norm", raising)
    assert main(["--no-digits", "--only", "output-bound"]) == 2
    printed = capsys.readouterr().out
    assert "ERROR in output-bound: it raised ArithmeticError: no norm today" in printed
    assert "output_bound.py, line " in printed


def raising_norm(net):
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("ingredients", "counterexample", "reason"),
    [
        ({"norm": raising_norm}, ("x0; y0 = out(x0)", (1,)), "raised ZeroDivisionError: oops"),
        ({"no_such": 1}, ("x0; y0 = out(x0)", (1,)), "raised TypeError"),
        ({"size": lambda x: 2}, ("x0; y0 = out(x0)", (1,)), "holds on its stored counterexample"),
    ],
)
def test_mutant_that_is_not_refuted(ingredients, counterexample, reason):
    mutant = Mutant("output-bound", "sound", counterexample, ingredients, None, None)
    verdict = replay(CHECKS["output-bound"], mutant)
    assert not verdict.refuted
    assert verdict.reason.startswith(reason)


def test_mutant_whose_instance_refutes_the_theorem(monkeypatch):
    monkeypatch.setattr(pg, "path_norm", lambda net, *args, **options: Fraction(0))
    verdict = replay(*MUTANTS["output-bound: without the 1"])
    assert not verdict.refuted
    assert "refutes the theorem, too" in verdict.reason


def test_unrefuted_mutants_fail_the_run(capsys):
    mutants = CHECKS["output-bound"].mutants
    mutants.append(Mutant("output-bound", "raising", ("x0; y0 = out(x0)", (1,)), {"norm": raising_norm}, None, None))
    try:
        assert main(["--no-digits", "--only", "output-bound"]) == 1
    finally:
        mutants.pop()
    printed = capsys.readouterr().out
    assert "mutant not refuted: output-bound, raising: raised ZeroDivisionError" in printed
    assert f"{len(mutants)}/{len(mutants) + 1}" in printed


# -- the command ------------------------------------------------------------------------------------------------------


def test_list(capsys):
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == list(CHECKS)
    assert max(map(len, lines)) == 120
    assert all(line.endswith((".", "...")) for line in lines)


def test_the_analysis_is_left_out_with_only(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr("pathgraph_proofs_checks.cli.analyse", lambda digits: pytest.fail("analysed"))
    assert main(["--only", "number-of-paths"]) == 0
    assert "--analyse asks for it" in capsys.readouterr().out


def test_marks_are_explained():
    outcome = Equality(1, 2)
    text = failure_text("a", Failure((decode("x0; y0 = out(x0~, 2@a)"),), outcome))
    assert "marks: ~ frozen, @NAME tied to the others of this name" in text
    assert "marks" not in failure_text("a", Failure((decode("x0; y0 = out(x0)"),), outcome))


def test_json(tmp_path, capsys):
    file = tmp_path / "report.json"
    arguments = ["--no-digits", "--only", "product-bound", "--only", "factorisation", "--seed", "3"]
    assert main([*arguments, "--json", str(file)]) == 0
    document = json.loads(file.read_text())
    equality, bound = document["checks"]
    assert document["passed"]
    assert (equality["name"], bound["name"]) == ("factorisation", "product-bound")
    assert (bound["worst_ratio"], bound["tightness"]) == ("1", "attained")
    assert set(bound["mutants"].values()) == {"refuted"}
    assert equality["tightness"] is None
    assert "everything holds" in capsys.readouterr().out


def test_durations(capsys):
    assert main(["--no-digits", "--only", "number-of-paths", "--only", "product-bound", "--durations", "1"]) == 0
    _, shown = capsys.readouterr().out.split("slowest checks, CPU seconds")
    rows = [line.split() for line in shown.splitlines() if line.strip()]
    assert rows[0] == ["check", "total", "evaluating", "milliseconds", "per", "instance"]
    assert [row[0] for row in rows[1:3]] == [rows[1][0], "all"]
    assert 0 < float(rows[1][2]) < float(rows[1][1]) < float(rows[2][1])


def test_refute(capsys):
    assert main(["--refute", "--only", "contraction-of-pools"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("found ") == printed.count("stored ") == len(CHECKS["contraction-of-pools"].mutants)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "factorization"], "did you mean factorisation"),
        (["--only", "zzz"], "--list shows the names"),
        (["--seed", "x"], "invalid int value"),
        (["--jobs", "0"], "needed an integer >= 1"),
        (["--json", "/no/such/folder/x.json"], "needed a file that can be written"),
        (["--no-digits", "--picture", "x.png"], "nothing to draw with --no-digits"),
        (["--no-digits", "--analyse"], "nothing to analyse with --no-digits"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_same_seed_same_run():
    first, second = (examine(CHECKS["float-sweep-error"], Profile(20, seed=5)) for _ in range(2))
    assert (first.ratio, first.instances) == (second.ratio, second.instances)


def test_reports_do_not_depend_on_the_number_of_processes():
    checks = [CHECKS[name] for name in ("float-sweep-error", "output-bound", "number-of-paths")]
    one, two = (
        {
            report.check.name: replace(report, seconds=0, cpu_seconds=0, evaluating=0)
            for report in examine_all(checks, Profile(20), MLP, jobs)
        }
        for jobs in (1, 2)
    )
    assert one == two
    assert one.keys() == {check.name for check in checks}


# -- the pieces -------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(relu_dags())
def test_networks_survive_their_text(net):
    assert network_from_text(network_to_text(net)) == net


@pytest.mark.parametrize("text", ["x0; y0 = tanh(x0)", "x0; y0 = out(2x0)", "x0; y0 = out(x1)", "x0; y0 = out(x0"])
def test_wrong_texts(text):
    with pytest.raises(ValueError, match=r"no neuron|no term"):
        network_from_text(text)


def test_outcomes_are_exact():
    with pytest.raises(TypeError, match=r"exact numbers, got 0\.5"):
        Equality(0.5, 0.5)
    assert not Equality((1, 2), (1, 3))
    assert Inequality((1, 0), (2, 0)).ratio == Fraction(1, 2)
    assert Inequality(0, 0).ratio is None
    assert not Inequality((1, 3), (2, 2))


def test_expectations_over_signs():
    assert signed_mean([[[1, 1]]], lambda z: max(z, 0)) == Fraction(1, 2)
    assert signed_mean([[[1]], [[1]]], lambda z: z) == Fraction(1, 2)


def test_parts_keep_weights_and_biases():
    net = pg.from_weights([np.arange(1.0, 601).reshape(30, 20), np.ones((10, 30))], [np.ones(30), None]).to_exact()
    small = part(net, 0)
    assert {len(small.inputs), len(small.hidden), len(small.outputs)} == {6}
    assert all(small.weight(u, v) == net.weight(u, v) for u, v in small.graph.edges)
    assert all(small.bias(v) == net.bias(v) for v in small.nodes)


@given(st.data())
def test_small_networks_are_their_own_parts(data):
    assert data.draw(parts_of(MLP)) is MLP


def test_digits():
    pytest.importorskip("sklearn")
    from pathgraph_proofs_checks.analysis import analyse
    from pathgraph_proofs_checks.digits import train

    digits = train((6, 5), max_iter=20)
    assert digits.net.architecture.n_edges == 64 * 6 + 6 * 5 + 5 * 10
    analysis = analyse(digits, n_images=2, n_rescalings=1)
    assert all(identity.outcome for identity in analysis.identities)
    assert len(analysis.log_products) == pg.path_norm(digits.net, 0)
    bounds = list(analysis.bounds.values())
    assert bounds[:4] == sorted(bounds[:4])


def test_picture(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    from pathgraph_proofs_checks.analysis import analyse
    from pathgraph_proofs_checks.digits import train
    from pathgraph_proofs_checks.picture import save_picture

    file = tmp_path / "new" / "digits.png"
    save_picture(analyse(train((5,), max_iter=5), n_images=1, n_rescalings=1), file)
    assert file.read_bytes()[:4] == b"\x89PNG"
