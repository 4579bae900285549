"""A small ONNX file, and the error with which a file is refused."""

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
