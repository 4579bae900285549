r"""The geometry of the path-lifting: its Jacobian, the rank of it, and its kernel.

For parameters none of which is zero, :math:`d \log|\Phi_p| = \sum_{i \in p} d \log|\theta_i|`: the rank of the
Jacobian is that of the incidence matrix of paths and parameters, and its kernel is spanned by the infinitesimal
rescalings (`pathgraph.geometry.potentials`) and by the parameters on no path. Hence

.. math:: \mathrm{rank}\, \partial\Phi(\theta) = \#\{\text{parameters on a path}\} - \dim\{\text{potentials}\},

where there are as many potentials as hidden neurons on a path if nothing is fixed or tied. Neither the rank nor the
kernel needs a list of paths.

Derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pathgraph.errors import ParameterError, RangeError
from pathgraph.geometry.exactmatrix import ExactMatrix
from pathgraph.geometry.potentials import Potentials, generic_potentials, potentials, reach
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network, require_network
from pathgraph.lifting import PathLifting, entries_on_paths
from pathgraph.resolutions import ReluNetwork

__all__ = ["generic_rank", "jacobian", "lifting_kernel", "lifting_rank"]


def jacobian(lifting: PathLifting) -> csr_array | ExactMatrix:
    r"""The Jacobian :math:`\partial\Phi/\partial\theta` of a path-lifting.

    Parameters
    ----------
    lifting : PathLifting

    Returns
    -------
    csr_array of floats, or ExactMatrix; shape (n_paths, n_parameters)
        Rows in the order of ``lifting.paths``, columns in that of ``net.theta``. The derivatives with respect to the
        places of a tied parameter are summed; fixed values have no column. For exact and symbolic networks an
        `~pathgraph.geometry.exactmatrix.ExactMatrix`, because SciPy's sparse arrays cannot hold Fractions.

    Raises
    ------
    RangeError
        If a float derivative leaves the range of floats.

    Notes
    -----
    One product per path and parameter on it, without division, so zeros are no exception.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.path_lifting(pg.from_weights([[[2, 0]], [[3]]])).jacobian().toarray()
    array([[3., 0., 2.],
           [0., 3., 0.]])
    """
    net = lifting.net
    owner = net.architecture.parameter.tolist()
    values = net.values.tolist()
    places, derivatives = [], []
    for row, entries in enumerate(entries_on_paths(net, lifting.paths)):
        before, after = [1], [1]
        for entry in entries:
            before.append(before[-1] * values[entry])
        for entry in reversed(entries):
            after.append(after[-1] * values[entry])
        for k, entry in enumerate(entries):
            if owner[entry] >= 0:
                places.append((row, owner[entry]))
                derivatives.append(before[k] * after[len(entries) - 1 - k])
    shape = (len(lifting), net.architecture.n_parameters)
    if net.scalars != "float":
        return ExactMatrix(shape, ((*place, value) for place, value in zip(places, derivatives, strict=True)))
    data = np.array(derivatives, dtype=np.float64)
    if not np.isfinite(data).all():
        raise RangeError("jacobian: a derivative leaves the range of float64; use net.to_exact()")
    return csr_array((data, np.array(places, dtype=np.int64).reshape(-1, 2).T), shape=shape)


def generic_rank(net: Network | Architecture) -> int:
    r"""The rank of the Jacobian of the path-lifting at generic parameters: the dimension of what :math:`\Phi` can tell.

    Parameters
    ----------
    net : Network or Architecture
        Parameters are generic, fixed values as they are (an architecture has none that is zero).

    Returns
    -------
    int
        The number of parameters on a path, less the dimension of the group of rescalings that act on them.

    Notes
    -----
    At parameters without zeros the rank has this value; at any parameters it is at most this (see `lifting_rank`). It
    may be less where a bias is 0, too, if no other path of non-zero product leads to the neuron: a constant of bias 0
    with k outgoing weights has rank 1 and generic rank k.
    If nothing is fixed or tied, as many dimensions are lost as hidden neurons lie on a path. With fixed values it is
    the number of connected sets of hidden neurons, joined by fixed entries, that meet no input, no output and no
    fixed bias. With tied parameters it is the dimension of the potentials, found by elimination. For a convolution
    this is the number of hidden channels if each has a bias, but may be more if there is padding and no bias.

    Linear in the size of the network if nothing is tied.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
    >>> pg.generic_rank(net), len(net.theta), len(net.hidden)
    (4, 6, 2)
    """
    if isinstance(net, ReluNetwork):
        require_network(net)
    if not isinstance(net, (Network, Architecture)):
        raise ParameterError(f"net: needed a Network or an Architecture, got {type(net).__name__}")
    basis = generic_potentials(net)
    return int(basis.acts_on.sum()) - len(basis)


def lifting_rank(net: Network) -> int:
    r"""The rank of the Jacobian :math:`\partial\Phi(\theta)` at the parameters of a network, zeros included.

    Parameters
    ----------
    net : Network

    Returns
    -------
    int
        At most ``generic_rank(net)``, and equal to it if no parameter is zero.

    Notes
    -----
    Exact also for floats: only zeros matter. A zero parameter contributes one dimension if the rest of some path
    through it is not zero, none otherwise; those that are not zero contribute the generic rank of the network without
    the zeros. Linear in the size of the network if nothing is tied.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.lifting_rank(pg.from_weights([[[1, 0]], [[0]]])), pg.generic_rank(pg.from_weights([[[1, 0]], [[0]]]))
    (1, 2)
    """
    require_network(net)
    basis, moves = _local(net)
    return int(moves.sum()) - len(basis)


def lifting_kernel(net: Network) -> csr_array | ExactMatrix:
    r"""A basis of the kernel of :math:`\partial\Phi(\theta)`, made without the Jacobian.

    Parameters
    ----------
    net : Network

    Returns
    -------
    csr_array of floats, or ExactMatrix; shape (n_parameters, n_parameters - lifting_rank(net))
        First the infinitesimal rescalings: the one of a hidden neuron has :math:`\theta_i` at its incoming weights
        and its bias, :math:`-\theta_i` at its outgoing weights. Then one unit vector for each parameter on which no
        path product depends, to first order.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[4, 5]]])
    >>> pg.lifting_kernel(net).toarray().T
    array([[ 1., -2.,  0.,  0., -4.,  0.],
           [ 0.,  0.,  3.,  1.,  0., -5.]])
    """
    require_network(net)
    basis, moves = _local(net)
    exponents = basis.on_parameters.tocoo()
    rows: list[int] = exponents.col.tolist()
    columns: list[int] = exponents.row.tolist()
    values: list[Any] = [k * net.theta[i] for i, k in zip(rows, exponents.data.tolist(), strict=True)]
    still = np.flatnonzero(~moves).tolist()
    one = type(net.theta[0])(1) if still and net.is_exact else 1
    rows += still
    columns += range(len(basis), len(basis) + len(still))
    values += [one] * len(still)
    shape = (net.architecture.n_parameters, len(basis) + len(still))
    if net.scalars == "float":
        return csr_array((np.array(values, dtype=np.float64), (rows, columns)), shape=shape)
    return ExactMatrix(shape, zip(rows, columns, values, strict=True))


def _local(net: Network) -> tuple[Potentials, Any]:
    """The potentials on paths without a zero, and the parameters on which some path product depends."""
    architecture = net.architecture
    found = reach(architecture, (net.values != 0).astype(bool))
    moves = np.zeros(architecture.n_parameters, dtype=bool)
    moves[architecture.parameter[found.spanned & (architecture.parameter >= 0)]] = True
    return potentials(architecture, found.on_path), moves
