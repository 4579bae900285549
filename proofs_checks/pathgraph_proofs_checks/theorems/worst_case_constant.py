"""The Lipschitz constant of the parameters of fully connected networks: no pair of networks exceeds it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, theorem

widths = st.lists(st.integers(1, 3), min_size=2, max_size=4)
radii = st.sampled_from([Fraction(k, 2) for k in (2, 1, 4, 3)])
shares = st.lists(st.sampled_from([Fraction(k, 4) for k in (4, 3, 0, -4, 2)]), min_size=1, max_size=5)
Constant = Callable[[Sequence[int], Fraction, Fraction], Any]


def filled(sizes: Sequence[int], r: Fraction, share: Sequence[Fraction]) -> Network:
    """A network of these widths whose rows have sums at most r, each entry a share of the most that there may be."""
    place, matrices, vectors = 0, [], []
    for below, size in pairwise(sizes):
        rows = []
        for _ in range(size):
            rows.append([share[(place + k) % len(share)] * r / below for k in range(below)])
            place += below
        matrices.append(rows)
        vectors.append([share[(place + k) % len(share)] * r for k in range(size)])
        place += size
    return pg.from_weights(matrices, vectors, dtype=object)


def library(net: Network, other: Network, reach: Fraction) -> Any:
    """The library's bound U4, per output."""
    return pg.path_metric(net, other, inputs=[reach] * len(net.inputs), per_output=True, method="telescope").upper


@theorem(
    statement=(
        "Two fully connected networks whose matrices have row sums of absolute values at most r, and biases at most r, "
        "differ on inputs of size at most D by at most K times the largest difference of two parameters; the bounds U2 "
        "and U4 of each output, weighted by D, are in between."
    ),
    latex=(
        r"|R_\theta(x)-R_{\theta'}(x)|_v\le U_2^v\le U_4^v\le K_\infty\|\theta-\theta'\|_\infty,\quad K_\infty="
        r"\sum_{\ell=1}^Lr^{L-\ell}(N_{\ell-1}Y_{\ell-1}+1),\ Y_0=D,\ Y_\ell=rY_{\ell-1}+r"
    ),
    hypotheses="any widths, any r > 0; it is the smallest such constant (see the extremal pair)",
    source=DERIVED,
    instances=lambda networks: st.tuples(widths, radii, radii, shares, shares),
    on_network=0,
    constant=1,
)
def worst_case_constant(
    sizes: Sequence[int],
    r: Fraction,
    reach: Fraction,
    ours: Sequence[Fraction],
    theirs: Sequence[Fraction],
    *,
    constant: Constant = pg.lipschitz_constant,
    telescope: Callable[[Network, Network, Fraction], Any] = library,
) -> Inequality:
    """Compare the outputs at the corner of the box, U2, U4, and the constant times the change."""
    net, other = filled(sizes, r, ours), filled(sizes, r, theirs)
    gap = abs(net([reach] * sizes[0]) - other([reach] * sizes[0]))
    meet = pg.path_metric(net, other, inputs=[reach] * sizes[0], per_output=True, method="meet").upper
    bound = [constant(sizes, r, reach) * abs(net.theta - other.theta).max()] * len(gap)
    found = telescope(net, other, reach)
    return Inequality([gap, meet, found], [meet, found, bound])


worst_case_constant.mutant(
    "the order W L**2 r**(L - 1), with constant 1",
    ((1, 1), 1, 1, (1,), (0,)),
    constant=lambda sizes, r, reach: max(reach, 1) * max(sizes) * (len(sizes) - 1) ** 2 * r ** (len(sizes) - 2),
)
worst_case_constant.mutant(
    "biases that do not move",
    ((1, 1), 1, 1, (1,), (0,)),
    constant=lambda sizes, r, reach: pg.lipschitz_constant(sizes, r, reach, biases=False),
)
worst_case_constant.mutant(
    "one input to each neuron",
    ((3, 1), 1, 1, ("3/4",), (1, 1, 1, "3/4")),
    constant=lambda sizes, r, reach: pg.lipschitz_constant([1] * len(sizes), r, reach),
)
worst_case_constant.mutant(
    "activations no larger than the inputs",
    ((1, 1, 1), 1, 1, (1,), ("3/4",)),
    constant=lambda sizes, r, reach: sum(
        r ** (len(sizes) - 2 - i) * (below * reach + 1) for i, below in enumerate(sizes[:-1])
    ),
)
worst_case_constant.mutant(
    "the unweighted bound times the size of the inputs",
    ((1, 1), 1, 2, (1,), (0,)),
    telescope=lambda net, other, reach: max(1, reach) * library(net, other, Fraction(1)),
)
worst_case_constant.mutant(
    "the sum over the outputs",
    ((1, 2), 1, 1, (1,), (0,)),
    telescope=lambda net, other, reach: [sum(library(net, other, reach))] * len(net.outputs),
)
