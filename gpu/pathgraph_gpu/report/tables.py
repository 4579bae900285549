"""The compile report as tables of text, at most 84 columns wide."""

from __future__ import annotations

from collections.abc import Iterable

from pathgraph_gpu.report.compiled import MIXED, Entry, Report, in_packs

__all__ = ["resources_table", "tiles_table"]

SHOWN = (80, 90, 120)
"""The architectures of which occupancies are shown."""
TILE_MACROS = ("GROUPS", "BM", "BN", "BK", "TM", "TN")


def _range(numbers: Iterable[float]) -> str:
    found = sorted(numbers)
    low, high = f"{found[0]:g}", f"{found[-1]:g}"
    return low if low == high else f"{low}-{high}"


def _line(title: str, entries: list[Entry], mixed: str) -> str:
    resources = [one for entry in entries for one in entry.resources.values()]
    shares = " ".join(f"{100 * min(entry.occupancy(k).share for entry in entries):4.0f}" for k in SHOWN)
    registers = _range(one.registers for one in resources)
    spill = max(max(one.spill_stores, one.spill_loads) for one in resources)
    shared = max(entry.shared(MIXED) for entry in entries)
    return f"{title:<27}{registers:>8}{spill:>6}{shared:>7}  {shares}  {mixed}"


def _head(what: str, mixed: str) -> str:
    return f"{what:<27}{'regs':>8}{'spill':>6}{'shared':>7}  {' '.join(f'{k:>4}' for k in SHOWN)}  {mixed}"


def resources_table(report: Report) -> str:
    """Kernels without a main tile: over all macros and architectures the range of registers and the largest spill.

    Then the shared memory of a block in bytes, the occupancy in percent, and what the main loop is made of on sm_80:
    instructions on floats (multiply-adds included), others, in the configuration with the most of them.
    """
    grouped: dict[tuple[str, str], list[Entry]] = {}
    for entry in report.entries.values():
        one = entry.configuration
        if one.kernel != "ks_product":
            grouped.setdefault((one.kernel, one.dtype.name), []).append(entry)
    lines = [_head("kernel, values", "floats:others")]
    for (kernel, dtype), entries in sorted(grouped.items()):
        mixes = [entry.mixes[MIXED] for entry in entries if MIXED in entry.mixes]
        largest = max(mixes, key=lambda mix: mix.total)
        floats = largest.counts.get("float", 0) + largest.counts.get("multiply-add", 0)
        lines.append(_line(f"{kernel}, {dtype}", entries, f"{floats}:{largest.total - floats}"))
    return "\n".join(lines)


def tiles_table(report: Report) -> str:
    """The products of Kronecker-sparse matrices, by tile, those with a main tile marked.

    The last columns are the multiply-adds for each other instruction, the lowest of all architectures: of the main
    tile; of the whole loop where operands are read in packs, in the worst way that has any; and where they are not.
    """
    grouped: dict[str, list[Entry]] = {}
    for entry in report.entries.values():
        one = entry.configuration
        if one.kernel == "ks_product":
            sizes = [option.split("=")[1] for option in one.options if option.split("=")[0][2:] in TILE_MACROS]
            star = "*" if one.main_tile else " "
            grouped.setdefault(f"{star} {one.dtype.name}, {' '.join(sizes)}", []).append(entry)
    lines = [_head("  ks_product, tile", " tile packs singly")]
    for title, entries in grouped.items():
        tile = min(mix.per_feeding for entry in entries for mix in entry.mixes.values())
        packs, singly = (
            min(
                mix.per_other
                for entry in entries
                if in_packs(entry.configuration) == which
                for mix in entry.mixes.values()
            )
            for which in (True, False)
        )
        lines.append(_line(title, entries, f"{tile:5.1f} {packs:5.2f} {singly:6.2f}"))
    return "\n".join(lines)
