"""Damaged ONNX files: bytes changed at random, and numbers, names and connections changed inside the format."""

import numpy as np
import onnx

HOSTILE = (0, -1, 1, 2, 3, 7, 100, 2**20, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)


def changed_bytes(data, random):
    """A few bytes changed, inserted, removed, or the end cut."""
    data = bytearray(data)
    for _ in range(random.integers(1, 6)):
        place = int(random.integers(len(data)))
        match int(random.integers(4)):
            case 0:
                data[place] = int(random.integers(256))
            case 1:
                data[place] ^= 1 << int(random.integers(8))
            case 2:
                del data[place : place + int(random.integers(1, 9))]
            case 3:
                data[place:place] = random.bytes(int(random.integers(1, 9)))
        if not data:
            return b""
    return bytes(data[: int(random.integers(len(data)))] if random.random() < 0.1 else data)


def changed_fields(model, random):
    """A file that parses, some fields of which are not what they were."""
    damaged = onnx.ModelProto()
    damaged.CopyFrom(model)
    graph = damaged.graph
    for _ in range(random.integers(1, 4)):
        _damage(damaged, graph, random)
    return damaged


def _one_of(items, random):
    return items[int(random.integers(len(items)))]


def _damage(model, graph, random):
    number = int(_one_of(HOSTILE, random))
    small = max(min(number, 2**31 - 1), -(2**31))
    node, tensor = _one_of(graph.node, random), _one_of([*graph.initializer, onnx.TensorProto()], random)
    names = [n for other in graph.node for n in (*other.input, *other.output)] + [t.name for t in graph.initializer]
    kind = int(random.integers(14))
    if kind == 0 and tensor.dims:
        tensor.dims[int(random.integers(len(tensor.dims)))] = number
    elif kind == 1:
        tensor.dims.append(number)
    elif kind == 2:
        tensor.data_type = int(random.integers(25))
    elif kind == 3:
        tensor.raw_data = tensor.raw_data[: int(random.integers(len(tensor.raw_data) + 1))]
    elif kind == 4 and tensor.raw_data:
        tensor.raw_data = changed_bytes(tensor.raw_data, random)
    elif kind == 5 and node.attribute:
        attribute = _one_of(node.attribute, random)
        attribute.i, attribute.f = number, float(random.choice([np.nan, np.inf, -1.0, 0.0, 1e38]))
        if attribute.ints and number < 2**63:
            attribute.ints[int(random.integers(len(attribute.ints)))] = number
    elif kind == 6 and node.attribute:
        attribute = _one_of(node.attribute, random)
        attribute.type = int(random.integers(14))
    elif kind == 7 and node.input:
        node.input[int(random.integers(len(node.input)))] = _one_of(names, random)
    elif kind == 8:
        node.output[0] = _one_of(names, random)
    elif kind == 9:
        node.op_type = _one_of(graph.node, random).op_type
    elif kind == 10:
        node.input.append(_one_of(names, random))
    elif kind == 11 and node.input:
        del node.input[int(random.integers(len(node.input)))]
    elif kind == 12:
        _one_of(graph.input[0].type.tensor_type.shape.dim, random).dim_value = number
    elif kind == 13:
        model.opset_import[0].version = small
