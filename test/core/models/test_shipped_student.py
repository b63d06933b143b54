"""What the shipped student promises: a way without falls from faithful to vivid, a calm picture, and nobody hidden."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.evaluation.metrics import METRICS
from ivif_core.fusion import Fuser
from ivif_core.scene import Street
from ivif_core.training.data.pairs import FolderPairs

STEPS = np.linspace(0, 1, 11)


@pytest.fixture(scope="module")
def fuser():
    with Fuser(backend="onnxruntime") as fuser:
        yield fuser


@pytest.fixture(scope="module")
def street() -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of the rendered street: infrared and visible luminance."""
    scene = Street((320, 240))
    frames = (scene.render(index) for index in (0, 60, 120, 200))
    return [(infrared, cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)) for infrared, visible in frames]


def fuse(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], vividness: float) -> np.ndarray:
    fuser.vividness = float(vividness)
    return fuser.fuse_luminance(*pair).copy()


def curve(fuser: Fuser, pairs: list[tuple[np.ndarray, np.ndarray]], name: str) -> np.ndarray:
    """Mean of a figure at every step of vividness."""
    return np.array([np.mean([METRICS[name](fuse(fuser, pair, step), *pair) for pair in pairs]) for step in STEPS])


@pytest.mark.parametrize("name", ["SD", "AG"])
def test_vividness_raises_it_at_every_step(fuser, street, name):
    found = curve(fuser, street, name)
    assert (np.diff(found) > 0).all() and found[-1] > 1.05 * found[0], found


def test_vividness_raises_the_entropy_of_the_rendered_street_though_not_at_every_step(fuser, street):
    """It is largest near 0.6: above, the rendered sky is lifted to white."""
    found = curve(fuser, street, "EN")
    assert (np.diff(found[:6]) > 0).all() and found.min() == found[0] and found[-1] > 1.05 * found[0], found


@pytest.mark.parametrize("data", ["tno_dev", "msrs_dev"])
@pytest.mark.parametrize("name", ["EN", "SD", "AG"])
def test_vividness_raises_it_on_real_pairs(fuser, shared, data, name):
    pairs = [(pair.infrared, pair.visible) for pair in FolderPairs(shared / "data" / data)]
    assert (np.diff(curve(fuser, pairs, name)) > 0).all()


def test_vividness_has_no_jump(fuser, street):
    """A hundredth changes an image by at most one level in the mean."""
    for low in np.arange(0, 1, 0.1):
        for pair in street:
            one, other = (fuse(fuser, pair, step).astype(int) for step in (low, low + 0.01))
            assert np.abs(one - other).mean() <= 1


@pytest.mark.parametrize(("vividness", "limit"), [(0.0, 1.1), (1.0, 1.6)])
def test_a_still_scene_does_not_flicker(fuser, street, vividness, limit):
    random = np.random.default_rng(0)
    series: list[list[np.ndarray]] = [[], [], []]
    for _ in range(20):
        noisy = [np.clip(np.rint(image + random.normal(0, 2, image.shape)), 0, 255) for image in street[0]]
        pair = tuple(image.astype(np.uint8) for image in noisy)
        for images, image in zip(series, (*pair, fuse(fuser, pair, vividness)), strict=True):
            images.append(image)
    infrared, visible, fused = (np.std(images, axis=0, dtype=np.float32).mean() for images in series)
    assert fused <= limit * max(infrared, visible)


@pytest.mark.parametrize(
    ("blinded", "vividness", "share"),
    [
        *[("visible", 0.0, 0.5), ("visible", 0.25, 0.5), ("visible", 1.0, 0.5)],
        # A saturated thermal image hides much of the visible one at the faithful end: docs/student.md says so.
        *[("infrared", 0.0, 0.2), ("infrared", 0.25, 0.5), ("infrared", 1.0, 0.5)],
    ],
)
def test_what_one_camera_sees_is_there_where_the_other_is_blinded(fuser, blinded, vividness, share):
    """A bar pattern in one source, in the middle of a white area of the other."""
    y, x = np.mgrid[:192, :256]
    seen = (90 + 40 * np.sign(np.sin(x / 5)) * np.sign(np.sin(y / 7))).astype(np.uint8)
    white = np.where((np.abs(x - 128) < 90) & (np.abs(y - 96) < 70), 255, 60).astype(np.uint8)
    pair = (white, seen) if blinded == "infrared" else (seen, white)
    middle = np.s_[66:126, 78:178]
    assert fuse(fuser, pair, vividness)[middle].std() >= share * seen[middle].std()
