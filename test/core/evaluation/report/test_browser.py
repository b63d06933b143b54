"""The page in headless Chromium: it looks right and does what it says."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(page, chromium, tmp_path_factory):
    """Chromium, and the address of the page."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page, encoding="utf-8")
    return chromium, file.as_uri()


@pytest.fixture
def open_page(browser):
    driver, address = browser

    def open_at(width=1280, height=900, scheme="light"):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get(address)
        return driver

    yield open_at
    assert driver.get_log("browser") == []  # no test may leave a word in the console


def picture(element):
    data = base64.b64decode(element.screenshot_as_base64)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)


def column(driver, table, index):
    rows = driver.find_elements("css selector", f"#{table} tbody tr")
    return [row.find_elements("css selector", "th, td")[index].get_attribute("data-value") for row in rows]


def test_the_slider_moves_between_source_and_fused(open_page, measured):
    from selenium.webdriver import ActionChains

    driver = open_page()
    example = driver.find_element("css selector", ".example")
    driver.execute_script("arguments[0].scrollIntoView()", example)
    stage, slider = (example.find_element("css selector", name) for name in (".stage", ".stage input"))
    width = stage.size["width"]
    half = picture(stage)

    def drag(x):
        ActionChains(driver).move_to_element_with_offset(slider, x - width // 2, 0).click().perform()

    drag(width - 4)
    source = picture(stage)
    drag(4)
    fused = picture(stage)
    quarter, three = slice(20, width // 2 - 30), slice(width // 2 + 30, width - 20)
    assert np.abs(half[:, quarter] - source[:, quarter]).mean() < 1 < np.abs(half[:, three] - source[:, three]).mean()
    assert np.abs(half[:, three] - fused[:, three]).mean() < 1 < np.abs(half[:, quarter] - fused[:, quarter]).mean()
    stem = example.find_element("css selector", "h3 b").text
    scene = measured.scenes[stem]
    for shown, file in ((source, scene.visible), (fused, next(iter(scene.fused.values())))):
        there = cv2.resize(cv2.imread(str(file)), shown.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(int)
        assert np.abs(shown - there)[:, 20 : width - 20].mean() < 8


def test_the_slider_moves_by_keys(open_page):
    driver = open_page()
    slider = driver.find_element("css selector", ".stage input")
    before = float(slider.get_attribute("value"))
    slider.send_keys("\ue014" * 5)  # arrow to the right
    after = float(slider.get_attribute("value"))
    assert before < after
    cut = "return getComputedStyle(document.querySelector('.stage')).getPropertyValue('--cut')"
    assert driver.execute_script(cut) == f"{after:g}%"


def test_the_sides_can_be_chosen(open_page):
    driver = open_page()
    example = driver.find_element("css selector", ".example")
    sources = {
        image.get_attribute("alt"): image.get_attribute("src")
        for image in example.find_elements("css selector", ".strip img")
    }
    assert list(sources) == ["thermal", "RGB", "<b>mean", "max"]
    for group, side in zip(example.find_elements("css selector", ".choose"), ("left", "right"), strict=True):
        for button in group.find_elements("css selector", "button"):
            driver.execute_script("arguments[0].click()", button)
            assert button.get_attribute("aria-pressed") == "true"
            shown = example.find_element("css selector", f".stage .{side}").get_attribute("src")
            assert shown == sources[button.text]


@pytest.mark.parametrize(("index", "first"), [(8, "descending"), (11, "ascending")])
def test_a_click_sorts_the_better_end_first_and_a_second_one_the_other(open_page, index, first):
    """Column 8 is Qabf, more is better; 11 is noise gain, less is better, and not defined for one scene."""
    driver = open_page()
    head = driver.find_elements("css selector", "#images thead th")[index]
    defined = sorted(float(value) for value in column(driver, "images", index) if value)
    undefined = 8 - len(defined)
    assert len(set(defined)) > 2 and undefined == (2 if index == 11 else 0)
    for down in (first == "descending", first != "descending"):
        driver.execute_script("arguments[0].firstElementChild.click()", head)
        assert head.get_attribute("aria-sort") == ("descending" if down else "ascending")
        values = column(driver, "images", index)
        assert values[8 - undefined :] == [None] * undefined  # last, whichever way
        assert [float(value) for value in values[: 8 - undefined]] == sorted(defined, reverse=down)


def test_names_sort_too(open_page):
    driver = open_page()
    head = driver.find_elements("css selector", "#images thead th")[0]
    for expected in (False, True):
        driver.execute_script("arguments[0].firstElementChild.click()", head)
        names = [row.text for row in driver.find_elements("css selector", "#images tbody th")]
        assert names == sorted(names, reverse=expected) and len(set(names)) == 8


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(open_page, width):
    driver = open_page(width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    for example in driver.find_elements("css selector", ".stage"):
        assert 0.5 * min(width, 600) < example.size["width"] <= width
        assert example.size["width"] / example.size["height"] == pytest.approx(80 / 60, rel=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(open_page, scheme):
    """Contrast of at least 4.5 (WCAG 2 AA) of ordinary and faint text, and of marks, on paper and cards."""
    driver = open_page(scheme=scheme)

    def luminance(name):
        value = driver.execute_script(
            "const e = document.createElement('i'); e.style.color = `var(--${arguments[0]})`;"
            "document.body.append(e); const c = getComputedStyle(e).color; e.remove(); return c;",
            name,
        )
        channels = np.array([int(part) for part in value[4:-1].split(",")]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for ground in ("paper", "card"):
        for ink in ("ink", "faint", "mark", "better", "worse"):
            dark, light = sorted((luminance(ground), luminance(ink)))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, ground, ink)
    assert (luminance("paper") < 0.1) == (scheme == "dark")


def test_nothing_is_fetched(open_page):
    driver = open_page()
    fetched = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    shown = driver.execute_script("return [...document.images].map(image => image.complete && image.naturalWidth)")
    assert shown and all(width == 80 for width in shown)
