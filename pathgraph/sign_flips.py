"""The mass of the paths of two networks, by how many of their parameters change sign from one to the other.

An automaton with three states counts the changes along a path: none, an odd number, an even number of at least two. So
one sweep in three states gives all masses, and no path is listed. The mass of a path is the product of the absolute
values of its parameters in both networks: it is zero if one of them is zero in either.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pathgraph.arguments import require_same_structure
from pathgraph.errors import RangeError
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.preparation import buffer, entries
from pathgraph.pathsum.scaled import scaled, scaled_product, scaled_to_float, scaled_total
from pathgraph.pathsum.semirings import REAL, SCALED
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array

__all__ = ["SignFlipMasses", "sign_flip_masses"]


class SignFlipMasses(NamedTuple):
    """Mass of the paths by the number of parameters whose signs differ between two networks.

    Attributes
    ----------
    none, odd, even : scalar
        No flip, an odd number of flips, an even number of at least two.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2]], [[3]]], dtype=object)
    >>> pg.sign_flip_masses(net, net.with_theta([-1, 2, 3])).odd
    Fraction(9, 1)
    """

    none: Any
    odd: Any
    even: Any


def sign_flip_masses(net: ReluNetwork, other: ReluNetwork) -> SignFlipMasses:
    r"""Sum :math:`|\Phi_p(\theta)\Phi_p(\theta')|` over the paths, by how many of their parameters change sign.

    The mass `even` vanishes if and only if every path on which both products are non-zero has no flip, or an odd number
    of them. Three times the work of a path-norm: one sweep in three states.

    Parameters
    ----------
    net, other : Network or LayerGraph
        Of one architecture.

    Returns
    -------
    SignFlipMasses
        Floats, or Fractions for exact networks.

    Raises
    ------
    ParameterError
        If the architectures or the kinds of scalars differ.
    RangeError
        If a mass leaves the range of floats.

    References
    ----------
    Derived here; the sign hypothesis it decides is the one of arXiv 2405.15006.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net, other = pg.from_weights([[[1]], [[2]]]), pg.from_weights([[[-1]], [[-3]]])
    >>> pg.sign_flip_masses(net, other)
    SignFlipMasses(none=0.0, odd=0.0, even=6.0)
    """
    require_same_structure(net, other, "sign_flip_masses")
    ring, lift = (REAL, accelerated) if net.is_exact else (SCALED, scaled)
    mul: Any = np.multiply if net.is_exact else scaled_product

    def product(a: Array, b: Array, flips: bool) -> Array:
        mass = mul(lift(abs(a)), lift(abs(b)))
        is_flip = ((a < 0) & (b > 0)) | ((a > 0) & (b < 0))
        mass[is_flip != flips] = ring.zero
        return np.asarray(mass)

    kept = entries(lambda a, b: product(a, b, False), net, other)
    flipped = entries(lambda a, b: product(a, b, True), net, other)
    flip = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 0]], dtype=bool)
    x = buffer(net, ring, states=3)
    x[0, CONSTANT] = x[0, net.dag.inputs] = ring.one
    x = sweep(net, [(kept, None), (flipped, flip)], x, ring=ring)
    masses = x[:, net.dag.outputs]
    if net.is_exact:
        return SignFlipMasses(*restored(masses.sum(axis=1)).tolist())
    sums = np.concatenate([scaled_to_float(scaled_total(row)) for row in masses])
    if not np.isfinite(sums).all():
        raise RangeError("sign_flip_masses: a mass leaves the range of float64; use net.to_exact()")
    return SignFlipMasses(*sums.tolist())
