"""What a kernel may take; and whether a report is one of the kernels as they are."""

from __future__ import annotations

from collections.abc import Sequence

from pathgraph_gpu.configurations import Configuration
from pathgraph_gpu.report.compiled import Key, Report, digest, has_budget, in_packs, sums_of
from pathgraph_gpu.report.occupancy import ARCHITECTURES

__all__ = ["LOOP", "MULTIPLY_ADDS", "SHARED", "SPILL", "differences", "stale", "violations"]

SPILL = 32
"""Bytes of a thread that may be spilled: small spills come and go between versions of the compiler."""
SHARED = 48 * 1024
"""Bytes of shared memory of a block that every device gives without being asked."""
MULTIPLY_ADDS = 4
"""At least, for each other instruction of the main tile, in float32 or float64: see `sass`."""
LOOP = {64: 4.0, 32: 2.3}
"""At least, for each other instruction of the whole loop, staging included, where operands are read in packs: by the
sums of a thread."""


def _name(key: Key) -> str:
    file, kernel, options = key
    return " ".join([f"{file}.cu", kernel, *options])


def violations(report: Report) -> list[str]:
    """What is over budget: one sentence each; none if all is well.

    Kernels with a main tile in float16 have no budget of multiply-adds: they convert what they read.
    """
    found = []
    for key, entry in report.entries.items():
        for architecture, resources in entry.resources.items():
            where = f"{_name(key)} for sm_{architecture}"
            spill = max(resources.spill_stores, resources.spill_loads)
            if spill > SPILL:
                found.append(f"{where}: {spill} bytes are spilled, at most {SPILL} may be")
            if entry.shared(architecture) > SHARED:
                found.append(f"{where}: {entry.shared(architecture)} bytes of shared memory, at most {SHARED} may be")
            if not entry.occupancy(architecture).blocks:
                found.append(f"{where}: a block of {entry.threads} threads does not fit on a multiprocessor")
        if has_budget(entry.configuration):
            for architecture, mix in entry.mixes.items():
                if mix.per_feeding < MULTIPLY_ADDS:
                    found.append(
                        f"{_name(key)} for sm_{architecture}: {mix.per_feeding:.2f} "
                        f"multiply-adds for each other instruction of the main tile, at least {MULTIPLY_ADDS} are "
                        "needed"
                    )
                needed = LOOP[sums_of(entry.configuration)] if in_packs(entry.configuration) else 0
                if mix.per_other < needed:
                    found.append(
                        f"{_name(key)} for sm_{architecture}: {mix.per_other:.2f} multiply-adds for each other "
                        f"instruction of the loop, at least {needed} are needed"
                    )
    return found


def stale(report: Report, configurations: Sequence[Configuration]) -> list[str]:
    """How a report differs from one of these configurations and of the texts as they are: one sentence each."""
    files = sorted({one.file for one in configurations})
    found = [f"{file}.cu: the report is of another text" for file in files if report.texts.get(file) != digest(file)]
    here = {(one.file, one.kernel, one.options): one for one in configurations}
    found += [f"{_name(key)}: not in the report" for key in here if key not in report.entries]
    for key, entry in report.entries.items():
        name = _name(key)
        if key not in here:
            found.append(f"{name}: in the report, but no configuration")
        elif here[key] != entry.configuration:
            found.append(f"{name}: the report is of another block, tile or dtype")
        elif set(entry.resources) != set(ARCHITECTURES) or set(entry.programs) != set(ARCHITECTURES):
            found.append(f"{name}: the report lacks architectures")
        elif has_budget(entry.configuration) and set(entry.mixes) != set(ARCHITECTURES):
            found.append(f"{name}: the report lacks instruction counts of the main tile")
    return found


def differences(report: Report, compiled: Report) -> list[str]:
    """Where a report says something else than what was compiled now, for all or some architectures."""
    found = []
    if report.versions != compiled.versions:
        found.append(f"the report was made with {report.versions}, here is {compiled.versions}")
    for key, entry in compiled.entries.items():
        name = _name(key)
        if key not in report.entries:
            found.append(f"{name}: not in the report")
            continue
        old = report.entries[key]
        for architecture, resources in entry.resources.items():
            if old.resources.get(architecture) != resources:
                found.append(
                    f"{name} for sm_{architecture}: reported {old.resources.get(architecture)}, here {resources}"
                )
        for architecture, mix in entry.mixes.items():
            if old.mixes.get(architecture) != mix:
                found.append(f"{name} for sm_{architecture}: other instructions than reported")
    return found
