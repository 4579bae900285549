"""Are two networks the same up to rescaling, or up to rescaling and a permutation of hidden neurons?

Where the values of two networks differ by factors, the factors of the neurons follow along a spanning tree of the
non-zero entries, from the inputs, the outputs and the constant behind the biases, whose factors are 1. Every other
entry closes a cycle, and the product of the values around it (inverted where it is walked backward) is an invariant:
either all of them agree, and the factors are found, or one differs, and is reported. A path from an input to an output
is such a cycle.

Permutations are found between the exact l1 normal forms, by colour refinement and then an isomorphism of coloured
graphs (networkx); each candidate is verified as above. Derived here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError, RangeError, UnsupportedOperatorError
from pathgraph.geometry.forest import Forest, around, signs
from pathgraph.geometry.isomorphism import coloured, images, isomorphisms, keeps_ties, may_be_negative, refine
from pathgraph.geometry.potentials import ends
from pathgraph.graph.architecture import STRUCTURAL
from pathgraph.graph.network import Network, require_numbers
from pathgraph.pathsum.exact import in_range
from pathgraph.scalars import Array, to_fraction
from pathgraph.shown import argument_text, article, mapping_text

__all__ = ["Equivalence", "find_rescaling"]


@dataclass(frozen=True, repr=False)
class Equivalence:
    """Whether two networks are equivalent, and how, or why not; made by `find_rescaling`.

    Attributes
    ----------
    factors : dict or None
        From the hidden neurons of the first network to their factors, if it is equivalent to the second.
    permutation : dict or None
        From its neurons to those of the second network, if permutations were asked for and it is equivalent.
    difference : str or None
        Which invariant differs, if it is not equivalent.
    where : tuple
        The entries that show it: names as in ``net.parameters``.
    values : tuple or None
        The invariant of the first and of the second network, where it is a number, or, with permutations, a list of
        weights in normal form, without those that the two have in common: floats for float networks, if they are in
        the range of floats.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.find_rescaling(pg.from_weights([[[1]], [[4]]]), pg.from_weights([[[2]], [[2]]]))
    Equivalence(factors={(1, 0): 2.0})
    """

    factors: Mapping[Hashable, Any] | None
    permutation: Mapping[Hashable, Hashable] | None = None
    difference: str | None = None
    where: tuple[Any, ...] = ()
    values: tuple[Any, Any] | None = None

    def __bool__(self) -> bool:
        return self.difference is None

    def __repr__(self) -> str:
        if self.difference is not None:
            numbers = "" if self.values is None else ": " + " and ".join(map(_shown, self.values))
            return f"Equivalence(none: {self.difference}{numbers})"
        permuted = "" if self.permutation is None else f", permutation={mapping_text(self.permutation)}"
        return f"Equivalence(factors={mapping_text(self.factors or {})}{permuted})"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value[:6]))}{', ...' if len(value) > 6 else ''}]"
    text = str(value)
    if len(text) <= 60 or not isinstance(value, Fraction):
        return text
    return f"{'-' * (value < 0)}about 2**{value.numerator.bit_length() - value.denominator.bit_length()}"


def find_rescaling(
    net: Network, other: Network, *, permutations: bool = False, max_candidates: int = 1000
) -> Equivalence:
    r"""Find the rescaling that turns one network into another, or an invariant in which they differ.

    Parameters
    ----------
    net, other : Network
        Of one kind of scalars, and of one architecture unless `permutations` is true.
    permutations : bool
        Also look for a permutation of the hidden neurons: ``other`` is then, up to the names of its neurons,
        ``pg.rescale(net, factors)``. Inputs and outputs keep their order.
    max_candidates : int
        With `permutations`, give up after this many isomorphisms of the normal forms. More than one is tried only if
        there are dead neurons, ties, or signs that identity neurons may change.

    Returns
    -------
    Equivalence
        True with ``.factors``, such that ``pg.rescale(net, factors)`` is `other`; false with ``.difference``.

    Raises
    ------
    ParameterError
        If the architectures or the kinds of scalars differ.
    RangeError
        If a factor of a float network leaves the range of floats.
    UnsupportedOperatorError
        On symbolic networks; or if more than `max_candidates` isomorphisms would have to be tried.

    Notes
    -----
    The factors are positive, except at identity neurons, as `rescale` has it. Neurons that only zeros connect to the
    rest have factor 1. If no parameter is zero and every one lies on a path, the networks are equivalent if and only
    if their path-liftings are equal and their parameters have equal signs (up to the signs that identity neurons may
    change).

    Exact networks are decided exactly. Floats are compared up to the rounding of `rescale`: the products around a
    cycle of k entries may differ by 2k units in the last place. With `permutations` the identity is tried first, and
    each candidate is compared like that; networks that more than one rounding separates may be told apart, and
    ``.difference`` says where it cannot know. Linear in the size of the network without `permutations`; with them,
    exponential at worst.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
    >>> pg.find_rescaling(net, pg.rescale(net, {(1, 0): 4}))
    Equivalence(factors={(1, 0): 4.0, (1, 1): 1.0})
    >>> pg.find_rescaling(net, net.with_theta([1, -2, 3, 1, 2, 1]))
    Equivalence(none: the product along the path (0, 0) -> (1, 0) -> (2, 0): 1.0 and 2.0)
    >>> swapped = pg.from_weights([[[3, 1], [2, -4]], [[1, 0.5]]])
    >>> pg.find_rescaling(net, swapped, permutations=True).factors
    {(1, 0): 2.0, (1, 1): 1.0}
    """
    for one in (net, other):
        require_numbers(one, "find_rescaling")
    if net.scalars != other.scalars:
        raise ParameterError(
            f"other: needed {article(net.scalars)} network, as net is, got {article(other.scalars)} one"
        )
    if permutations:
        return _permuted(net, other, max_candidates)
    if net.architecture != other.architecture:
        raise ParameterError(
            "other: needed a network of the same architecture; with permutations=True only the numbers of inputs and "
            "outputs must agree"
        )
    return _compared(net, other, np.arange(net.architecture.n_entries))


# -- one permutation ----------------------------------------------------------------------------------------------


def _compared(net: Network, other: Network, image: Array) -> Equivalence:
    """The factors between `net` and `other`, whose entry ``image[e]`` answers to the entry e."""
    architecture = net.architecture
    before, after = net.values, other.values[image]
    flexible = may_be_negative(net)
    tail, head = ends(architecture)
    signs_before, signs_after = signs(before), signs(after)
    structural = architecture.role == STRUCTURAL
    structural[structural] = before[structural] != after[structural]
    kinds = {
        "zero in one network only": (signs_before == 0) != (signs_after == 0),
        "structural, so it cannot be rescaled": structural,
        "of another sign": (signs_before * signs_after < 0) & ~(flexible[tail] | flexible[head]),
    }
    wrong = np.flatnonzero(np.any(list(kinds.values()), axis=0))
    for e in wrong[:1].tolist():
        what = next(text for text, where in kinds.items() if where[e])
        pair = to_fraction(before[e]), to_fraction(after[e])
        return _difference(net, f"{_describe(net, e)} is {what}", [e], pair)
    forest = Forest(net, after)
    if forest.conflict is not None:
        walk = forest.conflict
        products = around(before, walk), around(after, walk)
        return _difference(net, _walked(net, walk), [e for e, _ in walk], products)
    factor = forest.oriented(flexible)
    if isinstance(factor, int):
        what = (
            f"the sign of the products that lead to {argument_text(architecture.nodes[factor - 1])}, which cannot be "
            "flipped"
        )
        return _difference(net, what, [e for e, _ in forest.walk_to(factor)], None)
    outer = {*architecture.input.tolist(), *architecture.output.tolist()}
    hidden = [(v, factor[i + 1]) for i, v in enumerate(net.nodes) if i not in outer]
    return Equivalence({v: lam if net.is_exact else _as_float(v, lam) for v, lam in hidden})


def _as_float(node: Hashable, factor: Fraction) -> float:
    value = in_range(factor, f"find_rescaling: the factor of {argument_text(node)}")
    if value == 0:
        raise RangeError(f"find_rescaling: the factor of {argument_text(node)} vanishes as a float; use net.to_exact()")
    return value


def _walked(net: Network, walk: list[tuple[int, int]]) -> str:
    """What the product around a closed walk is called."""
    architecture = net.architecture
    ways = {way for _, way in walk}
    if len(ways) == 1:
        entries = [e for e, _ in walk][:: ways.pop()]
        tail, head = ends(architecture)
        chained = all(head[e] == tail[f] for e, f in pairwise(entries))
        if chained:
            stops = [int(tail[entries[0]]), *(int(head[e]) for e in entries)]
            path = " -> ".join(repr(architecture.nodes[v - 1]) for v in stops if v)
            return f"the product along the path {path}" + (", with its bias" if stops[0] == 0 else "")
    parts = (f"{'' if way > 0 else 'over '}{_describe(net, e)}" for e, way in walk)
    return f"the product of {', '.join(parts)}"


def _describe(net: Network, entry: int) -> str:
    name = net.architecture.entry_name(entry)
    if entry >= net.architecture.n_edges:
        return f"the bias of {argument_text(name)}"
    return f"the weight of {argument_text(name[0])} -> {argument_text(name[1])}"


def _difference(net: Network, what: str, entries: list[int], values: Any) -> Equivalence:
    if values is not None and not net.is_exact:
        with suppress(OverflowError):  # products along paths may leave the range of floats: they stay Fractions then
            floats = tuple(map(float, values))
            if floats.count(0) == values.count(0):
                values = floats
    return Equivalence(None, None, what, tuple(net.architecture.entry_name(e) for e in entries), values)


# -- all permutations ---------------------------------------------------------------------------------------------


def _permuted(net: Network, other: Network, max_candidates: int) -> Equivalence:
    natural(max_candidates, "max_candidates", least=1)
    for what, a, b in _sizes(net, other):
        if a != b:
            return Equivalence(None, None, f"the number of {what}", (), (a, b))
    if net.architecture == other.architecture:
        verdict = _compared(net, other, np.arange(net.architecture.n_entries))
        if verdict:
            return replace(verdict, permutation={v: v for v in net.nodes})
    graphs = coloured(net, other)
    found = refine(graphs, None if net.is_exact else float(np.finfo(net.dtype).eps) ** 0.5)
    if found is not None:
        return Equivalence(None, None, found.what, found.where, found.values)
    last = Equivalence(None, None, "no isomorphism of the graphs keeps the normal form")
    for count, mapping in enumerate(isomorphisms(*graphs)):
        if count == max_candidates:
            raise UnsupportedOperatorError(
                f"find_rescaling: none of {max_candidates} isomorphisms of the normal forms is a rescaling (the last: "
                f"{last.difference}); raise max_candidates to go on"
            )
        image = images(net, other, mapping)
        if not keeps_ties(net, other, image):
            last = Equivalence(None, None, "no permutation that keeps the normal form keeps the ties, too")
            continue
        verdict = _compared(net, other, image)
        if verdict:
            return replace(verdict, permutation={v: other.nodes[mapping[i]] for i, v in enumerate(net.nodes)})
        reason = f"no permutation that keeps the normal form fits; for the last one, {verdict.difference}"
        last = replace(verdict, difference=reason)
    return last


def _sizes(net: Network, other: Network) -> Iterator[tuple[str, int, int]]:
    for what in ("inputs", "outputs", "hidden"):
        yield "hidden neurons" if what == "hidden" else what, len(getattr(net, what)), len(getattr(other, what))
    yield "edges", net.architecture.n_edges, other.architecture.n_edges
    yield "biases", len(net.architecture.biased), len(other.architecture.biased)
