"""Calls made at the same time, on threads of Python: for compiled kernels, which release Python's lock.

Numba's own parallel loops take twice as long to compile, and do not survive a fork. So whoever has much to do cuts it
into parts, and `run` calls a kernel once for each part, every call on a thread of its own.

**Cores.** When a thread wakes another one, the system may put both on one core although a second core is idle, and
leave them there for the whole call. (Virtual machines do so, since a core that looks idle may be in use by somebody
else.) Where there are few cores, and the system can be told (Linux), `run` therefore keeps them apart: during the call
the caller stays on its core, and the other threads stay off that core. Afterwards all of them may run where they could
before. Two cases are left alone. A forked process shares the cores with its parent. And a BLAS that starts threads of
its own in the middle of a call would start them on the one core of the caller, where they would stay for good.
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

__all__ = ["count", "run"]

T = TypeVar("T")

FEW = 8
"""With more cores than this, threads are not kept apart: there is nearly always an idle one."""

HOME = os.getpid()
"""The process that imported this module: only in it, and not in its forks, are threads kept apart."""


class Pool(ThreadPoolExecutor):
    """Threads that can be kept off the core of their caller; one caller at a time can have a core to itself."""

    def __init__(self, n_threads: int) -> None:
        self._native_ids: list[int] = []
        self._core: int | None = None  # the core that a caller has to itself now
        self._allowed: set[int] = set()  # the cores on which that caller, or the last one, could run before
        self._before: dict[int, set[int]] = {}  # for each thread that is kept off that core, where it could run before
        self._keeps_core, self._changes = threading.Lock(), threading.Lock()
        super().__init__(n_threads, "pathgraph", self._begin)

    def _begin(self) -> None:
        """Run first in each new thread, which inherits the cores of the thread that started it: perhaps one only."""
        thread = threading.get_native_id()
        with self._changes:
            self._native_ids.append(thread)
            _allow(thread, self._allowed)
            self._keep_off(thread)

    def begin_apart(self) -> set[int]:
        """Keep the threads off the core of the caller, unless another caller has its core to itself already.

        Returns
        -------
        set of int
            The cores on which the caller may run, to be restored before `end_apart`. Empty if threads cannot be kept
            apart now: then there is nothing to end.
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
            self._core = None  # `_allowed` stays: a thread that the caller started may begin later, on its one core
            while self._before:
                _allow(*self._before.popitem())
        self._keeps_core.release()

    def keep_core(self, cores: set[int]) -> None:
        """Keep the caller on its core, if `begin_apart` gave some; when the threads are awake, or they inherit it."""
        if cores and self._core is not None:
            _allow(0, {self._core})

    def _keep_off(self, thread: int) -> None:
        """Let a thread run on all its cores but the one that a caller has to itself."""
        if self._core is not None:
            allowed = _allowed(thread, self._core)
            if allowed:
                self._before[thread] = allowed
                _allow(thread, allowed - {self._core})


_pools: dict[int, Pool] = {}
"""The threads of this process, under its number: a fork finds its parent's here, and starts its own."""


def count() -> int:
    """How many threads Numba may use; a call may be cut into as many parts.

    `numba.get_num_threads` would start Numba's own threads, and is asked only if they run already.
    """
    import numba

    parallel: Any = sys.modules.get("numba.np.ufunc.parallel")
    if not getattr(parallel, "_is_initialized", False):
        return int(numba.config.NUMBA_NUM_THREADS)
    # what `numba.get_num_threads` asks in its turn, behind two locks; it is private, so it may be missing
    return int(getattr(parallel, "_get_num_threads", numba.get_num_threads)())


def run(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Make some calls at the same time, and return their results in order.

    Parameters
    ----------
    tasks : sequence of callable
        Without arguments. The first one is called on the thread of the caller.

    Notes
    -----
    If no thread has begun a call by the time its result is needed, the caller makes it. So a call may itself use `run`
    without a deadlock, and everything still works where the system has no threads to give.

    When `run` ends, also by an exception, none of the calls is under way any more: they may work on memory that the
    caller owns.
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
                try:  # first of all: an interruption is raised after a call, and would leave the caller on one core
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


def _submitted(pool: Pool, task: Callable[[], T]) -> Future[T] | None:
    """Hand a call to the threads; None if the interpreter is about to end, or the system has no more threads."""
    try:
        return pool.submit(task)
    except RuntimeError:
        _abandon(pool)  # the call may be in their queue all the same
        return None


def _abandon(pool: Pool) -> None:
    """Let the threads end, and the next `run` start new ones; calls not begun are made by the one that waits."""
    if _pools.get(os.getpid()) is pool:
        del _pools[os.getpid()]
    pool.shutdown(wait=False, cancel_futures=True)


def _cores_of(thread: int) -> set[int]:
    """The cores on which a thread (0: this one) may run; none if it has ended, or the system does not tell."""
    with suppress(OSError, AttributeError):
        return os.sched_getaffinity(thread)
    return set()


def _allowed(thread: int, core: int) -> set[int]:
    """The cores on which a thread may run, if `core` is one of a few of them; else none."""
    cores = _cores_of(thread)
    return cores if core in cores and 1 < len(cores) <= FEW else set()


def _allow(thread: int, cores: set[int]) -> None:
    """Let a thread (0: this one) run on these cores only, if there are any and the system permits it."""
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)


def _core() -> int | None:
    """The core that the caller runs on; None if the system does not tell, or threads must not be kept apart."""
    ask = _core_function() if os.getpid() == HOME else None
    found = -1 if ask is None else ask()
    return found if found >= 0 else None


@cache
def _core_function() -> Callable[[], int] | None:
    """The function of the C library that says on which core its caller runs.

    None if NumPy's BLAS is not OpenBLAS. OpenBLAS starts its threads when it is loaded. Another BLAS may start them in
    the first product: if that is made in a call, they would inherit the one core of the caller for good.
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
