r"""PyTorch modules as layer graphs, results written back into them, and a path-norm that can be trained with.

A module is recorded by `torch.export` (by `torch.fx` where that fails) in evaluation mode, on a copy: nothing of it is
changed. What it computes must be piecewise linear and treat the samples of a batch one by one; everything else is
named in one `UnsupportedOperatorError`. PyTorch is imported by the first call.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pathgraph.errors import BackendError, ParameterError

if TYPE_CHECKING:
    from pathgraph.io.torch_norm import PathNorm
    from pathgraph.layers.layer_graph import LayerGraph

__all__ = ["PathNorm", "apply_to", "from_torch", "path_norm", "pruning_masks", "pruning_scores"]


def from_torch(module: Any, input_shape: Any, *, relu6: str | None = None, leaky_relu: str | None = None) -> LayerGraph:
    r"""The layer graph of a PyTorch module in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed: neither its training flags nor its parameters, buffers and hooks.
    input_shape : tuple of int, or list of tuple of int
        The shape of one input, without the batch axis; a list of shapes, one for each input that ``forward`` takes.
    relu6 : {None, "relu", "exact"}
        ReLU6, and ReLUs capped elsewhere, are not positively homogeneous: by default they are refused. "relu" takes
        them for ReLUs, which is noted; "exact" models them as :math:`ReLU(z) - ReLU(z - 6)`.
    leaky_relu : {None, "exact"}
        Leaky and parametric ReLUs are refused, or modelled as :math:`ReLU(z) - a\,ReLU(-z)`.

    Returns
    -------
    LayerGraph
        Parameters have their names in ``module.state_dict()``; a tied one has its first name. Frozen are the scale and
        the shift of a batch-norm, named ``bn.scale`` and ``bn.shift`` and computed in double precision, so that a
        module with batch-norms gives a float64 graph. Buffers, numbers and other tensors are structural. ``.notes``
        says what was left out: a last softmax, hooks.

    Raises
    ------
    UnsupportedOperatorError
        Naming every operation that has no layer, with its module and the reason, and what depends on the number of
        samples.
    ParameterError
        If this is no module, its values are not finite, or it cannot be called on such inputs.
    BackendError
        If PyTorch is not installed.

    Notes
    -----
    Dropout is nothing in evaluation mode. Batch-norms stay separate, as the module has them;
    `LayerGraph.fold_batch_norm` folds them. Pre-hooks of ``torch.nn.utils`` (pruning, weight norm) count as part of
    the module, other hooks are not run. A weight that is computed of parameters (weight norm, parametrisations) is a
    parameter with a name of its own, the same one at each use; a pruned weight has the name of its ``weight_orig``.
    The module is recorded with 7 samples, and with a number of samples that is left open, which shows every use of that
    number but as the size of axis 0; such uses are refused. Where the number cannot be left open (``str(len(x))``), a
    few others are tried, and what is the same for them is not found.

    Examples
    --------
    >>> import pathgraph as pg, torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> graph = pg.from_torch(model, 2)
    >>> {name: array.shape for name, array in graph.parameters.items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    imported = _part("import").import_module(module, input_shape, relu6=relu6, leaky_relu=leaky_relu)
    graph: LayerGraph = imported.graph
    return graph


def apply_to(graph: LayerGraph, module: Any, *, strict: bool = True) -> None:
    """Copy the values of a graph (pruned, rescaled, quantized, ...) into a torch module of the same structure.

    Parameters
    ----------
    graph : LayerGraph
        Its parameters have the names of the module's, as those of `from_torch` do.
    module : torch.nn.Module
        It is changed in place, and keeps its dtype and device. The weight and bias of a batch-norm are set such that
        they make the graph's scale and shift with the module's running statistics.
    strict : bool
        Refuse modules with parameters that the graph has no values for, such as heads that only training uses, and
        batch-norms that the graph has folded.

    Raises
    ------
    ParameterError
        On names, shapes, types or values that do not fit, and tensors that cannot be changed, all in one message; then
        nothing has been written.
    BackendError
        If PyTorch is not installed.

    Notes
    -----
    A float64 graph is rounded to the dtype of the module. Computed weights (weight norm, parametrisations) have no
    parameter to be written to. A pruned weight is written to its ``weight_orig``; the mask stays.

    Examples
    --------
    >>> import pathgraph as pg, torch
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> graph = pg.from_torch(model, 2).with_parameters({"weight": [[3.0, -1.0]]})
    >>> graph.apply_to(model)
    >>> model.weight.tolist()
    [[3.0, -1.0]]
    """
    from pathgraph.layers.layer_graph import LayerGraph

    if not isinstance(graph, LayerGraph):
        raise ParameterError(f"graph: needed a pathgraph.LayerGraph, got {type(graph).__name__}")
    _part("results").copied_into(graph, module, strict=strict)


def pruning_scores(module: Any, scores: Mapping[str, Any]) -> dict[tuple[Any, str], Any]:
    """Scores as ``torch.nn.utils.prune.global_unstructured(..., importance_scores=)`` takes them.

    Parameters
    ----------
    module : torch.nn.Module
    scores : mapping from str to array_like
        By parameter name, as `pathgraph.path_magnitude` gives them for a `LayerGraph`.

    Returns
    -------
    dict from (torch.nn.Module, str) to torch.Tensor
        In float64, on the devices of the parameters. Its keys are what ``parameters=`` takes.

    Raises
    ------
    ParameterError
        On names that the module does not have, wrong shapes, what are no real numbers, and NaN.
    BackendError
        If PyTorch is not installed.

    Notes
    -----
    A pruned module works, too: ``conv.weight`` and ``conv.weight_orig`` both mean ``(conv, "weight")``. A tied
    parameter has scores under its first name only.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils import prune
    >>> from pathgraph.io.torch import pruning_scores
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 1))
    >>> scores = pruning_scores(model, {"0.weight": [[5, 1, 2]]})
    >>> prune.global_unstructured(list(scores), prune.L1Unstructured, importance_scores=scores, amount=1)
    >>> model[0].weight_mask.tolist()
    [[1.0, 0.0, 1.0]]
    """
    results = _part("results")
    return dict(results.keyed(module, scores, "scores", results.torch.float64))


def pruning_masks(module: Any, masks: Mapping[str, Any]) -> dict[tuple[Any, str], Any]:
    """Masks as ``torch.nn.utils.prune.custom_from_mask`` takes them.

    Parameters
    ----------
    module : torch.nn.Module
    masks : mapping from str to array_like of bool
        By parameter name; True is kept.

    Returns
    -------
    dict from (torch.nn.Module, str) to torch.Tensor
        Boolean tensors on the devices of the parameters.

    Raises
    ------
    ParameterError
        On names that the module does not have, wrong shapes, and other values than True and False (or 1 and 0).
    BackendError
        If PyTorch is not installed.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils import prune
    >>> from pathgraph.io.torch import pruning_masks
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 1))
    >>> for (part, name), mask in pruning_masks(model, {"0.weight": [[True, False, True]]}).items():
    ...     part = prune.custom_from_mask(part, name, mask)
    >>> model[0].weight_mask.tolist()
    [[1.0, 0.0, 1.0]]
    """
    results = _part("results")
    return dict(results.keyed(module, masks, "masks", results.torch.bool))


def path_norm(
    source: Any,
    input_shape: Any = None,
    q: float = 1,
    *,
    log: bool = False,
    relu6: str | None = None,
    leaky_relu: str | None = None,
) -> Any:
    r"""The path-norm as a tensor that can be differentiated, equal to `pathgraph.path_norm` up to rounding.

    Parameters
    ----------
    source : torch.nn.Module or LayerGraph
    input_shape : tuple of int, or list of tuple of int, optional
        Of a module's inputs, as for `from_torch`.
    q : number in [1, inf)
    log : bool
        Whether to give the logarithm, which has no range to leave.
    relu6, leaky_relu : str, optional
        As for `from_torch`.

    Returns
    -------
    torch.Tensor
        float64, without axes. Its gradient reaches the module's parameters, the weights and biases of batch-norms
        included; :math:`\theta\,\partial\|\Phi\|_1/\partial\theta` are the path-magnitudes.

    Raises
    ------
    PathNormOverflowError
        If it leaves the range of float64; with ``log=True`` there is none.
    UnsupportedOperatorError, ParameterError
        As `from_torch`, on other exponents, and on exponents so large that weights leave the range of float64.
    BackendError
        If PyTorch is not installed.

    Notes
    -----
    Each call records the module. In a training loop make a `PathNorm` once and call it in each step; it has the
    definition of what batch-norms and zero weights are in training.

    References
    ----------
    arXiv 2310.01225 for the path-norm, arXiv 2405.15006 for its derivatives as scores.

    Examples
    --------
    >>> import torch
    >>> from pathgraph.io.torch import path_norm
    >>> layers = [torch.nn.Linear(2, 2, bias=False), torch.nn.ReLU(), torch.nn.Linear(2, 1, bias=False)]
    >>> model = torch.nn.Sequential(*layers)
    >>> with torch.no_grad():
    ...     _ = model[0].weight.copy_(torch.tensor([[1, -2], [3, 1]])), model[2].weight.fill_(1)
    >>> norm = path_norm(model, 2)
    >>> norm.backward()
    >>> norm.item(), model[2].weight.grad.tolist()
    (7.0, [[3.0, 4.0]])
    """
    return _part("norm").PathNorm(source, input_shape, q, log=log, relu6=relu6, leaky_relu=leaky_relu)()


def _part(name: str) -> Any:
    """The module that does the work, once PyTorch is there."""
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise BackendError(
            "pathgraph.io.torch needs PyTorch, which is not installed; pip install 'pathgraph[torch]', "
            "or pip install '.[torch]' in a checkout"
        ) from error
    return importlib.import_module(f"pathgraph.io.torch_{name}")


def __getattr__(name: str) -> Any:
    if name == "PathNorm":
        return _part("norm").PathNorm
    raise AttributeError(f"module 'pathgraph.io.torch' has no attribute {name!r}")
