"""from_torch: layer graphs compute what PyTorch computes; what they cannot is named; modules stay as they are."""

import copy
import random
import threading
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.tolerances import unit

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn import functional as F

from tests.torch_zoo import ZOO, Cifar, ResNet, Tied, absolutely, filled, leaves


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
    (name,) = set(graph.parameters) - {"last.weight", "last.bias"}
    with torch.no_grad():
        module.token.copy_(torch.tensor([[3, 4]]))
    assert pg.from_torch(module, 3).parameters[name].tolist() == [3, 4]
    x = np.ones((2, 3), dtype=np.float32)
    again = graph.with_parameters({name: np.array([3, 4], dtype=np.float32)})
    wanted = module(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(again(x), wanted, rtol=1e-5)


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


# -- what stays untouched --------------------------------------------------------------------------------------------


def snapshot(module):
    """Everything that somebody could see of a module."""
    state = {}
    for path, part in module.named_modules():
        state[path] = (part.training, {k: v for k, v in vars(part).items() if not isinstance(v, dict)})
        state[path, "hooks"] = {k: list(v.items()) for k, v in vars(part).items() if k.endswith("_hooks")}
        for name, tensor in [*part._parameters.items(), *part._buffers.items()]:
            if tensor is not None:
                grad = None if tensor.grad is None else tensor.grad.clone()
                state[path, name] = (id(tensor), tensor._version, tensor.requires_grad, tensor.tolist(), grad)
    return state


@pytest.mark.parametrize("fallback", [False, True])
def test_the_module_is_not_changed(fallback, monkeypatch):
    if fallback:
        monkeypatch.setattr("torch.export.export", None)
    module = filled(ResNet).train()
    module.layer1[0].eval()
    module.fc.weight.requires_grad_(False)
    module(torch.randn(2, 3, 12, 12, dtype=torch.float64)).sum().backward()
    seen = []
    module.fc.register_forward_hook(lambda *_: seen.append("forward"))
    module.layer1.register_forward_pre_hook(lambda *_: seen.append("pre"))
    module.stem.register_full_backward_hook(lambda *_: seen.append("backward"))
    before, random_state = snapshot(module), torch.get_rng_state()
    grad_mode, threads, dtype = torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()
    graph = pg.from_torch(module, (3, 12, 12))
    after = snapshot(module)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert repr(value) == repr(after[key]), key
    assert torch.equal(random_state, torch.get_rng_state())
    assert (grad_mode, threads, dtype) == (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype())
    assert not seen
    assert graph.notes == ("forward hooks were not run: at layer1, fc",)
    assert_same(module.eval(), graph, [(3, 12, 12)])


def test_values_are_copies():
    module = nn.Linear(2, 1)
    graph = pg.from_torch(module, 2)
    value = graph.parameters["weight"].copy()
    with torch.no_grad():
        module.weight.add_(1)
    assert (graph.parameters["weight"] == value).all()


@pytest.mark.parametrize("name", ["resnet", "googlenet", "tied", "shapes", "one and three"])
def test_the_fallback_makes_the_same_graph(name, monkeypatch):
    make, shapes = ZOO[name]
    module = filled(make)
    first = pg.from_torch(module, shapes if len(shapes) > 1 else shapes[0])
    monkeypatch.setattr("torch.export.export", None)
    second = pg.from_torch(module, shapes if len(shapes) > 1 else shapes[0])
    assert first.parameters.keys() == second.parameters.keys()
    inputs = samples(shapes)
    for a, b in zip(outputs(first, inputs), outputs(second, inputs), strict=True):
        assert (a == b).all()


# -- single operations -----------------------------------------------------------------------------------------------


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


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
    "copies": (lambda x: x.double().detach().clone().contiguous(), (3,)),
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
        slack = 1e-12 if name == "bicubic" else 0  # its coefficients have rounding errors of their own
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


def test_relu6_is_refused_or_opted_in():
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(True),
        nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6(True), nn.Conv2d(6, 4, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    module = filled(lambda: module)
    with pytest.raises(pg.UnsupportedOperatorError) as error:
        pg.from_torch(module, (3, 8, 8))
    assert str(error.value).startswith("from_torch: 2 operations are not supported:")
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
    assert np.allclose(graph(x), wanted, rtol=1e-13, atol=1e-13)


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


# -- refusals --------------------------------------------------------------------------------------------------------


class Refusing(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.gate = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())
        self.last = nn.Linear(4, 4)

    def forward(self, x):
        x = self.norm(x)
        x = x * self.gate(x)
        return self.last(F.gelu(F.softmax(x, 1)))


def test_every_unsupported_operation_is_named_once():
    with pytest.raises(pg.UnsupportedOperatorError) as error:
        pg.from_torch(Refusing(), 4)
    lines = str(error.value).splitlines()
    assert lines[0] == "from_torch: 5 operations are not supported:"
    for line, start in zip(
        lines[1:],
        [
            "layer_norm (aten.layer_norm.default) in norm (torch.nn.modules.normalization.LayerNorm): it divides",
            "sigmoid (aten.sigmoid.default) in gate.1 (torch.nn.modules.activation.Sigmoid): it is not piecewise",
            "mul (aten.mul.Tensor) in the module (tests.test_torch_import.Refusing): it multiplies activations",
            "softmax (aten.softmax.int) in the module (tests.test_torch_import.Refusing): a softmax inside",
            "gelu (aten.gelu.default) in the module (tests.test_torch_import.Refusing): it is not piecewise",
        ],
        strict=True,
    ):
        assert line.startswith(f"  {start}")


def values_decide(x):
    return x if x.sum() > 0 else -x


REFUSED = {
    "product of activations": (lambda x: x * x.flip(1), (3,), "multiplies activations"),
    "quotient of activations": (lambda x: 1 / x, (3,), "divides by an activation|not piecewise linear"),
    "batch to features": (lambda x: x.reshape(-1), (3,), "mixes axis 0"),
    "sum over the batch": (lambda x: x - x.mean(0), (3,), "over axis 0, the batch"),
    "samples exchanged": (lambda x: x.flip(0), (3,), "over axis 0, the batch"),
    "part of the batch": (lambda x: x[:1], (3,), "part of axis 0"),
    "transposed batch": (lambda x: x.t(), (3,), "axis 0, the batch"),
    "softmax inside": (lambda x: F.softmax(x, 1) + 1, (3,), "softmax inside a network"),
    "dropout in evaluation": (lambda x: F.dropout(x, training=True), (3,), "random"),
    "clamp to an interval": (lambda x: x.clamp(-1, 1), (3,), "lower limit 0"),
    "other constant padding": (lambda x: F.pad(x, (1, 1), value=1.0), (3,), "zeros as padding"),
    "integers": (lambda x: x.to(torch.int64), (3,), "rounds to"),
    "writing into a view that is read": (lambda x: _overwritten(x), (4,), "writes in place"),
    "batch statistics": (lambda x: F.batch_norm(x, None, None, training=True), (3,), "statistics of the batch"),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), (2, 3), "multiplies activations"),
    "noise": (lambda x: x + torch.randn(3), (3,), "random"),
    "sums that align the batch with channels": (lambda x: x + x.mean(1), (7, 5, 7), "mixes axis 0|cannot be recorded"),
    "rounding": (lambda x: x.half(), (3,), "rounds to torch.float16"),
    "sorting": (lambda x: x.sort(1)[0], (3,), "no rule"),
}


def _changed_copy(x):
    y = x.clone()
    y.add_(1)
    return x - y.relu_()


def _overwritten(x):
    y = x * 2
    first = y[:, :2]
    first.add_(1)
    return y.relu()


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    function, shape, reason = REFUSED[name]
    with pytest.raises(pg.UnsupportedOperatorError, match=reason):
        pg.from_torch(Call(function), shape)


def test_control_flow_that_depends_on_values():
    with pytest.raises(pg.UnsupportedOperatorError, match="looks at the values of its activations"):
        pg.from_torch(Call(values_decide), 3)


def test_bad_arguments():
    module = nn.Linear(3, 2)
    for shape in ((4,), (3, 3, 3), [(3,), (3,)]):
        with pytest.raises(pg.ParameterError, match=r"input_shape: the module cannot be recorded .* has no batch axis"):
            pg.from_torch(nn.Sequential(module, nn.Conv2d(1, 1, 1)), shape)
    for shape in ((), (0,), (2.5,), "ab", None, [(3,), "x"], [[]]):
        with pytest.raises(pg.ParameterError, match="input_shape: needed positive integers"):
            pg.from_torch(module, shape)
    with pytest.raises(pg.ParameterError, match=r"needed a torch.nn.Module written in Python, got builtins.int"):
        pg.from_torch(3, 3)
    held = nn.Linear(3, 2)
    held.lock = threading.Lock()
    with pytest.raises(pg.ParameterError, match=r"needed one that copy\.deepcopy can copy, got TypeError"):
        pg.from_torch(held, 3)
    with pytest.raises(pg.ParameterError, match="has no values"):
        pg.from_torch(nn.Linear(3, 2, device="meta"), 3)
    with torch.no_grad():
        module.weight[0, 1] = float("nan")
    with pytest.raises(pg.ParameterError, match="weight"):
        pg.from_torch(module, 3)
    with pytest.raises(pg.ParameterError, match="outputs that are tensors and depend on the inputs"):
        pg.from_torch(Call(lambda x: torch.ones(3, 2)), 3)
