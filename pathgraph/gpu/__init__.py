"""CUDA support, re-exported from the package ``pathgraph_gpu``.

It tells whether a GPU can be used (:func:`is_available`). The kernels themselves are not part of the package:
every computation of pathgraph runs on the CPU.
"""

from pathgraph_gpu import Availability, is_available

__all__ = ["Availability", "is_available"]
