"""The command ``python -m pathgraph.gpu.verify``: verify the kernels on this GPU, then time them."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from pathgraph.errors import BackendError
from pathgraph_gpu._availability import is_available
from pathgraph_gpu.device import Device, cuda
from pathgraph_gpu.verification.energy import Counter, joules, nvml_counter
from pathgraph_gpu.verification.network_checks import network_outcomes
from pathgraph_gpu.verification.outcomes import Outcome
from pathgraph_gpu.verification.product_checks import product_outcomes
from pathgraph_gpu.verification.timing import Case, Timer, Timing, cupy_timer, network_cases, product_cases

__all__ = ["FAILED", "NOT_VERIFIED", "Meter", "main", "run", "timed", "verified"]

FAILED, NOT_VERIFIED = 1, 3
"""Exit codes: a kernel is wrong; there is no GPU."""


@dataclass(frozen=True)
class Meter:
    """What times and energies are taken with.

    Parameters
    ----------
    timer : callable
    synchronize : callable
        Waits for the device.
    counter : Counter or None
        Of energy.
    """

    timer: Timer
    synchronize: Callable[[], None]
    counter: Counter | None = None


def verified(outcomes: Iterable[Outcome], say: Callable[[str], None] = print) -> list[Outcome]:
    """Run checks, and say how each went."""
    found = []
    for one in outcomes:
        found.append(one)
        say(f"  {'ok' if one else 'WRONG':6}{one.name}" + (f": {one.problem}" if one.problem else ""))
    return found


def timed(cases: Iterable[Case], meter: Meter, say: Callable[[str], None] = print) -> list[Timing]:
    """Time every variant of some cases; a variant that fails, as when memory is short, is said to and left out."""
    found = []
    for case in cases:
        say(case.title)
        for name, run in case.variants.items():
            try:
                seconds = meter.timer(run)
                energy = None
                if meter.counter is not None:
                    energy = joules(run, meter.synchronize, meter.counter, float(np.median(seconds)))
            except Exception as error:  # out of memory is an error of CuPy's own
                say(f"  {name}: not timed, {type(error).__name__}: {error}")
                continue
            found.append(Timing(case.title, name, case.flops, case.bytes, seconds, energy))
            say(f"  {found[-1]}")
    return found


def _described() -> tuple[dict[str, Any], str]:
    """The GPU and the versions, and the place of the GPU on the bus."""
    cupy = import_module("cupy")
    device = cupy.cuda.Device()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    name = properties["name"]
    runtime = cupy.cuda.runtime
    found = {
        "gpu": name.decode() if isinstance(name, bytes) else str(name),
        "capability": str(device.compute_capability),
        "driver (CUDA)": int(runtime.driverGetVersion()),
        "runtime (CUDA)": int(runtime.runtimeGetVersion()),
        "cupy": str(cupy.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "pathgraph": metadata.version("pathgraph"),
    }
    return found, str(device.pci_bus_id)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the kernels on the GPU, and time them if they are right.

    Returns
    -------
    int
        0 if all is right, 1 if something is wrong (then nothing is timed), 3 without a GPU.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pathgraph.gpu.verify",
        description="Compare every kernel with NumPy on this GPU, bit for bit between two runs, then time it.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small shapes, no times: for compute-sanitizer, and to see in seconds whether kernels run",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="every check and every sample, as JSON")
    given = parser.parse_args(arguments)
    available = is_available()
    if not available:
        print(f"NOT VERIFIED: {available.reason}")
        return NOT_VERIFIED
    description, bus = _described()
    for what, value in description.items():
        print(f"{what:16}{value}")
    meter = None
    if not given.quick:
        counter: Counter | None = None
        try:
            counter = nvml_counter(bus)
        except BackendError as error:
            print(f"energy          not measured: {error}")
        meter = Meter(cupy_timer(), import_module("cupy").cuda.Device().synchronize, counter)
    code, data = run(cuda(), meter, quick=given.quick)
    if given.json is not None:
        given.json.write_text(json.dumps({"device": description, **data}, indent=1) + "\n", encoding="utf-8")
        print(f"{given.json}: written")
    return code


def run(
    device: Device, meter: Meter | None, *, quick: bool = False, checks: Iterable[Outcome] | None = None
) -> tuple[int, dict[str, Any]]:
    """Verify a device, and time it if it is right and there is a meter.

    Parameters
    ----------
    device : Device
    meter : Meter or None
        Without one nothing is timed.
    quick : bool
        Small shapes.
    checks : iterable of Outcome, optional
        All by default.

    Returns
    -------
    code : int
        0 or 1.
    data : dict
        For JSON: ``checks`` and ``timings``.
    """
    if checks is None:
        checks = (one for part in (network_outcomes, product_outcomes) for one in part(device, quick=quick))
    print("against NumPy in float64, and run against run:")
    outcomes = verified(checks)
    wrong = [one for one in outcomes if not one]
    data: dict[str, Any] = {"checks": [asdict(one) for one in outcomes], "timings": []}
    if wrong or not outcomes:
        print(f"WRONG: {len(wrong)} of {len(outcomes)} checks failed; nothing is timed", file=sys.stderr)
        return FAILED, data
    print(f"VERIFIED: {len(outcomes)} checks on {device.name}")
    if meter is not None:
        for dtype in (np.float32, np.float64, np.float16, np.complex64):
            data["timings"] += [asdict(one) for one in timed(product_cases(device, dtype), meter)]
        for dtype in (np.float32, np.float64):
            data["timings"] += [asdict(one) for one in timed(network_cases(device, dtype), meter)]
    return 0, data
