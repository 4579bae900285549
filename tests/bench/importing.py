"""How fast ONNX files are read: ``python -m tests.bench.importing [--json FILE] [--quick] [MODEL.onnx ...]``.

* A file of 100 MB, a perceptron and a convolutional network of the size of ResNet-50, against ``onnx.load``, which
  parses the file and copies no tensor out of it: at most 3x.
* Files given on the command line, each in a fresh process: seconds of the import, the path-norms for q = 1, 2, 4, and
  the scores of all parameters, with the loading of compiled loops; open-nsfw (5.9 million): at most five seconds
  together.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import pathgraph as pg
from tests.bench import measure


def perceptron(path: Path, width: int, depth: int) -> None:
    """Square layers."""
    random = np.random.default_rng(0)
    nodes, tensors, x = [], [], "x"
    for layer in range(depth):
        weight = random.normal(scale=width**-0.5, size=(width, width)).astype(np.float32)
        bias = random.normal(size=width).astype(np.float32)
        tensors += [numpy_helper.from_array(weight, f"w{layer}"), numpy_helper.from_array(bias, f"b{layer}")]
        nodes.append(helper.make_node("Gemm", [x, f"w{layer}", f"b{layer}"], [f"z{layer}"], transB=1))
        nodes.append(helper.make_node("Relu", [f"z{layer}"], [f"y{layer}"]))
        x = f"y{layer}"
    save(path, nodes, tensors, ["N", width], f"z{depth - 1}")


def convolutional(path: Path, stages: tuple[tuple[int, int, int], ...]) -> None:
    """Bottleneck blocks on images of 224 x 224, batch-norms folded as exporters do: (blocks, width, stride)."""
    random = np.random.default_rng(0)
    nodes: list[Any] = []
    tensors: list[Any] = []

    def conv(x: str, n_in: int, n_out: int, kernel: int, stride: int, *, relu: bool = True) -> str:
        name = f"c{len(nodes)}"
        weight = random.normal(scale=(n_in * kernel**2) ** -0.5, size=(n_out, n_in, kernel, kernel)).astype(np.float32)
        bias = np.zeros(n_out, dtype=np.float32)
        tensors.extend([numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(bias, f"{name}.b")])
        attributes = {"pads": [kernel // 2] * 4, "strides": [stride] * 2}
        nodes.append(helper.make_node("Conv", [x, f"{name}.w", f"{name}.b"], [name], **attributes))
        return rectified(name) if relu else name

    def rectified(x: str) -> str:
        nodes.append(helper.make_node("Relu", [x], [f"r{len(nodes)}"]))
        return str(nodes[-1].output[0])

    x = conv("x", 3, 64, 7, 2)
    nodes.append(helper.make_node("MaxPool", [x], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    x, channels = "pool", 64
    for blocks, width, first in stages:
        for block in range(blocks):
            stride = first if block == 0 else 1
            y = conv(conv(x, channels, width, 1, 1), width, width, 3, stride)
            y = conv(y, width, 4 * width, 1, 1, relu=False)
            short = conv(x, channels, 4 * width, 1, stride, relu=False) if block == 0 else x
            nodes.append(helper.make_node("Add", [y, short], [f"a{len(nodes)}"]))
            x, channels = rectified(nodes[-1].output[0]), 4 * width
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    weight = random.normal(size=(1000, channels)).astype(np.float32)
    tensors.append(numpy_helper.from_array(weight, "fc"))
    nodes.append(helper.make_node("Gemm", ["flat", "fc"], ["y"], transB=1))
    save(path, nodes, tensors, ["N", 3, 224, 224], "y")


def save(path: Path, nodes: list[Any], tensors: list[Any], shape: list[Any], output: str) -> None:
    """Write the file."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in (("x", shape), (output, None))]
    graph = helper.make_graph(nodes, "bench", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


def against_load(path: Path, title: str, repeats: int) -> dict[str, Any]:
    """`from_onnx` against ``onnx.load``."""
    results = measure.interleaved(
        {"onnx.load": lambda: onnx.load(path), "from_onnx": lambda: pg.from_onnx(path)}, repeats
    )
    measure.report(f"{title}, {path.stat().st_size / 1e6:.0f} MB", results)
    return {"bytes": path.stat().st_size, "seconds": results}


def model(path: Path) -> dict[str, Any]:
    """A trained network, in this process: import, path-norms and scores."""
    start = time.perf_counter()
    graph = pg.from_onnx(path)
    imported = time.perf_counter() - start
    norms = {q: pg.path_norm(graph, q=q) for q in (1, 2, 4)}
    with_norms = time.perf_counter() - start
    pg.path_magnitude(graph)
    total = time.perf_counter() - start
    return {
        "graph": repr(graph),
        "import, seconds": imported,
        "import and norms, seconds": with_norms,
        "import, norms and scores, seconds": total,
        "norms": norms,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--one", metavar="MODEL", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(model(chosen.one)))
        return 0
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "perceptron.onnx")
        perceptron(path, 500 if chosen.quick else 1600, 10)
        results["perceptron"] = against_load(path, "perceptron", chosen.repeats)
        path = Path(folder, "convolutional.onnx")
        stages = ((3, 64, 1), (4, 128, 2)) if chosen.quick else ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
        convolutional(path, stages)
        results["convolutional"] = against_load(path, "convolutional", chosen.repeats)
    for path in chosen.models:
        found = results[path.name] = measure.in_fresh_process("tests.bench.importing", "--one", str(path.resolve()))
        print(f"{path.name}: {found['graph']}")
        print("  " + ", ".join(f"{name} {figure:.3f}" for name, figure in found.items() if name.endswith("seconds")))
        print(f"  path-norms {found['norms']}")
    if chosen.json:
        measure.write_json(chosen.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
