"""Bits saved by scaling-aware quantization of dyadic chains, at equal error of the product.

    python -m tests.bench.quantized_chains [--quick] [--json FILE]

The chains are those of the Hadamard and of the Fourier transform, with random diagonal matrices on the two sides of
every factor. For each number of bits p of rounding to nearest, the number p' of bits at which the other method has the
same error is found by interpolation: the logarithm of the error is taken as linear between neighbouring integers. Saved
is 1 - p' / p. No time is measured but that of the methods on the largest chain.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pathgraph as pg
from tests.bench import measure

NEAREST_BITS = range(4, 13)
OTHER_BITS = range(1, 10)
SCALINGS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Any]] = {
    "uniform on [1, 2)": lambda rng, shape: rng.uniform(1, 2, shape),
    "log-normal": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "phases": lambda rng, shape: np.exp(2j * np.pi * rng.random(shape)),
}
FAMILIES = {"Hadamard": pg.hadamard, "DFT": pg.dft}


def chain(family: str, n: int, scaling: str, seed: int) -> pg.KSChain:
    """The chain, each factor multiplied by diagonal matrices from both sides."""
    rng, draw = np.random.default_rng(seed), SCALINGS[scaling]
    factors = []
    for factor in FAMILIES[family](n).factors:
        a, b, c, d = factor.pattern
        factors.append(pg.KSMatrix(factor.values * draw(rng, (a, b, 1, d)) * draw(rng, (a, 1, c, d))))
    return pg.KSChain(factors)


def errors(given: pg.KSChain, bits: range, method: str) -> dict[int, float]:
    """Relative errors of the product by number of bits."""
    return {p: pg.quantize_chain(given, p, method).relative_error for p in bits}


def bits_needed(error: float, by_bits: dict[int, float]) -> float | None:
    """The interpolated number of bits for an error; None outside of what was measured."""
    points = sorted(by_bits.items())
    for (low, first), (high, second) in itertools.pairwise(points):
        if first >= error >= second > 0:
            return low + (high - low) * float(np.log(first / error) / np.log(first / second))
    return None


def saved(given: pg.KSChain, method: str, highest: int) -> list[float]:
    """Shares of bits saved against rounding to nearest, one per number of bits."""
    others = errors(given, range(OTHER_BITS.start, highest + 1), method)
    shares = []
    for p, error in errors(given, NEAREST_BITS, "nearest").items():
        needed = bits_needed(error, others)
        if needed is not None:
            shares.append(1 - needed / p)
    return shares


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="small chains, one seed")
    chosen = parser.parse_args(arguments)
    sizes, seeds = ((16,), 1) if chosen.quick else ((16, 64, 256), 3)
    figures: dict[str, Any] = {}
    print("relative error of the product, scalings uniform on [1, 2), n = 64")
    for family in FAMILIES:
        given = chain(family, 16 if chosen.quick else 64, "uniform on [1, 2)", 0)
        for method in ("nearest", "scaling-aware", "alternate"):
            row = errors(given, range(2, 9), method)
            figures[f"errors, {family}, {method}"] = row
            print(f"  {family:<9} {method:<14} " + "  ".join(f"{p}: {e:.1e}" for p, e in row.items()), flush=True)
    print(f"bits saved against nearest, {len(NEAREST_BITS)} precisions times {seeds} seeds")
    for family in FAMILIES:
        for scaling in SCALINGS:
            if scaling == "phases" and family == "Hadamard":
                continue
            for n in sizes:
                for method in ("scaling-aware", "alternate"):
                    if method == "alternate" and n > 64:
                        continue
                    highest = OTHER_BITS.stop - 1 if method == "scaling-aware" else 6
                    shares = [
                        s for seed in range(seeds) for s in saved(chain(family, n, scaling, seed), method, highest)
                    ]
                    key = f"saved, {family}, {scaling}, n = {n}, {method}"
                    figures[key] = {"median": statistics.median(shares), "min": min(shares), "points": len(shares)}
                    print(
                        f"  {family:<9} {scaling:<18} n = {n:<4} {method:<14} median {statistics.median(shares):6.1%}  "
                        f"least {min(shares):6.1%}  ({len(shares)} points)",
                        flush=True,
                    )
    given = chain("Hadamard", sizes[-1], "uniform on [1, 2)", 0)
    for method in ("nearest", "scaling-aware"):
        start = time.perf_counter()
        pg.quantize_chain(given, 8, method)
        figures[f"seconds, {method}, n = {sizes[-1]}, 8 bits"] = time.perf_counter() - start
        print(f"  {method}: {time.perf_counter() - start:.2f} s for n = {sizes[-1]}, 8 bits")
    if chosen.json:
        measure.write_json(chosen.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
