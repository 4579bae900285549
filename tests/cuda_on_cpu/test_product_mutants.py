"""Wrong versions of the kernels of Kronecker-sparse products: all are caught, and the right ones are not."""

import pytest

from pathgraph_gpu import products, sources
from pathgraph_gpu.device import Device
from pathgraph_gpu.tiles import Tile
from tests.cuda_on_cpu.product_checks import (
    FAR_CHECKS,
    TILE,
    gradient_agrees,
    maker,
    parts_agree,
    product_agrees,
    ragged,
    ragged_batches,
)
from tests.cuda_on_cpu.product_mutants import MUTANTS
from tests.cuda_on_cpu.runtime import XP, CpuKernel, KernelError, clock, needs_compiler

pytestmark = needs_compiler

WIDE = Tile(2, 8, 8, 2, 4, 4)  # of float64, whose threads have two runs of rows


def complaint(change, monkeypatch):
    """What the checks find if the text is changed: None for the text as it is."""

    def compiler(text, name, options):
        return CpuKernel(change(text), name, options, mode="check", order="backward")

    device = Device("the CPU, with a mutant", XP, compiler, clock)
    try:
        for what in FAR_CHECKS.values():
            what(maker("check", change))
        parts_agree(device)
        for blocks in (products.BLOCKS, 2):
            with monkeypatch.context() as patched:
                patched.setattr(products, "BLOCKS", blocks)
                for pattern, outer, inner, transposed in ragged(TILE):
                    product_agrees(device, TILE, "float32", pattern, outer, inner, transposed=transposed)
                for i, (pattern, batch, part) in enumerate(ragged_batches(TILE)):
                    gradient_agrees(device, TILE, "float32", pattern, batch, batch_first=i % 2, part=part)
        product_agrees(device, WIDE, "float64", (3, 9, 3, 3), 1, 9)
    except (KernelError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_the_kernels_as_they_are_shipped_are_never_blamed(monkeypatch):
    assert complaint(lambda text: text, monkeypatch) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_wrong_kernels_are_caught(mutant, monkeypatch):
    assert sources.text(mutant.file).count(mutant.old) == 1
    assert complaint(lambda text: text.replace(mutant.old, mutant.new), monkeypatch) is not None


def test_there_are_enough_mutants():
    assert len(MUTANTS) >= 30
    assert len({(mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
