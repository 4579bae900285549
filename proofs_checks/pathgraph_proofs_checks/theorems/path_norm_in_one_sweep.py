"""The path-norm is one sweep on the q-th powers of the moduli, in which pools sum."""

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import by_output, exponents, pooling_dags
from pathgraph_proofs_checks.registry import TOOLKIT, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power

Norm = Callable[[Network, int, float], Any]


def path_norm(net: Network, q: int, r: float) -> Any:
    """The library's norm, without the root."""
    return pg.path_norm(net, q, r, root=False)


def mixed(sums: list[Any], q: int, r: float) -> Any:
    """``sum_v S_v**(r/q)``, or the largest S_v for r = infinity."""
    return max(sums) if r == inf else sum(total ** (r // q) for total in sums)


@theorem(
    statement=(
        "The q-th powers of the outputs' path-norms are the outputs of one sweep with |theta|**q, fixed weights "
        "included, ones as inputs, and sums instead of pools; the (q, r) norm is the r-norm of their roots."
    ),
    latex=r"\|\Phi(\theta)\|_{q,r}=\big\|\tilde R_{|\theta|^q}(\mathbf 1)^{1/q}\big\|_r",
    hypotheses="q in (0, inf), r in (0, inf]; here q is an integer, and r infinite or a multiple of q: rational sides",
    source=TOOLKIT,
    instances=drawn(exponents, st.sampled_from((1, 2, inf))),
    networks=pooling_dags,
    enumerates=True,
)
def path_norm_in_one_sweep(net: Network, q: int, multiple: float, *, norm: Norm = path_norm) -> Equality:
    """Compare the sweep with the sum over all paths."""
    r = multiple * q
    sums = [sum(abs(product) ** q for product in products) for products in by_output(net)]
    return Equality(norm(net, q, r), mixed(sums, q, r))


def swept(**choices: Any) -> Norm:
    """The norm by a sweep with some choices changed."""

    def norm(net: Network, q: int, r: float) -> Any:
        options = {"edge": power(q)} | {name: choice(q) for name, choice in choices.items()}
        return mixed(at_outputs(net, **options), q, r)

    return norm


def fixed_unpowered(q: int) -> Callable[[Fraction, Any], Fraction]:
    """Edge values in which fixed weights keep the power 1."""
    return lambda w, data: abs(w) ** (1 if "role" in data else q)


path_norm_in_one_sweep.mutant(
    "pools keep their maximum",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", 1, 1),
    norm=swept(pool=lambda q: lambda terms, rank: max(terms)),
)
path_norm_in_one_sweep.mutant(
    "pools keep their rank",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", 1, 1),
    norm=swept(pool=lambda q: kth_largest),
)
path_norm_in_one_sweep.mutant(
    "biases are lost", ("x0; y0 = out(x0, 1)", 1, 1), norm=swept(bias=lambda q: lambda b, data: 0)
)
path_norm_in_one_sweep.mutant(
    "biases keep the power 1", ("x0; y0 = out(x0, 2)", 2, 1), norm=swept(bias=lambda q: lambda b, data: abs(b))
)
path_norm_in_one_sweep.mutant(
    "fixed weights keep the power 1", ("x0; y0 = out(2*x0~)", 2, 1), norm=swept(edge=fixed_unpowered, bias=power)
)
path_norm_in_one_sweep.mutant(
    "signs are kept", ("x0; y0 = out(-1*x0)", 1, 1), norm=swept(edge=lambda q: lambda w, data: w**q)
)
path_norm_in_one_sweep.mutant(
    "the sum over outputs comes before the power r / q",
    ("x0; y0 = out(x0); y1 = out(x0)", 1, 2),
    norm=lambda net, q, r: path_norm(net, q, q) ** (r // q if r < inf else 1),
)
