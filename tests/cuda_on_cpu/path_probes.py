"""What a wrong version of the kernels of path sums and of evaluation meets: everything it may break, in little time."""

import numpy as np
import pytest

import pathgraph as pg
from pathgraph_gpu import networks, plans
from tests.cuda_on_cpu.path_checks import DEEP, FAR_CHECKS, LARGE, WIDE, same, values_agree
from tests.networks import REGISTRY


def magnitudes_agree(there, net):
    assert pg.path_norm(there) == pg.path_norm(net)
    assert same(pg.path_norm(there, per_output=True), pg.path_norm(net, per_output=True))
    assert same(pg.path_magnitude(there), pg.path_magnitude(net))


def boxes_agree(there, net):
    for n in (3, 33):
        boxes = np.random.default_rng(n).integers(0, 5, size=(n, len(net.inputs))) / 2
        expected = [pg.path_norm(net, per_output=True, inputs=box) for box in boxes]
        assert same(there.power_sums(there.device.to_device(boxes)), np.array(expected))


def logs_agree(there, net):
    for q in (1, np.inf):
        assert same(pg.log_path_norm(there, q, per_output=True), pg.log_path_norm(net, q, per_output=True))


def limits_agree(there, net):
    logs_agree(there, net)
    outcomes = []
    for one in (there, net):
        try:
            outcomes.append(np.asarray(pg.path_magnitude(one)).tolist())
        except pg.RangeError:
            outcomes.append("too large")
    assert outcomes[0] == outcomes[1]


def powers_agree(there, net):
    for q in (4, 3):
        assert pg.path_norm(there, q, root=False) == pg.path_norm(net, q, root=False)
    tiny = net.map_values(lambda values: values * 2.0**-300).to_device(there.device)
    assert pg.log_path_norm(tiny, 4) == pg.log_path_norm(net.map_values(lambda values: values * 2.0**-300), 4)


def refused(there, net):
    with pytest.raises(pg.ParameterError):
        pg.path_norm(there, inputs=there.device.to_device(-np.ones(len(net.inputs))))


def evaluations_agree(there, net):
    values_agree(net, there, np.random.default_rng(1).integers(-6, 7, size=(37, len(net.inputs))) / 2)


def ranges_of_values_agree(there, net):
    with pytest.raises(pg.RangeError):
        there(there.device.to_device(np.full(len(net.inputs), 1e308)))
    with pytest.raises(pg.ParameterError):
        there(there.device.to_device(np.full(len(net.inputs), np.nan)))


def theta_agrees(there, net):
    theta = np.arange(len(net.theta)) / 4
    moved = there.device.to_device(theta)
    assert there.with_theta(moved).to_host() == net.with_theta(theta)
    assert there.with_values(there.values).to_host() == net
    with pytest.raises(pg.ParameterError):
        there.with_theta(there.device.to_device(np.full(len(net.theta), np.inf)))
    if net.architecture.is_tied:
        values = np.arange(float(net.architecture.n_entries))
        with pytest.raises(pg.GraphError):
            there.with_values(there.device.to_device(values))


def registered(name):
    return REGISTRY[name].float64


MANY_INPUTS = pg.from_weights([np.ones((5, 300)), np.ones((1, 5))])
PROBES = {
    "path_sums": [
        *((magnitudes_agree, registered(name)) for name in ("k_pool", "convolution", "fixed_bias", "only_constants")),
        *((f, net) for net in (LARGE, WIDE, MANY_INPUTS) for f in (magnitudes_agree, boxes_agree)),
        (refused, LARGE),
        *((limits_agree, net) for net in DEEP.values()),
        (powers_agree, LARGE),
    ],
    "path_marginals": [
        *((magnitudes_agree, registered(name)) for name in ("k_pool", "convolution", "fixed_bias", "only_constants")),
        *((magnitudes_agree, net) for net in (LARGE, WIDE, MANY_INPUTS)),
        *((limits_agree, net) for net in DEEP.values()),
    ],
    "evaluate": [
        *((evaluations_agree, registered(name)) for name in ("k_pool", "pool_ties", "constants", "multi_output")),
        *((evaluations_agree, net) for net in (LARGE, WIDE, MANY_INPUTS)),
        (ranges_of_values_agree, LARGE),
    ],
    "path_values": [(theta_agrees, registered(name)) for name in ("k_pool", "fixed_bias", "convolution")],
}
FAR_PROBES = {
    "path_sums": ["edges", "edges of a run", "neurons"],
    "path_marginals": ["edges", "entries", "entries of a fan"],
    "evaluate": ["samples"],
    "path_values": ["parameters"],
}


def probe(file, device, make, monkeypatch):
    """All of it for a translation unit, by both ways of adding edges."""
    for narrow in (plans.NARROW, 0):
        with monkeypatch.context() as patched:
            patched.setattr(plans, "NARROW", narrow)
            patched.setattr(networks, "_turns", lambda columns: 1)
            for agree, net in PROBES[file]:
                agree(net.to_device(device), net)
    for what in FAR_PROBES[file]:
        FAR_CHECKS[what](make)
