"""CUDA support, re-exported from the package ``pathgraph_gpu``.

It tells whether a GPU can be used (:func:`is_available`), and gives the device of CuPy's arrays (:func:`cuda`), arrays
of other libraries on the GPU (:func:`from_dlpack`), and a device for tests where there is no GPU (:func:`loopback`).
:func:`tune` measures which tiles are fastest for Kronecker-sparse products.
"""

from pathgraph_gpu import (
    Availability,
    Device,
    LoopbackArray,
    LoopbackDevice,
    Tuning,
    cuda,
    from_dlpack,
    is_available,
    loopback,
    tune,
)

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
