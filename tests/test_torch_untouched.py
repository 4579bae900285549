"""from_torch leaves a module as it is, whatever way it is recorded."""

import pytest

import pathgraph as pg

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn

from tests.torch_calls import Call, assert_same, outputs, samples
from tests.torch_zoo import ZOO, ResNet, filled


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


class Keeping(nn.Module):
    """It writes into tensors that are neither parameters nor buffers, and keeps what it has computed."""

    def __init__(self):
        super().__init__()
        self.part = nn.Linear(3, 3)
        self.plain = torch.ones(3)
        self.listed = [torch.ones(3)]
        self.count, self.last, self.seen = 0, None, []

    def forward(self, x):
        self.count += 1
        self.last = self.part(x)
        self.seen.append(self.last)
        self.plain.mul_(2)
        self.listed[0].add_(1)
        return self.last


@pytest.mark.parametrize("fallback", [False, True])
def test_what_a_module_keeps_and_changes_itself(fallback, monkeypatch):
    if fallback:
        monkeypatch.setattr("torch.export.export", None)
    module = Keeping()
    module(torch.ones(1, 3))  # now it holds activations, which copy.deepcopy refuses
    last = module.last
    with pytest.raises(pg.UnsupportedOperatorError, match="it changes a parameter, buffer or constant in place"):
        pg.from_torch(module, 3)
    assert (module.count, module.last, len(module.seen)) == (1, last, 1)
    assert module.seen[0] is last
    assert module.plain.tolist() == [2, 2, 2]
    assert module.listed[0].tolist() == [2, 2, 2]


def test_activations_that_a_module_keeps():
    module = Call(lambda x: x.relu())
    module.kept = {"list": [torch.ones(2, requires_grad=True) * 2], "tuple": (torch.ones(1, requires_grad=True) + 1,)}
    assert pg.from_torch(module, 3)([[1, -1, 2]]).tolist() == [[1, 0, 2]]
