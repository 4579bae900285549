"""The telescoped bound may take maxima at pools; the meet bound and the metric may not."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Bounds, Factors, any_signs, at_pools_max, masses, moved, valued
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import either, relu_dags
from pathgraph_proofs_checks.variants import kth_largest

pooling = either(relu_dags(ties=False), relu_dags(activations=["pool"], max_inputs=2, ties=False))


def library(net: Network, other: Network, box: Input) -> Any:
    """The library's bound, the smaller one of both orders."""
    return pg.parameter_lipschitz(
        net, other, inputs=box, per_output=True, method="max-telescope", drop_silent=False
    ).upper


@theorem(
    statement=(
        "For any parameters, |R_v(x) - R'_v(x)| is at most e_v of the recursion e = |b - b'| + sum |w| e_u + |w -"
        " w'| s'_u, s' = |b'| + sum |w'| s'_u from the box |x|, with maxima over the antecedents at every pool; "
        "and that is at most U4."
    ),
    latex=(
        r"e_v=|\Delta b_v|+\max_u\big(|\theta^{u\to v}|e_u+|\Delta\theta^{u\to v}|s'_u\big)\text{ at pools};"
        r"\quad|R_v(\theta,x)-R_v(\theta',x)|\le e_v\le U_4"
    ),
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons of any rank; no hypothesis on signs",
    source=DERIVED,
    instances=drawn(any_signs, inputs),
    networks=pooling,
    needs=("no ties",),
    constant=1,
)
def telescope_with_maxima(net: Network, factors: Factors, x: Input, *, bound: Bounds = library) -> Inequality:
    """Compare the change of each output with the bound, and that with the smaller of both telescoped bounds."""
    other, box = moved(net, factors), [abs(value) for value in x]
    found = list(bound(net, other, box))
    orders = (net, other), (other, net)
    sums = [pg.path_metric(*pair, inputs=box, per_output=True, method="telescope").upper for pair in orders]
    return Inequality([abs(net(x) - other(x)), found, found], [found, *sums])


def swept(
    pool: Callable[[Sequence[Fraction], int], Fraction] = lambda terms, rank: max(terms),
    step: Callable[..., Fraction] = lambda a, b, e, s: abs(a) * e + abs(a - b) * s,
    biases: bool = True,
) -> Bounds:
    """The recursion with choices changed, the smaller one of both orders."""

    def one(net: Network, other: Network, box: Input) -> list[Fraction]:
        small: dict[Any, Fraction] = dict(zip(net.inputs, box, strict=True))
        error = dict.fromkeys(net.inputs, Fraction(0))
        for v in net.nodes:
            if v in error:
                continue
            data, before = net.graph.nodes[v], list(net.graph.pred[v])
            pairs = [(net.weight(u, v), other.weight(u, v)) for u in before]
            errors = [step(a, b, error[u], small[u]) for (a, b), u in zip(pairs, before, strict=True)]
            sizes = [abs(b) * small[u] for (_, b), u in zip(pairs, before, strict=True)]
            is_pool = data["activation"] == "pool"
            a, b = (n.bias(v) or Fraction(0) for n in (net, other))
            rank = data.get("rank", 1)
            error[v] = (pool(errors, rank) if is_pool else sum(errors, Fraction(0))) + abs(a - b) * biases
            small[v] = (pool(sizes, rank) if is_pool else sum(sizes, Fraction(0))) + abs(b)
        return [error[v] for v in net.outputs]

    def bound(net: Network, other: Network, box: Input) -> list[Fraction]:
        return [min(both) for both in zip(one(net, other, box), one(other, net, box), strict=True)]

    return bound


def meet_with_maxima(net: Network, other: Network, box: Input) -> list[Fraction]:
    """P(theta) + P(theta') - 2 P(meet) with maxima at pools."""
    both = [min(abs(a), abs(b)) if a * b > 0 else Fraction(0) for a, b in zip(net.values, other.values, strict=True)]
    three = [masses(n, box, pool=at_pools_max) for n in (net, other, valued(net, both))]
    return [a + b - 2 * m for a, b, m in zip(*three, strict=True)]


telescope_with_maxima.mutant(
    "pools keep their rank",
    ("x0; h0 = id(x0); h1 = pool2(x0, h0); y0 = out(h1)", (2,), (-1,)),
    bound=swept(pool=kth_largest),
)
telescope_with_maxima.mutant(
    "pools take the mean",
    ("x0; h0 = id(); h1 = max(x0, h0); y0 = out(h1)", (0,), (1,)),
    bound=swept(pool=lambda terms, rank: sum(terms, Fraction(0)) / len(terms)),
)
telescope_with_maxima.mutant(
    "errors are passed on by the smaller weight",
    ("x0; h0 = id(x0); y0 = out(h0)", (0,), (1,)),
    bound=swept(step=lambda a, b, e, s: min(abs(a), abs(b)) * e + abs(a - b) * s),
)
telescope_with_maxima.mutant(
    "differences of absolute values",
    ("x0; y0 = out(x0)", (-1,), (1,)),
    bound=swept(step=lambda a, b, e, s: abs(a) * e + abs(abs(a) - abs(b)) * s),
)
telescope_with_maxima.mutant(
    "changes of biases do not count", ("x0; y0 = out(x0); y1 = out(x0, 1)", (-1,), (1,)), bound=swept(biases=False)
)
telescope_with_maxima.mutant(
    "the meet bound with maxima",
    ("x0; h0 = id(x0); h1 = pool2(x0, h0); y0 = out(h1)", (1, 1, -1), (1,)),
    bound=meet_with_maxima,
)
