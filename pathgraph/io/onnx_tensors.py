"""Which numbers does a tensor of an ONNX file hold? Nothing that its header claims is believed.

A `TensorProto` says its type and dimensions, and holds its numbers as raw little-endian bytes, as a typed list, or in
another file beside the model. The number of entries that the dimensions claim is compared with the data *before*
anything of that size is made, so that a file cannot ask for more memory than it has bytes. A file beside the model is
read only if it lies, after symbolic links are resolved, in the folder of the model, and holds what is asked of it.

Not checked here: that the numbers are finite.

Source: the ONNX protobuf definition (onnx.proto); the checks are derived here.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph.scalars import Array

__all__ = ["ELEMENT_TYPES", "FLOAT_TYPES", "Folder", "tensor_array", "type_name"]

ELEMENT_TYPES: dict[int, tuple[str, str, str]] = {
    # number: name, NumPy type of the raw bytes, field of the typed list
    1: ("float32", "<f4", "float_data"),
    2: ("uint8", "<u1", "int32_data"),
    3: ("int8", "<i1", "int32_data"),
    4: ("uint16", "<u2", "int32_data"),
    5: ("int16", "<i2", "int32_data"),
    6: ("int32", "<i4", "int32_data"),
    7: ("int64", "<i8", "int64_data"),
    9: ("bool", "?", "int32_data"),
    10: ("float16", "<f2", "int32_data"),
    11: ("float64", "<f8", "double_data"),
    12: ("uint32", "<u4", "uint64_data"),
    13: ("uint64", "<u8", "uint64_data"),
    16: ("bfloat16", "<u2", "int32_data"),
}
FLOAT_TYPES = {1, 10, 11, 16}
EXTERNAL = 1
MOST_AXES = 16
MOST_READS = 4
"""How often a file of tensors may be read: tied tensors may share their place; a few bytes are no thousand tensors."""


class Folder:
    """The folder of a model, in which tensors may have files of their own.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[Path, int] = {}

    def place(self, location: str, what: str) -> Path:
        """The file of that name in the folder or below; nothing elsewhere is ever opened."""
        refusal = FileFormatError(
            f"{what}: needed the name of a file in the folder of the model as location of its data, got {location!r}"
        )
        if not location or "\0" in location or "\\" in location or ":" in location or location.startswith("/"):
            raise refusal
        if ".." in location.split("/"):
            raise refusal
        try:
            home, path = self.path.resolve(strict=True), (self.path / location).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise FileFormatError(f"{what}: its data file {location!r} cannot be read: {error}") from error
        if not path.is_relative_to(home) or not path.is_file():
            raise refusal
        return path

    def read(self, path: Path, start: int, length: int, what: str) -> bytes:
        """Bytes of a file that `place` has found."""
        self._read[path] = self._read.get(path, 0) + length
        if self._read[path] > MOST_READS * path.stat().st_size:
            raise FileFormatError(f"{what}: {path.name!r} was read {MOST_READS} times over; tensors should not overlap")
        with path.open("rb") as file:
            file.seek(start)
            found = file.read(length)
        if len(found) != length:
            raise FileFormatError(f"{what}: {path.name!r} ended before the {length} bytes it should hold")
        return found


def type_name(number: int) -> str:
    """The name of an element type, for messages."""
    return ELEMENT_TYPES[number][0] if number in ELEMENT_TYPES else f"element type {number}"


def tensor_array(tensor: Any, folder: Folder | None, what: str) -> Array:
    """The numbers of a tensor; float16 and bfloat16 as float32, which holds them exactly.

    Parameters
    ----------
    tensor : onnx.TensorProto
    folder : Folder, optional
        The folder of the model, for tensors in files of their own.
    what : str
        Names the tensor in messages.

    Returns
    -------
    ndarray
        May be read-only, and share memory with nothing but itself.

    Raises
    ------
    FileFormatError
        If the type is unknown, a dimension is negative, or the data is not what the dimensions claim.
    """
    if tensor.data_type not in ELEMENT_TYPES:
        known = ", ".join(name for name, _, _ in ELEMENT_TYPES.values())
        raise FileFormatError(f"{what}: needed one of the types {known}, got element type {tensor.data_type}")
    name, raw_type, field = ELEMENT_TYPES[tensor.data_type]
    shape = tuple(tensor.dims)
    if any(d < 0 for d in shape) or len(shape) > MOST_AXES:
        raise FileFormatError(f"{what}: needed at most {MOST_AXES} dimensions, not negative, got {shape}")
    if tensor.HasField("segment"):
        raise FileFormatError(f"{what}: needed a whole tensor, got a segment of one")
    count = math.prod(shape)
    if tensor.data_location == EXTERNAL:
        flat = np.frombuffer(_external(tensor, folder, count * np.dtype(raw_type).itemsize, what), dtype=raw_type)
    elif tensor.HasField("raw_data"):
        raw = tensor.raw_data
        _require(len(raw), count * np.dtype(raw_type).itemsize, "bytes", shape, name, what)
        flat = np.frombuffer(raw, dtype=raw_type)
    else:
        listed = getattr(tensor, field)
        _require(len(listed), count, "numbers", shape, name, what)
        flat = _listed(listed, name, raw_type, what)
    try:
        return _widened(flat, name).reshape(shape)
    except ValueError as error:  # no entries, and more along the other axes than an array can have
        raise FileFormatError(f"{what}: an array cannot have the shape {shape}") from error


def _require(found: int, needed: int, unit: str, shape: tuple[int, ...], name: str, what: str) -> None:
    if found != needed:
        raise FileFormatError(
            f"{what}: needed {needed} {unit} for {name} of shape {shape}, got {found}; the file is damaged"
        )


def _listed(listed: Any, name: str, raw_type: str, what: str) -> Array:
    """The numbers of a typed list; 16-bit floats stand there as the integers with their bits."""
    wide = {"float32": np.float32, "float64": np.float64, "uint32": np.uint64, "uint64": np.uint64}.get(name, np.int64)
    numbers = np.array(listed, dtype=wide)
    if name in ("float16", "bfloat16"):
        raw = numbers.astype("<u2")
        return raw.view("<f2") if name == "float16" else raw
    narrow = numbers.astype(raw_type)
    if not np.array_equal(numbers, narrow, equal_nan=narrow.dtype.kind == "f"):
        raise FileFormatError(f"{what}: needed numbers in the range of {name}, got others; the file is damaged")
    return narrow


def _widened(flat: Array, name: str) -> Array:
    if name == "float16":
        return flat.astype(np.float32)
    if name == "bfloat16":
        return (flat.astype("<u4") << 16).view("<f4").astype(np.float32, copy=False)
    return flat if sys.byteorder == "little" else flat.astype(flat.dtype.newbyteorder("="))


def _external(tensor: Any, folder: Folder | None, size: int, what: str) -> bytes:
    """The bytes of a tensor that lies in a file beside the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise FileFormatError(
            f"{what}: its numbers are in the file {location!r} beside the model; pass the path of the model, "
            "or load it with onnx.load, which reads them"
        )
    path = folder.place(location, what)
    available = path.stat().st_size
    start = _whole(entries.get("offset", "0"), "offset", what)
    length = _whole(entries["length"], "length", what) if "length" in entries else available - start
    if length != size or start + length > available:
        raise FileFormatError(
            f"{what}: needed {size} bytes for its type and shape {tuple(tensor.dims)}, got {length} bytes at {start} "
            f"of {location!r}, which has {available}; the file is damaged or belongs to another model"
        )
    return folder.read(path, start, length, what)


def _whole(text: str, key: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise FileFormatError(f"{what}: needed a non-negative integer as {key} of its data, got {text!r}")
    return int(text)
