"""The q = infinity path-norm is the heaviest path: one sweep in the algebra (max, x)."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import path_products
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs


def path_norm(net: Network) -> Any:
    """The library's norm."""
    return pg.path_norm(net, float("inf"))


@theorem(
    statement="The largest |Phi_p| is the output of one sweep in which neurons take the largest |weight| times value.",
    latex=r"\|\Phi(\theta)\|_\infty=\max_{v\in N_{out}}m_v,\qquad m_v=\max\big(|b_v|,\max_u|\theta^{u\to v}|\,m_u\big)",
    hypotheses="any DAG",
    source=DERIVED,
    instances=drawn(),
    enumerates=True,
)
def max_norm_in_one_sweep(net: Network, *, norm: Callable[[Network], Any] = path_norm) -> Equality:
    """Compare the sweep with the largest path product, which the heaviest path attains."""
    products = path_products(net)
    largest = max(map(abs, products), default=Fraction(0))
    attained = pg.heaviest_path(net)[1] if products else 0
    return Equality((norm(net), attained), (largest, largest))


def swept(**choices: Any) -> Callable[[Network], Any]:
    """The norm by a sweep with some choices changed."""

    def norm(net: Network) -> Any:
        options = {"edge": lambda w, data: abs(w), "join": max} | choices
        return max(at_outputs(net, **options))

    return norm


max_norm_in_one_sweep.mutant("neurons sum", ("x0 x1; y0 = out(x0, x1)",), norm=swept(join=sum))
max_norm_in_one_sweep.mutant("biases are lost", ("x0; y0 = out(x0, 2)",), norm=swept(bias=lambda b, data: 0))
max_norm_in_one_sweep.mutant("signs are kept", ("x0; y0 = out(-1*x0)",), norm=swept(edge=lambda w, data: w))
max_norm_in_one_sweep.mutant(
    "pools keep their rank",
    ("x0; h0 = id(0*x0); h1 = pool2(x0, h0); y0 = out(h1)",),
    norm=swept(pool=lambda terms, rank: sorted(terms)[-rank]),
)
