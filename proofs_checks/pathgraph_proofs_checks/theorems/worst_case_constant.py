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


@theorem(
    statement=(
        "Two fully connected networks whose matrices have row sums of absolute values at most r, and biases at most r, "
        "differ on inputs of size at most D by at most K times the largest difference of two parameters."
    ),
    latex=(
        r"\|R_\theta(x)-R_{\theta'}(x)\|_\infty\le K_\infty\|\theta-\theta'\|_\infty,\quad K_\infty=\sum_{\ell=1}^L"
        r"r^{L-\ell}(N_{\ell-1}Y_{\ell-1}+1),\ Y_0=D,\ Y_\ell=rY_{\ell-1}+r"
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
) -> Inequality:
    """Compare the outputs at the corner of the box with the constant times the change."""
    net, other = filled(sizes, r, ours), filled(sizes, r, theirs)
    gap = abs(net([reach] * sizes[0]) - other([reach] * sizes[0])).max()
    return Inequality(gap, constant(sizes, r, reach) * abs(net.theta - other.theta).max())


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
