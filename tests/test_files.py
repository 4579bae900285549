"""Saved networks: damaged and hostile files are refused, or read as the network that was written."""

import io
import json
import random
import zipfile

import numpy as np
import pytest

import pathgraph as pg
from tests.networks import REGISTRY


def content(net, tmp_path):
    pg.save(net, tmp_path / "net.npz")
    return (tmp_path / "net.npz").read_bytes()


def read(data, tmp_path):
    (tmp_path / "copy.npz").write_bytes(data)
    return pg.load(tmp_path / "copy.npz")


def is_refused_or_equal(data, net, tmp_path):
    try:
        return read(data, tmp_path) == net
    except pg.FileFormatError as error:
        return "copy.npz" in str(error)


def test_flipped_bits(tmp_path):
    net = REGISTRY["fixed_bias"].net
    data = content(net, tmp_path)
    for place in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        assert is_refused_or_equal(bytes(flipped), net, tmp_path), place


def test_truncated_files_and_noise(tmp_path):
    net = REGISTRY["pool_bias"].float64
    data = content(net, tmp_path)
    noise = random.Random(0)
    for length in range(0, len(data), 11):
        with pytest.raises(pg.FileFormatError, match=r"copy\.npz"):
            read(data[:length], tmp_path)
    for _ in range(100):
        spoiled = bytearray(data)
        for _ in range(noise.randint(2, 20)):
            spoiled[noise.randrange(len(data))] = noise.randrange(256)
        assert is_refused_or_equal(bytes(spoiled), net, tmp_path)


def parts(data):
    with np.load(io.BytesIO(data)) as file:
        return {name: file[name] for name in file.files}


def packed(arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def spoiled(array, noise):
    """The array with one wrong entry, a wrong length, shape or type."""
    if array.size and noise.random() < 0.6:
        copy = array.copy()
        copy.flat[noise.randrange(array.size)] = noise.choice([-1, 0, 1, 2, 3, 4, 5, 9, 100])
        return copy
    return noise.choice(
        [
            lambda: array[:-1],
            lambda: np.concatenate([array, array[-1:]]),
            lambda: array.astype(np.float64) + 0.5,
            lambda: array * np.nan,
            lambda: array.astype(np.complex128),
            lambda: array.astype(bool),
            lambda: array.astype(str),
            lambda: array.reshape(-1, 1),
            lambda: array.reshape(1, -1),
            lambda: np.array(0),
        ]
    )()


@pytest.mark.parametrize("name", ["dense", "fixed_bias", "multi_output", "k_pool"])
def test_spoiled_arrays_make_no_invalid_network(name, tmp_path):
    """A file with wrong arrays is refused, or holds a network that keeps the graph contract."""
    net = REGISTRY[name].float64
    arrays, noise, accepted = parts(content(net, tmp_path)), random.Random(name), 0
    for _ in range(200):
        chosen = noise.choice([key for key in arrays if key != "header"])
        try:
            found = read(packed(arrays | {chosen: spoiled(arrays[chosen], noise)}), tmp_path)
        except pg.FileFormatError:
            continue
        assert pg.from_networkx(pg.to_networkx(found), dtype=found.dtype) == found, chosen
        accepted += 1
    assert 0 < accepted < 200


def test_spoiled_headers(tmp_path):
    net = REGISTRY["tied_across_depth"].float64
    arrays = parts(content(net, tmp_path))
    header = json.loads(str(arrays["header"]))
    nodes, ties = header["nodes"], header["ties"]
    spoiled_headers = [
        None,
        5,
        "x",
        [],
        {},
        header | {"format": "pathgraph network, version 99"},
        header | {"nodes": nodes[:-1]},
        header | {"nodes": [*nodes[:-1], nodes[0]]},
        header | {"nodes": [*nodes[:-1], {}]},
        header | {"nodes": [*nodes[:-1], None]},
        header | {"nodes": 4},
        header | {"ties": [[100, "w"]]},
        header | {"ties": [[-1, "w"]]},
        header | {"ties": [["x", "w"]]},
        header | {"ties": [[0, {}]]},
        header | {"ties": 3},
        header | {"ties": [*ties, [0, "b"]]},
    ]
    for bad in spoiled_headers:
        with pytest.raises(pg.FileFormatError):
            pytest.fail(f"{bad} gave {read(packed(arrays | {'header': np.array(json.dumps(bad))}), tmp_path)}")
    for bad in ("[" * 100_000 + "]" * 100_000, "{", ""):
        with pytest.raises(pg.FileFormatError):
            read(packed(arrays | {"header": np.array(bad)}), tmp_path)
    for key in arrays:
        with pytest.raises(pg.FileFormatError):
            read(packed({name: array for name, array in arrays.items() if name != key}), tmp_path)


class Trap:
    """Unpickling it would show."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


def test_hostile_files(tmp_path):
    net = REGISTRY["dense"].net
    arrays = parts(content(net, tmp_path))
    trap = np.array([Trap()], dtype=object)
    hostile = [b"", b"hello", b"PK\x03\x04", b"\x80\x04K\x01."]
    for array in (np.ones(3), trap):
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        hostile.append(file.getvalue())
    hostile += [packed(arrays | {name: trap}) for name in arrays]
    hostile += [packed(arrays | {"values": np.array(["1/0"] * len(net.values))})]
    hostile += [packed(arrays | {"values": np.array(["nan"] * len(net.values))})]
    hostile += [packed(arrays | {"values": np.array([np.inf] * len(net.values))})]
    for head in ("{'descr': ((((((", "{'descr': '''", "{'descr': '<f8', 'fortran_order': False, 'shape': (10**18,), }"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("header.npy", b"\x93NUMPY\x01\x00\x76\x00" + head.ljust(117).encode() + b"\n")
        hostile.append(file.getvalue())
    for data in hostile:
        with pytest.raises(pg.FileFormatError):
            read(data, tmp_path)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        pg.load(tmp_path / "missing.npz")
    with pytest.raises(OSError, match=str(tmp_path)):
        pg.load(tmp_path)
    with pytest.raises(OSError, match="missing"):
        pg.save(REGISTRY["dense"].net, tmp_path / "missing" / "net.npz")
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_written_leave_the_old_file(tmp_path):
    import networkx as nx

    net = REGISTRY["dense"].net
    before = content(net, tmp_path)
    graph = nx.relabel_nodes(pg.to_networkx(net), {(0, 0): frozenset({1})})
    with pytest.raises(pg.ParameterError, match="frozenset"):
        pg.save(pg.from_networkx(graph), tmp_path / "net.npz")
    assert (tmp_path / "net.npz").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]


@pytest.mark.parametrize("path", [None, 1, True, 1.5, [], object()])
def test_what_is_no_path_is_refused(path):
    """Not even a number, which `open` would take for a file that is open already, and close it."""
    net = pg.from_weights([[[1]]])
    for call in (lambda: pg.load(path), lambda: pg.save(net, path)):
        with pytest.raises(
            pg.ParameterError, match=r"path: needed the path of a file, a string or a pathlib.Path, got"
        ):
            call()
