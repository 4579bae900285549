"""How the benchmarks measure: variants that take turns, medians, peak memory in a fresh process, results as JSON.

Two timings are comparable only if they were taken on the same machine in the same minutes, so the variants of one
question run in turn, in a new order each round (`interleaved`), and their ratio is the ratio of the medians of each.
The package clears the environment variables that pin the kernels of OpenBLAS, which would slow one variant and not
another. Threads of a BLAS or of OpenMP wait for more work in a loop, OpenBLAS for 25 ms, and take a core from whoever
runs next: where variants have several threads, each call is preceded by a rest.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "REST",
    "in_fresh_process",
    "interleaved",
    "machine",
    "median",
    "ratios",
    "report",
    "seconds",
    "write_json",
]

PACKAGES = ("pathgraph", "numpy", "scipy", "networkx", "numba")


Variant = Callable[[], Any] | tuple[Callable[[], Any], Callable[[Any], Any]]
"""What is timed: a function without arguments; or one that makes its argument, untimed, and one that takes it."""


REST = 0.1
"""Seconds after which no thread of an earlier call still waits in a loop."""


def seconds(variant: Variant, *, rest: float = 0.0) -> float:
    """The wall time of one call; some seconds of rest come before its argument is made."""
    prepare, function = variant if isinstance(variant, tuple) else (tuple, lambda _: variant())
    time.sleep(rest)
    argument = prepare()
    start = time.perf_counter()
    result = function(argument)
    stop = time.perf_counter()
    del result
    return stop - start


def interleaved(
    variants: Mapping[str, Variant], repeats: int, *, warm_up: bool = True, seed: int = 0, rest: float = 0.0
) -> dict[str, list[float]]:
    """Time the variants in turn, each once a round, in another order each round.

    Parameters
    ----------
    variants : mapping from name to `Variant`
    repeats : int
        Rounds that count.
    warm_up : bool
        Whether to call each once before, uncounted: compilations, caches, page faults.
    seed : int
        Of the orders.
    rest : float
        Seconds before each call: `REST` where variants have several threads.

    Returns
    -------
    dict
        Name to list of seconds, one per round.
    """
    if repeats < 1 or not variants:
        raise ValueError(f"needed at least one variant and one repeat, got {len(variants)} and {repeats}")
    if warm_up:
        for variant in variants.values():
            seconds(variant)
    orders, taken = random.Random(seed), {name: [] for name in variants}
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()  # a collection between two calls would empty the caches of the second
    try:
        for _ in range(repeats):
            for name in orders.sample(list(variants), len(variants)):
                taken[name].append(seconds(variants[name], rest=rest))
    finally:
        if was_on:
            gc.enable()
    return taken


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def ratios(results: Mapping[str, Sequence[float]], baseline: str) -> dict[str, float]:
    """The median of each variant over that of `baseline`; below 1 is faster."""
    base = median(results[baseline])
    return {name: median(values) / base for name, values in results.items()}


def report(title: str, results: Mapping[str, Sequence[float]], baseline: str | None = None) -> None:
    """Print medians, extremes and the ratio to `baseline` (the first variant by default)."""
    baseline = next(iter(results)) if baseline is None else baseline
    over = ratios(results, baseline)
    width = max(map(len, results))
    print(f"{title}  (seconds: median [min, max], ratio to {baseline})")
    for name, values in results.items():
        print(
            f"  {name:<{width}}  {median(values):10.5f}  [{min(values):.5f}, {max(values):.5f}]  {over[name]:6.2f}x",
            flush=True,
        )


def machine() -> dict[str, Any]:
    """What a reader needs to judge a figure: processor, cores, versions; no paths, no names of hosts or users."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    """Its name, and family and model where Linux tells them: processors of ten years share one name in the cloud."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in found:
        return platform.machine()
    return f"{found['model name']} (family {found.get('cpu family', '?')}, model {found.get('model', '?')})"


def write_json(path: str | os.PathLike[str], results: Mapping[str, Any]) -> None:
    """Write results and `machine` to a file, sorted and indented, so that two runs can be compared line by line."""
    text = json.dumps({"machine": machine(), "results": dict(results)}, indent=2, sort_keys=True)
    Path(path).write_text(text + "\n", encoding="utf-8")


# -- memory -------------------------------------------------------------------------------------------------------


def in_fresh_process(module: str, *arguments: str) -> Any:
    """Run ``python -m module arguments`` and return the JSON it prints on its last line."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
