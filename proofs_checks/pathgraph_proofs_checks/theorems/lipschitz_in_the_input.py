"""The path-norm is a Lipschitz constant of the network in its input."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input, distance, pooling_dags
from pathgraph_proofs_checks.registry import TOOLKIT, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power


def path_norms(net: Network) -> Any:
    """The library's path-norm of each output."""
    return pg.path_norm(net, 1, per_output=True)


@theorem(
    statement="For every output v, |R_v(x) - R_v(x')| is at most |Phi^{->v}|_1 times the largest |x_u - x'_u|.",
    latex=r"|R_v(x)-R_v(x')|\le\|\Phi^{\to v}\|_1\,\|x-x'\|_\infty",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons",
    source=TOOLKIT,
    instances=drawn(inputs, inputs),
    networks=pooling_dags,
    constant=1,
)
def lipschitz_in_the_input(
    net: Network, x: Input, y: Input, *, constants: Callable[[Network], Any] = path_norms
) -> Inequality:
    """Compare the change of each output with the bound."""
    return Inequality(abs(net(x) - net(y)), [constant * distance(x, y) for constant in constants(net)])


def swept(**choices: Any) -> Callable[[Network], list[Fraction]]:
    """Constants by a sweep with some choices changed."""

    def constants(net: Network) -> list[Fraction]:
        return at_outputs(net, **({"edge": power(1)} | choices))

    return constants


lipschitz_in_the_input.mutant(
    "pools keep their rank",
    ("x0; h0 = id(x0); h1 = pool2(x0, 0*h0); y0 = out(h1)", (1,), (-1,)),
    constants=swept(pool=kth_largest),
)
lipschitz_in_the_input.mutant(
    "the signed sum of the path products",
    ("x0; y0 = out(-1*x0, 1)", (1,), (-1,)),
    constants=lambda net: [abs(s) for s in pg.path_sum(net, per_output=True)],
)
lipschitz_in_the_input.mutant(
    "the heaviest path", ("x0 x1; y0 = out(-1*x0, x1)", (0, 0), (1, -1)), constants=swept(join=max)
)
lipschitz_in_the_input.mutant(
    "the squared weights", ("x0; y0 = out(1/2*x0)", (1,), (0,)), constants=swept(edge=power(2))
)
