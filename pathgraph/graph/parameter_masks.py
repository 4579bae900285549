"""Which parameters a caller means: by their names, or by a mask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any

import numpy as np

from pathgraph.devices import refuse_elsewhere
from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph.architecture import ROLES, Architecture
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["parameter_mask"]


def parameter_mask(architecture: Architecture, parameters: Collection[Any] | Array) -> Array:
    """Some parameters, given by their names or by a mask, as a mask.

    Raises
    ------
    ConversionError
        On a mask that is on a device.
    ParameterError
    """
    refuse_elsewhere(parameters, "parameters")
    size = architecture.n_parameters
    if isinstance(parameters, np.ndarray) and parameters.dtype == bool:
        if parameters.shape != (size,):
            raise ParameterError(f"parameters: needed a mask of shape ({size},), got {parameters.shape}")
        return parameters
    if isinstance(parameters, str) or not isinstance(parameters, (Collection, np.ndarray)):
        raise ParameterError(
            f"parameters: needed a collection of names, or a mask (a bool ndarray), got {argument_text(parameters)}"
        )
    mask = np.zeros(size, dtype=bool)
    named = {name: int(architecture.parameter[entry]) for entry, name in architecture.ties.items()}
    try:
        for name in parameters:
            mask[_place(architecture, named, name)] = True
    except ParameterError as error:
        if not _is_edge(architecture, parameters):
            raise
        raise ParameterError(
            f"{error}; of the one edge {argument_text(parameters)}: write [{argument_text(parameters)}]"
        ) from None
    return mask


def _is_edge(architecture: Architecture, name: Any) -> bool:
    """Whether a caller gave the name of one weight where a collection of names was needed."""
    return isinstance(name, tuple) and len(name) == 2 and _found(architecture.edge_entry, *name) is not None


def _place(architecture: Architecture, named: dict[Hashable, int], name: Any) -> int:
    """Place in theta of a parameter."""
    try:
        if name in named:
            return named[name]
        entries = [_found(architecture.bias_entry, name)]
        if isinstance(name, tuple) and len(name) == 2:
            entries.append(_found(architecture.edge_entry, *name))
    except TypeError:
        entries = []
    found = [entry for entry in entries if entry is not None]
    if len(found) != 1:
        what = "the name of a weight and of a bias; give a mask" if found else "no parameter of the network"
        raise ParameterError(f"parameters: {argument_text(name)} is {what}; see net.parameters for their names")
    entry = found[0]
    if entry in architecture.ties:
        raise ParameterError(
            f"parameters: {architecture.describe(entry)} belongs to the tied parameter "
            f"{argument_text(architecture.ties[entry])}; "
            "give that name"
        )
    if architecture.parameter[entry] < 0:
        role = ROLES[architecture.role[entry]]
        raise ParameterError(f"parameters: {architecture.describe(entry)} is {role}, not a parameter")
    return int(architecture.parameter[entry])


def _found(entry: Callable[..., int | None], *names: Any) -> int | None:
    """An entry, or None if the network has no such neuron or edge."""
    try:
        return entry(*names)
    except GraphError:
        return None
