from __future__ import annotations

import json
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivif_core.calibration.fitting import transform
from ivif_core.errors import IvifError
from ivif_core.offline.view_frames import Frames
from ivif_core.offline.view_page import LIVE, MOVES, ViewServer
from ivif_core.registration.base import Homography, rescaling
from ivif_core.settings import Settings, read_parameter_file
from ivif_core.thermal.scaling import MODES

AT_REST = {name: rest for name, (rest, _, _) in MOVES.items()}


@pytest.fixture
def images(rng):
    counts = cv2.resize(rng.integers(20000, 24000, (6, 8), np.uint16), (80, 64))
    return counts, cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (128, 96))


@pytest.fixture
def view(serve, images, brighter_model):
    fusers = []

    def make(infrared=None, own=None, celsius=False, **values):
        settings = Settings.from_values({"model": str(brighter_model), **values})
        pair = images[0] if infrared is None else infrared, images[1], own
        frames = Frames(["a", "b"], lambda index: (pair[0] + pair[0].dtype.type(index), *pair[1:]), celsius)
        fusers.append(settings.fuser(is_stream=False))
        return serve(ViewServer(frames, settings, fusers[-1]))

    yield make
    for fuser in fusers:
        fuser.close()


def get(server, path):
    with urllib.request.urlopen(server.address + path, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read()


def look(server, **content):
    body = json.dumps({"frame": 0, **content}).encode()
    request = urllib.request.Request(server.address + "look", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def picture(server, name, number, flags=cv2.IMREAD_UNCHANGED):
    return cv2.imdecode(np.frombuffer(get(server, f"{name}?{number}")[1], np.uint8), flags)


def as_the_node(text, images, tmp_path):
    """What the offline tools make of a pair by a parameter file."""
    (tmp_path / "copied.yaml").write_text(text)
    settings = Settings.from_values(read_parameter_file(tmp_path / "copied.yaml"))
    with settings.fuser(is_stream=False) as fuser:
        return fuser.prepare(*images).registered, fuser.fuse(*images)


@pytest.mark.parametrize(
    ("values", "move"),
    [
        ({}, {}),
        ({"thermal_scaling.mode": "fixed", "thermal_scaling.low": 20500, "thermal_scaling.high": 23000.5}, AT_REST),
        ({"thermal_scaling.mode": "plateau", "thermal_scaling.clahe": 2.5}, {"right": 7.5, "turn": 3.0}),
        ({"thermal_scaling.high_percentile": 90.0, "vividness": 1}, {"down": -4, "scale": 1.25}),
    ],
)
def test_what_is_shown_is_what_the_copied_parameters_give(view, images, tmp_path, values, move):
    server = view()
    answer = look(server, values=values, move=move)
    registered, fused = as_the_node(answer["yaml"], images, tmp_path)
    np.testing.assert_array_equal(picture(server, "thermal.bmp", answer["key"]), registered)
    np.testing.assert_array_equal(picture(server, "fused.bmp", answer["key"]), fused)
    np.testing.assert_array_equal(picture(server, "visible.bmp", answer["key"]), images[1])
    written = yaml.safe_load(answer["yaml"])["/ivif_fusion"]["ros__parameters"]
    assert ("registration" in written) == bool(move and move != AT_REST)


def test_moves_are_right_down_clockwise_and_larger_about_the_middle(view):
    answer = look(view(), move={"right": 10, "down": 5, "turn": 90, "scale": 2})
    written = yaml.safe_load(answer["yaml"])["/ivif_fusion"]["ros__parameters"]["registration"]
    matrix = np.reshape(written["homography"], (3, 3))
    middle, right = transform(
        matrix, transform(np.linalg.inv(rescaling((80, 64), (128, 96))), np.array([[63.5, 47.5], [73.5, 47.5]]))
    )
    np.testing.assert_allclose(middle, [73.5, 52.5], atol=1e-6)
    np.testing.assert_allclose(right, [73.5, 72.5], atol=1e-6)  # what lay right of the middle lies below, twice as far


def test_a_registration_of_the_pair_itself_counts_and_is_moved(view):
    own = Homography(np.array([[1.2, 0, 10], [0, 1.2, 5], [0, 0, 1.0]]))
    server = view(own=own, celsius=True, **{"radiometry.kind": "linear", "radiometry.scale": 1.0})
    assert "homography" not in look(server)["yaml"] and "radiometry" not in look(server)["yaml"]
    moved = yaml.safe_load(look(server, move={"right": 2})["yaml"])["/ivif_fusion"]["ros__parameters"]
    np.testing.assert_allclose(moved["registration"]["homography"], [1.2, 0, 12, 0, 1.2, 5, 0, 0, 1])


def test_the_range_is_in_the_unit_of_the_parameters(view, images):
    counts = np.percentile(images[0], [0, 1, 99, 100])
    np.testing.assert_allclose(look(view())["range"], counts)
    linear = {"radiometry.kind": "linear", "radiometry.scale": 0.01, "radiometry.offset": -273.15}
    np.testing.assert_allclose(look(view(**linear))["range"], counts * 0.01 - 273.15)
    dead = np.full((64, 80), np.nan, np.float32)
    assert look(view(dead))["range"] == [0.0] * 4


def test_thermal_of_8_bits_is_not_scaled(view, images):
    answer = look(view((images[0] // 100).astype(np.uint8)))
    assert not answer["scaled"] and look(view())["scaled"]


def test_the_state_a_page_starts_from_and_previews(view):
    server = view(vividness=0.75)
    state = json.loads(get(server, "state")[1])
    assert state["names"] == ["a", "b"] and state["values"].keys() == set(LIVE) and state["moves"] == AT_REST
    assert state["values"]["vividness"] == 0.75
    kind, _ = get(server, "small.jpg?1")
    assert kind == "image/jpeg" and picture(server, "small.jpg", 1).shape == (120, 160, 3)
    for name, kind in (("", "text/html"), ("view_page.css", "text/css"), ("view_page.js", "text/javascript")):
        assert get(server, name)[0].startswith(kind)


@pytest.mark.parametrize("path", ["fused.bmp", "fused.bmp?x", "fused.bmp?99", "fused.bmp?-1", "small.jpg?2"])
def test_a_picture_that_is_none_is_refused(view, path):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(view(), path)
    assert error.value.code == 400


def test_old_results_go(view):
    server = view()
    keys = [look(server)["key"] for _ in range(9)]
    picture(server, "fused.bmp", keys[-1])
    with pytest.raises(urllib.error.HTTPError):
        get(server, f"fused.bmp?{keys[0]}")


@pytest.mark.parametrize(
    "content",
    [
        {"frame": 2},
        {"frame": -1},
        {"frame": True},
        {"frame": "0"},
        {"frame": None},
        {"other": 1},
        {"values": []},
        {"values": {"model": "/etc/passwd"}},
        {"values": {"registration.file": "/etc/passwd"}},
        {"values": {"vividness": 2}},
        {"values": {"vividness": "1"}},
        {"values": {"thermal_scaling.mode": "none"}},
        {"values": {"thermal_scaling.low_percentile": 99.5}},
        {"values": {"thermal_scaling.mode": "fixed", "thermal_scaling.low": 9.0, "thermal_scaling.high": 3.0}},
        {"move": []},
        {"move": {"left": 1}},
        {"move": {"right": "1"}},
        {"move": {"right": 1e300}},
        {"move": {"scale": 0}},
        {"move": {"turn": None}},
    ],
    ids=str,
)
def test_what_the_node_would_refuse_is_refused_on_one_line(view, content):
    server = view()
    with pytest.raises(urllib.error.HTTPError) as error:
        look(server, **content)
    said = error.value.read().decode()
    assert error.value.code == 400 and said and "\n" not in said
    assert look(server)["key"] == 1


@pytest.fixture
def one_view(view):
    return view()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
REQUESTS = JSON | st.fixed_dictionaries(
    {"frame": st.integers(0, 1) | JSON},
    optional={
        "values": st.dictionaries(st.sampled_from(LIVE), st.floats() | st.sampled_from(MODES) | JSON, max_size=3),
        "move": st.dictionaries(st.sampled_from(list(MOVES)), st.floats(-200, 200) | JSON, max_size=4),
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=REQUESTS)
def test_any_request_is_answered_or_refused_on_one_line(one_view, content):
    try:
        assert one_view.look(content)["size"] == (128, 96)
    except IvifError as error:
        assert str(error) and "\n" not in str(error)


def test_a_frame_that_cannot_be_fused_is_said_and_the_next_one_is_shown(view, images):
    own = Homography(np.eye(3))
    server = view(np.zeros((64, 80), np.complex64), own)
    with pytest.raises(urllib.error.HTTPError) as error:
        look(server)
    assert b"infrared: expected" in error.value.read()


def test_the_aim_is_chosen_where_there_are_several(view, images, aimed_model):
    server = view(infrared=images[0].astype(np.uint8), model=str(aimed_model), **{"output.colour": "white_hot"})
    assert json.loads(get(server, "state")[1])["aims"] == ["thermal", "rgb"]
    answer = look(server, values={"aim": "rgb"})
    assert yaml.safe_load(answer["yaml"])["/ivif_fusion"]["ros__parameters"]["aim"] == "rgb"
    fused, visible = (picture(server, f"{name}.bmp", answer["key"]) for name in ("fused", "visible"))
    np.testing.assert_array_equal(fused, cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY))
    with pytest.raises(urllib.error.HTTPError) as error:
        look(server, values={"aim": "people"})
    assert b"choose from thermal, rgb" in error.value.read()
    assert json.loads(get(view(), "state")[1])["aims"] == []
