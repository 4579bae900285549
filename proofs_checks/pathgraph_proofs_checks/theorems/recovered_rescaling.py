"""The rescaling between two networks of an orbit is recovered from their values."""

from collections.abc import Callable, Hashable, Mapping
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import rescaled

Factors = Mapping[Hashable, Any]


def found(net: Network, other: Network) -> Factors:
    """The library's factors; none at all if it finds that there are none."""
    return pg.find_rescaling(net, other).factors or {}


@theorem(
    statement=(
        "If a network is a rescaling of another, the factors found along a spanning forest of the non-zero entries, "
        "from the inputs, the outputs and the constant, turn one into the other."
    ),
    latex=r"\theta'=\lambda\diamond\theta\ \Rightarrow\ \theta'=\hat\lambda(\theta,\theta')\diamond\theta",
    hypotheses="any network: zeros, fixed and tied values; negative factors at identity neurons",
    source=DERIVED,
    instances=drawn(lambda net: rescalings(net, negative=["identity"])),
)
def recovered_rescaling(
    net: Network, factors: dict[Hashable, Fraction], *, found: Callable[[Network, Network], Factors] = found
) -> Equality:
    """Rescale, recover the factors, and rescale with these."""
    other = rescaled(net, factors)
    return Equality(rescaled(net, found(net, other)).values, other.values)


def by_first_weight(net: Network, other: Network, *, follow: bool = True) -> Factors:
    """Factors from the first weight into each neuron: its ratio, times the factor of its antecedent if `follow`."""
    lam: dict[Hashable, Fraction] = {}
    for v in net.hidden:
        lam[v] = Fraction(1)
        for u in net.architecture.antecedents(v)[:1]:
            if net.weight(u, v):
                lam[v] = other.weight(u, v) / net.weight(u, v) * (lam.get(u, 1) if follow else 1)
    return lam


recovered_rescaling.mutant(
    "the first weight decides, though it may be zero",
    ("x0; h0 = relu(0*x0, 1); y0 = out(h0)", {"h0": 2}),
    found=by_first_weight,
)
recovered_rescaling.mutant(
    "the factors of antecedents are left out",
    ("x0; h0 = id(x0); h1 = id(h0); y0 = out(h1)", {"h0": 2, "h1": 2}),
    found=lambda net, other: by_first_weight(net, other, follow=False),
)
recovered_rescaling.mutant(
    "factors are positive",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": -1}),
    found=lambda net, other: {v: abs(lam) for v, lam in found(net, other).items()},
)
