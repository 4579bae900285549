r"""How much the outputs feel each parameter: the partial derivatives of the path-norm, and what follows from them.

.. math:: S_i = \frac{\partial P(|\theta|)}{\partial |\theta_i|}, \qquad
   \Lambda = \sum_i |\theta_i| S_i = \sum_p D_p\, \mathrm{len}(p)\, |\Phi_p| ,

P being the sum over the outputs of the path sums weighted by the box, and len(p) the number of parameters on p.
:math:`\Lambda` does not change under rescaling, and :math:`\max_i |\theta_i| \sum_i S_i \ge \Lambda`, with equality if
and only if all parameters that act have one size.

Source: derived here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pathgraph.arguments import Inputs
from pathgraph.errors import RangeError
from pathgraph.numbers import public
from pathgraph.pruning.masses import Moduli
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array

__all__ = ["Sensitivities", "sensitivities"]


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
        r"""The sum :math:`\Lambda` of the products, which no rescaling changes."""
        return (self.sizes * self.slopes).sum()


def sensitivities(net: ReluNetwork, inputs: Inputs | None = None) -> Sensitivities:
    """Sizes and slopes of all parameters, by one forward and one backward sweep.

    Raises
    ------
    RangeError
        If a slope leaves the range of floats.
    """
    masses = public(Moduli(net, inputs).summed(), "sensitivities")
    sizes = abs(net.theta)
    if not net.is_exact:
        sizes = sizes.astype(np.float64)
    acts = sizes != 0
    slopes = masses * 0
    with np.errstate(over="ignore", under="ignore"):
        slopes[acts] = masses[acts] / sizes[acts]
    if not net.is_exact and not np.isfinite(slopes).all():
        raise RangeError("sensitivities: a slope leaves the range of float64; use net.to_exact()")
    return Sensitivities(sizes, slopes)
