"""Traffic of the products, counted, and tiles that are measured and kept on disk."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.gpu import tune
from pathgraph_gpu import chains, products, tiles, tuning
from pathgraph_gpu.device import Device
from pathgraph_gpu.tiles import TILES, Tile, choose
from tests.cuda_on_cpu import traffic
from tests.cuda_on_cpu.product_checks import small_integers
from tests.cuda_on_cpu.runtime import XP, CpuKernel, aligned, clock, cpu_device, needs_compiler

# -- traffic ------------------------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("dtype", TILES)
def test_memory_moves_what_is_compulsory(dtype, layout):
    """Every number once: 1.1 times the bytes of both arrays and the values. So do warps, for blocks of few rows.

    For larger blocks they ask again for what other tiles of the same products read, too. The docs show what is counted.
    """
    shown = json.loads(traffic.FILE.read_text(encoding="utf-8"))[dtype][layout]
    assert [tuple(row[0]) for row in shown] == [*traffic.PATTERNS]
    for (a, b, c, d), *given in shown:
        product, gradient = traffic.ratios((a, b, c, d), dtype, first=layout == "first")
        assert [product, gradient] == given, "run make gpu-report, and commit its files"
        assert product[1] <= 1.1, (a, b, c, d)
        assert gradient is None or gradient[1] <= 1.1, (a, b, c, d)
        if b <= 4 <= a * d and d & d - 1 == 0 and dtype != "float16":
            assert product[0] <= 1.1, (a, b, c, d)


SMALL = pg.KSPattern(1, 4, 4, 64)
SIDES = {
    "product, last": (products.product_problem(SMALL, 1, 256), (16 * 64, 1024 * 64, 1024 * 64)),
    "product, first": (products.product_problem(SMALL, 256, 1), (16 * 64, 1024 * 64, 1024 * 64)),
    "gradient, first": (
        products.gradient_problem(SMALL, 256, batch_first=True),
        (1024 * 64, 1024 * 64, 16 * 64),
    ),
}


@needs_compiler
@pytest.mark.parametrize("tile", TILES["float32"][5:], ids=str)
@pytest.mark.parametrize("side", SIDES)
def test_the_model_of_traffic_is_what_is_counted(side, tile):
    """Where sizes are powers of two: what is not there included, which warps read again elsewhere."""
    (problem, sizes), dtype = SIDES[side], np.dtype(np.float32)
    asked = traffic.counted(problem, tile, "float32", sizes)[0]
    assert round(tiles._traffic(tile, problem, dtype)[0] * tiles.CACHE) == asked  # bytes, a whole number


@needs_compiler
@pytest.mark.parametrize(
    ("pattern", "first", "what"),
    [((1, 4, 4, 9), True, "gradient"), ((1, 4, 4, 64), True, "gradient"), ((2, 4, 8, 3), True, "product")],
)
def test_no_tile_that_is_about_as_fast_asks_for_less(pattern, first, what):
    """By count: cases in which a model of padding alone chose tiles that ask for more."""
    pattern, dtype, batch = pg.KSPattern(*pattern), np.dtype(np.float32), 512
    (rows, columns), nnz = pattern.shape, pattern.nnz
    if what == "product":
        large, problem = (products.product_problem(pattern, n, 1) for n in (traffic.LARGE, batch))
        sizes = nnz, batch * columns, batch * rows
    else:
        large, problem = (products.gradient_problem(pattern, n, batch_first=True) for n in (traffic.LARGE, batch))
        problem, sizes = problem._replace(part=batch), (batch * rows, batch * columns, nnz)
    times = {tile: tiles.predicted(tile, large, dtype) for tile in TILES["float32"]}
    near = [tile for tile, time in times.items() if time <= tiles.NEARLY * min(times.values())]
    used = choose(large, dtype)
    asked = {tile: traffic.counted(problem, tile, "float32", sizes)[0] for tile in {*near, used}}
    assert asked[used] == min(asked.values())


@needs_compiler
@pytest.mark.parametrize("first", [False, True], ids=["batch last", "batch first"])
def test_fused_chains_read_and_write_once(first):
    """Twelve factors of 4096 points in two launches: twice the vectors both ways, and the values."""
    kernels = []

    def compiler(text, name, options):
        kernels.append(CpuKernel(text, name, options, mode="count"))
        return kernels[-1]

    device = Device("counting", XP, compiler, clock)
    n, size = 64, 64
    for patterns in ([(2**s, 2, 2, 2 ** (11 - s)) for s in range(6)], [(2**s, 2, 2, 2 ** (5 - s)) for s in range(6)]):
        patterns = [pg.KSPattern(*p) for p in patterns]
        (run,) = chains.runs_of(patterns, batch_first=first)
        factors = [(p, aligned(np.ones(p.values_shape, np.float32)), False) for p in patterns]
        table, values = chains._packed(device, factors, run)
        length = patterns[0].shape[0]
        shape = (n, length, 1) if first else (1, length, n)
        device.xp = SimpleNamespace(empty=lambda shape, dtype: aligned(np.empty(shape, dtype)))
        chains._multiply_run(device, patterns, run, table, aligned(values), aligned(np.ones(shape, np.float32)))
        device.xp = XP
        *_, x, y = kernels[-1].traffic
        assert (run.width, run.a, run.d) == (size, 1, length // size)
        assert x.read + y.written <= 1.1 * 2 * 4 * n * length
        moved = sum(t.fetched + t.stored for t in kernels[-1].traffic)
        assert moved <= 1.1 * 4 * (2 * n * length + sum(p.nnz for p in patterns))


# -- tuning -------------------------------------------------------------------------------------------------------


class Pretended:
    """A device whose kernels do nothing, and whose clock prefers one tile."""

    def __init__(self, name, preferred):
        self.last = None
        self.preferred = preferred

        def compiler(text, name, options):
            def kernel(grid, block, args):
                self.last = options

            return kernel

        self.device = Device("the CPU", XP, compiler, self.clock, lambda: name)

    def clock(self, work):
        work()
        return 1.0 if set(self.preferred.macros) <= set(self.last) else 2.0


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_fastest_tile_is_used_and_kept(tmp_path):
    preferred = TILES["float32"][-1]
    pretended = Pretended("A GPU (1)", preferred)
    K = pg.KSMatrix(np.ones((2, 16, 16, 3), dtype=np.float32)).to_device(pretended.device)
    problem = products.product_problem(K.pattern, 1, 900)
    dtype = np.dtype(np.float32)
    assert tuning.chosen(pretended.device, problem, dtype) == choose(problem, dtype) != preferred
    result = tune(K, 1000, repeats=1)
    assert {result.best(what) for what in ("product", "transpose", "gradient")} == {preferred}
    assert repr(result).startswith("tiles on A GPU (1)\nproduct: (1, 128, 8, 8, 4, 4), 1 s; others up to 2 s\n")
    assert set(result.seconds["gradient"]) == set(TILES["float32"])
    assert tuning.chosen(pretended.device, problem, dtype) == preferred  # 900 and 1000 share a power of two
    K.apply(XP.zeros((K.shape[1], 1000), dtype=dtype))
    assert set(preferred.macros) <= set(pretended.last)
    later = Pretended("A GPU (1)", preferred)  # as another process has it
    assert tuning.chosen(later.device, problem, dtype) == preferred
    for other in (
        products.product_problem(K.pattern, 1, 5000),
        products.product_problem(K.pattern, 900, 1),
        *(products.product_problem(pg.KSPattern(*p), 1, 900) for p in ((2, 16, 16, 4), (2, 15, 16, 3), (1, 16, 16, 3))),
        products.product_problem(pg.KSPattern(2, 16, 15, 3), 1, 900),  # fewer columns, which are the depth
        products.gradient_problem(pg.KSPattern(2, 16, 15, 3), 900, batch_first=False),  # and here no depth
    ):
        assert tuning.chosen(later.device, other, dtype) == choose(other, dtype)
    assert tuning.chosen(later.device, problem, np.dtype(np.float64)) == choose(problem, np.dtype(np.float64))
    assert tuning.chosen(Pretended("another", preferred).device, problem, dtype) == choose(problem, dtype)
    tune(K.astype(np.float64), 1000, axis=-1, repeats=1)
    content = json.loads((tmp_path / "pathgraph" / "tiles-A-GPU--1-.json").read_text())
    assert len(content["tiles"]) == 6  # those of before are kept
    assert [file.name for file in (tmp_path / "pathgraph").iterdir()] == ["tiles-A-GPU--1-.json"]


def test_batches_up_to_a_power_of_two_share_a_tile():
    pattern = pg.KSPattern(2, 16, 8, 3)
    for make in (
        lambda n: products.product_problem(pattern, 1, n),
        lambda n: products.product_problem(pattern, n, 1),
        lambda n: products.product_problem(pattern, n, 7),
        lambda n: products.gradient_problem(pattern, n, batch_first=False),
        lambda n: products.gradient_problem(pattern, n, batch_first=True),
    ):
        keys = [tuning.key(make(n), np.dtype(np.float32)) for n in (65, 100, 128, 129)]
        assert keys[0] == keys[1] == keys[2] != keys[3]


def test_nothing_is_written_without_being_wanted(tmp_path):
    pretended = Pretended("a GPU", TILES["float32"][2])
    K = pg.KSMatrix(np.ones((1, 2, 2, 1), dtype=np.float32)).to_device(pretended.device)
    tune(K.T, 5, axis=-1, repeats=2, save=False)
    assert not (tmp_path / "pathgraph").exists()
    tune(K, 500, repeats=1)
    content = json.loads((tmp_path / "pathgraph" / "tiles-a-GPU.json").read_text())
    assert len(content["tiles"]) == 3  # not those of before


def unwritable(monkeypatch, tmp_path):
    (tmp_path / "a file").write_text("in the place of a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))


def homeless(monkeypatch, tmp_path):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(tuning.Path, "home", home)


def full(monkeypatch, tmp_path):
    def replace(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tuning.os, "replace", replace)


@pytest.mark.parametrize("broken", [unwritable, homeless, full], ids=lambda broken: broken.__name__)
def test_a_folder_that_cannot_be_written_loses_no_measurement(monkeypatch, tmp_path, broken):
    """Nor does it stop a product, or leave a part of a file."""
    broken(monkeypatch, tmp_path)
    preferred = TILES["float32"][2]
    pretended = Pretended("a GPU", preferred)
    K = pg.KSMatrix(np.ones((1, 2, 2, 1), dtype=np.float32)).to_device(pretended.device)
    K.apply(XP.zeros((2, 9), np.float32))
    with pytest.warns(UserWarning, match=r"the tiles cannot be kept .*; set XDG_CACHE_HOME .* save=False"):
        result = tune(K, 5, repeats=1)
    assert result.best("product") == preferred
    problem = products.product_problem(K.pattern, 1, 5)
    assert tuning.chosen(pretended.device, problem, np.dtype(np.float32)) == preferred
    assert not list(tmp_path.rglob("*.json"))


def test_a_problem_that_comes_again_is_not_modelled_again():
    problem, dtype = products.product_problem(pg.KSPattern(1, 2, 2, 1), 1, 9), np.dtype(np.float32)
    choose.cache_clear()
    assert choose(problem, dtype) == choose(problem, dtype) == choose.__wrapped__(problem, dtype)
    assert choose.cache_info().misses == 1


@pytest.mark.parametrize(
    "content", ["no JSON", "[1]", '{"format": 2, "tiles": {"float32 1": [1, 2]}}', '{"format": 2}']
)
def test_a_broken_file_is_named_and_ignored(tmp_path, content):
    (tmp_path / "pathgraph").mkdir()
    (tmp_path / "pathgraph" / "tiles-a-GPU.json").write_text(content)
    device = Pretended("a GPU", TILES["float32"][0]).device
    problem = products.product_problem(pg.KSPattern(1, 2, 2, 1), 1, 9)
    with pytest.warns(UserWarning, match=r"tiles-a-GPU.json is no file of tiles .* delete it"):
        assert tuning.chosen(device, problem, np.dtype(np.float32)) == choose(problem, np.dtype(np.float32))
    assert tuning.chosen(device, problem, np.dtype(np.float32))  # read once


def test_tiles_of_another_version_are_ignored(tmp_path):
    (tmp_path / "pathgraph").mkdir()
    problem, dtype = products.product_problem(pg.KSPattern(1, 2, 2, 1), 1, 9), np.dtype(np.float32)
    name = tuning.key(problem, dtype)
    for version, tile in ((tuning.FORMAT, Tile(1, 1, 1, 1, 1, 1)), (tuning.FORMAT - 1, TILES["float32"][-1])):
        content = {"format": version, "device": "a GPU", "tiles": {name: list(tile)}}
        (tmp_path / "pathgraph" / "tiles-a-GPU.json").write_text(json.dumps(content))
        assert tuning.chosen(Pretended("a GPU", tile).device, problem, dtype) == choose(problem, dtype)


def test_wrong_arguments():
    device = Pretended("a GPU", TILES["float32"][0]).device
    K = pg.KSMatrix(np.ones((1, 2, 2, 1))).to_device(device)
    for call, message in (
        (lambda: tune(K, 0), "batch: needed"),
        (
            lambda: tune(pg.KSMatrix(np.ones((1, 2, 2, 1))), 1),
            "matrix: needed a DeviceKSMatrix, got KSMatrix; to_device",
        ),
        (lambda: tune(K, 1, axis=1), "axis: needed 0"),
        (lambda: tune(K, 1, repeats=0), "repeats: needed"),
    ):
        with pytest.raises(pg.ParameterError, match=message):
            call()


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(("dtype", "real"), [(np.complex64, np.float32), (np.complex128, np.float64)])
def test_complex_products_use_the_tiles_that_were_tuned_for_them(dtype, real, axis, monkeypatch):
    """Every launch of a product, of the transpose and of the gradient meets a problem that `tune` has timed."""
    pretended = Pretended("a GPU", TILES[np.dtype(real).name][-1])
    values = np.ones((2, 16, 8, 3), dtype=dtype)
    for matrix in (pg.KSMatrix(values), pg.KSMatrix(values).T):
        K = matrix.to_device(pretended.device)
        result = tune(K, 900, axis=axis, repeats=1, save=False)
        assert set(result.seconds) == {"product", "transpose", "gradient"}
        assert set(result.seconds["product"]) == set(TILES[np.dtype(real).name])
        x, y = (XP.zeros((size, 900) if axis == 0 else (900, size), dtype=dtype) for size in reversed(K.shape))
        with monkeypatch.context() as patched:
            patched.setattr(tuning, "choose", lambda problem, dtype: pytest.fail(f"{problem} was not tuned"))
            K.apply(x, axis)
            K.H.apply(y, axis)
            K.vjp(x, y, axis)
        pretended.device.tiles.clear()


@needs_compiler
def test_products_are_the_same_after_tuning(monkeypatch):
    monkeypatch.setitem(TILES, "float64", TILES["float64"][-2:])
    device = cpu_device("fast")
    K = pg.KSMatrix(small_integers((1, 4, 4, 3), np.float64))
    there = K.to_device(device)
    result = tune(there, 9, repeats=1, save=False)
    assert all(seconds > 0 for times in result.seconds.values() for seconds in times.values())
    x = small_integers((12, 9), np.float64)
    assert np.array_equal(there.apply(device.to_device(x)), K @ x)
