"""Everything the library says about one trained network: sizes, norms, bounds, and identities held exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from math import inf, lcm
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Comparison, Equality, Inequality
from pathgraph_proofs_checks.digits import TrainedDigits
from pathgraph_proofs_checks.parts import MAX_PATHS, Input, relative, roundings

__all__ = ["Analysis", "Fact", "Identity", "analyse"]


@dataclass(frozen=True)
class Fact:
    """One number about the network, with a remark."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Identity:
    """A statement that was evaluated exactly on the network."""

    name: str
    outcome: Comparison
    note: str = ""


@dataclass
class Analysis:
    """What `analyse` found.

    Attributes
    ----------
    facts : dict
        Lists of facts by title.
    identities : list of Identity
    pixel_mass : ndarray, shape (n_inputs,)
        Share of the path-norm that starts at each input.
    log_products : ndarray, shape (n_nonzero_paths,)
        Decimal logarithms of the moduli of the path products.
    curve : dict
        The q-norm by q.
    bounds : dict
        Bounds on the l1 change of the output for a unit change of the input, from what was observed to the loosest.
    """

    facts: dict[str, list[Fact]] = field(default_factory=dict)
    identities: list[Identity] = field(default_factory=list)
    pixel_mass: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    log_products: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    curve: dict[float, float] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)


@contextmanager
def _timed() -> Iterator[list[float]]:
    """A list that receives the seconds spent in the block."""
    seconds: list[float] = []
    started = perf_counter()
    yield seconds
    seconds.append(perf_counter() - started)


def analyse(digits: TrainedDigits, *, n_images: int = 5, n_rescalings: int = 3) -> Analysis:
    """Analyse a trained network, in floats and exactly.

    Parameters
    ----------
    digits : TrainedDigits
    n_images : int
        On how many test images the factorisation is evaluated path by path.
    n_rescalings : int
        How many random rescalings are compared.

    Returns
    -------
    Analysis
    """
    net, exact = digits.net, digits.net.to_exact()
    analysis = Analysis()
    analysis.facts["network"] = _sizes(net, digits)
    analysis.facts["path-norms"] = _norms(net, exact)
    analysis.facts["Lipschitz bounds and products of norms"] = _bounds(digits, analysis)
    _enumerate(net, exact, digits.exact_images(n_images), analysis)
    _rescale(exact, n_rescalings, analysis)
    moduli = net.map_values(abs)
    mass = pg.node_marginals(moduli)[[net.nodes.index(u) for u in net.inputs]]
    analysis.pixel_mass = mass / pg.path_norm(net)
    analysis.curve = {q: pg.path_norm(net, q) for q in np.geomspace(0.5, 16, 41).tolist()}
    return analysis


def _sizes(net: Network, digits: TrainedDigits) -> list[Fact]:
    structure = net.architecture
    return [
        Fact("test accuracy", f"{digits.accuracy:.1%}", f"{len(digits.labels)} images, {digits.iterations} epochs"),
        Fact("neurons", f"{structure.n_nodes:,}", f"{len(net.inputs)} inputs, {len(net.outputs)} outputs"),
        Fact("edges", f"{structure.n_edges:,}", f"{len(structure.biased)} biases"),
        Fact("parameters", f"{structure.n_parameters:,}"),
        Fact("depth", f"{pg.depth(net)}"),
        Fact("paths", f"{pg.count_paths(net):,}", "exact count, by one sweep over integers"),
        Fact("heaviest path", " -> ".join(map(str, pg.heaviest_path(net)[0]))),
    ]


def _norms(net: Network, exact: Network) -> list[Fact]:
    facts = []
    for q in (1, 2, inf, 0):
        found, power = (Fraction(pg.path_norm(n, q, root=False)) for n in (net, exact))
        note = f"float64 against rationals: {float(abs(found / power - 1)):.1e} relative"
        facts.append(Fact(f"q = {q}", f"{pg.path_norm(net, q):.12g}", note))
    for q, r in ((1, 2), (1, inf), (2, 1), (2, inf)):
        facts.append(Fact(f"q = {q}, r = {r}", f"{pg.path_norm(net, q, r):.12g}"))
    facts.append(Fact("log, q = 1", f"{pg.log_path_norm(net):.12g}"))
    return facts


def _bounds(digits: TrainedDigits, analysis: Analysis) -> list[Fact]:
    net = digits.net
    sample = digits.images[:100]
    outputs = net(sample)
    pairs = list(combinations(range(len(sample)), 2))
    slopes = [abs(outputs[i] - outputs[j]).sum() / abs(sample[i] - sample[j]).max() for i, j in pairs]
    analysis.bounds = {
        "largest slope between test images": float(max(slopes)),
        "max-pass": pg.input_lipschitz(net, method="max-pass"),
        "input-started paths": pg.input_lipschitz(net, method="input-paths"),
        "path-norm": pg.input_lipschitz(net, method="path-norm"),
        "product of norms, normalised": pg.operator_norm_product(pg.normalize(net), 1, 1),
        "product of norms": pg.operator_norm_product(net, 1, 1),
        "product of norms, rescaled copy": pg.operator_norm_product(pg.rescale(net, pg.random_rescaling(net, 0)), 1, 1),
    }
    norm = analysis.bounds["path-norm"]
    facts = [Fact(name, f"{value:,.2f}", f"{value / norm:.3g} path-norms") for name, value in analysis.bounds.items()]
    worst = pg.input_lipschitz(net, r=inf)
    dual = pg.input_lipschitz(net, method="input-paths", input_norm=1, r=inf)
    facts.append(Fact("worst output", f"{worst:,.2f}", "for the largest change of an output"))
    facts.append(Fact("worst output, l1 inputs", f"{dual:,.2f}", "the mass of the paths from the worst pixel"))
    return facts


def _enumerate(net: Network, exact: Network, images: list[Input], analysis: Analysis) -> None:
    """List every path, and hold the sums over them against the sweeps, exactly."""
    with _timed() as sweeping:
        norm = pg.path_norm(exact)
    with _timed() as listing:
        lifting = pg.path_lifting(exact, max_paths=MAX_PATHS)
        products = lifting.values
        unit = lcm(*{product.denominator for product in products})
        whole = [product.numerator * (unit // product.denominator) for product in products]
        total = Fraction(sum(map(abs, whole)), unit)
    note = f"sweep {sweeping[0]:.3f} s, enumeration of {len(whole):,} paths {listing[0]:.1f} s"
    analysis.identities.append(Identity("path-norm: one sweep = sum over all paths", Equality(norm, total), note))
    sweeps = [Fraction(pg.path_norm(exact, q, root=False)) for q in (2, inf, 0)]
    sums = [Fraction(sum(n * n for n in whole), unit**2), Fraction(max(map(abs, whole)), unit), sum(map(bool, whole))]
    analysis.identities.append(Identity("the same for q = 2, inf and 0", Equality(sweeps, sums)))

    found = Fraction(pg.path_norm(net))
    allowed = relative(roundings(net) + len(net.outputs)) * norm
    error = Inequality(abs(found - norm), allowed)
    share = f"{float(error.ratio or 0):.2g} of the a-priori bound"
    analysis.identities.append(Identity("float64 sweep within its error bound", error, share))

    with _timed() as factorising:
        pairs = [(exact(image).tolist(), _contract(exact, image, whole, unit)) for image in images]
    values, contracted = zip(*pairs, strict=True)
    note = f"{len(images)} test images, {len(net.outputs)} outputs each, {factorising[0]:.1f} s"
    analysis.identities.append(
        Identity("factorisation: R = <Phi, A (x, 1)>, path by path", Equality(values, contracted), note)
    )
    moduli = abs(pg.path_lifting(net, max_paths=MAX_PATHS).values)
    analysis.log_products = np.log10(moduli[moduli > 0])


def _contract(net: Network, x: Input, whole: list[int], unit: int) -> list[Fraction]:
    """The outputs as sums over the active paths; path products are integers over a common unit.

    A perceptron has as many paths to each output, and they are listed output by output.
    """
    scale = lcm(*(pixel.denominator for pixel in x))
    start = [int(pixel * scale) for pixel in (*x, Fraction(1))]
    active = pg.path_activations(net, x, max_paths=MAX_PATHS)
    rows, columns = active.nonzero()
    per_output = len(whole) // len(net.outputs)
    sums = [0] * len(net.outputs)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        sums[row // per_output] += whole[row] * start[column]
    return [Fraction(total, unit * scale) for total in sums]


def _rescale(exact: Network, n_rescalings: int, analysis: Analysis) -> None:
    """Rescaled copies: other parameters, same norms."""
    copies = [pg.rescale(exact, pg.random_rescaling(exact, seed)) for seed in range(n_rescalings)]
    norms = [[pg.path_norm(net, q, root=False) for q in (1, 2, inf)] for net in (exact, *copies)]
    sizes = [float(sum(w * w for w in net.theta)) for net in (exact, *copies)]
    largest = max(sizes[1:], default=sizes[0]) / sizes[0]
    note = f"{n_rescalings} random copies; the squared l2 norm of the parameters grows up to {largest:,.0f} times"
    analysis.identities.append(
        Identity("path-norms of rescaled copies", Equality(norms, [norms[0]] * len(norms)), note)
    )
    normal = pg.normalize(exact)
    same = Equality([pg.normalize(net).values for net in copies], [normal.values] * n_rescalings)
    analysis.identities.append(Identity("normal form of rescaled copies", same))
    product = Equality(Fraction(pg.operator_norm_product(normal)), Fraction(pg.path_norm(exact)))
    analysis.identities.append(Identity("product of norms in normal form = path-norm", product))
