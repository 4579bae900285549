"""``python -m pathgraph MODEL``: its flags, its files, its refusals."""

import json
import math
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.analysis.analyse import analyse
from pathgraph.analysis.command import main
from tests.analysis_models import QUICK, Page, onnx_file, perceptron
from tests.oracles import Oracle
from tests.tolerances import gamma, roundings


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.npz"
    pg.save(perceptron(), path)
    return str(path)


# -- the command ----------------------------------------------------------------------------------------------------


def test_terminal_report_files_and_every_flag(model, tmp_path, capsys):
    widths = tmp_path / "box.npy"
    np.save(widths, np.linspace(0, 1, 6))
    report, figures = tmp_path / "new" / "folder", tmp_path / "figures.json"
    flags = "--q 1,2.5,inf,0 --samples 500 --trials 3 --seed 7 --shares 0.25,0.5 --bits 4,5 --formats fp16"
    assert main([model, *flags.split(), "--box", str(widths), "--report", str(report), "--json", str(figures)]) == 0
    printed = capsys.readouterr()
    assert not printed.err
    for wanted in (
        "net.npz",
        "Path-norms",
        "q = inf",
        "not faster by itself",
        "real arithmetic",
        str(report / "index.html"),
    ):
        assert wanted in printed.out
    found = json.loads(figures.read_text())
    assert [one["q"] for one in found["norms"]] == [1, 2.5, None, 0]
    assert found["generalization"]["n_samples"] == 500
    assert (found["outputs"]["trials"], found["seed"]) == (3, 7)
    assert [one["amount"] for one in found["pruning"]] == [0.25, 0.5]
    assert [one["name"] for one in found["precision"]] == ["float16", "5-bit fixed point", "4-bit fixed point"]
    net = pg.load(model)
    box = np.load(widths)
    assert found["norms"][0]["value"] == pg.path_norm(net)
    assert found["pruning"][1]["bound"] == pg.prune(net, 0.5, inputs=box).certificate.upper
    assert found["summary"]["paths"] == str(pg.count_paths(net))


def test_the_same_run_twice_and_another_seed(model, tmp_path):
    files = [tmp_path / f"{k}.json" for k in range(3)]
    for file, seed in zip(files, "001", strict=True):
        assert main([model, "--quiet", "--json", str(file), "--trials", "5", "--seed", seed, "--bits", "5"]) == 0
    first, second, third = (json.loads(file.read_text()) for file in files)
    for run in (first, second, third):
        del run["seconds"]
    assert first == second
    assert first["outputs"] != third["outputs"]


def test_quiet_exact_and_no_certificates(model, tmp_path, capsys):
    file = tmp_path / "x.json"
    assert (
        main([model, "--quiet", "--exact", "--json", str(file), "--shares", "0.5", "--bits", "6", "--formats", "none"])
        == 0
    )
    found = json.loads(file.read_text())
    assert found["exact"]
    assert all(one["rigorous"] for one in found["pruning"] + found["precision"])
    assert main([model, "--quiet", "--no-certificates", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert not found["pruning"]
    assert not found["precision"]
    assert "not asked for" in found["left_out"][-1]["why"]
    assert capsys.readouterr() == ("", "")


def test_without_random_inputs(model, capsys):
    assert main([model, "--trials", "0", "--shares", "0.5", "--bits", "6"]) == 0
    assert "no random inputs were asked for" in capsys.readouterr().out


def test_box_of_one_number_and_of_several(model, tmp_path):
    file = tmp_path / "x.json"
    bounds = []
    for box in ("0.5", ",".join(["0.5"] * 6), "2"):
        assert main([model, "--quiet", "--box", box, "--json", str(file), "--shares", "0.5", "--bits", "5"]) == 0
        bounds.append(json.loads(file.read_text())["pruning"][0]["bound"])
    assert bounds[0] == bounds[1] < bounds[2]


# -- ONNX files -----------------------------------------------------------------------------------------------------


def test_an_onnx_file_gives_the_figures_of_its_expansion(tmp_path, capsys):
    path, file = onnx_file(tmp_path / "net.onnx"), tmp_path / "x.json"
    assert main([path, "--json", str(file), "--shares", "0.5", "--bits", "6", "--report", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "softmax" in printed.lower()
    found = json.loads(file.read_text())
    net = pg.from_onnx(path).expand()
    assert found["summary"]["resolution"] == "layers"
    assert found["summary"]["n_edges"] == net.architecture.n_edges
    assert found["summary"]["paths"] == str(pg.count_paths(net))
    assert found["summary"]["largest_pool"] == 4
    steps = roundings(Oracle(pg.to_networkx(net))) + len(net.outputs)  # of a sum over the paths, in any order
    norm = pg.path_norm(net.to_float(np.float64))
    assert found["norms"][0]["value"] == pytest.approx(norm, rel=2 * float(gamma(steps)), abs=0)
    plain = analyse(net, QUICK)
    assert found["lipschitz"]["bounds"] == pytest.approx(plain.lipschitz.bounds, rel=2 * float(gamma(steps)), abs=0)
    shares = {row["name"]: row["share"] for row in found["scores"]}
    slack = float(2 * gamma(2 * steps) + gamma(len(net.theta) + 2))  # two sweeps, the norm; the scores are added
    assert shares["w"] + shares["b"] <= 1 + slack
    assert shares["v"] + shares["c"] == pytest.approx(1, rel=slack, abs=0)
    for one in found["pruning"] + found["precision"]:
        assert one["seen"] <= one["bound"]
    pruned = next(one for one in found["pruning"])
    # a difference of two sums over paths, each at most the norm, computed twice
    slack = 4 * float(gamma(steps)) * norm
    assert pruned["bound"] == pytest.approx(pg.prune(net.to_float(np.float64), 0.5).certificate.upper, rel=0, abs=slack)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    Page(page)
    assert "conv" in page


def test_flags_of_the_import(tmp_path, capsys):
    open_axes = onnx_file(tmp_path / "open.onnx", size="S")
    assert main([open_axes]) == 1
    assert "input_shape" in capsys.readouterr().err
    assert main([open_axes, "--input-shape", "2,6,6", "--quiet", "--no-certificates", "--trials", "1"]) == 0
    clipped, leaky = onnx_file(tmp_path / "clip.onnx", "Clip"), onnx_file(tmp_path / "leaky.onnx", "LeakyRelu")
    for path, flags in ((clipped, ["--relu6", "exact"]), (clipped, ["--relu6", "relu"]), (leaky, ["--leaky-relu"])):
        assert main([path, "--quiet"]) == 1
        refused = capsys.readouterr().err
        assert refused.count("\n") == 1
        assert "act" in refused
        file = tmp_path / "x.json"
        assert main([path, *flags, "--quiet", "--trials", "1", "--no-certificates", "--json", str(file)]) == 0
        assert json.loads(file.read_text())["summary"]["n_outputs"] == 4


def test_an_archive_that_is_no_network(tmp_path, capsys):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.ones(3))
    assert main([str(path)]) == 1
    assert "not a network that pathgraph.save wrote" in capsys.readouterr().err
    assert main([str(path), "--input-shape", "3"]) == 1
    assert "only ONNX files take it" in capsys.readouterr().err


def test_rationals_beyond_floats(tmp_path, capsys):
    path = tmp_path / "huge.npz"
    pg.save(pg.from_weights([[[10**400]]], dtype=object), path)
    assert main([str(path)]) == 1
    assert "beyond the range of float64" in capsys.readouterr().err
    pg.save(pg.from_weights([[[10**200]], [[10**200]]], dtype=object), path)
    assert main([str(path), "--trials", "0", "--bits", "8"]) == 0
    assert "1.000000000e+400" in capsys.readouterr().out


def test_box_of_a_wrong_size_is_refused(model, capsys):
    assert main([model, "--box", "1,2"]) == 1
    assert "needed one half-width, or 6" in capsys.readouterr().err


@pytest.mark.parametrize("inside", [(), ("x",), ("x", "y")])
def test_report_that_cannot_be_written(model, tmp_path, capsys, inside):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SystemExit) as caught:
        main([model, "--quiet", "--no-certificates", "--report", str(file.joinpath(*inside))])
    assert caught.value.code == 2
    assert f"but {str(file)!r} is a file; name the folder" in capsys.readouterr().err
    assert file.read_text() == ""


def test_report_into_a_folder_that_cannot_be_written(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SystemExit):
        main([model, "--quiet", "--no-certificates", "--report", str(tmp_path / "x")])
    assert f"{str(tmp_path)!r} cannot be written; name another" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL"),
        (["x", "--q", "-1"], "numbers >= 0 or inf"),
        (["x", "--q", "nan"], "numbers >= 0 or inf"),
        (["x", "--bits", "1"], "integers from 2 to 32"),
        (["x", "--shares", "2"], "numbers between 0 and 1"),
        (["x", "--box", "-1"], "numbers >= 0"),
        (["x", "--box", "nan"], "numbers >= 0"),
        (["x", "--box", "none.npy"], "needed an array of numbers"),
        (["x", "--formats", "float4"], "bf16, e4m3"),
        (["x", "--input-shape", "3,x"], "the batch axis left out, as in 3,224,224, got '3,x'"),
        (["x", "--input-shape", "3,0"], "integers >= 1 with commas"),
        (["x", "--samples", "0"], "an integer >= 1"),
        (["x", "--trials", "-1"], "an integer >= 0"),
        (["x", "--json", "/no/such/folder/x.json"], "a folder that exists"),
        (["x", "--frobnicate"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_exit_with_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "an empty file"),
        (b"PK\x03\x04" + bytes(60), "ONNX"),
        (struct.pack("<q", 7) * 20, "ONNX"),
    ],
    ids=["missing", "empty", "torn archive", "bytes"],
)
def test_refused_models_exit_with_1_and_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "model.bin"
    if message == "ONNX":
        pytest.importorskip("onnx")
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("python -m pathgraph: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_as_a_process(model, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pathgraph", model, "--no-certificates", "--trials", "1"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Path-norms" in done.stdout
    missing = subprocess.run(
        [sys.executable, "-m", "pathgraph", "missing"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "Traceback" not in missing.stderr


def test_a_reader_that_stops_early_meets_no_traceback(model, tmp_path, monkeypatch):
    monkeypatch.setattr("pathgraph.analysis.command.show", lambda *shown: None)  # what the reader still took
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main([str(model), "--no-certificates", "--report", str(tmp_path)]) == 1
    assert (tmp_path / "index.html").exists()


def test_a_network_of_many_edges_leaves_out_what_its_size_says(tmp_path):
    pytest.importorskip("onnx")
    from tests.bench.resnets import small_resnet

    graph = small_resnet(2)
    graph.to_onnx(tmp_path / "resnet20.onnx")
    figures = tmp_path / "figures.json"
    assert main([str(tmp_path / "resnet20.onnx"), "--quiet", "--report", str(tmp_path), "--json", str(figures)]) == 0
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["summary"]["n_edges"] == graph.architecture.n_edges > 20_000_000
    left_out = [one["what"] for one in found["left_out"]]
    assert left_out[1:] == ["product of norms"]
    assert left_out[0].startswith("62 of 64 random inputs")
    (pruned,), rounded = found["pruning"], found["precision"]
    assert len(rounded) == 2
    assert all(0 < one["seen"] <= one["bound"] < math.inf for one in (pruned, *rounded))
    assert "<svg" in (tmp_path / "index.html").read_text(encoding="utf-8")
