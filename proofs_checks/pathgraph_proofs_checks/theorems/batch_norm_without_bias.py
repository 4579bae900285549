"""Without a bias before it, a batch-norm may be folded or not: the path products are the same."""

from collections.abc import Callable

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import Input, exponents
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mlps
from pathgraph_proofs_checks.theorems.batch_norm_folding import batch_norms
from pathgraph_proofs_checks.variants import BatchNorms, folded, separate, without_biases


@theorem(
    statement="If the neurons before batch-norms have no bias, both encodings have the same path-norms and outputs.",
    latex=r"\|\Phi_{\text{folded}}\|_q=\|\Phi_{\text{separate}}\|_q\ \text{for all }q",
    hypotheses="frozen statistics; no bias before a batch-norm",
    source=DERIVED,
    instances=drawn(batch_norms, exponents, inputs),
    networks=mlps(),
    needs=("layered", "no ties", "no structural values", "no pools"),
    on_network=2,
)
def batch_norm_without_bias(
    net: Network,
    norms: BatchNorms,
    q: int,
    x: Input,
    *,
    prepare: Callable[[Network], Network] = without_biases,
    fold: Callable[[Network, BatchNorms], Network] = folded,
) -> Equality:
    """Compare norms and outputs of the two encodings."""
    plain = prepare(net)
    both = fold(plain, norms), separate(plain, norms)
    left, right = ((pg.path_norm(n, q, root=False), n(x)) for n in both)
    return Equality(left, right)


batch_norm_without_bias.mutant(
    "with biases, too", ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", ((1, 1),), 2, (1,)), prepare=lambda net: net
)
batch_norm_without_bias.mutant(
    "the shift is forgotten",
    ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", ((1, 1),), 1, (1,)),
    fold=lambda net, norms: folded(net, [(s, 0 * t) for s, t in norms]),
)
batch_norm_without_bias.mutant(
    "the scale is forgotten",
    ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", ((-1, 1),), 1, (1,)),
    fold=lambda net, norms: folded(net, [(s**0, t) for s, t in norms]),
)
batch_norm_without_bias.mutant(
    "the modulus of the scale is folded",
    ("x0; h0 = relu(x0, 1); y0 = out(h0, 1)", ((-1, 1),), 1, (1,)),
    fold=lambda net, norms: folded(net, [(abs(s), t) for s, t in norms]),
)
