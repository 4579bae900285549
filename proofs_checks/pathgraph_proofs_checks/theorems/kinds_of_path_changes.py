"""A sweep over sets of automaton states tells where the metric is a bound, and where the meet bound is the metric."""

from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

import pathgraph as pg
from pathgraph import Network
from pathgraph.metrics.path_changes import path_changes
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import Factors, any_signs, flips, moved, untied, valued
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def library(net: Network, other: Network) -> Any:
    """The library's sets, per output: mixed, odd, even."""
    widths = np.array([1] * len(net.inputs), dtype=object)
    return np.array(path_changes(net, net.tensors, other.tensors, widths)).T.astype(int)


@theorem(
    statement=(
        "One sweep over sets of states finds, per output, whether some path with two non-zero products has "
        "shrinking and growing parameters and no flip, an odd number of flips, or an even number of at least two;"
        " and the bound U2 is the metric of an output if and only if neither the first nor the last occurs."
    ),
    latex=r"U_2^v=\sum_{p\in\mathcal P^v}|\Phi_p-\Phi'_p|\iff\text{no path to }v\text{ is mixed or evenly flipped}",
    hypotheses="two networks of one architecture, any signs, zeros included",
    source=DERIVED,
    instances=drawn(any_signs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
)
def kinds_of_path_changes(
    net: Network, factors: Factors, *, kinds: Callable[[Network, Network], Any] = library
) -> Equality:
    """Compare the sets, and the equality of bound and metric, with an enumeration."""
    other = moved(net, factors)
    found: dict[Any, list[int]] = {v: [0, 0, 0] for v in net.outputs}
    for path in pg.path_lifting(net, max_paths=MAX_PATHS).paths:
        places = entries_on(net, path)
        a, b = net.values[places].tolist(), other.values[places].tolist()
        if prod(a) * prod(b):
            sizes = [(abs(x), abs(y)) for x, y in zip(a, b, strict=True)]
            mixed = any(x < y for x, y in sizes) and any(x > y for x, y in sizes)
            count = flips(a, b)
            kind = (0 if mixed else None) if not count else 1 if count % 2 else 2
            if kind is not None:
                found[path[-1]][kind] = 1
    metric, meet = (
        pg.path_metric(net, other, per_output=True, method=method, max_paths=10**6).upper
        for method in ("enumeration", "meet")
    )
    claimed = kinds(net, other)
    equal = [int(a == b) for a, b in zip(metric, meet, strict=True)]
    return Equality([claimed, [int(not (mixed or even)) for mixed, _, even in claimed]], [list(found.values()), equal])


def nonzero(net: Network) -> Network:
    """The network with ones for its zeros."""
    return valued(net, [value or Fraction(1) for value in net.values])


kinds_of_path_changes.mutant(
    "a path of product zero counts",
    ("x0; y0 = out(x0); y1 = out(0*x0)", (-2,)),
    kinds=lambda net, other: library(nonzero(net), nonzero(other)),
)
kinds_of_path_changes.mutant(
    "two flips count as none",
    ("x0; h0 = id(x0); y0 = out(h0)", (-1,)),
    kinds=lambda net, other: library(net, other) * [1, 1, 0],
)
kinds_of_path_changes.mutant(
    "growing and shrinking of flipped paths counts as mixed",
    ("x0; h0 = id(x0); y0 = out(h0)", (2, "-1/4")),
    kinds=lambda net, other: (
        library(net.map_values(abs), other.map_values(abs)) * [1, 0, 0] + library(net, other) * [0, 1, 1]
    ),
)
kinds_of_path_changes.mutant(
    "all outputs together",
    ("x0; y0 = out(x0); y1 = out(x0)", (1, -1)),
    kinds=lambda net, other: [library(net, other).max(axis=0)] * len(net.outputs),
)
