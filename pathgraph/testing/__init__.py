"""The test kit: Hypothesis strategies for networks and everything that goes with them.

Import it yourself (``import pathgraph.testing``, or touch ``pg.testing``); it needs the extra ``pathgraph[testing]``.
Every value is a small integer over a power of two, held as a `fractions.Fraction`, so tests need no tolerance, and a
network converted by ``to_float()`` has the same values. What tests usually miss is drawn on purpose: pool ties of
every width, zeros, cancelling and repeated weights, dead and constant neurons, neurons that reach no output, frozen,
structural and tied parameters.

`check_invariance` looks for the smallest network, and the smallest rescaling, that changes a quantity; `check_backend`
for the smallest network on which a back end or a device is wrong; `check_theorem` for a counterexample of a statement,
and of each wrong version of it.
`ground_truth_networks` are networks whose worst case is known exactly, for those who test verifiers.
"""

try:
    import hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError(
        "pathgraph.testing needs Hypothesis, which is not installed; pip install 'pathgraph[testing]', or pip install "
        "'.[testing]' in a checkout"
    ) from error

from pathgraph.testing.backends import Agreement, Disagreement, check_backend
from pathgraph.testing.ground_truth import GroundTruth, Query, ground_truth_networks
from pathgraph.testing.ground_truth_files import export_ground_truth
from pathgraph.testing.invariance import Counterexample, Invariance, check_invariance
from pathgraph.testing.kronecker import ks_chains, ks_matrices, ks_patterns
from pathgraph.testing.layer_drawing import layer_graphs
from pathgraph.testing.moves import permutations, prunings, quantizations, same_sign_pairs
from pathgraph.testing.networks import mlps, relu_dags
from pathgraph.testing.operators import check_operator
from pathgraph.testing.outcome import Equality, Inequality
from pathgraph.testing.quantities import QUANTITIES, Quantity
from pathgraph.testing.theorems import Refutation, TheoremCheck, check_theorem
from pathgraph.testing.values import dyadics, inputs, parameters, rescalings

__all__ = [
    "QUANTITIES",
    "Agreement",
    "Counterexample",
    "Disagreement",
    "Equality",
    "GroundTruth",
    "Inequality",
    "Invariance",
    "Quantity",
    "Query",
    "Refutation",
    "TheoremCheck",
    "check_backend",
    "check_invariance",
    "check_operator",
    "check_theorem",
    "dyadics",
    "export_ground_truth",
    "ground_truth_networks",
    "inputs",
    "ks_chains",
    "ks_matrices",
    "ks_patterns",
    "layer_graphs",
    "mlps",
    "parameters",
    "permutations",
    "prunings",
    "quantizations",
    "relu_dags",
    "rescalings",
    "same_sign_pairs",
]
