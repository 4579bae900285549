"""The round-off of evaluating a network in floating point, in whatever order its sums are made."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.quantization.execution import Execution, execution_error
from pathgraph.scalars import object_array
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import kth_largest

orders = st.lists(st.integers(0, 5), min_size=1, max_size=6)
BITS = 5
NARROW = pg.FloatFormat(BITS, -1000, float("inf"), 0)
Bound = Callable[[Network, Any], Any]


def rounded(value: Fraction) -> Fraction:
    """The nearest number of so many bits."""
    return Fraction(pg.Quantizer(format=NARROW)([Fraction(value)])[0])


def evaluated(net: Network, x: Input, order: Sequence[int]) -> list[Fraction]:
    """The outputs, each product and each sum rounded, two terms at a time being added as `order` says."""
    graph, values, step = net.architecture, list[Fraction](), 0
    for v in range(graph.n_nodes):
        if graph.activations[v] == "input":
            values.append(Fraction(x[graph.input.tolist().index(v)]))
            continue
        entries = graph.entries_into(v).tolist()
        terms = [rounded(net.values[e] * values[graph.antecedent[e]]) for e in entries if e < graph.n_edges]
        if graph.activations[v] == "pool":
            terms = [kth_largest(terms, int(graph.rank[v]))]
        terms += [Fraction(net.values[e]) for e in entries if e >= graph.n_edges]
        while len(terms) > 1:
            first = terms.pop(order[step % len(order)] % len(terms))
            second = terms.pop(order[(step + 1) % len(order)] % len(terms))
            terms.append(rounded(first + second))
            step += 2
        total = terms[0] if terms else Fraction(0)
        values.append(max(total, Fraction(0)) if graph.activations[v] == "relu" else total)
    return [values[v] for v in graph.output.tolist()]


def library(net: Network, box: Any) -> Any:
    """The library's bound."""
    return execution_error(net, object_array(list(box)), Execution("narrow", NARROW))


def one_rounding(net: Network, box: Any) -> Any:
    """As if a neuron rounded once, whatever the number of its terms."""
    unit: Any = Fraction(1, 2**BITS)
    return pg.perturbation_bound(net, abs(net.theta) * unit, inputs=box, per_output=True).upper


@theorem(
    statement=(
        "If every product and every sum of an evaluation is rounded to a number of p bits, in any order, the outputs "
        "are off by at most the recursion e_v = sum |w| ((1 + g_v) e_u + g_v s_u), g_v = n u / (1 - n u) for n terms."
    ),
    latex=(
        r"|\mathrm{fl}(R)_v-R_v|\le e_v=\sum_u|w_{uv}|\big((1+g_v)e_u+g_vs_u\big),\quad "
        r"g_v=\frac{n_vu}{1-n_vu},\ u=2^{-p}"
    ),
    hypotheses="no overflow or underflow; the parameters and inputs are numbers of p bits; fewer than 1/u terms",
    source=DERIVED,
    needs=("small fan-in",),
    instances=drawn(orders, inputs),
    enumerates=True,  # parts of large networks have sums of fewer than 1/u terms
    constant=1,
)
def round_off_of_an_evaluation(net: Network, order: Sequence[int], x: Input, *, bound: Bound = library) -> Inequality:
    """Compare the error of one evaluation with the bound of all."""
    narrow = net.with_values(pg.Quantizer(format=NARROW)(net.values))
    x = [rounded(Fraction(value)) for value in x]
    found = [abs(a - b) for a, b in zip(evaluated(narrow, x, order), narrow(x), strict=True)]
    return Inequality(found, bound(narrow, [abs(value) for value in x]))


round_off_of_an_evaluation.mutant(
    "one rounding a neuron",
    ("x0; h0 = id(-4*x0~); y0 = out(h0, 1); y1 = out(-2*x0, 2*h0~, 1/4)", (0,), (1,)),
    bound=one_rounding,
)
round_off_of_an_evaluation.mutant(
    "a quarter of it",
    ("x0; y0 = out(4*x0, 1/2)", (0,), (4,)),
    bound=lambda net, box: [e / 4 for e in library(net, box)],
)
round_off_of_an_evaluation.mutant(
    "the error relative to the output",
    ("x0 x1; h0 = id(-3*x1, 1); y0 = out(3*x0, 3*x1, 3*h0)", (0,), (1, "-3/2")),
    bound=lambda net, box: abs(net(box)) * Fraction(net.architecture.n_edges + 1, 2**BITS),
)
