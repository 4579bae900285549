"""Path-norms and scores of ResNets: ``python -m tests.bench.layers [--json FILE] [--quick]``.

The peer is one forward pass of the same architecture by torch in float64, in inference mode, batch 1, on as many
threads. Bars: the path-norm takes at most 0.4 of it, all scores at most 3.5 path-norms, and the peak memory of the norm
is at most 1.5 times the parameters plus the two largest activations. Every depth and number of threads runs in a fresh
process, and the variants take turns; two sets of parameters do so, too. Torch is optional, and left out where missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import tracemalloc
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import pathgraph as pg
from pathgraph.layers.convolutions import Windows
from tests.bench import measure
from tests.bench.resnets import resnet, torch_twin

BAR_NORM, BAR_SCORES, BAR_MEMORY = 0.4, 3.5, 1.5


def matrix_rate() -> float:
    """Floating-point operations a second of a large matrix product in float64: what the BLAS can do here."""
    a = np.random.default_rng(0).random((1500, 1500))
    taken = measure.interleaved({"product": lambda: a @ a}, 5)["product"]
    return 2 * 1500**3 / min(taken)


def counted(function: Callable[[], Any]) -> int:
    """Floating-point operations in the matrix products of the convolutions during a call."""
    total = 0
    forward, sent = Windows.forward, Windows._sent

    def count_forward(self: Any, x: Any, *arguments: Any) -> Any:
        nonlocal total
        out = forward(self, x, *arguments)
        total += 2 * math.prod(self.shape) * math.prod(out.values.shape[1:])
        return out

    def count_sent(self: Any, values: Any, weights: Any, channels: slice, product: Any) -> Any:
        nonlocal total
        share = (channels.stop - channels.start) / self.shape[1]
        total += round(2 * math.prod(self.shape) * share) * values.shape[2]
        return sent(self, values, weights, channels, product)

    Windows.forward, Windows._sent = count_forward, count_sent  # type: ignore[method-assign]
    try:
        function()
    finally:
        Windows.forward, Windows._sent = forward, sent  # type: ignore[method-assign]
    return total


def times(depth: int, size: int, threads: int, repeats: int) -> dict[str, Any]:
    """The variants in turn, in this process, with as many threads for each."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    graph = resnet(depth, size)
    random = np.random.default_rng(1)
    signs = {name: random.choice([-1.0, 1.0], size=t.shape) * t for name, t in graph.parameters.items()}
    graphs = cycle([graph, graph.with_parameters(signs)])
    widths = random.random((3, size, size))
    rows = random.normal(size=(1, 3, size, size))
    variants: dict[str, Any] = {
        "path_norm": (lambda: next(graphs), pg.path_norm),
        "path_norm, per output": (lambda: next(graphs), lambda net: pg.path_norm(net, per_output=True)),
        "path_norm, other inputs": (lambda: next(graphs), lambda net: pg.path_norm(net, inputs=widths)),
        "path_magnitude": (lambda: next(graphs), pg.path_magnitude),
        "evaluation": (lambda: next(graphs), lambda net: net(rows)),
    }
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(threads)
        module, x = torch_twin(depth).double(), torch.from_numpy(rows)

        def forward() -> Any:
            with torch.inference_mode():
                return module(x)

        variants["torch forward"] = forward
    with threadpool_limits(threads, user_api="blas"):
        found = measure.interleaved(variants, repeats, rest=measure.REST)
        rate = matrix_rate()
    operations = counted(lambda: pg.path_norm(graph))
    return {
        "seconds": found,
        "parameters": sum(tensor.size for tensor in graph.parameters.values()),
        "operations of the norm": operations,
        "share of the limit": operations / rate / measure.median(found["path_norm"]),
        "GFLOP/s of a matrix product": rate / 1e9,
    }


def memory(depth: int, size: int) -> dict[str, float]:
    """The peak of one path-norm in this process, in megabytes, as NumPy's allocations tell."""
    graph = resnet(depth, size)
    tensors = sum(tensor.nbytes for tensor in graph.tensors)
    largest = sum(sorted(8 * layer.size for layer in graph.layers)[-2:])
    out = {"parameters": tensors / 1e6, "two largest activations": largest / 1e6}
    inputs = {"ones": None, "other inputs": np.random.default_rng(1).random((3, size, size))}
    for name, widths in inputs.items():
        tracemalloc.start()
        pg.path_norm(graph, inputs=widths)
        out[f"peak, {name}"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        out[f"of the bar, {name}"] = (tensors + out[f"peak, {name}"] * 1e6) / (BAR_MEMORY * tensors + largest)
    return out


def report(depth: int, threads: int, found: dict[str, Any]) -> None:
    """Print one process's results."""
    seconds = found["seconds"]
    baseline = "torch forward" if "torch forward" in seconds else "path_norm"
    measure.report(f"ResNet-{depth}, {found['parameters']} parameters, {threads} thread(s)", seconds, baseline)
    norm = measure.median(seconds["path_norm"])
    print(f"  scores: {measure.median(seconds['path_magnitude']) / norm:.2f} path-norms (bar {BAR_SCORES})")
    if baseline == "torch forward":
        print(f"  norm: {norm / measure.median(seconds[baseline]):.2f} forward passes (bar {BAR_NORM})")
    print(
        f"  {found['operations of the norm'] / 1e9:.2f} GFLOP, {100 * found['share of the limit']:.0f} % of the limit"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="small images")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "DEPTH"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    size = 64 if chosen.quick else 224
    if chosen.one:
        what, depth = chosen.one[0], int(chosen.one[1])
        one = memory(depth, size) if what == "memory" else times(depth, size, int(what), chosen.repeats)
        print(json.dumps(one))
        return 0
    quick = ["--quick"] if chosen.quick else []
    results: dict[str, Any] = {}
    for depth in (18, 50):
        for threads in (1, 2):
            given = [*quick, "--repeats", str(chosen.repeats), "--one", str(threads), str(depth)]
            found = measure.in_fresh_process("tests.bench.layers", *given)
            report(depth, threads, found)
            results[f"ResNet-{depth}, {threads} thread(s)"] = found
        found = measure.in_fresh_process("tests.bench.layers", *quick, "--one", "memory", str(depth))
        results[f"ResNet-{depth}, memory, MB"] = found
        print(f"ResNet-{depth}, memory")
        for name, value in found.items():
            print(f"  {name}: {value:.3g}")
    if chosen.json:
        measure.write_json(chosen.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
