"""The node's state once a second as `diagnostic_msgs/DiagnosticArray`: what flows, how late, what is lost and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ivif_ros.statistics import Statistics, quantile

SILENCE = 1.0
"""A camera that sent nothing for so long (s) is reported as silent."""


def report(
    node_name: str,
    statistics: Statistics,
    now: float,
    *,
    active: bool,
    facts: Mapping[str, str],
    problems: Sequence[str],
) -> DiagnosticArray:
    """Everything worth knowing about the node.

    Args:
        now: monotonic time, s.
        active: whether the node is in the lifecycle state in which it fuses.
        facts: what does not change from second to second (backend, model …).
        problems: warnings found elsewhere (QoS, malformed frames …).
    """
    recent = statistics.recent(now)
    problems = list(problems)
    if active:
        for source, topic in (("infrared", "thermal"), ("visible", "rgb")):
            if (silence := statistics.silence(source, now)) > SILENCE:
                problems.append(f"{topic} camera silent for {silence:.1f} s")
    values = {
        "state": "active" if active else "inactive",
        "thermal rate (Hz)": f"{statistics.rate('infrared', now):.1f}",
        "rgb rate (Hz)": f"{statistics.rate('visible', now):.1f}",
        "fused rate (Hz)": f"{statistics.rate('fused', now):.1f}",
        "fused (count)": str(statistics.fused_count),
        "pair offset median (ms)": _milliseconds([abs(event.offset) for event in recent], 0.5),
        "latency median (ms)": _milliseconds([event.latency for event in recent], 0.5),
        "latency 95th (ms)": _milliseconds([event.latency for event in recent], 0.95),
        "processing median (ms)": _milliseconds([event.total for event in recent], 0.5),
        "network median (ms)": _milliseconds([event.network for event in recent], 0.5),
        **{f"dropped {cause} (count)": str(count) for cause, count in sorted(statistics.dropped.items())},
        **facts,
    }
    status = DiagnosticStatus(
        level=DiagnosticStatus.WARN if problems else DiagnosticStatus.OK,
        name=f"{node_name}: fusion",
        hardware_id="ivif_fusion",
        message="; ".join(problems) if problems else ("fusing" if active else "inactive"),
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    return DiagnosticArray(status=[status])


def qos_problems(node: Node, topics: Iterable[str]) -> list[str]:
    """Endpoints on `topics` with which the node cannot talk: DDS itself says nothing to the user about them.

    Both sides are read from the graph, where every policy has its effective value.
    """

    def is_own(endpoint: TopicEndpointInfo) -> bool:
        return (endpoint.node_name, endpoint.node_namespace) == (node.get_name(), node.get_namespace())

    problems = []
    for topic in topics:
        subscriptions = node.get_subscriptions_info_by_topic(topic)
        for publisher in node.get_publishers_info_by_topic(topic):
            for subscription in subscriptions:
                if is_own(publisher) == is_own(subscription):
                    continue
                compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
                if compatibility == QoSCompatibility.ERROR:
                    ends = f"publisher {publisher.node_name} cannot reach subscriber {subscription.node_name}"
                    problems.append(f"QoS of {topic}: {ends}: {reason.strip(' ;')}")
    return problems


def _milliseconds(values: Sequence[float], share: float) -> str:
    if not values:
        return "-"
    return f"{1e3 * (median(values) if share == 0.5 else quantile(values, share)):.1f}"
