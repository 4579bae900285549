"""Why operators of PyTorch have no layers, in words that say what to do."""

from __future__ import annotations

__all__ = ["reason_of"]

SMOOTH = "it is not piecewise linear, so that paths do not describe it"
STATISTICS = (
    "it divides by statistics of its own input, so that no paths describe it; train with a batch-norm in its place, "
    "whose running statistics are fixed in evaluation mode, or replace it by the scale and shift of fixed statistics"
)
PRODUCT = "it multiplies activations with each other"
JUMPS = "it jumps: its value is no continuous function of the activations"
MASK = "it makes a mask of activations, and what is multiplied by it is no path; write a ReLU as relu(x)"
CHOOSES = "it chooses entries by their order; torch.amax and max-pools are the pools that are known"
WRITES = "it writes into a part of a tensor; make the tensor with torch.cat or torch.stack"
ABSOLUTE = "it is two ReLUs: write relu(x) + relu(-x)"
SMALLEST = "it is a maximum of negatives: write -torch.maximum(-x, -y), -(-x).amax(dim)"
RECURRENT = "its cells multiply activations, or have no path of their own; write the steps as linear layers and ReLUs"
KINK = "it has kinks elsewhere than at 0, or is no ReLU; write it with relu(x - c)"
REGIONS = "a part of the program runs in another way (another precision, or on a condition)"
REASONS = {
    SMOOTH: (
        "celu cos elu erf exp gelu hardsigmoid hardswish log log_sigmoid logsumexp mish pow reciprocal rsqrt selu "
        "sigmoid silu sin softplus softsign sqrt square tanh"
    ),
    STATISTICS: (
        "cosine_similarity group_norm instance_norm layer_norm linalg_vector_norm local_response_norm norm "
        "pairwise_distance rms_norm std std_mean var var_mean"
    ),
    PRODUCT: "addcmul baddbmm bilinear bmm cdist multi_head_attention prod scaled_dot_product_attention",
    JUMPS: "ceil fix floor floor_divide fmod heaviside remainder round sgn sign trunc",
    MASK: "bitwise_and bitwise_not bitwise_or eq ge gt isfinite isnan le logical_and logical_not lt ne where",
    CHOOSES: "argmax argmin argsort cummax cummin fractional_max_pool2d kthvalue median mode msort sort topk",
    WRITES: "copy_ fill_ index_copy index_put index_put_ masked_fill masked_fill_ masked_scatter scatter zero_",
    ABSOLUTE: "abs absolute",
    SMALLEST: "amin fmin min minimum",
    RECURRENT: "gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell",
    KINK: "clamp_max hardshrink rrelu softshrink",
    REGIONS: "cond map scan while_loop wrap_with_autocast",
}


def reason_of(operator: str) -> str:
    """Why an operator, named as in ``add_.Tensor``, has no rule."""
    name = operator.split(".")[0]
    for reason, operators in REASONS.items():
        if name in operators.split() or name.removesuffix("_") in operators.split():
            return reason
    return "there is no rule for this operator"
