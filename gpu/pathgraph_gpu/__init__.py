"""CUDA support of pathgraph: whether this process can use a GPU.

The package holds one function, :func:`is_available`, which probes CuPy and the CUDA device behind it. It
contains no kernel: every computation of pathgraph runs on the CPU. Users import these names from
``pathgraph.gpu``.
"""

from pathgraph_gpu._availability import Availability, is_available

__all__ = ["Availability", "is_available"]
