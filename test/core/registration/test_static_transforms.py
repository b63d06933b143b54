"""What lies between two frames of a tree; rotations by SciPy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ivif_core.registration.static_transforms import StaticTransforms


def stamped(parent, child, move=(0, 0, 0), quaternion=(0, 0, 0, 1)):
    x, y, z, w = quaternion
    turned = SimpleNamespace(x=x, y=y, z=z, w=w)
    transform = SimpleNamespace(translation=SimpleNamespace(**dict(zip("xyz", move, strict=True))), rotation=turned)
    return SimpleNamespace(header=SimpleNamespace(frame_id=parent), child_frame_id=child, transform=transform)


def tree(*transforms):
    made = StaticTransforms()
    for transform in transforms:
        made.add(transform)
    return made


def test_through_a_common_ancestor_and_along_a_chain():
    random = np.random.default_rng(1)
    turns = Rotation.random(3, random_state=1)
    moves = random.normal(size=(3, 3))
    names = (("base", "mast"), ("mast", "rgb"), ("/base", "thermal"))
    made = tree(*(stamped(*n, m, r.as_quat()) for n, m, r in zip(names, moves, turns, strict=True)))
    point = random.normal(size=3)  # in rgb
    in_base = turns[0].apply(turns[1].apply(point) + moves[1]) + moves[0]
    rotation, translation = made.between("thermal", "rgb")
    np.testing.assert_allclose(rotation @ point + translation, turns[2].inv().apply(in_base - moves[2]))
    rotation, translation = made.between("base", "rgb")
    np.testing.assert_allclose(rotation @ point + translation, in_base)


def test_frames_that_nothing_connects_and_loops():
    assert tree(stamped("a", "b")).between("b", "c") is None
    assert tree(stamped("a", "b"), stamped("b", "a"), stamped("a", "a")).between("a", "z") is None
    assert tree().between("", "") is not None  # one frame is where it is


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, np.nan), (3, 0, 0, 0)])
def test_what_is_no_rotation_is_left_out(quaternion):
    assert tree(stamped("a", "b", quaternion=quaternion)).between("a", "b") is None
    assert tree(stamped("a", "b", move=(0, np.inf, 0))).between("a", "b") is None


def test_the_latest_counts():
    made = tree(stamped("a", "b", (1, 0, 0)), stamped("a", "b", (2, 0, 0)))
    assert made.between("a", "b")[1].tolist() == [2, 0, 0]
