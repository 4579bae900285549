"""``python -m pathgraph.gpu.verify``: are the kernels right on this GPU, and how fast are they?

Everything is computed twice and compared with plain NumPy in float64, within derived bounds, before anything is timed.
The checks take a `pathgraph_gpu.device.Device`, so that tests run them on the CPU.
"""

from pathgraph_gpu.verification.command import main
from pathgraph_gpu.verification.energy import NvmlCounter, joules, nvml_counter
from pathgraph_gpu.verification.network_checks import network_outcomes
from pathgraph_gpu.verification.outcomes import Outcome, Recorder, outcome
from pathgraph_gpu.verification.product_checks import product_outcomes
from pathgraph_gpu.verification.timing import Timing, cupy_timer

__all__ = [
    "NvmlCounter",
    "Outcome",
    "Recorder",
    "Timing",
    "cupy_timer",
    "joules",
    "main",
    "network_outcomes",
    "nvml_counter",
    "outcome",
    "product_outcomes",
]
