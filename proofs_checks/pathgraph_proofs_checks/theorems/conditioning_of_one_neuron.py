"""The factor of one neuron that conditions the path-lifting best: the root of a quadratic, as the library finds it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import exp

import numpy as np
from hypothesis import strategies as st

from pathgraph import Network
from pathgraph.geometry.orbit_objective import coordinate_step
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.conditioning import diagonal, parted, sides, spread
from pathgraph_proofs_checks.jacobians import without_zeros
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mapped, relu_dags
from pathgraph_proofs_checks.variants import rescaled

Square = Callable[[Sequence[Fraction], Sequence[Fraction], Fraction, int], Fraction]
"""The square of a factor, from g of the outgoing and of the incoming parameters, the rest of sum g, and n."""

SLACK = Fraction(1, 2**40)
"""The logarithms stay below 800 in size; a dozen roundings of them, and the exponential, move a factor by less."""

beyond = st.integers(0, 12).map(lambda k: 1 + Fraction(1, 2**k))


def square(outgoing: Sequence[Fraction], incoming: Sequence[Fraction], rest: Fraction, n: int) -> Fraction:
    """What the library computes from logarithms."""
    logs = [_log(value) for value in (*outgoing, *incoming)]
    exponents = np.repeat([1, -1], [len(outgoing), len(incoming)])
    step = coordinate_step(np.array(logs), exponents, _log(rest), n, len(outgoing) - len(incoming))
    return Fraction(exp(step))


def _log(value: Fraction) -> float:
    """Its logarithm, minus infinity of zero."""
    return float(np.log(float(value))) if value else -np.inf


@theorem(
    statement=(
        "Let s and g be as in conditioning along an orbit, v a neuron on a path, B and C the sums of g over its "
        "outgoing and incoming parameters, D the rest of the sum of g, n the number of parameters on paths, and "
        "r = #out - #in. Of all factors of v alone, s is smallest at the one whose square X is the positive root of "
        "(n - r) B X^2 - r D X = (n + r) C, and grows on both sides of it. The library computes it in logarithms."
    ),
    latex=r"\lambda_v^2=\frac{rD+\sqrt{r^2D^2+4(n^2-r^2)BC}}{2(n-r)B}\ \text{ minimises }\ s(\lambda_v\diamond\theta)",
    hypotheses="no parameter is zero, nothing fixed or tied; the root up to 2^-40 of itself, on both sides",
    source=f"{DERIVED}; the objective is that of arXiv:2602.19799",
    instances=drawn(beyond),
    networks=mapped(without_zeros, relu_dags(max_hidden=4, roles=["parameter"], ties=False)),
    on_network=0,
)
def conditioning_of_one_neuron(net: Network, factor: Fraction, *, square: Square = square) -> Inequality:
    """Compare the spread a little below and above the root with those further out, neuron by neuron."""
    g = diagonal(net)
    found = sides(net, g)
    at_root, further = [Fraction(0)], [Fraction(0)]
    for v in net.hidden:
        outgoing, incoming = parted(g, found, v)
        if outgoing:
            rest = sum(g) - sum(outgoing) - sum(incoming)
            root = Fraction(float(square(outgoing, incoming, Fraction(rest), len(found))) ** 0.5)
            for inner, outer in (((1 - SLACK), 1 / factor), ((1 + SLACK), factor)):
                at_root.append(spread(diagonal(rescaled(net, {v: root * inner}))))
                further.append(spread(diagonal(rescaled(net, {v: root * inner * outer}))))
    return Inequality(at_root, further)


conditioning_of_one_neuron.mutant(
    "the numbers of parameters are left out",
    ("x0; h0 = id(x0); y0 = out(2*h0)", "3/2"),
    square=lambda outgoing, incoming, rest, n: sum(incoming, Fraction(0)) / sum(outgoing),
)
conditioning_of_one_neuron.mutant(
    "the rest is left out",
    ("x0; h0 = id(x0, 1); h1 = id(h0); y0 = out(1/4*h1)", 2),
    square=lambda outgoing, incoming, rest, n: square(outgoing, incoming, Fraction(0), n),
)
conditioning_of_one_neuron.mutant(
    "only the parameters of the neuron count",
    ("x0 x1; h0 = id(x0, x1); y0 = out(x1, h0)", "17/16"),
    square=lambda outgoing, incoming, rest, n: square(outgoing, incoming, rest, len(outgoing) + len(incoming)),
)
conditioning_of_one_neuron.mutant(
    "the inverse factor",
    ("x0; h0 = id(2*x0); y0 = out(h0)", 2),
    square=lambda *of: 1 / square(*of),
)
conditioning_of_one_neuron.mutant(
    "the root is the factor, not its square",
    ("x0; h0 = id(x0); y0 = out(2*h0)", "3/2"),
    square=lambda *of: square(*of) ** 2,
)
