"""ONNX files as layer graphs: `from_onnx`.

The file is read node by node, in topological order. Whatever cannot be imported is collected, with the reason, and
reported in one `UnsupportedOperatorError`; an attribute that nobody has read is such a reason, so nothing with an
effect is accepted in silence. What has no effect on the network's paths (dropout, a final softmax) is left out, and
`LayerGraph.notes` says so.

The first axis of an input is the batch, whether its size is fixed or not, unless the input has one axis of fixed size
or `input_shape` names all axes.

Source: the ONNX specification; the reading is derived here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import FileFormatError, ParameterError, PathgraphError, UnsupportedOperatorError
from pathgraph.io import onnx_arithmetic, onnx_linear, onnx_pools, onnx_views
from pathgraph.io.modelling import LEAKY_RELU, RELU6, checked_option
from pathgraph.io.onnx_file import Node, OnnxFile, read_file
from pathgraph.io.onnx_folding import SHAPE_OPERATORS, fold, is_foldable, shape_of
from pathgraph.io.onnx_reading import OPERATORS, Options, Reading
from pathgraph.io.onnx_reasons import KEEPS_SHAPE, REASONS
from pathgraph.io.onnx_selection import read_selection, selections
from pathgraph.io.onnx_tensors import FLOAT_TYPES, tensor_array, type_name
from pathgraph.io.onnx_values import DYNAMIC, Activation, Constant, Value, shown
from pathgraph.io.refusals import Refused
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.layers import LayerGraph

__all__ = ["from_onnx"]

Shapes = Sequence[int] | Mapping[str, Sequence[int]]

# Importing them registers their operators.
_READERS = (onnx_arithmetic, onnx_linear, onnx_pools, onnx_views)

TRANSPARENT = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Dropout", "Transpose")
ANYWHERE = ("consumed_inputs",)


def from_onnx(
    path_or_model: str | PathLike[str] | bytes | IO[bytes] | Any,
    *,
    input_shape: Shapes | None = None,
    relu6: str | None = None,
    leaky_relu: str | None = None,
    max_entries: int = 2**28,
) -> LayerGraph:
    """The network of an ONNX file, as a layer graph.

    Parameters
    ----------
    path_or_model : path, bytes, binary file or onnx.ModelProto
        Tensors that lie in files of their own are found beside a path.
    input_shape : sequence of int, or mapping from input names to such, optional
        Shapes of the inputs without the batch axis, where the file leaves axes open. A shape with as many axes as the
        file's input says that this has no batch axis.
    relu6 : {"relu", "exact"}, optional
        How to import a ReLU that is cut at c (Clip from 0 to c): as a plain ReLU, which is another function, or exactly
        as relu(z) - relu(z - c). By default it is refused.
    leaky_relu : {"exact"}, optional
        Import LeakyRelu and PRelu as relu(z) - a relu(-z). By default they are refused.
    max_entries : int
        How many entries the activations of one sample, and the constants that the file computes, may have together.

    Returns
    -------
    LayerGraph
        Parameters have the names of the file's tensors, layers those of its nodes. `LayerGraph.notes` tells what was
        left out or changed.

    Raises
    ------
    UnsupportedOperatorError
        If the file is no ReLU network; the message lists every node at fault, and why.
    FileFormatError
        If the file is damaged, no ONNX model, or larger than `max_entries` allows.
    GraphError
        If its nodes form a cycle.
    ParameterError
        If an input has an open axis besides the batch, or a tensor holds NaN or infinities.
    BackendError
        If the package onnx is not installed.

    Notes
    -----
    Weights and biases of Gemm, MatMul, Conv and ConvTranspose, and slopes of PRelu, are parameters; a constant added to
    the result of a MatMul or Conv is its bias. Scale and shift of a batch-norm, and other constants that are added or
    multiplied, are frozen. Weights of MatMul are stored with shape (n_out, n_in).

    A final Softmax or LogSoftmax is left out, dropout does nothing. Pools keep their exact windows (`ceil_mode`,
    padding as missing edges), averages their exact divisors. Batch-norms stay layers; `LayerGraph.fold_batch_norm`
    folds them. Statistics of a batch-norm are combined in float64, and a graph with one float64 tensor is float64
    altogether; casts between float types are identities.

    Examples
    --------
    >>> import numpy as np, onnx, pathgraph as pg
    >>> weights = onnx.numpy_helper.from_array(np.array([[1, 3], [-2, 1]], dtype=np.float32), "weights")
    >>> x, y = (onnx.helper.make_tensor_value_info(name, 1, ["N", 2]) for name in "xy")
    >>> nodes = [onnx.helper.make_node("MatMul", ["x", "weights"], ["z"]), onnx.helper.make_node("Relu", ["z"], ["y"])]
    >>> graph = pg.from_onnx(onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", [x], [y], [weights])))
    >>> graph.parameters
    {'weights': array([[ 1., -2.],
           [ 3.,  1.]], dtype=float32)}
    >>> pg.path_norm(graph)
    7.0
    """
    options = Options(
        checked_option(relu6, "relu6", RELU6),
        checked_option(leaky_relu, "leaky_relu", LEAKY_RELU),
        natural(max_entries, "max_entries", least=1),
    )
    file = read_file(path_or_model)
    shapes, batch = _input_shapes(file, input_shape)
    ctx = Reading(file, options, batch)
    _begin(ctx, shapes)
    with np.errstate(all="ignore"):  # what is not finite is refused at the end, by name
        refused = _walk(ctx)
    if refused:
        shown_nodes = "".join(f"\n  {line}" for line in refused)
        raise UnsupportedOperatorError(
            f"{file.label}: {len(refused)} of its {len(file.nodes)} nodes cannot be imported:{shown_nodes}"
        )
    return _finished(ctx)


# -- inputs -------------------------------------------------------------------------------------------------------


def _input_shapes(file: OnnxFile, given: Shapes | None) -> tuple[dict[str, tuple[tuple[int, ...], bool]], int]:
    """For each input its shape without the batch axis and whether it has one; and the size of the batch."""
    names = [value.name for value in file.inputs]
    if not names:
        raise FileFormatError(f"{file.label}: needed a graph with an input, got none")
    wanted: dict[str, Sequence[int]] = {}
    if isinstance(given, Mapping):
        wanted = dict(given)
    elif given is not None:
        if len(names) > 1:
            raise ParameterError(
                f"input_shape: needed a mapping from the names {names} to shapes, got {argument_text(given)}"
            )
        wanted = {names[0]: given}
    for name, shape in wanted.items():
        if name not in names:
            raise ParameterError(f"input_shape: the file has no input {name!r}; it has {names}")
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            raise ParameterError(f"input_shape: needed a sequence of sizes for {name!r}, got {argument_text(shape)}")
        wanted[name] = tuple(natural(d, "input_shape", least=1) for d in shape)
    shapes, batches = {}, set()
    for value in file.inputs:
        shape, size = _input_shape(file, value, wanted.get(value.name))
        shapes[value.name] = (shape, size is not None)
        batches.add(size)
    sizes = batches - {None}
    if DYNAMIC in sizes:
        return shapes, DYNAMIC
    if len(sizes) > 1:
        raise ParameterError(
            f"input_shape: the first axes of the inputs, {sorted(filter(None, sizes))}, are no common batch; give "
            "shapes with all axes for inputs without a batch axis"
        )
    return shapes, sizes.pop() or 1 if sizes else 1


def _input_shape(file: OnnxFile, value: Any, given: Sequence[int] | None) -> tuple[tuple[int, ...], int | None]:
    """The shape of an input without the batch axis, and the size of that (None: there is none)."""
    what = f"{file.label}: input {value.name!r}"
    if value.type.WhichOneof("value") not in ("tensor_type", None):
        raise FileFormatError(f"{what}: needed a tensor, got a {value.type.WhichOneof('value')}")
    tensor = value.type.tensor_type
    if tensor.elem_type not in FLOAT_TYPES | {0}:
        raise UnsupportedOperatorError(f"{what}: needed floats, got {type_name(tensor.elem_type)}")
    if not tensor.HasField("shape"):
        if given is None:
            raise ParameterError(f"{what} has no shape; give input_shape, its shape without the batch axis")
        return tuple(given), DYNAMIC
    dims = [d.dim_value if d.WhichOneof("value") == "dim_value" and d.dim_value > 0 else None for d in tensor.shape.dim]
    shown_dims = ", ".join("?" if d is None else str(d) for d in dims)
    if given is None:
        if None in dims[1:]:
            raise ParameterError(
                f"{what} has open axes, ({shown_dims}); give input_shape, its {len(dims) - 1} sizes without the batch"
            )
        sizes = [d for d in dims if d is not None]
        has_batch = len(dims) > 1 or dims == [None]
        if not has_batch:
            return tuple(sizes), None
        return tuple(sizes[len(sizes) - len(dims) + 1 :]), DYNAMIC if dims[0] is None else dims[0]
    has_batch = len(given) == len(dims) - 1
    fixed = dims[1:] if has_batch else dims
    if len(given) != len(fixed) or any(d not in (None, g) for d, g in zip(fixed, given, strict=True)):
        raise ParameterError(f"input_shape: {what} has shape ({shown_dims}) with the batch axis, got {tuple(given)}")
    if not has_batch:
        return tuple(given), None
    return tuple(given), DYNAMIC if dims[0] is None else dims[0]


def _begin(ctx: Reading, shapes: Mapping[str, tuple[tuple[int, ...], bool]]) -> None:
    """Inputs, initializers, and everything that is computed from the latter alone."""
    for name, (shape, has_batch) in shapes.items():
        ctx.reserve(shape)
        signal = ctx.build.input(shape, name=name)
        ctx.values[name] = Activation(signal, (ctx.batch, *shape) if has_batch else shape, 0 if has_batch else None)
    if ctx.batch not in (1, DYNAMIC):
        ctx.note(f"the file's batch of {ctx.batch} samples stands for one of any size", next(iter(shapes)))
    for name, tensor in ctx.file.tensors.items():
        if not ctx.uses[name]:
            continue
        array = tensor_array(tensor, ctx.file.folder, f"{ctx.file.label}: the tensor {name!r}")
        ctx.values[name] = Constant(array, name)
        if tensor.doc_string in ("role: parameter", "role: frozen", "role: structural", "role: absent"):
            ctx.roles[name] = tensor.doc_string.removeprefix("role: ")
    if ctx.file.dead:
        ctx.note("nodes that no output needs are left out", f"{ctx.file.dead} nodes")


# -- nodes --------------------------------------------------------------------------------------------------------


def _walk(ctx: Reading) -> list[str]:
    """Read every node; returns a line for each that cannot be imported."""
    refused: dict[int, str] = {}
    later: list[Node] = []
    for selection in selections(ctx):
        ctx.selections[id(selection.shaped)] = selection
        ctx.within.update(id(node) for node in selection.inner)
    for node in ctx.file.nodes:  # constants first, so that a bias is known when its layer is read
        values = [ctx.values.get(name) for name in node.inputs if name]
        if is_foldable(node.operator) and all(isinstance(v, Constant) for v in values):
            _guarded(ctx, node, refused)
        else:
            later.append(node)
    for node in later:
        _guarded(ctx, node, refused)
    order = {id(node): place for place, node in enumerate(ctx.file.nodes)}
    return [line for _, line in sorted((order[key], line) for key, line in refused.items())]


def _guarded(ctx: Reading, node: Node, refused: dict[int, str]) -> None:
    """Read one node: a refusal is written down, anything else that goes wrong names the node."""
    try:
        try:
            _read(ctx, node)
            unread = [name for name in node.attributes.unread() if name not in ANYWHERE]
            if unread and not any(ctx.values.get(name) is None for name in node.outputs[:1]):
                raise Refused(f"its attribute {', '.join(map(repr, unread))} is not known")
        except Refused as refusal:
            refused[id(node)] = f"{node}: {refusal}"
            x = ctx.values.get(node.inputs[0]) if node.inputs else None
            kept = x if node.operator in KEEPS_SHAPE and isinstance(x, Activation) else None
            for name in node.outputs:  # whatever else is wrong shall be found, too
                ctx.values[name] = kept
    except PathgraphError as error:
        if ctx.file.label in str(error):
            raise
        where = ctx.file.label if str(node) in str(error) else f"{ctx.file.label}: {node}"
        raise type(error)(f"{where}: {error}") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{ctx.file.label}: {node}: its inputs or attributes are not what the operator is defined for: {error}"
        ) from error


def _read(ctx: Reading, node: Node) -> None:
    """Read one node, or leave its outputs without a value if its inputs have none."""
    if id(node) in ctx.within:
        return
    if id(node) in ctx.selections:
        ctx.values[node.outputs[0]] = read_selection(ctx, ctx.selections[id(node)])
        return
    source = ctx.fused.get(node.outputs[0]) if node.outputs else None
    if source is not None:
        ctx.values[node.outputs[0]] = ctx.values[source]
        return
    is_softmax = node.operator in ("Softmax", "LogSoftmax") and _is_final(ctx, node.outputs[0])
    if is_softmax:
        node.attributes.ignore("axis")
        ctx.note(f"the final {node.operator} is left out", node)
        ctx.values[node.outputs[0]] = ctx.values.get(node.inputs[0])
        return
    is_known = node.operator in OPERATORS or is_foldable(node.operator)
    if not is_known or (node.operator in REASONS and not _all_constant(ctx, node)):
        raise Refused(REASONS.get(node.operator, "it is not among the operators that are read"))
    if node.operator == "Identity" and node.doc == "copy":
        ctx.copies.add(node.outputs[0])
    values = [ctx.values.get(name) if name else None for name in node.inputs]
    if any(name and value is None for name, value in zip(node.inputs, values, strict=True)):
        for name in node.outputs:
            ctx.values.setdefault(name, None)
        return
    _store(ctx, node, _outputs(ctx, node, values))


def _all_constant(ctx: Reading, node: Node) -> bool:
    return all(isinstance(ctx.values.get(name), Constant) for name in node.inputs if name)


def _outputs(ctx: Reading, node: Node, values: list[Value | None]) -> Sequence[Value]:
    constants = [v for v in values if v is None or isinstance(v, Constant)]
    if len(constants) == len(values):
        repeated = onnx_views.repeated_constant(ctx, node, constants)
        return fold(ctx, node, constants) if repeated is None else (repeated,)
    if node.operator in SHAPE_OPERATORS:
        (x,) = values
        assert isinstance(x, Activation)
        return (shape_of(node, x),)
    if node.operator not in OPERATORS:
        raise Refused("it is read on constants alone, and an input depends on the inputs of the network")
    found = OPERATORS[node.operator](ctx, node, *values)
    return found if isinstance(found, tuple) else (found,)


def _store(ctx: Reading, node: Node, found: Sequence[Value]) -> None:
    for name, value in zip(node.outputs, found, strict=False):
        ctx.values[name] = value
    for name in node.outputs[len(found) :]:
        if name and ctx.uses[name]:
            raise Refused(f"its output {name!r} is used, which is not read")


def _is_final(ctx: Reading, name: str) -> bool:
    """Whether a tensor is an output of the file, or only rearranged until it is one."""
    pending, seen = [name], {name}
    while pending:
        for node in ctx.readers.get(pending.pop(), []):
            if node.operator not in TRANSPARENT:
                return False
            fresh = set(node.outputs) - seen
            seen |= fresh
            pending.extend(fresh)
    return True


def _finished(ctx: Reading) -> LayerGraph:
    """The layer graph whose outputs are those of the file."""
    signals = []
    for name in ctx.file.outputs:
        value = ctx.values[name]
        if not isinstance(value, Activation):
            raise FileFormatError(f"{ctx.file.label}: the output {name!r} does not depend on the inputs")
        if value.batch not in (0, None):
            raise UnsupportedOperatorError(
                f"{ctx.file.label}: the output {name!r} of shape {shown(value.shape)} has the batch as axis "
                f"{value.batch}; needed it as the first"
            )
        signals.append(value.signal)
    try:
        return ctx.build.build(signals, notes=ctx.notes)
    except PathgraphError as error:
        raise type(error)(f"{ctx.file.label}: {error}") from error
