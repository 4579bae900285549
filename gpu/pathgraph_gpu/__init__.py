"""CUDA support of pathgraph: kernels for path sums, evaluation and Kronecker-sparse products, and what launches them.

The kernels are CUDA text (`kernels/`), compiled at their first use by CuPy. Launch code takes a `device.Device`, never
imports CuPy, and runs unchanged on the CPU in the tests. Users import these names from ``pathgraph.gpu``, and mostly
need none of them: functions of pathgraph that are given arrays of CuPy find their way here.
"""

from pathgraph_gpu._availability import Availability, is_available
from pathgraph_gpu.device import Device, cuda
from pathgraph_gpu.interchange import from_dlpack
from pathgraph_gpu.loopback import LoopbackArray, LoopbackDevice, loopback
from pathgraph_gpu.tuning import Tuning, tune

__all__ = [
    "Availability",
    "Device",
    "LoopbackArray",
    "LoopbackDevice",
    "Tuning",
    "cuda",
    "from_dlpack",
    "is_available",
    "loopback",
    "tune",
]
