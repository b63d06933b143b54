"""What the node has beyond its parameters: model and publishers once it is configured, a stream while it is active."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode

from ivif_core.settings import Settings
from ivif_ros.complaints import Problems
from ivif_ros.guard import Guard
from ivif_ros.outputs import Outputs
from ivif_ros.pipeline import Pipeline
from ivif_ros.stream import Stream


class Session:
    """Made when the node is configured, closed when it is cleaned up.

    Attributes:
        pipeline: from messages to fused pixels.
        outputs: the publishers.
        stream: what receives and fuses; None: the node is inactive.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, guard: Guard, problems: Problems) -> None:
        """
        Raises:
            IvifError: the model or the backend cannot be had.
        """
        self._node, self._guard, self._problems = node, guard, problems
        self.stream: Stream | None = None
        self.pipeline = Pipeline(settings)
        try:
            self.outputs = Outputs(node, settings["output_reliability"])
        except Exception:
            self.pipeline.close()
            raise

    def start(self, settings: Settings) -> None:
        """Receive and fuse from now on, as if nothing had come before."""
        self.pipeline.reset()
        self.stream = Stream(self._node, settings, self.pipeline, self.outputs, self._guard, self._problems)

    def use(self, settings: Settings) -> None:
        """Take over settings that may change live."""
        if self.stream is not None:
            self.stream.use(settings)

    def stop(self) -> None:
        """Receive no more, and wait for the frame in work; harmless where nothing runs."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def close(self) -> None:
        """Stop, and free model and publishers."""
        self.stop()
        self.outputs.close()
        self.pipeline.close()
