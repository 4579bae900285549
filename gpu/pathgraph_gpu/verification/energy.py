"""Joules of a product, from the counter of NVML: the energy that the whole board took since the driver was loaded.

The counter comes with GPUs of the Volta generation and later, through the package ``nvidia-ml-py``; it advances in
steps of some tens of milliseconds. So a product is repeated for seconds, and the energy includes what the board
draws at rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from pathgraph.errors import BackendError

__all__ = ["Counter", "NvmlCounter", "joules", "nvml_counter"]

SECONDS = 2.0
"""For which a product is repeated: a hundred steps of the counter or so."""


class Counter(Protocol):
    """A counter of energy."""

    def joules(self) -> float:
        """What was taken since some time in the past."""
        ...


class NvmlCounter:
    """The counter of one GPU.

    Parameters
    ----------
    nvml : module
        ``pynvml``, initialised.
    handle : object
        Of the GPU.

    Raises
    ------
    BackendError
        If the GPU or the driver has no counter, with the reason.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        try:
            self.joules()
        except nvml.NVMLError as error:
            raise BackendError(f"the GPU has no energy counter: {error}") from error

    def joules(self) -> float:
        """What the board took since the driver was loaded."""
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000


def nvml_counter(pci_bus_id: str) -> NvmlCounter:
    """The energy counter of a GPU, which is found by its place on the bus whatever the process may see.

    Raises
    ------
    BackendError
        If there is none, with the reason.
    """
    try:
        nvml = import_module("pynvml")
    except ModuleNotFoundError:
        raise BackendError("nvidia-ml-py is not installed, so there is no energy counter") from None
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByPciBusId(pci_bus_id.encode())
    except nvml.NVMLError as error:
        raise BackendError(f"NVML does not find the GPU at {pci_bus_id}: {error}") from error
    return NvmlCounter(nvml, handle)


def joules(
    run: Callable[[], object],
    synchronize: Callable[[], None],
    counter: Counter,
    seconds_per_run: float,
    *,
    seconds: float = SECONDS,
) -> float:
    """The energy of one run, at rest included.

    Parameters
    ----------
    run : callable
        Launches the product.
    synchronize : callable
        Waits for the device.
    counter : Counter
    seconds_per_run : float
        As it was timed; it says how often the run is repeated.
    seconds : float
        How long it is repeated, at least.

    Examples
    --------
    >>> class Meter:
    ...     total = 0.0
    ...     def joules(self):
    ...         return self.total
    >>> meter = Meter()
    >>> def run():
    ...     meter.total += 3.0
    >>> joules(run, lambda: None, meter, 0.5)
    3.0
    """
    runs = max(1, math.ceil(seconds / seconds_per_run))
    synchronize()
    before = counter.joules()
    for _ in range(runs):
        run()
    synchronize()
    return (counter.joules() - before) / runs
