"""The theorem checks on a model that a user gives: whole, in parts, and where they do not apply."""

import json
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.proofs_checks import Profile, all_checks, examine, main
from pathgraph_proofs_checks.models import MAX_WHOLE, NEEDS, Model, _Thinning, freed, thinned, unmet
from pathgraph_proofs_checks.parts import SMALL
from pathgraph_proofs_checks.registry import REQUIREMENTS, theorem
from tests.layer_graphs import MAKERS, build
from tests.networks import REGISTRY, on_networks

CHECKS = {check.name: replace(check, mutants=[]) for check in all_checks()}
NAMES = {case.name: case for case in (REGISTRY.values() if isinstance(REGISTRY, dict) else REGISTRY)}


def residual(size=6):
    """A layer graph with convolutions, a batch-norm, a residual connection, x + x, a max-pool and an average."""
    rng = np.random.default_rng(0)

    def eighths(*shape):
        return rng.integers(1, 9, shape) * rng.choice([-1, 1], shape) / 8

    build = pg.LayerGraphBuilder()
    x = build.input((2, size, size), name="image")
    x = build.relu(
        build.convolution(x, build.tensor("first", eighths(3, 2, 3, 3)), build.tensor("bias", eighths(3)), padding=1)
    )
    y = build.convolution(x, build.tensor("second", eighths(3, 3, 3, 3)), padding=1)
    y = build.batch_norm(
        y, build.tensor("scale", eighths(3), role="frozen"), build.tensor("shift", eighths(3), role="frozen")
    )
    x = build.relu(build.add([x, y]))
    x = build.max_pool(build.add([x, x]), 3, stride=2, padding=1)
    x = build.mean(x, (1, 2), keep=False)
    return build.build([build.linear(x, build.tensor("last", eighths(4, 3)))])


@on_networks()
def test_everything_kept_is_the_network_itself(case):
    net = case.net
    found = _Thinning(net, Random(0), 10**6, 10**6).network()
    assert pg.path_norm(found) == pg.path_norm(net)
    assert pg.path_norm(found, q=2, root=False) == pg.path_norm(net, q=2, root=False)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = {u: Fraction(int(value)) for u, value in zip(net.inputs, rng.integers(-4, 5, len(net.inputs)), strict=True)}
        part = dict(zip(found.outputs, found([x[u] for u in found.inputs]), strict=True))
        assert part == dict(zip(net.outputs, net(list(x.values())), strict=True))


def test_everything_kept_of_a_layer_graph_is_its_expansion():
    graph = residual().to_exact()
    found = _Thinning(graph, Random(0), 10**6, 10**6).network()
    x = np.random.default_rng(1).integers(-3, 4, (2, 2, 6, 6))
    rows = [[Fraction(int(image[tuple(u[1:])])) for u in found.inputs] for image in x]
    exact = np.array([Fraction(int(value)) for value in x.ravel()], dtype=object).reshape(x.shape)
    assert (found(rows) == graph(exact)).all()
    assert found.architecture.n_parameters == sum(w.size for w in graph.parameters.values())
    assert "frozen" in {data.get("role") for *_, data in found.graph.edges(data=True)}


@pytest.mark.parametrize("name", MAKERS)
def test_everything_kept_of_layer_graphs_has_the_paths_of_the_expansion(name):
    graph = build(name)
    found, expansion = _Thinning(graph, Random(0), 10**6, 10**6).network(), graph.expand()
    assert pg.count_paths(found) == pg.count_paths(expansion)
    for q in (1, 2):
        assert pg.path_norm(found, q=q, root=False) == pg.path_norm(expansion, q=q, root=False)


@pytest.mark.parametrize("seed", range(4))
def test_parts_have_few_paths_and_the_values_of_the_model(seed):
    rng = np.random.default_rng(seed)
    wide = pg.from_weights([rng.normal(size=(40, 30)), *[rng.normal(size=(40, 40)) for _ in range(8)]])
    part = thinned(wide, seed)
    assert 0 < pg.count_paths(part) <= SMALL
    assert part.is_exact
    assert all(part.weight(u, v) == Fraction(wide.weight(u, v)) for u, v in part.graph.edges)
    assert thinned(wide, seed) == part
    narrow = wide.to_float(np.float32)
    assert thinned(narrow, seed) == thinned(narrow.to_float(np.float64), seed)
    assert thinned(wide, seed + 1) != part


def test_a_model_is_whole_or_in_parts():
    graph = residual()
    large = Model.of(graph, "residual", max_whole=10)
    assert large.whole is None
    assert len(large.parts) > 1
    small = Model.of(NAMES["dense"].float64, "dense")
    assert small.parts == (small.whole,)
    assert NAMES["dense"].net.architecture.n_edges < MAX_WHOLE
    sympy = pytest.importorskip("sympy")
    with pytest.raises(pg.ParameterError, match="SymPy"):
        Model.of(pg.from_weights([[[sympy.Symbol("a")]]]), "symbols")


def test_freed_networks_are_the_same_function_without_names_and_roles():
    for name in ("tied_across_depth", "batch_norm", "convolution", "fixed_bias"):
        net = NAMES[name].net
        free = freed(net)
        assert not free.architecture.is_tied
        assert not free.architecture.role.any()
        assert list(free.values) == list(net.values)
        assert not freed(net, roles=False).architecture.is_tied
        assert list(freed(net, roles=False).architecture.role) == list(net.architecture.role)
    assert freed(NAMES["dense"].net) is NAMES["dense"].net


FEATURES = ["max_pool", "k_pool", "batch_norm", "convolution", "tied_across_depth", "skip", "zeros", "fixed_bias"]


@pytest.mark.parametrize("name", FEATURES)
def test_every_check_holds_or_says_why_it_does_not_apply(name):
    """On networks that lack what some checks need: none is refuted, none raises."""
    model, ran = Model.of(NAMES[name].net, name), 0
    for check in CHECKS.values():
        report = examine(check, Profile(), model)
        assert report.failure is None, (check.name, report.failure)
        assert bool(report.inapplicable) == (report.on_network is None)
        assert report.verdict == ("not run" if report.inapplicable else "holds")
        assert report.instances == 0
        ran += report.on_network is not None
    assert ran >= 40


def test_checks_run_on_parts_of_a_layer_graph():
    model = Model.of(residual(12), "residual", max_whole=10)
    for name in (
        "factorisation",
        "path-norm-in-one-sweep",
        "rescaling-invariance",
        "cost-of-a-tied-parameter",
        "meet-bound",
    ):
        report = examine(CHECKS[name], Profile(), model)
        assert report.verdict == "holds"
        assert report.on_network >= 1
    assert "layered" in examine(CHECKS["product-bound"], Profile(), model).inapplicable


def test_a_false_statement_is_refuted_on_a_model():
    check = CHECKS["output-bound"]
    broken = replace(check, evaluate=lambda net, x: replace(check.evaluate(net, x), right=Fraction(0)))
    report = examine(broken, Profile(), Model.of(NAMES["dense"].net, "dense"))
    assert report.verdict == "REFUTED"


def test_needs_are_known():
    assert set(NEEDS) == set(REQUIREMENTS)
    assert all(set(check.needs) <= set(REQUIREMENTS) for check in CHECKS.values())
    with pytest.raises(ValueError, match="got no luck"):
        theorem(statement="x.", instances=CHECKS["output-bound"].instances, needs=("no luck",))
    assert "3 are zero" in unmet(
        replace(CHECKS["factorisation"], needs=("no zeros",)), pg.from_weights([[[0, 0, 0]]], dtype=object)
    )


# -- the command ----------------------------------------------------------------------------------------------------


def saved(tmp_path, net):
    path = tmp_path / "net.npz"
    pg.save(net, path)
    return str(path)


def test_command_on_a_model(tmp_path, capsys):
    path, file = saved(tmp_path, NAMES["skip"].net), tmp_path / "x.json"
    only = ["--only", "product-bound", "--only", "number-of-paths", "--only", "margin-is-lipschitz"]
    assert main(["--model", path, "--json", str(file), *only]) == 0
    printed = capsys.readouterr().out
    assert "not run on net.npz" in printed
    assert "a layered network, got the edge" in printed
    assert "1 check of 3 ran on net.npz" in printed
    found = {row["name"]: row for row in json.loads(file.read_text())["checks"]}
    assert found["number-of-paths"]["verdict"] == "holds"
    assert found["product-bound"]["verdict"] == "not run"
    assert "layered" in found["product-bound"]["inapplicable"]
    assert "takes no given one" in found["margin-is-lipschitz"]["inapplicable"]


def test_command_on_parts_and_in_several_processes(tmp_path, capsys):
    path = saved(tmp_path, NAMES["wide"].net)
    assert main(["--model", path, "--max-whole", "1", "--only", "output-bound", "--jobs", "2"]) == 0
    assert "parts" in capsys.readouterr().out


def test_nothing_that_applies_is_no_success(tmp_path, capsys):
    assert main(["--model", saved(tmp_path, NAMES["skip"].net), "--only", "product-bound"]) == 2
    assert "0 checks of 1 ran" in capsys.readouterr().out


def test_models_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "empty").write_bytes(b"")
    for name, message in (("missing", "No such file"), ("empty", "an empty file")):
        assert main(["--model", str(tmp_path / name), "--only", "output-bound"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "x", "--no-digits"], "takes the place of the digits"),
        (["--model", "x", "--picture", "x.png"], "takes the place of the digits"),
        (["--model", "x", "--analyse"], "takes the place of the digits"),
        (["--model", "x", "--list"], "take no model"),
        (["--max-whole", "3"], "belong to --model"),
        (["--input-shape", "3"], "belong to --model"),
        (["--model", "x", "--input-shape", "3,y"], "as in 3,224,224, got '3,y'"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
