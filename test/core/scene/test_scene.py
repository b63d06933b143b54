from __future__ import annotations

import itertools

import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.scene import Street
from ivif_core.scene.busy import BusyStreet
from ivif_core.scene.canvas import Label

PERIOD = 60


@pytest.fixture(scope="module")
def street():
    return Street((320, 240), seed=1, period=PERIOD)


def test_same_seed_and_index_give_the_same_frame_and_the_loop_closes(street):
    infrared, visible = street.render(7)
    assert infrared.shape == (240, 320) and visible.shape == (240, 320, 3)
    assert infrared.dtype == visible.dtype == np.uint8
    for again in (Street((320, 240), seed=1, period=PERIOD).render(7), street.render(7 + PERIOD)):
        np.testing.assert_array_equal(again[0], infrared)
        np.testing.assert_array_equal(again[1], visible)
    assert (Street((320, 240), seed=2, period=PERIOD).render(7)[1] != visible).mean() > 0.5


def test_the_loop_has_no_seam(street):
    """From the last frame to the first one as much changes as between any two others."""
    frames = [street.render(index)[0].astype(float) for index in range(-3, 4)]
    changes = [np.abs(after - before).mean() for before, after in itertools.pairwise(frames)]
    assert max(changes) < 1.5 * min(changes)


@pytest.mark.parametrize("size", [(32, 32), (65, 47), (400, 100)])
def test_any_size(size):
    infrared, visible = Street(size, period=4).render(2)
    assert infrared.shape == size[::-1] and visible.shape == (*size[::-1], 3)
    assert infrared.std() > 5 and visible.std() > 5


@pytest.mark.parametrize("size,period", [((16, 200), 10), ((64, 64), 0)])
def test_nonsense(size, period):
    with pytest.raises(InputError, match="at least 32x32"):
        Street(size, period=period)


@pytest.mark.parametrize("index", [0, 20, 40])
def test_people_are_warm_and_hardly_visible(street, index):
    """What the scene is for: people stand out for the thermal camera more than for the RGB camera."""
    infrared, visible = (image.astype(float) for image in street.render(index))
    contrasts = []
    for person in street.people(index):
        u, v = street.view.project(np.array([[person.x, 1.15, person.z]]))[0].astype(int)
        if not (20 <= u < 300) or person.z > 16 or abs(person.x) > 6.3:  # outside, small, or behind a house
            continue
        chest, beside = np.s_[v - 1 : v + 2, u - 1 : u + 2], np.s_[v, [u - 20, u + 19]]
        assert infrared[chest].mean() > 110
        contrasts.append([abs(image[chest].mean() - image[beside].mean()) for image in (infrared, visible)])
    assert len(contrasts) >= 2
    thermal, rgb = np.array(contrasts).T
    assert thermal.min() > 30 and rgb.mean() < 0.8 * thermal.mean()


def test_steam_hides_from_the_eye_and_not_from_the_thermal_camera(street):
    (waiting,) = (person for person in street.people(0) if not person.moving)
    hidden = []
    for index in range(0, PERIOD, 6):
        infrared, visible = street.render(index)
        u, v = street.view.project(np.array([[waiting.x, 0.8, waiting.z]]))[0].astype(int)
        assert infrared[v, u] > 110
        hidden.append(visible[v, u].mean() > 45)
    assert any(hidden)


def test_headlights_blind_the_eye_and_leave_the_thermal_camera_its_detail(street):
    brightest = [(visible.min(axis=2) > 245).sum() for visible in (street.render(index)[1] for index in (2, 44))]
    assert brightest[1] > 3 * brightest[0] + 20


def test_labels_say_what_is_there_and_change_no_pixel(street):
    for index in (0, 20, 40):
        infrared, visible, labels = street.render_labelled(index)
        for image, again in zip(street.render(index), (infrared, visible), strict=True):
            np.testing.assert_array_equal(image, again)
        assert labels.shape == infrared.shape and labels.dtype == np.uint8
        for actors, height, label in ((street.people(index), 1.15, Label.PERSON), (street.cars(index), 0.5, Label.CAR)):
            for actor in actors:
                u, v = street.view.project(np.array([[actor.x, height, actor.z]]))[0].astype(int)
                if 20 <= u < 300 and 5 < actor.z < 12 and abs(actor.x) < 6.3:  # nothing stands before them
                    assert labels[v, u] == label
        warm = infrared[labels == Label.PERSON].mean() - infrared[labels == Label.STREET].mean()
        assert (labels == Label.PERSON).any() and warm > 60
        assert visible[labels == Label.LAMP].mean() > 150


def test_a_busy_street_shows_another_scene_in_every_frame():
    street = BusyStreet((160, 120), seed=5)
    first, second = street.render_labelled(0), street.render_labelled(1)
    for image, again in zip(first, BusyStreet((160, 120), seed=5).render_labelled(0), strict=True):
        np.testing.assert_array_equal(image, again)
    assert (first[2] != second[2]).any()
    assert 3 <= len(street.people(0)) <= 9 and all(person.z >= 4 for person in street.people(0))
