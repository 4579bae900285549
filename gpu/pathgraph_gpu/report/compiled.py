"""Every configuration of every kernel, compiled for every architecture: the report, and how it is kept.

The unit of compilation is a translation unit with its macros, for one architecture. A report keeps the digest of every
text it was made of, so that a change of a kernel is noticed without a compiler; and of every program that came out, so
that a program that comes out again, bit for bit, need not be disassembled to know its instructions.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph_gpu import sources
from pathgraph_gpu.configurations import Configuration
from pathgraph_gpu.report.nvrtc import Nvrtc
from pathgraph_gpu.report.occupancy import ARCHITECTURES, Occupancy, occupancy
from pathgraph_gpu.report.ptxas import Resources, parse_log
from pathgraph_gpu.report.sass import Mix, disassembled, mix

__all__ = ["MIXED", "Entry", "Key", "Report", "compile_report", "configurations", "tasks"]

MODULES = ("pathgraph_gpu.networks", "pathgraph_gpu.products")
"""What has a function ``configurations()``."""

MIXED = 80
"""The architecture for which instructions are counted in every kernel; those with a budget are counted for all."""

WHEELS = {"compiler": "nvidia-cuda-nvrtc-cu12", "disassembler": "nvidia-cuda-nvdisasm"}

Key = tuple[str, str, tuple[str, ...]]
"""File, kernel, options."""
Task = tuple[str, tuple[str, ...], int, frozenset[str]]
"""File, options, architecture, and the kernels whose instructions are counted."""
Program = tuple[str, dict[str, tuple[Resources, Mix | None]]]
"""The digest of a cubin, and of each of its kernels the resources, and the instructions if they were counted."""


def configurations() -> list[Configuration]:
    """The configurations of all kernels.

    Examples
    --------
    >>> len(configurations()) > 100
    True
    """
    return [found for name in MODULES for found in importlib.import_module(name).configurations()]


def has_budget(one: Configuration) -> bool:
    """Whether multiply-adds have a budget: main tiles have one, but in float16, which converts what it reads."""
    return one.main_tile and one.dtype != np.float16


def in_packs(one: Configuration) -> bool:
    """Whether several neighbours of an operand are read at once."""
    return any("_WIDTH=" in option and not option.endswith("=1") for option in one.options)


def sums_of(one: Configuration) -> int:
    """The sums of a thread in a main tile, by its macros."""
    macros = dict(option[2:].split("=", 1) for option in one.options)
    return int(macros["TM"]) * int(macros["TN"])


def digest(file: str) -> str:
    """The SHA-256 of a translation unit, headers included."""
    return hashlib.sha256(sources.text(file).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One configuration, compiled.

    Parameters
    ----------
    configuration : Configuration
    resources : dict of int to Resources
        By architecture.
    mixes : dict of int to Mix
        For the architectures for which instructions were counted.
    programs : dict of int to str
        By architecture, the digest of the cubin.
    """

    configuration: Configuration
    resources: dict[int, Resources]
    mixes: dict[int, Mix]
    programs: dict[int, str]

    @property
    def threads(self) -> int:
        """Of a block."""
        return int(np.prod(self.configuration.block))

    def shared(self, architecture: int) -> int:
        """Bytes of shared memory of a block, static and dynamic."""
        return self.resources[architecture].shared + self.configuration.shared_mem

    def occupancy(self, architecture: int) -> Occupancy:
        """The theoretical occupancy."""
        found = self.resources[architecture]
        return occupancy(architecture, self.threads, found.registers, self.shared(architecture))


@dataclass(frozen=True)
class Report:
    """What the compiler made of the kernels.

    Parameters
    ----------
    versions : dict of str to str
        Of the compiler and the disassembler.
    texts : dict of str to str
        The digest of each translation unit.
    entries : dict of (file, kernel, options) to Entry
    """

    versions: dict[str, str]
    texts: dict[str, str]
    entries: dict[Key, Entry]

    def to_json(self) -> str:
        """As text, one kernel a line."""
        lines = []
        for entry in self.entries.values():
            one = entry.configuration
            item = asdict(one) | {"dtype": one.dtype.name}
            item["compiled"] = {str(k): list(asdict(r).values()) for k, r in entry.resources.items()}
            item["mix"] = {
                str(k): [m.multiply_adds, m.feeding, int(m.in_loop), m.counts] for k, m in entry.mixes.items()
            }
            item["programs"] = {str(k): program for k, program in entry.programs.items()}
            lines.append(json.dumps(item))
        head = json.dumps({"versions": self.versions, "texts": self.texts})[1:-1]
        return "{" + head + ',\n"kernels": [\n' + ",\n".join(lines) + "\n]}\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """From such a text.

        Raises
        ------
        FileFormatError
            If it is no such text, with what is wrong.
        """
        try:
            data = json.loads(text)
            entries = (_entry(item) for item in data["kernels"])
            return cls(data["versions"], data["texts"], {_key(entry.configuration): entry for entry in entries})
        except (ValueError, LookupError, TypeError) as error:
            raise FileFormatError(f"text: needed a compile report, {type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return f"<compile report of {len(self.entries)} kernels, {self.versions}>"


def _key(one: Configuration) -> Key:
    return one.file, one.kernel, one.options


def _entry(item: dict[str, Any]) -> Entry:
    one = Configuration(
        item["file"],
        item["kernel"],
        tuple(item["options"]),
        tuple(item["block"]),
        item["shared_mem"],
        item["main_tile"],
        np.dtype(item["dtype"]),
    )
    resources = {int(k): Resources(*numbers) for k, numbers in item["compiled"].items()}
    mixes = {int(k): Mix(m[3], m[0], m[1], bool(m[2])) for k, m in item["mix"].items()}
    return Entry(one, resources, mixes, {int(k): program for k, program in item["programs"].items()})


def tasks(found: Sequence[Configuration], *, once: bool = False) -> list[Task]:
    """What has to be compiled.

    Parameters
    ----------
    once : bool
        Each translation unit for one architecture only, by turns, instead of for all.
    """
    units: dict[tuple[str, tuple[str, ...]], list[Configuration]] = {}
    for one in found:
        units.setdefault((one.file, one.options), []).append(one)
    made: list[Task] = []
    for place, ((file, options), members) in enumerate(units.items()):
        chosen = ARCHITECTURES[place % len(ARCHITECTURES) :][:1] if once else ARCHITECTURES
        for architecture in chosen:
            counted = frozenset(one.kernel for one in members if has_budget(one) or architecture == MIXED)
            made.append((file, options, architecture, counted))
    return made


def _compile(task: Task, expected: str = "") -> Program:
    """A unit, compiled; its instructions are not counted if it is the program that is expected."""
    file, options, architecture, counted = task
    cubin, log = Nvrtc().compile(sources.text(file), options, architecture, name=f"{file}.cu")
    program = hashlib.sha256(cubin).hexdigest()[:16]
    kernels = parse_log(log)
    if not counted or program == expected:
        return program, {name: (found, None) for name, found in kernels.items()}
    code = disassembled(cubin)
    return program, {name: (found, mix(code[name]) if name in counted else None) for name, found in kernels.items()}


def compile_report(
    found: Sequence[Configuration] | None = None,
    *,
    once: bool = False,
    jobs: int = 2,
    known: Report | None = None,
    counted: Report | None = None,
) -> Report:
    """Compile the configurations.

    Parameters
    ----------
    found : sequence of Configuration, optional
        All by default.
    once : bool
        Each translation unit for one architecture only, by turns.
    jobs : int
        Processes.
    known : Report, optional
        Of which units are taken whose text, options and compiler are the same.
    counted : Report, optional
        Of which the instructions are taken of units that are compiled to the same program, bit for bit.

    Raises
    ------
    CompilationError
        On an error or a warning of the compiler, or without it.
    """
    found = configurations() if found is None else found
    versions = {what: importlib.metadata.version(wheel) for what, wheel in WHEELS.items()}
    files = sorted({one.file for one in found})
    texts = {file: digest(file) for file in files}
    same = known is not None and known.versions == versions
    kept = {} if known is None or not same else known.entries
    fresh = [one for one in found if _is_new(one, kept, known, texts)]
    made: dict[Key, Entry] = {}
    for one in found:
        entry = kept.get(_key(one))
        made[_key(one)] = Entry(one, {}, {}, {}) if one in fresh or entry is None else entry
    todo = tasks(fresh, once=once)
    old = {} if counted is None else counted.entries
    programs = {(*key[::2], k): program for key, entry in old.items() for k, program in entry.programs.items()}
    expected = [programs.get((file, options, architecture), "") for file, options, architecture, _ in todo]
    for (file, options, architecture, names), (program, kernels) in zip(todo, _run(todo, expected, jobs), strict=True):
        for name, (resources, counts) in kernels.items():
            key = file, name, options
            if key not in made:
                continue
            made[key].resources[architecture] = resources
            made[key].programs[architecture] = program
            if counts is None and name in names:
                counts = old[key].mixes.get(architecture)
            if counts is not None:
                made[key].mixes[architecture] = counts
    return Report(versions, texts, made)


def _is_new(one: Configuration, kept: dict[Key, Entry], known: Report | None, texts: dict[str, str]) -> bool:
    entry = kept.get(_key(one))
    return (
        known is None
        or entry is None
        or entry.configuration != one
        or known.texts.get(one.file) != texts[one.file]
        or set(entry.resources) != set(ARCHITECTURES)
        or set(entry.programs) != set(ARCHITECTURES)
    )


def _run(todo: list[Task], expected: list[str], jobs: int) -> Iterable[Program]:
    if jobs == 1:
        return map(_compile, todo, expected)
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(_compile, todo, expected, chunksize=1))
