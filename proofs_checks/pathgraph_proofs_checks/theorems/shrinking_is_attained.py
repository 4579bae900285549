"""Where nothing is negative and nothing pools, a change of the parameters one way is the change of the output."""

from collections.abc import Callable

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import Factors, moved, same_signs, shrinking
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags


def positive(net: Network) -> Network:
    """The network of the absolute values."""
    return net.map_values(abs)


@theorem(
    statement=(
        "If no parameter is negative, there are no pools, and all parameters shrink, then at x = D every output "
        "changes by exactly the path-metric weighted by D, which is the difference of the weighted path-norms."
    ),
    latex=r"R_v(\theta,D)-R_v(\theta',D)=P_v(\theta;D)-P_v(\theta';D),\quad\theta\ge\theta'\ge0",
    hypotheses="any DAG of identity and ReLU neurons",
    source=DERIVED,
    instances=drawn(shrinking, inputs),
    networks=relu_dags(activations=["relu"], ties=False),
    needs=("no ties", "no pools"),
)
def shrinking_is_attained(
    net: Network,
    factors: Factors,
    x: Input,
    *,
    sign: Callable[[Network], Network] = positive,
    corner: Callable[[Input], Input] = lambda box: box,
) -> Equality:
    """Compare the change of each output with both ends of the library's bound."""
    net, box = sign(net), [abs(value) for value in x]
    other = moved(net, factors)
    bound = pg.parameter_lipschitz(net, other, inputs=box, per_output=True, method="meet", drop_silent=False)
    change = abs(net(corner(box)) - other(corner(box)))
    return Equality([change, bound.lower], [bound.upper] * 2)


shrinking_is_attained.mutant(
    "parameters may be negative",
    ("x0; h0 = id(x0); h1 = id(-1*x0, h0); y0 = out(h1)", ("1/2",), (1,)),
    sign=lambda net: net,
)
shrinking_is_attained.mutant(
    "pools are allowed",
    ("x0; h0 = id(x0); h1 = max(x0, h0); y0 = out(h1)", ("1/2",), (1,)),
    networks=relu_dags(activations=["pool"], ties=False),
)
shrinking_is_attained.mutant(
    "at x = -D",
    ("x0; h0 = id(x0); h1 = id(h0, 1); y0 = out(h1)", ("1/2",), (1,)),
    corner=lambda box: [-width for width in box],
)
shrinking_is_attained.mutant(
    "some parameters grow", ("x0; h0 = id(x0, 1); y0 = out(h0)", (2, "1/4"), (0,)), instances=drawn(same_signs, inputs)
)
