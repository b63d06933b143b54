"""Infrared–visible image fusion: everything about fusion, nothing about ROS."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ivif_ros")
except PackageNotFoundError:  # only the sources are here
    __version__ = "unknown"
