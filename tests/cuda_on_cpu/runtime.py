"""Kernels of CUDA, run on the CPU from the text that is shipped: what `cupy.RawKernel` is, for tests.

`CpuKernel` compiles a translation unit with g++ and runs its blocks one after the other, the threads of a block as
fibers, in any order. In *check mode* every access is watched: see ``runtime.cpp``. In *fast mode* nothing is, and an
access out of bounds may end the process; run check mode first. In *count mode* the traffic of each array is counted.

`cpu_device` is a device for launch code. Its arrays are NumPy's, of a type of their own, for dispatch by type.
"""

import ctypes
import hashlib
import mmap
import os
import re
import shutil
import subprocess
from functools import cache
from itertools import product
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from pathgraph.devices import register
from pathgraph_gpu.device import Device

HERE = Path(__file__).parent
GXX = shutil.which("g++")
MODES = ("fast", "check")
MODE_NUMBERS = {"fast": 0, "check": 1, "count": 2}
CACHE = 1 << 20
ORDERS = ("forward", "backward", "shuffled")

needs_compiler = pytest.mark.skipif(GXX is None, reason="g++ is not installed, so kernels cannot be run on the CPU")


class KernelError(Exception):
    """What a kernel must not do."""


class CpuArray(np.ndarray):
    """An array of the device that runs kernels on the CPU."""


def here(array, dtype=None):
    return np.array(array, dtype=dtype).view(CpuArray)


def aligned(array):
    """A copy that begins where a device would put it: at a multiple of 256 bytes."""
    memory = np.empty(array.nbytes + 256, dtype=np.uint8)
    begin = -memory.ctypes.data % 256
    found = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape).view(CpuArray)
    found[...] = array
    return found


def empty(shape, dtype=float):
    """An array of junk: bytes 0x7F, which are large as integers and no ordinary floats."""
    array = np.empty(shape, dtype=dtype)
    array.view(np.uint8).reshape(-1)[...] = 0xFF if array.dtype.kind in "fc" else 0x7F
    return array.view(CpuArray)


XP = SimpleNamespace(
    array=here,
    asarray=here,
    ascontiguousarray=lambda array, dtype=None: np.ascontiguousarray(array, dtype=dtype).view(CpuArray),
    empty=empty,
    zeros=lambda shape, dtype=float: np.zeros(shape, dtype=dtype).view(CpuArray),
    asnumpy=np.array,
)


# -- compilation --------------------------------------------------------------------------------------------------


@cache
def folder():
    """Where compiled kernels are kept: in pytest's folder of this run (see conftest.py), or in $CUDA_ON_CPU_CACHE."""
    kept = Path(os.environ["CUDA_ON_CPU_CACHE"])
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def compiled(arguments, *texts, suffix):
    """The file that g++ makes of some texts with some arguments; made once."""
    digest = hashlib.sha256("\0".join([*arguments, *texts]).encode()).hexdigest()[:24]
    target = folder() / f"{digest}{suffix}"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        source = folder() / f"{digest}-{os.getpid()}.cpp"
        source.write_text(texts[-1], encoding="utf-8")
        unfinished = f"{target}-{os.getpid()}"
        done = subprocess.run(
            [
                GXX,
                "-std=c++17",
                "-fPIC",
                "-U_FORTIFY_SOURCE",
                "-w",
                *arguments,
                f"-I{HERE}",
                str(source),
                "-o",
                unfinished,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        source.unlink()
        if done.returncode:
            raise KernelError(f"g++ says\n{done.stderr[:4000]}")
        os.replace(unfinished, target)
    return target


@cache
def runtime():
    return compiled(["-c", "-O2"], (HERE / "runtime.cpp").read_text(encoding="utf-8"), suffix=".o")


@cache
def headers(flags):
    """Where cuda.h lies as g++ has read it with these flags: reading it takes as long as all that follows it."""
    text = (HERE / "cuda.h").read_text(encoding="utf-8")
    return compiled(["-x", "c++-header", *flags], text, suffix="/cuda.h.gch").parent


INSTRUMENTED = ("-fsanitize=thread", "-fsanitize=signed-integer-overflow", "--param=tsan-distinguish-volatile=0")


@cache
def library(text, options, mode):
    """The library of a translation unit; it has a function for each kernel, which takes addresses of arguments."""
    found = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\([\w, ]+\) )?(\w+)\(', text)
    entry = "\n".join(
        f'extern "C" CUDA_UNWATCHED void run_{name}(void** args) {{ cuda_call(&{name}, args); }}\n'
        f'extern "C" CUDA_UNWATCHED void types_of_{name}(char* out) {{ cuda_write_types(&{name}, out); }}'
        for name in found
    )
    flags = ("-O1", *(INSTRUMENTED if mode != "fast" else ()))
    macros = [option for option in options if option.startswith("-D")]
    place = f"-I{headers(flags)}"
    unit = compiled([place, "-c", *flags, *macros], f'#include "cuda.h"\n{text}\n{entry}', suffix=".o")
    shared = compiled(["-shared", str(unit), str(runtime())], "", suffix=".so")
    loaded = ctypes.CDLL(str(shared))
    loaded.cuda_launch.restype = ctypes.c_char_p
    loaded.cuda_shared_bytes.restype = ctypes.c_longlong
    return loaded


class Traffic(NamedTuple):
    """Bytes of an array: in the sectors that warps read and write, and those that memory gives and takes."""

    read: int
    written: int
    fetched: int
    stored: int


class CpuKernel:
    """A kernel that runs on the CPU.

    Parameters
    ----------
    text, name : str
    options : sequence of str
        Of NVRTC; macros count here.
    mode : {"fast", "check", "count"}
    order : {"forward", "backward", "shuffled"}
        In which the threads of a block take their turns.

    Attributes
    ----------
    traffic : list of Traffic
        In count mode, of each array of the last launch.
    """

    def __init__(self, text, name, options=(), *, mode="check", order="forward"):
        self.name, self.mode, self.order = name, mode, order
        self.library = library(text, tuple(options), mode)
        buffer = ctypes.create_string_buffer(1024)
        getattr(self.library, f"types_of_{name}")(buffer)
        self.types = buffer.value.decode().split()

    def __call__(self, grid, block, args, *, shared_mem=0, blocks=None, cache=CACHE):
        """Launch it; `blocks` chooses some blocks by their coordinates, `cache` is the size of that of count mode."""
        grid, block = ((*sizes, 1, 1)[:3] for sizes in (grid, block))
        n_threads = int(np.prod(block))
        self._require(1 <= n_threads <= 1024, f"a block of {n_threads} threads")
        self._require(
            all(1 <= n <= m for n, m in zip(grid, (2**31 - 1, 65535, 65535), strict=True)), f"a grid of {grid}"
        )
        self._require(self.library.cuda_shared_bytes() + shared_mem <= 48 * 1024, "more than 48 KiB of shared memory")
        self._require(len(args) == len(self.types), f"{len(args)} arguments for {len(self.types)} parameters")
        places, arrays, writable = [], [], []
        for i, (given, kind) in enumerate(zip(args, self.types, strict=True)):
            if kind[0] in "rw":
                self._require(
                    isinstance(given, np.ndarray), f"argument {i}: needed an array, got {type(given).__name__}"
                )
                self._require(given.flags.c_contiguous, f"argument {i}: an array that is not contiguous")
                found = f"{given.dtype.kind}{given.dtype.itemsize}"
                self._require(kind[1] == "S" or kind[1:] == found, f"argument {i}: a pointer to {kind[1:]} got {found}")
                arrays.append(given)
                writable.append(kind[0] == "w")
                places.append(ctypes.pointer(ctypes.c_void_p(given.ctypes.data)))
            else:
                self._require(isinstance(given, np.generic), f"argument {i}: needed a NumPy scalar, got {given!r}")
                found = f"{given.dtype.kind}{given.dtype.itemsize}"
                self._require(kind == found, f"argument {i}: a parameter {kind} got {found}")
                places.append(ctypes.cast(ctypes.create_string_buffer(given.tobytes()), ctypes.c_void_p))
        if blocks is None:
            blocks = ((x, y, z) for z, y, x in product(*map(range, reversed(grid))))
        chosen = np.array([(*place, 0, 0)[:3] for place in blocks], dtype=np.uint32)
        turns = np.arange(n_threads, dtype=np.int32)
        if self.order != "forward":
            turns = turns[::-1] if self.order == "backward" else np.random.default_rng(n_threads).permutation(turns)
        turns = np.ascontiguousarray(turns, dtype=np.int32)
        begins = np.array([array.ctypes.data for array in arrays], dtype=np.uint64)
        sizes = np.array([array.nbytes for array in arrays], dtype=np.int64)
        flags = np.array(writable, dtype=np.int32)
        pointers = (ctypes.c_void_p * len(places))(*(ctypes.cast(place, ctypes.c_void_p) for place in places))
        addresses = [np.array(a, dtype=np.uint32) for a in (grid, block)]
        message = self.library.cuda_launch(
            getattr(self.library, f"run_{self.name}"),
            *(ctypes.c_void_p(a.ctypes.data) for a in addresses),
            pointers,
            *(ctypes.c_void_p(a.ctypes.data) for a in (begins, sizes, flags)),
            ctypes.c_int(len(arrays)),
            ctypes.c_void_p(chosen.ctypes.data),
            ctypes.c_longlong(len(chosen)),
            ctypes.c_void_p(turns.ctypes.data),
            ctypes.c_int(
                min([4, *(array.itemsize for array, is_written in zip(arrays, writable, strict=True) if is_written)])
            ),
            ctypes.c_int(MODE_NUMBERS[self.mode]),
            ctypes.c_longlong(cache),
        )
        if message is not None:
            raise KernelError(f"{self.name}: {message.decode()}")
        if self.mode == "count":
            counted = np.zeros((len(arrays), 4), dtype=np.int64)
            self.library.cuda_traffic(ctypes.c_void_p(counted.ctypes.data))
            self.traffic = [Traffic(*row) for row in counted.tolist()]

    def _require(self, condition, what):
        if not condition:
            raise KernelError(f"{self.name}: {what}")


def sparse(n, dtype):
    """An array of n zeros that takes memory only where it is written."""
    no_reserve = getattr(mmap, "MAP_NORESERVE", 0x4000)  # known to Python from 3.13 on
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    memory = mmap.mmap(-1, n * np.dtype(dtype).itemsize, flags=flags)
    return np.frombuffer(memory, dtype=dtype).view(CpuArray)


def clock(work):
    begin = perf_counter()
    work()
    return perf_counter() - begin


@cache
def cpu_device(mode="check", order="forward"):
    """A device that runs kernels on the CPU."""
    return Device(
        "the CPU", XP, lambda text, name, options: CpuKernel(text, name, options, mode=mode, order=order), clock
    )


register("tests", cpu_device)
