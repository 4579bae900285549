"""Where checks run: in this process, in several processes of this machine, or on the workers of a Dask cluster.

joblib distributes them and hands over each report as soon as it is there. It does not outlive a process that is
killed, for want of memory say: it raises, and what was finished but not yet handed over is lost. So a pool that broke
is started again for the checks that are missing. After the second time the checks that were running are suspects: each
of them then runs alone, and one that still ends its process is reported as an error instead of stopping the rest.

Reports do not depend on where checks run, nor on their order: random examples are seeded by the name of the check.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

from pathgraph import BackendError
from pathgraph_proofs_checks.registry import Check
from pathgraph_proofs_checks.runner import Failure, Profile, Report, examine
from pathgraph_proofs_checks.versions import sources

__all__ = ["ClusterError", "LostProcessError", "examine_all"]

TRUSTED = 2
"""So many times a broken pool is started again before checks are run one by one."""

ATTEMPTS = 2
"""So many processes a check may end, while it runs alone."""

Task = Any
"""A call as joblib wants it."""


class ClusterError(Exception):
    """A Dask cluster that cannot be reached, or whose workers run another pathgraph."""


class LostProcessError(RuntimeError):
    """The process in which a check ran was killed."""


def examine_all(
    checks: Sequence[Check], profile: Profile, net: Any = None, jobs: int = 1, *, dask: str | None = None
) -> Iterator[Report]:
    """Run checks; the reports come as they are ready, and are the same wherever they were made.

    Parameters
    ----------
    checks : sequence of Check
    profile : Profile
    net : object, optional
        What `pathgraph_proofs_checks.runner.examine` takes: an exact network.
    jobs : int
        How many processes; with one, checks run in this process.
    dask : str, optional
        The address of a Dask scheduler, whose workers take the place of the processes.

    Returns
    -------
    iterator of Report
        In any order. With several processes they start at once, in the background.

    Raises
    ------
    BackendError
        If joblib or Dask is needed and not installed.
    ClusterError
        If the scheduler does not answer, has no workers, or they run other sources than this process.

    Notes
    -----
    With several processes only registered checks can be run; a process reads the files that checks were loaded from,
    which therefore have to be at the same place everywhere. A worker runs one check at a time, whatever its number of
    threads.
    """
    if jobs == 1 and dask is None:
        return (examine(check, profile, net) for check in checks)
    try:
        import joblib
    except ImportError as error:
        raise BackendError(
            "--jobs and --dask need joblib, which is not installed; pip install 'pathgraph[checks]', or pip install "
            "'.[checks]' in a checkout"
        ) from error
    packed = pickle.dumps(net)  # bytes travel with each task, where Dask would lose with a worker what it keeps there
    call = joblib.delayed(_examine)
    tasks = {check.name: (check, call(check, profile, packed, sources())) for check in checks}
    if dask is None:
        return _Pool(jobs).reports(tasks)
    return _Cluster(dask).reports(tasks)


_one_at_a_time = Lock()


def _examine(check: Check, profile: Profile, packed: bytes, expected: str) -> Report | str:
    """One check, in a worker; the digest of the worker's sources if it runs others."""
    with _one_at_a_time:
        return examine(check, profile, _unpacked(packed)) if sources() == expected else sources()


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Any:
    return pickle.loads(packed)


class _Pool:
    """Processes of this machine."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    lost: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def start(self, tasks: Sequence[Task]) -> Iterator[Report | str]:
        """Start tasks in the background."""
        from joblib import Parallel

        pool = Parallel(
            max(2, self.jobs),  # joblib would run a single job in this process
            backend="loky",
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="all",
            max_nbytes=None,
        )
        results: Iterator[Report | str] = pool(tasks)
        return results

    def reports(self, tasks: Mapping[str, tuple[Check, Task]]) -> Iterator[Report]:
        """The reports of all tasks, started now."""
        missing = dict(tasks)
        return _collected(self, missing, self.start([task for _, task in missing.values()]))

    def close(self) -> None:
        """Nothing: joblib keeps its processes for the next time, and ends them with this one."""


class _Cluster(_Pool):
    """Workers of a Dask cluster; Dask itself moves the task of a lost worker to another."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise BackendError(
                f"--dask needs {error.name}, which is not installed; pip install 'pathgraph[dask]', or pip install "
                "'.[dask]' in a checkout"
            ) from error
        self.lost = (KilledWorker,)
        try:
            client: Any = distributed.Client
            self.client: Any = client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(f"no Dask scheduler answers at {address!r}: {error}") from error
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            self.client.close()
            raise ClusterError(f"the Dask scheduler at {address!r} has no workers; start some") from error
        super().__init__(sum(self.client.ncores().values()))

    def start(self, tasks: Sequence[Task]) -> Iterator[Report | str]:
        """Start tasks in the background."""
        from joblib import Parallel, parallel_config

        with parallel_config(backend="dask", client=self.client):
            pool = Parallel(-1, return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        results: Iterator[Report | str] = pool(tasks)
        return results

    def close(self) -> None:
        """Leave the cluster."""
        self.client.close()


PATIENCE = 10
"""Seconds for a scheduler to answer."""


def _collected(
    pool: _Pool, missing: dict[str, tuple[Check, Task]], results: Iterator[Report | str]
) -> Iterator[Report]:
    """Reports as they come; pools that break are started again for what is missing."""
    broken = 0
    with _closing(pool.close):
        while True:
            try:
                for result in results:
                    report = _accepted(result)
                    del missing[report.check.name]
                    yield report
            except pool.lost:
                pass
            broken += 1
            if missing and broken > TRUSTED:  # tasks start in their order, so these are the ones that ran
                for name in list(missing)[: pool.jobs]:
                    check, task = missing.pop(name)
                    yield _alone(pool, check, task)
            if not missing:
                return
            results = pool.start([task for _, task in missing.values()])


@contextmanager
def _closing(close: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        close()


def _alone(pool: _Pool, check: Check, task: Task) -> Report:
    for _ in range(ATTEMPTS):
        try:
            (result,) = pool.start([task])
        except pool.lost:
            continue
        return _accepted(result)
    lost = LostProcessError(f"its process was killed, {ATTEMPTS} times while it ran alone; for want of memory?")
    return Report(check, failure=Failure(None, error=lost))


def _accepted(result: Report | str) -> Report:
    if isinstance(result, str):
        raise ClusterError(
            f"a worker runs other sources of pathgraph ({result}) than this process ({sources()}); install the same"
        )
    return result
