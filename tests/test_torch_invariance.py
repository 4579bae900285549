"""`check_invariance` on modules of PyTorch: the function gets modules, and the module itself stays."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import pathgraph as pg
from pathgraph.testing import check_invariance


def module():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    return torch.nn.Sequential(*layers).double()


def test_the_function_is_invariant_and_weight_decay_is_not():
    net, x = module(), torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    before = [p.detach().clone() for p in net.parameters()]

    def outputs(net):
        with torch.no_grad():
            return net(x).numpy()

    def decay(net):
        return float(sum((p**2).sum() for p in net.parameters()).detach())

    assert check_invariance(outputs, module=net, input_shape=(1, 4, 4), max_examples=20)
    found = check_invariance(decay, module=net, input_shape=(1, 4, 4), max_examples=50, raises=False)
    assert not found
    assert isinstance(found.counterexample.net, torch.nn.Module)
    assert sum(factor != 1 for factor in found.counterexample.move.values()) == 1
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_the_path_norm_of_a_module_is_invariant():
    from pathgraph.io.torch import path_norm

    def norm(net):
        return float(path_norm(net, (1, 4, 4)).detach())

    assert check_invariance(norm, module=module(), input_shape=(1, 4, 4), max_examples=10)
    with pytest.raises(pg.ParameterError, match="input_shape"):
        check_invariance(norm, module=module())
