"""The Fast DDS profile: which processes take it, and that it does in this Fast DDS what it is for."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from ivif_core.errors import ConfigError, IvifError
from ivif_ros.tools import processes
from ivif_ros.tools.processes import (
    Processes,
    adopt_fastdds_profile,
    fastdds_profile,
    isolated_environment,
    join_graph,
    reserve_domain,
)

VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


@pytest.fixture
def unset(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def of_fastdds():
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def test_a_process_adopts_the_shipped_profile(unset):
    adopt_fastdds_profile()
    assert of_fastdds() == fastdds_profile()
    (path,) = fastdds_profile().values()
    assert path.endswith(("config/fastdds.xml", "config/fastrtps.xml")) and Path(path).is_file()


@pytest.mark.parametrize(
    ("major", "variable", "file"), [(9, "FASTDDS", "fastdds.xml"), (7, "FASTRTPS", "fastrtps.xml")]
)
def test_each_distribution_has_its_variable_and_file(unset, monkeypatch, major, variable, file):
    monkeypatch.setattr(processes, "_rclpy_major", lambda: major)
    ((name, path),) = fastdds_profile().items()
    assert name == f"{variable}_DEFAULT_PROFILES_FILE" and Path(path).name == file


@pytest.mark.parametrize("name", VARIABLES)
def test_what_the_user_set_for_fastdds_stays(unset, monkeypatch, name):
    monkeypatch.setenv(name, "mine")
    adopt_fastdds_profile()
    assert of_fastdds() == {name: "mine"}


def test_an_install_without_the_profile_still_runs(unset, monkeypatch):
    def missing(name):
        raise IvifError(name)

    monkeypatch.setattr(processes, "share_file", missing)
    adopt_fastdds_profile()
    assert of_fastdds() == {}


def test_a_domain_has_one_holder_until_it_is_closed(monkeypatch):
    monkeypatch.setattr(processes, "_DOMAINS", range(215, 217))
    first, holder = reserve_domain()
    second, other = reserve_domain()
    assert {first, second} == {215, 216}
    with other, pytest.raises(IvifError, match="no free ROS domain: all 2 are in use"):
        reserve_domain()
    with holder:
        assert reserve_domain()[0] == second


@pytest.mark.skipif(os.environ.get("ROS_DISTRO") == "humble", reason="Humble announces by multicast only")
def test_the_node_announces_itself_every_second(unset):
    """Who lost the first exchange with a process is found at its next announcement; Fast DDS's own period is 3 s.

    On this machine only, a participant announces itself to the ports of participants 0 to 31 (RTPS 9.6.1.1).
    """
    environment = {name: value for name, value in isolated_environment().items() if name not in VARIABLES}
    port = 7400 + 250 * int(environment["ROS_DOMAIN_ID"]) + 10 + 2 * 31
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, Processes(environment) as children:
        receiver.bind(("127.0.0.1", port))
        receiver.settimeout(20)
        children.start("node", "ivif_ros", ["--ros-args", "--log-level", "warn"])
        receiver.recv(1 << 16)
        first = last = time.monotonic()
        times = []
        while len(times) < 3:  # at its period, which comes after a few quick ones
            receiver.recv(1 << 16)
            now = time.monotonic()
            if now - first > 1.0 and now - last > 0.25:
                times.append(now)
            last = now
    assert times[-1] - times[0] < 4, times  # 2 s, and 6 s by default


@pytest.mark.parametrize("domain", ["abc", "999", "-1", "1.5", "²"])
def test_a_wrong_domain_is_named_before_ros_starts(monkeypatch, domain):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    with pytest.raises(ConfigError, match=r"ROS_DOMAIN_ID=.*from 0 to 232"):
        join_graph([])
