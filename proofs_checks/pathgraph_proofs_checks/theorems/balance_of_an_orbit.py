"""All networks of an orbit have one balanced representative, and the library finds it."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import rescaled

Factors = dict[Hashable, Fraction]
TOLERANCE = Fraction(1, 2**38)
"""Four times the residual with which the library is content: the factors are rounded once more."""


def balancing(net: Network) -> Factors:
    """The library's factors, as the rational numbers that these floats are."""
    return {v: Fraction(lam) for v, lam in pg.balance(net.to_float()).factors.items()}


def live_entries(net: Network) -> set[int]:
    """The entries on paths of non-zero product."""
    lifting = pg.path_lifting(net, max_paths=MAX_PATHS)
    return {
        e for path, value in zip(lifting.paths, lifting.values, strict=True) if value for e in entries_on(net, path)
    }


def energies(net: Network, live: set[int]) -> dict[Hashable, tuple[Fraction, Fraction]]:
    """For each hidden neuron, squared incoming weights and bias, and squared outgoing weights, of the live entries."""
    architecture = net.architecture
    into, out = dict.fromkeys(net.nodes, Fraction(0)), dict.fromkeys(net.nodes, Fraction(0))
    for e in live:
        name: Any = architecture.entry_name(e)
        square = net.values[e] ** 2
        into[name[1] if e < architecture.n_edges else name] += square
        if e < architecture.n_edges:
            out[name[0]] += square
    return {v: (into[v], out[v]) for v in net.hidden}


@theorem(
    statement=(
        "Two networks of an orbit differ by no more than they are unbalanced: with b = lam * a, the sum of "
        "min(a_i, b_i)^2 log(b_i / a_i)^2 is at most half the sum of |log lam_v| (|h_v(a)| + |h_v(b)|). So there is at "
        "most one balanced network. The networks that the library balances are balanced up to their tolerance."
    ),
    latex=r"\sum_i\min(a_i,b_i)^2\log^2\tfrac{b_i}{a_i}\le\tfrac12\sum_v|\log\lambda_v|\,(|h_v(a)|+|h_v(b)|)",
    hypotheses="nothing fixed or tied; entries on paths of non-zero product; logarithms bounded by rational functions",
    source=DERIVED,
    instances=drawn(rescalings),
    networks=relu_dags(max_hidden=4, roles=["parameter"], ties=False),
    on_network=0,
)
def balance_of_an_orbit(
    net: Network, factors: Factors, *, balancing: Callable[[Network], Factors] = balancing
) -> Inequality:
    """Balance a network and a rescaling of it, compare both sides, and each neuron's two energies."""
    live = live_entries(net)
    other = rescaled(net, factors)
    first, second = balancing(net), balancing(other)
    a, b = rescaled(net, first), rescaled(other, second)
    lam = {v: Fraction(factors[v]) * second.get(v, 1) / first.get(v, 1) for v in net.hidden}
    difference = Fraction(0)
    for e in live:
        small, large = sorted([abs(a.values[e]), abs(b.values[e])])
        difference += ((large - small) * small / large) ** 2
    bound, gaps, sizes = Fraction(0), [], []
    of_b = energies(b, live)
    for v, (into, out) in energies(a, live).items():
        if not into:
            continue
        gap = abs(into - out) + abs(of_b[v][0] - of_b[v][1])
        bound += (max(lam[v], 1 / lam[v]) - 1) * gap / 2
        gaps.append(gap)
        sizes.append(TOLERANCE * (into + out + sum(of_b[v])))
    return Inequality([difference, *gaps], [bound, *sizes])


def normalizing(net: Network) -> Factors:
    """The factors of the l1 normal form, in which the incoming weights of a neuron have norm 1."""
    lam: Factors = {}
    for v in net.hidden:
        norm = abs(Fraction(net.bias(v) or 0))
        norm += sum(abs(net.weight(u, v)) / lam.get(u, 1) for u in net.architecture.antecedents(v))
        lam[v] = 1 / (norm or Fraction(1))
    return lam


def equalizing(net: Network) -> Factors:
    """The square roots of the factors that balance."""
    return {v: Fraction(float(lam) ** 0.5) for v, lam in balancing(net).items()}


balance_of_an_orbit.mutant("as it is", ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}), balancing=lambda net: {})
balance_of_an_orbit.mutant(
    "the l1 normal form is balanced", ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}), balancing=normalizing
)
balance_of_an_orbit.mutant(
    "the square root of the factors", ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}), balancing=equalizing
)
balance_of_an_orbit.mutant(
    "only ReLU neurons are rescaled",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}),
    balancing=lambda net: {v: lam for v, lam in balancing(net).items() if net.graph.nodes[v]["activation"] == "relu"},
)
