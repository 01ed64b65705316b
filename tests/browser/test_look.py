"""Drawing, contrast and layout of the page."""

import io

import numpy as np
import pytest
from PIL import Image

STEPS = ["data", "label", "train", "inspect", "review", "export"]


def pixels(user):
    """Return the displayed micrograph (height, width, 3) and its top left corner."""
    box = user.page.locator("[data-test=stage]").bounding_box()
    shot = Image.open(io.BytesIO(user.page.screenshot(clip=box))).convert("RGB")
    return np.asarray(shot).astype(int), np.array([box["x"], box["y"]])


def grey(user):
    """Return the mean grey value at the centre of the micrograph."""
    image, corner = pixels(user)
    x, y = (np.array(user.place(255.5, 255.5)) - corner).astype(int)
    return image[y - 60 : y + 60, x - 60 : x + 60].mean()


def lens(user, **change):
    user.module("store.js", "(m, c) => (m.lens.value = {...m.lens.value, ...c})", change)
    user.painted()


def test_a_ring_is_drawn_around_the_label(user):
    user.look_at(255, 255, 1.2).click(200, 220).saved().painted()

    image, corner = pixels(user)

    radius = user.module("store.js", "(m) => m.radiusPx.value")
    x, y = np.array(user.place(200, 220)) - corner
    green = (image[..., 1] - image[..., 0] > 60) & (image[..., 1] - image[..., 2] > 30)
    rows, columns = np.nonzero(green)
    distance = np.hypot(columns - x, rows - y)
    ring = distance[distance > 6]
    assert len(ring) > 50
    assert np.median(ring) == pytest.approx(radius * 1.2, abs=2)


def test_a_higher_black_point_darkens_and_inverting_inverts(user):
    lens(user, black=0, white=255, view="raw")
    plain = grey(user)
    lens(user, black=100)
    darker = grey(user)
    lens(user, black=0, invert=True)
    swapped = grey(user)

    assert darker < plain - 10
    assert swapped == pytest.approx(255 - plain, abs=6)


def test_rings_are_visible_on_any_grey(user):
    """WCAG requires a contrast of 3 to the surroundings; line or outline has it."""
    ratios = user.module(
        "viewer/stamps.js",
        """(m, backgrounds) => {
            const luminance = (rgb) => {
                const [r, g, b] = rgb.map((v) => v / 255)
                    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const canvas = new OffscreenCanvas(1, 1), pen = canvas.getContext("2d");
            const seen = (...colours) => {
                for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
                return luminance([...pen.getImageData(0, 0, 1, 1).data].slice(0, 3));
            };
            const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            return backgrounds.flatMap((background) => Object.values(m.MARKS).map(({colour}) => {
                const line = seen(colour);
                const halo = seen(background, m.HALO);
                return Math.max(contrast(line, halo), contrast(line, seen(background)));
            }));
        }""",
        ["#000", "#808080", "#fff"],
    )

    assert min(ratios) >= 3


@pytest.mark.parametrize("size", [(1024, 700), (700, 430)])
def test_a_small_or_enlarged_page_does_not_scroll_sideways(make_page, size):
    """700 × 430 is what a window of 1400 × 860 shows at 200 %."""
    user = make_page(viewport={"width": size[0], "height": size[1]}).open()
    unfold = user.page.get_by_role("button", name="Show steps and list")
    if unfold.is_visible():  # narrow windows begin with the image alone
        unfold.click()

    for step in STEPS:
        user.step(step)
        wide = user.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], step


def test_the_theme_is_saved(make_page):
    user = make_page(color_scheme="light").open()
    theme = user.page.get_by_role("button", name="System")
    theme.click()
    user.page.get_by_role("button", name="Light").click()
    user.reload()

    assert user.page.evaluate("document.documentElement.dataset.theme") == "dark"
    back = user.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(v) for v in back[4:-1].split(",")) < 60


def test_names_with_markup_are_shown_as_text(make_page):
    user = make_page().open()
    user.module("store.js", "(m) => m.notify('<img src=x onerror=alert(1)>', 'warn')")

    toast = user.page.locator(".toast .note").first
    assert "<img" in toast.inner_text()
    assert toast.locator("img").count() == 0
