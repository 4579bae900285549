"""The sign hypothesis is too strong: paths may contain an odd number of sign flips."""

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Bounds, Factors, flips, metric, moved, same_signs, summed, untied
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def levels(count: int) -> SearchStrategy[list[int]]:
    """Some levels of a network, given by integers, and a pattern of the entries into them whose signs flip."""
    return st.lists(st.integers(0, 7), min_size=count, max_size=count)


patterns = st.lists(st.booleans(), min_size=1, max_size=6)


def flipped(net: Network, where: Sequence[int], pattern: Sequence[bool]) -> Network:
    """The network with the signs of some entries into some levels, biases included, exchanged."""
    structure = net.architecture
    level = structure.level[structure.target]
    chosen = {1 + k % max(1, int(structure.level.max())) for k in where}
    signs = [-1 if level[e] in chosen and pattern[e % len(pattern)] else 1 for e in range(structure.n_entries)]
    return net.map_values(lambda w: w * signs)


def unchecked(net: Network, other: Network, box: Input) -> object:
    """The weighted metric, whatever the signs."""
    return pg.path_metric(net, other, inputs=box, per_output=True, max_paths=10**6).upper


@theorem(
    statement=(
        "The refined theorem holds with sign flips, as long as no path contains an even number of them but 0: if,"
        " for instance, they all are on entries into one level of the graph."
    ),
    latex=(
        r"|R_v(\theta,x)-R_v(\theta',x)|\le\sum_{p\in\mathcal P^v}|x_{p_0}|\,|\Phi_p-\Phi'_p|"
        r"\quad\text{if }\#\{i\in p:\theta_i\theta'_i<0\}\in\{0,1,3,5,\dots\}"
    ),
    hypotheses="any DAG; a starting bias counts as a parameter of its path; a path meets each level at most once",
    source=DERIVED,
    instances=drawn(same_signs, levels(1), patterns, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
    constant=1,
)
def odd_sign_flips(
    net: Network,
    factors: Factors,
    where: Sequence[int],
    pattern: Sequence[bool],
    x: Input,
    *,
    bound: Bounds = unchecked,
) -> Inequality:
    """Compare the change of each output with the weighted metric."""
    other = flipped(moved(net, factors), where, pattern)
    return Inequality(abs(net(x) - other(x)), bound(net, other, [abs(value) for value in x]))


odd_sign_flips.mutant(
    "two levels may flip",
    ("x0; h0 = relu(x0); y0 = out(h0)", (1,), (0, 1), (True,), (1,)),
    instances=drawn(same_signs, levels(2), patterns, inputs),
)
odd_sign_flips.mutant(
    "a flip turns the difference of the products into that of their sizes",
    ("x0; y0 = out(x0)", (1,), (0,), (True,), (1,)),
    bound=lambda net, other, box: summed(
        net, other, lambda a, b: metric([abs(w) for w in a], [abs(w) for w in b]), box
    ),
)
odd_sign_flips.mutant(
    "paths with flips do not count",
    ("x0; y0 = out(x0)", (1,), (0,), (True,), (1,)),
    bound=lambda net, other, box: summed(net, other, lambda a, b: Fraction(0) if flips(a, b) else metric(a, b), box),
)
