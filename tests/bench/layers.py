"""Path-norms and scores of ResNets: ``python -m tests.bench.layers [--json FILE] [--quick]``.

The peer is one forward pass of the same architecture by torch in float64, in inference mode, batch 1, on as many
threads. Bars: the path-norm takes at most 0.4 of it, all scores at most 3.5 path-norms, and the peak memory of the norm
is at most 1.5 times the parameters plus the two largest activations. Every depth and number of threads runs in a fresh
process, and the variants take turns; two sets of parameters do so, too. Torch is optional, and left out where missing.

Scores are an array as large as the parameters: before each call so much memory is taken and freed again, for a virtual
machine gives back what is free, and takes half a second to get 200 MB again. On one thread it is also told which part
bounds norm and scores: the products, beside the time that their operations at the rate of a large product, or their
bytes at that of a copy, would take; copies and sums along taps; the memory of the scores, when it is first written;
and all else, sums of layers, watching of ranges, and Python.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from typing import Any
from unittest import mock

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import pathgraph as pg
from pathgraph.layers import power_products, window_loops
from pathgraph.layers.convolutions import Windows
from tests.bench import measure
from tests.bench.resnets import resnet, torch_twin

BAR_NORM, BAR_SCORES, BAR_MEMORY = 0.4, 3.5, 1.5


def matrix_rate() -> float:
    """Floating-point operations a second of a large matrix product in float64: what the BLAS can do here."""
    a = np.random.default_rng(0).random((1500, 1500))
    taken = measure.interleaved({"product": lambda: a @ a}, 5)["product"]
    return 2 * 1500**3 / min(taken)


def copy_rate() -> float:
    """Bytes a second of a large copy, read and written: what the memory gives one thread."""
    a, b = np.ones(1 << 24), np.ones(1 << 24)
    return 2 * a.nbytes / min(measure.interleaved({"copy": lambda: np.copyto(b, a)}, 5)["copy"])


def first_write(n: int) -> float:
    """Seconds to write n new floats for the first time, beside those for the second time."""
    new = np.empty(n)
    taken = [measure.seconds(lambda: new.fill(1.0)) for _ in range(2)]
    return max(0.0, taken[0] - taken[1])


def parts(variant: measure.Variant, rate: float, bandwidth: float) -> dict[str, float]:
    """Seconds of a call in compiled products and along taps, and what operations and bytes of the products allow."""
    found = {"all": 0.0, "products": 0.0, "products, as operations and bytes allow": 0.0, "taps": 0.0}
    make = power_products._made

    def made(weights: Any, columns: Any, values: Any, entries: Any, *, is_transposed: bool) -> Any:
        start = time.perf_counter()
        out = make(weights, columns, values, entries, is_transposed=is_transposed)
        found["products"] += time.perf_counter() - start
        if out is not None:
            size, n = weights.array.size, 1 if entries is None else 2
            moved = weights.array.nbytes + (0 if entries is None else entries.nbytes)
            allowed = max(2 * size * out.shape[1] * n / rate, moved / bandwidth)
            found["products, as operations and bytes allow"] += allowed
        return out

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.perf_counter()
            out = function(*arguments)
            found["taps"] += time.perf_counter() - start
            return out

        return call

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(power_products, "_made", made))
        for name in window_loops.__all__:
            stack.enter_context(mock.patch.object(window_loops, name, timed(getattr(window_loops, name))))
        found["all"] = measure.seconds(variant)
    return found


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
    n_parameters = sum(tensor.size for tensor in graph.parameters.values())

    def ready() -> Any:
        np.ones(n_parameters)  # and freed: now it is memory that is there
        return next(graphs)

    widths = random.random((3, size, size))
    rows = random.normal(size=(1, 3, size, size))
    variants: dict[str, Any] = {
        "path_norm": (ready, pg.path_norm),
        "path_norm, per output": (ready, lambda net: pg.path_norm(net, per_output=True)),
        "path_norm, other inputs": (ready, lambda net: pg.path_norm(net, inputs=widths)),
        "path_magnitude": (ready, pg.path_magnitude),
        "evaluation": (ready, lambda net: net(rows)),
    }
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(threads)
        module, x = torch_twin(depth).double(), torch.from_numpy(rows)

        def forward(_: Any) -> Any:
            with torch.inference_mode():
                return module(x)

        variants["torch forward"] = ready, forward
    with threadpool_limits(threads, user_api="blas"):
        found = measure.interleaved(variants, repeats, rest=measure.REST)
        rate = matrix_rate()
        bounds = {}
        if threads == 1:
            bandwidth = copy_rate()
            for name in ("path_norm", "path_magnitude"):
                bounds[name] = parts(variants[name], rate, bandwidth)
            bounds["path_magnitude"]["memory of the scores"] = first_write(n_parameters)
    operations = counted(lambda: pg.path_norm(graph))
    return {
        "seconds": found,
        "parts": bounds,
        "parameters": n_parameters,
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
    for name, parts_of in found["parts"].items():
        print(f"  {name}: " + ", ".join(f"{part} {1e3 * taken:.1f} ms" for part, taken in parts_of.items()))


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
