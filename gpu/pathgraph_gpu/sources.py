"""The CUDA text, as it is shipped: one copy, read from the package.

``kernels/NAME.cu`` are complete translation units for NVRTC once the headers ``kernels/*.cuh`` that they include are
put in their place, which `text` does: a kernel object takes one string. Everything that varies (types, tiles) is a
macro, given as an option ``-DNAME=VALUE``.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["names", "text"]

_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def names() -> list[str]:
    """The names of the translation units."""
    kernels = files("pathgraph_gpu") / "kernels"
    return sorted(entry.name.removesuffix(".cu") for entry in kernels.iterdir() if entry.name.endswith(".cu"))


@cache
def text(name: str) -> str:
    """The text of a translation unit, with its own headers in their places, each once."""
    seen: set[str] = set()

    def read(file: str) -> str:
        return (files("pathgraph_gpu") / "kernels" / file).read_text(encoding="utf-8")

    def expand(found: re.Match[str]) -> str:
        header = found.group(1)
        if header in seen:
            return ""
        seen.add(header)
        return _INCLUDE.sub(expand, read(header))

    return _INCLUDE.sub(expand, read(f"{name}.cu"))
