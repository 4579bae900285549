"""No smaller Lipschitz constant of the parameters will do: a pair of networks comes as near as one likes."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, theorem
from pathgraph_proofs_checks.theorems.worst_case_constant import radii, widths

powers = st.integers(1, 12)


@theorem(
    statement=(
        "The networks with all entries r / N_(l-1), and those less by delta, differ at the corner of the box by at "
        "least delta times the constant for the radius r - delta max(N_l)."
    ),
    latex=r"\delta\,K_\infty(\mathbf N,r-\delta\max_\ell N_\ell,D)\le\|R_\theta(x^*)-R_{\theta-\delta}(x^*)\|_\infty",
    hypotheses="any widths and r > 0; delta below the smallest entry",
    source=DERIVED,
    instances=lambda networks: st.tuples(widths, radii, radii, powers),
    on_network=0,
    constant=1,
)
def extremal_pair_attains_the_constant(
    sizes: Sequence[int],
    r: Fraction,
    reach: Fraction,
    power: int,
    *,
    lower: Callable[[Sequence[int], Fraction, Fraction, Fraction], Any] = lambda sizes, r, reach, delta: (
        pg.lipschitz_constant(sizes, r - delta * max(sizes), reach)
    ),
) -> Inequality:
    """Compare the constant of a smaller radius with the difference over delta."""
    delta = Fraction(r) / max(sizes) / 2**power
    net, other, x = pg.extremal_pair(sizes, r, reach, delta=delta)
    return Inequality(lower(sizes, r, reach, delta), abs(net(x) - other(x)).max() / delta)


extremal_pair_attains_the_constant.mutant(
    "the constant itself, for every delta",
    ((1, 1, 1), 1, 1, 1),
    lower=lambda sizes, r, reach, delta: pg.lipschitz_constant(sizes, r, reach),
)
extremal_pair_attains_the_constant.mutant(
    "twice the constant of the smaller radius",
    ((1, 1), 1, 1, 1),
    lower=lambda sizes, r, reach, delta: 2 * pg.lipschitz_constant(sizes, r - delta * max(sizes), reach),
)
