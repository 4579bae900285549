"""The bound on the Rademacher supremum of the unit ball of the path-norm, against a supremum by enumeration."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.logarithms import log_below
from pathgraph_proofs_checks.parts import Input, values_at
from pathgraph_proofs_checks.rademacher import signed_mean
from pathgraph_proofs_checks.registry import TOOLKIT, Networks, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import normalized

Features = list[list[tuple[Fraction, ...]]]


def instances(networks: Networks) -> SearchStrategy[tuple[Network, Sequence[Input]]]:
    """A network and up to three inputs."""
    return networks.flatmap(lambda net: st.tuples(st.just(net), st.lists(inputs(net), min_size=1, max_size=3)))


def features(net: Network, xs: Sequence[Input]) -> Features:
    """For each output, the values on the inputs of each of its antecedents, and ones if it has a bias."""
    values = [values_at(net, x) for x in xs]
    out = []
    for v in net.outputs:
        rows = [tuple(value[u] for value in values) for u in net.architecture.antecedents(v)]
        out.append(rows + ([(Fraction(1),) * len(xs)] if net.bias(v) is not None else []))
    return [rows or [(Fraction(0),) * len(xs)] for rows in out]


def unit_ball(sets: Features) -> Fraction:
    """The expected supremum over outputs' rows whose norms sum to 1: the largest correlation with one feature."""
    return signed_mean(sets, abs)


def sigma_squared(net: Network, xs: Sequence[Input]) -> Fraction:
    """The largest sum of squares of a coordinate, the constant included if there are biases."""
    sums = [sum((Fraction(x[u]) ** 2 for x in xs), Fraction(0)) for u in range(len(net.inputs))]
    return max([*sums, Fraction(len(xs))] if pg.peeling_constants(net).biases else sums)


def log_moments(net: Network) -> Fraction:
    """A number below the logarithm of the library's staged M."""
    return log_below(pg.peeling_constants(net).moments("staged"))


@theorem(
    statement=(
        "On given inputs, the square of E sup sum_{i,v} e_{i,v} R_v(x_i), over the parameters of path-norm at most 1, "
        "is at most 2 sigma^2 log M. Here: over all rows of the outputs, for given hidden neurons in normal form."
    ),
    latex=r"\mathbb E\sup_{\|\Phi(\theta)\|_1\le1}\sum_{i,v}\varepsilon_{i,v}R_\theta(x_i)_v\le"
    r"\sigma\sqrt{2\log M},\quad\sigma^2=\max\Big(n,\max_u\sum_i(x_i)_u^2\Big)",
    hypotheses="any DAG; the n of sigma only with biases; the full supremum is larger than the one enumerated",
    source=TOOLKIT,
    instances=instances,
    networks=relu_dags(max_inputs=2, max_hidden=4, max_outputs=2),
    on_network=0,
    constant=1,
)
def rademacher_of_the_unit_ball(
    net: Network,
    xs: Sequence[Input],
    *,
    supremum: Callable[[Features], Fraction] = unit_ball,
    sigma_squared: Callable[[Network, Sequence[Input]], Fraction] = sigma_squared,
    log_moments: Callable[[Network], Fraction] = log_moments,
) -> Inequality:
    """Compare the squares, with a logarithm that is rounded down."""
    found = supremum(features(normalized(net), xs))
    return Inequality(found**2, 2 * sigma_squared(net, xs) * log_moments(net))


rademacher_of_the_unit_ball.mutant(
    "the norm of each output is 1, and not their sum",
    ("x0; y0 = out(x0); y1 = out(x0)", ((1,),)),
    supremum=lambda sets: sum((signed_mean([rows], abs) for rows in sets), Fraction(0)),
)
rademacher_of_the_unit_ball.mutant(
    "the largest path is 1, and not the norm",
    ("x0 x1; y0 = out(x0, x1)", ((1, 1),)),
    supremum=lambda sets: signed_mean(
        [[tuple(sum((t[i] for t in rows), Fraction(0)) for i in range(len(rows[0])))] for rows in sets], abs
    ),
)
rademacher_of_the_unit_ball.mutant(
    "sigma without the n of the biases",
    ("x0; y0 = out(1)", ((0,),)),
    sigma_squared=lambda net, xs: max(sum((Fraction(x[u]) ** 2 for x in xs), Fraction(0)) for u in range(len(xs[0]))),
)
rademacher_of_the_unit_ball.mutant(
    "sigma is that of one input",
    ("x0; y0 = out(x0)", ((1,), (1,), (1,))),
    sigma_squared=lambda net, xs: sigma_squared(net, xs) / len(xs),
)
rademacher_of_the_unit_ball.mutant(
    "one sign instead of two",
    ("x0; y0 = out(x0)", ((1,),)),
    log_moments=lambda net: log_below(pg.peeling_constants(net).moments("staged") / 2),
)
