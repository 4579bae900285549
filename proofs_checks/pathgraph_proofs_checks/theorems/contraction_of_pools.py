"""Contraction by pools, with constant 1: k-max-pooling does not increase convex moments of Rademacher suprema."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.rademacher import CONVEX, signed_mean
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem
from pathgraph_proofs_checks.variants import kth_largest

Candidates = Sequence[Any]


def instances(networks: Networks) -> SearchStrategy[tuple[Any, ...]]:
    """Sets T^v of vectors of candidates, two per pool, the ranks of the pools, and G."""
    candidates = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
    return st.integers(1, 2).flatmap(
        lambda size: st.tuples(
            st.lists(st.lists(st.tuples(*[candidates] * size), min_size=1, max_size=3), min_size=1, max_size=2),
            st.tuples(*[st.integers(1, 2)] * size),
            st.sampled_from(tuple(CONVEX)),
        )
    )


@theorem(
    statement=(
        "For independent signs: E max_v sup_{t in T^v} G(sum_i e_{i,v} pool(t_i)) is at most "
        "E max_v sup_{t in T^v} G(sum_{i,w} e_{i,v,w} t_{i,w}), for k-max-pools of equal size."
    ),
    latex=r"\mathbb E\max_v\sup_{t\in T^v}G\Big(\sum_i\varepsilon_{i,v}\,k\text{-pool}(t_i)\Big)\le"
    r"\mathbb E\max_v\sup_{t\in T^v}G\Big(\sum_{i,w}\varepsilon_{i,v,w}t_{i,w}\Big)",
    hypotheses="T^v bounded; G convex and non-decreasing; a fresh sign for every candidate; no factor sqrt(2)",
    source=DERIVED,
    instances=instances,
    on_network=0,
    constant=1,
)
def contraction_of_pools(
    sets: Sequence[Sequence[Sequence[Candidates]]],
    ranks: Sequence[int],
    convex: str,
    *,
    pool: Callable[[Candidates, int], Any] = kth_largest,
    spread: Callable[[Candidates], Sequence[Any]] = lambda candidates: candidates,
    outer: Callable[[Callable[[Any], Any], Any], Any] = lambda g, z: g(z),
) -> Inequality:
    """Compare the two expectations, over all signs."""
    pooled = [[[pool(c, k) for c, k in zip(t, ranks, strict=True)] for t in chosen] for chosen in sets]
    flat = [[[entry for c in t for entry in spread(c)] for t in chosen] for chosen in sets]
    left, right = (signed_mean(images, lambda z: outer(CONVEX[convex], z)) for images in (pooled, flat))
    return Inequality(left, right)


contraction_of_pools.mutant(
    "one sign for all candidates of a pool",
    (((((1, -1),),),), (1,), "hinge"),
    spread=lambda candidates: [sum(candidates)],
)
contraction_of_pools.mutant(
    "only the first candidate has a sign", (((((0, 1),),),), (1,), "hinge"), spread=lambda candidates: candidates[:1]
)
contraction_of_pools.mutant(
    "the constant 1/2 instead of 1",
    (((((0, 1),),),), (1,), "hinge"),
    spread=lambda candidates: [Fraction(c, 2) for c in candidates],
)
contraction_of_pools.mutant(
    "sums instead of pools", (((((1, 1),),),), (1,), "hinge"), pool=lambda candidates, rank: sum(candidates)
)
contraction_of_pools.mutant(
    "a pool that does not vanish at 0",
    (((((0, 0),),),), (1,), "hinge"),
    pool=lambda candidates, rank: max(candidates) + 1,
)
contraction_of_pools.mutant(
    "G is non-decreasing but not convex", (((((1, 1),),),), (1,), "identity"), outer=lambda g, z: int(z > 0)
)
