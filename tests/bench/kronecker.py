"""How fast Kronecker-sparse matrices multiply: ``python -m tests.bench.kronecker [--json FILE] [--quick]``.

48 patterns with their batches (`kronecker_cases`), float32 and float64, both layouts, on one thread. Variants take
turns, and outputs are allocated before for all that can write to them. The operands and outputs of single matrices
begin with a cache line, as arrays of PyTorch and large results of the package do. Peers, each at its best and on the
same numbers:

* csr: a `scipy.sparse` CSR matrix (its own time with the transposes where the batch comes first, since it takes the
  batch last only);
* bmm: permute, multiply the dense blocks, permute: the better of NumPy and, if it is installed, PyTorch;
* strided: `numpy.matmul` on strided views of the operands, which copies nothing; batch first only for d = 1;
* lazylinop, if it is installed, batch first through two transposes: it has no other way.

The roofline of a case is the larger of two times: of its multiply-adds at the peak rate, which is measured beside the
case since the clock of a processor varies, and of the bytes that have to be moved at the bandwidth of the memory, which
is measured in this run; arrays of all variants come from the same caches or memory. The cap of a ratio is what it would
be if every case reached its roofline: where a peer is near it, no one can be much faster.

A run may be made in parts: ``--part 2/4`` is every fourth pattern from the second on, ``--only`` one of the questions,
each with its own ``--json``, and ``--merge`` makes one file of theirs. Rates are then the highest that a part measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

import pathgraph as pg
from pathgraph.cache_lines import aligned_empty
from pathgraph.kronecker.kernels import tiles
from pathgraph.kronecker.kernels.packing import aligned
from tests.bench import measure
from tests.bench.kronecker_cases import BATCHES, drawn

DTYPES = (np.float32, np.float64)
LAYOUTS = ("batch last", "batch first")
CSR_OPERATIONS = 1e9
"""The serial CSR product is timed up to so many operations: beyond, one call takes seconds."""

BRIEF, MOST = 0.1, 101
"""Seconds for which a case has more rounds than `--repeats`, and how many at most: the first calls of a process are the
slowest of all ways, and a case of 50 microseconds would be over before they are."""

Variants = dict[str, Callable[[], Any]]


def installed(name: str) -> Any:
    """A module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Case:
    """One matrix, one batch, and all ways to multiply them."""

    def __init__(self, pattern: tuple[int, ...], n: int, dtype: Any, layout: str) -> None:
        self.pattern, self.n, self.dtype, self.layout = pattern, n, np.dtype(dtype), layout
        random = np.random.default_rng(0)
        a, _, c, d = pattern
        self.values = random.standard_normal(pattern, dtype=dtype)
        self.matrix = pg.KSMatrix(self.values)
        self.x = aligned_empty((a * c * d, n) if self.is_last else (n, a * c * d), dtype)
        random.standard_normal(dtype=dtype, out=self.x)

    @property
    def is_last(self) -> bool:
        return self.layout == "batch last"

    @property
    def operations(self) -> int:
        return 2 * self.matrix.nnz * self.n

    @property
    def bytes(self) -> int:
        """What has to be moved: x and the values in, the product out."""
        return self.dtype.itemsize * (sum(self.matrix.shape) * self.n + self.matrix.nnz)

    def output(self) -> Any:
        rows = self.matrix.shape[0]
        out = aligned_empty((rows, self.n) if self.is_last else (self.n, rows), self.dtype)
        out[...] = 0
        return out

    def four_axes(self, array: Any, rows: int) -> Any:
        """The array with axes a, d, rows or columns of the blocks, batch."""
        a, _, _, d = self.pattern
        if self.is_last:
            return array.reshape(a, rows, d, self.n).transpose(0, 2, 1, 3)
        return array.reshape(self.n, a, rows, d).transpose(1, 3, 2, 0)

    def variants(self) -> Variants:
        """Name to a call without arguments, each on an output of its own."""
        found: Variants = {"tiles": self._tiles(), "bmm numpy": self._bmm()}
        if self.is_last or self.pattern[3] == 1:
            found["strided"] = self._strided()
        if self.operations <= CSR_OPERATIONS:
            found["csr"] = self._csr()
        if installed("lazylinop"):
            found["lazylinop"] = self._lazylinop()
        if installed("torch"):  # after lazylinop, whose import gives PyTorch all threads
            found["bmm torch"] = self._torch()
        return found

    def _tiles(self) -> Callable[[], Any]:
        out, axis = self.output(), 0 if self.is_last else -1
        return lambda: self.matrix.apply(self.x, axis, out=out)

    def _blocks(self) -> Any:
        return aligned(self.values.transpose(0, 3, 1, 2))

    def _bmm(self) -> Callable[[], Any]:
        _, b, c, _ = self.pattern
        out, blocks = self.output(), self._blocks()
        source, target = self.four_axes(self.x, c), self.four_axes(out, b)
        if self.is_last:
            packed, product = aligned_empty(source.shape, self.dtype), aligned_empty(target.shape, self.dtype)
            left, right = blocks, packed
        else:  # vectors as rows: what torch.bmm gets, too
            source, target = source.swapaxes(2, 3), target.swapaxes(2, 3)
            packed, product = aligned_empty(source.shape, self.dtype), aligned_empty(target.shape, self.dtype)
            left, right = packed, aligned(blocks.swapaxes(2, 3))

        def run() -> Any:
            np.copyto(packed, source)
            np.matmul(left, right, out=product)
            np.copyto(target, product)
            return out

        return run

    def _strided(self) -> Callable[[], Any]:
        _, b, c, _ = self.pattern
        out, blocks = self.output(), self._blocks()
        source, target = self.four_axes(self.x, c), self.four_axes(out, b)
        if self.is_last:
            return lambda: (np.matmul(blocks, source, out=target), out)[1]
        right = aligned(blocks.swapaxes(2, 3))
        return lambda: (np.matmul(source.swapaxes(2, 3), right, out=target.swapaxes(2, 3)), out)[1]

    def _csr(self) -> Callable[[], Any]:
        matrix = self.matrix.tosparse("csr")
        if self.is_last:
            return lambda: matrix @ self.x
        return lambda: np.ascontiguousarray((matrix @ np.ascontiguousarray(self.x.T)).T)

    def _torch(self) -> Callable[[], Any]:
        torch = installed("torch")
        torch.set_num_threads(1)
        a, b, c, d = self.pattern
        out, x, blocks = (torch.from_numpy(each) for each in (self.output(), self.x, self._blocks()))
        blocks = blocks.reshape(a * d, b, c)

        def run() -> Any:
            if self.is_last:
                packed = x.reshape(a, c, d, self.n).permute(0, 2, 1, 3).reshape(a * d, c, self.n)
                product = torch.bmm(blocks, packed).reshape(a, d, b, self.n).permute(0, 2, 1, 3)
                out.view(a, b, d, self.n).copy_(product)
            else:
                packed = x.reshape(self.n, a, c, d).permute(1, 3, 0, 2).reshape(a * d, self.n, c)
                product = torch.bmm(packed, blocks.transpose(1, 2)).reshape(a, d, self.n, b).permute(2, 0, 3, 1)
                out.view(self.n, a, b, d).copy_(product)
            return out.numpy()

        return run

    def _lazylinop(self) -> Callable[[], Any]:
        operator = importlib.import_module("lazylinop.butterfly").ksm(self.values)
        if self.is_last:
            return lambda: operator @ self.x
        return lambda: np.ascontiguousarray((operator @ np.ascontiguousarray(self.x.T)).T)


def check(case: Case, variants: Variants) -> float:
    """All variants compute the same product, up to the round-off of sums of c terms; their seconds, once each."""
    c = case.pattern[2]
    right = np.array(variants["tiles"](), dtype=np.float64)
    absolute = pg.KSMatrix(np.abs(case.values)).apply(np.abs(case.x), 0 if case.is_last else -1).astype(np.float64)
    slack = 4 * (c + 2) * np.finfo(case.dtype).eps * absolute
    taken = 0.0
    for name, variant in variants.items():
        start = time.perf_counter()
        found = variant()
        taken += time.perf_counter() - start
        if not (np.abs(found - right) <= slack).all():
            raise AssertionError(f"{name} computes something else on {case.pattern}, batch {case.n}, {case.layout}")
    return taken


# -- what the machine can do --------------------------------------------------------------------------------------


@numba.njit  # type: ignore[untyped-decorator]
def _tile_again(kind, w, x, depth, out, repeats):  # type: ignore[no-untyped-def]
    for _ in range(repeats):
        tiles.tile_tall(
            kind, w, x, tiles.NV * tiles.VECTOR, depth, out, tiles.NV * tiles.VECTOR, tiles.TALL, x, 0, x + 1, 0, 0
        )


def peak(dtype: Any, repeats: int = 100) -> float:
    """Operations a second of multiply-adds on numbers in the first-level cache: the best of some short measurements."""
    depth, turns, wide = 192, 400, tiles.NV * tiles.VECTOR // np.dtype(dtype).itemsize
    values, x, out = (aligned_empty((n * depth,), dtype) for n in (tiles.TALL, wide, wide))
    for array in (values, x):
        array[...] = 0
    call = [np.dtype(dtype).type(0), values.ctypes.data, x.ctypes.data, depth, out.ctypes.data, turns]
    _tile_again(*call)
    return 2 * tiles.TALL * wide * depth * turns / _fastest(lambda: _tile_again(*call), repeats)


def bandwidth() -> float:
    """Bytes a second of a copy of 256 MB, read and written: what is written is not read before (`numpy.copyto`)."""
    source = np.ones(2**25)
    target = np.zeros_like(source)
    return 2 * source.nbytes / _fastest(lambda: np.copyto(target, source), 12)


def cached_bandwidth() -> float:
    """The same for 1 MB, which stays in the caches."""
    source = np.ones(2**16)
    target = np.zeros_like(source)
    return 2 * source.nbytes / _fastest(lambda: np.copyto(target, source), 200)


def _fastest(function: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


CACHE = 24e6
"""Bytes of a case below which its arrays are taken to be in the caches."""

BARS = {
    ("batch last", "csr"): 10.0, ("batch last", "bmm"): 1.7, ("batch last", "strided"): 1.4,
    ("batch last", "lazylinop"): 1.7, ("batch last", "roofline"): 0.75,
    ("batch first", "csr"): 10.0, ("batch first", "bmm"): 2.3, ("batch first", "lazylinop"): 2.0,
    ("batch first", "roofline"): 0.65,
}  # fmt: skip
"""Medians to reach, set before anything was measured."""


# -- the questions ------------------------------------------------------------------------------------------------


def products(cases: list[Any], seconds: float, repeats: int, results: dict[str, Any]) -> None:
    """All variants on all cases: `seconds` is about what one case may take."""
    rates = {"bandwidth": bandwidth(), "cached": cached_bandwidth()}
    rates |= {np.dtype(dtype).name: peak(dtype) for dtype in DTYPES}
    results["rates"] = rates
    print("rates: " + ", ".join(f"{name} {rate / 1e9:.1f} G/s" for name, rate in rates.items()))
    found = results.setdefault("products", [])
    for pattern, n in cases:
        for dtype in DTYPES:
            for layout in LAYOUTS:
                case = Case(pattern, n, dtype, layout)
                variants = case.variants()
                once = check(case, variants)
                rounds = max(3, min(int(seconds / once), max(repeats, min(int(BRIEF / once), MOST))))
                taken = measure.interleaved(variants, rounds, warm_up=False)
                entry = {
                    "pattern": pattern, "batch": n, "dtype": case.dtype.name, "layout": layout, "seconds": taken,
                    "operations": case.operations, "bytes": case.bytes, "peak": peak(dtype, 20),
                }  # fmt: skip
                found.append(entry | {"roofline": roofline(entry, rates)})
        print(f"  {pattern} x {n}", flush=True)


def roofline(entry: dict[str, Any], rates: dict[str, float]) -> float:
    """The seconds that a case takes at least, at these rates of the memory and the peak that was measured beside it."""
    byte_rate = rates["bandwidth" if entry["bytes"] > CACHE else "cached"]
    return float(max(entry["operations"] / entry["peak"], entry["bytes"] / byte_rate))


def merged(files: list[str]) -> dict[str, Any]:
    """The results of a run that was made in parts: all cases against the highest rates of the parts that have some.

    Raises
    ------
    ValueError
        Two parts have the same case or answer, or were not measured on the same machine with the same packages.
    """
    results: dict[str, Any] = {}
    rates: dict[str, float] = {}
    found: list[dict[str, Any]] = []
    for file in files:
        part = json.loads(Path(file).read_text(encoding="utf-8"))
        if part["machine"] != measure.machine():
            raise ValueError(f"{file}: needed a part from this machine and its packages, got {part['machine']}")
        for title, value in part["results"].items():
            if title == "rates":
                rates = {name: max(rate, rates.get(name, 0.0)) for name, rate in value.items()}
            elif title == "products":
                found += value
            elif title in results:
                raise ValueError(f"{file}: {title} is in another part, too; needed every part once")
            elif title not in ("medians", "minima"):
                results[title] = value
    keys = [(*entry["pattern"], entry["batch"], entry["dtype"], entry["layout"]) for entry in found]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys) - len(set(keys))} cases are in two parts; needed every part once")
    if found:
        places = {(*pattern, n): place for place, (pattern, n) in enumerate(drawn())}
        found.sort(key=lambda entry: places[(*entry["pattern"], entry["batch"])])  # stable: types, layouts stay
        results["rates"] = rates
        results["products"] = [entry | {"roofline": roofline(entry, rates)} for entry in found]
    return results


def ratio_table(found: list[dict[str, Any]], statistic: Callable[[Any], float], title: str) -> dict[str, Any]:
    """Time of the peers over ours: median, minimum and where ours is slower, by layout, type and batch."""
    table: dict[str, Any] = {}
    print(f"\n{title}: time of the peer over that of tiles, median [minimum] of the cases")
    for layout in LAYOUTS:
        for dtype in ("float32", "float64"):
            print(f"  {layout}, {dtype}")
            here = [entry for entry in found if (entry["layout"], entry["dtype"]) == (layout, dtype)]
            for peer in ("csr", "bmm", "strided", "lazylinop", "roofline"):
                row = {}
                for batch in (*BATCHES, None):
                    some = [over(e, peer, statistic) for e in here if batch in (e["batch"], None)]
                    some = [value for value in some if value is not None]
                    if some:
                        entry = {"median": measure.median(some), "min": min(some), "n": len(some)}
                        row[str(batch or "all")] = entry | {"cap": cap(here, batch, peer, statistic)}
                if row:
                    table[f"{layout}, {dtype}, {peer}"] = row
                    shown = "  ".join(
                        f"{b:>5}: {v['median']:5.2f} [{v['min']:.2f}] cap {v['cap']:.2f} of {v['n']}"
                        for b, v in row.items()
                    )
                    bar = BARS.get((layout, peer))
                    print(f"    {peer:10} {shown}" + (f"  bar {bar}" if bar else ""))
    return table


def cap(found: list[dict[str, Any]], batch: int | None, peer: str, statistic: Callable[[Any], float]) -> float:
    """The median ratio of a way that reached the roofline in every case: no other can have a larger one."""
    ratios = [over(entry, peer, statistic, entry["roofline"]) for entry in found if batch in (entry["batch"], None)]
    return float(measure.median([ratio for ratio in ratios if ratio is not None]))


def over(entry: dict[str, Any], peer: str, statistic: Callable[[Any], float], own: float | None = None) -> float | None:
    """The ratio of one case: of the better of both ways for bmm, and the fraction of the roofline that is reached.

    Our own time may be given instead of the one that was measured.
    """
    times = entry["seconds"]
    own = statistic(times["tiles"]) if own is None else own
    if peer == "roofline":
        return float(entry["roofline"] / own)
    names = [name for name in times if name == peer or name.startswith(peer + " ")]
    return min(statistic(times[name]) for name in names) / own if names else None


def matvecs(repeats: int, results: dict[str, Any]) -> None:
    """Batch 1: the bandwidth at which the values are read, against a sum over an array of that size."""
    print("\nbatch 1, bandwidth of the values over that of a dot product of an array with itself")
    for pattern in ((1, 1024, 1024, 1), (4, 1024, 1024, 4), (64, 128, 128, 16), (16, 48, 48, 64)):
        for dtype in DTYPES:
            case = Case(pattern, 1, dtype, "batch last")
            flat = case.values.ravel()
            variants: Variants = {"tiles": case._tiles(), "read": lambda flat=flat: np.dot(flat, flat)}
            variants["strided"] = case._strided()
            taken = measure.interleaved(variants, repeats)
            share, against = (
                measure.median(taken[name]) / measure.median(taken["tiles"]) for name in ("read", "strided")
            )
            rate = flat.nbytes / measure.median(taken["tiles"]) / 1e9
            print(f"  {pattern} {case.dtype.name}: {rate:.1f} GB/s, {share:.2f} of read, {against:.2f}x strided")
            results[f"batch 1, {pattern}, {case.dtype.name}"] = taken | {"GB/s": rate, "share": share}


def dyadic(n: int) -> list[tuple[int, ...]]:
    """The patterns of a chain of butterfly factors."""
    depth = n.bit_length() - 1
    return [(2**level, 2, 2, 2 ** (depth - 1 - level)) for level in range(depth)]


CHAINS = {
    "radix-2, 4096": dyadic(4096),
    "radix-2, 1024": dyadic(1024),
    "radix-16, 4096": [(1, 16, 16, 256), (16, 16, 16, 16), (256, 16, 16, 1)],
    "Monarch, 4096": [(1, 64, 64, 64), (64, 64, 64, 1)],
}


def chain_products(repeats: int, n: int, results: dict[str, Any]) -> None:
    """Chains as one operator, factor by factor, by strided products, by CSR factors, and by lazylinop."""
    print(f"\nchains, batch {n}: time over that of the chain")
    for name, patterns in CHAINS.items():
        for dtype in DTYPES:
            for layout in LAYOUTS:
                found = chain_case(patterns, n, dtype, layout, repeats)
                own = measure.median(found["chain"])
                ratios = {peer: measure.median(times) / own for peer, times in found.items() if peer != "chain"}
                shown = ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in ratios.items())
                print(f"  {name}, {np.dtype(dtype).name}, {layout}: {1e3 * own:.2f} ms; {shown}", flush=True)
                results[f"chain {name}, {np.dtype(dtype).name}, {layout}"] = found


def chain_case(patterns: Any, n: int, dtype: Any, layout: str, repeats: int) -> dict[str, list[float]]:
    """The times of one chain."""
    random = np.random.default_rng(0)
    factors = [pg.KSMatrix(random.choice([-1.0, 1.0], size=p).astype(dtype)) for p in patterns]
    chain, is_last = pg.KSChain(factors), layout == "batch last"
    axis = 0 if is_last else -1
    size = chain.shape[1]
    x = random.standard_normal((size, n) if is_last else (n, size), dtype=dtype)
    out = np.zeros_like(x)
    sparse = [factor.tosparse("csr") for factor in factors]
    blocks = [np.ascontiguousarray(factor.values.transpose(0, 3, 1, 2)) for factor in factors]
    room = [np.zeros((size, n), dtype) for _ in factors]

    def strided() -> Any:
        given = x if is_last else np.ascontiguousarray(x.T)
        for factor, block, target in zip(factors[::-1], blocks[::-1], room, strict=True):
            a, b, c, d = factor.pattern
            views = given.reshape(a, c, d, n).transpose(0, 2, 1, 3), target.reshape(a, b, d, n).transpose(0, 2, 1, 3)
            np.matmul(block, views[0], out=views[1])
            given = target
        return given if is_last else np.ascontiguousarray(given.T)

    def by_factor() -> Any:
        given = x
        for factor in factors[::-1]:
            given = factor.apply(given, axis)
        return given

    def csr() -> Any:
        given = x if is_last else np.ascontiguousarray(x.T)
        for factor in sparse[::-1]:
            given = factor @ given
        return given if is_last else np.ascontiguousarray(given.T)

    variants: Variants = {
        "chain": lambda: chain.apply(x, axis, out=out),
        "by factor": by_factor,
        "strided": strided,
        "csr": csr,
    }
    if installed("lazylinop"):
        ksm = importlib.import_module("lazylinop.butterfly").ksm
        operator = ksm([factor.values for factor in factors])
        variants["lazylinop"] = (
            (lambda: operator @ x)
            if is_last
            else (lambda: np.ascontiguousarray((operator @ np.ascontiguousarray(x.T)).T))
        )
    right = csr()
    for name, variant in variants.items():
        if not np.allclose(variant(), right, rtol=0, atol=1e-3 * np.abs(right).max()):
            raise AssertionError(f"{name} computes something else on the chain {patterns}")
    return measure.interleaved(variants, repeats)


def two_threads(repeats: int, results: dict[str, Any]) -> None:
    """One and two threads; the bits are the same."""
    n_threads = min(2, numba.config.NUMBA_NUM_THREADS)
    print(f"\n1 and {n_threads} threads")
    for pattern, n in (((16, 128, 128, 16), 512), ((12, 48, 192, 1), 4096)):
        case = Case(pattern, n, np.float32, "batch last")
        out = case.output()

        def on(count: int, case: Case = case, out: Any = out) -> Callable[[], Any]:
            def run() -> Any:
                numba.set_num_threads(count)
                return case.matrix.apply(case.x, out=out)

            return run

        alone = on(1)().copy()
        assert np.array_equal(on(n_threads)(), alone)
        taken = measure.interleaved({"one": on(1), "two": on(n_threads)}, repeats)
        numba.set_num_threads(1)
        print(f"  {pattern} x {n}: {measure.median(taken['one']) / measure.median(taken['two']):.2f}x")
        results[f"threads, {pattern}, {n}"] = taken


RAPL = Path("/sys/class/powercap")


def joules() -> float | None:
    """What the packages of the machine have used so far, by their RAPL counters; None if they cannot be read."""
    try:
        return sum(int(path.read_text()) for path in RAPL.glob("intel-rapl:[0-9]/energy_uj")) / 1e6 or None
    except OSError:
        return None


def energy(seconds: float, results: dict[str, Any]) -> None:
    """Joules per product, by what the whole package uses meanwhile, where the machine exposes its counters."""
    if joules() is None:
        results["energy"] = "this machine exposes no RAPL counters: no energy is reported"
        print("\n" + results["energy"])
        return
    print("\njoules per product")
    for pattern, n in (((16, 128, 128, 16), 512), ((96, 48, 48, 4), 512)):
        for name, variant in Case(pattern, n, np.float32, "batch last").variants().items():
            if name != "csr":
                variant()
                count, start, before = 0, time.perf_counter(), joules()
                while time.perf_counter() - start < seconds:
                    variant()
                    count += 1
                used = (joules() or 0.0) - (before or 0.0)
                if used > 0:  # counters wrap around
                    print(f"  {pattern} x {n}, {name}: {used / count:.3f} J")
                    results[f"energy, {pattern}, {n}, {name}"] = used / count


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--seconds", type=float, default=1.0, help="about what one case may take (192 cases)")
    parser.add_argument("--repeats", type=int, default=15, help="at most, but of brief cases; never fewer than 3")
    parser.add_argument("--quick", action="store_true", help="every fourth pattern, and the smaller cases of it only")
    parser.add_argument("--only", choices=("products", "batch1", "chains", "threads", "energy"))
    parser.add_argument("--part", metavar="I/N", type=_part, help="of the patterns: the I-th of N parts, no more")
    parser.add_argument("--merge", metavar="FILE", nargs="+", help="measure nothing: the results of these parts")
    chosen = parser.parse_args(arguments)
    numba.set_num_threads(1)
    _blas_on_one_thread()
    results = merged(chosen.merge) if chosen.merge else measured(chosen)
    if "products" in results:
        results["medians"] = ratio_table(results["products"], measure.median, "medians of the times")
        results["minima"] = ratio_table(results["products"], min, "minima of the times")
    if chosen.json:
        measure.write_json(chosen.json, results)
    return 0


def _part(text: str) -> slice:
    """Every N-th pattern from the I-th on, from ``I/N``."""
    first, count = map(int, text.split("/"))
    if not 1 <= first <= count:
        raise ValueError(text)  # argparse says which argument it was
    return slice(first - 1, None, count)


def measured(chosen: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, measured."""
    cases = drawn()
    if chosen.quick:
        cases = [case for case in cases[::4] if 2 * np.prod(case[0]) * case[1] <= 3e9]
    only = "products" if chosen.part else chosen.only
    repeats = 3 if chosen.quick else chosen.repeats
    results: dict[str, Any] = {}
    if only in (None, "products"):
        cases = cases[chosen.part or slice(None)]
        products(cases, 0.2 if chosen.quick else chosen.seconds, chosen.repeats, results)
    if only in (None, "batch1"):
        matvecs(5 * repeats, results)
    if only in (None, "chains"):
        chain_products(repeats // 2 + 1, 256 if chosen.quick else 1024, results)
    if only in (None, "threads"):
        two_threads(repeats, results)
    if only in (None, "energy"):
        energy(0.2 if chosen.quick else 2.0, results)
    return results


def _blas_on_one_thread() -> None:
    """By the library of BLAS itself: an environment variable would have to be set before NumPy is imported."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


if __name__ == "__main__":
    sys.exit(main())
