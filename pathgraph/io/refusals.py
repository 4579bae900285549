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
        raise UnsupportedOperatorError(f"{self.source}: {_written(self.found)}")


def _written(found: list[Refusal]) -> str:
    """The message: what is the case and what to do in the first line, if all have one reason; then every node."""
    nodes = [f"{one.node} ({one.operator}){f' in {one.place}' if one.place else ''}" for one in found]
    reasons = list(dict.fromkeys(one.reason for one in found))
    if len(found) == 1:
        return f"1 operation is not supported: {nodes[0]}: {reasons[0]}"
    kinds = ", ".join(dict.fromkeys(_short(one.operator) for one in found))
    if len(reasons) == 1:
        first = f"{len(found)} operations are not supported ({kinds}): {reasons[0]}"
        return "\n".join([first, *(f"  {node}" for node in nodes)])
    first = f"{len(found)} operations are not supported ({kinds}); the reason and the way out for each:"
    return "\n".join([first, *(f"  {node}: {one.reason}" for node, one in zip(nodes, found, strict=True))])


def _short(operator: str) -> str:
    """The name of an operator of PyTorch without what stands around it; others as they are."""
    return operator.removeprefix("aten.").split(".")[0] if operator.startswith("aten.") else operator
