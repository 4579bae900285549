"""The differentiable path-norm: equal to an oracle and to ours, its gradients are scores, and training lowers it."""

import copy
import io
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest

import pathgraph as pg
from tests.tolerances import gamma, logarithm_slack, norm_roundings, power_roundings, unit

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn.utils import prune

from pathgraph.io.torch import PathNorm, path_norm
from tests.torch_calls import Call
from tests.torch_zoo import ZOO, Cifar, ResNet, Tied, absolutely, filled


def shape_of(name):
    shapes = ZOO[name][1]
    return shapes if len(shapes) > 1 else shapes[0]


@pytest.mark.parametrize("name", ZOO)
def test_the_norm_is_the_module_on_absolute_values(name):
    """And ours is the same. All terms are non-negative, so that roundings per path bound the relative error."""
    make, shapes = ZOO[name]
    module = filled(make)
    wanted, roundings = absolutely(module, *(torch.ones(1, *shape, dtype=torch.float64) for shape in shapes))
    total = math.fsum(value for leaf in wanted for value in leaf.ravel().tolist())
    norm = PathNorm(module, shape_of(name))
    # a batch-norm's shift is a difference, which may cancel: two roundings of its terms, relative to itself
    slack = 2.5 * (roundings + 4 * cancellation(module)) * float(unit())
    assert abs(norm().item() - total) <= slack * total
    assert abs(pg.path_norm(norm.graph) - total) <= slack * total
    assert abs(path_norm(norm.graph).item() - total) <= slack * total


def cancellation(module):
    """The largest (abs(beta) + abs(mean scale)) / abs(beta - mean scale) among the batch-norms."""
    worst = 1.0
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            scaled = part.running_mean * part.weight / torch.sqrt(part.running_var + part.eps)
            worst = max(worst, ((part.bias.abs() + scaled.abs()) / (part.bias - scaled).abs()).max().item())
    return worst


def roundings_of(graph, q):
    """Of one path-norm: a sum over the edges of each entry, and what is done to an entry and to a sum."""
    return sum(op.max_degree + 8 + 4 * q for layer in graph.layers for op in layer.operations)


@pytest.mark.parametrize("name", ["resnet", "inception", "unet", "tied", "one and three", "squeezenet"])
def test_the_norm_is_ours(name):
    graph = pg.from_torch(filled(ZOO[name][0]), shape_of(name))
    for q in (1, 1.5, 2, 4):
        norm, ours = path_norm(graph, q=q).item(), pg.path_norm(graph, q=q)
        roundings = roundings_of(graph, q)
        assert abs(norm - ours) <= 2.5 * roundings * float(unit()) * ours
        log = path_norm(graph, q=q, log=True).item()
        assert abs(log - math.log(ours)) <= 2.5 * (roundings + 8 * abs(log)) * float(unit())


@pytest.mark.parametrize("name", ["resnet", "inception", "unet", "squeezenet", "one and three"])
def test_parameters_times_gradients_are_scores(name):
    module = filled(ZOO[name][0])
    norm = PathNorm(module, shape_of(name))
    norm().backward()
    scores = pg.path_magnitude(norm.graph)
    operations = [operation for layer in norm.graph.layers for operation in layer.operations]
    # a score sums, over the places of an entry, what arrives times what leaves: fan-ins before, fan-outs after
    fans = sum(op.max_degree + int(np.bincount(op.pattern().source).max()) + 8 for op in operations)
    roundings = fans + max(op.target_size for op in operations)
    parameters = dict(module.named_parameters())
    assert scores.keys() == norm.graph.parameters.keys() <= parameters.keys()
    for key, score in scores.items():
        found = (parameters[key] * parameters[key].grad).detach().numpy()
        assert (abs(found - score) <= 2.5 * roundings * float(unit()) * score).all(), key


def test_gradients_are_differences():
    """For integer weights all is exact: what setting one weight to zero takes away."""
    module = Cifar().double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randint(-2, 3, tensor.shape, generator=rng))
    norm = PathNorm(module, (3, 32, 32))
    whole = norm()
    whole.backward()
    for tensor, index in [(module.conv1.weight, (0, 1, 2, 3)), (module.fc1.weight, (7, 9)), (module.conv2.bias, (3,))]:
        if tensor[index] == 0:
            with torch.no_grad():
                tensor[index] = 1
            whole, tensor.grad = norm(), None
            whole.backward()
        score = (tensor * tensor.grad)[index].item()
        with torch.no_grad():
            value = tensor[index].item()
            tensor[index] = 0
            assert score == whole.item() - norm().item() > 0
            tensor[index] = value


@pytest.mark.parametrize("q", [1, 2, 3.5])
def test_gradients_by_finite_differences(q):
    module = filled(
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    )
    norm = PathNorm(module, (2, 5, 5), q)
    names = list(norm.graph.parameters)

    def call(*tensors):
        return norm(dict(zip(names, tensors, strict=True)))

    tensors = [getattr(module[0], name.split(".")[1]).detach().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(call, tensors)
    norm().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())
    for parameter in (module[1].weight, module[1].bias):  # reached through scale and shift
        # Each path is linear in one parameter, so the norm is convex in it: quotients on both sides are bounds.
        here, moved, start = norm().item(), {}, parameter[1].item()
        slack = 2.5 * (roundings_of(norm.graph, q) + 4 * cancellation(module)) * float(unit())
        with torch.no_grad():
            for side in (-1, 1):
                parameter[1] = start + side * 2.0**-20
                step = parameter[1].item() - start
                rounding = slack * (norm().item() + here) / abs(step)
                moved[side] = (norm().item() - here) / step + side * rounding
            parameter[1] = start
        assert moved[-1] <= parameter.grad[1].item() <= moved[1]
        assert moved[1] - moved[-1] < 2.0**-12 * abs(parameter.grad[1].item()), "so that three digits are tested"


def test_statistics_are_frozen_in_training_mode():
    module = filled(ResNet)
    norm = PathNorm(module, (3, 12, 12))
    evaluated = norm().item()
    statistics = [buffer.clone() for buffer in module.buffers()]
    module.train()
    assert norm().item() == evaluated
    assert all(torch.equal(a, b) for a, b in zip(statistics, module.buffers(), strict=True))
    module(torch.randn(4, 3, 12, 12, dtype=torch.float64))  # the statistics move, and the norm with them
    assert norm().item() != evaluated
    fresh = pg.path_norm(pg.from_torch(module, (3, 12, 12)))
    slack = 2.5 * (roundings_of(norm.graph, 1) + 4 * cancellation(module)) * float(unit())
    assert abs(norm().item() - fresh) <= slack * fresh


def test_training_with_the_norm_makes_it_smaller():
    torch.manual_seed(0)
    x = torch.randn(32, 1, 6, 6)
    y = (x.mean((1, 2, 3)) > 0).long()

    def trained(strength):
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
        )
        norm = PathNorm(model, (1, 6, 6))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        norms = []
        for _ in range(15):
            optimizer.zero_grad()
            value = norm()
            loss = nn.functional.cross_entropy(model(x), y) + strength * value
            loss.backward()
            optimizer.step()
            norms.append(value.item())
        return norms

    free, held = trained(0), trained(0.03)
    assert held[0] == free[0] < free[-1]
    assert held[-1] < held[0]


def test_descent_on_the_norm_alone():
    """Steps small enough go down, towards the zero network."""
    module = filled(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    norm = PathNorm(module, 3, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    values = []
    for _ in range(50):
        optimizer.zero_grad()
        value = norm()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert all(later < earlier for earlier, later in pairwise(values))
    assert values[-1] < 0.8 * values[0]


def test_pruned_weights_get_no_gradient():
    module = nn.Linear(3, 1)
    with torch.no_grad():
        module.weight[0, 1] = 0
    path_norm(module, 3).backward()
    assert module.weight.grad[0, 1] == 0
    assert module.weight.grad[0, 0] == module.weight[0, 0].sign()


def test_deep_networks_do_not_overflow():
    module = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(12)))
    with torch.no_grad():
        for part in module:
            part.weight.fill_(1e30)
    norm = PathNorm(module, 2)
    with pytest.raises(pg.PathNormOverflowError, match=r"the path-norm is exp\(837\.942\), beyond .* use log=True"):
        norm()
    log = PathNorm(module, 2, log=True)()
    expected = 12 * math.log(2 * float(np.float32(1e30))) + math.log(2)
    assert abs(log.item() - expected) <= logarithm_slack(expected, 3 * 12)  # two products and a sum for each layer
    log.backward()
    share = (module[3].weight * module[3].weight.grad).double()  # rounded as a gradient and as a product
    assert (abs(share - 0.25) <= 0.25 * float(gamma(3, np.float32))).all()
    for value in (1e200, 1e-200):  # whose powers leave the range
        one = nn.Linear(2, 1).double()
        with torch.no_grad():
            one.weight.fill_(value)
            one.bias.zero_()
        for q in (2, 2.5):
            log, expected = path_norm(one, 2, q, log=True), math.log(value) + math.log(2) / q
            steps = norm_roundings([value] * 2, q)
            assert abs(log.item() - expected) <= logarithm_slack(expected, steps)
            norm = path_norm(one, 2, q)
            norm.backward()
            assert norm.item() == pytest.approx(value * 2 ** (1 / q), rel=float(gamma(steps + 4)), abs=0)
            # powers q - 1 and 1 / q - 1 round as q and 1 / q do
            assert one.weight.grad.sum().item() == pytest.approx(2 ** (1 / q), rel=float(gamma(2 * steps + 8)), abs=0)
            one.weight.grad = None
    tiny = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(30)))
    with torch.no_grad():
        for part in tiny:
            part.weight.fill_(1e-30)
    log, expected = PathNorm(tiny, 2, log=True)().item(), 30 * math.log(2 * float(np.float32(1e-30))) + math.log(2)
    assert abs(log - expected) <= logarithm_slack(expected, 3 * 30)
    assert PathNorm(tiny, 2)().item() == 0


def test_no_path_has_norm_zero():
    module = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    for q in (1, 2):
        norm = path_norm(module, 3, q)
        norm.backward()
        assert norm.item() == 0
    assert path_norm(module, 3, log=True).item() == -math.inf


def test_bad_arguments():
    module = nn.Linear(3, 2)
    for q in (0.5, 0, -1, "two", math.nan):
        with pytest.raises(pg.ParameterError, match="q: needed"):
            PathNorm(module, 3, q)
    with pytest.raises(pg.ParameterError, match="finite number >= 1, got inf"):
        PathNorm(module, 3, math.inf)
    with pytest.raises(pg.ParameterError, match="input_shape: needed the shape"):
        PathNorm(module)
    norm = PathNorm(module, 3)
    prune.identity(module, "weight")
    with pytest.raises(pg.ParameterError, match="it has no 'weight' any more"):
        norm()
    norm = PathNorm(Tied(), 4)
    assert repr(norm).startswith("PathNorm(LayerGraph(")
    with pytest.raises(pg.ParameterError, match="are no tensors of the graph"):
        norm({"weight": torch.ones(4)})
    with pytest.raises(pg.ParameterError, match=r"'scale' needed shape \(4,\), got \(3,\)"):
        norm({"scale": torch.ones(3)})
    with pytest.raises(pg.ParameterError, match="NaN or infinities"):
        norm({"scale": torch.full((4,), math.nan)})
    with pytest.raises(pg.ParameterError, match=r"parameters: needed a mapping from names to torch\.Tensor, got list"):
        norm([1])
    for tensor in (1, np.ones(4), torch.ones(4, dtype=torch.complex64), torch.ones(4, device="meta")):
        with pytest.raises(pg.ParameterError, match=r"parameters: 'scale' needed a torch.Tensor with real values"):
            norm({"scale": tensor})
    with pytest.raises(pg.ParameterError, match=r"source: needed a torch\.nn\.Module or .*LayerGraph, got str"):
        PathNorm("module", 3)
    with pytest.raises(pg.ParameterError, match="a LayerGraph has its own"):
        PathNorm(norm.graph, 4)


def test_modules_that_changed_after_they_were_recorded():
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    norm = PathNorm(module, 3)
    module[0] = nn.Linear(3, 2)  # another one of the same structure will do
    fresh = pg.path_norm(pg.from_torch(module, 3))
    assert abs(norm().item() - fresh) <= 20 * float(unit()) * fresh  # at most 4 + 3 terms and products on each side
    module[0] = nn.Linear(4, 2)
    with pytest.raises(pg.ParameterError, match=r"'0\.weight' is not what it was .* record the module again"):
        norm()
    module.to("meta")
    with pytest.raises(pg.ParameterError, match=r"needed tensors with values, but '0\.weight' has none"):
        norm()


class Regularised(nn.Module):
    """A module that holds the norm of a part of it, or of itself."""

    def __init__(self, of_itself):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
        self.norm = PathNorm(self if of_itself else self.net, 3)

    def forward(self, x):
        return self.net(x)


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("of_itself", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, saved, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_norm_is_copied_with_its_module(copied, of_itself):
    module = Regularised(of_itself)
    before = module.norm().item()
    assert not [name for name in module.state_dict() if "norm" in name]
    twin = copied(module)
    assert twin.norm().item() == before
    assert (twin.norm.q, twin.norm.log, repr(twin.norm)) == (1, False, repr(module.norm))
    with torch.no_grad():
        twin.net[3].weight.mul_(2)
    assert twin.norm().item() != before == module.norm().item()
    twin.norm().backward()
    assert twin.net[0].weight.grad is not None
    assert module.net[0].weight.grad is None
    again = copied(twin)  # of what has been copied
    assert again.norm().item() == twin.norm().item()
    wide = copied(module).double()
    assert wide.norm().item() == before
    wide.load_state_dict(twin.state_dict())
    assert wide.norm().item() == twin.norm().item()


def test_a_norm_by_itself_is_copied():
    graph = pg.from_torch(nn.Linear(3, 2), 3)
    for norm in (PathNorm(graph, q=2), PathNorm(nn.Linear(3, 2), 3, log=True)):
        for twin in (copy.deepcopy(norm), copy.copy(norm), pickle.loads(pickle.dumps(norm))):
            assert twin().item() == norm().item()
    module = nn.Sequential(nn.Linear(3, 2))
    norm = PathNorm(module, 3)
    module.append(nn.Linear(2, 2))
    with pytest.raises(pg.ParameterError, match="it is not what it was when it was recorded; record the module again"):
        pickle.loads(pickle.dumps(norm))()


def test_one_number_for_a_sample():
    """A layer without axes: its factor multiplies what it reads."""
    module = Call(lambda x: (x.sum(1) * 2 - 1).relu())
    assert PathNorm(module, 3)().item() == 7
    assert PathNorm(module, 3, 2)().item() == pytest.approx(math.sqrt(13), rel=4 * float(unit()), abs=0)  # of two roots


def test_large_exponents():
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(1.0, 2.0)
    graph = pg.from_torch(module, 3)
    for q in (16, 17, 100, 1000):
        log, ours = path_norm(module, 3, q, log=True).item(), pg.log_path_norm(graph, q=q)
        # In either, two layers of powers of numbers in [1, 2), products and sums of 4 terms; the root divides by q.
        assert abs(log - ours) <= 2 * logarithm_slack(q * ours, 2 * (power_roundings(1, q) + 5)) / q
    with torch.no_grad():
        module[0].weight[0, 0] = 1e-6
    assert path_norm(module, 3, 16).item() > 0
    with pytest.raises(pg.ParameterError, match="q: needed a power that float64 can hold for all weights, got 1000"):
        path_norm(module, 3, 1000)
