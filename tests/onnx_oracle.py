"""What an ONNX file computes, by definition and in exact numbers; and the sums over its paths.

An interpreter of the few operators that the fixtures use, on object arrays of Fractions, with loops where loops are the
definition. It knows nothing of pathgraph. With ``power=q`` it computes sums over paths instead of values: every
constant c becomes abs(c)**q, a ReLU lets everything pass, a max-pool adds, an average has coefficients (1/K)**q.
"""

from fractions import Fraction
from itertools import product
from math import ceil, prod

import numpy as np
from onnx import helper, numpy_helper


def exact(array):
    """Floats as Fractions; integers stay."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return array
    return np.array([Fraction(float(v)) for v in array.flat] or [0], dtype=object)[: array.size].reshape(array.shape)


def run(model, *inputs, power=None, relu6=None, dtype=np.float32):
    """The outputs for some inputs (of Fractions, with the batch axis); averages have shares rounded to `dtype`."""
    graph = model.graph
    if graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1 and len(inputs[0]) > 1:
        rows = [run(model, row[None], power=power, relu6=relu6, dtype=dtype) for row in inputs[0]]
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    known = {t.name: exact(numpy_helper.to_array(t)) for t in graph.initializer}
    known |= dict(zip([v.name for v in graph.input if v.name not in known], inputs, strict=True))
    constants = {t.name for t in graph.initializer}
    interpreter = Interpreter(power, relu6, dtype)
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        operands = [known[name] if name else None for name in node.input]
        interpreter.is_constant = [name in constants for name in node.input]
        if all(interpreter.is_constant):
            constants.update(node.output)
        found = getattr(interpreter, node.op_type.lower())(*operands, **attributes)
        found = found if isinstance(found, list) else [found]
        known |= dict(zip(node.output, found, strict=False))
    return [known[v.name] for v in graph.output]


class Interpreter:
    def __init__(self, power, relu6, dtype):
        self.power, self.relu6, self.dtype = power, relu6, dtype
        self.is_constant = []

    def c(self, constant):
        """A constant, as it multiplies paths."""
        return constant if self.power is None else abs(constant) ** self.power

    def share(self, count):
        return self.c(Fraction(float(self.dtype(1 / count))))

    # -- weights --------------------------------------------------------------------------------------------------

    def gemm(self, a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
        a, b = a.T if transA else a, b.T if transB else b
        y = a @ self.c(b * Fraction(alpha))
        return y if c is None else y + self.c(c * Fraction(beta))

    def matmul(self, a, b):
        return a @ self.c(b)

    def conv(self, x, w, b=None, *, kernel_shape=None, strides=None, pads=None, dilations=None, group=1):
        n, kernel = x.ndim - 2, w.shape[2:]
        strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
        x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:n], pads[n:], strict=True)], constant_values=Fraction(0))
        out = [
            (size - d * (k - 1) - 1) // s + 1
            for size, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)
        ]
        y = np.full((len(x), len(w), *out), Fraction(0), dtype=object)
        per, wide = len(w) // group, w.shape[1]
        w = self.c(w)
        for g, place in product(range(group), product(*map(range, kernel))):
            index = tuple(
                slice(p * d, p * d + (m - 1) * s + 1, s)
                for p, d, m, s in zip(place, dilations, out, strides, strict=True)
            )
            part = x[(slice(None), slice(g * wide, (g + 1) * wide), *index)]
            taps = w[(slice(g * per, (g + 1) * per), slice(None), *place)]
            y[:, g * per : (g + 1) * per] += np.moveaxis(np.tensordot(part, taps, (1, 1)), -1, 1)
        return y if b is None else y + self.c(b).reshape(-1, *[1] * n)

    def convtranspose(self, x, w, b=None, *, strides=None, pads=None, output_padding=None, kernel_shape=None):
        """Stride and padding only."""
        n, kernel = x.ndim - 2, w.shape[2:]
        strides, pads, extra = strides or [1] * n, pads or [0] * 2 * n, output_padding or [0] * n
        full = [(size - 1) * s + k + e for size, s, k, e in zip(x.shape[2:], strides, kernel, extra, strict=True)]
        y = np.full((len(x), w.shape[1], *full), Fraction(0), dtype=object)
        for place in product(*map(range, kernel)):
            index = tuple(slice(p, p + (m - 1) * s + 1, s) for p, m, s in zip(place, x.shape[2:], strides, strict=True))
            y[(slice(None), slice(None), *index)] += np.moveaxis(
                np.tensordot(x, self.c(w)[(slice(None), slice(None), *place)], (1, 0)), -1, 1
            )
        cut = tuple(slice(before, size - after) for size, before, after in zip(full, pads[:n], pads[n:], strict=True))
        y = y[(slice(None), slice(None), *cut)]
        return y if b is None else y + self.c(b).reshape(-1, *[1] * n)

    def batchnormalization(self, x, gamma, beta, mean, var, epsilon=1e-5, momentum=None):
        scale = np.array([g / exact_root(v + Fraction(epsilon)) for g, v in zip(gamma, var, strict=True)], dtype=object)
        shape = (-1, *[1] * (x.ndim - 2))
        return x * self.c(scale).reshape(shape) + self.c(beta - mean * scale).reshape(shape)

    # -- entry by entry -------------------------------------------------------------------------------------------

    def of(self, place, operand):
        return self.c(operand) if self.is_constant[place] else operand

    def add(self, a, b):
        return self.of(0, a) + self.of(1, b)

    sum = add

    def sub(self, a, b):
        return a - b if self.power is None else self.add(a, b)

    def mul(self, a, b):
        return self.of(0, a) * self.of(1, b)

    def div(self, a, b):
        return a * self.c(1 / b)

    def relu(self, x):
        return x if self.power is not None else np.maximum(x, Fraction(0))

    def clip(self, x, low, high):
        if self.relu6 == "relu":
            return self.relu(x)
        if self.power is None:
            return np.minimum(np.maximum(x, low), high)
        return x + (x + abs(high) ** self.power)

    def leakyrelu(self, x, alpha):
        slope = Fraction(alpha)
        return np.where(x > 0, x, slope * x) if self.power is None else x + slope**self.power * x

    def identity(self, x):
        return x

    dropout = identity

    def softmax(self, x, axis):
        """The last one is dropped."""
        return x

    # -- windows --------------------------------------------------------------------------------------------------

    def _windows(self, x, kernel, strides, pads, ceil_mode, reduce):
        n = len(kernel)
        strides, pads = strides or [1] * n, pads or [0] * 2 * n
        out = []
        for size, k, s, before, after in zip(x.shape[2:], kernel, strides, pads[:n], pads[n:], strict=True):
            steps = Fraction(size + before + after - k, s)
            m = (ceil(steps) if ceil_mode else steps.__floor__()) + 1
            out.append(m - 1 if (m - 1) * s >= size + before else m)
        y = np.empty((*x.shape[:2], *out), dtype=object)
        for place in product(*map(range, out)):
            lows = [o * s - before for o, s, before in zip(place, strides, pads[:n], strict=True)]
            index = tuple(slice(max(0, low), low + k) for low, k in zip(lows, kernel, strict=True))
            padded = prod(
                min(low + k, size + after) - low
                for low, k, size, after in zip(lows, kernel, x.shape[2:], pads[n:], strict=True)
            )
            window = x[(slice(None), slice(None), *index)].reshape(*x.shape[:2], -1)
            y[(slice(None), slice(None), *place)] = reduce(window, padded)
        return y

    def maxpool(self, x, *, kernel_shape, strides=None, pads=None, ceil_mode=0):
        reduce = (lambda w, _: w.max(-1)) if self.power is None else (lambda w, _: w.sum(-1))
        return self._windows(x, kernel_shape, strides, pads, ceil_mode, reduce)

    def averagepool(self, x, *, kernel_shape, strides=None, pads=None, ceil_mode=0, count_include_pad=0):
        return self._windows(
            x,
            kernel_shape,
            strides,
            pads,
            ceil_mode,
            lambda w, padded: w.sum(-1) * self.share(padded if count_include_pad else w.shape[-1]),
        )

    def globalaveragepool(self, x):
        axes = tuple(range(2, x.ndim))
        return x.sum(axes, keepdims=True) * self.share(prod(x.shape[2:]))

    def reducemean(self, x, axes, keepdims=1):
        axes = tuple(int(a) for a in axes)
        return x.sum(axes, keepdims=bool(keepdims)) * self.share(prod(x.shape[a] for a in axes))

    def resize(self, x, roi, scales, **how):
        for axis, factor in enumerate(scales):
            x = np.repeat(x, int(factor), axis=axis)
        return x

    # -- rearrangements -------------------------------------------------------------------------------------------

    def reshape(self, x, shape):
        return x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(shape.tolist())])

    def flatten(self, x, axis=1):
        return x.reshape(prod(x.shape[:axis]), -1)

    def transpose(self, x, perm):
        return x.transpose(perm)

    def unsqueeze(self, x, axes):
        return np.expand_dims(x, tuple(np.asarray(axes).tolist()))

    def squeeze(self, x, axes):
        return np.squeeze(x, tuple(np.asarray(axes).tolist()))

    def concat(self, *xs, axis):
        return np.concatenate(xs, axis)

    def split(self, x, axis, num_outputs):
        return np.split(x, num_outputs, axis)

    def gather(self, x, indices, axis):
        return np.take(x, indices, axis)

    def slice(self, x, starts, ends, axes):
        index = [slice(None)] * x.ndim
        for low, high, axis in zip(starts.tolist(), ends.tolist(), axes.tolist(), strict=True):
            index[axis] = slice(low, high)
        return x[tuple(index)]

    def shape(self, x):
        return np.array(x.shape)

    def constant(self, value):
        return exact(numpy_helper.to_array(value))


BATCH = 2


def exact_root(value):
    root = Fraction(float(value) ** 0.5)
    assert root * root == value, "the fixtures have variances with rational roots"
    return root
