"""Infrared–visible image fusion: everything about fusion, nothing about ROS."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: Ctrl-C while this package is imported cannot be caught."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ivif_ros")
    except PackageNotFoundError:  # only the sources are here
        return "unknown"
