"""What an importer cannot take, and an exporter cannot write: raised for one operation, then named by one error."""

from __future__ import annotations

from typing import NamedTuple

from pathgraph.errors import PathgraphError, UnsupportedOperatorError

__all__ = ["Refusal", "Refusals", "Refused", "Unwritable"]


class Refused(PathgraphError):
    """Raised by the rule of an operation: it cannot be imported, for the reason given."""


class Unwritable(Exception):
    """A layer without ONNX operator, and why."""


class Refusal(NamedTuple):
    """One node that cannot be imported.

    Attributes
    ----------
    node, operator : str
        As the model names them.
    place : str
        The module that it belongs to, or an empty string.
    reason : str
        Why, and what to do about it.
    """

    node: str
    operator: str
    place: str
    reason: str


class Refusals:
    """The refusals of one import.

    Parameters
    ----------
    source : str
        The function that imports, for the message.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Refusal] = []

    def add(self, node: str, operator: str, place: str, reason: str) -> None:
        """Note one."""
        self.found.append(Refusal(node, operator, place, reason))

    def raise_if_any(self) -> None:
        """One error for all of them.

        Raises
        ------
        UnsupportedOperatorError
        """
        if not self.found:
            return
        nodes = "1 operation is" if len(self.found) == 1 else f"{len(self.found)} operations are"
        lines = [
            f"  {found.node} ({found.operator}){f' in {found.place}' if found.place else ''}: {found.reason}"
            for found in self.found
        ]
        raise UnsupportedOperatorError("\n".join([f"{self.source}: {nodes} not supported:", *lines]))
