"""Only the paths that start at an input move the output, each by its own share of the change of the input."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input, pooling_dags
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power

Bound = Callable[[Network, Input, Input], Any]


def by_input_paths(net: Network, x: Input, y: Input) -> Any:
    """The library's bound over the box of half-widths |x - y|."""
    widths = [abs(a - b) for a, b in zip(x, y, strict=True)]
    return pg.input_lipschitz(net, method="input-paths", inputs=widths, per_output=True)


@theorem(
    statement="|R_v(x) - R_v(x')| is at most the sum of |x_u - x'_u| |Phi_p| over the paths p from an input u to v.",
    latex=r"|R_v(x)-R_v(x')|\le\sum_{p\in\mathcal P^v,\,p_0\in N_{in}}|x_{p_0}-x'_{p_0}|\,|\Phi_p|",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons",
    source=DERIVED,
    instances=drawn(inputs, inputs),
    networks=pooling_dags,
    constant=1,
)
def lipschitz_by_input_paths(net: Network, x: Input, y: Input, *, bound: Bound = by_input_paths) -> Inequality:
    """Compare the change of each output with the bound."""
    return Inequality(abs(net(x) - net(y)), bound(net, x, y))


def swept(**choices: Any) -> Bound:
    """The bound by a sweep with some choices changed."""

    def bound(net: Network, x: Input, y: Input) -> list[Fraction]:
        start = {u: abs(a - b) for u, a, b in zip(net.inputs, x, y, strict=True)}
        right: dict[str, Any] = {"edge": power(1), "bias": lambda b, data: 0}
        return at_outputs(net, start=start, **(right | choices))

    return bound


def by_smallest_change(net: Network, x: Input, y: Input) -> list[Fraction]:
    """A wrong bound: the path-norm times the smallest change of an input."""
    smallest = min(abs(a - b) for a, b in zip(x, y, strict=True))
    return [smallest * norm for norm in pg.path_norm(net, 1, per_output=True)]


lipschitz_by_input_paths.mutant(
    "pools keep their rank",
    ("x0; h0 = id(0*x0); h1 = pool2(x0, h0); y0 = out(h1)", (1,), (-1,)),
    bound=swept(pool=kth_largest),
)
lipschitz_by_input_paths.mutant(
    "signs are kept", ("x0; h0 = id(-1*x0); y0 = out(h0)", (1,), (0,)), bound=swept(edge=lambda w, data: w)
)
lipschitz_by_input_paths.mutant(
    "only the largest term of each neuron",
    ("x0 x1 x2 x3; y0 = out(x2, x3)", (1, 1, 1, 1), (0, 0, 0, 0)),
    bound=swept(join=max),
)
lipschitz_by_input_paths.mutant(
    "the smallest change for all inputs", ("x0 x1; y0 = out(x1)", (1, 1), (1, -1)), bound=by_smallest_change
)
lipschitz_by_input_paths.mutant(
    "the change of the moduli",
    ("x0; y0 = out(x0)", (1,), (-1,)),
    bound=lambda net, x, y: by_input_paths(net, tuple(map(abs, x)), tuple(map(abs, y))),
)
