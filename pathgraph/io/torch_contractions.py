"""What contractions of an activation with a constant, written with indices, are as layers.

Rules are as in `torch_operators`. An index of the activation is its batch (the first one), is kept, or is summed over
together with one of the constant; the others of the constant are new. That is a matrix on the summed axes.
"""

from __future__ import annotations

import math
from string import ascii_letters
from typing import Any

from pathgraph.io.refusals import Refused
from pathgraph.io.torch_arguments import MIXES
from pathgraph.io.torch_constants import Constant
from pathgraph.io.torch_import import Importer
from pathgraph.layers.builder import Signal

__all__ = ["RULES"]

PRODUCT = "it multiplies activations with each other"


def einsum(at: Importer, equation: str, tensors: Any, path: Any = None) -> Signal:
    """``torch.einsum`` of an activation, or of one with a constant."""
    read, arrow, out = equation.replace(" ", "").partition("->")
    terms = read.split(",")
    if not arrow or "." in equation:
        raise Refused(f"needed an equation with -> and without ..., got {equation!r}")
    if len([part for part in tensors if isinstance(part, Signal)]) != 1:
        raise Refused(PRODUCT)
    if len(tensors) == 1:
        if sorted(out) != sorted(terms[0]) or len(set(out)) < len(out) or out[0] != terms[0][0]:
            raise Refused(f"needed {equation!r} to exchange axes other than the batch")
        return at.build.transpose(tensors[0], [terms[0].index(letter) - 1 for letter in out[1:]])
    if len(tensors) != 2:
        raise Refused(f"needed at most two tensors, got {len(tensors)}")
    place = next(i for i, part in enumerate(tensors) if isinstance(part, Signal))
    return _contracted(at, tensors[place], terms[place], tensors[1 - place], terms[1 - place], out)


def tensordot(at: Importer, x: Any, other: Any, dims_self: Any, dims_other: Any) -> Signal:
    """``torch.tensordot`` of an activation with a constant."""
    if not isinstance(x, Signal) or not isinstance(other, Constant):
        raise Refused(PRODUCT if isinstance(other, Signal) and isinstance(x, Signal) else MIXES)
    n, m = len(x.shape) + 1, len(other.shape)
    letters = list(ascii_letters[:n])
    read = [ascii_letters[n + axis] for axis in range(m)]
    for axis, paired in zip(dims_self, dims_other, strict=True):
        read[paired % m] = letters[axis % n]
    kept = [letter for letter in letters if letter not in read]
    new = [letter for letter in read if letter not in letters]
    return _contracted(at, x, "".join(letters), other, "".join(read), "".join(kept + new))


def _contracted(at: Importer, x: Signal, letters: str, constant: Constant, read: str, out: str) -> Signal:
    """The sum over the indices that both have and the result has not."""
    summed = [letter for letter in read if letter in letters and letter not in out]
    new = [letter for letter in read if letter not in letters]
    kept = [letter for letter in letters[1:] if letter not in summed]
    if not out or out[0] != letters[0] or letters[0] in read:
        raise Refused(MIXES)
    if any(letter in read for letter in kept) or sorted(out[1:]) != sorted(kept + new):
        raise Refused("needed each index in the result, or in both tensors and not in the result")
    if any(len(set(indices)) < len(indices) for indices in (letters, read, out)):
        raise Refused("needed different indices on the axes of a tensor")
    sizes = {**dict(zip(read, constant.shape, strict=True)), **dict(zip(letters[1:], x.shape, strict=True))}
    n_in, n_out = (math.prod(sizes[letter] for letter in part) for part in (summed, new))
    place = {letter: axis - 1 for axis, letter in enumerate(letters)}
    y = at.build.transpose(x, [place[letter] for letter in kept + summed])
    y = at.build.reshape(y, (*(sizes[letter] for letter in kept), n_in))
    is_outward = list(read) == new + summed
    if len(read) == 2 and len(new) == 1:
        weight, is_turned = at.transposed(constant)
        is_turned ^= not is_outward
    elif is_outward or list(read) == summed + new:
        weight = at.tensor(constant, (n_out, n_in) if is_outward else (n_in, n_out))
        is_turned = not is_outward
    else:
        axes = [read.index(letter) for letter in new + summed]
        weight = at.tensor(constant, (n_out, n_in), transform=lambda w: _permuted(w, axes), suffix=at.node.name)
        is_turned = False
    y = at.build.linear(y, weight, transposed=is_turned, name=at.name)
    y = at.build.reshape(y, tuple(sizes[letter] for letter in kept + new))
    return at.build.transpose(y, [(kept + new).index(letter) for letter in out[1:]])


def _permuted(values: Any, axes: list[int]) -> Any:
    return values.permute(axes)


RULES: dict[str, Any] = {"einsum": einsum, "tensordot": tensordot}
"""A rule by operator."""
