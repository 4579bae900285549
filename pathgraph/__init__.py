"""pathgraph: the theory of ReLU networks through their *paths*, to compute, to test and to teach.

A ReLU network is an explicit DAG. Its path-lifting holds, for every path, the product of the weights on it;
neuron-wise rescalings that leave the function unchanged leave the path-lifting unchanged. Almost everything the theory
asks of a network is a sum over its paths, and a sum over the paths of a DAG is one sweep over its edges, in some
semiring.

Examples
--------
>>> import pathgraph as pg
>>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
>>> net([1, 1]), pg.count_paths(net), pg.path_norm(net)
(array([9.]), 6, 12.0)
>>> pg.path_norm(pg.rescale(net, {(1, 0): 0.25}))
12.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pathgraph.bounds import Bound
from pathgraph.errors import (
    BackendError,
    ConversionError,
    FileFormatError,
    GraphError,
    ParameterError,
    PathCountError,
    PathgraphError,
    PathNormOverflowError,
    RangeError,
    RescalingError,
    UnsupportedOperatorError,
)
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.arrays import from_arrays, to_arrays
from pathgraph.graph.conversion import from_networkx, to_networkx
from pathgraph.graph.device_network import DeviceNetwork
from pathgraph.graph.network import Network
from pathgraph.graph.weights import from_weights
from pathgraph.pathsum import semirings
from pathgraph.pathsum.semirings import Semiring

if TYPE_CHECKING:
    from pathgraph.generalization.bounds import generalization_bound
    from pathgraph.generalization.gaussians import Gaussian, gaussian_kl
    from pathgraph.generalization.pac_bayes import PacBayesBound, kl_inverse, pac_bayes_bound
    from pathgraph.generalization.peeling import PeelingConstants, peeling_constants
    from pathgraph.generalization.results import EarlierBound, GeneralizationBound, MarginBound, Stratum
    from pathgraph.geometry.closest_gaussian import ClosestGaussian, closest_gaussian
    from pathgraph.geometry.conservation import (
        ConservationReport,
        ConservedQuantities,
        check_conservation,
        conserved_quantities,
    )
    from pathgraph.geometry.equivalence import Equivalence, find_rescaling
    from pathgraph.geometry.normal_forms import NormalForm, balance, path_condition
    from pathgraph.geometry.rank import generic_rank, lifting_kernel, lifting_rank
    from pathgraph.geometry.tangent import FunctionalDimension, functional_dimension, parameter_jacobian, tangent_kernel
    from pathgraph.graph.storage import load, save
    from pathgraph.graph.subnetwork import subnetwork
    from pathgraph.io.onnx_import import from_onnx
    from pathgraph.io.sklearn import from_sklearn
    from pathgraph.io.torch import from_torch
    from pathgraph.kronecker.chain import KSChain
    from pathgraph.kronecker.device_operators import DeviceKSChain, DeviceKSMatrix
    from pathgraph.kronecker.factorize import ButterflyFactorization, butterfly_factorize
    from pathgraph.kronecker.families import bit_reversal, blast, dft, hadamard, monarch, square_dyadic
    from pathgraph.kronecker.low_rank import ButterflyCheck, is_factorizable, optimal_split_error
    from pathgraph.kronecker.matrix import KSMatrix
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph.kronecker.quantized import QuantizedPair, quantize_pair
    from pathgraph.kronecker.quantized_chains import QuantizedChain, quantize_chain
    from pathgraph.layers.builder import LayerGraphBuilder
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.lifting import PathLifting, path_activations, path_lifting
    from pathgraph.lipschitz import input_lipschitz
    from pathgraph.metrics.parameter_boxes import box_bound, perturbation_bound
    from pathgraph.metrics.parameter_changes import parameter_lipschitz
    from pathgraph.metrics.path_metrics import path_metric
    from pathgraph.norms import log_path_norm, operator_norm_product, path_norm
    from pathgraph.path_sums import count_paths, depth, node_marginals, path_marginals, path_sum
    from pathgraph.paths import heaviest_path, sample_paths
    from pathgraph.pruning.layers import layer_arrays
    from pathgraph.pruning.masses import path_magnitude, set_magnitude
    from pathgraph.pruning.minimization import minimize
    from pathgraph.pruning.prune import PruningResult, prune
    from pathgraph.pruning.scores import importance_scores
    from pathgraph.quantization.approximation import (
        SpeedRow,
        encoding_speed,
        speed_table,
        spline_network,
        squaring_network,
    )
    from pathgraph.quantization.bits import bits_fixed, bits_float, fixed_step
    from pathgraph.quantization.budgets import BitAllocation, allocate_bits
    from pathgraph.quantization.certificates import Certificate, certify
    from pathgraph.quantization.compensation import quantize_with_data
    from pathgraph.quantization.equalization import Equalization, equalize
    from pathgraph.quantization.networks import parameter_groups, quantize
    from pathgraph.quantization.quantizers import FloatFormat, Quantizer
    from pathgraph.quantization.ranges import NeuronRanges, neuron_ranges
    from pathgraph.quantization.worst_case import covering_number, extremal_pair, lipschitz_constant
    from pathgraph.sign_flips import SignFlipMasses, sign_flip_masses
    from pathgraph.symmetry import normalize, random_rescaling, rescale

__all__ = [
    "Architecture",
    "BackendError",
    "BitAllocation",
    "Bound",
    "ButterflyCheck",
    "ButterflyFactorization",
    "Certificate",
    "ClosestGaussian",
    "ConservationReport",
    "ConservedQuantities",
    "ConversionError",
    "DeviceKSChain",
    "DeviceKSMatrix",
    "DeviceNetwork",
    "EarlierBound",
    "Equalization",
    "Equivalence",
    "FileFormatError",
    "FloatFormat",
    "FunctionalDimension",
    "Gaussian",
    "GeneralizationBound",
    "GraphError",
    "KSChain",
    "KSMatrix",
    "KSPattern",
    "LayerGraph",
    "LayerGraphBuilder",
    "MarginBound",
    "Network",
    "NeuronRanges",
    "NormalForm",
    "PacBayesBound",
    "ParameterError",
    "PathCountError",
    "PathLifting",
    "PathNormOverflowError",
    "PathgraphError",
    "PeelingConstants",
    "PruningResult",
    "QuantizedChain",
    "QuantizedPair",
    "Quantizer",
    "RangeError",
    "RescalingError",
    "Semiring",
    "SignFlipMasses",
    "SpeedRow",
    "Stratum",
    "UnsupportedOperatorError",
    "allocate_bits",
    "balance",
    "bit_reversal",
    "bits_fixed",
    "bits_float",
    "blast",
    "box_bound",
    "butterfly_factorize",
    "certify",
    "check_conservation",
    "closest_gaussian",
    "conserved_quantities",
    "count_paths",
    "covering_number",
    "depth",
    "dft",
    "encoding_speed",
    "equalize",
    "extremal_pair",
    "find_rescaling",
    "fixed_step",
    "from_arrays",
    "from_networkx",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "from_weights",
    "functional_dimension",
    "gaussian_kl",
    "generalization_bound",
    "generic_rank",
    "hadamard",
    "heaviest_path",
    "importance_scores",
    "input_lipschitz",
    "is_factorizable",
    "kl_inverse",
    "layer_arrays",
    "lifting_kernel",
    "lifting_rank",
    "lipschitz_constant",
    "load",
    "log_path_norm",
    "minimize",
    "monarch",
    "neuron_ranges",
    "node_marginals",
    "normalize",
    "operator_norm_product",
    "optimal_split_error",
    "pac_bayes_bound",
    "parameter_groups",
    "parameter_jacobian",
    "parameter_lipschitz",
    "path_activations",
    "path_condition",
    "path_lifting",
    "path_magnitude",
    "path_marginals",
    "path_metric",
    "path_norm",
    "path_sum",
    "peeling_constants",
    "perturbation_bound",
    "prune",
    "quantize",
    "quantize_chain",
    "quantize_pair",
    "quantize_with_data",
    "random_rescaling",
    "rescale",
    "sample_paths",
    "save",
    "semirings",
    "set_magnitude",
    "sign_flip_masses",
    "speed_table",
    "spline_network",
    "square_dyadic",
    "squaring_network",
    "subnetwork",
    "tangent_kernel",
    "to_arrays",
    "to_networkx",
]

__version__ = "0.1.0"

_LAZY = {"gpu", "plot", "proofs_checks", "testing"}
_LAZY_NAMES = {
    "path_sums": ("count_paths", "depth", "node_marginals", "path_marginals", "path_sum"),
    "sign_flips": ("SignFlipMasses", "sign_flip_masses"),
    "norms": ("log_path_norm", "operator_norm_product", "path_norm"),
    "lifting": ("PathLifting", "path_activations", "path_lifting"),
    "lipschitz": ("input_lipschitz",),
    "symmetry": ("normalize", "random_rescaling", "rescale"),
    "graph.storage": ("load", "save"),
    "graph.subnetwork": ("subnetwork",),
    "paths": ("heaviest_path", "sample_paths"),
    "geometry.conservation": (
        "ConservationReport",
        "ConservedQuantities",
        "check_conservation",
        "conserved_quantities",
    ),
    "geometry.equivalence": (
        "Equivalence",
        "find_rescaling",
    ),
    "geometry.normal_forms": (
        "NormalForm",
        "balance",
        "path_condition",
    ),
    "geometry.rank": (
        "generic_rank",
        "lifting_kernel",
        "lifting_rank",
    ),
    "geometry.tangent": (
        "FunctionalDimension",
        "functional_dimension",
        "parameter_jacobian",
        "tangent_kernel",
    ),
    "generalization.bounds": ("generalization_bound",),
    "generalization.gaussians": ("Gaussian", "gaussian_kl"),
    "generalization.pac_bayes": ("PacBayesBound", "kl_inverse", "pac_bayes_bound"),
    "generalization.peeling": ("PeelingConstants", "peeling_constants"),
    "generalization.results": ("EarlierBound", "GeneralizationBound", "MarginBound", "Stratum"),
    "geometry.closest_gaussian": ("ClosestGaussian", "closest_gaussian"),
    "kronecker.chain": ("KSChain",),
    "kronecker.device_operators": ("DeviceKSChain", "DeviceKSMatrix"),
    "kronecker.factorize": ("ButterflyFactorization", "butterfly_factorize"),
    "kronecker.families": ("bit_reversal", "blast", "dft", "hadamard", "monarch", "square_dyadic"),
    "kronecker.low_rank": ("ButterflyCheck", "is_factorizable", "optimal_split_error"),
    "kronecker.matrix": ("KSMatrix",),
    "kronecker.patterns": ("KSPattern",),
    "kronecker.quantized": ("QuantizedPair", "quantize_pair"),
    "kronecker.quantized_chains": ("QuantizedChain", "quantize_chain"),
    "io.onnx_import": ("from_onnx",),
    "layers.builder": ("LayerGraphBuilder",),
    "layers.layer_graph": ("LayerGraph",),
    "io.sklearn": ("from_sklearn",),
    "io.torch": ("from_torch",),
    "metrics.path_metrics": ("path_metric",),
    "metrics.parameter_boxes": ("box_bound", "perturbation_bound"),
    "metrics.parameter_changes": ("parameter_lipschitz",),
    "pruning.layers": ("layer_arrays",),
    "pruning.masses": ("path_magnitude", "set_magnitude"),
    "pruning.minimization": ("minimize",),
    "pruning.prune": ("PruningResult", "prune"),
    "pruning.scores": ("importance_scores",),
    "quantization.approximation": (
        "SpeedRow",
        "encoding_speed",
        "speed_table",
        "spline_network",
        "squaring_network",
    ),
    "quantization.bits": ("bits_fixed", "bits_float", "fixed_step"),
    "quantization.budgets": ("BitAllocation", "allocate_bits"),
    "quantization.certificates": ("Certificate", "certify"),
    "quantization.compensation": ("quantize_with_data",),
    "quantization.equalization": ("Equalization", "equalize"),
    "quantization.networks": ("parameter_groups", "quantize"),
    "quantization.ranges": ("NeuronRanges", "neuron_ranges"),
    "quantization.quantizers": ("FloatFormat", "Quantizer"),
    "quantization.worst_case": ("covering_number", "extremal_pair", "lipschitz_constant"),
}
_HOME = {name: module for module, names in _LAZY_NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"pathgraph.{name}")
    if name in _HOME:
        found = getattr(importlib.import_module(f"pathgraph.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'pathgraph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY, "__version__"})
