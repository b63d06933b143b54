"""Thermal | RGB | fused side by side."""

from __future__ import annotations

import cv2
import numpy as np

TITLES = ("thermal", "RGB", "fused")


def triptych(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray, width: int | None = None) -> np.ndarray:
    """Thermal | RGB | fused with their titles.

    Args:
        infrared: uint8 h×w of any size.
        visible, fused: uint8 H×W×3 BGR or H×W.
        width: of one panel; None: the visible's.

    Returns:
        uint8 H'×3W'×3 BGR, H' and W' even (video codecs ask for that).
    """
    width = (visible.shape[1] if width is None else width) // 2 * 2
    height = max(2, round(visible.shape[0] * width / visible.shape[1]) // 2 * 2)
    panels = []
    for image, title in zip((infrared, visible, fused), TITLES, strict=True):
        how = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_LINEAR
        panel = cv2.resize(image, (width, height), interpolation=how)
        panel = cv2.cvtColor(panel, cv2.COLOR_GRAY2BGR) if panel.ndim == 2 else panel
        scale = width / 900
        place, font = (round(24 * scale), round(48 * scale)), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(panel, title, place, font, scale, (0, 0, 0), max(1, round(6 * scale)), cv2.LINE_AA)
        cv2.putText(panel, title, place, font, scale, (255, 255, 255), max(1, round(2 * scale)), cv2.LINE_AA)
        panels.append(panel)
    return cv2.hconcat(panels)
