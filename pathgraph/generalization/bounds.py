r"""Generalisation bounds by the path-norm, with every constant on the table.

For a sample of n independent pairs, a loss that is L-Lipschitz in the Euclidean norm of the outputs, and any estimator
whose path-norm is at most r, r being **fixed before the data are seen**,

.. math:: \mathbb E\big[\text{risk} - \text{empirical risk}\big] \le \frac{4\sigma}{n} L C r ,
   \qquad \sigma^2 = \mathbb E \max\Big(n, \max_u \sum_i (X_i)_u^2\Big) ,

where C depends on the structure (`pathgraph.generalization.peeling`), and where "n," is left out if there are no
biases. The 4 is 2 for the symmetrisation, :math:`\sqrt 2` for the contraction of vectors, :math:`\sqrt 2` for the
exponential moments.

A trained network has the path-norm that it has, which no one knew before. The statement for it is the *stratified* one:
with high probability, for all networks at once, and for losses with values in [0, 1]. The norm is rounded up to a
geometric grid, whose cells share the confidence. For the top-1 error the margin may be chosen after training, too: only
the ratio of norm and margin enters, so that one grid serves for both.

The theorem itself cannot be refuted by examples; the checks hold its parts against exact enumeration. The bounds are
evaluated in floats and do not enclose their round-off, a few units relative to the fan-ins.

Sources: arXiv 2310.01225; the constant of the margin, stages and strata are derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import MOST_SAMPLES, Inputs, classes, half_widths, natural, number, samples
from pathgraph.errors import GraphError, ParameterError, RangeError
from pathgraph.generalization.peeling import ConstantName, PeelingConstants, peeling_constants
from pathgraph.generalization.results import EarlierBound, GeneralizationBound, MarginBound, Stratum, exponential, times
from pathgraph.metrics.gaps import gamma, roundings, to_rationals
from pathgraph.norms import log_path_norm, operator_norm_product, power_sums
from pathgraph.resolutions import ReluNetwork, Structure, require_network_of_numbers
from pathgraph.scalars import Array, to_fraction
from pathgraph.shown import argument_text

__all__ = ["flattened_samples", "generalization_bound"]

SQRT2 = math.sqrt(2)
LOSSES = {"cross-entropy": SQRT2, "margin": SQRT2}
"""Lipschitz constants, in the Euclidean norm of the outputs: of the cross-entropy of the softmax, and of the margin."""


def generalization_bound(
    net: ReluNetwork | Structure | PeelingConstants,
    n_samples: int | None = None,
    *,
    loss: str | float = "cross-entropy",
    radius: float | None = None,
    inputs: Inputs | None = None,
    data: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    depth: int | None = None,
    constant: ConstantName | None = None,
    delta: float = 0.05,
    ratio: float = 1.1,
) -> GeneralizationBound:
    r"""The path-norm generalisation bound of a network, or of an architecture and a radius.

    Parameters
    ----------
    net : Network, LayerGraph, Architecture or PeelingConstants
        Anything but a network needs `radius`.
    n_samples : int, optional
        n; the number of rows of `data` by default.
    loss : {"cross-entropy", "margin"} or number
        The loss, or its Lipschitz constant L in the Euclidean norm of the outputs. With `labels`, the margin.
    radius : number, optional
        r, fixed before the data; the path-norm of the network by default. Must not be less than it: on exact networks
        this is compared exactly; on floats, whose sweep is rounded, a radius is refused if it is less for sure, that is
        if it is below the computed norm by more than :math:`\gamma_m`, relatively, m the number of roundings that a
        path meets: those of the fan-ins and one per edge and output.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Bounds on the absolute values of the inputs, ones by default: then :math:`\sigma = \sqrt n \max(1, B)`.
    data : array_like, shape (n, n_inputs), optional
        The training inputs: sigma is then that of the sample. For a layer graph of one input also ``(n, *its shape)``.
    labels : array_like of int, shape (n,), optional
        The classes of the data, as indices of outputs: gives `margins`, at the quantiles e, 2e/3 + 1/3, (e + 1)/2,
        e/3 + 2/3 and 1 of the training margins, e being the training error.
    depth : int, optional
        As in `peeling_constants`.
    constant : {"staged", "theorem", "sharpened"}, optional
        "staged" by default, or the theorem's if `net` is plain numbers.
    delta : number in (0, 1)
        The probability that a stratified statement fails.
    ratio : number > 1
        Of the grid of radii.

    Returns
    -------
    GeneralizationBound

    Raises
    ------
    ParameterError
        On arguments out of range, a radius below the path-norm, data without rows, labels that are no classes.

    Notes
    -----
    The stratified statement, for the networks in the cell :math:`r_{k-1} < \|\Phi\|_1 \le r_k`, is McDiarmid's
    inequality and symmetrisation with the share :math:`\delta w_k` of the confidence. Any cell above the norm will do,
    so that the best is taken. For the margins the statement is applied to the ramp loss at margin 1 of the network
    divided by :math:`\gamma`, whose path-norm is :math:`\|\Phi\|_1/\gamma`: so it holds for all margins at once.

    References
    ----------
    arXiv 2310.01225; the margin's :math:`\sqrt 2`, stages and strata are derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], dtype=object)
    >>> bound = pg.generalization_bound(net, 400, loss=1, constant="theorem")
    >>> bound.constants.moments("theorem"), bound.sigma, bound.radius_given
    (Fraction(54, 1), 20.0, False)
    >>> round(bound.gap / (4 * 20 / 400 * bound.C * 7), 12)
    1.0
    """
    if isinstance(net, PeelingConstants) and depth is not None:
        raise ParameterError(
            f"depth: plain numbers have the depth {net.depth}; leave depth out, got {argument_text(depth)}"
        )
    constants = net if isinstance(net, PeelingConstants) else peeling_constants(net, depth=depth)
    network = net if isinstance(net, ReluNetwork) else None
    if network is not None:
        require_network_of_numbers(network, "generalization_bound")
    if constant is None:
        constant = "theorem" if constants.stages is None else "staged"
    delta, ratio = number(delta, "delta", "(0, 1)"), number(ratio, "ratio", "(1, inf)")
    lipschitz = SQRT2 if labels is not None else _loss_constant(loss)
    if data is None and n_samples is None:
        raise ParameterError("n_samples: needed an integer >= 1, or data=, got None")
    rows = None if data is None else samples(flattened_samples(network, data), constants.n_inputs, n_samples)
    n = natural(n_samples, "n_samples", least=1, most=MOST_SAMPLES) if rows is None else len(rows)
    sigma = _sigma(net, constants, rows, n, inputs)
    norm, r = _radii(network, radius)
    scale = 4 * sigma * constants.value(constant) / n
    grid = _Grid(scale, n, delta, math.log(ratio), rows is not None)
    bound = GeneralizationBound(
        constants=constants,
        constant=constant,
        C=constants.value(constant),
        n_samples=n,
        sigma=sigma,
        sigma_from_data=rows is not None,
        loss="margin" if labels is not None else loss if isinstance(loss, str) else "given",
        lipschitz=lipschitz,
        log_path_norm=norm,
        log_radius=r,
        radius_given=radius is not None,
        first_factor=scale,
        gap=times(scale * lipschitz, r),
        delta=delta,
        ratio=ratio,
        stratum=grid.stratum(norm, lipschitz),
        margins=(),
        earlier=(),
    )
    margins = () if labels is None else _margin_bounds(network, rows, labels, grid, (norm, r))
    return replace(bound, margins=margins, earlier=_earlier(network, bound))


# -- the pieces -----------------------------------------------------------------------------------------------------


FAR = 1000
"""How many cells above that of a small radius are tried."""


@dataclass(frozen=True)
class _Grid:
    """The strata: radii that are powers of a ratio, with shares of the confidence."""

    scale: float
    n: int
    delta: float
    log_ratio: float
    from_data: bool

    def stratum(self, log_radius: float, lipschitz: float) -> Stratum:
        """The best of some cells above a radius: of its own, and of larger ones with a larger share."""
        k = math.ceil(log_radius / self.log_ratio) if log_radius > -math.inf else -(10**6)
        k += k * self.log_ratio < log_radius  # a rounded quotient must not round the radius down
        cells = (self._cell(index, lipschitz) for index in (k, *range(max(k, -FAR) + 1, 1)))
        return min(cells, key=lambda cell: cell.gap)

    def _cell(self, k: int, lipschitz: float) -> Stratum:
        weight = 2 / (3 * (abs(k) + 1) * (abs(k) + 2))
        confidence = math.log(1 / self.delta) - math.log(weight)
        deviation = math.sqrt(confidence / (2 * self.n))
        if self.from_data:
            deviation = 3 * math.sqrt((math.log(2) + confidence) / (2 * self.n))
        top = k * self.log_ratio
        return Stratum(exponential(top), k, weight, times(self.scale * lipschitz, top), deviation)


def _margin_bounds(
    net: ReluNetwork | None, rows: Array | None, labels: ArrayLike, grid: _Grid, logs: tuple[float, float]
) -> tuple[MarginBound, ...]:
    if net is None or rows is None:
        raise ParameterError("labels: margins need a network and data=")
    n = len(rows)
    own = classes(labels, n, len(net.dag.outputs))
    scores = np.asarray((net if net.scalars == "float" else net.to_float()).rows(rows), dtype=np.float64)
    right = scores[np.arange(n), own]
    scores[np.arange(n), own] = -np.inf
    margins = np.sort(right - scores.max(axis=1))
    wrong = int((margins <= 0).sum())
    found = []
    for parts, of in ((wrong, 1), (2 * wrong + n, 3), (wrong + n, 2), (wrong + 2 * n, 3), (n, 1)):
        at = min(-(-parts // of), n - 1)  # rounded up
        # Without a positive margin any will do: the training error is 1.
        margin = float(margins[at]) if wrong < n else 1.0
        below = float((margins < margin).mean())
        norm, radius = (log - math.log(margin) for log in logs)
        complexity = times(grid.scale * SQRT2, radius)
        found.append(MarginBound(parts / (of * n), margin, below, complexity, grid.stratum(norm, SQRT2)))
    return tuple(found)


def _earlier(net: ReluNetwork | None, bound: GeneralizationBound) -> tuple[EarlierBound, ...]:
    """Orders of three earlier bounds."""
    shape = bound.constants
    scale = bound.lipschitz * bound.sigma / bound.n_samples
    inputs, depth, r = math.log(shape.n_inputs), shape.depth, bound.log_radius
    no_bias: tuple[str, ...] = () if not shape.biases else ("no biases",)
    scalar: tuple[str, ...] = () if shape.n_outputs == 1 else ("one output",)
    product: float | None = None
    layered: tuple[str, ...] = ("a multilayer perceptron",)  # a layer graph has weights that are tied
    if net is not None:
        try:
            product, layered = float(operator_norm_product(net, 1, 1)), ()
        except (RangeError, OverflowError):  # of floats, and of the rationals of an exact network
            product, layered = math.inf, ()
        except GraphError:
            pass
    return (
        EarlierBound(
            "Neyshabur et al. 2015",
            "arXiv:1503.00036",
            "2^D |Phi|_1 sqrt(log d_in)",
            times(scale * math.sqrt(inputs), r + depth * math.log(2)),
            no_bias + scalar,
        ),
        EarlierBound(
            "Golowich et al. 2018",
            "arXiv:1712.06541",
            "|M_L|_{1,1} prod_{l<L} |M_l|_{1,inf} sqrt(D + log d_in)",
            None if product is None else scale * math.sqrt(depth + inputs) * product,
            layered + no_bias + scalar,
        ),
        EarlierBound(
            "Barron and Klusowski 2019",
            "arXiv:1902.00800",
            "|Phi|_1 sqrt(D + log d_in)",
            times(scale * math.sqrt(depth + inputs), r),
            layered + no_bias + scalar,
        ),
    )


def flattened_samples(net: ReluNetwork | None, data: Any) -> Any:
    """Samples in the shape of the only input, flattened; anything else as it is."""
    shapes = None if net is None else net.architecture.input_shapes
    if shapes is None or len(shapes) != 1 or np.shape(data)[1:] != shapes[0]:
        return data
    return np.reshape(data, (len(data), -1))


def _sigma(net: Any, constants: PeelingConstants, rows: Array | None, n: int, inputs: Any) -> float:
    if rows is not None:
        if inputs is not None:
            raise ParameterError("inputs: with data= sigma comes from the data; leave inputs out")
        lengths = [math.hypot(*column) for column in rows.T.tolist()]
        return max(*lengths, math.sqrt(n) if constants.biases else 0.0, np.finfo(float).tiny)
    if isinstance(net, ReluNetwork):
        largest = float(half_widths(net, inputs).max())
    else:
        largest = number(1.0 if inputs is None else inputs, "inputs", "[0, inf)")
    return math.sqrt(n) * (max(1.0, largest) if constants.biases else largest)


def _radii(net: ReluNetwork | None, radius: Any) -> tuple[float, float]:
    """The logarithms of the path-norm and of r."""
    given = None if radius is None else math.log(number(radius, "radius", "(0, inf)"))
    if net is None:
        if given is None:
            raise ParameterError("radius: needed a bound r on the path-norm, since there is no network to take it from")
        return given, given
    norm = float(log_path_norm(net))
    if given is None:
        return norm, norm
    sums = power_sums(net, 1)
    relative = 0.0 if net.is_exact else gamma(roundings(net, 1) + len(sums))
    if to_fraction(radius) < sum(to_rationals([sums])[0]) * (1 - to_fraction(relative)):
        raise ParameterError(f"radius: needed at least the path-norm, exp({norm:.6g}), got {argument_text(radius)}")
    return norm, given


def _loss_constant(loss: Any) -> float:
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    if isinstance(loss, str):
        raise ParameterError(
            f"loss: needed one of {', '.join(map(repr, LOSSES))} or a Lipschitz constant, got {argument_text(loss)}"
        )
    return number(loss, "loss", "(0, inf)")
