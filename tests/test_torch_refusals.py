"""What from_torch refuses: everything at once, by name, with the reason."""

import threading

import pytest

import pathgraph as pg
from tests.tolerances import gamma

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn import functional as F

from tests.torch_calls import Call, assert_same
from tests.torch_zoo import filled


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
    assert lines[0] == (
        "from_torch: 5 operations are not supported (layer_norm, sigmoid, mul, softmax, gelu); "
        "the reason and the way out for each:"
    )
    for line, start in zip(
        lines[1:],
        [
            "layer_norm (aten.layer_norm.default) in norm (torch.nn.modules.normalization.LayerNorm): it divides",
            "sigmoid (aten.sigmoid.default) in gate.1 (torch.nn.modules.activation.Sigmoid): it is not piecewise",
            "mul (aten.mul.Tensor) in the module (tests.test_torch_refusals.Refusing): it multiplies activations",
            "softmax (aten.softmax.int) in the module (tests.test_torch_refusals.Refusing): a softmax inside",
            "gelu (aten.gelu.default) in the module (tests.test_torch_refusals.Refusing): it is not piecewise",
        ],
        strict=True,
    ):
        assert line.startswith(f"  {start}")


NORMALISATIONS = {
    "group": lambda: nn.GroupNorm(2, 4),
    "layer": lambda: nn.LayerNorm([4, 3, 3]),
    "root mean square": lambda: nn.RMSNorm([4, 3, 3]),
    "instance": lambda: nn.InstanceNorm2d(4),
    "batch": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "batch, in a function": lambda: Call(lambda x: F.batch_norm(x, None, None, training=True)),
}


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisations_are_refused_in_the_first_line(name):
    """What is the case and what to do, for one and for several of them."""
    one, two = NORMALISATIONS[name](), nn.Sequential(NORMALISATIONS[name](), nn.ReLU(), NORMALISATIONS[name]())
    for module, start in ((one, "from_torch: 1 operation is not"), (two, "from_torch: 2 operations are not")):
        with pytest.raises(pg.UnsupportedOperatorError) as error:
            pg.from_torch(module, (4, 3, 3))
        first, *others = str(error.value).splitlines()
        assert first.startswith(f"{start} supported")
        assert "it divides by statistics of" in first
        assert "in evaluation mode" in first
        assert len(others) == (2 if module is two else 0)
        assert all("norm" in line for line in others)


def test_instance_norms_with_running_statistics():
    module = filled(
        lambda: nn.Sequential(nn.Conv2d(1, 4, 2), nn.InstanceNorm2d(4, affine=True, track_running_stats=True))
    )
    graph = pg.from_torch(module, (1, 4, 4))
    assert_same(module, graph, [(1, 4, 4)])
    with torch.no_grad():
        before = module[1].weight.clone()
        module[1].weight.zero_()
    graph.apply_to(module)
    after = module[1].weight.detach()
    assert (abs(after - before) <= float(gamma(6)) * abs(before)).all()  # divided and multiplied by a root


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
    "sorting": (lambda x: x.sort(1)[0], (3,), "chooses entries by their order"),
    "no rule": (lambda x: x.cumsum(1), (3,), "no rule for this operator"),
    "absolute value": (lambda x: x.abs(), (3,), r"write relu\(x\) \+ relu\(-x\)"),
    "smallest": (lambda x: x.amin(1), (3,), r"write -torch\.maximum"),
    "mask of activations": (lambda x: torch.where(x > 0, x, 0), (3,), "mask of activations"),
    "rounding to whole numbers": (lambda x: x.floor(), (3,), "it jumps"),
    "sum of whole numbers": (lambda x: x.sum(1, dtype=torch.int64), (3,), "rounds to torch.int64"),
    "softmax in half precision": (lambda x: F.softmax(x, 1, dtype=torch.half), (3,), "rounds to torch.float16"),
    "half to bfloat16 and back": (lambda x: x.bfloat16().half(), (3,), "rounds to torch.bfloat16"),
    "whole numbers as activations": (lambda x: (x > 0).int().relu(), (3,), "mask of activations"),
    "upper limit below 0": (lambda x: x.clamp(0, -1), (3,), "upper limit above 0, got -1"),
    "other precision inside": (lambda x: _in_bfloat16(x), (3, 3), "runs in another way"),
    "writing into a part": (lambda x: _written_into(x), (3,), "make the tensor with torch.cat or torch.stack"),
    "writing into a chunk": (lambda x: _chunk_written(x), (4,), "writes in place"),
    "writing into what a constant shows": (lambda x: _constant_written(x), (3,), "writes in place"),
    "no entries": (lambda x: torch.cat([x[:, :0], x], 1), (3,), r"without entries, of shape \(0,\)"),
    "mask as an index": (lambda x: x[:, torch.tensor([True, False, True])], (3,), "list of whole numbers"),
    "index of two axes": (lambda x: x[:, [0, 1], [1, 0]], (2, 2), "one axis alone"),
    "index of the batch": (lambda x: x[[0, 1]], (3,), "over axis 0, the batch"),
    "indices of both": (lambda x: torch.einsum("bi,bi->b", x, x), (3,), "multiplies activations"),
    "indices kept in both": (lambda x: torch.einsum("bi,i->bi", x, torch.ones(3)), (3,), "each index in the result"),
    "indices that move the batch": (lambda x: torch.einsum("bi,oi->ob", x, torch.ones(2, 3)), (3,), "mixes axis 0"),
    "repeated batch": (lambda x: x.repeat(2, 1), (3,), "axis 0, the batch"),
    "rolled batch": (lambda x: x.roll(1, 0), (3,), "axis 0, the batch"),
    "sparse constant": (lambda x: x @ torch.eye(3).to_sparse(), (3,), "dense constant, got one in the layout|no rule"),
    "inside vmap": (lambda x: torch.vmap(lambda v: torch.ones(2, 3) @ v)(x), (3,), "entries of its own|no rule"),
    "number of a value": (lambda x: x * torch.ones(1, dtype=x.dtype).mean().item(), (3,), "Python number"),
}


def _overwritten(x):
    y = x * 2
    first = y[:, :2]
    first.add_(1)
    return y.relu()


def _in_bfloat16(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ torch.ones(3, 3)


def _written_into(x):
    y = torch.zeros_like(x)
    y[:, 0] = x[:, 1]
    return y


def _chunk_written(x):
    first, _ = x.chunk(2, 1)
    first.relu_()
    return x * 1


def _constant_written(x):
    y = torch.zeros_like(x)
    view = y[:, :2]
    y.add_(x)
    return view + x[:, :2]


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    function, shape, reason = REFUSED[name]
    with pytest.raises(pg.UnsupportedOperatorError, match=reason):
        pg.from_torch(Call(function), shape)


def _choice(x):
    weights = torch.eye(3), -torch.eye(3)
    return x @ weights[len(x) % 2]


def _layers(x):
    for _ in range(len(x)):
        x = F.relu(x)
    return x


def _tried(x):
    try:
        return x.view(12, 3) * 2
    except RuntimeError:
        return x


DEPENDS = "what it is given depends on the number of samples; needed the same for any batch"
ONE_VALUE = "it makes one value of a constant that has a row for each sample"
MIXED = "it may mix the rows of a constant that has one for each sample"
MATRIX = torch.arange(9.0).reshape(3, 3)

BATCH_DEPENDENT = {
    "mean over the batch by its size": (
        lambda x: x / len(x),
        f"div (aten.div.Tensor) in the module (tests.torch_calls.Call): {DEPENDS}, got batch",
    ),
    "roots of its size": (lambda x: x * len(x) ** -0.5, DEPENDS),
    "its size as a constant": (lambda x: x * torch.tensor(x.shape[0]), f"{DEPENDS}, got batch"),
    "its size as entries": (lambda x: x + torch.full((3,), float(len(x))), DEPENDS),
    "a matrix by its size": (_choice, "for Mod(batch, 2) == 1 alone"),
    "as many layers": (_layers, "it takes 7 operations on 7 samples and 10 on 10"),
    "another branch": (lambda x: x.relu() if len(x) < 9 else x, "it does this for batch < 9 alone, where batch is"),
    "another operation": (lambda x: x.relu() if x.shape[0] < 9 else x.sigmoid(), "for batch < 9 alone"),
    "a window of its size": (lambda x: F.max_pool1d(x, len(x) - 5), DEPENDS),
    "this size alone": (lambda x: x.view(7, -1), "it takes 7 samples and not 10: RuntimeError: shape '[7, -1]'"),
    "its sum over constants": (lambda x: x / torch.ones_like(x).sum(0), "mixes axis 0, the batch"),
    "at most 5": (lambda x: x * min(len(x), 5), f"{DEPENDS}, got Min(5, batch)"),
    "at least 1000": (lambda x: x * max(x.shape[0], 1000), f"{DEPENDS}, got Max(1000, batch)"),
    "at most 15 entries": (lambda x: x * min(x.numel(), 15), f"{DEPENDS}, got Min(15, 3*batch)"),
    "a part of the batch": (lambda x: x * len(x[: len(x) // 4]), f"{DEPENDS}, got (batch//4)"),
    "a mean of many": (lambda x: x - x.mean(0) if len(x) > 20 else x, "for batch <= 20 alone"),
    "a single sample": (lambda x: x * 2 if len(x) == 1 else x, "it takes 0 operations on 7 samples and 1 on 1"),
    "its axis is dropped": (lambda x: x.squeeze(), "in other places than axis 0"),
    "a multiple of 3": (lambda x: x * 2 if len(x) % 3 == 0 else x, "for Mod(batch, 3) != 0 alone"),
    "12 samples": (lambda x: x * 2 if tuple(x.shape) == (12, 3) else x, "for batch != 12 alone"),
    "what works for 12": (_tried, "alone, where batch is the number of samples"),
    "its size in a table": (lambda x: x * {1: 2, 12: 3}.get(len(x), 1), DEPENDS),
    "its digits": (lambda x: x * len(str(len(x))), DEPENDS),
    "dropout of large batches": (lambda x: F.dropout(x, 0.5, training=len(x) > 100), DEPENDS),
    "a row by its size": (lambda x: x * MATRIX[min(len(x), 2)], f"{DEPENDS}, got Min(2, batch)"),
    "the shape of a matrix": (lambda x: x * 2 if x.shape == MATRIX.shape else x, "for batch != 3 alone"),
    "a sum of ones": (lambda x: x * torch.ones(len(x)).sum(), ONE_VALUE),
    "a norm of ones": (lambda x: x / torch.ones(len(x), 3).norm(), ONE_VALUE),
    "a softmax of ones": (lambda x: x * torch.ones(len(x), 1).softmax(0), MIXED),
    "a sum of new ones": (lambda x: x * x.new_ones(x.shape[0]).sum(), ONE_VALUE),
    "a window of at most 3": (lambda x: F.max_pool1d(x, min(len(x), 3)), "Min(3, batch)"),
    "slow counting": (lambda x: x * (torch.arange(len(x)) // 1000)[:, None], f"{DEPENDS}, got batch"),
    "samples against each other": (
        lambda x: x * torch.ones(len(x), len(x)).tril().sum(1, keepdim=True),
        "another axis",
    ),
}


@pytest.mark.parametrize("name", BATCH_DEPENDENT)
def test_what_depends_on_the_number_of_samples(name):
    """The batch that is recorded has 7 samples: a graph with a 7 in it would be wrong for any other batch."""
    function, reason = BATCH_DEPENDENT[name]
    with pytest.raises(pg.UnsupportedOperatorError) as error:
        pg.from_torch(Call(function), 20 if "window" in name else 3)
    assert reason in str(error.value)


class Recurrent(nn.Module):
    """Steps of a recurrent network that begins with zeros for each sample."""

    def __init__(self):
        super().__init__()
        self.inputs, self.states = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x):
        state = torch.zeros(len(x), 4)
        for step in range(x.shape[1]):
            state = torch.relu(self.inputs(x[:, step]) + self.states(state))
        return state


BATCH_INDEPENDENT = {
    "its size in a view": (lambda x: x.view(x.size(0), -1).relu(), (3, 4)),
    "its size as an int": (lambda x: x.reshape(len(x), -1).relu(), (3, 4)),
    "a view of the rest": (lambda x: x.view(-1, 12), (3, 4)),
    "zeros for each sample": (lambda x: torch.cat([x, torch.zeros(len(x), 1)], 1), (3,)),
    "new ones for each sample": (lambda x: torch.cat([x, x.new_ones(x.shape[0], 1)], 1), (3,)),
    "ones through a matrix": (lambda x: x + torch.ones(len(x), 2) @ MATRIX[:2], (3,)),
    "a row for each sample": (lambda x: torch.cat([MATRIX[:1, None].expand(len(x), -1, -1), x], 1), (5, 3)),
    "repeated for each sample": (lambda x: torch.cat([MATRIX[:1, None].repeat(len(x), 1, 1), x], 1), (5, 3)),
    "a softmax along features": (lambda x: x * torch.ones(len(x), 3).softmax(1), (3,)),
    "its size by itself": (lambda x: x * (len(x) // len(x)), (3,)),
    "shuffled channels": (lambda x: x.view(x.shape[0], 2, 2, 4).transpose(1, 2).reshape(len(x), -1, 4), (4, 4)),
    "patches": (lambda x: x.reshape(len(x), 2, 2, 2, 2).permute(0, 1, 3, 2, 4).reshape(len(x), -1), (4, 4)),
    "a sum of two inputs": (lambda x, y: x + y, (3,), (3,)),
}


@pytest.mark.parametrize("name", BATCH_INDEPENDENT)
def test_what_does_not_depend_on_the_number_of_samples(name):
    function, *shapes = BATCH_INDEPENDENT[name]
    graph = pg.from_torch(Call(function), shapes if len(shapes) > 1 else shapes[0])
    for n in (1, 3):
        inputs = [torch.rand(n, *shape) for shape in shapes]
        wanted = function(*inputs).numpy()
        assert graph(*(x.numpy() for x in inputs)).shape == wanted.shape


def test_states_that_begin_with_zeros():
    """They are made in single precision, as the module is; on small whole numbers all is exact."""
    module, generator = Recurrent(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape, generator=generator))
        x = torch.randint(-2, 3, (3, 2, 3), generator=generator).float()
        wanted = module(x)
    graph = pg.from_torch(module, (2, 3))
    assert {"states.weight", "states.bias"} < set(graph.parameters)
    assert graph(x.numpy()).tolist() == wanted.tolist()


def test_batch_dependence_is_reported_with_the_rest():
    inner = nn.Sequential(nn.Linear(3, 3), Call(lambda x: x / len(x)))
    with pytest.raises(pg.UnsupportedOperatorError) as error:
        pg.from_torch(nn.Sequential(inner, nn.Tanh()), 3)
    assert str(error.value).splitlines()[1:] == [
        f"  div (aten.div.Tensor) in 0.1 (tests.torch_calls.Call): {DEPENDS}, got batch",
        "  tanh (aten.tanh.default) in 1 (torch.nn.modules.activation.Tanh): it is not piecewise linear, so that paths "
        "do not describe it",
    ]


def test_control_flow_that_depends_on_values():
    with pytest.raises(pg.UnsupportedOperatorError, match="looks at the values of its tensors"):
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
    for strange, which in (
        (lambda x: torch.ones(3, 2), "output 1 of 1"),
        (lambda x: (x, 3, x, "name"), "output 2 and 4 of 4"),
        (lambda x: (), "there is none"),
        (lambda x: F.max_pool1d(x[:, None], 2, return_indices=True), "output 2 of 2"),
    ):
        with pytest.raises(pg.ParameterError, match=f"outputs that are tensors and depend on the inputs, but {which}"):
            pg.from_torch(Call(strange), 3)
    for shape in ((10**12,), (2**70,)):
        with pytest.raises(pg.ParameterError, match="input_shape: needed sizes of which 7 samples fit into memory"):
            pg.from_torch(nn.Identity(), shape)
