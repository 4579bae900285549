"""Which members that a class inherits belong on its page: those of bases of the library that are no class of their own.

A base is apart, and its members stay away, if it is of another library, is abstract (an interface that the library has
for itself), or has a page of its own.
"""

import inspect
from dataclasses import dataclass
from importlib import import_module

import pathgraph


@dataclass(frozen=True)
class BasesApart:
    """The names of the bases that are apart, for autodoc's option ``inherited-members``; the template calls it.

    An object and no function, because Sphinx pickles its configuration.
    """

    def __call__(self, module, name):
        """The names, with commas."""
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return ", ".join(base.__name__ for base in found.__mro__[1:] if is_apart(base))


def is_apart(base):
    """Whether what a class inherits from this base is not shown on the page of the class."""
    ours = base.__module__.startswith("pathgraph")
    return not ours or inspect.isabstract(base) or base.__name__ in pathgraph.__all__
