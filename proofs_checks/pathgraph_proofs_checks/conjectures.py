"""Checks from files outside the package: a conjecture, to be run like the theorems until it is refuted or believed."""

from __future__ import annotations

import sys
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from pathgraph_proofs_checks.registry import Check, collected

__all__ = ["ConjectureError", "load"]


class ConjectureError(Exception):
    """A file that holds no check that could be run; the message says where and why."""


def load(file: str | Path) -> list[Check]:
    """Run a file and return the checks it registers; those of an earlier version of the file are forgotten.

    Parameters
    ----------
    file : str or Path
        A Python file with at least one function under ``@theorem(...)``.

    Returns
    -------
    list of Check
        In the order of the file.

    Raises
    ------
    ConjectureError
        If the file cannot be read, is no Python, raises while it runs, registers no check, or one whose name is taken.

    Notes
    -----
    The file is a program and is run as one: load only what you trust.

    Examples
    --------
    >>> from pathgraph.proofs_checks import load
    >>> load("no_such_file.py")
    Traceback (most recent call last):
    pathgraph_proofs_checks.conjectures.ConjectureError: no_such_file.py: No such file or directory
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConjectureError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConjectureError(f"{file}: needed Python in UTF-8, got other bytes") from None
    place = str(path.resolve())
    module = ModuleType(f"conjecture {place}")
    module.__file__ = place
    try:
        code = compile(text, place, "exec")
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise ConjectureError(f"{file}{line}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConjectureError(f"{file}: needed Python, got {error}") from None
    sys.modules[module.__name__] = module  # dataclasses look their module up
    with collected(place) as checks:
        try:
            exec(code, vars(module))
        except (Exception, SystemExit) as error:
            lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == place]
            raise ConjectureError(f"{file}, line {lines[-1]}: {type(error).__name__}: {error}") from error
        if not checks:
            raise ConjectureError(f"{file}: needed a check, that is a function under @theorem(...), got none")
    return list(checks.values())
