"""Arrays that begin with a cache line, wherever memory comes from, and how large the caches are thought to be."""

from pathlib import Path

import numpy as np
import pytest

from pathgraph.cache_lines import LINE, WORTH_ALIGNING, aligned_empty, cache_size, result_empty


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("off", [*range(0, 64, 8), 1, 63])
def test_arrays_begin_with_a_line_and_lie_in_what_was_allocated(monkeypatch, dtype, off):
    rooms = []

    def empty(size, dtype):
        whole = np.zeros(size + 2 * LINE, dtype=dtype)
        start = -whole.ctypes.data % LINE + off
        rooms.append(whole[start : start + size])
        return rooms[-1]

    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", empty)
        array = aligned_empty((3, 5), dtype)
    assert array.shape == (3, 5)
    assert array.dtype == dtype
    assert array.ctypes.data % LINE == 0
    assert rooms[0].ctypes.data <= array.ctypes.data
    assert array.ctypes.data + array.nbytes <= rooms[0].ctypes.data + rooms[0].nbytes
    assert aligned_empty((0, 5), dtype).shape == (0, 5)


@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8", "c16", "O"])
def test_results_are_arrays_of_their_shape_and_large_ones_begin_with_a_line(dtype):
    dtype = np.dtype(dtype)
    for n in (0, 1, WORTH_ALIGNING // dtype.itemsize // 2, WORTH_ALIGNING):
        array = result_empty((n, 2), dtype)
        assert (array.shape, array.dtype) == ((n, 2), dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.nbytes < WORTH_ALIGNING or dtype.hasobject or array.ctypes.data % LINE == 0
        assert (array.base is None) == (array.nbytes < WORTH_ALIGNING or dtype.hasobject)


@pytest.mark.parametrize(
    ("told", "n_bytes"), [("16384K\n", 1 << 24), ("0K", 1 << 25), ("32M", 1 << 25), ("", 1 << 25), (None, 1 << 25)]
)
@pytest.mark.parametrize("index", [0, 3])
def test_a_cache_is_as_large_as_the_system_says_or_as_is_usual(monkeypatch, index, told, n_bytes):
    def read(path, encoding):
        assert path.parent.name == f"index{index}"
        if told is None:
            raise PermissionError
        return told

    monkeypatch.setattr(Path, "read_text", read)
    assert cache_size(index, otherwise=1 << 25) == n_bytes
