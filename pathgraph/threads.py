"""Threads of Python for compiled kernels that release its lock: how many there may be, and calls made at the same time.

Numba's own parallel loops take twice as long to compile and do not survive a fork: kernels are called instead on parts
of the work, each on one thread.

A system may wake a thread on the core of the one that wakes it though another core is idle (virtual machines do: an
idle core is then one that somebody else may have), and leave both there for as long as a call takes. On a few cores a
caller therefore keeps its core during its own call, and the others keep away from it, where the system (Linux) can be
told so; after that all may run where they could before.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

__all__ = ["count", "run"]

T = TypeVar("T")

FEW = 8
"""Cores up to which threads are kept apart."""


class Pool(ThreadPoolExecutor):
    """Threads that keep away from the core of their caller."""

    def __init__(self, n_threads: int) -> None:
        self._native_ids: list[int] = []
        self._keeps_core = threading.Lock()
        self._allowed: set[int] = set()
        super().__init__(n_threads, "pathgraph", self._begin)

    def _begin(self) -> None:
        """What a thread does first: it has the cores of the thread that started it, which may keep to one just now."""
        self._native_ids.append(threading.get_native_id())
        _allow(0, self._allowed)

    @contextmanager
    def kept_apart(self) -> Iterator[None]:
        """A time in which the caller keeps its core, unless another one does, and the threads keep away from it."""
        core = _core()
        if core is None or not self._native_ids or not self._keeps_core.acquire(blocking=False):
            yield
            return
        before: dict[int, set[int]] = {}
        try:
            for thread in (0, *self._native_ids):
                with suppress(OSError):  # it has ended, or the system does not tell
                    allowed = os.sched_getaffinity(thread)
                    if not (core in allowed and 1 < len(allowed) <= FEW):
                        continue
                    if thread == 0:
                        self._allowed = allowed
                    before[thread] = allowed
                    _allow(thread, allowed - {core} if thread else {core})
            yield
        finally:
            self._allowed = set()
            for thread, allowed in before.items():
                _allow(thread, allowed)
            self._keeps_core.release()


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
        with pool.kept_apart():
            others += [_submitted(pool, task) for task in tasks[1:]]
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


def _allow(thread: int, cores: set[int]) -> None:
    """Let a thread (0: this one) run on these cores, if there are any and the system permits it."""
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)


def _core() -> int | None:
    """On which core the caller runs; None if that cannot be told, or threads cannot be kept apart."""
    ask = _asks_for_core()
    found = -1 if ask is None else ask()
    return found if found >= 0 else None


@cache
def _asks_for_core() -> Callable[[], int] | None:
    """The function of the C library that says on which core its caller runs."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    import ctypes

    with suppress(OSError, AttributeError):
        ask: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu  # keeps the lock of the interpreter
        return ask
    return None
