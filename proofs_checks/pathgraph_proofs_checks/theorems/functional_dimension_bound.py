"""A sample never tells more directions of parameter space apart than the path-lifting does."""

from collections.abc import Callable

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.jacobians import output_jacobian, rank
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags


def samples(net: Network) -> st.SearchStrategy[tuple[Input, ...]]:
    """One to four inputs."""
    return st.lists(inputs(net), min_size=1, max_size=4).map(tuple)


@theorem(
    statement=(
        "The rank of the derivatives of all outputs on a sample with respect to the parameters is at most the rank of "
        "the Jacobian of the path-lifting, hence at most its generic rank."
    ),
    latex=r"\mathrm{rank}\,[\partial_\theta R_\theta(x_i)]_i\le\mathrm{rank}\,\partial\Phi(\theta)",
    hypotheses="on a kink, the derivatives are those of the piece that the path-activations select",
    source=DERIVED,
    instances=drawn(samples),
    networks=relu_dags(max_hidden=4),
    on_network=0,
    constant=1,
)
def functional_dimension_bound(
    net: Network, xs: tuple[Input, ...], *, bound: Callable[[Network], int] = pg.lifting_rank
) -> Inequality:
    """Compare the rank of the derivatives, by dual numbers, with the library's rank of the lifting."""
    return Inequality(rank([row for x in xs for row in output_jacobian(net, x)]), bound(net))


functional_dimension_bound.mutant(
    "two dimensions are lost per neuron",
    ("x0; h0 = id(x0); y0 = out(h0)", ((1,),)),
    bound=lambda net: pg.lifting_rank(net) - len(net.hidden),
)
functional_dimension_bound.mutant(
    "one dimension per input", ("x0; y0 = out(x0); y1 = out(x0)", ((1,),)), bound=lambda net: len(net.inputs)
)
functional_dimension_bound.mutant(
    "zero parameters have no derivative",
    ("x0; y0 = out(0*x0)", ((1,),)),
    bound=lambda net: min(sum(1 for w in net.theta if w), pg.lifting_rank(net)),
)
