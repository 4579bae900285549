"""A device: a kind of arrays, and kernels that run on them.

Launch code takes the device as its first argument, and never imports CuPy. So the same code runs on a GPU
(`pathgraph_gpu.device.cuda`), and in the tests on arrays of the CPU, where the kernels are the same text compiled by a
C++ compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from pathgraph.errors import BackendError
from pathgraph_gpu import sources
from pathgraph_gpu._availability import is_available

__all__ = ["Compiler", "Device", "Kernel", "Wait", "cuda"]


class Kernel(Protocol):
    """What `cupy.RawKernel` is, and what runs a kernel on the CPU.

    Arguments are arrays of the device and NumPy scalars of the very types of the parameters: a Python number would be
    passed as a double or a 64-bit integer, whatever the kernel expects.
    """

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        """Launch the kernel on the current stream."""
        ...


Clock = Callable[[Callable[[], None]], float]
"""The seconds that the device takes for some work, which waits for the device."""

Wait = Callable[[], None]
"""Makes the current stream wait for work that was marked; the host does not wait."""

Compiler = Callable[[str, str, tuple[str, ...]], Kernel]
"""From a text, the name of one of its kernels and the compiler's options to the kernel."""


class Device:
    """A kind of arrays, and kernels that run on them.

    Parameters
    ----------
    name : str
        In messages.
    xp : module
        The namespace of its arrays: cupy, or what offers the same functions.
    compiler : callable
    clock : callable
    identity : callable, optional
        Which kind of device it is at the moment; the name by default.
    place : callable, optional
        Which of several devices it is at the moment: a number, 0 by default. Arrays of one are not for another.
    mark : callable, optional
        Marks the work that the current stream was given so far: see `Wait`. By default there is one stream, where
        nothing has to wait.

    Attributes
    ----------
    tiles : dict of str to dict
        What `pathgraph_gpu.tuning` knows, by kind of device.
    """

    def __init__(
        self,
        name: str,
        xp: Any,
        compiler: Compiler,
        clock: Clock,
        identity: Callable[[], str] | None = None,
        *,
        place: Callable[[], int] = lambda: 0,
        mark: Callable[[], Wait] = lambda: lambda: None,
    ) -> None:
        self.name, self.xp, self.clock, self.place, self.mark = name, xp, clock, place, mark
        self.identity = identity or (lambda: name)
        self.tiles: dict[str, dict[str, Any]] = {}
        self._compiler = compiler
        self._kernels: dict[tuple[str, str, tuple[str, ...]], Kernel] = {}

    def kernel(self, file: str, name: str, options: tuple[str, ...] = ()) -> Kernel:
        """A kernel of a translation unit; compiled at the first request, then kept."""
        key = file, name, options
        if key not in self._kernels:
            self._kernels[key] = self._compiler(sources.text(file), name, ("-std=c++17", *options))
        return self._kernels[key]

    @property
    def networks(self) -> Any:
        """Path sums and evaluation on it: the module `pathgraph_gpu.networks`."""
        return import_module("pathgraph_gpu.networks")

    @property
    def products(self) -> Any:
        """Kronecker-sparse products on it: the module `pathgraph_gpu.products`."""
        return import_module("pathgraph_gpu.products")

    def to_host(self, array: Any) -> Any:
        """An array of the device as one of NumPy: a copy, which waits for the device."""
        asnumpy = getattr(self.xp, "asnumpy", np.array)
        return asnumpy(array)

    def to_device(self, array: Any) -> Any:
        """An array of NumPy as one of the device: a copy."""
        return self.xp.array(array)

    def for_every_stream(self, array: Any) -> Any:
        """A copy on the device that is there when this returns, so that any stream may read it."""
        copied = self.to_device(array)
        self.to_host(copied[:1])  # waits for the copy
        return copied

    def __repr__(self) -> str:
        return f"<device {self.name}>"


@cache
def cuda() -> Device:
    """The GPU, through CuPy: kernels run on CuPy's current device and stream, and operands have to be of that device.

    Raises
    ------
    BackendError
        If CuPy is not installed, or cannot be imported.
    """
    try:
        cupy = import_module("cupy")
    except Exception as error:  # a broken installation may raise anything
        raise BackendError(f"the GPU cannot be used: {is_available().reason}") from error

    def compiler(text: str, name: str, options: tuple[str, ...]) -> Kernel:
        return cupy.RawModule(code=text, options=options).get_function(name)  # type: ignore[no-any-return]

    def clock(work: Callable[[], None]) -> float:
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        return float(cupy.cuda.get_elapsed_time(begin, end)) / 1000

    @cache
    def name_of(number: int) -> str:
        return bytes(cupy.cuda.runtime.getDeviceProperties(number)["name"]).decode()

    def mark() -> Wait:
        event = cupy.cuda.Event(disable_timing=True)
        event.record()
        return lambda: cupy.cuda.get_current_stream().wait_event(event)

    def place() -> int:
        return int(cupy.cuda.runtime.getDevice())

    return Device("CUDA", cupy, compiler, clock, lambda: name_of(place()), place=place, mark=mark)
