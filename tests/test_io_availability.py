"""Without PyTorch or scikit-learn, what needs them says which extra to install, and the modules still load."""

import subprocess
import sys

import pytest

import pathgraph as pg
from pathgraph.io import torch as torch_io


@pytest.mark.parametrize(
    "call",
    [
        lambda: pg.from_torch(None, 3),
        lambda: torch_io.path_norm(None, 3),
        lambda: torch_io.PathNorm,
        lambda: torch_io.pruning_scores(None, {}),
        lambda: torch_io.pruning_masks(None, {}),
        lambda: graph().apply_to(None),
    ],
)
def test_without_torch(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(pg.BackendError, match=r"pip install 'pathgraph\[torch\]'"):
        call()


def graph():
    build = pg.LayerGraphBuilder()
    return build.build([build.linear(build.input((2,)), build.tensor("w", [[1, 2]]))])


def test_without_sklearn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(pg.BackendError, match=r"pip install 'pathgraph\[sklearn\]'"):
        pg.from_sklearn(None)


def test_unknown_names_of_the_module():
    with pytest.raises(AttributeError, match="no attribute 'pathnorm'"):
        torch_io.pathnorm  # noqa: B018


def test_the_modules_load_neither_library():
    program = "import sys, pathgraph.io.torch, pathgraph.io.sklearn; print({'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"
