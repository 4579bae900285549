"""from_torch: layer graphs compute what PyTorch computes, with the names and the roles of the module."""

import copy
import random
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.tolerances import float_slack, unit

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn import functional as F

from tests.torch_calls import assert_same, samples
from tests.torch_zoo import ZOO, Cifar, ResNet, Tied, absolutely, filled


@pytest.mark.parametrize("name", ZOO)
def test_graphs_compute_what_modules_compute(name):
    make, shapes = ZOO[name]
    module = filled(make)
    graph = pg.from_torch(module, shapes if len(shapes) > 1 else shapes[0])
    if name == "vgg":  # its log-softmax is left out
        assert graph.notes == ("the last log_softmax in 13 was left out: the outputs are what it reads",)
        module = module[:-1]
    else:
        assert graph.notes == ()
    assert_same(module, graph, shapes)
    state = module.state_dict()
    for key, array in graph.parameters.items():
        assert (state[key].numpy() == array).all()
        assert array.dtype == np.float64


def test_names_and_roles():
    module = filled(ResNet)
    graph = pg.from_torch(module, (3, 12, 12))
    norms = {name for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d)}
    wanted = {name for name, _ in module.named_parameters() if name.rpartition(".")[0] not in norms}
    assert set(graph.parameters) == wanted
    frozen = {name for name, role in graph.roles.items() if role == "frozen"}
    assert frozen == {f"{name}.{kind}" for name in norms for kind in ("scale", "shift")}
    assert list(graph.input_shapes.values()) == [(3, 12, 12)]
    assert list(graph.output_shapes) == ["fc"]
    assert {"stem.0", "maxpool", "layer1.1.conv2", "layer2.body.7"} <= {layer.name for layer in graph.layers}


def test_tied_tensors_are_one_parameter():
    module = filled(Tied)
    graph = pg.from_torch(module, (4,))
    assert set(graph.parameters) == {"inner.0.weight", "inner.0.bias", "scale", "offset", "encoder.weight"}
    assert graph.parameters["offset"].shape == (1, 4)
    uses = [t for layer in graph.layers for t in layer.tensors]
    names = graph.architecture.tensor_names
    assert uses.count(names.index("inner.0.weight")) == 2
    assert uses.count(names.index("encoder.weight")) == 2
    assert graph.roles["mean.negative"] == graph.roles["std.reciprocal"] == "structural"


def test_two_names_of_one_parameter():
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    module[2].weight = module[0].weight
    assert list(pg.from_torch(module, 3).parameters) == ["0.weight", "0.bias", "2.bias"]


def test_float32_stays_unless_there_are_batch_norms():
    plain = filled(Cifar).float()
    graph = pg.from_torch(plain, (3, 32, 32))
    assert graph.dtype == np.float32
    (x,) = samples([(3, 32, 32)])
    x = x.astype(np.float32)
    wide = pg.from_torch(copy.deepcopy(plain).double(), (3, 32, 32))(x)
    with torch.no_grad():
        sizes, roundings = absolutely(plain, torch.from_numpy(abs(x)))
    assert (abs(graph(x) - wide) <= 1.2 * roundings * float(unit(np.float32)) * sizes[0]).all()
    assert pg.from_torch(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 2).dtype == np.float64


def test_half_precision_is_read_exactly():
    module = nn.Linear(3, 2).to(torch.bfloat16)
    graph = pg.from_torch(module, 3)
    assert (graph.parameters["weight"] == module.weight.detach().double().numpy()).all()


class Layouts(nn.Module):
    """One parameter in several layouts, and parameters that are computed."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(4, 3, 1, 1))
        self.square = nn.Parameter(torch.ones(4, 4))
        self.wide = nn.Parameter(torch.ones(2, 8))
        self.log_scale = nn.Parameter(torch.ones(4))
        self.pair = nn.Parameter(torch.ones(8))

    def forward(self, x):  # (3,)
        y = F.relu(F.conv2d(x[:, :, None, None], self.kernel).flatten(1)) + F.linear(x, self.kernel.view(4, 3))
        y = y @ self.square.t().t() @ self.square + F.linear(y, self.square.t().contiguous())
        y = F.linear(y, self.wide.t().reshape(4, 4))  # a transposition that is then reshaped is no transposition
        first, second = self.pair.chunk(2)
        return y * torch.exp(self.log_scale) * first - second


def test_layouts_of_parameters():
    module = filled(Layouts)
    graph = pg.from_torch(module, 3)
    assert_same(module, graph, [(3,)])
    state = module.state_dict()
    named = {name for name in graph.parameters if name in state}
    assert named == {"kernel", "square"}
    for name in named:
        assert (graph.parameters[name] == state[name].numpy()).all()
    computed = sorted(set(graph.parameters) - named)
    assert len(computed) == 4
    uses = [graph.architecture.tensor_names[t] for layer in graph.layers for t in layer.tensors]
    assert (uses.count("kernel"), uses.count("square")) == (2, 3)


class Token(nn.Module):
    """A parameter beside the features of each sample."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 2))
        self.last = nn.Linear(5, 1)

    def forward(self, x):
        return self.last(torch.cat([self.token.expand(len(x), -1), x], 1))


def test_a_parameter_among_activations_is_one_even_if_it_is_zero():
    module = Token()
    graph = pg.from_torch(module, 3)
    assert set(graph.parameters) == {"token", "last.weight", "last.bias"}
    with torch.no_grad():
        module.token.copy_(torch.tensor([[3, 4]]))
    assert pg.from_torch(module, 3).parameters["token"].tolist() == [[3, 4]]
    x = np.ones((2, 3), dtype=np.float32)
    again = graph.with_parameters({"token": np.array([[3, 4]], dtype=np.float32)})
    wanted = module(torch.from_numpy(x)).detach().numpy()
    (slack,) = float_slack(again, x)
    assert (abs(again(x) - wanted) <= slack).all()


def test_a_parameter_with_and_without_its_mask():
    from torch.nn.utils import prune

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Linear(3, 3)
            prune.random_unstructured(self.part, "weight", 4)

        def forward(self, x):
            return self.part(x) + F.linear(x, self.part.weight_orig)

    with pytest.raises(pg.UnsupportedOperatorError, match=r"reads part\.weight_orig with a pruning mask"):
        pg.from_torch(Both(), 3)


def test_relu6_is_refused_or_opted_in():
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(True),
        nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6(True), nn.Conv2d(6, 4, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    module = filled(lambda: module)
    with pytest.raises(pg.UnsupportedOperatorError) as error:
        pg.from_torch(module, (3, 8, 8))
    assert str(error.value).startswith("from_torch: 2 operations are not supported (hardtanh_): a ReLU capped at 6.0 ")
    assert "relu6='exact'" in str(error.value)
    exact = pg.from_torch(module, (3, 8, 8), relu6="exact")
    x = samples([(3, 8, 8)])[0] * 3
    hidden = module[:3](torch.from_numpy(x))
    assert (hidden == 6).any()
    wanted = module(torch.from_numpy(x)).detach().numpy()
    sizes, roundings = absolutely(
        nn.Sequential(*(p for p in module if not isinstance(p, nn.ReLU6))), torch.from_numpy(abs(x)), is_bound=True
    )
    assert (abs(exact(x) - wanted) <= 2.5 * roundings * float(unit()) * 10 * (sizes[0] + 6)).all()
    plain = pg.from_torch(module, (3, 8, 8), relu6="relu")
    assert plain.notes == ("capped ReLUs (ReLU6) were taken for ReLUs",)
    for part in (2, 5):
        module[part] = nn.ReLU()
    assert_same(module, plain, [(3, 8, 8)])
    with pytest.raises(pg.ParameterError, match="relu6: needed one of None, 'relu', 'exact', got True"):
        pg.from_torch(module, (3, 8, 8), relu6=True)


def test_leaky_relus_are_refused_or_opted_in():
    module = nn.Sequential(nn.LeakyReLU(0.25), nn.PReLU(3))
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor([2.0, -0.5, 0]))
    with pytest.raises(pg.UnsupportedOperatorError, match="leaky_relu='exact'"):
        pg.from_torch(module, (3, 2))
    graph = pg.from_torch(module, (3, 2), leaky_relu="exact")
    x = np.array([[[4.0, -4], [8, -16], [2, -2]]], dtype=np.float32)
    assert (graph(x) == module(torch.from_numpy(x)).detach().numpy()).all()
    assert list(graph.parameters) == ["1.weight"]


def test_computed_weights():
    from torch.nn.utils import parametrizations, prune

    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), parametrizations.weight_norm(nn.Linear(3, 2))).double()
    prune.random_unstructured(module[0], "weight", 4)
    graph = pg.from_torch(module, 3)
    assert (graph.parameters["0.weight_orig"] == module[0].weight.detach().numpy()).all()
    assert graph.roles["2.weight"] == "parameter"
    with torch.no_grad():
        module[0].weight_orig.mul_(2)  # the masked weight is computed again by the next call
    again = pg.from_torch(module, 3)
    assert (again.parameters["0.weight_orig"] == 2 * graph.parameters["0.weight_orig"]).all()
    assert_same(module, again, [(3,)])


def test_batch_statistics_without_weights():
    module = filled(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False), nn.ReLU()))
    assert_same(nn.Sequential(module[0], module[2]), pg.from_torch(nn.Sequential(module[0], module[2]), 3), [(3,)])
    graph = pg.from_torch(module, 3)
    x = samples([(3,)])[0]
    scale = 1 / np.sqrt(module[1].running_var.numpy() + 1e-5)
    hidden = x @ module[0].weight.detach().numpy().T + module[0].bias.detach().numpy()
    wanted = np.maximum((hidden - module[1].running_mean.numpy()) * scale, 0)
    (slack,) = float_slack(graph, x, dtype=np.float64)
    assert (abs(graph(x) - wanted) <= slack).all()


def test_graphs_of_modules_are_exact_on_rationals():
    module = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten())
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(
                torch.tensor([random.Random(7).randint(-8, 8) / 4 for _ in range(tensor.numel())]).view_as(tensor)
            )
    exact = pg.from_torch(module, (1, 5, 5)).to_exact()
    (y,) = exact(np.full((1, 1, 5, 5), Fraction(1, 3), dtype=object))
    w, b = module[0].weight.detach().double().numpy(), module[0].bias.detach().double().numpy()
    wanted = [max(Fraction(0), sum(map(Fraction, w[c].ravel())) / 3 + Fraction(b[c])) for c in range(2)]
    assert y.tolist() == wanted
