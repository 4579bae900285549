"""What does a word of a command line mean? Types of arguments that both commands take.

Each is a ``type`` of `argparse`: it gives the value, or raises `argparse.ArgumentTypeError` with what was needed, what
came and what to do. Places are looked at before the work begins, so that an hour of it is not lost; nothing is made.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["folder", "listed", "positive", "shape", "writable"]


def listed(text: str, kind: Callable[[str], Any], needed: str, holds: Callable[[Any], bool]) -> tuple[Any, ...]:
    """The parts between commas, each read by `kind`, if all hold; `needed` says what they should be."""
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(map(holds, found)):
        raise argparse.ArgumentTypeError(f"needed {needed}, got {text!r}")
    return found


def positive(text: str) -> int:
    """An integer that is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needed an integer >= 1, got {text!r}")
    return int(text)


def shape(text: str) -> tuple[int, ...]:
    """The shape of an input without its batch axis, as in 3,224,224."""
    needed = "integers >= 1 with commas and without spaces, the batch axis left out, as in 3,224,224"
    return listed(text, int, needed, lambda n: n >= 1)


def writable(text: str) -> Path:
    """A file that can be written; if it is there, it is not changed yet."""
    path = Path(text)
    existed = path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"needed a file that can be written, in a folder that exists, got {text!r} ({error.strerror})"
        ) from None
    if not existed:
        path.unlink()
    return path


def folder(text: str) -> Path:
    """A folder in which files can be written, or that can be made."""
    path = Path(text)
    try:
        nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"needed a folder, got {text!r} ({error.strerror}); name another") from None
    if not nearest.is_dir():
        raise argparse.ArgumentTypeError(
            f"needed a folder, or a place where one can be made, got {text!r}, but {str(nearest)!r} is a file; name "
            "the folder for the files, not one of them"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(
            f"needed a folder that can be written, or a place where one can be made, got {text!r}, but "
            f"{str(nearest)!r} cannot be written; name another"
        )
    return path
