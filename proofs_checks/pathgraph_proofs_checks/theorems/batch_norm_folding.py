"""Folding a batch-norm into the weights before it: what happens to the path-norm."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import exponents
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mlps
from pathgraph_proofs_checks.variants import BatchNorms, folded, separate


def batch_norms(net: Network) -> SearchStrategy[list[tuple[Fraction, Fraction]]]:
    """Scales and shifts, repeated over the hidden neurons as often as needed."""
    return st.lists(st.tuples(dyadics(), dyadics()), min_size=1, max_size=3)


@theorem(
    statement=(
        "A batch-norm z -> s z + t between a neuron and its ReLU: folded into the weights before it (s W, s c + t), "
        "the q-th power of the path-norm is at most 2**(q-1) times that with a separate neuron."
    ),
    latex=r"\|\Phi_{\text{folded}}\|_q^q\le2^{q-1}\,\|\Phi_{\text{separate}}\|_q^q",
    hypotheses="frozen statistics; q >= 1 an integer; for q = 1 folding never increases the path-norm",
    source=DERIVED,
    instances=drawn(batch_norms, exponents),
    networks=mlps(),
    needs=("layered", "no ties", "no structural values", "no pools"),
    on_network=2,
    constant=1,
)
def batch_norm_folding(
    net: Network,
    norms: BatchNorms,
    q: int,
    *,
    factor: Callable[[int], int] = lambda q: 2 ** (q - 1),
    swap: bool = False,
) -> Inequality:
    """Compare the two encodings, which are the same function."""
    pair = [Fraction(pg.path_norm(encode(net, norms), q, root=False)) for encode in (folded, separate)]
    left, right = reversed(pair) if swap else pair
    return Inequality(left, factor(q) * right)


batch_norm_folding.mutant(
    "folding never increases the norm, whatever q",
    ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", ((1, 1),), 2),
    factor=lambda q: 1,
)
batch_norm_folding.mutant(
    "folding never decreases the norm", ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", ((1, -1),), 1), swap=True
)
