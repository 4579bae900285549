"""Parameters, buffers and other constants: which tensor of the graph they are, with which name, value and shape."""

import numpy as np
import pytest

import pathgraph as pg
from tests.tolerances import unit

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from pathgraph.io.torch import PathNorm
from tests.torch_calls import Call, assert_same
from tests.torch_zoo import filled


class Holding(nn.Module):
    """A function of inputs and of one parameter, or more."""

    def __init__(self, function, *shapes):
        super().__init__()
        self.function = function
        self.held = nn.ParameterList(torch.zeros(shape) for shape in shapes)

    def forward(self, x):
        return self.function(x, *self.held)


THEMSELVES = {
    "added for each sample": (lambda x, w: x + w.expand(len(x), -1), (3,), (1, 3)),
    "repeated for each sample": (lambda x, w: x * w.repeat(len(x), 1), (3,), (3,)),
    "subtracted from": (lambda x, w: w.expand_as(x) - x, (3,), (3,)),
    "beside each sample": (lambda x, w: torch.cat([w.unsqueeze(0).expand(len(x), -1, -1), x], 1), (2, 3), (1, 3)),
    "stacked": (lambda x, w: torch.stack([x, w.expand_as(x)], 1), (3,), (3,)),
    "outer product": (lambda x, w: x[:, :, None] * w, (3,), (4,)),
    "outer difference": (lambda x, w: w - x[:, None], (3,), (2, 1)),
    "larger than a sum": (lambda x, w: x.sum(1, keepdim=True) + w, (3,), (5,)),
    "cast to": (lambda x, w: x * w.to(x) + w.type_as(x), (3,), (3,)),
    "detached": (lambda x, w: x * w.detach().clone().detach_(), (3,), (3,)),
    "product with a vector": (lambda x, w: torch.mv(x, w), (3,), (3,)),
    "kernel in another shape": (lambda x, w: F.conv1d(x[:, None], w.view(1, 1, 2)), (5,), (2,)),
    "contraction": (lambda x, w: torch.einsum("oi,bi->bo", w.t(), x), (3,), (3, 2)),
    "contraction of two axes": (lambda x, w: torch.einsum("bij,jik->bk", x, w), (3, 2), (2, 3, 4)),
}


@pytest.mark.parametrize("name", THEMSELVES)
def test_a_parameter_keeps_its_name_and_shape(name):
    function, shape, own = THEMSELVES[name]
    module = filled(lambda: Holding(function, own))
    graph = pg.from_torch(module, shape)
    assert_same(module, graph, [shape])
    assert list(graph.parameters) == ["held.0"]
    assert (graph.parameters["held.0"] == module.held[0].detach().numpy()).all()
    graph.with_parameters({"held.0": 2 * graph.parameters["held.0"]}).apply_to(module)
    assert (module.held[0].detach().numpy() == 2 * graph.parameters["held.0"]).all()


def test_a_weight_that_is_computed_at_each_use_is_one_parameter():
    part = parametrizations.weight_norm(nn.Linear(3, 3))
    module = filled(lambda: Call(lambda x: part(F.relu(part(x)))))
    module.part = part.double()
    graph = pg.from_torch(module, 3)
    assert_same(module, graph, [(3,)])
    assert len(graph.parameters) == 2
    sliced = pg.from_torch(filled(lambda: Holding(lambda x, w: F.linear(F.relu(x @ w[:2]), w[:2]), (4, 2))), 2)
    assert len(sliced.parameters) == 1
    different = pg.from_torch(filled(lambda: Holding(lambda x, w: F.linear(F.relu(x @ w[:2]), w[2:]), (4, 2))), 2)
    assert len(different.parameters) == 2


def test_a_mask_that_is_none():
    """Written back, 3 w would be taken times 3 again: only masks of zeros and ones leave the parameter its name."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.w_orig = nn.Parameter(torch.tensor([1.0, 2, 3]))
            self.register_buffer("w_mask", torch.tensor([1.0, 0, 3]))

        def forward(self, x):
            return x * (self.w_orig * self.w_mask)

    module = Scaled()
    graph = pg.from_torch(module, 3)
    assert [array.tolist() for array in graph.parameters.values()] == [[1, 0, 9]]
    assert "w_orig" not in graph.parameters
    with pytest.raises(pg.ParameterError, match="no parameter of the module"):
        graph.apply_to(module)
    module.w_mask.fill_(1)
    assert list(pg.from_torch(module, 3).parameters) == ["w_orig"]


def test_a_small_type_keeps_the_name_of_its_parameter():
    """Eight bits fit into 32, so that the cast changes nothing, and the way back rounds."""
    module = Holding(lambda x, w: x @ w.to(x.dtype), (3, 2))
    module.held[0] = nn.Parameter(torch.tensor([[1, 2], [-3, 4], [0.5, 0]]).to(torch.float8_e4m3fn))
    module = nn.Sequential(nn.Linear(3, 3), module)  # the first parameter decides in which type it is recorded
    graph = pg.from_torch(module, 3)
    assert graph.parameters["1.held.0"].tolist() == [[1, 2], [-3, 4], [0.5, 0]]
    graph.with_parameters({"1.held.0": 2 * graph.parameters["1.held.0"]}).apply_to(module)
    assert module[1].held[0].float().tolist() == [[2, 4], [-6, 8], [1, 0]]


def test_sparse_buffers_are_read_as_dense_ones():
    module = Call(lambda x: x @ module.sparse.to_dense())
    module.register_buffer("sparse", torch.diag(torch.tensor([1.0, 2, 3])).to_sparse())
    assert pg.from_torch(module, 3)([[1, 1, 1]]).tolist() == [[1, 2, 3]]


def test_whole_numbers_are_exact():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2, dtype=torch.float64))
            self.register_buffer("n", torch.tensor([2**24 + 1, 3]))

        def forward(self, x):
            return (x * self.scale - self.n) / self.n

    module, x = Whole(), np.array([[1.0, 4.0]])
    graph = pg.from_torch(module, 2)
    wanted = module(torch.from_numpy(x)).detach().numpy()
    assert (abs(graph(x) - wanted) <= 2 * float(unit()) * abs(wanted)).all()  # a reciprocal and a product
    assert graph.entries_by_name["n.negative"].tolist() == [-(2**24) - 1, -3]


def test_tensors_of_the_module_reached_by_another_way():
    inner = nn.Linear(3, 2)
    module = Call(lambda x: inner(x).relu())  # a closure: the copy that is recorded calls the original
    module.inner = inner
    assert list(pg.from_torch(module, 3).parameters) == ["inner.weight", "inner.bias"]


def test_the_norm_follows_all_of_them():
    module = filled(lambda: Holding(lambda x, w, v: F.relu(x[:, :, None] * w).sum((1, 2)) - v, (4,), ()))
    norm = PathNorm(module, 3)
    total = 3 * module.held[0].abs().sum().item() + module.held[1].abs().item()
    assert abs(norm().item() - total) <= 40 * float(unit()) * total  # 12 products, their sum, ours and the bias
    assert abs(pg.path_norm(norm.graph) - total) <= 40 * float(unit()) * total
    norm().backward()
    assert (module.held[0].grad == 3 * module.held[0].sign()).all()
    assert module.held[1].grad == module.held[1].sign()


def test_pruned_modules_that_have_run():
    """The weight of a pruned layer is a plain tensor with a history, which copy.deepcopy refuses."""
    module = filled(lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)))
    prune.random_unstructured(module[0], "weight", 4)
    prune.random_unstructured(module[0], "weight", 1)
    prune.ln_structured(module[2], "weight", 1, 2, 0)
    module(torch.ones(1, 3, dtype=torch.float64))
    graph = pg.from_torch(module, 3)
    assert_same(module, graph, [(3,)])
    assert set(graph.parameters) == {"0.weight_orig", "0.bias", "2.weight_orig", "2.bias"}
