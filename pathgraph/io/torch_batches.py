"""Does a module do the same to every sample, however many there are?

A recording holds for the number of samples that it was made with: ``x / len(x)`` has become a division by 7. So the
module is run on two batches of different sizes, on tensors that have shapes and no values, and what it does is compared
operation by operation: sizes may follow the batch, numbers may not.

Not found is what is the same for these two sizes, and what depends on the number of samples through the values of
tensors alone, as in a softmax of ones over the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pathgraph.io.refusals import Refusal

__all__ = ["batch_dependence"]

OTHER = 10
"""Samples of the second batch: no common factor with the first one, and even."""

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

    @property
    def name(self) -> str:
        """The operator without its overload."""
        return self.operator.split(".")[0].rstrip("_")


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
        said = (str(error).strip().splitlines() or ["no message"])[0]
        return (_of_module(f"it takes {batch} samples and not {OTHER}: {type(error).__name__}: {said}"),)
    numbers: list[Refusal] = []
    shapes_differ = False
    for one, other in zip(first, second, strict=False):
        if one.operator != other.operator:
            reason = f"with {OTHER} samples in place of {batch}, {other.operator} comes here"
            return (*dict.fromkeys(numbers), Refusal(one.name, f"aten.{one.operator}", one.place, reason))
        agree = _agreement(one.given, other.given, batch, one.name)
        shapes_differ |= not agree.shapes
        if not agree.numbers:
            reason = "what it is given depends on the number of samples; needed the same for any batch"
            numbers.append(Refusal(one.name, f"aten.{one.operator}", one.place, reason))
    if len(first) != len(second):
        numbers.append(_of_module(f"it takes {len(first)} operations on {batch} samples and {len(second)} on {OTHER}"))
    elif shapes_differ and not numbers:
        numbers.append(_of_module("sizes of its tensors depend on the number of samples in other places than axis 0"))
    return tuple(dict.fromkeys(numbers))


def _of_module(reason: str) -> Refusal:
    return Refusal("the module", "forward", "", reason)


class _Agreement(NamedTuple):
    """Whether the numbers given to an operation are the same, and whether the shapes are, up to the batch."""

    numbers: bool
    shapes: bool


def _agreement(one: Any, other: Any, batch: int, name: str, is_listed: bool = False) -> _Agreement:
    """How two arguments of an operator agree, where sizes may follow the batch."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _Agreement(one is other or (one.shape == other.shape and torch.equal(one, other)), True)
    if isinstance(one, _Seen) and isinstance(other, _Seen):
        sizes = zip(one.shape, other.shape, strict=False)
        is_shaped = len(one.shape) == len(other.shape) and all(_is_size(a, b, batch) for a, b in sizes)
        return _Agreement(one.number == other.number, is_shaped)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        is_top = isinstance(one, _Given)
        parts = [_agreement(a, b, batch, name, not is_top) for a, b in zip(one, other, strict=False)]
        same_length = len(one) == len(other)
        return _Agreement(same_length and all(p.numbers for p in parts), all(p.shapes for p in parts))
    if name in SIZES and (is_listed or name not in FILLS) and _is_size(one, other, batch):
        return _Agreement(True, True)
    return _Agreement(type(one) is type(other) and bool(one == other or (one != one and other != other)), True)


def _is_size(one: Any, other: Any, batch: int) -> bool:
    """Whether two whole numbers are equal, or grow as the batch does."""
    return type(one) is int and type(other) is int and (one == other or one * OTHER == other * batch)


class _Seen(NamedTuple):
    """A tensor without values: its number in the order of the run, and its shape."""

    number: int
    shape: tuple[int, ...]


class _Given(list[Any]):
    """The arguments of one call."""


def _run(
    module: torch.nn.Module, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype, device: torch.device
) -> list[Operation]:
    """What a module does with inputs of some shapes."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    fake = FakeTensorMode(allow_non_fake_inputs=True)
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    state = {name: fake.from_tensor(tensor) for name, tensor in tensors}
    with fake, _Record(module, {id(tensor): name for name, tensor in state.items()}) as record:
        inputs = tuple(torch.empty(shape, dtype=dtype, device=device) for shape in shapes)
        record.found.clear()
        torch.func.functional_call(module, state, inputs, tie_weights=False)
    found: list[Operation] = record.found
    return found


class _Record(TorchDispatchMode):  # type: ignore[misc]
    """Writes down every operation, and in which submodule it happens."""

    def __init__(self, module: torch.nn.Module, names: dict[int, str]) -> None:
        super().__init__()
        self._names = names
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no two tensors have one id
        self.found: list[Operation] = []
        self._places = [""]
        for path, part in module.named_modules():
            kind = f"{type(part).__module__}.{type(part).__qualname__}"
            part.register_forward_pre_hook(self._entered(f"{path or 'the module'} ({kind})"))
            part.register_forward_hook(self._left, always_call=True)

    def _entered(self, place: str) -> Any:
        return lambda *_: self._places.append(place)

    def _left(self, *_: Any) -> None:
        self._places.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options: Mapping[str, Any] = kwargs or {}
        name = str(func)
        if name.startswith("aten."):
            values = (*args, *(options[key] for key in sorted(options)))
            given = _Given(self._summary(value) for value in values)
            self.found.append(Operation(name.removeprefix("aten."), given, self._places[-1]))
        made = func(*args, **options)
        for tensor in made if isinstance(made, (list, tuple)) else [made]:
            self._summary(tensor)
        return made

    def _summary(self, value: Any) -> Any:
        """The name of a tensor of the module, the number of another one without values; what has values as it is."""
        from torch._subclasses.fake_tensor import FakeTensor

        if isinstance(value, FakeTensor):
            if id(value) in self._names:
                return self._names[id(value)]
            if value.constant is not None:
                return value.constant
            if id(value) not in self._numbers:
                self._numbers[id(value)] = len(self._numbers)
                self._alive.append(value)
            return _Seen(self._numbers[id(value)], tuple(value.shape))
        if isinstance(value, (list, tuple)):
            return [self._summary(part) for part in value]
        return value
