"""A night street that the project renders itself; see `ivif_core.scene.render`."""

from __future__ import annotations

from ivif_core.scene.render import Street

__all__ = ["Street"]
