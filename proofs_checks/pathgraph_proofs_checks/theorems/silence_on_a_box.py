"""What is silent on a box of inputs may be dropped from the bounds; candidates that tie are not silent."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Bounds, Factors, any_signs, moved, summed, without_signs
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import either, relu_dags

pooling = either(relu_dags(ties=False), relu_dags(activations=["pool"], max_inputs=2, ties=False))


def library(net: Network, other: Network, box: Input) -> Any:
    """The library's bound without the silent."""
    return pg.parameter_lipschitz(net, other, inputs=box, per_output=True, max_paths=10**6).upper


@theorem(
    statement=(
        "Send the box |x| through both networks by intervals, and drop from both the ReLUs whose pre-activation "
        "is never positive in either, and the edges into pools whose candidates lie strictly below (or strictly "
        "above) the interval of the pool in both; what remains satisfies the bounds for general signs, and they "
        "bound |R_v - R'_v|."
    ),
    latex=(
        r"|R_v(\theta,x)-R_v(\theta',x)|\le\sum_{p\in\mathcal P^v\text{ not silent on }|x|}|x_{p_0}|\,g_p\quad"
        r"\text{for all inputs in the box}"
    ),
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; any signs",
    source=DERIVED,
    instances=drawn(any_signs, inputs),
    networks=pooling,
    needs=("no ties",),
    enumerates=True,
    constant=1,
)
def silence_on_a_box(net: Network, factors: Factors, x: Input, *, bound: Bounds = library) -> Inequality:
    """Compare the changes of the outputs at corners of the box with the bound."""
    other, box = moved(net, factors), [abs(value) for value in x]
    points = [x, box, [-width for width in box]]
    found = list(bound(net, other, box))
    return Inequality([abs(net(point) - other(point)) for point in points], [found] * len(points))


def intervals(net: Network, box: Input) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """For each neuron the interval of its pre-activation; for each edge that of its candidate."""
    graph = net.graph
    value: dict[Any, Any] = {u: (-w, w) for u, w in zip(net.inputs, box, strict=True)}
    before = dict(value)
    candidate: dict[Any, Any] = {}
    for v in net.nodes:
        data = graph.nodes[v]
        if data["activation"] == "input":
            continue
        for u in graph.pred[v]:
            ends = [net.weight(u, v) * end for end in value[u]]
            candidate[u, v] = (min(ends), max(ends))
        lows, highs = ([candidate[u, v][k] for u in graph.pred[v]] for k in (0, 1))
        if data["activation"] == "pool":
            rank = data.get("rank", 1)
            low, high = (sorted(ends, reverse=True)[rank - 1] for ends in (lows, highs))
            candidate[v] = (low, high)
        else:
            low, high = sum(lows, Fraction(0)), sum(highs, Fraction(0))
        bias = net.bias(v) or Fraction(0)
        before[v] = value[v] = (low + bias, high + bias)
        if data["activation"] == "relu":
            value[v] = tuple(max(end, Fraction(0)) for end in before[v])
    return before, candidate


def dropping(
    *,
    dead: Callable[[tuple[Any, Any]], bool] = lambda ends: ends[1] <= 0,
    idle: Callable[[tuple[Any, Any], tuple[Any, Any]], bool] = lambda own, pool: own[1] < pool[0] or own[0] > pool[1],
    join: Callable[[Any], bool] = all,
) -> Bounds:
    """The bound with other rules for what is dropped."""

    def bound(net: Network, other: Network, box: Input) -> list[Fraction]:
        both = [intervals(n, box) for n in (net, other)]
        structure = net.architecture
        keep = []
        for entry in range(structure.n_entries):
            name = structure.entry_name(entry)
            v = name[1] if name not in structure.nodes else name
            kind = net.graph.nodes[v]["activation"]
            gone = kind == "relu" and join(dead(before[v]) for before, _ in both)
            if kind == "pool" and name not in structure.nodes:
                gone = join(idle(candidate[name], candidate[v]) for _, candidate in both)
            keep.append(0 if gone else 1)
        return summed(net.map_values(lambda w: w * keep), other.map_values(lambda w: w * keep), without_signs, box)

    return bound


silence_on_a_box.mutant(
    "candidates that tie are dropped",
    ("x0; h0 = id(x0, 1); h1 = max(h0); y0 = out(h1)", (-1,), (0,)),
    bound=dropping(idle=lambda own, pool: own[1] <= pool[0] or own[0] > pool[1]),
)
silence_on_a_box.mutant(
    "what is silent in one network is dropped",
    ("x0; h0 = id(x0); h1 = relu(h0, 1); y0 = out(h1)", (-1,), (0,)),
    bound=dropping(join=any),
)
silence_on_a_box.mutant(
    "ReLUs that can be zero are dropped",
    ("x0; h0 = id(x0); h1 = relu(h0); y0 = out(h1)", (-1,), (1,)),
    bound=dropping(dead=lambda ends: ends[0] <= 0),
)
silence_on_a_box.mutant(
    "candidates below the top of the pool are dropped",
    ("x0 x1; h0 = max(x0, 3*x1); y0 = out(h0)", (2, 1, 1), (1, -1)),
    bound=dropping(idle=lambda own, pool: own[1] < pool[1]),
)
