"""Trained networks in ONNX files outside the repository: path-norms known from elsewhere, values of onnxruntime."""

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

import pathgraph as pg  # noqa: E402
from tests.onnx_files import run_onnxruntime  # noqa: E402
from tests.tolerances import assert_close, evaluation_roundings, float_slack, gamma  # noqa: E402

SHARED = Path(os.environ.get("PATHGRAPH_SHARED", Path(__file__).parents[2] / "shared"))
GOLDEN = {
    "ACASXU_1_1": (63605699.52481754, 7450.143076177331, 1471.1442600714877),
    "fc1": (1321.9127215811898, 15.20228659473433, 4.076171916917318),
    "cnn_max_mninst2": (911710.2640607364, 59.22250500615608, 0.892865766482368),
    "traffic-classifier64": (21609.114997530243, 8.93171479929589, 1.5377142441614353),
    "resnet2b": (20254019.270011507, 8.715644421769072, 0.5701399103227363),
}


def path_of(name):
    path = SHARED / "models" / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is missing; set PATHGRAPH_SHARED to the folder that holds models/")
    return path


def norm_slack(graph, q):
    """Of two norms in float64, whose powers round a few times per entry; the root divides the error of its sum by q."""
    return 2 * gamma(evaluation_roundings(graph) + (q + 2) * len(graph.layers))


@pytest.mark.parametrize("name", GOLDEN)
def test_path_norms_are_known(name):
    graph = pg.from_onnx(path_of(name))
    for q, expected in zip((1, 2, 4), GOLDEN[name], strict=True):
        assert_close(pg.path_norm(graph, q=q), expected, norm_slack(graph, q))


@pytest.mark.parametrize("name", GOLDEN)
def test_values_are_those_of_onnxruntime(name, tmp_path):
    path = path_of(name)
    graph = pg.from_onnx(path)
    (shape,) = graph.input_shapes.values()
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    graph.to_onnx(tmp_path / "net.onnx")
    assert pg.from_onnx(tmp_path / "net.onnx") == graph
    for file in (path, tmp_path / "net.onnx"):
        (expected,) = run_onnxruntime(file, x)
        (slack,) = float_slack(graph, x)
        assert (np.abs(graph(x).astype(float) - expected) <= slack).all()


def test_neurons_and_edges_of_resnet2b():
    graph = pg.from_onnx(path_of("resnet2b"))
    net = graph.expand()
    assert (net.architecture.n_nodes, net.architecture.n_edges) == (12_398, 608_128)
    assert_close(pg.path_norm(net), GOLDEN["resnet2b"][0], norm_slack(graph, 1))


def light_models():
    """The graphs of well-known architectures that come with the package onnx, without trained weights."""
    try:
        found = files("onnx") or []
    except PackageNotFoundError:
        found = []
    return {path.stem.removeprefix("light_"): path for path in found if path.match("data/light/light_*.onnx")}


@pytest.mark.parametrize("name", ["shufflenet", "squeezenet"])
def test_architectures_of_the_onnx_package(name):
    models = light_models()
    if name not in models:
        pytest.skip("this version of the package onnx comes without that model")
    graph = pg.from_onnx(models[name].locate())
    n_parameters = {"shufflenet": 1_366_488, "squeezenet": 1_235_496}[name]
    assert sum(tensor.size for tensor in graph.parameters.values()) == n_parameters
    assert any(note.startswith("the final Softmax is left out") for note in graph.notes)


@pytest.mark.parametrize("name", ["bvlc_alexnet", "inception_v1", "zfnet512"])
def test_local_response_normalisation_is_refused_by_name(name):
    models = light_models()
    if name not in models:
        pytest.skip("this version of the package onnx comes without that model")
    with pytest.raises(pg.UnsupportedOperatorError, match="2 of its") as refusal:
        pg.from_onnx(models[name].locate())
    assert str(refusal.value).count("LRN node") == 2


@pytest.mark.parametrize("name", ["ACASXU_1_1", "fc1", "cnn_max_mninst2"])
def test_bits_that_are_certified_and_a_rounded_copy_that_runs(name, tmp_path):
    graph = pg.from_onnx(path_of(name))
    (shape,) = graph.input_shapes.values()
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (20, *shape)).astype(np.float32)
    eps = float(abs(graph(x)).max()) / 8
    before, after = (pg.bits_fixed(graph, eps, a_posteriori=known) for known in (False, True))
    equalised = pg.equalize(graph)
    assert after <= before
    assert equalised.after <= equalised.before
    assert pg.path_norm(equalised.net) == pg.path_norm(graph)  # the factors are powers of two
    assert pg.bits_fixed(equalised.net, eps) <= before
    allocation = pg.allocate_bits(graph, eps)
    by_layer = pg.quantize(graph, allocation.quantizers, by="layer")
    assert pg.path_metric(graph, by_layer).upper <= allocation.bound <= eps

    step = float(abs(graph.theta).max()) / (2 ** (after - 1) - 1)
    rounded = pg.quantize(pg.quantize(graph, pg.Quantizer("nearest", step)), pg.Quantizer(format="fp32"), fixed=True)
    bound = float(pg.certify(graph, rounded, execution="float32", r=np.inf))
    rounded.to_onnx(tmp_path / "rounded.onnx")
    (values,) = run_onnxruntime(tmp_path / "rounded.onnx", x)
    seen = abs(values.astype(float) - graph(x.astype(float))).max()
    assert 0 < seen <= bound
