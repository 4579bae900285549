"""What the path-metric gains over the earlier bound in the largest change of a parameter: a comparison of constants."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem

Gain = Callable[[int, int], Fraction]
large = st.sampled_from([Fraction(1), Fraction(3, 2), Fraction(2), Fraction(10)])
small = st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(1, 2)])


def instances(networks: Networks) -> SearchStrategy[tuple[int, int, Fraction]]:
    """Width, layers, and the size of the inputs, at least 1."""
    return st.tuples(st.integers(1, 5), st.integers(1, 5), large)


@theorem(
    statement=(
        "For perceptrons of L layers and width W and inputs of size X >= 1, the earlier constant (W X + 1) W L^2 is at "
        "least L times the one of the path-metric without biases, X L W^2, L W / (W + 1) times the one with biases, "
        "X L W (W + 1), and L times the one of the metric weighted by the box, L W (W X + 1)."
    ),
    latex=(
        r"(WX+1)WL^2\ \ge\ L\cdot XLW^2,\qquad(WX+1)WL^2\ \ge\ \tfrac{LW}{W+1}\cdot XLW(W+1),\qquad"
        r"(WX+1)WL^2=L\cdot LW(WX+1)"
    ),
    hypotheses=(
        "all constants times R^(L-1), R >= 1 bounding the rows; the earlier one as it is quoted; that the others are "
        "bounds is the comparison with the supremum norm"
    ),
    source=DERIVED,
    instances=instances,
    on_network=0,
    constant=1,
)
def gain_over_the_sup_norm_bound(
    width: int,
    layers: int,
    size: Fraction,
    *,
    bare: Gain = lambda width, layers: Fraction(layers),
    biased: Gain = lambda width, layers: Fraction(layers * width, width + 1),
    weighted: Gain = lambda width, layers: Fraction(layers),
) -> Inequality:
    """Compare the constants times the gains with the earlier one."""
    reach = max(Fraction(1), size)
    ours = [size * layers * width**2, reach * layers * width * (width + 1), layers * width * (width * size + 1)]
    gains = [gain(width, layers) for gain in (bare, biased, weighted)]
    earlier = (width * size + 1) * width * layers**2
    return Inequality([gain * one for gain, one in zip(gains, ours, strict=True)], [earlier] * 3)


gain_over_the_sup_norm_bound.mutant(
    "a factor L with biases, too", (1, 2, 10), biased=lambda width, layers: Fraction(layers)
)
gain_over_the_sup_norm_bound.mutant(
    "inputs may be smaller than 1",
    (2, 1, 0),
    instances=lambda networks: st.tuples(st.integers(1, 5), st.integers(1, 5), small),
)
gain_over_the_sup_norm_bound.mutant(
    "a factor L W without biases", (2, 1, 1), bare=lambda width, layers: Fraction(layers * width)
)
gain_over_the_sup_norm_bound.mutant(
    "a factor L W with weights", (2, 1, 1), weighted=lambda width, layers: Fraction(layers * width)
)
