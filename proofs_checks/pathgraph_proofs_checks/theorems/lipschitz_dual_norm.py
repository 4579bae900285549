"""For the l1 norm of the input, the Lipschitz constant is the mass of the paths from the worst input."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input, distance
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Constants = Callable[[Network], Any]


def worst_input(net: Network) -> Any:
    """The library's constants."""
    return pg.input_lipschitz(net, method="input-paths", input_norm=1, per_output=True)


def manhattan(x: Input, y: Input) -> Fraction:
    """The sum of the differences of two inputs."""
    return sum((abs(a - b) for a, b in zip(x, y, strict=True)), Fraction(0))


@theorem(
    statement=(
        "|R_v(x) - R_v(x')| is at most max_u (sum of |Phi_p| over the paths from input u to v) times the l1 norm of "
        "x - x'."
    ),
    latex=r"|R_v(x)-R_v(x')|\le\max_{u\in N_{in}}\Big(\sum_{p:u\to v}|\Phi_p|\Big)\,\|x-x'\|_1",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; for l_s the dual norm takes the place of the maximum",
    source=DERIVED,
    instances=drawn(inputs, inputs),
    on_network=2,
    constant=1,
)
def lipschitz_dual_norm(
    net: Network,
    x: Input,
    y: Input,
    *,
    constants: Constants = worst_input,
    norm: Callable[[Input, Input], Fraction] = manhattan,
) -> Inequality:
    """Compare the change of each output with the bound."""
    return Inequality(abs(net(x) - net(y)), [constant * norm(x, y) for constant in constants(net)])


def over_inputs(dual: Callable[[list[Any]], Any]) -> Constants:
    """Constants that put the masses of the inputs together in another way."""

    def constants(net: Network) -> Any:
        moduli = net.map_values(abs)
        return [dual([pg.path_sum(moduli, source=u, target=v) for u in net.inputs]) for v in net.outputs]

    return constants


lipschitz_dual_norm.mutant(
    "the largest change instead of their sum", ("x0 x1; y0 = out(-1*x0, x1)", (0, 0), (1, -1)), norm=distance
)
lipschitz_dual_norm.mutant(
    "the mean input instead of the worst",
    ("x0 x1; y0 = out(x1)", (1, 1), (1, -1)),
    constants=over_inputs(lambda masses: sum(masses) / Fraction(len(masses))),
)
lipschitz_dual_norm.mutant("the best input", ("x0 x1; y0 = out(x1)", (0, 0), (1, 1)), constants=over_inputs(min))
