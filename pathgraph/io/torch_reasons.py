"""Why operators of PyTorch have no layers, in words that say what to do."""

from __future__ import annotations

__all__ = ["reason_of"]

SMOOTH = "it is not piecewise linear, so that paths do not describe it"
STATISTICS = "it divides by statistics of its own input"
PRODUCT = "it multiplies activations with each other"
REASONS = {
    SMOOTH: (
        "celu cos elu erf exp gelu hardsigmoid hardswish log log_sigmoid logsumexp mish pow reciprocal rsqrt selu "
        "sigmoid silu sin softplus softsign sqrt square tanh"
    ),
    STATISTICS: "group_norm instance_norm layer_norm linalg_vector_norm local_response_norm norm rms_norm",
    PRODUCT: "baddbmm bilinear bmm einsum multi_head_attention scaled_dot_product_attention",
}


def reason_of(operator: str) -> str:
    """Why an operator, named without overload, has no rule."""
    for reason, operators in REASONS.items():
        if operator in operators.split():
            return reason
    return "there is no rule for this operator"
