from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ivif_ros.tools.processes import isolated_environment, reserve_domain

if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["*test_*.py"]  # no ROS here: pip install 'ivif_ros[ros]'
else:
    os.environ.update(isolated_environment())
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node

TIMEOUT = 15.0
"""Seconds after which something that should have happened is taken as failed."""


class Graph:
    """A ROS graph of its own: nodes added to it are spun in the background.

    Attributes:
        environment: for child processes that join it.
    """

    def __init__(self) -> None:
        self.context = rclpy.Context()
        domain, self._reserved = reserve_domain()
        self.environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
        rclpy.init(context=self.context, domain_id=domain)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._nodes: list[Node] = []
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def add(self, node: Any) -> Any:
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def node(self, name: str) -> Node:
        return self.add(Node(name, context=self.context))

    def call(self, client: Any, request: Any) -> Any:
        """The response of a service, by a client of one of this graph's nodes."""
        assert client.wait_for_service(TIMEOUT), f"no service {client.srv_name}"
        future = client.call_async(request)
        assert wait_for(future.done), f"no answer from {client.srv_name}"
        return future.result()

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=5)
        for node in self._nodes:
            node.destroy_node()
        rclpy.shutdown(context=self.context)
        self._thread.join(5)
        self._reserved.close()


def wait_for(condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Poll until `condition()` is true; its last value."""
    end = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.close()
