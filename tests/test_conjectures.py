"""Checks from files outside the package: they are run like the others, and what is wrong with a file is said."""

import pickle
import re
from pathlib import Path

import pytest

from pathgraph.proofs_checks import ConjectureError, all_checks, load, main, replay

DOCS = Path(__file__).parents[1] / "docs" / "develop"
REFUTED = DOCS / "conjectures" / "frobenius_bound.py"
SURVIVING = DOCS / "conjectures" / "frobenius_bound_for_squares.py"

HEAD = """\
from hypothesis import strategies as st
import pathgraph as pg
from pathgraph.proofs_checks import Equality, Inequality, drawn, theorem
from pathgraph.testing import mlps
"""
CHECK = (
    HEAD
    + """\
@theorem(statement="Every output of every network is an identity.", instances=drawn(), networks=mlps(max_layers=2))
def my_conjecture(net, *, kind="identity"):
    return Equality([net.graph.nodes[v]["activation"] for v in net.outputs], [kind] * len(net.outputs))
"""
)


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "mine.py"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


def run(*arguments):
    return main([*arguments, "--no-digits"])


def test_the_documented_conjecture_is_refuted(capsys):
    assert run("--load", str(REFUTED), "--only", "frobenius-bound") == 1
    printed = capsys.readouterr().out
    shown = re.search(r"```text\n(.*?)```", (DOCS / "conjectures.md").read_text("utf-8"), re.DOTALL)[1]
    assert shown in printed
    assert "REFUTED" in printed
    assert "exceeded" in printed
    assert "1 failed" in printed


def test_the_documented_conjecture_survives(capsys):
    assert run("--load", str(SURVIVING), "--only", "frobenius-bound-for-squares") == 0
    printed = capsys.readouterr().out
    assert "1 attained" in printed
    assert "3/3 mutants refuted" in printed
    assert "everything holds" in printed


def test_the_documented_commands_name_the_files():
    page = (DOCS / "conjectures.md").read_text("utf-8")
    for file, name in re.findall(r"--load (\S+) --only (\S+)", page):
        assert [check.name for check in load(DOCS / "conjectures" / file)] == [name]


def test_processes_read_the_file(capsys, write):
    file = write(CHECK)
    arguments = ["--load", file, "--only", "my-conjecture", "--only", "frobenius-bound", "--load", str(REFUTED)]
    assert run(*arguments, "--jobs", "2") == 1
    printed = capsys.readouterr().out
    assert re.search(r"my-conjecture +holds", printed)
    assert "frobenius-bound does not hold on" in printed


def test_errors_that_cannot_be_pickled_cross_processes(capsys, write):
    text = CHECK.replace(
        "@theorem",
        "class Odd(Exception):\n    def __init__(self, a, b):\n        super().__init__(f'{a} {b}')\n@theorem",
    ).replace("return ", "raise Odd(1, 2)\n    return ")
    assert run("--load", write(text), "--only", "my-conjecture", "--jobs", "2") == 2
    assert "it raised RuntimeError: Odd: 1 2" in capsys.readouterr().out


def test_checks_and_mutants_are_pickled_by_name(write):
    file = write(CHECK + "my_conjecture.mutant('relu', ('x0; y0 = out(x0)',), kind='relu')\n")
    (check,) = load(file)
    assert pickle.loads(pickle.dumps(check)) is check
    assert pickle.loads(pickle.dumps(check.mutants[0])) is check.mutants[0]
    assert replay(check, check.mutants[0]).refuted


def test_a_file_may_be_loaded_again_and_leaves_the_registry(capsys, write):
    before = all_checks()
    (first,), (second,) = load(write(CHECK)), load(write(CHECK.replace("Every", "Each")))
    assert (first.statement[:5], second.statement[:4]) == ("Every", "Each")
    assert all_checks() == before
    assert main(["--list", "--load", write(CHECK), "--only", "my-conjecture"]) == 0
    assert capsys.readouterr().out.startswith("my-conjecture: Every output")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1\n", r"mine\.py, line 1: invalid syntax"),
        ("def f(:\n", r"mine\.py, line 1: "),
        ("\0", r"mine\.py.*null bytes"),
        ("import no_such_module\n", r"mine\.py, line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        (HEAD + "raise SystemExit('gone')\n", r"mine\.py, line 5: SystemExit: gone"),
        (HEAD, r"mine\.py: needed a check, that is a function under @theorem\(\.\.\.\), got none"),
        (HEAD + "@theorem(statement='Yes.')\ndef f(net): ...\n", r"line 5: TypeError: .*'instances'"),
        (
            CHECK.replace("my_conjecture", "output_bound"),
            "line 5: ValueError: there is a check 'output-bound'",
        ),
        (CHECK + CHECK.removeprefix(HEAD), "line 8: ValueError: there is a check 'my-conjecture'"),
    ],
)
def test_wrong_files(write, capsys, text, message):
    file = write(text)
    with pytest.raises(ConjectureError, match=message):
        load(file)
    with pytest.raises(SystemExit) as caught:
        run("--load", file)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "error: --load: " in error
    assert "Traceback" not in error
    load(write(CHECK))  # nothing is left of the wrong file


def test_two_files_with_one_name(write, tmp_path, capsys):
    copy = tmp_path / "copy.py"
    copy.write_text(CHECK, encoding="utf-8")
    with pytest.raises(SystemExit):
        run("--load", write(CHECK), "--load", str(copy))
    assert "copy.py: there is a check 'my-conjecture' already, in another file" in capsys.readouterr().err


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConjectureError, match=r"missing\.py: No such file"):
        load(tmp_path / "missing.py")
    with pytest.raises(ConjectureError, match="directory"):
        load(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConjectureError, match="needed Python in UTF-8"):
        load(tmp_path / "latin.py")


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (
            2,
            CHECK.replace("return ", "return 1 or "),
            "it raised TypeError: my-conjecture: needed an Equality or an Ineq",
        ),
        (2, CHECK.replace("return ", "net.no_such\n    return "), "raised AttributeError: 'Network' object has no"),
        (2, CHECK.replace("return ", "net.no_such\n    return "), "mine.py, line 7)"),
        (2, CHECK.replace("return ", "return 1 or "), "mine.py, line 5)"),
        (2, CHECK.replace("drawn()", "drawn(lambda net: 1 / 0)"), "no instance could be drawn, ZeroDivisionError"),
        (2, CHECK.replace("drawn()", "drawn(lambda net: 1 / 0)"), "mine.py, line 5)"),
        (2, CHECK.replace("drawn()", "drawn(st.nothing())"), "no instance could be drawn, "),
        (
            1,
            CHECK + "my_conjecture.mutant('no', ('x0; y0 = out(x0)',))\n",
            "my-conjecture, no: holds on its stored",
        ),
        (
            1,
            CHECK + "my_conjecture.mutant('no', ('x0; y0 = out(',))\n",
            "my-conjecture, no: raised ValueError: no neuron",
        ),
    ],
)
def test_wrong_checks(write, capsys, code, text, message):
    assert run("--load", write(text), "--only", "my-conjecture") == code
    printed = capsys.readouterr().out
    assert message in printed
    assert ("ERROR" in printed, "1 error" in printed) == (code == 2, code == 2)
    assert "REFUTED" not in printed


def test_refute_says_that_nothing_could_be_drawn(write, capsys):
    text = CHECK.replace("drawn()", "drawn(lambda net: 1 / 0)") + "my_conjecture.mutant('no', ('x0; y0 = out(x0)',))\n"
    assert main(["--refute", "--load", write(text), "--only", "my-conjecture"]) == 1
    assert "none, no instance could be drawn" in capsys.readouterr().out
