from __future__ import annotations

import numpy as np
import pytest

from ivif_core.scene.canvas import Label
from ivif_core.training.data.pairs import Pair
from ivif_core.training.staged import WARM, cut_out, put_into, rendered, stage, warm_things


@pytest.fixture(scope="module")
def frames():
    return rendered(4, seed=1)


@pytest.fixture
def pair(rng):
    infrared, visible = (rng.integers(60, 120, (150, 200)).astype(np.uint8) for _ in range(2))
    return Pair("pair", infrared, visible)


def test_the_same_seed_gives_the_same_frames_and_another_seed_gives_others(frames):
    again, others = rendered(4, seed=1), rendered(4, seed=2)
    for frame, same, other in zip(frames, again, others, strict=True):
        np.testing.assert_array_equal(frame.pair.infrared, same.pair.infrared)
        assert (frame.labels != other.labels).any()


def test_who_is_cut_out_is_warm_and_whole(frames):
    people = [cutout for frame in frames for cutout in cut_out(frame)]
    assert people
    for person in people:
        border = np.concatenate([person.alpha[0], person.alpha[-1], person.alpha[:, 0], person.alpha[:, -1]])
        assert person.infrared[person.alpha > 0.5].mean() > 110 and border.max() < 0.6


def test_only_what_is_labelled_a_person_changes_by_much(frames, pair):
    people = [cutout for frame in frames for cutout in cut_out(frame)]
    staged = put_into(pair, people, np.random.default_rng(0), "staged")
    change = np.abs(staged.pair.infrared.astype(int) - pair.infrared)
    mask = staged.labels == Label.PERSON
    assert 100 < mask.sum() < mask.size / 2
    assert change[mask].mean() > 30 and (change[~mask] > 0).mean() < 0.05


def test_warm_things_are_compact_blobs_of_some_size(pair):
    infrared = pair.infrared.copy()
    infrared[20:32, 30:38] = 250  # a blob
    infrared[60:62, 10:12] = 250  # too small
    infrared[100:150, 100:180] = 250  # too large
    found = warm_things(infrared)
    assert found[22:30, 32:36].all() and not found[60:62, 10:12].any() and not found[110:140, 120:160].any()
    labels = put_into(Pair("pair", infrared, pair.visible), rendered_people(), np.random.default_rng(3), "").labels
    assert WARM in labels


def rendered_people():
    return [cutout for frame in rendered(2, seed=4) for cutout in cut_out(frame)]


def test_as_many_rendered_as_real_ones(pair):
    staged = stage([pair], 3, seed=0)
    assert [entry.pair.name for entry in staged] == ["street0", "street1", "street2", "staged0", "staged1", "staged2"]
    assert stage([pair], 0, seed=0) == []
