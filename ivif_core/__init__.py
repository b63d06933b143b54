"""Infrared–visible image fusion: everything about fusion, nothing about ROS."""

from __future__ import annotations

__version__ = "0.1.0"
