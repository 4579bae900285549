"""Does a module do the same to every sample, however many there are?

A recording holds for the number of samples that it was made with: ``x / len(x)`` has become a division by 7. So the
module is run on two batches of different sizes, on tensors that have shapes and no values, and what it does is compared
operation by operation: sizes may follow the batch, numbers may not.

Not found is what depends on the number of samples through the values of tensors alone, as in
``torch.ones_like(x).sum(0)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pathgraph.io.refusals import Refusal

__all__ = ["batch_dependence"]

OTHER = 11
"""Samples of the second batch: no multiple of the first one, and it divides few sizes."""

SIZES = frozenset(
    {"view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "repeat", "empty", "zeros", "ones", "full", "rand"}
    | {"randn", "new_empty", "new_zeros", "new_ones", "new_full", "empty_strided", "new_empty_strided", "as_strided"}
    | {"split_with_sizes", "split", "slice", "narrow", "arange", "select"}
)
"""Operators whose whole numbers may follow the size of the batch: what they make shows whether samples are mixed."""

FILLS = frozenset({"full", "new_full"})
"""Those of them that take a number that is no size."""


class Operation(NamedTuple):
    """One operation on the way: its operator, what it was given, and in which module."""

    operator: str
    given: list[Any]
    place: str


def batch_dependence(
    copies: tuple[torch.nn.Module, torch.nn.Module],
    shapes: Sequence[tuple[int, ...]],
    batch: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Refusal, ...]:
    """Where a module does something else with another number of samples.

    Parameters
    ----------
    copies : tuple of two torch.nn.Module
        Two copies of it, which may be changed by running them, but not in their tensors.
    shapes : sequence of tuple of int
        Of the inputs, without the batch axis.
    batch : int
        The number of samples that it was recorded with.
    dtype, device
        Of the inputs.

    Returns
    -------
    tuple of Refusal
        Empty if there is no such place, or if the module cannot be run in this way even with `batch` samples.
    """
    try:
        first = _run(copies[0], [(batch, *shape) for shape in shapes], dtype, device)
    except Exception:
        return ()
    try:
        second = _run(copies[1], [(OTHER, *shape) for shape in shapes], dtype, device)
    except Exception as error:
        said = str(error).strip().splitlines()
        reason = f"it takes {batch} samples and not {OTHER}: {type(error).__name__}: {said[0] if said else 'no message'}"
        return (Refusal("the module", "forward", "", reason),)
    found = []
    for one, other in zip(first, second, strict=False):
        if one.operator != other.operator:
            reason = f"with {OTHER} samples in place of {batch}, {other.operator} comes here"
            return (*found, Refusal(one.operator, f"aten.{one.operator}", one.place, reason))
        name = one.operator.split(".")[0].rstrip("_")
        if not _agree(one.given, other.given, batch, name):
            reason = "a number or a size in it depends on the number of samples; needed the same for any batch"
            found.append(Refusal(one.operator, f"aten.{one.operator}", one.place, reason))
    if len(first) != len(second):
        reason = f"it takes {len(first)} operations on {batch} samples and {len(second)} on {OTHER}"
        found.append(Refusal("the module", "forward", "", reason))
    return tuple(dict.fromkeys(found))


def _agree(one: Any, other: Any, batch: int, name: str, is_listed: bool = False) -> bool:
    """Whether two arguments of an operator are the same, up to sizes that follow the batch."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one is other or (one.shape == other.shape and torch.equal(one, other))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        is_shape = isinstance(one, torch.Size)
        follows = "view" if is_shape else name
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_agree(a, b, batch, follows, not _is_top(one)) for a, b in pairs)
    if type(one) is int and type(other) is int and one * OTHER == other * batch:
        return one == other or (name in SIZES and (is_listed or name not in FILLS))
    return bool(one == other) or (one != one and other != other)


class _Given(list[Any]):
    """The arguments of one call."""


def _is_top(values: Any) -> bool:
    return isinstance(values, _Given)


def _run(
    module: torch.nn.Module, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype, device: torch.device
) -> list[Operation]:
    """What a module does with inputs of some shapes."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    fake = FakeTensorMode(allow_non_fake_inputs=True)
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    state = {name: fake.from_tensor(tensor) for name, tensor in tensors}
    with fake, _Record(module) as record:
        inputs = tuple(torch.empty(shape, dtype=dtype, device=device) for shape in shapes)
        record.found.clear()
        torch.func.functional_call(module, state, inputs, tie_weights=False)
    return record.found


class _Record(TorchDispatchMode):
    """Writes down every operation, and in which submodule it happens."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.found: list[Operation] = []
        self._places = [""]
        for path, part in module.named_modules():
            if path:
                kind = f"{type(part).__module__}.{type(part).__qualname__}"
                part.register_forward_pre_hook(self._entered(f"{path} ({kind})"))
                part.register_forward_hook(self._left, always_call=True)

    def _entered(self, place: str) -> Any:
        return lambda *_: self._places.append(place)

    def _left(self, *_: Any) -> None:
        self._places.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options: Mapping[str, Any] = kwargs or {}
        name = str(func).removeprefix("aten.")
        given = _Given(_summary(value) for value in (*args, *(options[key] for key in sorted(options))))
        self.found.append(Operation(name, given, self._places[-1]))
        return func(*args, **options)


def _summary(value: Any) -> Any:
    """A tensor without values as its shape; one with values as it is."""
    from torch._subclasses.fake_tensor import FakeTensor

    if isinstance(value, FakeTensor):
        return value.shape if value.constant is None else value.constant
    if isinstance(value, (list, tuple)):
        return [_summary(part) for part in value]
    return value
