"""Every name and argument of rclpy that our source uses is there in Humble, Jazzy and Kilted (`rclpy_names`).

The table was made of the public sources: humble 3.3.15, jazzy 7.1.3, kilted 9.1.2.
"""

from __future__ import annotations

import importlib
import json

import pytest

from test.ros.rclpy_names import RECEIVERS, RESULTS, TABLE, Signature, Use, our_files, uses

RELEASES = ("humble", "jazzy", "kilted")
KNOWN = json.loads(TABLE.read_text("utf-8"))


def fault(use: Use, signature: Signature | None) -> str:
    """What a release would say to this use; empty: nothing."""
    if signature is None:
        return "is not there"
    if use.positional < 0 or "?" in signature:
        return ""
    by_name = [name for name in signature if not name.startswith("*")]
    takes_all = {name[:2] for name in signature}
    starred = next((index for index, name in enumerate(signature) if name.startswith("*")), len(signature))
    is_open = starred < len(signature) and signature[starred][1:] and not signature[starred].startswith("**")
    if use.positional > starred and not is_open:
        return f"takes {starred} arguments by position, not {use.positional}"
    unknown = [name for name in use.keywords if name not in by_name]
    return f"has no {', '.join(unknown)}" if unknown and "**" not in takes_all else ""


def faults(files) -> list[str]:
    found = []
    for use in uses(files):
        entry = KNOWN.get(use.name)
        if entry is None:
            continue
        for release in RELEASES:
            if why := fault(use, entry[release] if isinstance(entry, dict) else entry):
                found.append(f"{use.where}: {release}: {use.name} {why}")
    return found


def test_what_we_use_is_in_every_release():
    assert faults(our_files()) == []


def test_the_table_knows_all_that_we_use_of_rclpy():
    """What is not in the table is no part of rclpy, as far as the rclpy that runs here tells."""
    pytest.importorskip("rclpy")
    modules = [importlib.import_module(f"rclpy.{name}") for name in ("node", "lifecycle", "publisher", "executors")]
    modules += [importlib.import_module(f"rclpy.{name}") for name in ("subscription", "clock", "time", "context")]
    modules += [importlib.import_module("rclpy.impl.rcutils_logger")]
    for kind in {*RECEIVERS.values(), *RESULTS.values()}:
        assert any(hasattr(module, kind) for module in modules), kind
    for use in uses(our_files()):
        if use.name not in KNOWN:
            owner, _, member = use.name.partition(".")
            classes = [getattr(module, owner) for module in modules if hasattr(module, owner)]
            assert member and not any(hasattr(known, member) for known in classes), f"{use.where}: {use.name}: new"
    used = {use.name for use in uses(our_files())}
    assert used >= set(KNOWN) and len(used & set(KNOWN)) > 80


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("node.create_subscription(A, 'a', f, 1, content_filter_options=None)", "has no content_filter_options"),
        ("node.create_timer(1.0, f, autostart=False)", "humble: LifecycleNode.create_timer has no autostart"),
        ("node.declare_parameter('a', 1, None, False, 2)", "takes 4 arguments by position, not 5"),
        ("rclpy.try_shutdown(uninstall_handlers=True)", "has no uninstall_handlers"),
        ("Duration(1)", "takes 0 arguments by position, not 1"),
        ("node.get_clock().now(1)", "takes 0 arguments by position, not 1"),
    ],
)
def test_what_a_release_lacks_is_noticed(tmp_path, line, why):
    file = tmp_path / "ours.py"
    file.write_text(f"import rclpy\nfrom rclpy.duration import Duration\n{line}\n")
    assert why in "\n".join(faults(iter([file])))


def test_what_all_releases_take_is_no_fault(tmp_path):
    file = tmp_path / "ours.py"
    file.write_text("node.get_logger().info('a', throttle_duration_sec=1.0)\nnode.create_timer(1.0, f, clock=c)\n")
    assert faults(iter([file])) == []
