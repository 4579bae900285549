"""The instructions of a kernel as a GPU executes them, from nvdisasm's JSON: loops, and what they are made of.

A *loop* is the stretch from the target of a backward branch to the branch. The *main loop* is the innermost loop with
the most multiply-adds, or if there are none with the most other instructions on floats. In a kernel whose time goes
into it, the multiply-adds for each other instruction say how much of the issue rate is left for arithmetic: 4 mean that
at most 4/5 of the peak can be reached.

Its *main tile* is the multiply-adds, and what they depend on through registers (`feeding`): reads of shared memory and
their addresses. What fills shared memory for the next turn is the rest of the loop. Dependencies are followed as if the
loop were executed line by line.

Not modelled: predicates (a skipped instruction counts), divergence, and dual use of the pipelines. NOPs are counted,
but are no others: where double precision is slow the assembler fills the time of a multiply-add with them.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathgraph.errors import FileFormatError
from pathgraph_gpu.report.nvrtc import CompilationError, nvidia_folders

__all__ = [
    "Instruction",
    "Mix",
    "disassembled",
    "disassembler",
    "feeding",
    "innermost_loops",
    "instructions_of",
    "main_loop",
    "mix",
]

BYTES = 16
"""Of an instruction, on sm_70 and later."""

MULTIPLY_ADDS = {"FFMA": 1, "DFMA": 1, "FFMA2": 2, "HFMA2": 2}
INTEGER = {
    *("IMAD", "IADD3", "IADD", "LEA", "LOP3", "SHF", "SHL", "SHR", "ISETP", "IMNMX", "IABS", "SEL", "PRMT", "MOV"),
    *("IDP", "POPC", "FLO", "BREV", "BMSK", "SGXT", "LOP", "PLOP3", "P2R", "R2P", "VIADD", "VIMNMX", "VIADDMNMX"),
    *("CS2R", "S2R", "S2UR", "R2UR", "IMMA", "IADD32I", "VIMNMX3", "VOTE", "VOTEU", "CREDUX", "UIADD3", "ULEA"),
}
GLOBAL = {
    *("LDG", "STG", "LD", "ST", "ATOM", "ATOMG", "RED", "REDG", "LDL", "STL", "LDGSTS", "LDC", "LDCU", "ULDC", "TLD"),
}
SHARED = {"LDS", "STS", "ATOMS", "LDSM", "STSM", "LDGDEPBAR", "DEPBAR", "SHFL"}
CONTROL = {
    *("BRA", "BRX", "BRXU", "JMP", "CALL", "RET", "EXIT", "BAR", "BSSY", "BSYNC", "WARPSYNC", "BREAK", "YIELD", "BMOV"),
    *("NANOSLEEP", "ERRBAR", "MEMBAR", "ENDCOLLECTIVE", "KILL", "ELECT", "BPT", "CCTL"),
}
FLOAT = {
    *("FADD", "FMUL", "FSETP", "FSEL", "FMNMX", "FCHK", "FSWZADD", "DADD", "DMUL", "DSETP", "DMNMX", "MUFU", "FADD2"),
    *("HADD2", "HMUL2", "HSETP2", "HMNMX2", "F2F", "F2I", "I2F", "F2FP", "FRND", "I2FP", "FMUL2", "FSET", "HSET2"),
}
WITHOUT_RESULT = {
    *("ST", "STG", "STS", "STL", "RED", "REDG", "STSM", "BAR", "NOP", "BPT", "KILL", "MEMBAR", "ERRBAR", "DEPBAR"),
    *("BRA", "BRX", "BRXU", "JMP", "CALL", "RET", "EXIT", "BSSY", "BSYNC", "WARPSYNC", "BREAK", "YIELD", "LDGDEPBAR"),
}
DOUBLE = {"DFMA", "DADD", "DMUL", "DSETP", "DMNMX", "FFMA2", "FADD2", "FMUL2"}
"""What works on pairs of registers."""
_PREDICATE = re.compile(r"U?P(T|\d+)")
_REGISTER = re.compile(r"\b(U?[RP])(\d+)\b")

KINDS = ("multiply-add", "float", "integer", "global", "shared", "control", "nop", "other")


def _registers(operand: str, width: int) -> set[str]:
    return {f"{kind}{int(n) + i}" for kind, n in _REGISTER.findall(operand) for i in range(width)}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Parameters
    ----------
    opcode : str
        With its modifiers, as ``FFMA.FTZ``.
    operands : str
    target : int or None
        Of a branch within the function: the index of the instruction.
    predicate : str
        Under which it is executed, as ``@!P0``.
    """

    opcode: str
    operands: str
    target: int | None = None
    predicate: str = ""

    @property
    def name(self) -> str:
        """The opcode without modifiers."""
        return self.opcode.split(".")[0]

    @property
    def multiply_adds(self) -> int:
        """How many multiply-adds of one thread it makes; none if it is used to set a register."""
        factors = [operand.lstrip("-|").rstrip("|").split(".")[0] for operand in self.operands.split(",")[1:3]]
        return 0 if "RZ" in factors or "URZ" in factors else MULTIPLY_ADDS.get(self.name, 0)

    @property
    def written(self) -> set[str]:
        """The registers and predicates that it sets."""
        if self.name in WITHOUT_RESULT:
            return set()
        first, *rest = self.operands.split(",")
        found = _registers(first, self._width(first))
        if self.name == "SHFL":  # a predicate, and then the number
            return found | _registers(rest[0], 1)
        for operand in rest:
            if not _PREDICATE.fullmatch(operand):
                break
            found |= _registers(operand, 1)
        return found

    @property
    def read(self) -> set[str]:
        """The registers and predicates that it depends on."""
        operands = self.operands.split(",")
        if self.name not in WITHOUT_RESULT:
            operands = operands[2 if self.name == "SHFL" else 1 :]
            while operands and _PREDICATE.fullmatch(operands[0]):
                operands = operands[1:]
        found = _registers(self.predicate, 1)
        for place, operand in enumerate(operands):
            is_wide = "WIDE" in self.opcode and place == 2
            found |= _registers(operand, 2 if is_wide else self._width(operand))
        return found

    def _width(self, operand: str) -> int:
        """How many registers an operand stands for."""
        parts = self.opcode.split(".")
        if "[" in operand:
            return 2 if ".64" in operand else 1
        if self.kind in ("global", "shared") and "128" in parts:
            return 4
        is_first = operand == self.operands.split(",")[0]
        if self.name in DOUBLE or "64" in parts or self.opcode == "CS2R" or ("WIDE" in parts and is_first):
            return 2
        return 1

    @property
    def kind(self) -> str:
        """One of `KINDS`; integer arithmetic includes moves, and uniform instructions count as their like."""
        if self.multiply_adds:
            return "multiply-add"
        if self.name in MULTIPLY_ADDS:
            return "integer"  # a constant for a register
        if self.name == "NOP":
            return "nop"
        for kind, names in (
            ("float", FLOAT),
            ("global", GLOBAL),
            ("shared", SHARED),
            ("control", CONTROL),
            ("integer", INTEGER),
        ):
            if self.name in names or (self.name[0] == "U" and self.name[1:] in names):
                return kind
        return "other"


@dataclass(frozen=True)
class Mix:
    """What a stretch of code is made of.

    Parameters
    ----------
    counts : dict of str to int
        Instructions by kind; kinds without any are left out.
    multiply_adds : int
        Of one thread; an instruction may make two.
    feeding : int
        Other instructions, NOPs aside, that the multiply-adds depend on: with these they are the main tile.
    in_loop : bool
        Whether it is the main loop, or the whole kernel because no loop computes with floats.
    """

    counts: dict[str, int] = field(default_factory=dict)
    multiply_adds: int = 0
    feeding: int = 0
    in_loop: bool = False

    @property
    def total(self) -> int:
        """Number of instructions."""
        return sum(self.counts.values())

    @property
    def per_other(self) -> float:
        """Multiply-adds for each other instruction but NOPs; infinity if there is no other."""
        others = self.total - self.counts.get("multiply-add", 0) - self.counts.get("nop", 0)
        return self.multiply_adds / others if others else float("inf")

    @property
    def per_feeding(self) -> float:
        """Multiply-adds for each other instruction of the main tile; infinity if there is no other."""
        return self.multiply_adds / self.feeding if self.feeding else float("inf")


def disassembler() -> str:
    """The program nvdisasm of the wheel ``nvidia-cuda-nvdisasm``.

    Raises
    ------
    CompilationError
        If it is not installed.
    """
    found = [path for folder in nvidia_folders() for path in folder.glob("bin/nvdisasm*")]
    if not found:
        raise CompilationError(
            "nvdisasm: needed the wheel nvidia-cuda-nvdisasm, it is not installed; install the dependency group "
            "gpu-report, or run make gpu-report"
        )
    return str(found[0])


def disassembled(cubin: bytes, program: str | None = None) -> dict[str, list[Instruction]]:
    """The instructions of every function of a cubin.

    Raises
    ------
    CompilationError
        If nvdisasm is missing or refuses the file.
    """
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        command = [program or disassembler(), "-json", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompilationError(f"nvdisasm: {done.stderr.strip() or done.stdout.strip()}")
    return instructions_of(done.stdout)


def instructions_of(text: str) -> dict[str, list[Instruction]]:
    """The functions of nvdisasm's JSON; padding at their ends is left out.

    Raises
    ------
    FileFormatError
        If it is no such JSON.

    Examples
    --------
    >>> loop = [{"opcode": "FFMA", "operands": "R0,R1,R2,R0"}, {"opcode": "BRA", "operands": "0x0"}]
    >>> code = instructions_of(json.dumps([{}, [{"function-name": "f", "start": 0, "sass-instructions": loop}]]))
    >>> mix(code["f"]).per_other
    1.0
    """
    try:
        functions: list[dict[str, Any]] = json.loads(text)[1]
        return {function["function-name"]: _function(function) for function in functions}
    except (ValueError, LookupError, TypeError) as error:
        raise FileFormatError(f"text: needed the JSON of nvdisasm, {type(error).__name__}: {error}") from error


def _function(function: dict[str, Any]) -> list[Instruction]:
    listed = function["sass-instructions"]
    while listed and listed[-1]["opcode"] == "NOP":
        listed = listed[:-1]
    found = []
    for item in listed:
        opcode, operands = item["opcode"], item.get("operands", "")
        target = None
        if opcode.split(".")[0] == "BRA":
            address = operands.split(",")[-1].strip()
            if address.startswith("0x"):
                target = (int(address, 16) - function["start"]) // BYTES
        found.append(Instruction(opcode, operands, target, item.get("predicate", "")))
    return found


def innermost_loops(code: list[Instruction]) -> list[tuple[int, int]]:
    """The loops that contain no other, as half-open ranges; the trap at the end of a function is none."""
    loops = {(i.target, at + 1) for at, i in enumerate(code) if i.target is not None and i.target < at}
    return sorted(
        (first, stop)
        for first, stop in loops
        if not any((low, high) != (first, stop) and first <= low and high <= stop for low, high in loops)
    )


def main_loop(code: list[Instruction]) -> tuple[int, int] | None:
    """The innermost loop with the most multiply-adds, then with the most on floats; None if no loop has any."""

    def work(loop: tuple[int, int]) -> tuple[int, int]:
        part = code[slice(*loop)]
        return sum(i.multiply_adds for i in part), sum(i.kind == "float" for i in part)

    best = max(innermost_loops(code), key=work, default=None)
    return best if best is not None and any(work(best)) else None


def feeding(part: list[Instruction]) -> set[int]:
    """The places of the instructions that the multiply-adds of a loop depend on, these aside.

    Every register comes from the last instruction before that sets it, or from the last turn of the loop.
    """
    made = [one.written for one in part]
    todo = [at for at, one in enumerate(part) if one.multiply_adds]
    seen = set(todo)
    while todo:
        at = todo.pop()
        for register in part[at].read:
            for back in range(1, len(part) + 1):
                source = (at - back) % len(part)
                if register not in made[source]:
                    continue
                if source not in seen:
                    seen.add(source)
                    todo.append(source)
                if not part[source].predicate:  # a predicated one may leave what was there
                    break
    return {at for at in seen if not part[at].multiply_adds}


def mix(code: list[Instruction]) -> Mix:
    """What the main loop of a kernel is made of; the whole kernel, if no loop computes with floats."""
    loop = main_loop(code)
    part = code if loop is None else code[slice(*loop)]
    counts = {kind: sum(i.kind == kind for i in part) for kind in KINDS}
    found = sum(i.multiply_adds for i in part)
    tile = 0 if loop is None else len(feeding(part))
    return Mix({kind: n for kind, n in counts.items() if n}, found, tile, loop is not None)
