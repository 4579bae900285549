"""Wrong versions of the kernels: all of them are caught, and the right ones are not."""

from functools import partial

import pytest

import pathgraph as pg
from pathgraph_gpu import sources
from pathgraph_gpu.device import Device
from tests.cuda_on_cpu import (
    chain_checks,
    chain_mutants,
    path_checks,
    path_mutants,
    path_probes,
    product_checks,
    product_mutants,
)
from tests.cuda_on_cpu.runtime import XP, CpuKernel, KernelError, clock, needs_compiler

pytestmark = needs_compiler

PROBES = {
    **{file: (partial(path_probes.probe, file), path_checks.maker) for file in path_probes.PROBES},
    "products": (product_checks.probe, product_checks.maker),
    "product_parts": (product_checks.probe_parts, product_checks.maker),
    "chains": (chain_checks.probe, product_checks.maker),
}
MUTANTS = [*path_mutants.MUTANTS, *product_mutants.MUTANTS, *chain_mutants.MUTANTS]


def complaint(file, change, monkeypatch):
    """What the checks of a translation unit find if its text is changed: None for the text as it is."""
    shipped = sources.text(file)

    def changed(text):
        return change(text) if text == shipped else text

    def compiler(text, name, options):
        return CpuKernel(changed(text), name, options, mode="check", order="backward")

    probe, maker = PROBES[file]
    try:
        probe(Device("the CPU, with a mutant", XP, compiler, clock), maker("check", changed), monkeypatch)
    except (KernelError, AssertionError, pg.PathgraphError, pytest.fail.Exception) as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("file", PROBES)
def test_the_kernels_as_they_are_shipped_are_never_blamed(file, monkeypatch):
    assert complaint(file, lambda text: text, monkeypatch) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
def test_wrong_kernels_are_caught(mutant, monkeypatch):
    assert sources.text(mutant.file).count(mutant.old) == 1
    assert complaint(mutant.file, lambda text: text.replace(mutant.old, mutant.new), monkeypatch) is not None


def test_there_are_enough_mutants():
    assert {mutant.file for mutant in MUTANTS} == set(PROBES)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS) >= 100
