"""What a wrong version of a kernel is: the text as it is shipped, but for one place; its checks must find it."""

from typing import NamedTuple

__all__ = ["Mutant", "of"]


class Mutant(NamedTuple):
    """A change of one place in a translation unit, headers included: `old` occurs exactly once in it."""

    name: str
    file: str
    old: str
    new: str


def of(file, *changes):
    """Mutants of one translation unit, each as its name, the text and what takes its place."""
    return [Mutant(name, file, old, new) for name, old, new in changes]
