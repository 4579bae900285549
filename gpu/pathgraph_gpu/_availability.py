"""Can CuPy be imported, and does it see a CUDA device?

The probe answers for the current process and is repeated at every call, so that nothing is cached across a
change of environment. What it does not check: free memory, the compute capability, or that a kernel compiles.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

__all__ = ["Availability", "is_available"]


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a GPU can be used, and why or why not.

    Parameters
    ----------
    available : bool
        The answer; it is also the truth value of the object.
    reason : str
        One sentence: how many devices were found, or what is missing.

    Examples
    --------
    >>> answer = Availability(False, "CuPy is not installed")
    >>> bool(answer)
    False
    >>> answer.reason
    'CuPy is not installed'
    """

    available: bool
    reason: str

    def __bool__(self) -> bool:
        return self.available


def is_available() -> Availability:
    """Tell whether CuPy is installed and sees a CUDA device.

    Returns
    -------
    Availability
        True or False, with a ``reason``. The function never raises: an installation of CuPy that fails while
        it is imported, or a driver that fails while it is asked, is reported as unavailable, with the error
        in ``reason``.

    Notes
    -----
    A positive answer says that CuPy works, not that pathgraph uses it: networks run on the GPU once they are moved
    there, by `Network.to_device`.

    Examples
    --------
    >>> from pathgraph.gpu import is_available
    >>> answer = is_available()
    >>> answer.available == bool(answer)
    True
    """
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            return Availability(
                False,
                "CuPy is not installed; pip install 'pathgraph[cuda12]' or 'pathgraph[cuda13]', or pip install "
                "'.[cuda12]' or '.[cuda13]' in a checkout",
            )
        return Availability(False, f"CuPy cannot be imported: {_describe(error)}")
    except Exception as error:  # a broken installation may raise anything
        return Availability(False, f"CuPy cannot be imported: {_describe(error)}")
    try:
        if not cupy.cuda.is_available():
            return Availability(False, "CuPy is installed but sees no CUDA device")
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # the CUDA runtime and driver have error types of their own
        return Availability(False, f"CuPy is installed but CUDA fails: {_describe(error)}")
    return Availability(True, f"CuPy sees {count} CUDA device{'' if count == 1 else 's'}")


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
