"""A network is the inner product of its path-lifting and its path-activations."""

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import MAX_PATHS, Input, neurons, path_products, values_at
from pathgraph_proofs_checks.registry import TOOLKIT, drawn, theorem

Activity = list[bool]


def path_activations(net: Network, x: Input, node: Hashable) -> Activity:
    """Whether each path to a neuron is active."""
    active = [False] * len(path_products(net, node))
    for row in pg.path_activations(net, x, node=node, max_paths=MAX_PATHS).nonzero()[0].tolist():
        active[row] = True
    return active


@theorem(
    statement="At every neuron v, v(theta, x) is the inner product of Phi^{->v}(theta) with A^{->v}(theta, x) (x, 1).",
    latex=r"v(\theta,x)=\Big\langle\Phi^{\to v}(\theta),\,A^{\to v}(\theta,x)\tbinom x1\Big\rangle",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons, with or without biases",
    source=TOOLKIT,
    needs=("few paths",),
    instances=drawn(neurons, inputs),
    on_network=2,
)
def factorisation(
    net: Network,
    node: Hashable,
    x: Input,
    *,
    activity: Callable[[Network, Input, Hashable], Activity] = path_activations,
    constant: int = 1,
    sign: Callable[[Fraction], Fraction] = lambda product: product,
) -> Equality:
    """Compare a neuron's value with the sum over the active paths that end at it."""
    start = dict(zip(net.inputs, x, strict=True))
    lifting = pg.path_lifting(net, node=node, max_paths=MAX_PATHS)
    paths = zip(lifting.paths, lifting.values, activity(net, x, node), strict=True)
    contraction = sum(sign(product) * start.get(path[0], constant) for path, product, active in paths if active)
    return Equality(values_at(net, x)[node], contraction)


def selecting(
    pool: Callable[[Sequence[Fraction], Fraction], Sequence[bool]] | None = None,
    relu: Callable[[Fraction], bool] = lambda value: value > 0,
    starts: bool = True,
) -> Callable[[Network, Input, Hashable], Activity]:
    """Path-activations under other rules.

    ``pool(candidates, value)`` says which edges into a pool are active (None: the first one that attains the value),
    ``relu(value)`` whether a ReLU is, and `starts` whether the neuron at which a path starts counts.
    """

    def activity(net: Network, x: Input, node: Hashable) -> Activity:
        value = values_at(net, x)
        kind = dict(zip(net.nodes, net.architecture.activations, strict=True))

        def open_edge(u: Hashable, v: Any) -> bool:
            if kind[v] != "pool":
                return kind[v] != "relu" or relu(value[v])
            sources = net.architecture.antecedents(v)
            candidates = [net.weight(s, v) * value[s] + (net.bias(v) or 0) for s in sources]
            first = candidates.index(value[v])
            chosen = pool(candidates, value[v]) if pool else [i == first for i in range(len(sources))]
            return chosen[sources.index(u)]

        return [
            (not starts or kind[path[0]] != "relu" or relu(value[path[0]]))
            and all(open_edge(u, v) for u, v in pairwise(path))
            for path in pg.path_lifting(net, node=node, max_paths=MAX_PATHS).paths
        ]

    return activity


factorisation.mutant("the bias column is dropped", ("x0; y0 = out(x0, 1)", "y0", (1,)), constant=0)
factorisation.mutant("the lifting loses its signs", ("x0; y0 = out(-1*x0)", "y0", (1,)), sign=abs)
factorisation.mutant(
    "a pool lets all its edges through",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", "y0", (1, 1)),
    activity=selecting(lambda c, v: [True] * len(c)),
)
factorisation.mutant(
    "all tied candidates are active",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", "y0", (1, 1)),
    activity=selecting(lambda c, v: [item == v for item in c]),
)
factorisation.mutant(
    "a pool of rank k selects the largest",
    ("x0 x1; h0 = pool2(x0, x1); y0 = out(h0)", "y0", (1, 0)),
    activity=selecting(lambda c, v: [i == c.index(max(c)) for i in range(len(c))]),
)
factorisation.mutant(
    "a ReLU is always active",
    ("x0; h0 = relu(-1*x0); y0 = out(h0)", "y0", (1,)),
    activity=selecting(relu=lambda value: True),
)
factorisation.mutant(
    "the neuron at which a path starts is ignored",
    ("x0; h0 = relu(-1*x0, 1); y0 = out(h0)", "y0", (1,)),
    activity=selecting(starts=False),
)
