r"""How much the outputs feel each parameter: the partial derivatives of the path-norm, and what follows from them.

.. math:: S_i = \frac{\partial P(|\theta|)}{\partial |\theta_i|}, \qquad
   \Lambda = \sum_i |\theta_i| S_i = \sum_p D_p\, \mathrm{len}(p)\, |\Phi_p| ,

P being the sum over the outputs of the path sums weighted by the box, and len(p) the number of parameters on p.
:math:`\Lambda` does not change under rescaling, and :math:`\max_i |\theta_i| \sum_i S_i \ge \Lambda`, with equality if
and only if all parameters that act have one size.

Source: derived here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pathgraph.arguments import Inputs
from pathgraph.numbers import product, public
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_quotient
from pathgraph.pruning.masses import Moduli, grouped
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array

__all__ = ["Sensitivities", "sensitivities", "sizes_and_slopes"]

TINY, EPS = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).eps)
"""The smallest normal float, and the step from 1 to the next."""


class Sensitivities(NamedTuple):
    """Of the parameters of a network, over a box.

    Attributes
    ----------
    sizes : ndarray, shape (n_parameters,)
        Absolute values.
    slopes : ndarray, shape (n_parameters,)
        :math:`S_i`; 0 where the parameter is 0, since no quantizer here moves it.
    """

    sizes: Array
    slopes: Array

    @property
    def invariant(self) -> Any:
        r"""The sum :math:`\Lambda` of sizes times slopes, which no rescaling changes, made of the slopes as rounded.

        Raises
        ------
        RangeError
            If it leaves the range of floats.
        """
        products = product(self.sizes, self.slopes)
        total = grouped(products, np.zeros(len(products), dtype=np.int64), 1)
        return public(total, "sensitivities").tolist()[0]


def sensitivities(net: ReluNetwork, inputs: Inputs | None = None) -> Sensitivities:
    """Sizes and slopes of all parameters, by one forward and one backward sweep.

    Parameters
    ----------
    net : Network or LayerGraph
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs; ones by default.

    Returns
    -------
    Sensitivities
        Fractions on exact networks, float64 else. A float below the range is rounded to a subnormal number or to zero.

    Raises
    ------
    RangeError
        If a slope leaves the range of floats.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.quantization.sensitivities import sensitivities
    >>> found = sensitivities(pg.from_weights([[[2, -1]], [[3]]]))
    >>> found.sizes, found.slopes, found.invariant
    (array([2., 1., 3.]), array([3., 3., 3.]), 18.0)
    """
    sizes, slopes = sizes_and_slopes(net, inputs)
    return Sensitivities(sizes, public(slopes, "sensitivities"))


def sizes_and_slopes(net: ReluNetwork, inputs: Inputs | None = None) -> tuple[Array, Array]:
    """The sizes and slopes of `sensitivities` before slopes are rounded.

    Parameters
    ----------
    net, inputs : as for `sensitivities`

    Returns
    -------
    sizes : ndarray, shape (n_parameters,)
        Fractions or float64.
    slopes : ndarray, shape (n_parameters,)
        Fractions, float64, or scaled numbers if floats cannot hold them.
    """
    moduli = Moduli(net, inputs)
    masses = moduli.summed()
    if net.is_exact:
        sizes = abs(net.theta)
        return sizes, _quotients(restored(masses), sizes, operator.truediv)
    sizes = np.abs(net.theta, dtype=np.float64)
    if masses.dtype.kind == "f":
        if net.streams is not None and _is_any_lost(masses, sizes):
            masses, _ = net.streams.parameter_masses(net, 1, moduli.widths, wide=True)
        else:
            with np.errstate(over="ignore", under="ignore"):
                slopes = _quotients(masses, sizes, operator.truediv)
            if not ((slopes < TINY) & (masses > 0)).any() and np.isfinite(slopes).all():
                return sizes, slopes
    return sizes, _quotients(scaled(masses), scaled(sizes), scaled_quotient)


def _quotients(masses: Array, sizes: Array, divide: Callable[[Array, Array], Array]) -> Array:
    """The masses over the sizes; where these are zero, the masses, which are zero, too."""
    slopes = masses.copy()
    acts = (sizes["mantissa"] if sizes.dtype == SCALED_DTYPE else sizes) != 0
    slopes[acts] = divide(masses[acts], sizes[acts])
    return slopes


def _is_any_lost(masses: Array, sizes: Array) -> bool:
    """Whether a mass left the range of normal floats, so that the slope cannot be found from it.

    Sums layer by layer see to it that slopes, which are sums of products of two numbers, are normal numbers or zero. So
    the product with a size of at least EPS is zero only if the slope is: TINY * EPS is the smallest positive float.
    """
    small = (masses < TINY) & (sizes != 0)
    return bool((small & ((masses != 0) | (sizes < EPS))).any()) or not np.isfinite(masses.sum())
