"""Functions as modules, and when a layer graph computes what a module computes."""

import numpy as np
import torch
from torch import nn

from tests.tolerances import unit
from tests.torch_zoo import absolutely, leaves


def samples(shapes, n=2, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, *shape)) for shape in shapes]


def outputs(graph, inputs):
    found = graph(*inputs)
    return found if isinstance(found, tuple) else (found,)


def assert_same(module, graph, shapes):
    """Equal up to the rounding errors of both sides, each at most gamma times the sum of the absolute terms."""
    inputs = samples(shapes)
    tensors = [torch.from_numpy(x) for x in inputs]
    with torch.no_grad():
        wanted = leaves(module(*tensors))
    sizes, roundings = absolutely(module, *map(torch.abs, tensors), is_bound=True)
    found = outputs(graph, inputs)
    assert len(found) == len(wanted) == len(sizes)
    for ours, theirs, size in zip(found, wanted, sizes, strict=True):
        assert ours.shape == theirs.shape
        share = float(roundings * unit())  # gamma(n) <= 1.1 n u, and `size` is itself rounded
        assert (abs(ours - theirs.numpy()) <= 2.5 * share * size).all()


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)
