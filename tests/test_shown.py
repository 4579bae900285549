"""Representations are short, and errors about first arguments say what they needed."""

import inspect
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.shown import decimal_text, number_text, shortened, told_apart


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (2 / 3, "0.666667"),
        (-2.5e20, "-2.5e+20"),
        (Fraction(3, 2), "3/2"),
        (Fraction(2) ** 2000, "~1.14813e602"),
        (-(Fraction(10) ** -400), "~-1e-400"),
        (Fraction(10**30 + 1, 10**30), "~1"),
        (np.float32(0.1), "0.1"),
        (float("inf"), "inf"),
        (np.arange(9.0), "[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, ...]"),
    ],
)
def test_numbers(value, text):
    assert number_text(value) == text


def test_decimals_round_up():
    assert decimal_text(Fraction(10**99 - 1), 2) == "1e99"
    assert decimal_text(Fraction(93 * 10**97), 2) == "9.3e98"


def test_names_are_told_apart():
    layers = [f"Call/net/{layer}/{what}/Read:0" for layer in ("conv", "conv_1") for what in ("Conv2D", "BiasAdd")]
    assert told_apart(layers) == ["conv/Conv2D", "conv/BiasAdd", "conv_1/Conv2D", "conv_1/BiasAdd"]
    stages = ["image", *(f"/layer1/layer1.{k}/{what}/Conv" for k in range(2) for what in ("conv1", "conv2", "skip.0"))]
    assert len({shortened(name) for name in stages}) < len(set(told_apart(stages))) == len(stages)
    assert max(map(len, told_apart(stages))) <= 24
    assert told_apart(["short.a", "short.b"]) == ["short.a", "short.b"]
    assert told_apart(["long " * 9]) == [shortened("long " * 9)]
    assert told_apart(["same/" * 9 + "x"] * 2) == ["x", "x"]
    assert told_apart([]) == []


def test_bounds():
    bound = pg.Bound(2 / 3, Fraction(10**40 + 1, 3 * 10**40), False, True, "x")
    assert repr(bound) == "Bound(0.666666 <= . <= ~0.333333, rigorous, by x)"
    assert f"{bound:.2f}" == "0.33"
    assert f"{bound}" == repr(bound)
    assert f"{pg.Bound(np.zeros(2), np.array([1.0, 2.0]), False, True, 'x'):.1f}" == "[1.0, 2.0]"


def test_factors_are_cut():
    net = pg.from_weights([np.ones((9, 1)), 2 * np.ones((1, 9))])
    for shown in (repr(pg.balance(net)), repr(pg.find_rescaling(net, net))):
        assert "(1, 5): " in shown
        assert "(1, 6): " not in shown
        assert "np.float" not in shown


def test_too_many_paths_to_list():
    net = pg.from_weights([np.ones((10, 10))] * 99)
    with pytest.raises(pg.PathCountError, match=r"has 1e100 paths.*too many to list: use path_sum") as caught:
        pg.path_lifting(net)
    assert "raise max_paths" not in str(caught.value)


def test_dir():
    assert set(dir(pg)) == {*pg.__all__, "__version__", "gpu", "plot", "proofs_checks", "testing"}


TAKES_A_NETWORK = [
    name
    for name in pg.__all__
    if inspect.isfunction(getattr(pg, name)) and next(iter(inspect.signature(getattr(pg, name)).parameters)) == "net"
]


@pytest.mark.parametrize("name", TAKES_A_NETWORK)
def test_first_arguments(name):
    parameters = list(inspect.signature(getattr(pg, name)).parameters.values())[1:]
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    values = {"rng": 0, "n": 1}
    with pytest.raises(pg.ParameterError, match=r"net: needed a (pathgraph\.)?Network"):
        getattr(pg, name)("no network", **{p.name: values.get(p.name, [1.0]) for p in needed})


def test_checks_without_rich():
    program = "import sys; sys.modules['rich'] = None; import pathgraph.proofs_checks"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "pathgraph.proofs_checks needs rich, which is not installed" in done.stderr


@pytest.mark.parametrize("missing", ["rich", "hypothesis"])
def test_the_command_without_its_extra(missing):
    program = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; sys.argv[1:] = ['--list']; "
        "runpy.run_module('pathgraph.proofs_checks', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pathgraph.proofs_checks needs {missing}, which is not installed; pip install")
    assert done.stderr.count("\n") == 1
