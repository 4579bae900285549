"""Back into PyTorch: parameters, scores and masks, and what is refused before anything is written."""

import numpy as np
import pytest

import pathgraph as pg

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs these tests")

from torch import nn
from torch.nn.utils import prune

from pathgraph.io.torch import apply_to, pruning_masks, pruning_scores
from tests.tolerances import gamma
from tests.torch_calls import assert_same
from tests.torch_zoo import GoogLeNet, ResNet, Tied, filled


def doubled(graph, names):
    """Other values for some tensors."""
    return graph.with_parameters({name: 2 * graph.entries_by_name[name] for name in names})


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_a_round_trip_changes_nothing():
    module = filled(ResNet).float()
    before = state(module)
    pg.from_torch(module, (3, 12, 12)).apply_to(module)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_changed_values_arrive():
    module = filled(ResNet)
    graph = pg.from_torch(module, (3, 12, 12))
    changed = doubled(graph, [*graph.parameters, "layer1.0.bn1.scale", "layer1.0.bn1.shift"])
    other = filled(ResNet, seed=0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(float("inf"))
    changed.apply_to(other)
    assert torch.equal(other.fc.weight, 2 * module.fc.weight)
    wanted = 2 * module.layer1[0].bn1.weight  # times and by the root of the variance: three roundings each
    assert bool((abs(other.layer1[0].bn1.weight - wanted) <= float(gamma(6)) * abs(wanted)).all())
    again = pg.from_torch(other, (3, 12, 12))
    assert again.architecture == changed.architecture
    for name, array in changed.entries_by_name.items():
        if changed.roles[name] == "frozen":
            # there and back: a scale is w / sqrt(v + eps), a shift b - mean * scale, and so are their inverses
            prefix, kind = name.rsplit(".", 1)
            offset = other.get_submodule(prefix).running_mean.numpy() * again.entries_by_name[f"{prefix}.scale"]
            size = abs(array) + (2 * abs(offset) if kind == "shift" else 0)
            assert (abs(again.entries_by_name[name] - array) <= float(gamma(16)) * size).all()
        else:
            assert (again.entries_by_name[name] == array).all()
    assert other.fc.weight.requires_grad
    assert_same(other, changed, [(3, 12, 12)])  # batch-norms round a dozen times more; a bound of the fan-ins has room


def test_tied_and_reshaped_parameters_arrive():
    module = filled(Tied)
    graph = doubled(pg.from_torch(module, 4), ["encoder.weight", "offset", "scale", "inner.0.weight"])
    before = state(module)
    graph.apply_to(module)
    for name, tensor in module.state_dict().items():
        factor = 2 if name in ("encoder.weight", "offset", "scale", "inner.0.weight") else 1
        assert torch.equal(tensor, factor * before[name])


def test_float_graphs_are_rounded_and_exact_ones_too():
    module = nn.Linear(2, 1).to(torch.bfloat16)
    graph = pg.from_torch(module, 2).to_exact()
    values = np.array([[1, 3]], dtype=object)
    graph.with_parameters({"weight": values}).apply_to(module)
    assert module.weight.dtype == torch.bfloat16
    assert module.weight.tolist() == [[1, 3]]


def assert_refused(graph, module, match, **options):
    before = state(module)
    with pytest.raises(pg.ParameterError, match=match):
        apply_to(graph, module, **options)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), "something was written"


def test_nothing_is_written_if_something_does_not_fit():
    first = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    graph = pg.from_torch(first, 3)
    assert_refused(
        graph, nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)), r"'2.weight' needed shape \(2, 3\)"
    )
    assert_refused(graph, nn.Sequential(nn.Linear(3, 3)), "'2.weight' is no parameter of the module; '2.bias' is no")
    assert_refused(graph, nn.Sequential(*first, nn.Linear(2, 2)), "the graph has no values for '3.weight', '3.bias'")
    wide = graph.to_float(np.float64).with_parameters({"0.bias": [1e300, 0, 0]})
    assert_refused(wide, first, "'0.bias' has values beyond the range of torch.float32")
    with pytest.raises(pg.ParameterError, match=r"needed a torch.nn.Module, got dict"):
        apply_to(graph, {})
    with pytest.raises(pg.ParameterError, match=r"needed a pathgraph.LayerGraph, got Network"):
        apply_to(pg.from_weights([[[1]]]), first)


def test_folded_batch_norms_and_unused_heads():
    module = filled(ResNet)
    folded = pg.from_torch(module, (3, 12, 12)).fold_batch_norm()
    assert_refused(folded, module, "'stem.0.bias' is no parameter")
    google = filled(GoogLeNet)
    graph = doubled(pg.from_torch(google, (3, 8, 8)), ["fc.weight"])
    assert_refused(graph, google, "no values for 'aux.weight', 'aux.bias'")
    before = state(google)
    apply_to(graph, google, strict=False)
    assert torch.equal(google.fc.weight, 2 * before["fc.weight"])
    assert torch.equal(google.aux.weight, before["aux.weight"])


def test_batch_norms_that_cannot_hold_the_values():
    module = filled(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False)))
    graph = pg.from_torch(module, 3)
    graph.apply_to(module)
    assert_refused(doubled(graph, ["1.scale"]), module, "'1' has no weight and bias")
    assert_refused(graph, nn.Sequential(module[0], nn.Identity()), "'1' is no batch-norm with running statistics")
    assert_refused(graph, nn.Sequential(module[0], nn.BatchNorm1d(5)), "'1' needed 4 channels, got 5")


def test_computed_weights_have_no_place():
    module = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    assert_refused(pg.from_torch(nn.Sequential(module), 3), nn.Sequential(module), "'0.weight' is no parameter")


# -- pruning ---------------------------------------------------------------------------------------------------------


def test_scores_prune_as_torch_does():
    module = filled(ResNet)
    graph = pg.from_torch(module, (3, 12, 12))
    rng = np.random.default_rng(0)
    weights = {name: array for name, array in graph.parameters.items() if array.ndim > 1}
    scores = {name: rng.permutation(array.size).reshape(array.shape) + 1e200 for name, array in weights.items()}
    scores["fc.weight"] = np.zeros_like(scores["fc.weight"]) + 1  # the smallest ones
    keyed = pruning_scores(module, scores)
    assert keyed[module.fc, "weight"].dtype == torch.float64
    prune.global_unstructured(list(keyed), prune.L1Unstructured, importance_scores=keyed, amount=18)
    assert (module.fc.weight == 0).all()
    assert all(bool(part.weight_mask.all()) for part, _ in keyed if part is not module.fc)
    # a second round, on the pruned module
    pruned = pg.from_torch(module, (3, 12, 12))
    assert "fc.weight_orig" in pruned.parameters
    assert not pruned.parameters["fc.weight_orig"].any()
    again = pruning_scores(
        module, {"fc.weight_orig": scores["fc.weight"], "layer1.0.conv1.weight": scores["layer1.0.conv1.weight"]}
    )
    assert list(again) == [(module.fc, "weight"), (module.layer1[0].conv1, "weight")]


def test_masks_prune_and_graphs_follow():
    module = filled(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    graph = pg.from_torch(module, 3)
    mask = np.arange(12).reshape(4, 3) % 2 == 0
    for (part, name), kept in pruning_masks(module, {"0.weight": mask}).items():
        assert kept.dtype == torch.bool
        prune.custom_from_mask(part, name, kept)
    pruned = graph.with_parameters({"0.weight": graph.parameters["0.weight"] * mask})
    assert_same(module, pruned, [(3,)])
    changed = pg.from_torch(module, 3)
    assert (changed.parameters["0.weight_orig"] == pruned.parameters["0.weight"]).all()
    doubled(changed, ["0.weight_orig"]).apply_to(module)
    first = nn.Sequential(module[0])
    wanted = pg.from_torch(first, 3).with_parameters({"0.weight_orig": 2 * pruned.parameters["0.weight"]})
    assert_same(first, wanted, [(3,)])


def test_parameters_of_the_module_itself():
    module = Tied()
    assert list(pruning_scores(module, {"scale": np.ones(4)})) == [(module, "scale")]


def test_scores_that_do_not_fit():
    module = nn.Sequential(nn.Linear(3, 1))
    with pytest.raises(pg.ParameterError, match="scores: 'weight' is no parameter of the module"):
        pruning_scores(module, {"weight": [[1, 2, 3]]})
    with pytest.raises(pg.ParameterError, match=r"masks: '0.weight' needed shape \(1, 3\), got \(3,\)"):
        pruning_masks(module, {"0.weight": [True, False, True]})
    with pytest.raises(pg.ParameterError, match=r"scores: '0\.bias' holds NaN"):
        pruning_scores(module, {"0.bias": [float("nan")]})
    with pytest.raises(pg.ParameterError, match=r"needed a torch.nn.Module, got str"):
        pruning_scores("module", {})


NO_NUMBERS = [["a"] * 3], np.ones((1, 3)) * 1j, [[1, 2], [3]], None, "text", torch.ones(1, 3, dtype=torch.complex64)


def test_arguments_of_other_kinds():
    module = nn.Sequential(nn.Linear(3, 1))
    for function, what in ((pruning_scores, "scores"), (pruning_masks, "masks")):
        for arrays in (None, 3, [1], pg.from_torch(module, 3)):
            with pytest.raises(pg.ParameterError, match=f"{what}: needed a mapping from names of parameters to arrays"):
                function(module, arrays)
        for key in (3, (module[0], "weight")):
            with pytest.raises(pg.ParameterError, match=rf"{what}: needed names such as 'layer\.weight' as keys"):
                function(module, {key: [[1, 1, 1]]})
        for array in NO_NUMBERS:
            with pytest.raises(pg.ParameterError, match=f"{what}: '0.weight' needed an array of real numbers, got"):
                function(module, {"0.weight": array})
        tensor = torch.tensor([[1.0, 0, 1]], requires_grad=True)
        assert function(module, {"0.weight": tensor})[module[0], "weight"].tolist() == [[1, 0, 1]]
    with pytest.raises(pg.ParameterError, match="needed True and False, got other numbers"):
        pruning_masks(module, {"0.weight": [[0.5, 1, 0]]})


def modules_that_take_no_values():
    with torch.inference_mode():
        made = nn.Linear(3, 2)
    yield made, "was made in torch.inference_mode"
    yield nn.Linear(3, 2, device="meta"), "'weight' has no values; 'bias' has no values"
    yield nn.LazyLinear(2), "'weight' has no values; 'bias' has no values"
    whole = nn.Linear(3, 2)
    whole.weight = nn.Parameter(torch.ones(2, 3, dtype=torch.complex64))
    yield whole, "'weight' needed real floating-point numbers, got torch.complex64"
    shared = nn.Linear(3, 2)
    shared.weight = nn.Parameter(torch.ones(2, 1).expand(2, 3))
    yield shared, "'weight' is expanded, so that its entries share memory"


def test_modules_that_take_no_values():
    graph = pg.from_torch(nn.Linear(3, 2), 3)
    for module, match in modules_that_take_no_values():
        bias = None if "no values" in match else module.bias.clone()
        with pytest.raises(pg.ParameterError, match=match):
            graph.apply_to(module)
        assert bias is None or torch.equal(bias, module.bias)
