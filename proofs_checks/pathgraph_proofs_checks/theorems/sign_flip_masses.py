"""The mass of the paths by how many of their parameters change sign: a sweep with three states."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags


def entries(net: Network) -> SearchStrategy[list[Fraction]]:
    """Factors by which the values are multiplied to make the other network, repeated as long as needed."""
    return st.lists(dyadics(), min_size=1, max_size=8)


def library(net: Network, other: Network) -> Any:
    """The library's masses."""
    return pg.sign_flip_masses(net, other)


@theorem(
    statement=(
        "A sweep over the states none, odd, even on |theta theta'| gives the sums of |Phi_p(theta) Phi_p(theta')| over "
        "the paths with no sign flip, an odd number, and an even number of at least two."
    ),
    latex=r"\Big(\sum_{p:\,f_p\in F}|\Phi_p(\theta)\,\Phi_p(\theta')|\Big)_F,\quad F=\{0\},\{1,3,\dots\},\{2,4,\dots\}",
    hypotheses="f_p counts the values on p, its bias included, with theta theta' < 0",
    source=DERIVED,
    instances=drawn(entries),
    networks=relu_dags(ties=False),
    needs=("no ties",),
    enumerates=True,
)
def sign_flip_masses(
    net: Network, factors: Sequence[Fraction], *, masses: Callable[[Network, Network], Any] = library
) -> Equality:
    """Compare the three masses with an enumeration."""
    other = net.map_values(lambda w: w * [factors[i % len(factors)] for i in range(len(w))])
    here, there = (pg.path_lifting(n, max_paths=MAX_PATHS) for n in (net, other))
    flips = net.values * other.values < 0
    expected = [Fraction(0)] * 3
    for path, a, b in zip(here.paths, here.values, there.values, strict=True):
        count = sum(flips[entries_on(net, path)])
        expected[0 if not count else 1 if count % 2 else 2] += abs(a * b)
    return Equality(tuple(masses(net, other)), expected)


def merged(net: Network, other: Network) -> Any:
    """Wrong masses: two flips count as none."""
    none, odd, even = library(net, other)
    return none + even, odd, 0


def with_biases_of_sign(other: Network, net: Network) -> Network:
    """`other`, whose biases get the signs of those of `net`."""
    values = other.values.copy()
    biases = slice(net.architecture.n_edges, None)
    values[biases] = [abs(b) if a >= 0 else -abs(b) for a, b in zip(net.values[biases], values[biases], strict=True)]
    return other.with_values(values)


def signs(net: Network) -> Network:
    """The network of the signs of the values."""
    return net.with_values([Fraction((w > 0) - (w < 0)) for w in net.values])


sign_flip_masses.mutant("two flips count as none", ("x0; h0 = id(x0); y0 = out(h0)", (-1,)), masses=merged)
sign_flip_masses.mutant(
    "the bias is no parameter of its path",
    ("x0; y0 = out(x0); y1 = out(x0, 1)", (-1,)),
    masses=lambda net, other: library(net, with_biases_of_sign(other, net)),
)
sign_flip_masses.mutant(
    "the products of the first network alone",
    ("x0; y0 = out(x0)", (2,)),
    masses=lambda net, other: library(net, signs(other)),
)
