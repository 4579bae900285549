"""Arrays that do not live in the memory of the CPU: whose they are, and that operands never mix.

A *device* (`pathgraph_gpu.device.Device`) owns a type of arrays and runs kernels on them. Functions of pathgraph that
can work there ask `device_of` first: None is the CPU, and the usual code follows. Nothing is ever moved silently:
operands on two devices are a `ConversionError`, which is a TypeError.

A device is found by the package that defines the type of an array; the package that runs it is imported when the
first such array comes. CuPy's arrays belong to `pathgraph.gpu`; `register` adds others, as the loop-back device does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from pathgraph.errors import BackendError, ConversionError
from pathgraph.shown import argument_text

__all__ = ["Device", "device_named", "device_of", "is_device_array", "refuse_elsewhere", "register"]


class Device(Protocol):
    """What owns a kind of arrays; `pathgraph_gpu.device.Device` is one.

    Attributes
    ----------
    name : str
        In messages.
    xp : module
        The namespace of its arrays.
    networks : module
        Path sums and evaluation: the functions of `pathgraph_gpu.networks`.
    products : module
        Products of Kronecker-sparse matrices: the functions of `pathgraph_gpu.products`.
    """

    name: str
    xp: Any

    @property
    def networks(self) -> Any: ...  # noqa: D102

    @property
    def products(self) -> Any: ...  # noqa: D102

    def to_host(self, array: Any) -> Any:
        """An array of the device as one of NumPy: a copy, which waits for the device."""
        ...

    def to_device(self, array: Any) -> Any:
        """An array of NumPy as one of the device: a copy."""
        ...


_OWNERS: dict[str, Callable[[], Device]] = {}
"""By the first part of the name of the module that defines a type of arrays."""

_NAMED: dict[str, Callable[[], Device]] = {}
"""By the name by which a user asks for it."""

_NAMES: dict[str, str] = {}
"""That name, by the first part of the name of the module that defines a type of arrays."""


def register(package: str, owner: Callable[[], Device], *, name: str | None = None) -> None:
    """Let arrays whose type is defined in a package belong to a device.

    Parameters
    ----------
    package : str
        First part of the module name of the type of the arrays, such as ``"cupy"``.
    owner : callable
        Gives the device; called at every look-up, so it should keep it.
    name : str, optional
        By which ``net.to_device`` knows it; the package by default.
    """
    _OWNERS[package] = owner
    _NAMES[package] = package if name is None else name
    _NAMED[_NAMES[package]] = owner


def _cuda() -> Device:
    device: Device = import_module("pathgraph.gpu").cuda()
    return device


def _loopback() -> Device:
    device: Device = import_module("pathgraph.gpu").loopback()
    return device


register("cupy", _cuda)
_NAMED["loopback"] = _loopback  # importing pathgraph.gpu registers its arrays


def device_named(name: str) -> Device:
    """The device of a name: "cupy" or "loopback", or one that was registered.

    Raises
    ------
    BackendError
        If there is none, or it cannot be used, with the reason.
    """
    if not isinstance(name, str) or name not in _NAMED:
        raise BackendError(
            f"device: needed one of {', '.join(map(repr, sorted(_NAMED)))} or a Device, got {argument_text(name)}"
        )
    if name == "cupy":
        answer = import_module("pathgraph.gpu").is_available()
        if not answer:
            raise BackendError(f"device: the GPU cannot be used: {answer.reason}")
    return _NAMED[name]()


def is_device_array(array: Any) -> bool:
    """Whether an operand is an array of some device other than the CPU.

    Examples
    --------
    >>> import numpy as np
    >>> is_device_array(np.zeros(3)), is_device_array([1.0])
    (False, False)
    """
    return type(array).__module__.partition(".")[0] in _OWNERS


def refuse_elsewhere(value: Any, name: str) -> None:
    """Refuse an array or an operator of some device where the CPU computes.

    Raises
    ------
    ConversionError

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> refuse_elsewhere(np.zeros(3), "inputs")
    >>> refuse_elsewhere(pg.gpu.loopback().to_device(np.zeros(3)), "inputs")
    Traceback (most recent call last):
    ...
    pathgraph.errors.ConversionError: inputs: needed what is on the CPU, as other operands are, got LoopbackArray; ...
    """
    if is_device_array(value) or hasattr(value, "to_host"):
        raise ConversionError(
            f"{name}: needed what is on the CPU, as other operands are, got {type(value).__name__}; nothing is moved "
            "silently: copy it with .get() or .to_host(), or move the others to its device"
        )


def device_of(**operands: Any) -> Device | None:
    """The device that all operands live on; None for the CPU.

    Parameters
    ----------
    **operands
        By the names that an error should give them. None is no operand.

    Raises
    ------
    ConversionError
        If some of them live elsewhere than others.

    Examples
    --------
    >>> import numpy as np
    >>> device_of(x=np.zeros(3), out=None) is None
    True
    """
    owners = {
        name: type(array).__module__.partition(".")[0] if is_device_array(array) else ""
        for name, array in operands.items()
        if array is not None
    }
    found = set(owners.values())
    if found <= {""}:
        return None
    if len(found) > 1:
        places = ", ".join(f"{name} on {_NAMES.get(owner, 'the CPU')}" for name, owner in owners.items())
        raise ConversionError(
            f"{places}: needed all operands on one device, and nothing is moved silently; to_device() of the device "
            "moves an array there, to_host() a network or an operator back"
        )
    return _OWNERS[found.pop()]()
