"""What the ROS graph says of a topic on which nothing comes, and of ends that cannot talk to each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ivif_ros.diagnostics import LARGE_IMAGES

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"
MOST = 3
"""Publishers or topics that are named; more make no message clearer."""


def why_silent(node: Node, topic: str, parameter: str, heard: Collection[str]) -> str:
    """Where images were looked for, and what is there instead.

    Args:
        topic: full name, as subscribed.
        parameter: that says the transport: 'thermal_transport' or 'rgb_transport'.
        heard: full names of all topics that the node subscribes, which are nobody's mistake.
    """
    wanted = COMPRESSED if topic.endswith(SUFFIX) else IMAGE
    publishers = node.get_publishers_info_by_topic(topic)
    fitting = [publisher for publisher in publishers if publisher.topic_type == wanted]
    if fitting:
        said = "; ".join(_description(publisher) for publisher in fitting[:MOST])
        count = f"{len(fitting)} publisher{'s' * (len(fitting) > 1)}"
        return f"{topic} has {count} ({said}), but no image arrives: the driver sends none, or {LARGE_IMAGES}"
    if topic.endswith(SUFFIX * 2):
        return f"nobody publishes {topic}, which ends twice on {SUFFIX}: {parameter} adds it; give the base name"
    if publishers:
        kinds = sorted({publisher.topic_type for publisher in publishers})
        return f"{topic} is published as {', '.join(kinds)}, not {wanted}; {_other_transport(parameter, wanted)}"
    return f"no publisher on {topic}{_elsewhere(node, topic, wanted, parameter, heard)}"


def qos_problems(node: Node, topics: Iterable[str]) -> dict[str, list[str]]:
    """Topic -> endpoints with which the node cannot talk: DDS itself says nothing to the user about them.

    Both sides are read from the graph, where every policy has its effective value.
    """
    return {topic: problems for topic in topics if (problems := _qos_problems(node, topic))}


def _qos_problems(node: Node, topic: str) -> list[str]:
    problems = []
    subscriptions = node.get_subscriptions_info_by_topic(topic)
    for publisher in node.get_publishers_info_by_topic(topic):
        for subscription in subscriptions:
            if _is_own(node, publisher) == _is_own(node, subscription):
                continue
            compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
            if compatibility == QoSCompatibility.ERROR:
                ends = f"publisher {publisher.node_name} cannot reach subscriber {subscription.node_name}"
                problems.append(f"QoS of {topic}: {ends}: {reason.strip(' ;')}")
    return problems


def _is_own(node: Node, endpoint: TopicEndpointInfo) -> bool:
    return (endpoint.node_name, endpoint.node_namespace) == (node.get_name(), node.get_namespace())


def _description(publisher: TopicEndpointInfo) -> str:
    name = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
    qos = publisher.qos_profile
    policies = (qos.reliability.name, qos.durability.name)
    return f"{name}: {', '.join(policy.lower().replace('_', ' ') for policy in policies)}"


def _other_transport(parameter: str, wanted: str) -> str:
    return f"set {parameter}: {'raw' if wanted == COMPRESSED else 'compressed'}, and give the base name of the topic"


def _elsewhere(node: Node, topic: str, wanted: str, parameter: str, heard: Collection[str]) -> str:
    published = {
        name: kinds
        for name, kinds in node.get_topic_names_and_types()
        if name not in heard and node.count_publishers(name)
    }
    base = topic.removesuffix(SUFFIX)
    twin, kind = (base, IMAGE) if wanted == COMPRESSED else (base + SUFFIX, COMPRESSED)
    if kind in published.get(twin, ()):
        return f", but {twin} is published; {_other_transport(parameter, wanted)}"
    images = [name for name, kinds in published.items() if wanted in kinds and "/ivif/" not in name]
    for parts in (2, 1):  # of the name: thermal/image_raw under another namespace; then any image_raw
        tail = "/" + "/".join(base.split("/")[-parts:])
        found = [name for name in images if name.removesuffix(SUFFIX).endswith(tail)]
        if found:
            return f", but on {', '.join(found[:MOST])}: remap the topic, or start the node in that namespace"
    return ": is the driver running, on this ROS_DOMAIN_ID, and is the topic remapped?"
