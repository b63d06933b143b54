"""The diagnostics of a stream: one part each for fusion, pairing, thermal and RGB."""

from __future__ import annotations

from rclpy.node import Node

from ivif_core.types import Source
from ivif_ros.complaints import Problems
from ivif_ros.diagnostics import CameraFacts, FusionFacts, Part, camera_part, fusion_part, milliseconds
from ivif_ros.graph_check import qos_problems, why_silent
from ivif_ros.inputs import TOPICS
from ivif_ros.session import Session
from ivif_ros.stream import Stream

PARTS = ("fusion", "pairing", *TOPICS.values())


def inactive_parts() -> list[Part]:
    """What is said while nothing is received."""
    return [Part(name, "inactive", values={"state": "inactive"}) for name in PARTS]


def session_parts(node: Node, session: Session, problems: Problems, now: float) -> list[Part]:
    """Of a node that is configured: fusion first, then what it is made from."""
    stream = session.stream
    parts = inactive_parts() if stream is None else _stream_parts(node, session, stream, problems, now)
    parts[0].values |= session.pipeline.facts
    return parts


def _stream_parts(node: Node, session: Session, stream: Stream, problems: Problems, now: float) -> list[Part]:
    image_topics = dict(zip(TOPICS, (subscription.topic_name for subscription in stream.inputs), strict=False))
    qos = qos_problems(node, [*image_topics.values(), session.outputs.fused_topic])
    problems.say("QoS", "; ".join(text for found in qos.values() for text in found))
    pairing = _pairing(stream, now)
    cameras = {source: _camera(node, stream, source, topic, now) for source, topic in image_topics.items()}
    for source, part in cameras.items():
        problems.say(f"{source} silent", "; ".join(part.errors))
        part.warnings += qos.get(image_topics[source], [])
    causes = [text for part in (*cameras.values(), pairing) for text in (*part.errors, *part.warnings)]
    fusion = fusion_part(_fused(session, stream, now), causes, silent=any(part.errors for part in cameras.values()))
    unserved = session.outputs.unserved
    problems.say("unserved", unserved)
    fusion.warnings += [*qos.get(session.outputs.fused_topic, []), *filter(None, [unserved])]
    for name, warning in session.pipeline.warnings:
        next(part for part in (fusion, *cameras.values()) if part.name == name).warnings.append(warning)
    return [fusion, pairing, *cameras.values()]


def _camera(node: Node, stream: Stream, source: Source, topic: str, now: float) -> Part:
    statistics, watch = stream.statistics, stream.supervisor.watches[source]
    name = TOPICS[source]
    facts = CameraFacts(
        state=watch.state(now),
        silence=statistics.silence(source, now),
        age=watch.age(now),
        rate=statistics.rate(source, now),
        images=statistics.count(source, now),
        infos=statistics.count(f"{source} info", now),
    )
    part = camera_part(name, topic, facts, stream.settings["on_missing"])
    if part.errors:
        heard = {subscription.topic_name for subscription in stream.inputs}
        part.errors = [f"{error}: {why_silent(node, topic, f'{name}_transport', heard)}" for error in part.errors]
    return part


def _pairing(stream: Stream, now: float) -> Part:
    supervisor, settings = stream.supervisor, stream.settings
    status, problem = stream.announce(now), supervisor.pairing_problem(now)
    offsets = [abs(event.offset) for event in stream.statistics.recent(now)]
    part = Part(
        "pairing",
        problem or ("frames find their partners" if status == "fusing" else "waiting for both cameras"),
        values={
            "status": status,
            "pairs (count)": str(supervisor.pairs.pairs),
            "pair offset median (ms)": milliseconds(offsets, 0.5),
            **{name: str(settings[name]) for name in ("pairing", "slop", "queue_size", "thermal_time_offset")},
        },
    )
    if status == "unpaired":
        part.warnings.append(problem or "nothing pairs")
    return part


def _fused(session: Session, stream: Stream, now: float) -> FusionFacts:
    statistics = stream.statistics
    return FusionFacts(
        recent=statistics.recent(now),
        silence=statistics.silence("fused", now),
        rate=statistics.rate("fused", now),
        count=statistics.fused_count,
        dropped=stream.dropped,
        listened=session.outputs.images_wanted,
        wanted=statistics.count("wanted pair", now),
    )
