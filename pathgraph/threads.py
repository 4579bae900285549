"""Threads of Python for compiled kernels that release its lock: how many there may be, and calls made at the same time.

Numba's own parallel loops take twice as long to compile and do not survive a fork: kernels are called instead on parts
of the work, each on one thread.

A system may wake a thread on the core of the one that wakes it though another core is idle (virtual machines do: an
idle core is then one that somebody else may have), and leave both there for as long as a call takes. On a few cores a
caller therefore keeps its core during its own call, and the others keep away from it, where the system (Linux) can be
told so; after that all may run where they could before. Not so in forks, which share the cores, nor beside a BLAS that
may start threads of its own in a call: they would keep its core for good.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

__all__ = ["count", "keep_freed_memory", "run"]

T = TypeVar("T")

FEW = 8
"""Cores up to which threads are kept apart."""

HOME = os.getpid()
"""The process in which threads are kept apart: its forks share the cores with it."""


class Pool(ThreadPoolExecutor):
    """Threads that can be kept off the core of their caller."""

    def __init__(self, n_threads: int) -> None:
        self._native_ids: list[int] = []
        self._core: int | None = None  # of the caller that keeps its core now
        self._allowed: set[int] = set()  # where that one, or the last one, could run before
        self._before: dict[int, set[int]] = {}  # where the threads could run that are kept off it
        self._keeps_core, self._changes = threading.Lock(), threading.Lock()
        super().__init__(n_threads, "pathgraph", self._begin)

    def _begin(self) -> None:
        """What a thread does first; it begins with the cores of the thread that started it."""
        thread = threading.get_native_id()
        with self._changes:
            self._native_ids.append(thread)
            _allow(thread, self._allowed)
            self._keep_off(thread)

    def begin_apart(self) -> set[int]:
        """Let the threads keep off the core of the caller, unless another one has that, or they cannot be kept apart.

        Returns where the caller may run; nothing, if it cannot keep its core, and then there is nothing to end.
        """
        core = _core()
        if core is None or not self._keeps_core.acquire(blocking=False):
            return set()
        cores = _allowed(0, core)
        with self._changes:
            self._core, self._allowed = core, cores
            for thread in self._native_ids:
                self._keep_off(thread)
        if not cores:
            self.end_apart()
        return cores

    def end_apart(self) -> None:
        """Let the threads run again where they could before."""
        with self._changes:
            self._core = None  # but not where: threads may be about to begin with the cores of one that was kept off
            while self._before:
                _allow(*self._before.popitem())
        self._keeps_core.release()

    def keep_core(self, cores: set[int]) -> None:
        """Keep the caller on its core, if there is one to keep: to be called when the threads have been woken."""
        if cores and self._core is not None:
            _allow(0, {self._core})

    def _keep_off(self, thread: int) -> None:
        """Let a thread run on other cores only."""
        if self._core is not None:
            allowed = _allowed(thread, self._core)
            if allowed:
                self._before[thread] = allowed
                _allow(thread, allowed - {self._core})


_pools: dict[int, Pool] = {}
"""The threads, by the process that they belong to: a fork has to start its own."""


def count() -> int:
    """What `numba.get_num_threads` says, which is asked only where somebody has already woken Numba's own threads."""
    import numba

    is_awake = getattr(sys.modules.get("numba.np.ufunc.parallel"), "_is_initialized", False)
    return int(numba.get_num_threads() if is_awake else numba.config.NUMBA_NUM_THREADS)


def run(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of some calls, made at the same time.

    A call that no thread has begun when this one gets to it is made here: calls may make calls in turn, and never wait
    for a thread that waits for them; and all are made here where there are no threads to be had. No call is under way
    any more when this one ends, be it by an exception: calls may work on memory that its caller owns.
    """
    if len(tasks) == 1:
        return [tasks[0]()]
    pool = _pools.get(os.getpid())
    if pool is None:
        _pools.clear()
        pool = _pools[os.getpid()] = Pool(os.cpu_count() or 1)
    others: list[Future[T] | None] = []
    try:
        cores = pool.begin_apart()
        try:
            others += [_submitted(pool, task) for task in tasks[1:]]
            pool.keep_core(cores)
            results = [tasks[0]()]
        finally:
            if cores:
                try:  # before any other call: interruptions are raised after calls, and would leave it there
                    os.sched_setaffinity(0, cores)
                except OSError:  # the system does not permit it
                    cores = set()
                pool.end_apart()
        for task, other in zip(tasks[1:], others, strict=True):
            results.append(task() if other is None or other.cancel() else other.result())
    except BaseException:
        _abandon(pool)  # an interruption may have left any of its locks locked
        raise
    finally:
        wait([other for other in others if other is not None and not other.cancel()])
    return results


@cache
def keep_freed_memory() -> None:
    """Let the C library keep some more of what threads free, for their next call.

    The one of GNU gives the end of a thread's memory back to the system if it is more than twice the largest block that
    was ever freed, up to 64 MB; then the next call gets it again page by page. So free a large block, never written.
    """
    import numpy as np

    np.empty((1 << 25) - (1 << 15), dtype=np.uint8)


def _submitted(pool: Pool, task: Callable[[], T]) -> Future[T] | None:
    """A call for the threads, or None where the interpreter is about to end, or the system has no more threads."""
    try:
        return pool.submit(task)
    except RuntimeError:
        _abandon(pool)  # it may stand in their queue all the same
        return None


def _abandon(pool: Pool) -> None:
    """Let the threads end and the next call start new ones; calls that they have not begun are made by who waits."""
    if _pools.get(os.getpid()) is pool:
        del _pools[os.getpid()]
    pool.shutdown(wait=False, cancel_futures=True)


def _allowed(thread: int, core: int) -> set[int]:
    """The cores on which a thread (0: this one) may run, if this one is among them, and there are others but few."""
    with suppress(OSError):  # it has ended, or the system does not tell
        cores = os.sched_getaffinity(thread)
        return cores if core in cores and 1 < len(cores) <= FEW else set()
    return set()


def _allow(thread: int, cores: set[int]) -> None:
    """Let a thread (0: this one) run on these cores, if there are any and the system permits it."""
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)


def _core() -> int | None:
    """On which core the caller runs; None if that cannot be told, or threads cannot be kept apart."""
    ask = _asks_for_core() if os.getpid() == HOME else None
    found = -1 if ask is None else ask()
    return found if found >= 0 else None


@cache
def _asks_for_core() -> Callable[[], int] | None:
    """The function of the C library that says on which core its caller runs.

    None where a call might start threads that inherit its cores for good: a BLAS other than OpenBLAS, which starts its
    threads when it is loaded, may do so in the first product.
    """
    if not hasattr(os, "sched_setaffinity") or not _is_openblas():
        return None
    import ctypes

    with suppress(OSError, AttributeError):
        ask: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu  # keeps the lock of the interpreter
        return ask
    return None


def _is_openblas() -> bool:
    """Whether NumPy says that its BLAS is OpenBLAS."""
    import numpy as np

    try:
        built: Any = np.show_config(mode="dicts")
        return "openblas" in str(built["Build Dependencies"]["blas"]["name"]).lower()
    except (KeyError, TypeError):  # it does not say
        return False
