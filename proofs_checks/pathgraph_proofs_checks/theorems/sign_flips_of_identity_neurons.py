"""An identity neuron may be rescaled by a negative factor; a ReLU or a pool may not."""

from collections.abc import Callable

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs, rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, Instances, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import Factors, rescaled


def rescale(net: Network, factors: Factors) -> Network:
    """The library's rescaling."""
    return pg.rescale(net, factors)


def flipping(*kinds: str) -> Instances:
    """Instances with negative factors on neurons of these kinds."""
    return drawn(lambda net: rescalings(net, negative=kinds), inputs)


@theorem(
    statement="R is invariant if lam_v is positive at ReLU and pool neurons and non-zero at identity neurons.",
    latex=r"R_{\lambda\diamond\theta}=R_\theta\quad\text{if }\lambda_v>0\text{ unless }v\text{ is an identity neuron}",
    hypotheses="lam = 1 on inputs and outputs; structural and tied values restrict lam as for positive factors",
    source=DERIVED,
    instances=flipping("identity"),
)
def sign_flips_of_identity_neurons(
    net: Network, factors: Factors, x: Input, *, rescale: Callable[[Network, Factors], Network] = rescale
) -> Equality:
    """Compare the outputs before and after."""
    return Equality(net(x), rescale(net, factors)(x))


sign_flips_of_identity_neurons.mutant(
    "ReLU neurons, too",
    ("x0; h0 = relu(x0); y0 = out(h0)", {"h0": -1}, (1,)),
    instances=flipping("relu"),
    networks=relu_dags(activations=["relu"]),
    rescale=rescaled,
)
sign_flips_of_identity_neurons.mutant(
    "pools, too",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", {"h0": -1}, (1, 0)),
    instances=flipping("pool"),
    networks=relu_dags(activations=["pool"]),
    rescale=rescaled,
)
sign_flips_of_identity_neurons.mutant(
    "the sign is not carried to the outgoing weights",
    ("x0; h0 = id(x0); y0 = out(h0)", {"h0": -1}, (1,)),
    rescale=lambda net, lam: rescaled(net, lam, outgoing=False),
)
