from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.imaging.files import read_infrared
from ivif_core.thermal.telemetry import telemetry_rows


def scene(height=120, width=160, level=30000, contrast=400):
    random = np.random.default_rng(0)
    smooth = cv2.resize(random.normal(0, 1, (6, 8)).astype(np.float32), (width, height))
    return np.clip(level + contrast * smooth + random.normal(0, 5, (height, width)), 0, 65535).astype(np.uint16)


def lepton_rows(count, width=160):
    """As a Lepton fills them (Lepton engineering datasheet, telemetry): revision, counters, mostly reserved zeros."""
    rows = np.zeros((count, width), np.uint16)
    rows[0, :40] = np.random.default_rng(1).integers(0, 65536, 40)
    rows[:, 50:52] = (7, 65000)
    return rows


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("contrast", [5, 400])
def test_telemetry_is_found_at_either_edge(count, contrast):
    image, rows = scene(contrast=contrast), lepton_rows(count)
    assert telemetry_rows(np.vstack([rows, image])) == (count, 0)
    assert telemetry_rows(np.vstack([image, rows])) == (0, count)
    assert telemetry_rows(np.vstack([lepton_rows(1), image, rows])) == (1, count)


def test_images_without_it_are_left_alone():
    assert telemetry_rows(scene()) == (0, 0)
    assert telemetry_rows(np.full((60, 80), 3000, np.uint16)) == (0, 0)
    hot = scene()
    hot[-30:, 20:120] = 60000  # a stove at the lower edge, and the sky at the upper one
    hot[:25] = 20000
    assert telemetry_rows(hot) == (0, 0)
    lying = scene()
    lying[-2:] = 60000  # flat: nothing that telemetry is
    assert telemetry_rows(lying) == (0, 0)
    assert telemetry_rows(scene().astype(np.float32)) == (0, 0)
    assert telemetry_rows(np.zeros((3, 160), np.uint16)) == (0, 0)


def test_real_counts_hold_none(shared):
    files = [path for path in (shared / "data" / "flir_raw16").rglob("*") if path.suffix in (".png", ".tif", ".tiff")]
    found = {path.name: telemetry_rows(read_infrared(path)) for path in files}
    assert found and set(found.values()) == {(0, 0)}, {name: rows for name, rows in found.items() if any(rows)}
