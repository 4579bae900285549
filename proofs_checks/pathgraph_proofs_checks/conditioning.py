"""The diagonal that path-conditioning evens out, how uneven it is, and the slope at a neuron: by listing paths."""

from collections.abc import Hashable, Sequence
from fractions import Fraction
from math import prod

from pathgraph import Network
from pathgraph_proofs_checks.jacobians import lifting_jacobian

__all__ = ["Side", "diagonal", "parted", "sides", "slope", "spread"]

Side = tuple[int, Hashable, Hashable]
"""A parameter on a path, where it starts (None: it is a bias) and where it ends."""


def diagonal(net: Network) -> list[Fraction]:
    """The squared lengths of the columns of the Jacobian of the path-lifting, listing the paths."""
    found = [Fraction(0)] * len(net.theta)
    for row in lifting_jacobian(net):
        for i, value in enumerate(row):
            if value:
                found[i] += value**2
    return found


def spread(g: Sequence[Fraction]) -> Fraction:
    """(sum of g / n)^n / product of g, over the n parameters on paths: the n-th power of the means' ratio."""
    found = [value for value in g if value]
    mean = sum(found, start=Fraction(0)) / len(found)
    return prod((mean / value for value in found), start=Fraction(1))


def sides(net: Network, g: Sequence[Fraction]) -> list[Side]:
    """The parameters with positive g."""
    names = [net.architecture.entry_name(e) for e in net.architecture.first_entry.tolist()]
    edges = [e < net.architecture.n_edges for e in net.architecture.first_entry.tolist()]
    every = zip(names, edges, g, strict=True)
    return [(i, *(name if edge else (None, name))) for i, (name, edge, value) in enumerate(every) if value]


def slope(
    g: Sequence[Fraction], found: Sequence[Side], v: Hashable, *, counts: bool = True, bias: bool = True
) -> Fraction:
    """Half the derivative of log(spread) by log(lam_v): n (out - in) / total - (#out - #in).

    Incoming are weights and, with `bias`, the bias; without `counts` the second term is left out.
    """
    shares = [(len(found) * g[i] / sum(g) - counts, tail, head) for i, tail, head in found if tail is not None or bias]
    return sum((share * ((tail == v) - (head == v)) for share, tail, head in shares), start=Fraction(0))


def parted(g: Sequence[Fraction], found: Sequence[Side], v: Hashable) -> tuple[list[Fraction], list[Fraction]]:
    """The diagonal at the outgoing parameters of a neuron, and at its incoming ones, the bias included."""
    return [g[i] for i, tail, _ in found if tail == v], [g[i] for i, _, head in found if head == v]
