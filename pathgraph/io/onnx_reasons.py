"""Why operators of ONNX have no layers, in words; and after which of them reading goes on, to find what else is wrong.

Source: the ONNX operator specifications.
"""

from __future__ import annotations

__all__ = ["KEEPS_SHAPE", "REASONS"]

_WHY = {
    "it is not piecewise linear and positively homogeneous, so its networks have no paths": (
        "Sigmoid HardSigmoid HardSwish Swish Gelu Tanh Elu Selu Celu Softplus Softsign Mish Erf Exp Log Sin Cos Pow "
        "Sqrt Reciprocal LpPool GlobalLpPool Shrink ReduceL2 ReduceSumSquare ReduceProd ReduceLogSum ReduceLogSumExp"
    ),
    "it divides by statistics of the sample, which is not piecewise linear; a BatchNormalization with fixed "
    "statistics, or a Mul and an Add with constants, is read in its place": (
        "LRN LayerNormalization InstanceNormalization GroupNormalization RMSNormalization LpNormalization "
        "MeanVarianceNormalization"
    ),
    "it chooses at run time what is computed": "If Loop Scan Where NonZero Compress NonMaxSuppression",
    "it is not continuous, and every ReLU network is": (
        "Floor Ceil Round Sign ThresholdedRelu Hardmax ArgMax ArgMin Mod Greater Less Equal GreaterOrEqual LessOrEqual "
        "IsNaN IsInf QuantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul MatMulInteger ConvInteger"
    ),
    "it is recurrent, and its gates are not piecewise linear": "LSTM GRU RNN",
    "it is random": "RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial",
    "it compares activations entry by entry; of maxima only pools are read": "Max Min",
    "of the reductions ReduceMean and, over space, ReduceMax are read": "ReduceSum ReduceL1 ReduceMin",
    "it is no ReLU; abs(z) is relu(z) + relu(-z), which is read": "Abs",
    "it is not the last operator, where it would be left out": "Softmax LogSoftmax",
    "only Gemm, MatMul, Conv and ConvTranspose multiply by weights": "Einsum",
    "it selects entries by their size at run time; only the pools that LayerGraph.to_onnx writes are read": "TopK",
}
REASONS = {operator: reason for reason, operators in _WHY.items() for operator in operators.split()}
"""By operator."""

_KEEPS_SHAPE = (
    "Sigmoid HardSigmoid HardSwish Swish Gelu Tanh Elu Selu Celu Softplus Softsign Mish Erf Exp Log Sin Cos Pow Sqrt "
    "Reciprocal LRN LayerNormalization Clip InstanceNormalization GroupNormalization RMSNormalization Softmax "
    "LogSoftmax LeakyRelu PRelu BatchNormalization Dropout LpNormalization MeanVarianceNormalization Mul Div Abs "
    "Floor Ceil Round Sign ThresholdedRelu Shrink Hardmax QuantizeLinear"
)
KEEPS_SHAPE = frozenset(_KEEPS_SHAPE.split())
"""Operators whose output has the shape of their first input."""
