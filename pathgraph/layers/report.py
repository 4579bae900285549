"""What a layer graph holds: layers, parameters, neurons, edges, paths, depths and pools, counted exactly.

Nothing is expanded: paths are counted by sweeps of ones modulo primes, depths by sweeps of indicators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.generalization.peeling import peeling_constants
from pathgraph.graph.architecture import ROLES
from pathgraph.pathsum.residues import count_by_residues
from pathgraph.shown import decimal_text

if TYPE_CHECKING:
    from pathgraph.layers.layer_graph import LayerGraph

__all__ = ["Report", "ReportRow", "report"]

SHOWN_DIGITS = 12


@dataclass(frozen=True)
class ReportRow:
    """One layer in a report.

    Attributes
    ----------
    name, kind : str
    shape : tuple of int
    activation : str
    n_parameters : int
        Entries of its trainable tensors; 0 where another layer before has the same tensors.
    n_neurons, n_edges : int
        Of the expansion.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    activation: str
    n_parameters: int
    n_neurons: int
    n_edges: int


@dataclass(frozen=True, repr=False)
class Report:
    """Sizes of a layer graph, exactly; ``str`` is a table. Made by `LayerGraph.report`.

    Attributes
    ----------
    layers : tuple of ReportRow
        In order; views have neither neurons nor edges.
    n_parameters, n_frozen, n_structural : int
        Numbers of entries by their role, tied ones once.
    n_neurons, n_edges, n_biases : int
        Of the expansion, inputs included; tied values counted at each place.
    n_paths : int
        Zero weights and zero biases count.
    depth : int
        D, the largest number of edges on a path.
    collapsed_depth : int
        1 + the largest number of ReLU and pool neurons on a path: the depth without identity neurons.
    pool_size : int
        K, the largest in-degree of a pool that is on a path; 1 if there is none.
    pool_types : int
        P, the number of distinct pairs (rank, in-degree) of such pools.
    inputs, outputs : mapping from str to shape
    notes : tuple of str
        What an importer left out or changed.

    Examples
    --------
    >>> import pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.convolution(build.input((1, 4)), build.tensor("w", [[[1, 2, 3]]]), padding=1)
    >>> graph = build.build([build.max_pool(build.relu(x), 2)])
    >>> report = graph.report
    >>> report
    Report(4 layers, 3 parameters, 12 neurons, 16 edges, 10 paths, depth 3 (collapsed 3), K = 2, P = 1)
    >>> print(report)
    layer         kind         activation  shape   parameters  neurons  edges
    input         input        input       (1, 4)                    4
    convolution1  convolution  relu        (1, 4)           3        4     10
    max_pool1     max_pool     pool        (1, 2)                    2      4
    output        copy         identity    (1, 2)                    2      2
    total                                                   3       12     16
    paths: 10
    depth: 3 edges, 3 without identity neurons
    pools: K = 2 (largest in-degree), P = 1 (types)
    """

    layers: tuple[ReportRow, ...]
    n_parameters: int
    n_frozen: int
    n_structural: int
    n_neurons: int
    n_edges: int
    n_biases: int
    n_paths: int
    depth: int
    collapsed_depth: int
    pool_size: int
    pool_types: int
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...]

    @property
    def kinds(self) -> dict[str, int]:
        """How many layers there are of each kind."""
        return dict(Counter(row.kind for row in self.layers))

    def __repr__(self) -> str:
        return (
            f"Report({len(self.layers)} layers, {self.n_parameters:,} parameters, {self.n_neurons:,} neurons, "
            f"{self.n_edges:,} edges, {_large(self.n_paths)} paths, depth {self.depth} (collapsed "
            f"{self.collapsed_depth}), K = {self.pool_size}, P = {self.pool_types})"
        )

    def __str__(self) -> str:
        heads = ("layer", "kind", "activation", "shape", "parameters", "neurons", "edges")
        cells = [
            (
                row.name,
                row.kind,
                row.activation,
                str(row.shape),
                *map(_cell, (row.n_parameters, row.n_neurons, row.n_edges)),
            )
            for row in self.layers
        ]
        total = ("total", "", "", "", *map(_cell, (self.n_parameters, self.n_neurons, self.n_edges)))
        table = [heads, *cells, total]
        widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 4 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        lines += [
            f"paths: {_large(self.n_paths)}",
            f"depth: {self.depth} edges, {self.collapsed_depth} without identity neurons",
            f"pools: K = {self.pool_size} (largest in-degree), P = {self.pool_types} (types)",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def report(graph: LayerGraph) -> Report:
    """The sizes of a layer graph."""
    structure = graph.architecture
    constants = peeling_constants(graph)
    sizes = {
        role: sum(t.size for t, r in zip(graph.tensors, structure.roles, strict=True) if r == role) for role in ROLES
    }
    seen: set[int] = set()
    rows = []
    for layer in structure.layers:
        own = set(layer.all_tensors) - seen
        seen |= own
        n_parameters = sum(graph.tensors[t].size for t in own if structure.roles[t] == "parameter")
        n_edges = sum(operation.n_edges for operation in layer.operations)
        n_neurons = 0 if layer.is_view else layer.size
        rows.append(ReportRow(layer.name, layer.kind, layer.shape, layer.activation, n_parameters, n_neurons, n_edges))
    assert constants.collapsed_depth is not None
    return Report(
        layers=tuple(rows),
        n_parameters=sizes["parameter"],
        n_frozen=sizes["frozen"],
        n_structural=sizes["structural"],
        n_neurons=structure.n_neurons,
        n_edges=structure.n_edges,
        n_biases=sum(layer.bias[0].n_edges for layer in structure.layers if layer.bias is not None),
        n_paths=sum(count_by_residues(graph.dag, structure.cut(np.ones(structure.n_entries)))),
        depth=constants.depth,
        collapsed_depth=constants.collapsed_depth,
        pool_size=constants.pool_size,
        pool_types=constants.pool_types,
        inputs=graph.input_shapes,
        outputs=graph.output_shapes,
        notes=graph.notes,
    )


def _cell(count: int) -> str:
    return f"{count:,}" if count else ""


def _large(count: int) -> str:
    """All digits of a number where they are few, else the first ones and the power of ten."""
    return f"{count:,}" if count < 10**SHOWN_DIGITS else decimal_text(Fraction(count), 4)
