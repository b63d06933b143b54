"""The page of `ivif view` in headless Chromium: it looks right and does what it says."""

from __future__ import annotations

import base64
import json

import cv2
import numpy as np
import pytest
import yaml

from ivif_core.errors import InputError
from ivif_core.offline.view_frames import Frames
from ivif_core.offline.view_page import ViewServer
from ivif_core.settings import Settings

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium, serve, brighter_model, rng):
    """Opens the page of three frames, each brighter than the one before; the third cannot be read."""
    pairs = []
    for index in range(3):
        counts = cv2.resize(rng.integers(20000, 24000, (6, 8), np.uint16), (160, 120))
        pairs.append((counts, np.full((240, 320, 3), 40 + 60 * index, np.uint8), None))

    def read(index):
        if index == 2:
            raise InputError("c.png is cut short")
        return pairs[index]

    settings = Settings.from_values({"model": str(brighter_model)})
    with settings.fuser(is_stream=False) as fuser:
        server = serve(ViewServer(Frames(["a", "b", "c <b>"], read), settings, fuser))

        def open_at(width=1280, height=900, scheme="light"):
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            scheme = {"name": "prefers-color-scheme", "value": scheme}
            chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            chromium.get(server.address)
            shown(chromium)
            return chromium

        yield open_at
        chromium.get("about:blank")  # the server ends before the browser
        lines = [line["message"] for line in chromium.get_log("browser")]
        assert [line for line in lines if "small.jpg?2" not in line and "/look" not in line] == []


def wait(driver, expression, *arguments):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 20, 0.05).until(lambda _: driver.execute_script(f"return {expression}", *arguments))


def shown(driver, **expected):
    """Wait until the page shows what it last asked for, and that this is as expected."""
    condition = "(done => done && Object.entries(arguments[0]).every(([k, v]) => v === ({...done.values, ...done.move, \
frame: done.frame})[k]))(JSON.parse(document.getElementById('stage').dataset.done || 'null'))"
    wait(driver, condition, expected)
    return json.loads(driver.execute_script("return document.getElementById('stage').dataset.done"))


def move(driver, name, value):
    driver.execute_script(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('input'))",
        name,
        value,
    )


def parameters(driver):
    found = yaml.safe_load(driver.find_element("id", "yaml").text)
    return found["/ivif_fusion"]["ros__parameters"]


def picture(driver):
    data = base64.b64decode(driver.find_element("id", "stage").screenshot_as_base64)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_sliders_fuse_anew_and_give_the_parameters(page):
    driver = page()
    move(driver, "vividness", 0.6)
    move(driver, "right", 24)
    shown(driver, vividness=0.6, right=24)
    found = parameters(driver)
    assert found["vividness"] == 0.6 and found["registration"]["mode"] == "homography"
    assert found["registration"]["homography"][2] == pytest.approx(24.5)
    driver.find_element("id", "reset").click()
    shown(driver, vividness=0, right=0)
    assert "registration" not in parameters(driver)


def test_an_aim_is_chosen_where_the_model_has_several(page, chromium, serve, aimed_model, rng):
    assert not page().find_element("id", "aim").is_displayed()
    pair = *rng.integers(0, 256, (2, 96, 128), np.uint8), None
    settings = Settings.from_values({"model": str(aimed_model)})
    with settings.fuser(is_stream=False) as fuser:
        chromium.get(serve(ViewServer(Frames(["a"], lambda _: pair), settings, fuser)).address)
        shown(chromium, aim="")
        assert chromium.find_element("id", "aim").text.split() == ["thermal", "rgb"]
        move(chromium, "aim", "rgb")
        shown(chromium, aim="rgb")
        assert parameters(chromium)["aim"] == "rgb"


def test_a_fixed_range_starts_at_the_frames_own(page):
    driver = page()
    move(driver, "thermal_scaling.mode", "fixed")
    done = shown(driver, **{"thermal_scaling.mode": "fixed"})
    assert 20000 <= done["values"]["thermal_scaling.low"] < done["values"]["thermal_scaling.high"] <= 24000
    visible = "return [...document.querySelectorAll('.row:not([hidden]) label')].map(e => e.htmlFor)"
    assert "thermal_scaling.low" in driver.execute_script(visible)
    assert "thermal_scaling.low_percentile" not in driver.execute_script(visible)


def test_a_typed_value_out_of_the_sliders_range_is_kept_and_a_wrong_one_said(page):
    driver = page()
    number = driver.find_elements("css selector", ".row input[type=number]")
    fields = {field.get_attribute("aria-label").split(",")[0]: field for field in number}
    field = fields["Turn clockwise"]
    field.clear()
    field.send_keys("45")
    shown(driver, turn=45)
    assert driver.find_element("id", "turn").get_attribute("value") == "45"
    field = fields["Vividness: 0 faithful"]
    field.clear()
    field.send_keys("7")
    wait(driver, "document.getElementById('note').textContent.includes('outside')")


def test_the_wipe_shows_either_side(page):
    driver = page()
    wait(driver, "document.querySelectorAll('#left-side button').length === 3")
    driver.find_elements("css selector", "#left-side button")[1].click()  # RGB: grey 40 everywhere
    wait(driver, "document.querySelector('.stage .left').alt === 'RGB' && document.querySelector('.left').complete")
    shown(driver)
    wipe = driver.find_element("css selector", ".stage input")
    for key, is_rgb in (("\ue010", True), ("\ue011", False)):  # End, Home
        wipe.send_keys(key)
        middle = picture(driver)[50:-50, 50:-50]
        assert ((np.abs(middle - 40) < 3).mean() > 0.97) == is_rgb


def test_keys_change_frames_sides_and_copy(page):
    driver = page()
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
    body = driver.find_element("css selector", "body")
    body.send_keys(".")
    shown(driver, frame=1)
    assert driver.find_element("id", "name").text == "b"
    body.send_keys("3")
    wait(driver, "document.querySelector('#left-side [aria-pressed=true]').textContent === 'fused'")
    body.send_keys("c")
    wait(driver, "document.getElementById('note').textContent.startsWith('Copied')")
    copied = driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert yaml.safe_load(copied)["/ivif_fusion"]["ros__parameters"] == parameters(driver)
    body.send_keys(".")  # the third frame cannot be read
    wait(driver, "document.getElementById('note').textContent === 'c.png is cut short'")
    body.send_keys(",,")
    shown(driver, frame=0)
    assert driver.find_element("id", "name").text == "a"


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(page, width):
    driver = page(width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    stage = driver.find_element("id", "stage")
    assert 0.5 * min(width, 600) < stage.size["width"] <= width
    assert stage.size["width"] / stage.size["height"] == pytest.approx(4 / 3, rel=0.02)
    fields = "return [...document.querySelectorAll('#panel input, #panel select')].every(e => e.labels.length || \
e.getAttribute('aria-label'))"
    assert driver.execute_script(fields)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_foreign_is_fetched_and_text_is_readable(page, scheme):
    driver = page(scheme=scheme)
    address = driver.current_url
    fetched = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in fetched if not name.startswith((address, f"blob:{address}"))] == []
    colours = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    ink, paper = (np.array(json.loads(f"[{c[4:-1]}]")) / 255 for c in driver.execute_script(colours))

    def luminance(channels):
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(ink), luminance(paper)))
    assert (light + 0.05) / (dark + 0.05) >= 7 and (luminance(paper) < 0.1) == (scheme == "dark")
