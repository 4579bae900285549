"""What a result depends on besides the statement: the sources of pathgraph, and the packages it was computed with."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pathgraph

__all__ = ["sources", "versions"]

PACKAGES = ("hypothesis", "networkx", "numpy", "scipy")


def versions() -> dict[str, str]:
    """The versions of Python, of pathgraph and of what decides over examples and results."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("pathgraph", *PACKAGES)}}


@cache
def sources() -> str:
    """A digest of all Python files of pathgraph and of the checks, as this process imports them."""
    digest = sha256()
    for name, text in _files():
        digest.update(f"{name} {len(text)} ".encode() + text)
    return digest.hexdigest()[:16]


def _files() -> Iterator[tuple[str, bytes]]:
    for folder in (Path(pathgraph.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(folder).as_posix(), path.read_bytes()
