"""One registry of small layer graphs: every kind of layer, and what is hard about it.

A maker is called with a builder and a function that makes named tensors of small random integers; it returns the
outputs. ``build(name, dtype)`` gives the graph in floats or in Fractions.
"""

from fractions import Fraction
from functools import cache

import numpy as np
from scipy.sparse import csr_array

import pathgraph as pg

MAKERS = {}


def maker(function):
    MAKERS[function.__name__] = function
    return function


@cache
def build(name, dtype=object):
    """A graph of the registry; the same numbers in every scalar."""
    builder, rng = pg.LayerGraphBuilder(), np.random.default_rng(sum(map(ord, name)))

    def tensor(what, *shape, role="parameter", low=-3, high=4):
        numbers = rng.integers(low, high, shape)
        values = np.array([Fraction(int(n)) for n in numbers.ravel()] or [], dtype=object).reshape(shape)
        return builder.tensor(what, values if dtype is object else values.astype(dtype), role=role)

    graph = builder.build(MAKERS[name](builder, tensor))
    return graph if dtype is object else graph.to_float(dtype)


def moved(graph, how, seed=0):
    """Another graph of the same architecture: "shrunk", "grown", "moved" (no sign flips) or "flipped"."""
    rng = np.random.default_rng(seed)
    theta = graph.theta
    signs = rng.choice([-1, 1], len(theta)) if how == "flipped" else np.ones(len(theta), dtype=int)
    tops = {"shrunk": (0, 5), "grown": (4, 8), "moved": (1, 9), "flipped": (1, 9)}[how]
    factors = [Fraction(int(s * k), 4) for s, k in zip(signs, rng.integers(*tops, len(theta)), strict=True)]
    new = np.array(factors, dtype=object) * theta if graph.is_exact else np.array(factors, dtype=float) * theta
    return graph.with_theta(new)


@maker
def linear(b, t):
    x = b.relu(b.linear(b.input((3,)), t("first", 4, 3), t("bias", 4)))
    return b.linear(x, t("last", 2, 4), t("last_bias", 2))


@maker
def linear_on_last_axis(b, t):
    x = b.relu(b.linear(b.input((2, 3)), t("first", 2, 3), t("bias", 2)))
    return b.linear(x, t("last", 2, 2))


@maker
def convolution_1d(b, t):
    x = b.convolution(b.input((2, 7)), t("w", 3, 2, 3), t("b", 3), stride=2, padding=1, dilation=2)
    return b.linear(b.flatten(b.relu(x)), t("last", 1, 3 * x.shape[1]))


@maker
def convolution_2d(b, t):
    x = b.relu(b.convolution(b.input((2, 4, 3)), t("w", 4, 1, 2, 3), t("b", 4), padding=((1, 0), (1, 1)), groups=2))
    return b.convolution(x, t("v", 1, 4, 4, 3))


@maker
def convolution_3d(b, t):
    x = b.relu(b.convolution(b.input((1, 2, 3, 2)), t("w", 2, 1, 2, 2, 2), t("b", 2), padding=(0, 1, 0)))
    return b.linear(b.flatten(x), t("last", 2, x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]))


@maker
def transposed_convolution(b, t):
    x = b.input((2, 2, 2))
    x = b.relu(
        b.transposed_convolution(
            x, t("w", 2, 1, 3, 2), t("b", 2), stride=2, padding=(1, 0), groups=2, output_padding=(1, 0)
        )
    )
    return b.convolution(x, t("v", 1, 2, *x.shape[1:]))


@maker
def batch_norm(b, t):
    x = b.convolution(b.input((1, 3, 3)), t("w", 2, 1, 2, 2), t("b", 2))
    x = b.relu(b.batch_norm(x, t("scale", 2, role="frozen"), t("shift", 2, role="frozen")))
    return b.linear(b.flatten(x), t("last", 2, 8), t("last_bias", 2))


@maker
def max_pool(b, t):
    x = b.convolution(b.input((1, 5, 5)), t("w", 1, 1, 2, 2), t("b", 1))
    x = b.max_pool(x, 3, stride=2, padding=1, ceil_mode=True)
    return b.linear(b.flatten(x), t("last", 1, x.shape[1] * x.shape[2]))


@maker
def max_pool_with_dilation(b, t):
    x = b.max_pool(b.linear(b.input((2, 5)), t("w", 5, 5)), 2, stride=1, dilation=2, padding=1)
    return b.linear(b.flatten(x), t("last", 2, 2 * x.shape[1]))


@maker
def k_max_pool(b, t):
    x = b.relu(b.linear(b.input((3,)), t("w", 6, 3), t("b", 6)))
    x = b.max_pool(b.reshape(x, (1, 6)), 3, stride=1, rank=2)
    return b.linear(b.flatten(x), t("last", 1, 4))


@maker
def average_pools(b, t):
    x = b.relu(b.convolution(b.input((1, 5, 3)), t("w", 2, 1, 1, 1), t("b", 2)))
    x = b.average_pool(x, 2, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
    x = b.adaptive_average_pool(x, (2, 1))
    return b.linear(b.flatten(x), t("last", 2, 4))


@maker
def adaptive_pools(b, t):
    x = b.input((2, 5))
    return b.add([b.adaptive_average_pool(x, 3), b.adaptive_max_pool(b.scale(x, t("s", 2, 1)), 3)])


@maker
def global_pool(b, t):
    x = b.relu(b.convolution(b.input((1, 2, 3)), t("w", 3, 1, 2, 1)))
    return b.linear(b.mean(x, (1, 2), keep=False), t("last", 2, 3))


@maker
def residual(b, t):
    x = b.input((3,))
    y = b.relu(b.linear(x, t("a", 3, 3), t("ab", 3)))
    z = b.linear(y, t("c", 3, 3))
    return b.linear(b.relu(b.add([y, z])), t("last", 2, 3))


@maker
def subtraction(b, t):
    x = b.input((2, 2))
    y = b.add([b.linear(x, t("a", 2, 2)), b.linear(x, t("c", 2, 2), t("cb", 2))], signs=[1, -1])
    return b.linear(b.relu(y), t("last", 1, 2))


@maker
def sum_with_itself(b, t):
    x = b.relu(b.linear(b.input((2,)), t("a", 2, 2)))
    return b.linear(b.relu(b.add([x, x])), t("last", 2, 2))


@maker
def broadcast_sum(b, t):
    x = b.input((2, 3))
    row = b.linear(b.flatten(x), t("a", 3, 6))
    return b.linear(b.flatten(b.relu(b.add([x, row]))), t("last", 1, 6))


@maker
def concatenation(b, t):
    x = b.input((1, 4))
    y = b.concatenate([b.relu(b.linear(x, t("a", 4, 4))), x], 0)
    return b.convolution(y, t("last", 2, 2, 3))


@maker
def concatenation_with_itself(b, t):
    x = b.relu(b.linear(b.input((2,)), t("a", 2, 2), t("b", 2)))
    return b.linear(b.concatenate([x, x], 0), t("last", 2, 4))


@maker
def views(b, t):
    x = b.transpose(b.reshape(b.input((2, 6)), (2, 3, 2)), (2, 0, 1))
    x = b.pad(b.relu(b.convolution(x, t("w", 2, 2, 2, 2), t("b", 2))), ((0, 0), (1, 0), (0, 1)))
    x = b.take(x, (Ellipsis, slice(None, None, -1), slice(0, 2)))
    return b.linear(b.flatten(x), t("last", 2, 8))


@maker
def scales_and_shifts(b, t):
    x = b.shift(b.scale(b.input((2, 2)), t("s", 2, 1)), t("h", 2))
    x = b.relu(b.scale(x, t("one", 1, low=1)))
    return b.linear(b.flatten(x), t("last", 1, 4))


@maker
def upsampling(b, t):
    x = b.convolution(b.input((1, 2, 2)), t("w", 1, 1, 1, 2))
    x = b.bilinear(b.relu(b.nearest(x, (3, 2))), (4, 3))
    return b.convolution(x, t("last", 1, 1, 4, 3))


@maker
def fixed_linear(b, t):
    x = b.relu(b.linear(b.input((3,)), t("a", 4, 3)))
    x = b.fixed_linear(x, csr_array(np.array([[1, 0, 0, 2], [0, 0, 0, 0], [-1, 3, 0, 0]])), (3,))
    return b.linear(b.relu(x), t("last", 1, 3), t("bias", 1))


@maker
def tied_in_series(b, t):
    weight, bias = t("w", 2, 2), t("b", 2)
    x = b.relu(b.linear(b.input((2,)), weight, bias))
    x = b.relu(b.linear(x, weight, bias))
    return b.linear(x, t("last", 1, 2))


@maker
def tied_side_by_side(b, t):
    weight = t("w", 2, 3)
    x, y = (b.relu(b.linear(b.input((3,), name=name), weight)) for name in ("left", "right"))
    return b.linear(b.add([x, y], signs=[1, -1]), t("last", 1, 2))


@maker
def several_ends(b, t):
    x, y = b.input((2,), name="x"), b.input((1, 2), name="y")
    z = b.relu(b.add([b.linear(x, t("a", 2, 2)), b.flatten(y)]))
    return [b.linear(z, t("first", 3, 2), t("bias", 3)), b.linear(b.flatten(y), t("second", 1, 2)), z]


@maker
def dead_positions(b, t):
    x = b.relu(b.convolution(b.input((1, 5)), t("w", 2, 1, 2), t("b", 2)))
    x = b.convolution(x, t("v", 1, 2, 2), stride=3)
    return b.take(x, (slice(None), slice(0, 1)))


@maker
def constants(b, t):
    x = b.linear(b.input((2,)), t("w", 3, 2))
    return b.linear(b.relu(b.add([x, b.constant(t("c", 3))])), t("last", 2, 3))


@maker
def inception(b, t):
    x = b.input((1, 3, 3))
    branches = [
        b.relu(b.convolution(x, t("one", 2, 1, 1, 1), t("one_bias", 2))),
        b.relu(b.convolution(x, t("three", 1, 1, 3, 3), padding=1)),
        b.max_pool(x, 3, stride=1, padding=1),
    ]
    x = b.adaptive_average_pool(b.concatenate(branches, 0), 1)
    return b.linear(b.flatten(x), t("last", 2, 4))


@maker
def small_resnet(b, t):
    def norm(x, name):
        return b.batch_norm(x, t(name + ".scale", 2, role="frozen"), t(name + ".shift", 2, role="frozen"))

    x = b.relu(norm(b.convolution(b.input((1, 4, 4)), t("stem", 2, 1, 3, 3), stride=2, padding=1), "bn1"))
    y = b.relu(norm(b.convolution(x, t("a", 2, 2, 3, 3), padding=1), "bn2"))
    y = b.relu(b.add([norm(b.convolution(y, t("c", 2, 2, 1, 1)), "bn3"), x]))
    return b.linear(b.flatten(b.adaptive_average_pool(y, 1)), t("fc", 2, 2), t("fc_bias", 2))
