"""Single operations of PyTorch as layers: equal on integers, where floats are exact."""

import numpy as np
import pytest

import pathgraph as pg

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn import functional as F

from tests.tolerances import unit
from tests.torch_calls import Call
from tests.torch_zoo import leaves


def _changed_copy(x):
    y = x.clone()
    y.add_(1)
    return x - y.relu_()


def _accumulated(x):
    y = torch.zeros_like(x)
    y += x
    y = y + x.flip(1)
    return y.relu_()


def _changed_view(x):
    y = x * 2
    view = y.view(-1, 3)
    view.add_(1)
    return view


W = torch.arange(12.0, dtype=torch.float64).reshape(3, 4) - 5

EXACT = {
    "max-pool with dilation": (lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2), (2, 7, 6)),
    "max-pool without channels": (lambda x: F.max_pool1d(x, 2), (6,)),
    "ceil mode": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (1, 8, 6)),
    "ceil mode that drops a window": (lambda x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True), (1, 4, 7)),
    "average in ceil mode": (lambda x: F.avg_pool2d(x, 2, 2, 1, ceil_mode=True), (1, 8, 6)),
    "average without padding": (lambda x: F.avg_pool2d(x, 4, 3, 2, True, count_include_pad=False), (1, 9, 8)),
    "average with divisor": (lambda x: F.avg_pool2d(x, 3, divisor_override=4), (1, 6, 6)),
    "adaptive maximum": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), (2, 7, 5)),
    "adaptive average": (lambda x: F.adaptive_avg_pool1d(x, 4), (2, 8)),
    "maximum over channels": (lambda x: x.max(1)[0], (3, 4)),
    "sum over two axes": (lambda x: x.sum((1, 3), keepdim=True), (3, 2, 4)),
    "product on the left": (lambda x: torch.matmul(W, x), (4, 2)),
    "product on the right": (lambda x: x @ W, (2, 3)),
    "product with a vector": (lambda x: x @ W[0], (2, 4)),
    "addmm": (lambda x: torch.addmm(W[0], x, W), (3,)),
    "numbers": (lambda x: 2 - (x * 4 - 1) / 2, (3,)),
    "scaled difference": (lambda x: torch.sub(x, x.flip(-1), alpha=2), (3,)),
    "itself twice": (lambda x: x + x + x, (3,)),
    "itself beside itself": (lambda x: torch.cat([x, x, -x], 1), (3,)),
    "constants beside it": (lambda x: torch.cat([x, torch.ones_like(x) * 2], 1), (3,)),
    "half of a constant": (lambda x: x + W.chunk(2, dim=1)[1][0], (2,)),
    "third of two": (lambda x: F.interpolate(x, size=(3, 4), mode="nearest"), (1, 2, 2)),
    "nearest to a third": (lambda x: F.interpolate(x, size=(10, 7)), (2, 30, 50)),
    "crop": (lambda x: F.pad(x, (-1, 2, 1, -2)), (2, 4, 4)),
    "reflection": (lambda x: F.pad(x, (2, 1), mode="reflect"), (2, 4)),
    "nearest": (lambda x: F.interpolate(x, size=(5, 7)), (2, 3, 2)),
    "nearest by an odd factor": (lambda x: F.interpolate(x, scale_factor=1.7), (1, 5, 4)),
    "exact nearest": (lambda x: F.interpolate(x, scale_factor=1.5, mode="nearest-exact"), (1, 4, 4)),
    "bicubic": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), (1, 3, 3)),
    "in place dropout": (lambda x: F.dropout(x * 2, training=False, inplace=True).relu_(), (3,)),
    "in place on a copy": (lambda x: _changed_copy(x), (3,)),
    "in place": (lambda x: F.relu((x * 2).add_(1), inplace=True).mul_(2), (3,)),
    "clamp": (lambda x: torch.clamp(x, min=0) + F.threshold(x, 0, 0), (3,)),
    "views": (lambda x: x.unflatten(1, (2, 2))[:, 1].unbind(1)[0].unsqueeze(1).expand(-1, 3), (4,)),
    "split": (lambda x: torch.cat(torch.split(x, [1, 2], dim=1)[::-1], 1), (3,)),
    "two outputs": (lambda x: (x.relu(), x.relu() - x), (3,)),
    "contraction": (lambda x: torch.einsum("bij,jk->bki", x, W), (2, 3)),
    "contraction of two axes": (lambda x: torch.einsum("jik,bij->bk", W.view(3, 2, 2), x), (2, 3)),
    "contraction with other orders": (lambda x: torch.einsum("bij,ikj->bk", x, W.view(3, 2, 2)), (3, 2)),
    "contraction to one number": (lambda x: torch.einsum("bi,i->b", x, W[0]), (4,)),
    "outer product by indices": (lambda x: torch.einsum("bi,o->boi", x, W[0]), (2,)),
    "axes exchanged by indices": (lambda x: torch.einsum("bij->bji", x), (2, 3)),
    "tensordot": (lambda x: torch.tensordot(x, W.view(3, 2, 2), dims=([2, 1], [0, 1])), (2, 3)),
    "outer sum": (lambda x: x[:, :, None] + W[0], (3,)),
    "outer product": (lambda x: W[0] * x[:, :, None] - x[:, :, None] / 4, (3,)),
    "constants like it": (lambda x: torch.ones_like(x) - x * torch.full_like(x, 3) + torch.zeros(x.shape), (3,)),
    "sums that start with zeros": (lambda x: _accumulated(x), (3,)),
    "constants written down": (lambda x: (x - torch.tensor([1.0, 2, 3])) / torch.tensor(2.0), (3,)),
    "whole numbers": (lambda x: x / torch.tensor([3, 9, 1]) * torch.tensor([True, False, True]), (3,)),
    "index list": (lambda x: x[:, :, [2, 0, 2, -1]].index_select(1, torch.tensor([1, 0])), (2, 3)),
    "roll": (lambda x: x.roll((1, -2), (1, 2)).roll(4, 2), (3, 4)),
    "repeat": (lambda x: torch.cat([x.repeat(1, 2, 1), x.tile((2, 1))], 1), (2, 3)),
    "moved axes": (lambda x: x.movedim((1, 3), (3, 1)).moveaxis(-1, 1), (2, 3, 4)),
    "exchanged axes": (lambda x: x.swapaxes(1, 2).mT.swapdims(-1, 1).adjoint(), (2, 3)),
    "beside each other": (lambda x: torch.hstack([+x, torch.true_divide(x, 2)]), (3,)),
    "leaky ReLU of slope 0": (lambda x: F.leaky_relu(x, 0.0), (3,)),
    "one number for a sample": (lambda x: (x.sum(1) * 2 - 1).relu() - x[:, 0], (3,)),
    "smallest": (lambda x: -F.max_pool1d(-x, 2), (1, 4)),
    "sizes of the batch": (lambda x: x.view(len(x), -1).view(x.shape[0], 3, 1).expand(x.size(0), 3, 2), (3,)),
    "in place on a view": (lambda x: _changed_view(x), (3,)),
    "copies": (lambda x: x.double().detach().clone().contiguous(), (3,)),
}


SLACK = {
    # on both sides and along both axes at most 12 roundings of a coefficient, and 4 of a sum of products, whose
    # coefficients are together less than 1.5 in absolute value
    "bicubic": 2 * 2 * (12 + 4) * 1.5**2 * float(unit()),
    "whole numbers": 2 * float(unit()),  # a product with the reciprocal of 9, for a quotient by 9
}


class Every(nn.Module):
    """Every function on an input of its own."""

    def forward(self, *inputs):
        values = [leaves(function(x.clone())) for (function, _), x in zip(EXACT.values(), inputs, strict=True)]
        return tuple(leaf for listed in values for leaf in listed)


def test_operations_on_integers():
    """Small integers make exact floats, so that nothing but equality will do."""
    rng = np.random.default_rng(1)
    inputs = [rng.integers(-64, 64, (3, *shape)).astype(float) * 144 for _, shape in EXACT.values()]
    graph = pg.from_torch(Every(), [shape for _, shape in EXACT.values()])
    found = iter(graph(*inputs))
    for (name, (function, _)), x in zip(EXACT.items(), inputs, strict=True):
        slack = SLACK.get(name, 0)
        for theirs in leaves(function(torch.from_numpy(x.copy()))):
            ours = next(found)
            assert ours.shape == theirs.shape, name
            assert (abs(ours - theirs.numpy()) <= slack * abs(x).max()).all(), name
    assert next(found, None) is None


def test_several_inputs_and_broadcasting():
    module = Call(lambda a, b: a.unsqueeze(2) - b.unsqueeze(1))
    graph = pg.from_torch(module, [(2,), (3,)])
    a, b = np.array([[1.0, 2]]), np.array([[10.0, 20, 40]])
    assert graph(a, b).tolist() == [[[-9, -19, -39], [-8, -18, -38]]]
