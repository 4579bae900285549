"""Results in PyTorch: parameters written back into a module, scores and masks as ``torch.nn.utils.prune`` wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from pathgraph.errors import ParameterError
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.scalars import Array

__all__ = ["copied_into", "keyed"]

NORMS = ("scale", "shift")


def copied_into(graph: LayerGraph, module: Any, *, strict: bool) -> None:
    """See `pathgraph.io.torch.apply_to`."""
    if not isinstance(module, torch.nn.Module):
        raise ParameterError(f"module: needed a torch.nn.Module, got {type(module).__name__}")
    state = dict(module.named_parameters(remove_duplicate=False))
    problems: list[str] = []
    plan: list[tuple[Any, Any]] = []
    norms: dict[str, dict[str, Array]] = {}
    entries = graph.to_float(np.float64).entries_by_name
    for name, role in graph.roles.items():
        stem, _, kind = name.rpartition(".")
        if role == "frozen" and kind in NORMS:
            norms.setdefault(stem, {})[kind] = entries[name]
        elif role == "frozen":
            problems.append(f"{name!r} is frozen and has no counterpart in a module")
        elif role == "parameter" and name not in state:
            problems.append(f"{name!r} is no parameter of the module")
        elif role == "parameter":
            _planned(plan, problems, name, state[name], torch.from_numpy(np.array(entries[name])))
    for stem, parts in norms.items():
        _planned_norm(plan, problems, stem, _submodule(module, stem), parts)
    written = {id(target) for target, _ in plan} | {id(state[name]) for name in graph.roles if name in state}
    left = [name for name, tensor in module.named_parameters() if id(tensor) not in written]
    if any(isinstance(state[name], torch.nn.parameter.UninitializedTensorMixin) for name in left):
        problems.append("it has parameters without values yet")
    if strict and left:
        problems.append(
            f"the graph has no values for {', '.join(map(repr, left))} (strict=False leaves them as they are)"
        )
    if problems:
        raise ParameterError("module: needed the structure of the graph, but " + "; ".join(problems))
    with torch.no_grad():
        for target, values in plan:
            target.copy_(values)


def _planned(plan: list[tuple[Any, Any]], problems: list[str], name: str, target: Any, values: Any) -> None:
    """One copy that can be carried out, or why it cannot."""
    if isinstance(target, torch.nn.parameter.UninitializedTensorMixin) or target.is_meta:
        problems.append(f"{name!r} has no values")
    elif not target.is_floating_point():
        problems.append(f"{name!r} needed real floating-point numbers, got {target.dtype}")
    elif target.is_inference() and not torch.is_inference_mode_enabled():
        problems.append(f"{name!r} was made in torch.inference_mode, outside of which it cannot be changed")
    elif any(n > 1 and step == 0 for n, step in zip(target.shape, target.stride(), strict=True)):
        problems.append(f"{name!r} is expanded, so that its entries share memory")
    elif tuple(target.shape) != tuple(values.shape):
        problems.append(f"{name!r} needed shape {tuple(values.shape)}, got {tuple(target.shape)}")
    elif not bool(torch.isfinite((converted := values.to(target.dtype)).to(torch.float64)).all()):
        problems.append(f"{name!r} has values beyond the range of {target.dtype}")
    else:
        plan.append((target, converted))


def _planned_norm(
    plan: list[tuple[Any, Any]], problems: list[str], stem: str, norm: Any, parts: Mapping[str, Array]
) -> None:
    """The weight and bias of a batch-norm, from its scale and shift and the running statistics of the module."""
    if not isinstance(norm, (_BatchNorm, _InstanceNorm)) or norm.running_var is None or len(parts) != len(NORMS):
        problems.append(f"{stem!r} is no batch-norm with running statistics")
        return
    scale, shift = (torch.from_numpy(np.array(parts[kind])) for kind in NORMS)
    mean, var = (t.detach().cpu().to(torch.float64) for t in (norm.running_mean, norm.running_var))
    if mean.shape != scale.shape:
        problems.append(f"{stem!r} needed {len(scale)} channels, got {len(mean)}")
        return
    deviation = torch.sqrt(var + norm.eps)
    if norm.weight is not None:
        _planned(plan, problems, f"{stem}.weight", norm.weight, scale * deviation)
        _planned(plan, problems, f"{stem}.bias", norm.bias, shift + mean * scale)
    elif not (torch.allclose(scale * deviation, torch.ones_like(scale)) and torch.allclose(shift, -mean * scale)):
        problems.append(f"{stem!r} has no weight and bias (affine=False) that could take its scale and shift")


def _submodule(module: Any, path: str) -> Any:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None


def _real(array: Any, name: str, what: str) -> Array:
    """An array of real numbers."""
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().to(torch.float64) if not array.is_complex() else array.resolve_conj()
    try:
        values = np.asarray(array)
        if values.dtype == object and values.size and array is not None:
            values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{what}: {name!r} needed an array of real numbers, got {array!r:.60}") from error
    if values.dtype.kind not in "fiub":
        raise ParameterError(f"{what}: {name!r} needed an array of real numbers, got {values.dtype}")
    return values


def keyed(module: Any, arrays: Mapping[str, Any], what: str, dtype: Any) -> dict[tuple[Any, str], Any]:
    """Arrays by parameter name as tensors by module and name, shapes checked."""
    if not isinstance(module, torch.nn.Module):
        raise ParameterError(f"module: needed a torch.nn.Module, got {type(module).__name__}")
    if not isinstance(arrays, Mapping):
        raise ParameterError(
            f"{what}: needed a mapping from names of parameters to arrays, got {type(arrays).__name__}"
        )
    state = dict(module.named_parameters(remove_duplicate=False))
    out = {}
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise ParameterError(f"{what}: needed names such as 'layer.weight' as keys, got {name!r:.60}")
        path, _, leaf = name.rpartition(".")
        pruned = f"{name}_orig"
        target = state.get(name, state.get(pruned))
        if target is None:
            raise ParameterError(f"{what}: {name!r} is no parameter of the module; see module.named_parameters()")
        values = _real(array, name, what)
        if values.shape != tuple(target.shape):
            raise ParameterError(f"{what}: {name!r} needed shape {tuple(target.shape)}, got {values.shape}")
        if np.isnan(values).any():
            raise ParameterError(f"{what}: {name!r} holds NaN")
        if dtype == torch.bool and not ((values == 0) | (values == 1)).all():
            raise ParameterError(f"{what}: {name!r} needed True and False, got other numbers")
        key = (_submodule(module, path), leaf.removesuffix("_orig"))
        out[key] = torch.from_numpy(np.array(values)).to(device=target.device, dtype=dtype)
    return out
