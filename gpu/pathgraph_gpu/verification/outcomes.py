"""One check: it holds, or it says what was found; and a device that remembers which kernels were launched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph_gpu.configurations import Configuration
from pathgraph_gpu.device import Device, Kernel

__all__ = ["Outcome", "Recorder", "gamma", "near", "outcome", "twice"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a check.

    Parameters
    ----------
    name : str
        What was checked.
    problem : str
        What is wrong; empty if nothing is. The truth value of the object is whether nothing is.
    error : float
        The largest error, as a share of the bound; 0 where results have to be equal.
    """

    name: str
    problem: str = ""
    error: float = 0.0

    def __bool__(self) -> bool:
        return not self.problem


def outcome(name: str, check: Callable[[], float | None]) -> Outcome:
    """Run a check, which raises an error if it fails, and may return the share of its bound that it used.

    Whatever it raises is a failure: a compiler that refuses a kernel, a driver that refuses a launch.

    Examples
    --------
    >>> bool(outcome("sums", lambda: 0.5)), outcome("sums", lambda: 1 / 0)
    (True, Outcome(name='sums', problem='ZeroDivisionError: division by zero', error=0.0))
    """
    try:
        error = check()
    except Exception as problem:  # the driver and the compiler have error types of their own
        return Outcome(name, f"{type(problem).__name__}: {problem}")
    return Outcome(name, error=0.0 if error is None else error)


class Recorder(Device):
    """A device that runs what another one runs, and remembers which kernels were launched.

    Parameters
    ----------
    device : Device

    Attributes
    ----------
    launched : set of (file, kernel, options)
    """

    def __init__(self, device: Device) -> None:
        super().__init__(
            device.name,
            device.xp,
            device._compiler,
            device.clock,
            device.identity,
            place=device.place,
            mark=device.mark,
        )
        self.tiles = device.tiles
        self.launched: set[tuple[str, str, tuple[str, ...]]] = set()

    def kernel(self, file: str, name: str, options: tuple[str, ...] = ()) -> Kernel:
        """A kernel, which is remembered once it was launched."""
        kernel = super().kernel(file, name, options)

        def launch(grid: Any, block: Any, args: Any, **more: Any) -> None:
            kernel(grid, block, args, **more)
            self.launched.add((file, name, options))

        return launch

    def missing(self, configurations: list[Configuration]) -> list[str]:
        """The configurations that were not launched."""
        wanted = {(one.file, one.kernel, one.options) for one in configurations}
        return [f"{file}.cu {kernel} {' '.join(options)}" for file, kernel, options in sorted(wanted - self.launched)]

    def require(self, configurations: list[Configuration]) -> None:
        """Check that all of these were launched.

        Raises
        ------
        ArithmeticError
            With those that were not.
        """
        missing = self.missing(configurations)
        if missing:
            raise ArithmeticError(f"{len(missing)} configurations were not launched: {'; '.join(missing)}")


def twice(compute: Callable[[], Any]) -> Any:
    """An array of the CPU, computed twice.

    Raises
    ------
    ArithmeticError
        If the two have other types or bits.
    """
    first, second = compute(), compute()
    if first.dtype != second.dtype or first.tobytes() != second.tobytes():
        raise ArithmeticError("two runs give different bits")
    return first


def gamma(roundings: int, dtype: Any) -> float:
    """How far a product of that many factors 1 + d, or their inverses, abs(d) <= u, can be from 1.

    Raises
    ------
    ArithmeticError
        If the factors are too many for a bound below 1.
    """
    u = float(np.finfo(dtype).eps) / 2
    if roundings * u >= 0.5:
        raise ArithmeticError(f"{roundings} roundings in {np.dtype(dtype).name} leave no digit")
    return roundings * u / (1 - roundings * u)


def near(found: Any, expected: Any, slack: Any) -> float:
    """Compare arrays of float64 within a bound for each number.

    Returns
    -------
    float
        The largest error by its bound; 0 for equal numbers.

    Raises
    ------
    ArithmeticError
        If shapes differ, a number is not finite, or an error exceeds its bound.
    """
    found, expected, slack = (np.asarray(a, dtype=np.float64) for a in (found, expected, slack))
    if found.shape != expected.shape:
        raise ArithmeticError(f"needed shape {expected.shape}, got {found.shape}")
    if not np.isfinite(found).all():
        raise ArithmeticError(f"{int((~np.isfinite(found)).sum())} of {found.size} numbers are not finite")
    error = np.abs(found - expected)
    bad = error > slack
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ArithmeticError(
            f"{int(bad.sum())} of {found.size} numbers are off; at {at}: needed {expected[at]!r} within "
            f"{np.broadcast_to(slack, found.shape)[at]:.3g}, got {found[at]!r}"
        )
    share = np.divide(error, slack, out=np.zeros_like(error), where=error > 0)
    return float(share.max(initial=0.0))
