"""Several streams and several GPUs: what is made once and kept is there for all who read it later.

The device has arrays of NumPy, kernels that do nothing, and a log of what it was told.
"""

import numpy as np

import pathgraph as pg
from pathgraph_gpu.device import Device
from pathgraph_gpu.graphs import graph_of
from tests.cuda_on_cpu.runtime import XP, CpuArray


class Logging(Device):
    """A device of several places whose launches, marks, waits and copies to the host are written down."""

    def __init__(self):
        self.log, self.at = [], 0

        def compiler(text, name, options):
            return lambda grid, block, args: self.log.append(name)

        def mark():
            number = sum(entry.startswith("mark") for entry in self.log)
            self.log.append(f"mark {number}")
            return lambda: self.log.append(f"wait {number}")

        super().__init__("logging", XP, compiler, None, place=lambda: self.at, mark=mark)

    def to_host(self, array):
        self.log.append("copied")
        return super().to_host(array)


def told(device, work):
    device.log.clear()
    work()
    return device.log.copy()


def test_a_chain_waits_for_what_another_stream_made_of_its_factors():
    """The values of a run are packed at the first product only; every product waits for that, and no host does."""
    device = Logging()
    chain, x = pg.hadamard(16).astype(np.float32).to_device(device), XP.zeros((16, 3), np.float32)
    assert told(device, lambda: chain @ x) == ["mark 0", "wait 0", "ks_chain"]
    assert told(device, lambda: chain @ x) == ["wait 0", "ks_chain"]


def test_half_precision_is_widened_once():
    device = Logging()
    chain, x = pg.hadamard(16).astype(np.float16).to_device(device), XP.zeros((16, 3), np.float16)
    assert told(device, lambda: chain @ x) == ["mark 0", "wait 0", "mark 1", "wait 1", "ks_chain"]
    assert told(device, lambda: chain @ x) == ["wait 0", "wait 1", "ks_chain"]


def test_the_arrays_of_a_graph_are_there_before_the_first_launch():
    """Each copy is waited for, so that the next call may come from another stream; the next call copies nothing."""
    device = Logging()
    net = pg.from_weights([[[1.0, 2.0]], [[3.0]]]).to_device(device)
    first = told(device, lambda: net.theta)
    assert first[-1] == "path_take"
    assert first[:-1] == ["copied"] * len(first[:-1])
    arrays = [one for one in vars(graph_of(device, net.architecture)).values() if isinstance(one, CpuArray)]
    assert len(first) - 1 == len(arrays) > 8
    assert told(device, lambda: net.theta) == ["path_take"]


def test_every_gpu_has_its_own_copy_of_a_graph():
    device = Logging()
    net = pg.from_weights([[[1.0, 2.0]], [[3.0]]])
    graphs = {}
    for place in (0, 1, 0):
        device.at = place
        graph = graph_of(device, net.architecture)
        assert graphs.setdefault(place, graph) is graph
    assert graphs[0] is not graphs[1]
    assert not np.shares_memory(graphs[0].start, graphs[1].start)
    assert graph_of(Logging(), net.architecture) is not graphs[0]
