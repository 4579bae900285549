"""Contraction: 1-Lipschitz functions that vanish at 0 do not increase convex moments of Rademacher suprema."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.rademacher import CONVEX, signed_mean
from pathgraph_proofs_checks.registry import TOOLKIT, Networks, theorem

Sets = Sequence[Sequence[Sequence[int]]]
Scalar = Callable[[Any], Any]

LIPSCHITZ: dict[str, Scalar] = {
    "id": lambda t: t,
    "relu": lambda t: max(t, 0),
    "abs": abs,
    "clip": lambda t: min(max(t, -1), 1),
    "negative part": lambda t: min(t, 0),
}
"""Integer-valued functions f, 1-Lipschitz, with f(0) = 0."""


def instances(networks: Networks) -> SearchStrategy[tuple[Any, ...]]:
    """Sets T^v of integer vectors, one f per coordinate, and G."""
    return st.integers(1, 3).flatmap(
        lambda size: st.tuples(
            st.lists(st.lists(vectors(size), min_size=1, max_size=3), min_size=1, max_size=2),
            st.lists(st.sampled_from(tuple(LIPSCHITZ)), min_size=size, max_size=size),
            st.sampled_from(tuple(CONVEX)),
        )
    )


def vectors(size: int) -> SearchStrategy[tuple[int, ...]]:
    """Vectors of small integers."""
    return st.tuples(*[st.integers(-3, 3)] * size)


@theorem(
    statement=(
        "For independent signs e_{i,v}: E max_v sup_{t in T^v} G(sum_i e_{i,v} f_i(t_i)) is at most "
        "E max_v sup_{t in T^v} G(sum_i e_{i,v} t_i)."
    ),
    latex=r"\mathbb E\max_v\sup_{t\in T^v}G\Big(\sum_i\varepsilon_{i,v}f_i(t_i)\Big)\le"
    r"\mathbb E\max_v\sup_{t\in T^v}G\Big(\sum_i\varepsilon_{i,v}t_i\Big)",
    hypotheses="T^v bounded; f_i 1-Lipschitz with f_i(0) = 0; G convex and non-decreasing",
    source=TOOLKIT,
    instances=instances,
    on_network=0,
    constant=1,
)
def contraction_of_lipschitz_functions(
    sets: Sets,
    functions: Sequence[str],
    convex: str,
    *,
    change: Callable[[Scalar, Any], Any] = lambda f, t: f(t),
    outer: Callable[[Scalar, Any], Any] = lambda g, z: g(z),
) -> Inequality:
    """Compare the two expectations, over all signs."""
    fs = [LIPSCHITZ[name] for name in functions]

    def moment(apply: Callable[[Scalar, Any], Any]) -> Fraction:
        images = [[[apply(f, entry) for f, entry in zip(fs, t, strict=True)] for t in chosen] for chosen in sets]
        return signed_mean(images, lambda z: outer(CONVEX[convex], z))

    return Inequality(moment(change), moment(lambda f, t: t))


contraction_of_lipschitz_functions.mutant(
    "f(0) need not be 0", ((((0,),),), ("id",), "hinge"), change=lambda f, t: f(t) + 1
)
contraction_of_lipschitz_functions.mutant(
    "f is 2-Lipschitz", ((((0,), (1,)),), ("id",), "identity"), change=lambda f, t: 2 * f(t)
)
contraction_of_lipschitz_functions.mutant(
    "G is convex but not monotone",
    ((((1, 0, 1), (-1, 0, -1)),), ("id", "id", "relu"), "identity"),
    outer=lambda g, z: abs(z),
)
contraction_of_lipschitz_functions.mutant(
    "G is non-decreasing but not convex", ((((2, 2),),), ("id", "clip"), "identity"), outer=lambda g, z: int(z > 0)
)
