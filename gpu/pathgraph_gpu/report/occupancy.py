"""How many blocks of a kernel a multiprocessor holds at once, from registers, shared memory and threads.

The limits are those of the CUDA programming guide, table "Technical specifications per compute capability". Registers
are given to warps in units of 256, in four partitions with a quarter of the registers each; shared memory to blocks in
units of 256 bytes on sm_75 and of 128 bytes later, where the system keeps 1 KiB of each block's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pathgraph.errors import ParameterError

__all__ = ["ARCHITECTURES", "LIMITS", "Limits", "Occupancy", "occupancy"]

REGISTERS, PARTITIONS, REGISTER_UNIT = 65536, 4, 256


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one multiprocessor.

    Parameters
    ----------
    warps, blocks : int
        At most.
    shared : int
        Bytes of shared memory of all blocks together.
    reserved, unit : int
        Bytes that the system takes of each block's share, and the unit of shares.
    """

    warps: int
    blocks: int
    shared: int
    reserved: int = 1024
    unit: int = 128


KIB = 1024
LIMITS = {
    75: Limits(32, 16, 64 * KIB, 0, 256),
    80: Limits(64, 32, 164 * KIB),
    86: Limits(48, 16, 100 * KIB),
    89: Limits(48, 24, 100 * KIB),
    90: Limits(64, 32, 228 * KIB),
    100: Limits(64, 32, 228 * KIB),
    120: Limits(48, 24, 100 * KIB),
}
"""By architecture."""
ARCHITECTURES = tuple(LIMITS)
"""For which kernels are compiled."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full a multiprocessor is.

    Parameters
    ----------
    blocks, warps : int
        That it holds; 0 if a block does not fit.
    share : float
        Warps by the largest number of warps.
    limited_by : {"warps", "blocks", "registers", "shared memory"}
        The first of these that allows no more.
    """

    blocks: int
    warps: int
    share: float
    limited_by: str


def occupancy(architecture: int, threads: int, registers: int, shared: int) -> Occupancy:
    """The theoretical occupancy of a kernel.

    Parameters
    ----------
    architecture : int
        80 for sm_80.
    threads : int
        Of a block, 1 to 1024.
    registers : int
        Of a thread.
    shared : int
        Bytes of a block, static and dynamic.

    Raises
    ------
    ParameterError
        On an architecture without limits, and numbers that no kernel has.

    References
    ----------
    CUDA C++ Programming Guide 12.9, section 5.2.3 and the table of compute capabilities.

    Examples
    --------
    >>> occupancy(80, 256, 64, 0)
    Occupancy(blocks=4, warps=32, share=0.5, limited_by='registers')
    >>> occupancy(86, 256, 32, 48 * 1024)
    Occupancy(blocks=2, warps=16, share=0.3333333333333333, limited_by='shared memory')
    """
    if architecture not in LIMITS:
        raise ParameterError(f"architecture: needed one of {list(LIMITS)}, got {architecture!r}")
    if not 1 <= threads <= 1024 or not 1 <= registers <= 255 or shared < 0:
        raise ParameterError(
            f"needed 1 to 1024 threads, 1 to 255 registers and shared >= 0, got {threads}, {registers} and {shared}"
        )
    limits = LIMITS[architecture]
    warps = -(-threads // 32)
    per_warp = -(-registers * 32 // REGISTER_UNIT) * REGISTER_UNIT
    share = -(-(shared + limits.reserved) // limits.unit) * limits.unit
    fits = {
        "warps": limits.warps // warps,
        "blocks": limits.blocks,
        "registers": REGISTERS // PARTITIONS // per_warp * PARTITIONS // warps,
        "shared memory": limits.shared // share if share else limits.blocks,
    }
    blocks = min(fits.values())
    reason = next(name for name, number in fits.items() if number == blocks)
    return Occupancy(blocks, blocks * warps, blocks * warps / limits.warps, reason)
