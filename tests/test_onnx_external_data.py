"""ONNX files whose tensors lie in files of their own, which never leave the folder of the model."""

import os

import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto  # noqa: E402

import pathgraph as pg  # noqa: E402
from tests.onnx_files import perceptron, refused  # noqa: E402
from tests.onnx_models import Model  # noqa: E402


@pytest.fixture
def stored(tmp_path):
    """A model whose tensors lie beside it, its path, and what it should be."""
    model = perceptron()
    expected = pg.from_onnx(model)
    path = tmp_path / "model" / "net.onnx"
    path.parent.mkdir()
    onnx.save_model(model, str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    return onnx.load(str(path), load_external_data=False), path, expected


def changed(model, path, **entries):
    tensor = model.graph.initializer[0]
    for entry in tensor.external_data:
        if entry.key in entries:
            entry.value = entries[entry.key]
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data(stored):
    model, path, expected = stored
    assert pg.from_onnx(path) == expected
    assert pg.from_onnx(onnx.load(str(path))) == expected
    refused(model, pg.FileFormatError, "pass the path of the model")


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/hostname", "a/../../secret", "..", "", ".", "C:secret", "..\\secret", "a\0b"]
)
def test_external_data_stays_in_the_folder(stored, location):
    model, path, _ = stored
    (path.parent.parent / "secret").write_bytes(bytes(1000))
    refused(changed(model, path, location=location), pg.FileFormatError, "'t1'.*in the folder of the model")


def test_external_data_that_all_tensors_share(tmp_path):
    m = Model(100)
    x = m.x
    for _ in range(6):
        x = m("Relu", m.gemm(x, 100, 100))
    path = tmp_path / "net.onnx"
    onnx.save_model(m.model(x), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    (tmp_path / "net.data").write_bytes(bytes(40_000))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "0" if entry.key == "offset" else entry.value
    path.write_bytes(model.SerializeToString())
    refused(path, pg.FileFormatError, "was read 4 times over")


def test_external_data_without_offset_and_length(tmp_path):
    model = perceptron()
    expected = pg.from_onnx(model)
    tensor = model.graph.initializer[0]
    (tmp_path / "t1").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="t1")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert pg.from_onnx(tmp_path / "net.onnx") == expected


def test_external_data_does_not_follow_links_out(stored):
    model, path, _ = stored
    secret = path.parent.parent / "secret"
    secret.write_bytes(bytes(1000))
    os.symlink(secret, path.parent / "link")
    refused(changed(model, path, location="link"), pg.FileFormatError, "in the folder of the model")


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"location": "missing"}, "cannot be read"),
        ({"length": "8"}, "needed 24 bytes .* got 8"),
        ({"length": "99999999999"}, "needed 24 bytes"),
        ({"offset": "99999999999"}, "at 99999999999"),
        ({"offset": "-1"}, "needed a non-negative integer as offset"),
        ({"offset": "1e3"}, "needed a non-negative integer as offset"),
        ({"length": "²"}, "needed a non-negative integer as length"),
    ],
)
def test_external_data_is_what_the_model_says(stored, entries, match):
    model, path, _ = stored
    refused(changed(model, path, **entries), pg.FileFormatError, match)
