"""Bounds on round-off, derived and not guessed; as Fractions, so that they are compared exactly.

A computed sum over the paths of a network, in which every level rounds once per product and once per addition, is
the exact sum of the path products with a relative perturbation of each of at most ``gamma(roundings(oracle))``:
(fan-in + 1) roundings per level, the bias being one addition. For sums of non-negative terms that is the relative
error; for the evaluation of a network it is the error relative to the sum of the absolute values, because ReLU and
k-max-pool are exact operations and 1-Lipschitz for the supremum norm.
"""

from fractions import Fraction

import numpy as np


def unit(dtype=np.float64):
    """The unit round-off."""
    return Fraction(float(np.finfo(dtype).eps)) / 2


def gamma(roundings, dtype=np.float64):
    """How far from 1 a product of that many factors 1 + d, or 1 / (1 + d), abs(d) <= u, can be."""
    return 1 / (1 - unit(dtype)) ** roundings - 1


def roundings(oracle):
    """Over the levels, the sum of the largest fan-in + 1."""
    fan_in = {}
    for v in oracle.nodes:
        fan_in[oracle.level[v]] = max(fan_in.get(oracle.level[v], 0), oracle.graph.in_degree(v))
    return sum(d + 1 for d in fan_in.values())


def assert_close(computed, exact, slack):
    """The relative error is at most `slack`; zeros are exact."""
    assert abs(Fraction(float(computed)) - Fraction(exact)) <= slack * abs(Fraction(exact))
