"""The margin of a classifier moves by at most sqrt(2) times what its scores move, in the Euclidean norm."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem

Scores = Sequence[int]


def instances(networks: Networks) -> SearchStrategy[tuple[Scores, Scores, int, int]]:
    """Two vectors of scores, a class, and a margin."""
    return st.integers(2, 4).flatmap(
        lambda size: st.tuples(
            *[st.tuples(*[st.integers(-3, 3)] * size)] * 2, st.integers(0, size - 1), st.integers(1, 3)
        )
    )


def margin(scores: Scores, label: int) -> Fraction:
    """The score of a class minus the largest other one."""
    return Fraction(scores[label] - max(score for c, score in enumerate(scores) if c != label))


def ramp(value: Fraction, gamma: int) -> Fraction:
    """1 at margins up to 0, 0 from gamma on, linear between."""
    return max(Fraction(0), min(Fraction(1), 1 - value / gamma))


@theorem(
    statement=(
        "The margin m(y) = y_c - max of the others moves by at most sqrt(2) |y - y'|_2 and by at most 2 |y - y'|_inf; "
        "the ramp loss of slope 1/gamma lies between the errors, m <= 0, and the margins below gamma."
    ),
    latex=r"|m(y)-m(y')|\le\sqrt2\,\|y-y'\|_2,\quad|m(y)-m(y')|\le2\,\|y-y'\|_\infty,\quad"
    r"1[m\le0]\le\mathrm{ramp}_\gamma(m)\le1[m<\gamma]",
    hypotheses="at least two classes; gamma > 0",
    source=DERIVED,
    instances=instances,
    on_network=0,
    constant=1,
)
def margin_is_lipschitz(
    y: Scores,
    other: Scores,
    label: int,
    gamma: int,
    *,
    margin: Callable[[Scores, int], Fraction] = margin,
    ramp: Callable[[Fraction, int], Fraction] = ramp,
    euclidean: int = 2,
    largest: int = 2,
) -> Inequality:
    """Compare squares for the Euclidean norm."""
    moves = [abs(a - b) for a, b in zip(y, other, strict=True)]
    m = margin(y, label)
    change, loss = abs(m - margin(other, label)), ramp(m, gamma)
    return Inequality(
        [change**2, change, Fraction(m <= 0), loss],
        [euclidean * sum(move**2 for move in moves), largest * max(moves), loss, Fraction(m < gamma)],
    )


margin_is_lipschitz.mutant("the constant 1 in the Euclidean norm", ((0, 0), (1, -1), 0, 1), euclidean=1)
margin_is_lipschitz.mutant("the constant 1 in the maximum norm", ((0, 0), (1, -1), 0, 1), largest=1)
margin_is_lipschitz.mutant(
    "minus the sum of the others",
    ((0, 0, 0), (1, -1, -1), 0, 1),
    margin=lambda scores, label: Fraction(2 * scores[label] - sum(scores)),
)
margin_is_lipschitz.mutant(
    "a ramp that ends at twice the margin",
    ((1, 0), (0, 0), 0, 1),
    ramp=lambda value, gamma: ramp(value, 2 * gamma),
)
margin_is_lipschitz.mutant(
    "a ramp around the margin 0",
    ((0, 0), (0, 0), 0, 1),
    ramp=lambda value, gamma: ramp(value + Fraction(gamma, 2), gamma),
)
