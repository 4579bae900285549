"""How fast the compiled back end sweeps and evaluates: ``python -m tests.bench.engine [--json FILE] [--quick]``.

Peers, each at its best and on the same numbers: one ``scipy.sparse`` CSR matrix-vector product with as many
non-zeros, a matrix product of the BLAS, and the read bandwidth of the memory. On one thread, except where two are
compared. Two sets of parameters take turns, so that no variant gets those of its call before; the sweeps that are
compared with a matrix-vector product are repeated, both, so that what fits into the caches is there (`OFTEN`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from itertools import cycle
from operator import matmul
from typing import Any

import numba
import numpy as np
from scipy.sparse import csr_array

import pathgraph as pg
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import CONSTANT
from tests.bench import measure


class Parameters:
    """Networks of one architecture with two sets of parameters in turn, and the matrices with the same non-zeros."""

    def __init__(self, net: pg.Network) -> None:
        graph = net.architecture
        random = np.random.default_rng(1)
        self.networks = cycle([net, net.map_values(lambda w: w * random.choice([-1.0, 1.0], size=len(w)))])
        start = graph.start.astype(np.int32)
        shape = (graph.n_nodes,) * 2
        pair = [next(self.networks) for _ in range(2)]
        self.matrices = cycle([csr_array((each.values, graph.antecedent, start), shape=shape) for each in pair])
        self.x = random.random(graph.n_nodes)

    def network(self) -> pg.Network:
        """The network whose turn it is."""
        return next(self.networks)

    def product(self) -> csr_array:
        """The matrix whose turn it is."""
        return next(self.matrices)


def perceptron(width: int, n_layers: int, seed: int = 0) -> pg.Network:
    """Dense layers of one width, without biases; the path-norm neither grows nor shrinks with the depth."""
    random = np.random.default_rng(seed)
    scale = (np.pi / 2) ** 0.5 / width
    return pg.from_weights([random.normal(scale=scale, size=(width, width)) for _ in range(n_layers)])


OFTEN = 4
"""Calls that come before one that is timed, where what fits into the caches is to be there.

One is not enough: the last cache of an AMD Zen 3 was seen to keep most of what came for the third time, and little of
what came for the first.
"""


def hot(source: Callable[[], Any], function: Callable[[Any], Any]) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """A variant whose argument was used `OFTEN` times just before, so that it lies in the caches as far as it fits."""

    def prepare() -> Any:
        argument = source()
        for _ in range(OFTEN):
            function(argument)
        return argument

    return prepare, function


def random_dag(n_nodes: int, n_edges: int, n_inputs: int = 1000, seed: int = 0) -> pg.Network:
    """Neurons that read as many antecedents each, drawn uniformly among all earlier neurons."""
    random = np.random.default_rng(seed)
    fan_in = n_edges // (n_nodes - n_inputs)
    targets = np.repeat(np.arange(n_inputs, n_nodes), fan_in)
    sources = np.floor(random.random(len(targets)) * targets).astype(np.int64)
    pairs = np.unique(targets * n_nodes + sources)  # edges are simple
    weights = random.normal(scale=fan_in**-0.5, size=len(pairs))
    return pg.from_arrays(pairs % n_nodes, weights, targets=pairs // n_nodes, activation="relu")


def against_csr(
    title: str, net: pg.Network, repeats: int, results: dict[str, Any], **more: Callable[[Any], Any]
) -> None:
    """Path-norms against a matrix-vector product, and whatever else is done to the networks."""
    source = Parameters(net)
    variants: dict[str, Any] = {
        "csr": hot(source.product, lambda matrix: matrix @ source.x),
        "path_norm": hot(source.network, pg.path_norm),
    } | {name: hot(source.network, function) for name, function in more.items()}
    found = measure.interleaved(variants, repeats)
    measure.report(f"{title}: {net.architecture.n_edges} edges", found)
    results[title] = found


@numba.njit
def _times(x, factor, out):  # type: ignore[no-untyped-def]
    for k in range(len(x)):
        out[k] = factor * x[k]


@numba.njit(fastmath={"reassoc", "nsz"})
def _total(x):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(len(x)):
        total += x[k]
    return total


def bandwidth(net: pg.Network, repeats: int, results: dict[str, Any]) -> None:
    """The path-norm of a network larger than the caches, and a sum over an array of the size of its parameters."""
    source = Parameters(net)
    found = measure.interleaved(
        {"read": (lambda: source.network().values, _total), "path_norm": (source.network, pg.path_norm)}, repeats
    )
    measure.report(f"memory: {net.architecture.n_edges} edges", found)
    rate = 8 * net.architecture.n_edges / measure.median(found["read"]) / 1e9
    share = measure.median(found["read"]) / measure.median(found["path_norm"])
    print(f"  read bandwidth {rate:.1f} GB/s; the path-norm reaches {100 * share:.0f} % of it")
    results["memory"] = found | {"GB/s": rate, "share": share}


def batches(
    title: str, net: pg.Network, peer: dict[str, Callable[[], Any]], repeats: int, results: dict[str, Any]
) -> None:
    """A batch of 256 inputs, against the same inputs one at a time (their first 16) and against `peer`."""
    rows = np.random.default_rng(2).normal(size=(256, len(net.inputs)))
    found = measure.interleaved(
        {"batch of 256": lambda: net(rows), "16 one at a time": lambda: [net(row) for row in rows[:16]]} | peer, repeats
    )
    measure.report(f"{title}: {net.architecture.n_edges} edges", found)
    gain = 16 * measure.median(found["16 one at a time"]) / measure.median(found["batch of 256"])
    print(f"  per input, the batch is {gain:.1f} times as fast as one at a time")
    results[title] = found | {"gain": gain}


def layers_by_blas(net: pg.Network, width: int) -> Callable[[], Any]:
    """The matrix products and ReLUs of a perceptron on a batch, by NumPy, samples last as BLAS likes it best."""
    matrices = net.values.reshape(-1, width, width)
    x = np.random.default_rng(3).normal(size=(width, 256))

    def run() -> Any:
        y = x
        for matrix in matrices[:-1]:
            y = np.maximum(matrix @ y, 0)
        return matrices[-1] @ y

    return run


def sizes(largest: int, repeats: int, results: dict[str, Any]) -> None:
    """The time of a path-norm against the number of edges, dense layers and random graphs, and that of the CSR product.

    Beyond the caches the antecedents of a random graph are read from memory, each for itself, by either.
    """
    found: dict[str, dict[int, float]] = {"dense": {}, "random": {}, "random, csr": {}}
    for n_edges in [n for k in (4, 5, 6, 7) for n in (10**k, 3 * 10**k) if n <= largest]:
        dense = perceptron(int((n_edges / 4) ** 0.5), 4)
        scattered = random_dag(n_edges // 10, n_edges, max(10, n_edges // 1000))
        graph, x = scattered.architecture, np.random.default_rng(1).random(scattered.architecture.n_nodes)
        matrix = csr_array(
            (scattered.values, graph.antecedent, graph.start.astype(np.int32)), shape=(graph.n_nodes,) * 2
        )
        variants: dict[str, measure.Variant] = {
            "dense": partial(pg.path_norm, dense, backend="numba"),
            "random": partial(pg.path_norm, scattered, backend="numba"),
            "random, csr": partial(matmul, matrix, x),
        }
        for name, variant in variants.items():  # one after the other: each leaves its own in the caches
            size = dense.architecture.n_edges if name == "dense" else graph.n_edges
            found[name][size] = measure.median(measure.interleaved({name: variant}, repeats)[name])
        line = ", ".join(f"{seconds[max(seconds)]:.6f} s {name}" for name, seconds in found.items())
        print(f"  {n_edges:>9} edges: {line}")
    results["sizes"] = found


def threads(net: pg.Network, repeats: int, results: dict[str, Any]) -> None:
    """The same path-norm on one thread and on two; the numbers must have the same bits."""

    def on(n: int) -> Callable[[pg.Network], Any]:
        def run(net: pg.Network) -> Any:
            numba.set_num_threads(n)
            return pg.path_norm(net)

        return run

    source = Parameters(net)
    n = min(2, numba.config.NUMBA_NUM_THREADS)
    assert on(1)(net) == on(n)(net)
    found = measure.interleaved(
        {"one thread": (source.network, on(1)), f"{n} threads": (source.network, on(n))}, repeats
    )
    numba.set_num_threads(1)
    measure.report(f"threads: {net.architecture.n_edges} edges", found)
    results["threads"] = found


def marginals(net: pg.Network, repeats: int, results: dict[str, Any], title: str) -> None:
    """One forward sweep; and a forward and a backward sweep with the mass of every edge.

    The second sweep reads every entry again, and writes a number for each. A product of the entries with a number does
    just that: the forward sweep and that product are about the least, but for a level that is read only once.
    """
    source, out = Parameters(net), np.empty(len(net.values))

    def start() -> Any:
        x = np.zeros(net.dag.size)
        x[CONSTANT] = x[net.dag.inputs] = 1
        return x

    found = measure.interleaved(
        {
            "forward": (source.network, lambda net: engine.power_sums(net, 1, start())),
            "forward and marginals": (source.network, lambda net: engine.power_marginals(net, 1, start())),
            "read and write": (source.network, lambda net: _times(net.values, 2.0, out)),
        },
        repeats,
    )
    measure.report(f"{title}: {net.architecture.n_edges} edges", found)
    least = 1 + measure.median(found["read and write"]) / measure.median(found["forward"])
    print(f"  a forward sweep, and entries read and as many numbers written, take {least:.2f} times a forward sweep")
    results[title] = found | {"least ratio": least}


def scores_and_bounds(net: pg.Network, repeats: int, results: dict[str, Any]) -> None:
    """The score of every parameter, and the meet bound of two networks, against the path-norm of one."""
    title, source = "scores and bounds, dense layers", Parameters(net)
    found = measure.interleaved(
        {
            "path_norm": (source.network, pg.path_norm),
            "path_magnitude": (source.network, pg.path_magnitude),
            "meet bound": (
                lambda: (source.network(), source.network()),
                lambda pair: pg.path_metric(*pair, method="meet"),
            ),
        },
        repeats,
    )
    measure.report(f"{title}: {net.architecture.n_edges} edges", found)
    results[title] = found


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    chosen = parser.parse_args(arguments)
    numba.set_num_threads(1)
    repeats, size = chosen.repeats, 10 if chosen.quick else 1
    results: dict[str, Any] = {}
    dense = perceptron(500 if size == 1 else 160, 4)
    scattered = random_dag(100_000 // size, 1_000_000 // size)
    wide = perceptron(1600 if size == 1 else 500, 4)
    powers = {f"path_norm q={q}": lambda net, q=q: pg.path_norm(net, q) for q in (2, 4)}
    against_csr("dense layers", dense, repeats, results, **powers)
    against_csr("random graph", scattered, repeats, results, **powers)
    against_csr("1000 levels of 32 neurons", perceptron(32, 1000 // size), repeats, results)
    bandwidth(wide, repeats, results)
    threads(perceptron(2800 if size == 1 else 500, 4), max(3, repeats // 2), results)
    marginals(dense, repeats, results, "marginals, dense layers")
    marginals(scattered, repeats, results, "marginals, random graph")
    scores_and_bounds(dense, repeats, results)
    batches("batch, random graph", scattered, {}, max(3, repeats // 3), results)
    width = dense.dag.outputs.size
    batches("batch, dense layers", dense, {"BLAS": layers_by_blas(dense, width)}, repeats, results)
    print("cost against size")
    sizes(30_000_000 // size, 5, results)
    if chosen.json:
        measure.write_json(chosen.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
