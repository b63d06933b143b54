"""Jobs over Ray: an existing cluster, or one of this machine's cores."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ivif_core.errors import BackendUnavailable, ConfigError
from ivif_core.files.installation import install_command
from ivif_core.files.interruption import held
from ivif_core.files.writing import sweep
from ivif_core.offline.jobs import Job, run_job

ATTEMPTS = 3
"""How often a job is tried whose worker dies (killed, out of memory, machine gone)."""
_LOOK_S = 0.2
"""Seconds after which a signal ends the wait for jobs."""


@contextmanager
def ray_cluster(address: str | None = None, workers: int | None = None) -> Iterator[Any]:
    """Ray, connected.

    Args:
        address: of a running cluster, or 'auto'; None starts one here that ends with the context.
        workers: CPUs of that one; None: all.

    Raises:
        BackendUnavailable: Ray is not installed.
        ConfigError: no cluster answers there, or Ray cannot start here.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: whoever calls this waits for it
    # Otherwise Abseil's handler of SIGTERM comes first, and aborts the process unless it ends within 3 s.
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    try:
        with held():  # an exception that is raised while modules are imported can be lost
            import ray
    except ImportError as error:
        raise BackendUnavailable(f"Ray is not installed; to have it: {install_command('ray')}") from error
    if address and address != "auto":
        _check_answers(address)
    own: dict[str, Any] = (
        {} if address else {"num_cpus": workers or len(os.sched_getaffinity(0)), "include_dashboard": False}
    )
    try:
        # A few seconds; a cluster elsewhere may take longer, and leaves nothing running here.
        with nullcontext() if address else held(), _apart_from_signals(ray):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except BaseException as error:  # a signal that waited for it, too
        ray.shutdown()
        if not isinstance(error, Exception):
            raise
        what = f"--ray {address}: no Ray cluster answers there" if address else "Ray cannot start on this machine"
        raise ConfigError(f"{what}: {error}") from error
    try:
        yield ray
    finally:
        with held():
            ray.shutdown()


@contextmanager
def _apart_from_signals(ray: Any) -> Iterator[None]:
    """Let Ray start its servers in sessions of their own, and without its handler of SIGTERM.

    A signal to the whole process group, as a closed terminal sends, would end the servers, and then Ray aborts this
    process as it tidies up. Ray's handler ends it with status 15. Ray has no options for either.
    """
    services, utils = ray._private.services, ray._private.utils
    start, handle = services.ConsolePopen, utils.set_sigterm_handler
    services.ConsolePopen, utils.set_sigterm_handler = partial(start, start_new_session=True), lambda handler: None
    try:
        yield
    finally:
        services.ConsolePopen, utils.set_sigterm_handler = start, handle


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        raise ConfigError(f"--ray: expected auto or HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ConfigError(f"--ray {address}: nothing answers there: {error}") from error


def run_jobs(ray: Any, jobs: Sequence[Job], earlier: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Do all jobs, one CPU and one task each; yield their entries as they end, as `many.run_job` gives them.

    Args:
        earlier: input -> entry of a former run.
    """
    task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(run_job)
    with held():
        running = {task.remote(job, earlier.get(job.source)): job for job in jobs}
    while running:
        with held():  # inside of Ray's own code an exception can be lost, or leave a lock taken
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_S)
        if not ready:
            continue
        job = running.pop(ready[0])
        try:
            with held():
                entry = ray.get(ready[0])
            yield entry
        except ray.exceptions.RayError as error:
            sweep(Path(job.target).parent)
            yield job.entry(f"its worker died {ATTEMPTS} times: {type(error).__name__}")
