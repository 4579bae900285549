"""Every function of layer graphs on ResNets of real size: ``python -m tests.bench.real_size [--json FILE] [...]``.

Each function runs once, in a fresh process that has built the network (batch-norms folded) and what it is compared
with, under limits of time and memory. The seconds are those of the call, with compilation or its loading from the
cache, and beside them those of the processor; the peak is that of the whole process. By default a few functions on
a ResNet-18 with 64 x 64 images; ``--all --sizes 224`` runs every function at the size of ImageNet, and ``--depths 50``
takes a ResNet-50. Where the machine is idle for a short time only, ``--all --sizes 224 --part 2/9 --json FILE --add``
runs the second of nine parts, and adds its figures to those of the file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import pathgraph as pg
from tests.bench import measure
from tests.bench.resnets import resnet

SEMIRINGS = pg.semirings


class Subject:
    """What the functions are called with."""

    def __init__(self, depth: int, size: int) -> None:
        self.graph = resnet(depth, size).fold_batch_norm()

    @cached_property
    def rounded(self) -> Any:
        """The network with every parameter rounded to the nearest multiple of 2**-8."""
        return pg.quantize(self.graph, pg.Quantizer("nearest", step=2.0**-8))

    @cached_property
    def shrunk(self) -> Any:
        """The network with every parameter rounded towards zero: signs agree, and one dominates."""
        return pg.quantize(self.graph, pg.Quantizer("toward_zero", step=2.0**-8))

    @cached_property
    def moved(self) -> Any:
        """Parameters with noise, so that some signs differ."""
        random = np.random.default_rng(5)
        return self.graph.with_theta(self.graph.theta + 1e-3 * random.standard_normal(len(self.graph.theta)))

    @cached_property
    def single(self) -> Any:
        """Values of single precision, those of pools included."""
        return pg.quantize(self.graph, pg.Quantizer(format="fp32"), fixed=True)

    @cached_property
    def widths(self) -> Any:
        """Half-widths that differ from pixel to pixel."""
        (shape,) = self.graph.input_shapes.values()
        return np.random.default_rng(1).random(shape)

    @cached_property
    def rows(self) -> Any:
        """A batch of one image."""
        return np.random.default_rng(2).normal(size=(1, *self.widths.shape))

    @cached_property
    def gradient(self) -> Any:
        """One number for each parameter."""
        random = np.random.default_rng(3)
        return {name: random.normal(size=array.shape) for name, array in self.graph.parameters.items()}

    @cached_property
    def factors(self) -> Any:
        """A rescaling."""
        return pg.random_rescaling(self.graph, 4)

    @cached_property
    def chosen(self) -> Any:
        """A mask of some parameters."""
        random = np.random.default_rng(6)
        return {name: random.random(array.shape) < 0.1 for name, array in self.graph.parameters.items()}


Case = tuple[tuple[str, ...], Callable[[Subject], Any]]


def case(function: Callable[[Subject], Any], *needs: str) -> Case:
    """A function, and the attributes of the subject that are made before the clock starts."""
    return needs, function


CASES: dict[str, Case] = {
    "lg(x)": case(lambda s: s.graph(s.rows), "rows"),
    "lg.report": case(lambda s: str(s.graph.report)),
    "path_norm": case(lambda s: pg.path_norm(s.graph)),
    "path_norm, any inputs": case(lambda s: pg.path_norm(s.graph, inputs=s.widths), "widths"),
    "path_norm, q=2": case(lambda s: pg.path_norm(s.graph, 2)),
    "path_norm, q=3, r=6": case(lambda s: pg.path_norm(s.graph, 3, 6)),
    "path_norm, q=inf": case(lambda s: pg.path_norm(s.graph, np.inf)),
    "path_norm, q=0": case(lambda s: pg.path_norm(s.graph, 0)),
    "path_norm, per output": case(lambda s: pg.path_norm(s.graph, per_output=True)),
    "log_path_norm": case(lambda s: pg.log_path_norm(s.graph)),
    "log_path_norm, q=2, any inputs": case(lambda s: pg.log_path_norm(s.graph, 2, inputs=s.widths), "widths"),
    "operator_norm_product": case(lambda s: pg.operator_norm_product(s.graph)),
    "path_sum, REAL": case(lambda s: pg.path_sum(s.graph)),
    "path_sum, MAX_TIMES": case(lambda s: pg.path_sum(s.graph, SEMIRINGS.MAX_TIMES)),
    "path_sum, MAX_PLUS": case(lambda s: pg.path_sum(s.graph, SEMIRINGS.MAX_PLUS)),
    "path_sum, LOG": case(lambda s: pg.path_sum(s.graph, SEMIRINGS.LOG)),
    "path_sum, SCALED": case(lambda s: pg.path_sum(s.graph, SEMIRINGS.SCALED)),
    "path_sum, COUNT": case(lambda s: pg.path_sum(s.graph, SEMIRINGS.COUNT)),
    "path_sum, LENGTHS": case(lambda s: refused(lambda: pg.path_sum(s.graph, SEMIRINGS.LENGTHS))),
    "path_marginals, REAL": case(lambda s: pg.path_marginals(s.graph)),
    "path_marginals, MAX_TIMES": case(lambda s: pg.path_marginals(s.graph, SEMIRINGS.MAX_TIMES)),
    "path_marginals, MAX_PLUS": case(lambda s: pg.path_marginals(s.graph, SEMIRINGS.MAX_PLUS)),
    "path_marginals, LOG": case(lambda s: pg.path_marginals(s.graph, SEMIRINGS.LOG)),
    "path_marginals, COUNT": case(lambda s: pg.path_marginals(s.graph, SEMIRINGS.COUNT)),
    "node_marginals, REAL": case(lambda s: pg.node_marginals(s.graph)),
    "node_marginals, MAX_TIMES": case(lambda s: pg.node_marginals(s.graph, SEMIRINGS.MAX_TIMES)),
    "node_marginals, COUNT": case(lambda s: pg.node_marginals(s.graph, SEMIRINGS.COUNT)),
    "count_paths": case(lambda s: pg.count_paths(s.graph)),
    "depth": case(lambda s: pg.depth(s.graph)),
    "heaviest_path": case(lambda s: pg.heaviest_path(s.graph)),
    "sample_paths, 10": case(lambda s: pg.sample_paths(s.graph, 10, 0)),
    "sign_flip_masses": case(lambda s: pg.sign_flip_masses(s.graph, s.moved), "moved"),
    "input_lipschitz": case(lambda s: pg.input_lipschitz(s.graph)),
    "input_lipschitz, any inputs": case(lambda s: pg.input_lipschitz(s.graph, inputs=s.widths), "widths"),
    "input_lipschitz, input-paths": case(lambda s: pg.input_lipschitz(s.graph, method="input-paths")),
    "input_lipschitz, path-norm": case(lambda s: pg.input_lipschitz(s.graph, method="path-norm")),
    "input_lipschitz, l1": case(lambda s: pg.input_lipschitz(s.graph, method="input-paths", input_norm=1)),
    "input_lipschitz, l2": case(lambda s: pg.input_lipschitz(s.graph, method="input-paths", input_norm=2)),
    "path_metric, rounded": case(lambda s: pg.path_metric(s.graph, s.rounded), "rounded"),
    "path_metric, shrunk": case(lambda s: pg.path_metric(s.graph, s.shrunk), "shrunk"),
    "path_metric, q=2": case(lambda s: pg.path_metric(s.graph, s.moved, q=2), "moved"),
    "path_metric, meet": case(lambda s: pg.path_metric(s.graph, s.moved, method="meet"), "moved"),
    "path_metric, telescope": case(lambda s: pg.path_metric(s.graph, s.moved, method="telescope"), "moved"),
    "path_metric, max-min": case(lambda s: pg.path_metric(s.graph, s.shrunk, method="max-min"), "shrunk"),
    "parameter_lipschitz": case(lambda s: pg.parameter_lipschitz(s.graph, s.rounded), "rounded"),
    "parameter_lipschitz, r=2": case(lambda s: pg.parameter_lipschitz(s.graph, s.rounded, r=2), "rounded"),
    "parameter_lipschitz, signs differ": case(lambda s: pg.parameter_lipschitz(s.graph, s.moved), "moved"),
    "parameter_lipschitz, meet": case(lambda s: pg.parameter_lipschitz(s.graph, s.moved, method="meet"), "moved"),
    "parameter_lipschitz, max-telescope": case(
        lambda s: pg.parameter_lipschitz(s.graph, s.moved, method="max-telescope"), "moved"
    ),
    "perturbation_bound": case(lambda s: pg.perturbation_bound(s.graph, 0.01)),
    "perturbation_bound, shrink": case(lambda s: pg.perturbation_bound(s.graph, 0.5, shrink=True)),
    "box_bound": case(lambda s: pg.box_bound(s.shrunk, s.graph), "shrunk"),
    "path_magnitude": case(lambda s: pg.path_magnitude(s.graph)),
    "path_magnitude, any inputs": case(lambda s: pg.path_magnitude(s.graph, inputs=s.widths), "widths"),
    "set_magnitude": case(lambda s: pg.set_magnitude(s.graph, s.chosen), "chosen"),
    "set_magnitude, one tensor": case(lambda s: pg.set_magnitude(s.graph, [next(iter(s.graph.parameters))])),
    "importance_scores, magnitude": case(lambda s: pg.importance_scores(s.graph, "magnitude")),
    "importance_scores, synflow": case(lambda s: pg.importance_scores(s.graph, "synflow")),
    "importance_scores, path-magnitude": case(lambda s: pg.importance_scores(s.graph, by_layer=True)),
    "importance_scores, snip": case(lambda s: pg.importance_scores(s.graph, "snip", gradient=s.gradient), "gradient"),
    "prune": case(lambda s: pg.prune(s.graph, 0.5)),
    "prune, per output": case(lambda s: pg.prune(s.graph, 0.5, per_output=True)),
    "prune, synflow": case(lambda s: pg.prune(s.graph, 0.5, "synflow")),
    "prune, magnitude": case(lambda s: pg.prune(s.graph, 0.5, "magnitude")),
    "prune, iterative": case(lambda s: pg.prune(s.graph, 0.5, strategy="iterative", rounds=3)),
    "prune, greedy, 10": case(lambda s: pg.prune(s.graph, 10, strategy="greedy")),
    "prune, greedy, half": case(lambda s: pg.prune(s.graph, 0.5, strategy="greedy")),
    "prune, neurons": case(lambda s: pg.prune(s.graph, 0.1, "neurons")),
    "quantize": case(lambda s: pg.quantize(s.graph, pg.Quantizer("nearest", step=2.0**-8))),
    "quantize, stochastic": case(lambda s: pg.quantize(s.graph, pg.Quantizer("stochastic", step=2.0**-8), rng=0)),
    "quantize, fp16": case(lambda s: pg.quantize(s.graph, pg.Quantizer(format="fp16"))),
    "quantize, by layer": case(lambda s: by_groups(s.graph, "layer")),
    "quantize, by channel": case(lambda s: by_groups(s.graph, "channel")),
    "parameter_groups, channel": case(lambda s: pg.parameter_groups(s.graph, "channel")),
    "certify": case(lambda s: pg.certify(s.graph, s.rounded), "rounded"),
    "certify, float32": case(lambda s: pg.certify(s.graph, s.single, execution="float32"), "single"),
    "bits_fixed": case(lambda s: pg.bits_fixed(s.graph, eps(s))),
    "bits_fixed, a posteriori": case(lambda s: pg.bits_fixed(s.graph, eps(s), a_posteriori=True)),
    "bits_float": case(lambda s: pg.bits_float(s.graph, eps(s))),
    "bits_float, a posteriori": case(lambda s: pg.bits_float(s.graph, eps(s), a_posteriori=True)),
    "allocate_bits": case(lambda s: pg.allocate_bits(s.graph, eps(s))),
    "allocate_bits, by channel": case(lambda s: pg.allocate_bits(s.graph, eps(s), groups="channel")),
    "equalize": case(lambda s: pg.equalize(s.graph)),
    "neuron_ranges": case(lambda s: pg.neuron_ranges(s.graph)),
    "neuron_ranges, any inputs": case(lambda s: pg.neuron_ranges(s.graph, inputs=s.widths), "widths"),
    "random_rescaling": case(lambda s: pg.random_rescaling(s.graph, 0)),
    "rescale": case(lambda s: pg.rescale(s.graph, s.factors), "factors"),
    "peeling_constants": case(lambda s: pg.peeling_constants(s.graph)),
    "generalization_bound": case(lambda s: pg.generalization_bound(s.graph, 1_000_000)),
    "pac_bayes_bound": case(
        lambda s: pg.pac_bayes_bound(
            s.graph,
            pg.Gaussian(0.0, np.ones(len(s.graph.theta))),
            pg.Gaussian(s.graph.theta, np.ones(len(s.graph.theta))),
            errors=np.full(100, 0.1),
            n_samples=10_000,
            rescale=False,
        )
    ),
    "to_exact": case(lambda s: s.graph.to_exact()),
    "to_onnx": case(lambda s: s.graph.to_onnx("/dev/null")),
    "expand": case(lambda s: refused(s.graph.expand)),
    "path_lifting": case(lambda s: refused(lambda: pg.path_lifting(s.graph))),
}


FEW = [
    "lg(x)",
    "path_norm",
    "path_magnitude",
    "rescale",
    "prune",
    "prune, neurons",
    "certify",
    "bits_fixed",
    "equalize",
]
"""What runs by default."""


def eps(subject: Subject) -> float:
    """A precision that takes some bits: a thousandth of the path-norm."""
    return 1e-3 * float(pg.path_norm(subject.graph))


def by_groups(graph: Any, by: Any) -> Any:
    """Every group with a step of its own."""
    groups = pg.parameter_groups(graph, by)
    steps = {name: pg.Quantizer("nearest", step=2.0 ** -(6 + i % 4)) for i, name in enumerate(groups.labels)}
    return pg.quantize(graph, steps, by=by)


def refused(function: Callable[[], Any]) -> str:
    """What a refusal says, or that there was none."""
    try:
        function()
    except pg.PathgraphError as error:
        return f"refused: {error}"
    return "a result"


def one(name: str, depth: int, size: int) -> dict[str, Any]:
    """One function in this process: seconds, peak memory in bytes, and what it said if it refused."""
    subject = Subject(depth, size)
    needs, function = CASES[name]
    for need in needs:
        getattr(subject, need)
    built = peak()
    start, used = time.perf_counter(), time.process_time()
    try:
        result = function(subject)
        said = result if isinstance(result, str) and result.startswith("refused") else ""
    except (pg.PathgraphError, MemoryError) as error:
        said = f"{type(error).__name__}: {error}"
    seconds, used = time.perf_counter() - start, time.process_time() - used
    return {"seconds": seconds, "processor": used, "peak": peak(), "before": built, "said": said}


def peak() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def limited(name: str, depth: int, size: int, seconds: float, gigabytes: float) -> dict[str, Any]:
    """The same in a fresh process with limits."""
    limit = int(gigabytes * 2**30)
    command = [sys.executable, "-m", "tests.bench.real_size", "--one", name, str(depth), str(size)]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )
    except subprocess.TimeoutExpired:
        return {"said": f"not done in {seconds:g} s"}
    if done.returncode:
        return {"said": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def part(text: str) -> tuple[int, int]:
    """The numbers of I/N, one of N parts."""
    i, n = map(int, text.split("/"))
    if not 1 <= i <= n:
        raise ValueError(text)
    return i, n


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--depths", type=int, nargs="+", default=[18])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64])
    parser.add_argument("--quick", action="store_true", help="images of 32 x 32")
    parser.add_argument("--all", action="store_true", help="every function, not a few of each kind")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="these functions")
    parser.add_argument(
        "--part", type=part, default=(1, 1), metavar="I/N", help="every N-th function, from the I-th on"
    )
    parser.add_argument("--add", action="store_true", help="keep what the file of --json has of other functions")
    parser.add_argument("--seconds", type=float, default=120, help="limit for one function")
    parser.add_argument("--gigabytes", type=float, default=16, help="limit of the address space")
    parser.add_argument("--repeats", type=int, help="taken for the sake of the other benchmarks: each runs once")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "DEPTH", "SIZE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(one(chosen.one[0], int(chosen.one[1]), int(chosen.one[2]))))
        return 0
    if chosen.add and not chosen.json:
        parser.error("--add: needed --json FILE, to which the results are added")
    unknown = sorted(set(chosen.only or ()) - set(CASES))
    if unknown:
        parser.error(f"--only: there is no function {unknown[0]!r}; they are {', '.join(CASES)}")
    results: dict[str, Any] = {}
    if chosen.add and Path(chosen.json).exists():
        results = json.loads(Path(chosen.json).read_text(encoding="utf-8"))["results"]
    names = chosen.only or (list(CASES) if chosen.all else FEW)
    first, step = chosen.part
    names = [name for name in CASES if name in names][first - 1 :: step]
    for depth in chosen.depths:
        for size in [32] if chosen.quick else chosen.sizes:
            title = f"ResNet-{depth}, {size} x {size}"
            print(f"{title}  (seconds of one call, peak memory of the process in GB)")
            table = results.setdefault(title, {})
            for name in names:
                found = table[name] = limited(name, depth, size, chosen.seconds, chosen.gigabytes)
                figures = f"{found['seconds']:8.2f} {found['peak'] / 1e9:6.2f}" if "seconds" in found else " " * 15
                print(f"  {name:36}{figures}  {found['said'][:120]}", flush=True)
                if chosen.json:  # what is measured is kept, if the rest is cut off
                    measure.write_json(chosen.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
