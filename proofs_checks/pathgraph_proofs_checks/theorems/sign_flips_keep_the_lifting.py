"""Factors of any sign keep the path-lifting; so the path-lifting alone does not determine the function."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs, rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import Input, path_products
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import Factors, rescaled

ANY = ("identity", "relu", "pool")


@theorem(
    statement="Phi is invariant under factors lam_v != 0 of any sign on all hidden neurons.",
    latex=r"\Phi(\lambda\diamond\theta)=\Phi(\theta)\quad\text{for every }\lambda\in(\mathbb R\setminus0)^H",
    hypotheses="lam = 1 on inputs and outputs; no structural and no tied values",
    source=DERIVED,
    instances=drawn(lambda net: rescalings(net, negative=ANY), inputs),
    networks=relu_dags(roles=["parameter", "frozen"], ties=False),
    needs=("no ties", "no structural values"),
    enumerates=True,
)
def sign_flips_keep_the_lifting(
    net: Network,
    factors: Factors,
    x: Input,
    *,
    kept: Callable[[Network, Input], Any] = lambda net, x: path_products(net),
) -> Equality:
    """Compare the lifting, or what a mutant claims to be kept, before and after."""
    return Equality(kept(net, x), kept(rescaled(net, factors), x))


def function(net: Network, x: Input) -> Any:
    """The outputs."""
    return net(x)


def activations(net: Network, x: Input) -> Any:
    """Which paths are active."""
    return pg.path_activations(net, x).toarray().tolist()


sign_flips_keep_the_lifting.mutant(
    "the function of ReLU networks is kept, too",
    ("x0; h0 = relu(x0); y0 = out(h0)", {"h0": -1}, (1,)),
    networks=relu_dags(activations=["relu"], ties=False),
    kept=function,
)
sign_flips_keep_the_lifting.mutant(
    "the function of pooling networks is kept, too",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", {"h0": -1}, (1, -1)),
    networks=relu_dags(activations=["pool"], ties=False),
    kept=function,
)
sign_flips_keep_the_lifting.mutant(
    "the activations are kept, too", ("x0; h0 = relu(x0); y0 = out(h0)", {"h0": -1}, (1,)), kept=activations
)
sign_flips_keep_the_lifting.mutant(
    "outputs may be rescaled",
    ("x0; y0 = out(x0)", {"y0": -1}, (1,)),
    instances=drawn(
        lambda net: rescalings(net).map(lambda lam: lam | dict.fromkeys(net.outputs, Fraction(-1))), inputs
    ),
)
