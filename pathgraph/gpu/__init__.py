"""CUDA support, re-exported from the package ``pathgraph_gpu``.

It tells whether a GPU can be used (:func:`is_available`), and gives the device of CuPy's arrays (:func:`cuda`).
"""

from pathgraph_gpu import Availability, Device, cuda, is_available

__all__ = ["Availability", "Device", "cuda", "is_available"]
