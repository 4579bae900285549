"""Bounds on round-off, derived and not guessed; as Fractions, so that they are compared exactly.

A computed sum over the paths of a network, in which every level rounds once per product and once per addition, is
the exact sum of the path products with a relative perturbation of each of at most ``gamma(roundings(oracle))``:
(fan-in + 1) roundings per level, the bias being one addition. For sums of non-negative terms that is the relative
error; for the evaluation of a network it is the error relative to the sum of the absolute values, because ReLU and
k-max-pool are exact operations and 1-Lipschitz for the supremum norm.
"""

import math
from fractions import Fraction

import numpy as np

from pathgraph.pathsum.sweep import sweep


def unit(dtype=np.float64):
    """The unit round-off."""
    return Fraction(float(np.finfo(dtype).eps)) / 2


def gamma(roundings, dtype=np.float64):
    """How far from 1 a product of n factors 1 + d, or 1 / (1 + d), abs(d) <= u, can be: (1 - u)**-n - 1, rounded up.

    By Bernoulli's inequality that is at most n u / (1 - n u), whose numerator does not have 53 n bits.
    """
    share = roundings * unit(dtype)
    if share >= 1:
        raise ValueError(f"{roundings} roundings leave no digit of {np.dtype(dtype)}")
    return share / (1 - share)


def roundings(oracle):
    """Over the levels, the sum of the largest fan-in + 1."""
    fan_in = {}
    for v in oracle.nodes:
        fan_in[oracle.level[v]] = max(fan_in.get(oracle.level[v], 0), oracle.graph.in_degree(v))
    return sum(d + 1 for d in fan_in.values())


def bits(numbers):
    """The largest absolute value of an exponent of 2 among some numbers m 2**e, 1/2 < m < 2."""
    fractions = [Fraction(w) for w in numbers if w]
    return max((abs(w.numerator.bit_length() - w.denominator.bit_length()) + 1 for w in fractions), default=0)


def power_roundings(size, p):
    """Of abs(w)**p, or of a p-th root if p < 1, computed as m**p times 2**(p e), for abs(e) <= size.

    The roundings of w and p make p and p log 2 units in m**p; two powers correct to 1 ulp make 4, their product and
    the fraction of p e one each; p e, if it is no integer, is off by 2 units of itself, log 4 < 1.4 in the power of 2.
    """
    return math.ceil(2 * p + 6 + (0 if p == int(p) else 1.4 * p * size))


def norm_roundings(numbers, q):
    """Of the q-norm: powers and additions, whose errors the root divides by q, and the root."""
    size, count = bits(numbers), len(numbers)
    return math.ceil((power_roundings(size, q) + count) / q) + power_roundings(q * size + count.bit_length(), 1 / q)


def exponential_roundings(log):
    """Of a number that comes as the exponential of its computed logarithm, log m + e log 2, 1/2 <= m < 1.

    Logarithms correct to 1 ulp, a product and a sum are off by at most 8 units of abs(log m) + abs(e log 2), which is
    at most abs(log) + 2 log 2; so is a sum of such logarithms, of which it bounds the absolute values. The exponential
    is correct to 1 ulp.
    """
    return math.ceil(8 * (abs(log) + 2)) + 2


def logarithm_slack(log, roundings):
    """How far a computed logarithm of a sum is from an expected one that was computed, too: both round, and the sum."""
    return float(gamma(roundings) + 2 * exponential_roundings(log) * unit())


def evaluation_roundings(graph):
    """Of any evaluation of a layer graph: a neuron rounds at most once per edge, once for the bias, once to divide."""
    return sum(
        sum(int(operation.n_edges // max(1, operation.target_size)) + 1 for operation in layer.operations) + 3
        for layer in graph.layers
        if not layer.is_view
    )


def float_slack(graph, *xs, dtype=np.float32):
    """For each output a bound on the round-off of any evaluation in `dtype`: gamma_k times the sum of absolute values.

    Twice as many roundings cover the difference of two evaluations, and that the sum is computed itself.
    """
    wide = graph.to_float(np.float64)
    rows = [np.abs(x).astype(float).reshape(len(x), -1) for x in xs]
    state = np.zeros((len(rows[0]), wide.dag.size))
    state[:, 0], state[:, wide.dag.inputs] = 1, np.concatenate(rows, axis=1)
    masses = sweep(wide, [([np.abs(w) for w in wide.tensors], None)], state, backend="numpy")
    slack = float(gamma(2 * evaluation_roundings(graph), dtype))
    return [slack * masses[:, graph.positions(name)] for name in graph.architecture.outputs]


def assert_close(computed, exact, slack):
    """The relative error is at most `slack`; zeros are exact."""
    found = computed if isinstance(computed, Fraction) else Fraction(float(computed))
    assert abs(found - Fraction(exact)) <= slack * abs(Fraction(exact))
