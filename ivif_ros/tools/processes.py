"""Several processes on a ROS graph of their own: what the demo and the benchmark start, watch and always clean up."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ivif_core.errors import ConfigError, IvifError, one_line, shown
from ivif_core.files.shared import share_file
from ivif_core.imaging.freed_memory import keep_freed_memory

_FASTDDS_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
_KILTED = 9
"""Major version of rclpy; Jazzy's is 7, Humble's 3."""
PATIENCE = 5.0
"""Seconds that a process has to end after SIGINT."""
_DOMAINS = range(1, 102)
"""ROS domains whose ports are free on every system."""
_LAST_DOMAIN = 232
"""The ports of a higher one are above 65535 (RTPS 9.6.1.1)."""
_reserved: list[socket.socket] = []


class ProcessDied(IvifError):
    """A child process ended by itself before its time."""


def _rclpy_major() -> int:
    """Of the distribution's package, or of PyPI's, whose name differs."""
    from importlib.metadata import PackageNotFoundError, version

    for name in ("rclpy", "ros-rclpy"):
        with suppress(PackageNotFoundError):
            return int(version(name).split(".")[0])
    return _KILTED


def fastdds_profile() -> dict[str, str]:
    """The environment variable that names the profile for this ROS distribution's Fast DDS, or what the user set."""
    if _rclpy_major() >= _KILTED:
        name, file = "FASTDDS_DEFAULT_PROFILES_FILE", "config/fastdds.xml"
    else:
        name, file = "FASTRTPS_DEFAULT_PROFILES_FILE", "config/fastrtps.xml"
    return {name: os.environ.get(name) or str(share_file(file))}


def adopt_fastdds_profile() -> None:
    """Give this process the profile, before `rclpy.init`. Where the user set Fast DDS up, that stays."""
    if not any(name in os.environ for name in _FASTDDS_VARIABLES):
        with suppress(IvifError):  # without the file it runs, as Fast DDS does by default
            os.environ.update(fastdds_profile())


def reserve_domain() -> tuple[int, socket.socket]:
    """A random ROS domain, and a socket: until it is closed, no other call on this machine gets the same domain.

    The socket holds a port of the domain that DDS does not use (RTPS 9.6.1.1: 250 ports a domain, of them 0, 1 and
    those from 10 on).

    Raises:
        IvifError: all domains are taken.
    """
    for domain in secrets.SystemRandom().sample(_DOMAINS, len(_DOMAINS)):
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            holder.bind(("127.0.0.1", 7400 + 250 * domain + 5))
            return domain, holder
        except OSError:
            holder.close()
    raise IvifError(f"no free ROS domain: all {len(_DOMAINS)} are in use on this machine")


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        told = re.sub(r"^[^:]+: (?=Couldn't)|, at \S+:\d+", "", str(error))
        raise ConfigError(f"ROS refuses what follows --ros-args: {one_line(told)}") from error


def own_arguments(argv: list[str]) -> list[str]:
    """Those of a command line that are not for ROS, without the program's name.

    Raises:
        ConfigError: what follows --ros-args is refused.
    """
    from rclpy.utilities import remove_ros_args  # here, as below: the launch files need none of it

    with _refusals():
        return list(remove_ros_args(argv)[1:])


def join_graph(argv: list[str] | None, **options: Any) -> None:
    """`rclpy.init`, with the profile for Fast DDS and an allocator that keeps what large images free.

    Args:
        argv: what `rclpy.init` takes; None: the command line.

    Raises:
        ConfigError: what follows --ros-args is refused, or ROS_DOMAIN_ID is no domain.
    """
    import rclpy

    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not domain.isdecimal() or int(domain) > _LAST_DOMAIN:  # Fast DDS would end the process
        raise ConfigError(f"ROS_DOMAIN_ID={shown(domain)}: expected an integer from 0 to {_LAST_DOMAIN}")
    adopt_fastdds_profile()
    keep_freed_memory()
    with _refusals():
        rclpy.init(args=argv, **options)


def isolated_environment() -> dict[str, str]:
    """This environment, with the profile for Fast DDS and a ROS domain that is this process's own while it lives."""
    local_only = (
        {"ROS_LOCALHOST_ONLY": "1"}
        if os.environ.get("ROS_DISTRO") == "humble"
        else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    )
    domain, holder = reserve_domain()
    _reserved.append(holder)
    return {
        **os.environ,
        **local_only,
        **fastdds_profile(),
        "ROS_DOMAIN_ID": str(domain),
        "PYTHONUNBUFFERED": "1",
    }


def private_kilobytes(pid: int) -> int:
    """Memory of a process in kB: resident, less what is shared between processes (Linux)."""
    pairs = (line.split(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kilobytes = {key: int(value.split()[0]) for key, value in pairs if key in ("VmRSS", "RssShmem")}
    return kilobytes["VmRSS"] - kilobytes["RssShmem"]


class Processes:
    """Child Python processes in one environment; leaving the context ends them all."""

    def __init__(self, environment: dict[str, str], logs: Path | None = None) -> None:
        """
        Args:
            logs: folder in which each child's output goes to `<name>.log`; None leaves it on this terminal.
        """
        self._environment = environment
        self._logs = logs
        self._children: dict[str, subprocess.Popen[str]] = {}

    def start(
        self, name: str, module: str, arguments: Sequence[str], *, capture: bool = False
    ) -> subprocess.Popen[str]:
        """Start `python -m module arguments…`; with `capture`, its standard output is a pipe."""
        with nullcontext() if self._logs is None else self._logs.joinpath(f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self._environment,
                stdout=subprocess.PIPE if capture else log,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C in the terminal goes to the parent, which ends its children in order
            )
        self._children[name] = child
        return child

    def check(self) -> None:
        """
        Raises:
            ProcessDied: a child has ended with an error.
        """
        for name, child in self._children.items():
            if child.poll():
                raise ProcessDied(f"{name} ended with status {child.returncode}{self._last_words(name)}")

    def wait(self, seconds: float) -> None:
        """Sleep, watching the children.

        Raises:
            ProcessDied: as `check`.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(0.1, left))

    def _last_words(self, name: str) -> str:
        if self._logs is None:
            return "; its message is above"
        lines = self._logs.joinpath(f"{name}.log").read_text(errors="replace").splitlines()[-20:]
        return ":\n" + "\n".join(f"  {line}" for line in lines) if lines else " and said nothing"

    def stop(self, name: str) -> int:
        """SIGINT to one child, SIGKILL if it does not end in time; its exit status."""
        child = self._children.pop(name)
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            return child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in list(self._children):
            self.stop(name)
