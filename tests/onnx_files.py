"""A small ONNX file, what onnxruntime computes of a file, and the error with which one is refused."""

import numpy as np
import pytest

import pathgraph as pg
from tests.onnx_models import Model


def perceptron():
    """Input x (N, 2), hidden layer with weight t1, output."""
    m = Model(2)
    return m.model(m.gemm(m("Relu", m.gemm(m.x, 2, 3)), 3, 1))


def refused(model, error, match, **options):
    with pytest.raises(error, match=match) as caught:
        pg.from_onnx(model, **options)
    return str(caught.value)


def run_onnxruntime(file, x):
    """What onnxruntime computes, on float32."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = session_of(runtime, file)
    (given,) = session.get_inputs()
    if given.shape[0] == 1:
        rows = [session.run(None, {given.name: row[None]}) for row in x]
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    return session.run(None, {given.name: x})


def session_of(runtime, file):
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def outputs_of(graph, *x):
    found = graph(*x)
    return list(found) if isinstance(found, tuple) else [found]
