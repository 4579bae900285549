"""Trained networks: MLPs on the digits of scikit-learn, by enumeration of all their paths and by one sweep."""

import time
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np
import pytest

import pathgraph as pg
from tests.oracles import Oracle
from tests.tolerances import assert_close, gamma, roundings

sklearn = pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


@cache
def trained(hidden):
    """The network of a briefly trained classifier, and the test images."""
    from pathgraph_proofs_checks.digits import train

    digits = train(hidden, max_iter=60)
    assert digits.accuracy > 0.9
    return digits.net, digits.images


def sweep_roundings(net):
    """Of the sum over the paths to all outputs."""
    return roundings(Oracle(pg.to_networkx(net))) + len(net.outputs)


def integers(matrix):
    """Floats as integers over a power of two."""
    exact = [[Fraction(float(w)) for w in row] for row in np.atleast_2d(matrix)]
    denominator = max(w.denominator for row in exact for w in row)
    return [[abs(int(w * denominator)) for w in row] for row in exact], denominator


def enumerated(net):
    """The sum of all absolute path products, path by path, in integers; and the number of paths."""
    layers = 1 + max(layer for layer, _ in net.outputs)
    sizes = [sum(layer == k for layer, _ in net.nodes) for k in range(layers)]
    matrices = [
        integers([[net.weight((k - 1, j), (k, i)) for j in range(sizes[k - 1])] for i in range(sizes[k])])
        for k in range(1, layers)
    ]
    biases = [integers([net.bias((k, i)) for i in range(sizes[k])]) for k in range(1, layers)]

    def behind(k, i):
        """For every path from neuron i of layer k to an output, its product."""
        if k == layers - 1:
            yield 1
        else:
            for row, after in zip(matrices[k][0], range(sizes[k + 1]), strict=True):
                for rest in behind(k + 1, after):
                    yield row[i] * rest

    total, paths = Fraction(0), 0
    for k in range(layers):
        masses, count = 0, 0
        for i in range(sizes[k]):
            first = 1 if k == 0 else biases[k - 1][0][0][i]
            for rest in behind(k, i):
                masses += first * rest
                count += 1
        scale = prod(denominator for _, denominator in matrices[k:]) * (1 if k == 0 else biases[k - 1][1])
        total, paths = total + Fraction(masses, scale), paths + count
    return total, paths


@pytest.mark.parametrize(("hidden", "edges", "paths"), [((32,), 2_368, 20_810), ((32, 32), 3_392, 665_930)])
def test_enumeration_is_one_sweep(hidden, edges, paths, record_property):
    net, _ = trained(hidden)
    assert net.architecture.n_edges == edges
    assert pg.count_paths(net) == paths
    start = time.perf_counter()
    total, count = enumerated(net)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    norm = pg.path_norm(net.to_exact())
    sweep = time.perf_counter() - start
    assert (norm, paths) == (total, count)
    start = time.perf_counter()
    low = pg.path_norm(net)
    record_property("seconds", {"enumeration": seconds, "exact": sweep, "float": time.perf_counter() - start})
    assert_close(low, norm, gamma(sweep_roundings(net)))


def test_the_lifting_of_665_930_paths():
    net, images = trained((32, 32))
    with pytest.raises(pg.PathCountError, match="665930"):
        pg.path_lifting(net)
    lifting = pg.path_lifting(net, max_paths=665_930)
    assert lifting.values.shape == (665_930,)
    # a path product is rounded twice, and each of them is added, in any order
    listed, swept = gamma(665_930 + 2), gamma(sweep_roundings(net))
    norm = pg.path_norm(net.to_exact())
    assert_close(np.abs(lifting.values).sum(), norm, listed)
    for x in images[:3]:
        active, start = pg.path_activations(net, x, max_paths=665_930), np.append(x, 1)
        # the products with the input are 65 more terms; of the masses, rounded themselves, `listed` is twice enough
        slack = (2 * listed + gamma(66)) * Fraction(np.abs(lifting.values) @ active @ start)
        slack += swept * pg.path_norm(net.to_exact(), inputs=list(map(Fraction, x)))
        assert abs(Fraction(lifting.values @ active @ start) - Fraction(net(x).sum())) <= slack


def test_factorisation_on_images_is_an_equality_of_rationals():
    net, images = trained((32,))
    exact = net.to_exact()
    for x in images[:5]:
        x = [Fraction(value) for value in x]
        outputs = exact(x)
        for v, value in zip(net.outputs, outputs, strict=True):
            lifting, active = pg.path_lifting(exact, node=v), pg.path_activations(exact, x, node=v)
            starts = np.array([*x, 1])[active.indices]
            assert lifting.values[active.tocoo().row] @ starts == value


def test_rescaled_copies_are_the_same_classifier():
    net, images = trained((32, 32))
    for seed in range(3):
        other = pg.rescale(net, pg.random_rescaling(net, seed))
        assert other != net
        assert other(images).tobytes() == net(images).tobytes()
        assert pg.path_norm(other) == pg.path_norm(net)
    normal = pg.normalize(net.to_exact())
    assert pg.path_norm(normal) == pg.path_norm(net.to_exact()) == pg.operator_norm_product(normal)


def test_pruning_by_paths_is_blind_to_rescaling_and_by_magnitude_is_not():
    """Half of the weights: the same ones in both copies, to the last bit; by magnitude the accuracy collapses."""
    from pathgraph_proofs_checks.digits import train

    digits = train((32,), max_iter=60)
    net, images, labels = digits.net, digits.images, digits.labels
    copy = pg.rescale(net, pg.random_rescaling(net, 0))
    sample = images[:50]

    def accuracy(result):
        return np.mean(result.net(images).argmax(axis=1) == labels)

    def options(network, method):
        jacobian = pg.parameter_jacobian(network, sample)
        if method == "snip":
            return {"gradient": np.einsum("no,nop->p", network(sample), jacobian)}
        return {"hessian_diagonal": (jacobian**2).sum(axis=(0, 1))} if method == "obd" else {}

    assert pg.path_magnitude(copy).tobytes() == pg.path_magnitude(net).tobytes()
    for method in ("path-magnitude", "neurons", "synflow", "snip", "obd"):
        for share in (0.3, 0.5, 0.7):
            here, there = (pg.prune(n, share, method, **options(n, method)) for n in (net, copy))
            assert list(here.removed) == list(there.removed)
            assert here.neurons == there.neurons
            assert here.certificate == there.certificate
            assert here.net(images).tobytes() == there.net(images).tobytes()
    kept, before, after = (
        accuracy(pg.prune(n, 0.5, method))
        for n, method in ((copy, "path-magnitude"), (net, "magnitude"), (copy, "magnitude"))
    )
    assert min(kept, before) > 0.85
    assert after < 0.6
    result = pg.prune(net, 0.5)
    assert (np.abs(net(images) - result.net(images)).sum(axis=1) <= result.certificate.upper).all()
