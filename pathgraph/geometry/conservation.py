r"""What gradient flow conserves, and by how much gradient descent changes it.

A loss that depends on the parameters through the function of a network does not change along a rescaling. So its
gradient is orthogonal to every infinitesimal rescaling, and for each potential (`pathgraph.geometry.potentials`) with
differences :math:`c_i`, gradient flow conserves :math:`h = \sum_i c_i \theta_i^2`. For a hidden neuron with nothing
fixed or tied around it, this is

.. math:: h_v = \|\theta^{\to v}\|^2 + b_v^2 - \|\theta^{v \to}\|^2 ;

fixed entries leave the sums of the :math:`h_v` over the sets of neurons they join, and ties leave combinations. A step
:math:`\theta - \eta g` of gradient descent changes :math:`h` by exactly :math:`\eta^2 \sum_i c_i g_i^2`.

Derived here; for layered networks the laws are those of arXiv 2307.00144 and the literature it cites.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from pathgraph.arguments import number
from pathgraph.errors import ParameterError, RangeError
from pathgraph.geometry.potentials import generic_potentials, product
from pathgraph.graph.network import Network, require_numbers
from pathgraph.scalars import Array, as_values, refuse_floats, to_fraction
from pathgraph.shown import argument_text, article, number_text

__all__ = ["ConservationReport", "ConservedQuantities", "check_conservation", "conserved_quantities"]


@dataclass(frozen=True, eq=False, repr=False)
class ConservedQuantities:
    """The conservation laws of gradient flow on a network, and their values; made by `conserved_quantities`.

    Attributes
    ----------
    net : Network
    laws : tuple of dict
        For each law, the multiples with which the hidden neurons' :math:`h_v` enter it.
    coefficients : csr_array of int, shape (n_laws, n_parameters)
        The law is ``coefficients @ theta**2``.
    values : ndarray, shape (n_laws,)
        At the parameters of the network, in its scalars.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.conserved_quantities(pg.from_weights([[[3]], [[4]]])).values
    array([-7.])
    """

    net: Network
    laws: tuple[Mapping[Hashable, int], ...]
    coefficients: csr_array
    values: Array

    def __len__(self) -> int:
        return len(self.laws)

    def change(self, step: ArrayLike) -> Array:
        r"""How :math:`h` changes from :math:`\theta` to :math:`\theta + \delta`, to second order and exactly.

        Parameters
        ----------
        step : array_like, shape (n_parameters,)
            :math:`\delta`.

        Returns
        -------
        ndarray, shape (n_laws,)
            :math:`\sum_i c_i (2\theta_i\delta_i + \delta_i^2)`; Fractions for an exact network, float64 otherwise.

        Raises
        ------
        ParameterError
            On a step of a wrong shape, NaN or infinities, and on floats for an exact network.
        RangeError
            If a float leaves its range.
        """
        delta = self._vector(step, "step")
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            change = product(self.coefficients, delta * (2 * self.net.theta.astype(_wide(self.net)) + delta))
        return _in_range(change, "change")

    def drift(self, gradient: ArrayLike, rate: Any) -> Array:
        r"""By how much a step of gradient descent changes :math:`h`, exactly: :math:`\eta^2 \sum_i c_i g_i^2`.

        Parameters
        ----------
        gradient : array_like, shape (n_parameters,)
            Of a loss that sees the parameters only through the network's function, or through its path-lifting.
        rate : number
            :math:`\eta`.

        Returns
        -------
        ndarray, shape (n_laws,)
            Fractions for an exact network, float64 otherwise.

        Raises
        ------
        ParameterError
            On a gradient of a wrong shape, NaN or infinities, and on floats for an exact network.
        RangeError
            If a float leaves its range.
        """
        vector, factor = self._vector(gradient, "gradient"), _scalar(self.net, rate, "rate")
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            drift = product(self.coefficients, (factor * vector) ** 2)
        return _in_range(drift, "drift")

    def _vector(self, given: ArrayLike, name: str) -> Array:
        """One number for each parameter, in the scalars of the network."""
        vector = given if isinstance(given, np.ndarray) else np.asarray(given, dtype=object)
        if vector.shape != self.net.theta.shape:
            raise ParameterError(f"{name}: needed shape {self.net.theta.shape}, as theta has, got {vector.shape}")

        def describe(i: int) -> str:
            return f"{name}[{i}] (parameter {self.net.parameters[i]!r})"

        if self.net.is_exact:
            refuse_floats(vector, describe)
        return as_values(vector, describe, _wide(self.net))

    def __repr__(self) -> str:
        shown = [f"{_name(law)}: {value}" for law, value in zip(self.laws[:6], self.values[:6].tolist(), strict=True)]
        dots = ", ..." if len(self) > 6 else ""
        return f"ConservedQuantities({len(self)} law{'' if len(self) == 1 else 's'}: {{{', '.join(shown)}{dots}}})"


def _name(law: Mapping[Hashable, int]) -> str:
    return " + ".join(repr(v) if k == 1 else f"{k}*{v!r}" for v, k in law.items())


def conserved_quantities(net: Network) -> ConservedQuantities:
    r"""All conservation laws of gradient flow that hold for every loss of the network's path-lifting.

    Parameters
    ----------
    net : Network
        Frozen and structural values stay as they are while it is trained.

    Returns
    -------
    ConservedQuantities
        A basis of the laws. If nothing is fixed or tied there is one for each hidden neuron on a path, in canonical
        order.

    Raises
    ------
    UnsupportedOperatorError
        On a symbolic network.
    RangeError
        If the square of a float leaves the range of floats.

    Notes
    -----
    They hold for neurons of any type, and for any loss through the function, the derivative on a kink being that of
    the piece selected by the path-activations. Beside them, only the parameters on no path are conserved, generically,
    for every loss of the path-lifting; a loss of the function alone may conserve more, where neurons are identities.

    With weight decay :math:`\tfrac\mu2\|\theta\|^2`, biases included, :math:`\dot h = -2\mu h`. Linear in the size of
    the network if nothing is tied.

    References
    ----------
    Derived here; arXiv 2307.00144 for layered networks.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.conserved_quantities(pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None]))
    ConservedQuantities(2 laws: {(1, 0): 4.0, (1, 1): 34.0})
    """
    require_numbers(net, "conserved_quantities")
    basis = generic_potentials(net)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        values = product(basis.on_parameters, net.theta.astype(_wide(net)) ** 2)
    return ConservedQuantities(net, basis.directions, basis.on_parameters, _in_range(values, "conserved_quantities"))


def _wide(net: Network) -> Any:
    return object if net.is_exact else np.float64


def _scalar(net: Network, value: Any, name: str) -> Any:
    """A number in the scalars of the network."""
    if net.is_exact:
        refuse_floats([value], lambda _: name)
    return as_values([value], lambda _: name, _wide(net))[0]


def _in_range(values: Array, function: str) -> Array:
    if values.dtype != object and not np.isfinite(values).all():
        raise RangeError(f"{function}: a square leaves the range of float64; use net.to_exact()")
    return values


@dataclass(frozen=True, repr=False)
class ConservationReport:
    r"""Whether recorded parameters look like steps of gradient descent, as far as the conservation laws tell.

    Attributes
    ----------
    holds : bool
        Whether `defect` is at most `tolerance`.
    defect : number
        The largest :math:`|\sum_i c_i\theta_i\delta_i|` over the laws and steps, less what the rounding of the records
        may make of it, relative to :math:`\sum_i |c_i\theta_i\delta_i|`; zero for steps of gradient descent in exact
        arithmetic.
    worst : (int, int)
        The step and the law where it is attained.
    drift : number
        The largest change of a conserved quantity from the first to any later parameters.
    quadratic : number
        The largest sum over the steps of :math:`\sum_i c_i\delta_i^2`, which is the drift of gradient descent.
    tolerance : number

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[3]], [[4]]], dtype=object)
    >>> bool(pg.check_conservation(net, [net.theta, [3 + 4, 4 + 3]]))  # a multiple of the gradient (4, 3) of 3 * 4
    True
    """

    holds: bool
    defect: Any
    worst: tuple[int, int]
    drift: Any
    quadratic: Any
    tolerance: Any

    def __bool__(self) -> bool:
        return self.holds

    def __repr__(self) -> str:
        step, law = self.worst
        shown = [number_text(x, 3) for x in (self.defect, self.tolerance, self.drift, self.quadratic)]
        where = f" at step {step}, law {law}" if self.defect else ""
        advice = "" if self.holds else "; every step of plain gradient descent must be recorded, not each k-th"
        return (
            f"ConservationReport({'holds' if self.holds else 'fails'}: defect {shown[0]}{where}, tolerance {shown[1]}; "
            f"drift {shown[2]}, quadratic {shown[3]}{advice})"
        )


def check_conservation(
    net: Network, thetas: Sequence[ArrayLike] | Array, *, decay: Any = 0, tolerance: Any = None
) -> ConservationReport:
    r"""Check recorded parameters of a training run against the conservation laws.

    With :math:`\delta` the difference of two consecutive records, :math:`h` changes by
    :math:`2\sum_i c_i\theta_i\delta_i + \sum_i c_i\delta_i^2`. For a step of plain gradient descent the first sum
    vanishes. Momentum, adaptive steps, clipping per coordinate, another network, or a step on something that is no
    function of the network (a regulariser) show as a defect.

    Parameters
    ----------
    net : Network
        The network that was trained; its own parameters do not matter.
    thetas : sequence of array_like, shape (n_records, n_parameters)
        At least two records, one per step: those of every fifth step, say, fail, since gradients differ in between.
    decay : number
        The product of learning rate and weight decay: :math:`\delta = -\eta g - \eta\mu\theta`, decay
        :math:`= \eta\mu`. Biases included.
    tolerance : number, optional
        The largest defect that is accepted, at least 0. By default 0 for an exact network, and the square root of the
        unit round-off for floats, whose gradients are rounded in ways that the records do not show: that of the network
        or of the records, whichever is coarser.

    Returns
    -------
    ConservationReport
        True if the defect is at most the tolerance.

    Raises
    ------
    ParameterError
        On records of a wrong shape, fewer than two, NaN or infinities, floats for an exact network, a decay that is no
        finite number, a negative tolerance.
    RangeError
        If the drift of floats leaves their range.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[2]], [[1]]], dtype=object)
    >>> gradient = pg.parameter_jacobian(net, [[1]])[0, 0]
    >>> report = pg.check_conservation(net, [net.theta, net.theta - Fraction(1, 10) * gradient])
    >>> report.defect, report.drift
    (Fraction(0, 1), Fraction(3, 100))
    >>> pg.check_conservation(net, [net.theta, net.theta - Fraction(1, 10)])
    ConservationReport(fails: defect 1/3 at step 0, law 0, tolerance 0; drift 1/5, quadratic 0; every step of ...)
    """
    require_numbers(net, "check_conservation")
    thetas = _listed(thetas)
    eps = max([_eps(net.dtype), *(_eps(getattr(theta, "dtype", net.dtype)) for theta in thetas)])
    if tolerance is None:
        tolerance = 0 if net.is_exact else eps**0.5
    limit, decay = number(tolerance, "tolerance", "[0, inf]"), _scalar(net, decay, "decay")
    records, size = _records(net, thetas)
    basis = generic_potentials(net)
    coefficients, sizes = basis.on_parameters, abs(basis.on_parameters)
    zero = to_fraction(0) if net.is_exact else 0.0
    defect, worst = zero, (0, 0)
    quadratic = product(coefficients, records[0] * 0)
    peak = summed = zero
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # only a decay can make these leave their range
        start = product(coefficients, records[0] ** 2)
        for t, (theta, later) in enumerate(pairwise(records)):
            delta = later - theta
            gradient = delta + decay * theta
            excess = abs(product(coefficients, theta * gradient))
            if not net.is_exact:
                excess = np.maximum(excess - eps / 2 * product(sizes, abs(theta) * (abs(theta) + abs(later))), 0)
            terms = _in_range(product(sizes, abs(theta * gradient)), "check_conservation")
            relative = _ratios(excess, terms)
            for k, ratio in enumerate(relative):
                if ratio > defect:
                    defect, worst = ratio, (t, k)
            quadratic = quadratic + product(coefficients, delta**2)
            drift = product(coefficients, later**2) - start
            peak, summed = max([peak, *abs(drift)]), max([summed, *abs(quadratic)])
        if not net.is_exact:
            peak, summed = (float(np.ldexp(float(value), 2 * size)) for value in (peak, summed))
            _in_range(np.array([peak, summed]), "check_conservation")
    return ConservationReport(bool(defect <= limit), defect, worst, peak, summed, tolerance)


def _listed(thetas: Any) -> list[Any]:
    try:
        return list(thetas)
    except TypeError:
        raise ParameterError(f"thetas: needed a sequence of records of theta, got {argument_text(thetas)}") from None


def _records(net: Network, thetas: list[Any]) -> tuple[list[Array], int]:
    """The records in the scalars of the network; floats are divided by a power of two that none exceeds in size."""
    if len(thetas) < 2:
        raise ParameterError(f"thetas: needed at least two records, got {len(thetas)}")
    recorded = []
    for k, theta in enumerate(thetas):
        try:
            one = net.with_theta(theta)
        except ParameterError as error:
            raise ParameterError(f"thetas: record {k}: {error}") from None
        if one.scalars not in ("exact", net.scalars):
            raise ParameterError(
                f"thetas: record {k}: needed {article(net.scalars)} record like the network, got {one.scalars} scalars"
            )
        recorded.append(one)
    if net.is_exact:
        return [one.theta for one in recorded], 0
    wide = [one.theta.astype(np.float64) for one in recorded]
    size = int(np.frexp(max(float(np.abs(record).max(initial=0)) for record in wide))[1])
    with np.errstate(under="ignore"):
        return [np.ldexp(record, -size) for record in wide], size


def _eps(dtype: Any) -> float:
    return float(np.finfo(dtype).eps) if np.dtype(dtype).kind == "f" else 0.0


def _ratios(numerators: Array, denominators: Array) -> list[Any]:
    return [abs(a) / b if b else abs(a) for a, b in zip(numerators.tolist(), denominators.tolist(), strict=True)]
