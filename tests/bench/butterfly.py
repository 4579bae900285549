"""Relative errors of butterfly factorisations of targets of size 64, with their certificates: the table of the guide.

    python -m tests.bench.butterfly

Nothing is timed. Random matrices come from fixed seeds: a random target is standard normal; an exact one is a product
of factors with standard normal values, and noise is normal, of the given share of its norm. The cosine transform is
the orthonormal one of type II, its rows in the order of `pathgraph.bit_reversal`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import pathgraph as pg

N = 64
FAMILIES: dict[str, tuple[pg.KSPattern, ...]] = {
    "dyadic": pg.square_dyadic(N),
    "radix 4": (pg.KSPattern(1, 4, 4, 16), pg.KSPattern(4, 4, 4, 4), pg.KSPattern(16, 4, 4, 1)),
    "rank 2": (pg.KSPattern(1, 4, 8, 16), pg.KSPattern(4, 8, 8, 4), pg.KSPattern(16, 8, 4, 1)),
    "Monarch": pg.monarch((N, N), p=8, q=8),
}
COLUMNS = ("lower", "left-to-right", "right-to-left", "balanced", "not orthonormal", "upper")


def noisy(patterns: tuple[pg.KSPattern, ...], share: float) -> Any:
    """A product of normal factors of these patterns, plus noise of this share of its norm."""
    rng = np.random.default_rng(1)
    exact = pg.KSChain([pg.KSMatrix(rng.standard_normal(tuple(p))) for p in patterns]).toarray()
    noise = rng.standard_normal(exact.shape)
    return exact + share * np.linalg.norm(exact) / np.linalg.norm(noise) * noise


def cosine() -> Any:
    """The orthonormal cosine transform, rows permuted."""
    k, j = np.arange(N)[:, None], np.arange(N)
    matrix = np.sqrt(2 / N) * np.cos(np.pi * k * (2 * j + 1) / (2 * N))
    matrix[0] /= np.sqrt(2)
    return matrix[pg.bit_reversal(N)]


def cases() -> list[tuple[str, str, Any]]:
    """Patterns, name of the target, and target."""
    found = []
    for family, shares in (("dyadic", (0.01, 0.1)), ("radix 4", (0.1,)), ("rank 2", (0.1,)), ("Monarch", ())):
        found.append((family, "random", np.random.default_rng(0).standard_normal((N, N))))
        found += [(family, f"exact, {share:.0%} noise", noisy(FAMILIES[family], share)) for share in shares]
        if family == "dyadic":
            found.append((family, "cosine transform, rows permuted", cosine()))
    return found


def figures(family: str, target: Any) -> list[float]:
    """The numbers of a row, relative to the norm of the target, in the order of `COLUMNS`."""
    patterns, norm = FAMILIES[family], np.linalg.norm(target)
    first = pg.butterfly_factorize(target, patterns)
    errors = [first.error]
    errors += [pg.butterfly_factorize(target, patterns, order=order).error for order in COLUMNS[2:4]]
    errors.append(pg.butterfly_factorize(target, patterns, orthonormalize=False).error)
    return [float(value / norm) for value in (first.lower, *errors, first.upper)]


def main() -> int:
    """Print the table."""
    print("| patterns | target | `lower` | left to right | right to left | balanced | not orthonormal | `upper` |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    last = ""
    for family, name, target in cases():
        title = "" if family == last else f" {family}, {len(FAMILIES[family])} factors"
        row = " | ".join(f"{value:.4f}" for value in figures(family, target))
        print(f"|{title} | {name} | {row} |")
        last = family
    return 0


if __name__ == "__main__":
    sys.exit(main())
