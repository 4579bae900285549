"""A writer of functions in the language of LLVM, for the innermost loops of some kernels.

Left to itself, the compiler does not keep a two-dimensional tile of sums in the registers of the processor. So these
loops are written by hand, in LLVM's own vector types: loads and stores, multiply-adds of whole machine vectors, loops,
and the transposition of small squares of numbers. The module also says how wide the vectors of the processor are, and
how many vector registers it has.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config

from pathgraph.cache_lines import LINE

__all__ = ["I32", "I64", "LINE", "N_REGISTERS", "VECTOR", "Writer"]


def _registers() -> tuple[int, int]:
    """How many bytes a vector register of the processor has, and how many such registers there are."""
    if config.CPU_FEATURES is not None:  # Numba was told to compile for another processor
        features = {feature.lstrip("+"): feature[:1] == "+" for feature in config.CPU_FEATURES.split(",")}
    else:
        try:
            features = llvm.get_host_cpu_features()
        except RuntimeError:  # a processor that LLVM does not know
            features = {}
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


VECTOR, N_REGISTERS = _registers()
"""Bytes of a vector register, and how many registers there are."""
I64, I32 = ir.IntType(64), ir.IntType(32)
VOID = ir.VoidType()


class Writer:
    """Writes one LLVM function, whose arguments are 64-bit integers (numbers and addresses).

    Parameters
    ----------
    module : ir.Module
        The module that gets the function. A second writer with the same name and element finds it there.
    name : str
    element : ir.Type
        The type of the numbers in vectors: float or double.
    n_arguments : int

    Attributes
    ----------
    is_new : bool
        Whether the body is still to be written; if not, only `function` is there.
    function : ir.Function
    builder : ir.IRBuilder
        At the place where the next instruction goes.
    vector : ir.VectorType
        A machine vector.
    size, lanes : int
        Bytes of an element, and elements of a vector.
    """

    def __init__(self, module: Any, name: str, element: Any, n_arguments: int) -> None:
        size = 8 if isinstance(element, ir.DoubleType) else 4
        self.element, self.size, self.lanes = element, size, VECTOR // size
        self.vector = ir.VectorType(element, self.lanes)
        name = f"pathgraph.{name}.{VECTOR}.{size}"
        self.is_new = name not in module.globals
        if not self.is_new:
            self.function = module.globals[name]
            return
        self.function = ir.Function(module, ir.FunctionType(VOID, [I64] * n_arguments), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.function.attributes.add("nounwind")
        self.entry = self.function.append_basic_block("entry")
        self.builder = ir.IRBuilder(self.entry)

    def plus(self, address: Any, *offsets: Any) -> Any:
        """An address plus some offsets, in bytes."""
        for offset in offsets:
            address = self.builder.add(address, I64(offset) if isinstance(offset, int) else offset)
        return address

    def times(self, value: Any, factor: int) -> Any:
        """An integer times a constant."""
        return self.builder.mul(value, I64(factor))

    def load(self, address: Any, kind: Any) -> Any:
        """The value of this type that an address points to; the address need not be aligned."""
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=1)

    def store(self, value: Any, address: Any) -> None:
        """Write a value to an address, which need not be aligned."""
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=1)

    def fetch(self, address: Any, *, to_write: bool = False, level: int = 1) -> None:
        """Ask for the cache line at an address to be brought into a level of the caches; the address may be invalid."""
        module, pointer = self.builder.module, ir.IntType(8).as_pointer()
        name = "llvm.prefetch.p0"
        if name not in module.globals:
            ir.Function(module, ir.FunctionType(VOID, [pointer, I32, I32, I32]), name)
        flags = [I32(int(to_write)), I32(4 - level), I32(1)]
        self.builder.call(module.globals[name], [self.builder.inttoptr(address, pointer), *flags])

    def fetched_next(self, ahead: Any, along: Any, end: Any, jump: Any, row: Any, level: int = 1) -> tuple[Any, Any]:
        """Ask for the cache line at the address `ahead`, and return the next address and end of the row.

        The address moves on by `along`. If it has then reached the end of the row, address and end move to the next
        row: the address by `jump`, the end by `row`.
        """
        self.fetch(ahead, level=level)
        ahead = self.plus(ahead, along)
        is_over = self.builder.icmp_signed(">=", ahead, end)
        return self.plus(ahead, self.builder.select(is_over, jump, I64(0))), self.plus(
            end, self.builder.select(is_over, row, I64(0))
        )

    def spread(self, address: Any, group: int = 1) -> Any:
        """A vector made of the `group` numbers at an address, repeated; `group` divides the number of lanes."""
        if group == self.lanes:
            return self.load(address, self.vector)
        places = ir.Constant(ir.VectorType(I32, self.lanes), [q % group for q in range(self.lanes)])
        if group == 1:
            empty = ir.Constant(self.vector, ir.Undefined)
            few = self.builder.insert_element(empty, self.load(address, self.element), I32(0))
        else:
            kind = ir.VectorType(self.element, group)
            empty, few = ir.Constant(kind, ir.Undefined), self.load(address, kind)
        return self.builder.shuffle_vector(few, empty, places)

    def fma(self, first: Any, second: Any, total: Any) -> Any:
        """``first * second + total``, rounded only once if the processor can do that."""
        kind = self.vector
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.size}"
        module = self.builder.module
        if name not in module.globals:
            ir.Function(module, ir.FunctionType(kind, [kind] * 3), name)
        return self.builder.call(module.globals[name], [first, second, total])

    def interleaved(self, first: Any, second: Any, run: int, half: int) -> Any:
        """Runs of elements taken from two vectors in turn: of every 16 bytes the first half, or the second (`half`)."""
        part = 16 // self.size
        starts = [p * part + half * part // 2 for p in range(self.lanes // part)]
        places = [
            start + of + u + q
            for start in starts
            for u in range(0, part // 2, run)
            for of in (0, self.lanes)
            for q in range(run)
        ]
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, self.lanes), places))

    def transposed(self, rows: list[Any]) -> list[Any]:
        """A square of numbers transposed: as many vectors as each has elements.

        First the numbers inside parts of 16 bytes are exchanged, then such parts.
        """
        done: list[Any] = []
        if self.size == 8:
            for r in range(0, self.lanes, 2):
                done += [self.interleaved(rows[r], rows[r + 1], 1, half) for half in (0, 1)]
        else:
            for r in range(0, self.lanes, 4):
                pairs = [self.interleaved(rows[r + q], rows[r + q + 1], 1, half) for q in (0, 2) for half in (0, 1)]
                done += [self.interleaved(pairs[q], pairs[q + 2], 2, half) for q in (0, 1) for half in (0, 1)]
        h, n = 16 // self.size, self.lanes
        while h < n:
            low = ir.Constant(ir.VectorType(I32, n), [q if q // h % 2 == 0 else n + q - h for q in range(n)])
            high = ir.Constant(ir.VectorType(I32, n), [q + h if q // h % 2 == 0 else n + q for q in range(n)])
            for r in range(n):
                if r // h % 2 == 0:
                    pair = done[r], done[r + h]
                    done[r], done[r + h] = (self.builder.shuffle_vector(*pair, places) for places in (low, high))
            h *= 2
        return done

    def spaced(self, start: Any, stride: Any, rows: int, live: Any = None) -> list[Any]:
        """The addresses of so many rows; with `live`, only that many exist, and the last one stands for the others."""
        found = [start]
        for r in range(1, rows):
            step = stride
            if live is not None:
                step = self.builder.select(self.builder.icmp_signed("<", I64(r), live), stride, I64(0))
            found.append(self.plus(found[-1], step))
        return found

    def loop(self, count: Any, starts: list[Any], body: Any, *, is_tight: bool = False) -> list[Any]:
        """Repeat ``body(state) -> state`` so many times, from the state `starts`, and return the last state.

        With ``is_tight`` LLVM does not unroll the loop: its body needs all registers, or is several steps already.
        """
        builder = self.builder
        before = builder.block
        head, block, after = (self.function.append_basic_block(name) for name in ("head", "body", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        left = builder.phi(I64)
        left.add_incoming(count, before)
        state = [builder.phi(start.type) for start in starts]
        for phi, start in zip(state, starts, strict=True):
            phi.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed(">", left, I64(0)), block, after)
        builder.position_at_end(block)
        done = body(list(state))
        for phi, value in zip([left, *state], [builder.sub(left, I64(1)), *done], strict=True):
            phi.add_incoming(value, builder.block)
        back = builder.branch(head)
        if is_tight:
            back.set_metadata("llvm.loop", self._not_unrolled())
        builder.position_at_end(after)
        return state

    def _not_unrolled(self) -> Any:
        """The metadata of a loop that LLVM must not unroll: a node whose first operand has to be the node itself."""
        module = self.builder.module
        rule = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        node = module.add_metadata([rule])
        node.operands = (node, rule)
        return node

    def accumulated(
        self, rows: int, vectors: int, depth: Any, starts: list[Any], step: Any, group: int = 1, steps: int = 1
    ) -> list[list[Any]]:
        """A tile of sums of products of numbers and vectors, added up over a loop of length `depth`.

        ``step(state, number)`` gives the addresses of the vectors, those of the numbers (or groups of numbers) of the
        rows, and the next state; perhaps also, for each copy that is to be made of the vectors, the addresses of that
        copy. The tile is a list of rows, each a list of vectors.

        A turn of the loop makes some `steps`, numbered from 0; those that are left come one by one, with None for a
        number. So `step` can do some things once a turn: in step 0, say. A vector repeats the `group` numbers that lie
        at one address.
        """
        zero = ir.Constant(self.vector, [0.0] * self.lanes)

        def one(state: list[Any], number: int | None) -> list[Any]:
            sums, where = state[: rows * vectors], state[rows * vectors :]
            addresses, numbers, further, *copies = step(where, number)
            runs = [self.load(address, self.vector) for address in addresses]
            for places in copies:
                for run, place in zip(runs, places, strict=True):
                    self.store(run, place)
            for r in range(rows):
                spread = self.spread(numbers[r], group)
                for v in range(vectors):
                    sums[r * vectors + v] = self.fma(spread, runs[v], sums[r * vectors + v])
            return [*sums, *further]

        def some(state: list[Any]) -> list[Any]:
            for number in range(steps):
                state = one(state, number)
            return state

        is_tight = steps > 1 or rows * vectors + vectors > N_REGISTERS // 2 + N_REGISTERS // 4
        wholes, left = self.builder.udiv(depth, I64(steps)), self.builder.urem(depth, I64(steps))
        state = self.loop(wholes, [zero] * (rows * vectors) + starts, some, is_tight=is_tight)
        state = self.loop(left, state, lambda state: one(state, None), is_tight=is_tight)
        return [state[r * vectors : (r + 1) * vectors] for r in range(rows)]
