"""The exceptions of pathgraph: one small tree, so that one ``except`` can catch them all.

Every message names the argument at fault, what was needed, what came and what to do about it. Each class also
derives from the built-in exception a caller would expect, so code that catches ``ValueError`` keeps working.
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "ConversionError",
    "FileFormatError",
    "GraphError",
    "ParameterError",
    "PathCountError",
    "PathNormOverflowError",
    "PathgraphError",
    "RangeError",
    "RescalingError",
    "UnsupportedOperatorError",
]


class PathgraphError(Exception):
    """Base class of every exception that pathgraph raises on purpose.

    Examples
    --------
    >>> import pathgraph as pg
    >>> issubclass(pg.GraphError, pg.PathgraphError)
    True
    """


class GraphError(PathgraphError, ValueError):
    """The graph is not a ReLU network as the graph contract defines it (a cycle, an unknown activation, ...).

    Examples
    --------
    >>> import networkx as nx, pathgraph as pg
    >>> pg.from_networkx(nx.DiGraph())
    Traceback (most recent call last):
    ...
    pathgraph.errors.GraphError: graph: a network needs at least one node, got an empty graph; ...
    """


class ParameterError(PathgraphError, ValueError):
    """A parameter, an input or an option has a wrong value, shape or type.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.path_norm(pg.from_weights([[[1.0]]]), q=-1)
    Traceback (most recent call last):
    ...
    pathgraph.errors.ParameterError: q: needed a number in [0, inf], got -1
    """


class RescalingError(ParameterError):
    """The factors do not belong to the rescaling group of the network.

    Examples
    --------
    >>> import pathgraph as pg
    >>> issubclass(pg.RescalingError, pg.ParameterError)
    True
    """


class UnsupportedOperatorError(PathgraphError, NotImplementedError):
    """An operation is not defined on networks of this kind, or on these scalars.

    Examples
    --------
    >>> import pathgraph as pg
    >>> issubclass(pg.UnsupportedOperatorError, NotImplementedError)
    True
    """


class RangeError(PathgraphError, OverflowError):
    """A float result leaves the range of its type; exact networks and the SCALED and LOG semirings have no range.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.from_weights([[[1e200]], [[1e200]]])([1.0])
    Traceback (most recent call last):
    ...
    pathgraph.errors.RangeError: net(x): a value leaves the range of float64; ...
    """


class PathNormOverflowError(RangeError):
    """A path-norm lies outside the range of floats; `log_path_norm` has no such limit.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1e200]], [[1e200]]])
    >>> pg.path_norm(net)
    Traceback (most recent call last):
    ...
    pathgraph.errors.PathNormOverflowError: the path-norm is exp(921.034...), beyond the range of float64; ...
    >>> round(pg.log_path_norm(net), 9)
    921.034037198
    """


class PathCountError(PathgraphError, ValueError):
    """The network has more paths than the caller agreed to enumerate.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.path_lifting(pg.from_weights([[[1, 2]], [[3]]]), max_paths=1)
    Traceback (most recent call last):
    ...
    pathgraph.errors.PathCountError: the network has 2 paths, more than max_paths=1; ...
    """


class BackendError(PathgraphError, ValueError):
    """The back end asked for is unknown, not installed, or cannot run on these scalars.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.count_paths(pg.from_weights([[[1.0]]]), backend="abacus")
    Traceback (most recent call last):
    ...
    pathgraph.errors.BackendError: backend: needed 'reference', 'numpy', 'numba' or None, got 'abacus'
    """


class ConversionError(PathgraphError, TypeError):
    """An object cannot become an array of the kind asked for without a cost that the caller has to choose.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> np.asarray(pg.KSMatrix([[[[1]]]]))
    Traceback (most recent call last):
    ...
    pathgraph.errors.ConversionError: a KSMatrix of shape (1, 1) does not become a dense array silently; call .toarray()
    """


class FileFormatError(PathgraphError, ValueError):
    """A file is not a network that `pathgraph.save` wrote, or is damaged.

    Examples
    --------
    >>> import pathgraph as pg
    >>> issubclass(pg.FileFormatError, ValueError)
    True
    """
