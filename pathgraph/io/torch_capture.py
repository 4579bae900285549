"""One graph of tensor operations from a torch module, without touching the module.

The module is copied (its tensors are shared, its hooks are not), the copy is put in evaluation mode, and
`torch.export` records it on tensors that have shapes and no values; where that fails, `torch.fx` records the same
operations by a symbolic trace. Either way the result is an `fx.Graph` of ``aten`` operators whose placeholders are the
parameters, the buffers, lifted constants and the inputs.

A batch of `BATCH` samples is recorded: an axis 0 of another size later on means that the module mixes samples. That
it would do the same with any other number of samples is what `torch_batches` finds out. PyTorch records in one thread
at a time; others wait.
"""

from __future__ import annotations

import copy
import logging
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import fx

from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.io.refusals import Refusal
from pathgraph.io.torch_batches import Recording, batch_dependence

__all__ = ["BATCH", "Capture", "capture", "state_of"]

BATCH = 7
"""Samples in the recorded batch; a number that programs rarely write down."""

MOST_BYTES = 1 << 30
"""Of the inputs that other numbers of samples are tried on."""

RECORDERS = [
    *("__trace", "_dynamo", "_dynamo.convert_frame", "_export", "_guards", "_subclasses.fake_tensor", "export"),
    *("export._trace", "fx.experimental.symbolic_shapes"),
]
"""What logs failures, which become errors, or are tried in another way."""

LOCK = threading.RLock()
"""`torch.export` works in one thread at a time."""

KEPT_HOOKS = "torch.nn.utils"
"""Pre-hooks of this package compute a weight from other parameters, and belong to what the module computes."""


class Capture(NamedTuple):
    """A recorded module.

    Attributes
    ----------
    graph : fx.Graph
    values : dict from fx.Node to str
        For placeholders and attributes: the name of the tensor they stand for, a key of `state`.
    inputs : list of fx.Node
    outputs : list of fx.Node
    state : dict from str to torch.Tensor
        The module's own parameters and buffers by name, tied ones under their first name, and the constants.
    constants : dict from str to torch.Tensor
        Tensors that the program holds besides.
    parameters : frozenset of str
        The names that are parameters.
    notes : tuple of str
        What was left out.
    refusals : tuple of Refusal
        Where it depends on the number of samples.
    """

    graph: fx.Graph
    values: dict[fx.Node, str]
    inputs: list[fx.Node]
    outputs: list[Any]
    state: dict[str, torch.Tensor]
    constants: dict[str, torch.Tensor]
    parameters: frozenset[str]
    notes: tuple[str, ...]
    refusals: tuple[Refusal, ...]


def capture(module: Any, shapes: Sequence[tuple[int, ...]]) -> Capture:
    """Record a module on inputs of the given shapes, without the batch axis.

    Raises
    ------
    ParameterError
        If this is no module, or it cannot be called on such inputs.
    UnsupportedOperatorError
        If it is not one graph of operators: control flow that depends on values, other languages than Python.
    """
    if not isinstance(module, torch.nn.Module) or isinstance(module, torch.jit.ScriptModule):
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        raise ParameterError(f"module: needed a torch.nn.Module written in Python, got {kind}")
    twin, notes = _twin(module)
    state, aliases = state_of(module), _first_names(module)
    for name, tensor in state.items():
        if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin) or tensor.is_meta:
            raise ParameterError(f"module: needed real tensors with values, but {name!r} has no values")
        if tensor.is_complex() or tensor.is_mkldnn:
            what = "complex values" if tensor.is_complex() else f"the layout {tensor.layout}"
            raise ParameterError(f"module: needed real tensors with values, but {name!r} has {what}")
    like = next((tensor for tensor in state.values() if tensor.is_floating_point()), None)
    kinds = [(like.dtype, like.device)] if like is not None else [(torch.float32, "cpu"), (torch.float64, "cpu")]
    with LOCK, torch.no_grad(), _quiet():
        for place, (dtype, device) in enumerate(kinds):
            samples = _samples(shapes, dtype, device)
            try:
                found = _recorded(twin, samples)
                break
            except ParameterError:
                if place == len(kinds) - 1:
                    raise
        refusals = batch_dependence(
            found,
            BATCH,
            lambda is_strict: _opened(_twin(module)[0], samples, is_strict),
            lambda n: _recorded(_twin(module)[0], _others(samples, n)),
        )
    graph, values, inputs, outputs, constants = found
    aliases |= _held(constants, state)
    return Capture(
        graph,
        {node: aliases.get(name, name) for node, name in values.items()},
        inputs,
        outputs,
        {**constants, **state},
        constants,
        frozenset(aliases.get(name, name) for name, _ in module.named_parameters(remove_duplicate=False)),
        notes,
        refusals,
    )


def _samples(shapes: Sequence[tuple[int, ...]], dtype: torch.dtype, device: Any) -> tuple[torch.Tensor, ...]:
    try:
        return tuple(torch.zeros(BATCH, *shape, dtype=dtype, device=device) for shape in shapes)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise ParameterError(
            f"input_shape: needed sizes of which {BATCH} samples fit into memory, got {list(shapes)}"
        ) from error


def _others(samples: tuple[torch.Tensor, ...], n: int) -> tuple[torch.Tensor, ...]:
    """Inputs of so many samples; their values are never read."""
    if n * sum(sample[0].nbytes for sample in samples) > MOST_BYTES:
        raise MemoryError
    return tuple(torch.empty(n, *sample.shape[1:], dtype=sample.dtype, device=sample.device) for sample in samples)


def state_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a module by name, those that are not saved included; a tied one once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _first_names(module: torch.nn.Module) -> dict[str, str]:
    """For every name of a parameter or buffer the first name of that tensor."""
    out: dict[str, str] = {}
    for listed in (module.named_parameters, module.named_buffers):
        first: dict[int, str] = {}
        for name, tensor in listed(remove_duplicate=False):
            out[name] = first.setdefault(id(tensor), name)
    return out


def _held(constants: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """The names in the module of constants that are its own tensors, reached by another way than its attributes."""

    def place(tensor: torch.Tensor) -> Any:
        if not tensor.numel() or tensor.layout != torch.strided:
            return None
        try:
            return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
        except RuntimeError:  # a tensor without values, or of a functional transformation
            return None

    names = {place(tensor): name for name, tensor in state.items()}
    names.pop(None, None)
    return {name: names[place(tensor)] for name, tensor in constants.items() if place(tensor) in names}


def _twin(module: torch.nn.Module) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """A copy in evaluation mode that shares parameters and buffers, without hooks but those that compute weights.

    Recording leaves parameters and buffers alone, but not all other tensors: they are copied.
    """
    memo: dict[int, Any] = {}
    left_out = []
    for path, part in module.named_modules():
        for key, value in vars(part).items():
            if key.endswith("_hooks") and isinstance(value, dict):
                kept = {
                    number: hook
                    for number, hook in value.items()
                    if key == "_forward_pre_hooks" and type(hook).__module__.startswith(KEPT_HOOKS)
                }
                memo[id(value)] = OrderedDict(kept)
                if key in ("_forward_hooks", "_forward_pre_hooks") and len(kept) < len(value):
                    left_out.append(path or "the module itself")
        for tensor in [*part._parameters.values(), *part._buffers.values()]:
            if tensor is not None:
                memo[id(tensor)] = tensor
    for part in module.modules():
        own = {key: value for key, value in vars(part).items() if key not in ("_parameters", "_buffers", "_modules")}
        for tensor in _tensors_in(list(own.values())):
            memo.setdefault(id(tensor), tensor.detach().clone())
    try:
        twin = copy.deepcopy(module, memo).eval()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ParameterError(f"module: needed one that copy.deepcopy can copy, got {said}") from error
    places = ", ".join(dict.fromkeys(left_out))
    return twin, (f"forward hooks were not run: at {places}",) if left_out else ()


def _tensors_in(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    """The tensors among some values, and in lists, tuples and mappings of them."""
    seen: set[int] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple, Mapping)) and id(value) not in seen:
            seen.add(id(value))
            stack += value.values() if isinstance(value, Mapping) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings, and without the log of failures, which become errors."""
    logs = [logging.getLogger(f"torch.{name}") for name in RECORDERS]
    were_disabled = [log.disabled for log in logs]
    for log in logs:
        log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, was_disabled in zip(logs, were_disabled, strict=True):
            log.disabled = was_disabled


def _recorded(module: torch.nn.Module, samples: tuple[torch.Tensor, ...]) -> Recording:
    """The graph by whichever way works."""
    try:
        return _exported(module, samples)
    except Exception as failure:
        return _traced(module, samples, failure)


def _opened(module: torch.nn.Module, samples: tuple[torch.Tensor, ...], is_strict: bool) -> Recording:
    """The graph for a number of samples that is left open."""
    from torch.export import Dim, ShapesCollection

    shapes = ShapesCollection()
    for sample in samples:
        shapes[sample] = {0: Dim.DYNAMIC}
    return _exported(module, samples, dynamic_shapes=shapes, strict=is_strict)


def _exported(module: torch.nn.Module, samples: tuple[torch.Tensor, ...], **options: Any) -> Recording:
    """The graph by `torch.export`."""
    from torch.export import export
    from torch.export.graph_signature import InputKind, OutputKind

    program = export(module, samples, **options)
    nodes = {node.name: node for node in program.graph.nodes}
    values, inputs, constants = {}, [], {}
    for spec in program.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT:
            inputs.append(node)
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            values[node] = spec.target
        elif _is_tensor(program.constants.get(spec.target)):
            values[node] = spec.target
            constants[spec.target] = program.constants[spec.target]
    (end,) = [node for node in program.graph.nodes if node.op == "output"]
    specs = program.graph_signature.output_specs
    outputs = [
        value
        for spec, value in zip(specs, end.args[0], strict=True)
        if spec.kind == OutputKind.USER_OUTPUT and value is not None
    ]
    return Recording(program.graph, values, inputs, outputs, constants)


def _traced(module: torch.nn.Module, samples: tuple[torch.Tensor, ...], failure: Exception) -> Recording:
    """The graph by a trace of `torch.fx`, after `torch.export` has failed."""
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils._pytree import tree_leaves

    tensors = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    names = [name for name, _ in tensors]

    def call(state: Mapping[str, torch.Tensor], *inputs: torch.Tensor) -> Any:
        return torch.func.functional_call(module, dict(state), inputs, tie_weights=False)

    try:
        traced = make_fx(call, tracing_mode="fake", pre_dispatch=True, _allow_non_fake_inputs=True)(
            dict(tensors), *samples
        )
    except Exception as second:
        raise _explained(second, failure, samples) from second
    placeholders = [node for node in traced.graph.nodes if node.op == "placeholder"]
    values = dict(zip(placeholders, names, strict=False))
    constants = {}
    for node in traced.graph.nodes:
        if node.op == "get_attr" and _is_tensor(getattr(traced, node.target)):
            values[node] = name = f"constant:{node.target}"
            constants[name] = getattr(traced, node.target)
    (end,) = [node for node in traced.graph.nodes if node.op == "output"]
    outputs = [value for value in tree_leaves(end.args[0]) if value is not None]
    return Recording(traced.graph, values, placeholders[len(names) :], outputs, constants)


def _is_tensor(value: Any) -> bool:
    """Whether this is a tensor with entries of its own, and none inside a functional transformation."""
    return isinstance(value, torch.Tensor) and not torch._C._functorch.is_functorch_wrapped_tensor(value)


def _explained(error: Exception, first: Exception, samples: Sequence[torch.Tensor]) -> Exception:
    """Whose fault it is that a module cannot be recorded."""
    kind = type(error).__name__
    said = f"{kind}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
    if "DataDependent" in kind or "DynamicOutput" in kind or "GuardOn" in kind:
        return UnsupportedOperatorError(
            "from_torch: needed one graph of operators, but the module looks at the values of its tensors "
            f"(activations, parameters or buffers: {said}), and control flow that depends on them is no sum over paths"
        )
    shapes = " and ".join(f"(batch, {', '.join(map(str, sample.shape[1:]))})" for sample in samples)
    return ParameterError(
        f"input_shape: the module cannot be recorded on inputs of shape {shapes}: {said} (torch.export: "
        f"{type(first).__name__}); input_shape has no batch axis, and a list of shapes stands for several inputs"
    )
