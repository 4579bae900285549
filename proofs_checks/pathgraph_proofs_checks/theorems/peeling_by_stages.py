"""Peeling: random signs correlate with a normalised network at most as much as with its inputs, times the stages."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.rademacher import signed_mean
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import normalized

Convex = Callable[[Any], Any]

GROWING: dict[str, Convex] = {
    "identity": lambda z: max(z, 0),
    "hinge": lambda z: max(z - 1, 0),
    "square": lambda z: max(z, 0) ** 2,
    "cube": lambda z: max(z, 0) ** 3,
}
"""Convex non-decreasing functions G >= 0."""

small_dags = relu_dags(max_inputs=2, max_hidden=4, max_outputs=2)


def instances(networks: Networks) -> SearchStrategy[tuple[Network, Sequence[Input], str]]:
    """A network, up to three inputs, and G."""
    return networks.flatmap(
        lambda net: st.tuples(
            st.just(net), st.lists(inputs(net), min_size=1, max_size=3), st.sampled_from(tuple(GROWING))
        )
    )


def normal_form(net: Network) -> Network:
    """The l1 normal form: all hidden neurons have incoming norm 1 or 0."""
    return normalized(net)


def unit_rows(net: Network, xs: Sequence[Input]) -> list[list[tuple[Fraction, ...]]]:
    """For each output, its values on the inputs, divided by the norm of its row."""
    out: list[list[tuple[Fraction, ...]]] = [[] for _ in net.outputs]
    for place, v in enumerate(net.outputs):
        row = [net.weight(u, v) for u in net.architecture.antecedents(v)] + [net.bias(v) or Fraction(0)]
        norm = sum(map(abs, row)) or Fraction(1)
        out[place].append(tuple(Fraction(net(x)[place]) / norm for x in xs))
    return out


def coordinates(net: Network, xs: Sequence[Input]) -> list[tuple[Fraction, ...]]:
    """The values of each input, and the ones behind the biases if there are any."""
    columns = [tuple(Fraction(x[u]) for x in xs) for u in range(len(net.inputs))]
    return columns + ([(Fraction(1),) * len(xs)] if pg.peeling_constants(net).biases else [])


@theorem(
    statement=(
        "If each neuron has incoming weights and a bias of l1 norm at most 1, E max_v G(|sum_i e_{i,v} R_v(x_i)|) is "
        "at most the number of outputs times the stages' product times E max_w G(|sum_i e_i w_i|), w among the inputs "
        "and, if there are biases, the constant 1; the maximum on the left may also run over parameters."
    ),
    latex=r"\mathbb E\max_{v,\theta}G\Big(\Big|\sum_i\varepsilon_{i,v}R_\theta(x_i)_v\Big|\Big)\le "
    r"d_{out}\prod_l a_l\;\mathbb E\max_wG\Big(\Big|\sum_i\varepsilon_i w_i\Big|\Big)",
    hypotheses="any DAG; G >= 0 convex and non-decreasing; the maximum runs over the network and its opposite",
    source=DERIVED,
    instances=instances,
    networks=small_dags,
    on_network=0,
    constant=1,
)
def peeling_by_stages(
    net: Network,
    xs: Sequence[Input],
    convex: str,
    *,
    normal_form: Callable[[Network], Network] = normal_form,
    rows: Callable[[Network, Sequence[Input]], list[list[tuple[Fraction, ...]]]] = unit_rows,
    coordinates: Callable[[Network, Sequence[Input]], list[tuple[Fraction, ...]]] = coordinates,
    size: Callable[[Any], Any] = abs,
    outputs: Callable[[Network], int] = lambda net: len(net.outputs),
) -> Inequality:
    """Enumerate the signs on both sides."""
    constants = pg.peeling_constants(net)
    factor = Fraction(constants.moments("staged"), 2 * constants.coordinates * constants.n_outputs)
    normal = normal_form(net)
    opposite = normal.with_theta(-normal.theta)
    both = [a + b for a, b in zip(rows(normal, xs), rows(opposite, xs), strict=True)]
    left = signed_mean(both, lambda z: GROWING[convex](abs(z)))
    right = signed_mean([coordinates(net, xs) or [(Fraction(0),) * len(xs)]], lambda z: GROWING[convex](size(z)))
    return Inequality(left, outputs(net) * factor * right)


def plain_rows(net: Network, xs: Sequence[Input]) -> list[list[tuple[Fraction, ...]]]:
    """The outputs as they are."""
    return [[tuple(Fraction(net(x)[place]) for x in xs)] for place in range(len(net.outputs))]


def loudest_rows(net: Network, xs: Sequence[Input]) -> list[list[tuple[Fraction, ...]]]:
    """The outputs divided by the largest entries of their rows."""
    out = []
    for place, v in enumerate(net.outputs):
        row = [net.weight(u, v) for u in net.architecture.antecedents(v)] + [net.bias(v) or Fraction(0)]
        out.append([tuple(Fraction(net(x)[place]) / (max(map(abs, row)) or Fraction(1)) for x in xs)])
    return out


peeling_by_stages.mutant(
    "the constant behind the biases is no input",
    ("x0; y0 = out(x0, 1)", ((0,),), "identity"),
    coordinates=lambda net, xs: [tuple(Fraction(x[u]) for x in xs) for u in range(len(net.inputs))],
)
peeling_by_stages.mutant(
    "the outputs share their signs for nothing",
    ("x0; y0 = out(x0); y1 = out(x0)", ((1,), (1,)), "identity"),
    outputs=lambda net: 1,
)
peeling_by_stages.mutant(
    "the rows of the outputs are not normalised", ("x0; y0 = out(2*x0)", ((1,),), "identity"), rows=plain_rows
)
peeling_by_stages.mutant(
    "the largest entry of a row is 1, and not its norm",
    ("x0 x1; y0 = out(x0, x1)", ((1, 1),), "identity"),
    rows=loudest_rows,
)
peeling_by_stages.mutant(
    "hidden neurons are not normalised",
    ("x0; h0 = id(2*x0); y0 = out(h0)", ((1,),), "identity"),
    normal_form=lambda net: net,
)
peeling_by_stages.mutant("no absolute values on the right", ("x0; y0 = out(x0)", ((1,),), "identity"), size=lambda z: z)
