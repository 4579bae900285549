"""The CUDA compiler NVRTC, through ctypes: from a text to a cubin, without CuPy, a driver or a GPU.

Warnings of the compiler and of the assembler are errors. The library comes from the wheel ``nvidia-cuda-nvrtc-cu12``,
headers, if a text includes some, from ``nvidia-cuda-runtime-cu12``; both are in the dependency group ``gpu-report``.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pathgraph.errors import BackendError

__all__ = ["CompilationError", "Compiled", "Nvrtc", "nvidia_folders"]


class CompilationError(BackendError):
    """The compiler refused a text or warned, or it is not there."""


class Compiled(NamedTuple):
    """What the compiler made.

    Attributes
    ----------
    cubin : bytes
        An ELF file for one architecture.
    log : str
        What it said: the resources of every kernel.
    """

    cubin: bytes
    log: str


@cache
def nvidia_folders() -> tuple[Path, ...]:
    """The folders of NVIDIA's wheels in this environment."""
    spec = importlib.util.find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    return tuple(sorted(folder for place in places for folder in Path(place).iterdir() if folder.is_dir()))


def _library() -> str:
    found = [path for folder in nvidia_folders() for path in sorted(folder.glob("lib/libnvrtc.so.*"))]
    if not found:
        raise CompilationError(
            "NVRTC: needed the wheel nvidia-cuda-nvrtc-cu12, it is not installed; install the dependency group "
            "gpu-report, or run make gpu-report"
        )
    return str(found[0])


class Nvrtc:
    """The compiler.

    Parameters
    ----------
    library : str, optional
        The path of libnvrtc; that of the wheel by default.

    Raises
    ------
    CompilationError
        If there is none.
    """

    def __init__(self, library: str | None = None) -> None:
        self._call = ctypes.CDLL(_library() if library is None else library)
        self._call.nvrtcGetErrorString.restype = ctypes.c_char_p

    @property
    def version(self) -> str:
        """Major and minor version of the compiler."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._require(self._call.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)), "nvrtcVersion")
        return f"{major.value}.{minor.value}"

    def compile(self, text: str, options: tuple[str, ...], architecture: int, *, name: str = "kernel.cu") -> Compiled:
        """Compile a translation unit for a real architecture.

        Parameters
        ----------
        text : str
            With its headers in place, as `pathgraph_gpu.sources.text` gives it.
        options : tuple of str
            Macros.
        architecture : int
            80 for sm_80.
        name : str
            In messages.

        Raises
        ------
        CompilationError
            With the log, if it fails or warns.
        """
        includes = [f"-I{folder / 'include'}" for folder in nvidia_folders() if (folder / "include").is_dir()]
        given = [f"-arch=sm_{architecture}", "-std=c++17", "--ptxas-options=-v", "--ptxas-options=-Werror"]
        given += [*includes, *options]
        program = ctypes.c_void_p()
        made = self._call.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
        self._require(made, "nvrtcCreateProgram")
        try:
            code = self._call.nvrtcCompileProgram(
                program, len(given), (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
            )
            log = self._bytes(program, "ProgramLog").rstrip(b"\0").decode()
            if code or "warning" in log.lower():
                what = "warned" if not code else "refused it"
                raise CompilationError(f"{name} {' '.join(options)} for sm_{architecture}: the compiler {what}\n{log}")
            return Compiled(self._bytes(program, "CUBIN"), log)
        finally:
            self._call.nvrtcDestroyProgram(ctypes.byref(program))

    def _bytes(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._require(getattr(self._call, f"nvrtcGet{what}Size")(program, ctypes.byref(size)), f"nvrtcGet{what}Size")
        buffer = ctypes.create_string_buffer(size.value)
        self._require(getattr(self._call, f"nvrtcGet{what}")(program, buffer), f"nvrtcGet{what}")
        return buffer.raw

    def _require(self, code: int, function: str) -> None:
        if code:
            raise CompilationError(f"{function}: {self._call.nvrtcGetErrorString(code).decode()}")
