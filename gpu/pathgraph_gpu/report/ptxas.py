"""The log of the assembler ptxas: which resources each kernel takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pathgraph.errors import FileFormatError

__all__ = ["Resources", "parse_log"]

_ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)\w?'")
_PROPERTIES = re.compile(r"Function properties for (\S+)")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one kernel takes.

    Parameters
    ----------
    registers : int
        Of a thread.
    stack, spill_stores, spill_loads : int
        Bytes of a thread in local memory; those of functions that were not inlined are counted to every kernel of
        their translation unit.
    shared : int
        Bytes of static shared memory of a block.
    """

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int


def parse_log(log: str) -> dict[str, Resources]:
    """The resources of the kernels of a translation unit, from what ``--ptxas-options=-v`` prints.

    Raises
    ------
    FileFormatError
        If the log lacks a kernel's registers or its spills.

    Examples
    --------
    >>> log = '''ptxas info    : Compiling entry function 'add' for 'sm_80'
    ... ptxas info    : Function properties for add
    ... ptxas         .     0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
    ... ptxas info    : Used 32 registers, used 1 barriers, 512 bytes smem, 360 bytes cmem[0]'''
    >>> parse_log(log)
    {'add': Resources(registers=32, stack=0, spill_stores=8, spill_loads=4, shared=512)}
    """
    entries: list[str] = []
    stacks: dict[str, tuple[int, int, int]] = {}
    used: dict[str, tuple[int, int]] = {}
    function = ""
    for line in log.splitlines():
        if found := _ENTRY.search(line):
            entries.append(found[1])
        elif found := _PROPERTIES.search(line):
            function = found[1]
        elif found := _STACK.search(line):
            stacks[function] = (int(found[1]), int(found[2]), int(found[3]))
        elif found := _USED.search(line):
            shared = _SHARED.search(line)
            used[entries[-1] if entries else function] = int(found[1]), int(shared[1]) if shared else 0
    if not entries:
        raise FileFormatError("log: needed lines 'Compiling entry function', got none; compile with ptxas -v")
    for name in entries:
        if name not in stacks or name not in used:
            raise FileFormatError(f"log: needed registers and spills of the kernel {name}, they are missing")
    others = [stack for name, stack in stacks.items() if name not in entries]
    made: dict[str, Resources] = {}
    for name in entries:
        frame, stores, loads = (sum(column) for column in zip(stacks[name], *others, strict=True))
        made[name] = Resources(used[name][0], frame, stores, loads, used[name][1])
    return made
