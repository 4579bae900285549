"""Other norms: pruning still turns the metric into a difference, shrinking only into a bound."""

from fractions import Fraction

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import (
    Factors,
    any_signs,
    moved,
    powers,
    pruning,
    same_signs,
    shrinking,
    summed,
    untied,
)
from pathgraph_proofs_checks.parts import exponents
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


@theorem(
    statement=(
        "If every parameter is kept or set to zero, the sum of |Phi_p - Phi'_p|**q is the difference of the q-th "
        "powers of the path-norms, for every q; if every parameter shrinks, it is at most that."
    ),
    latex=(
        r"\|\Phi(\theta)-\Phi(\theta')\|_q^q\le\|\Phi(\theta)\|_q^q-\|\Phi(\theta')\|_q^q,"
        r"\quad\text{with equality if }\theta'_i\in\{0,\theta_i\}"
    ),
    hypotheses="any DAG, q >= 1, checked for q = 1, 2, 3; no parameter changes its sign or grows",
    source=DERIVED,
    instances=drawn(pruning, shrinking, exponents),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
)
def pruning_in_other_norms(
    net: Network, kept: Factors, factors: Factors, q: int, *, base: int | None = None
) -> Equality:
    """Compare enumerations with differences of powers, which are at least 0 too large for shrinking."""
    base = q if base is None else base
    pruned, shrunk = moved(net, kept), moved(net, factors)
    before, after, less = (pg.path_norm(n, q=base, root=False) for n in (net, pruned, shrunk))
    metrics = [sum(summed(net, other, powers(q))) for other in (pruned, shrunk)]
    return Equality([before - after, int(before - less >= metrics[1])], [metrics[0], 1])


soft = st.lists(st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(0)]), min_size=1, max_size=8)

pruning_in_other_norms.mutant(
    "pruning by halves", ("x0; y0 = out(x0)", ("1/2",), (1,), 2), instances=drawn(soft, shrinking, exponents)
)
pruning_in_other_norms.mutant(
    "parameters may grow", ("x0; y0 = out(x0)", (1,), (2,), 1), instances=drawn(pruning, same_signs, exponents)
)
pruning_in_other_norms.mutant(
    "shrinking parameters may flip",
    ("x0; y0 = out(x0)", (1,), (-1,), 1),
    instances=drawn(pruning, any_signs, exponents),
)
pruning_in_other_norms.mutant(
    "the l1 norm for every q", ("x0; y0 = out(x0); y1 = out(3*x0)", (1,), ("1/2",), 2), base=1
)
