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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

__all__ = ["count", "run"]

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
        self._allowed: set[int] = set()  # where that one could run before
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

    @contextmanager
    def kept_apart(self) -> Iterator[Callable[[], None]]:
        """A time in which the threads keep off the core of the caller, unless another one has that, too.

        Gives what lets the caller keep its core in that time: it should be called when the threads have been woken.
        """
        core = _core()
        if core is None or not self._keeps_core.acquire(blocking=False):
            yield lambda: None
            return
        try:
            with self._changes:
                self._core, self._allowed = core, _allowed(0, core)
                for thread in self._native_ids:
                    self._keep_off(thread)
            yield lambda: _allow(0, {core} if self._allowed else set())
        finally:
            with self._changes:
                _allow(0, self._allowed)
                self._core, self._allowed = None, set()
                while self._before:
                    _allow(*self._before.popitem())
            self._keeps_core.release()

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
        with pool.kept_apart() as keep_core:
            others += [_submitted(pool, task) for task in tasks[1:]]
            keep_core()
            results = [tasks[0]()]
        for task, other in zip(tasks[1:], others, strict=True):
            results.append(task() if other is None or other.cancel() else other.result())
    finally:
        wait([other for other in others if other is not None and not other.cancel()])
    return results


def _submitted(pool: ThreadPoolExecutor, task: Callable[[], T]) -> Future[T] | None:
    """A call for the threads, or None where the interpreter is about to end, or the system has no more threads."""
    try:
        return pool.submit(task)
    except RuntimeError:
        _pools.pop(os.getpid(), None)
        pool.shutdown(wait=False, cancel_futures=True)  # it may stand in their queue all the same
        return None


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
