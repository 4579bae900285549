"""In normal form the product of layer norms is the path-norm.

Over a rescaling orbit the path-norm is the infimum of these products; it is attained when no neuron is dead.
"""

from collections.abc import Callable
from fractions import Fraction
from math import inf

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import either, mlps
from pathgraph_proofs_checks.variants import normalized, without_biases


def normalize(net: Network) -> Network:
    """The library's normal form."""
    return pg.normalize(net, 1)


@theorem(
    statement="In normal form the product of layer norms is the path-norm.",
    latex=r"\|\Phi\|_{q,r}=\|(\tilde M_L,\tilde b_L)\|_{q,r}"
    r"\prod_{\ell<L}\max\big(1,\|(\tilde M_\ell,\tilde b_\ell)\|_{q,\infty}\big)",
    hypotheses="perceptrons; without max(1, .) before layers without biases; here q = 1 and r in {1, inf}",
    source=DERIVED,
    instances=drawn(st.sampled_from((1, inf))),
    networks=either(mlps(), mlps(biases=False)),
    needs=("layered", "no ties", "nothing fixed"),
)
def normal_form_attains_the_product(
    net: Network, r: float, *, normalize: Callable[[Network], Network] = normalize
) -> Equality:
    """Compare the norm with the product for the normal form."""
    return Equality(Fraction(pg.path_norm(net, 1, r)), Fraction(pg.operator_norm_product(normalize(net), 1, r)))


normal_form_attains_the_product.mutant(
    "any representative will do", ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", 1), normalize=lambda net: net
)
normal_form_attains_the_product.mutant(
    "dead neurons keep their outgoing weights",
    ("x0; h0 = relu(0*x0, 0); y0 = out(h0, 1)", 1),
    normalize=lambda net: normalized(net, dead_ends=False),
)
normal_form_attains_the_product.mutant(
    "the bias is left out of the norm",
    ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", 1),
    normalize=lambda net: normalized(net, bias=False),
)
normal_form_attains_the_product.mutant(
    "biases may be dropped", ("x0; y0 = out(x0, 1)", 1), normalize=lambda net: without_biases(pg.normalize(net, 1))
)
