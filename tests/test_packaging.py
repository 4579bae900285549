"""The wheel, the three packages and what importing them costs."""

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "pathgraph": ROOT / "pathgraph",
    "pathgraph_gpu": ROOT / "gpu" / "pathgraph_gpu",
    "pathgraph_proofs_checks": ROOT / "proofs_checks" / "pathgraph_proofs_checks",
}
FACADES = {
    "pathgraph.gpu": ROOT / "pathgraph" / "gpu" / "__init__.py",
    "pathgraph.gpu.verify": ROOT / "pathgraph" / "gpu" / "verify.py",
    "pathgraph.proofs_checks": ROOT / "pathgraph" / "proofs_checks.py",
}
OPTIONAL = ["numba", "cupy", "torch", "sympy", "matplotlib", "hypothesis", "onnx", "sklearn", "flint", "rich"]


def source_files(package):
    """The files of a package that belong into the wheel, relative to the folder that holds the package."""
    folder = PACKAGES[package]
    return {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def imported_packages(path):
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module.split(".")[0])
    return found


def run_python(program, *, cwd):
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_exactly_the_three_packages(tmp_path):
    hatchling = importlib.util.find_spec("hatchling")
    if hatchling is None:
        pytest.skip("hatchling is not installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    info = f"pathgraph-{version}.dist-info"
    expected = set().union(*map(source_files, PACKAGES))
    assert {name for name in names if not name.startswith(info)} == expected
    assert f"{info}/licenses/LICENSE" in names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package):
    assert (PACKAGES[package] / "py.typed").is_file()
    assert (PACKAGES[package] / "__init__.py").is_file()


@pytest.mark.parametrize("folder", ["gpu", "proofs_checks"])
def test_source_roots_hold_only_their_package(folder):
    assert list((ROOT / folder).glob("*.py")) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_modules_is_a_package(package):
    for module in PACKAGES[package].rglob("*.py"):
        assert (module.parent / "__init__.py").is_file(), module


@pytest.mark.parametrize("facade", FACADES)
def test_facades_only_re_export(facade):
    tree = ast.parse(FACADES[facade].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for statement in tree.body[1:]:
        match statement:
            case ast.ImportFrom(module=module):
                assert module == "__future__" or module.split(".")[0] in PACKAGES
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                pass
            case ast.If():
                expected = 'if __name__ == "__main__":\n    raise SystemExit(main())'
                assert ast.dump(statement) == ast.dump(ast.parse(expected).body[0])
            case _:
                raise AssertionError(f"{facade} does more than re-export: {ast.unparse(statement)}")


def test_dependencies_point_to_pathgraph_only():
    others = {"pathgraph_gpu", "pathgraph_proofs_checks"}
    for module in PACKAGES["pathgraph"].rglob("*.py"):
        if module not in FACADES.values():
            assert not imported_packages(module) & others, module
    for package in others:
        for module in PACKAGES[package].rglob("*.py"):
            assert not imported_packages(module) & (others - {package}), module


def test_import_loads_no_optional_dependency(tmp_path):
    program = "import json, sys, pathgraph; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = set(json.loads(run_python(program, cwd=tmp_path)))
    assert loaded.isdisjoint(OPTIONAL)
    assert {"pathgraph_gpu", "pathgraph_proofs_checks"}.isdisjoint(loaded)


def test_import_time(tmp_path):
    """Importing pathgraph costs at most 1.3 times what numpy, scipy.sparse and networkx cost.

    The two are timed by turns, each in a fresh process, in processor time. The speed of a shared machine drifts, so the
    median ratio of neighbours counts; single runs are disturbed, so the ratio of the smallest times may show it, too.
    """
    clock = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
    base, cost = [], []
    for repetition in range(15):
        base.append(float(run_python(clock.format("import numpy, scipy.sparse, networkx"), cwd=tmp_path)))
        cost.append(float(run_python(clock.format("import pathgraph"), cwd=tmp_path)))
        ratio = min(median(c / b for b, c in zip(base, cost, strict=True)), min(cost) / min(base))
        if repetition >= 4 and ratio <= 1.3:
            return
    raise AssertionError(f"import pathgraph costs {ratio:.2f} times its base of {min(base):.3f} s")
