"""The cross-entropy of the softmax moves by at most sqrt(2) times what the scores move, in the Euclidean norm."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.logarithms import log_above, log_below
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem

Scores = Sequence[int]


def instances(networks: Networks) -> SearchStrategy[tuple[Scores, Scores, int]]:
    """Two vectors of scores, in units of log 2, and a class."""
    return st.integers(2, 4).flatmap(
        lambda size: st.tuples(*[st.tuples(*[st.integers(-8, 8)] * size)] * 2, st.integers(0, size - 1))
    )


def exponential_loss(scores: Scores, label: int) -> Fraction:
    """The exponential of the cross-entropy: the inverse of the probability of the class."""
    return sum((Fraction(2) ** score for score in scores), Fraction(0)) / Fraction(2) ** scores[label]


@theorem(
    statement=(
        "The cross-entropy log(sum_c exp(y_c)) - y_label moves by at most sqrt(2) |y - y'|_2, and by at most "
        "2 |y - y'|_inf."
    ),
    latex=r"|\ell(y)-\ell(y')|\le\sqrt2\,\|y-y'\|_2,\quad|\ell(y)-\ell(y')|\le2\,\|y-y'\|_\infty,\quad"
    r"\ell(y)=\log\sum_ce^{y_c}-y_{label}",
    hypotheses="scores are multiples of log 2, so that exponentials are rational; logarithms by rational bounds",
    source=DERIVED,
    instances=instances,
    on_network=0,
    constant=1,
)
def cross_entropy_is_lipschitz(
    y: Scores,
    other: Scores,
    label: int,
    *,
    loss: Callable[[Scores, int], Fraction] = exponential_loss,
    euclidean: int = 2,
    largest: int = 2,
) -> Inequality:
    """Compare squares for the Euclidean norm, in units of log 2."""
    moves = [abs(a - b) for a, b in zip(y, other, strict=True)]
    ratio = loss(y, label) / loss(other, label)
    change = max(Fraction(0), log_below(max(ratio, 1 / ratio)) / log_above(2))
    return Inequality([change**2, change], [euclidean * sum(move**2 for move in moves), largest * max(moves)])


def total_loss(scores: Scores, label: int) -> Fraction:
    """The exponential of the sum of the cross-entropies of all classes."""
    product = Fraction(1)
    for c in range(len(scores)):
        product *= exponential_loss(scores, c)
    return product


cross_entropy_is_lipschitz.mutant("the constant 1 in the Euclidean norm", ((0, 3), (1, 2), 0), euclidean=1)
cross_entropy_is_lipschitz.mutant("the constant 1 in the maximum norm", ((0, 3), (1, 2), 0), largest=1)
cross_entropy_is_lipschitz.mutant("the losses of all classes are added", ((0, 8, 0), (0, 7, 0), 0), loss=total_loss)
cross_entropy_is_lipschitz.mutant(
    "scores are doubled before the softmax",
    ((0, 3), (1, 2), 0),
    loss=lambda scores, label: exponential_loss([2 * score for score in scores], label),
)
