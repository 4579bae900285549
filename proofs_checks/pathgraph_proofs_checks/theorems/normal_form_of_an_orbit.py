"""All networks of one rescaling orbit have the same normal form."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import Factors, normalized, rescaled


def normalize(net: Network) -> Network:
    """The library's normal form."""
    return pg.normalize(net, 1, unfreeze=True)


@theorem(
    statement="The l1 normal form is the same for all networks of a rescaling orbit.",
    latex=r"N(\lambda\diamond\theta)=N(\theta)\quad\text{for all }\lambda>0",
    hypotheses="lam = 1 on inputs and outputs; fixed and tied values are freed by the normal form",
    source=DERIVED,
    instances=drawn(rescalings),
)
def normal_form_of_an_orbit(
    net: Network, factors: Factors, *, normalize: Callable[[Network], Network] = normalize
) -> Equality:
    """Compare the values of both normal forms."""
    return Equality(normalize(rescaled(net, factors)).values, normalize(net).values)


def with_outputs(net: Network) -> st.SearchStrategy[Factors]:
    """Rescalings that give the outputs the factor 2."""
    return rescalings(net).map(lambda factors: factors | dict.fromkeys(net.outputs, Fraction(2)))


normal_form_of_an_orbit.mutant(
    "dead neurons keep their outgoing weights",
    ("x0; h0 = id(); y0 = out(h0)", {"h0": 2}),
    normalize=lambda net: normalized(net, dead_ends=False),
)
normal_form_of_an_orbit.mutant(
    "the bias is left out of the norm",
    ("x0; h0 = id(1); y0 = out(h0)", {"h0": 2}),
    normalize=lambda net: normalized(net, bias=False),
)
normal_form_of_an_orbit.mutant(
    "only ReLU neurons are normalised",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": 2}),
    normalize=lambda net: normalized(net, kinds=["relu"]),
)
normal_form_of_an_orbit.mutant(
    "lam may be negative",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": -1}),
    instances=drawn(lambda net: rescalings(net, negative=["identity"])),
)
normal_form_of_an_orbit.mutant(
    "outputs may be rescaled", ("x0; y0 = out(x0)", {"y0": 2}), instances=drawn(with_outputs)
)
