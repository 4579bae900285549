"""How fast networks are built, and in how much memory: ``python -m tests.bench.construction [--json FILE] [--quick]``.

* `from_networkx` on a million edges, against building that graph with ``add_node`` and ``add_edge``: at most 0.8x.
* `from_weights` on the same network.
* `from_arrays` on fifty million edges in canonical order, and on five million in random order under random numbers,
  each in a fresh process: seconds, and bytes per edge at the peak beyond the caller's arrays, at most 24 for the first.
* `LayerGraph.expand` of a ResNet-20 on 32 x 32 pixels, 37.6 million edges, in a fresh process: at least two million
  edges a second.

The time without the import of Numba: the kernels are loaded before, on a tiny graph, unless ``--cold`` is given.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

import pathgraph as pg
from pathgraph.graph import ordering
from tests.bench import measure

WIDTHS = (500, 1000, 500)
FAN_IN, WIDTH = 50, 1000


def by_hand(weights: list[list[list[float]]]) -> nx.DiGraph:
    """A multilayer perceptron as anybody would write it: a node and an edge at a time."""
    graph = nx.DiGraph()
    for i in range(len(weights[0][0])):
        graph.add_node((0, i), activation="input")
    for layer, matrix in enumerate(weights, start=1):
        activation = "identity" if layer == len(weights) else "relu"
        for i, row in enumerate(matrix):
            graph.add_node((layer, i), activation=activation)
            for j, weight in enumerate(row):
                graph.add_edge((layer - 1, j), (layer, i), weight=weight)
    return graph


def graphs(repeats: int, widths: tuple[int, ...]) -> dict[str, list[float]]:
    """`from_networkx` against ``add_edge``, and `from_weights`."""
    random = np.random.default_rng(0)
    matrices = [random.normal(size=(n, m)) for m, n in pairwise(widths)]
    rows = [matrix.tolist() for matrix in matrices]
    graph = by_hand(rows)
    assert pg.from_networkx(graph) == pg.from_weights(matrices)
    results = measure.interleaved(
        {
            "add_edge": lambda: by_hand(rows),
            "from_networkx": lambda: pg.from_networkx(graph),
            "from_weights": lambda: pg.from_weights(matrices),
        },
        repeats,
    )
    measure.report(f"{graph.number_of_edges()} edges", results)
    return results


def layered(n_edges: int) -> dict[str, Any]:
    """Layers of a thousand ReLU neurons with fifty antecedents each, in canonical order, as 64-bit arrays."""
    n_layers = n_edges // (WIDTH * FAN_IN)
    random = np.random.default_rng(0)
    antecedents = np.empty(n_layers * WIDTH * FAN_IN, dtype=np.int64)
    comb = np.arange(FAN_IN) * (WIDTH // FAN_IN)
    for layer, part in enumerate(antecedents.reshape(n_layers, WIDTH, FAN_IN)):
        part[...] = comb + random.integers(0, WIDTH // FAN_IN, size=(WIDTH, 1)) + layer * WIDTH
    indptr = np.concatenate([np.zeros(WIDTH, dtype=np.int64), np.arange(0, len(antecedents) + 1, FAN_IN)])
    weights = random.normal(scale=FAN_IN**-0.5, size=len(antecedents))
    return {"antecedents": antecedents, "weights": weights, "indptr": indptr, "activation": "relu", "bias": 0.1}


def shuffled(arrays: dict[str, Any]) -> dict[str, Any]:
    """The same edges in random order, under random numbers of the neurons."""
    random, n_nodes = np.random.default_rng(1), len(arrays["indptr"]) - 1
    number, order = random.permutation(n_nodes), random.permutation(len(arrays["antecedents"]))
    targets = np.repeat(number, np.diff(arrays["indptr"]))[order]
    edges = {"antecedents": number[arrays["antecedents"][order]], "weights": arrays["weights"][order]}
    return {"targets": targets, "activation": "relu", "bias": 0.1} | edges


def resident() -> int:
    """The resident size of this process now; Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def watched(function: Callable[[], Any]) -> tuple[Any, int]:
    """The result of a call, and the largest resident size meanwhile, looked at a thousand times a second."""
    done, peak = threading.Event(), [resident()]

    def watch() -> None:
        while not done.wait(0.001):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = function()
    finally:
        done.set()
        watcher.join()
    return result, max(peak[0], resident())


def from_arrays(n_edges: int, order: str, *, cold: bool) -> dict[str, Any]:
    """One construction in this process."""
    if not cold:
        threshold, ordering.COMPILED_FROM = ordering.COMPILED_FROM, 0
        pg.from_arrays([0, 1, 3], [1.0, 1.0, 1.0], targets=[3, 2, 4], activation="relu")
        ordering.COMPILED_FROM = threshold
    arrays = layered(n_edges)
    if order == "shuffled":
        arrays = shuffled(arrays)
    before = resident()
    start = time.perf_counter()
    net, peak = watched(lambda: pg.from_arrays(**arrays))
    taken = time.perf_counter() - start
    edges = net.architecture.n_edges
    return {
        "edges": edges,
        "neurons": net.architecture.n_nodes,
        "seconds": taken,
        "peak bytes per edge": (peak - before) / edges,
        "kept bytes per edge": (resident() - before) / edges,
        "path-norm is finite": bool(np.isfinite(pg.log_path_norm(net))) if edges <= 10_000_000 else None,
    }


def expanded(n_blocks: int) -> dict[str, Any]:
    """The expansion of a ResNet for small images, with so many residual blocks of each width, in this process."""
    from tests.bench.resnets import small_resnet

    graph = small_resnet(n_blocks)
    before = resident()
    start = time.perf_counter()
    net, peak = watched(graph.expand)
    taken = time.perf_counter() - start
    edges = net.architecture.n_edges
    return {
        "edges": edges,
        "neurons": net.architecture.n_nodes,
        "seconds": taken,
        "million edges a second": edges / taken / 1e6,
        "peak bytes per edge": (peak - before) / edges,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--cold", action="store_true", help="count the import of Numba, too")
    parser.add_argument("--one", nargs=2, metavar=("EDGES", "ORDER"), help=argparse.SUPPRESS)
    parser.add_argument("--expand", type=int, metavar="BLOCKS", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.expand is not None:
        print(json.dumps(expanded(chosen.expand)))
        return 0
    if chosen.one:
        print(json.dumps(from_arrays(int(chosen.one[0]), chosen.one[1], cold=chosen.cold)))
        return 0
    size = 10 if chosen.quick else 1
    widths = (WIDTHS[0], WIDTHS[1] // size, WIDTHS[2])
    results: dict[str, Any] = {"graphs, seconds": graphs(chosen.repeats, widths)}
    for order, n_edges in (("canonical", 50_000_000 // size), ("shuffled", 5_000_000 // size)):
        cold = ["--cold"] if chosen.cold else []
        found = measure.in_fresh_process("tests.bench.construction", *cold, "--one", str(n_edges), order)
        results[f"from_arrays, {order}"] = found
        print(f"from_arrays, {order}")
        for name, value in found.items():
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    found = measure.in_fresh_process("tests.bench.construction", "--expand", "1" if chosen.quick else "3")
    results["expand"] = found
    print("expand")
    for name, value in found.items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    if chosen.json:
        measure.write_json(chosen.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
