"""What an architecture tells the functions that work at both resolutions, where they cannot ask its blocks."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.graph.names import EntryNames
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.resolutions import Structure
from pathgraph.scalars import frozen

if TYPE_CHECKING:
    from pathgraph.graph.architecture import Architecture
    from pathgraph.scalars import Array

__all__ = ["NeuronStructure"]


class NeuronStructure(Structure):
    """The part of `Architecture` that answers `pathgraph.resolutions.Structure`."""

    tensor_shapes = None

    if TYPE_CHECKING:  # attributes, fields or properties: only to be read

        @property
        def level(self) -> Array: ...  # noqa: D102

        @property
        def start(self) -> Array: ...  # noqa: D102

        @property
        def antecedent(self) -> Array: ...  # noqa: D102

        @property
        def target(self) -> Array: ...  # noqa: D102

        @property
        def biased(self) -> Array: ...  # noqa: D102

        @property
        def inputs(self) -> tuple[Hashable, ...]: ...  # noqa: D102

        @property
        def n_nodes(self) -> int: ...  # noqa: D102

    @property
    def input_names(self) -> tuple[Hashable, ...]:
        """The input neurons."""
        return self.inputs

    @property
    def at_bias(self) -> Array:
        """Which entries are biases: they come last."""
        return np.arange(self.n_entries) >= self.n_edges

    @cached_property
    def level_range(self) -> tuple[Array, Array]:
        """The smallest and the largest level of the neurons that each parameter leads to."""
        free = np.flatnonzero(self.parameter >= 0)
        owner, level = self.parameter[free], self.level[self.target[free]]
        if not self.is_tied:
            only = np.empty(self.n_parameters, dtype=level.dtype)
            only[owner] = level
            return frozen(only), only
        first = np.full(self.n_parameters, np.iinfo(np.int64).max)
        last = np.full(self.n_parameters, -1)
        np.minimum.at(first, owner, level)
        np.maximum.at(last, owner, level)
        return frozen(first), frozen(last)

    @property
    def scattered(self) -> Array:
        """The parameters that are tied at neurons of several levels: only these can occur twice on one path."""
        if not self.is_tied:
            return np.empty(0, dtype=np.int64)
        first, last = self.level_range
        return np.flatnonzero(first < last)

    @property
    def parameter_level(self) -> Array:
        """The level of the neuron that each parameter leads to; -1 if there are several."""
        first, last = self.level_range
        return np.where(first == last, first, -1)

    @property
    def backward_roundings(self) -> int:
        """Backward, a neuron adds up one product for each of its successors, and 1 if it is an output."""
        widest = np.zeros(int(self.level.max()) + 1, dtype=np.int64)
        np.maximum.at(widest, self.level, np.bincount(self.antecedent, minlength=self.n_nodes) + 2)
        return int(widest.sum()) + len(widest)

    @property
    def marginal_roundings(self) -> int:
        """The places of one parameter are not more than all that repeat one."""
        return len(self.parameter) - self.n_parameters

    def candidates(self, position: int) -> tuple[list[int], Array]:
        """The antecedents in canonical order, then the constant; and the entries between."""
        architecture: Architecture = self  # type: ignore[assignment]
        entries = architecture.entries_into(position - 1)
        edges = entries[entries < self.n_edges]
        constant = [CONSTANT] * (len(entries) - len(edges))
        return [*(self.antecedent[edges] + 1).tolist(), *constant], entries

    def mask_of(self, parameters: Collection[Any] | Array) -> Array:
        """Some parameters, given by their names or by a mask, as a mask.

        Raises
        ------
        ParameterError
        """
        from pathgraph.graph.parameter_masks import parameter_mask

        return parameter_mask(self, parameters)  # type: ignore[arg-type]

    def names_of(self, parameters: Array) -> Sequence[Any]:
        """The names of the parameters at some places of theta, made when they are asked for."""
        return EntryNames(self, self.first_entry[parameters])  # type: ignore[arg-type]
