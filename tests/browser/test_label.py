"""Labels are placed where the user clicks, can be undone, and persist after reloading."""

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import PIXEL_ANG

POSITIONS = [(100.0, 120.0), (255.5, 300.25), (400.0, 60.0)]


def near(actual, expected, within_px=0.5):
    """Compare two sorted lists of positions."""
    return len(actual) == len(expected) and all(
        abs(a - b) <= within_px
        for one, other in zip(actual, sorted(expected), strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_click_labels_the_pixel_under_the_pointer(make_page, fresh, ratio):
    user = make_page(device_scale_factor=ratio).open().step("label").micrograph(fresh)

    for zoom, (x, y) in zip([0.6, 1.5, 5.0], POSITIONS, strict=True):
        user.look_at(x + 30, y + 20, zoom).click(x, y).saved()
        nearest = min(user.stored("pos"), key=lambda at: abs(at[0] - x))

        # The pointer has integer screen coordinates.
        assert nearest == pytest.approx((x, y), abs=0.5 + 0.5 / zoom)


def test_each_kind_of_edit_is_stored(user):
    for position in POSITIONS:
        user.click(*position)
    user.key("n").click(300, 420)
    user.key("p").drag(POSITIONS[0], (140, 150))
    user.click(*POSITIONS[2], button="right")
    user.saved()

    assert near(user.stored("pos"), [(140, 150), POSITIONS[1]], 1.5)
    assert near(user.stored("neg"), [(300, 420)], 1.5)
    assert user.stored() == user.labels()


def test_the_eraser_deletes_labels_under_the_brush_and_one_undo_restores_them(user):
    for position in [(100, 100), (160, 100), (220, 100), (400, 400)]:
        user.click(*position)
    user.key("e").drag((90, 100), (230, 100))
    left = user.labels()
    user.key("Control+z").saved()

    assert near(left, [(400, 400)], 1.5)
    assert len(user.stored()) == 4


def test_shift_and_drag_erases_with_any_tool(user):
    user.click(100, 100).click(300, 300)
    user.page.keyboard.down("Shift")
    user.drag((80, 100), (130, 100))
    user.page.keyboard.up("Shift")

    assert near(user.saved().stored(), [(300, 300)], 1.5)


def test_the_diameter_is_measured_on_a_particle(user):
    user.key("m").drag((100, 200), (160, 200))
    after = user.module("store.js", "(m) => m.diameter.value")
    user.page.locator(".over", has_text="240 Å").wait_for()
    user.key("Escape").click(300, 300).saved()

    assert after == pytest.approx(60 * PIXEL_ANG, rel=0.03)
    assert near(user.stored("pos"), [(300, 300)], 1.5)
    # Saved after the pointer rests.
    assert user.wait_for_value(lambda: user.fetch("state")["diameter_ang"], after) == after


def test_an_exclusion_region_is_stored_and_deleted(user):
    user.key("x")
    for corner in [(50, 50), (200, 60), (180, 220)]:
        user.click(*corner)
    user.key("Enter").saved()
    mid = user.module("store.js", "(m) => m.micrograph.value.id")
    regions = user.fetch("labels", mid=mid)["regions"]
    user.key("p").click(140, 110, button="right").saved()

    assert near(sorted(map(tuple, regions[0]["points"])), [(50, 50), (180, 220), (200, 60)], 1.5)
    assert user.fetch("labels", mid=mid)["regions"] == []


def test_undo_and_redo_work_after_reloading_the_page(user, fresh):
    for position in POSITIONS:
        user.click(*position)
    user.key("Control+z").saved()
    user.reload().micrograph(fresh)
    before = user.labels()
    user.key("Control+z").saved()
    after_undo = user.stored()
    user.key("Control+Shift+z").key("Control+y").saved()

    assert near(before, POSITIONS[:2], 1.5)
    assert near(after_undo, POSITIONS[:1], 1.5)
    assert near(user.stored(), POSITIONS, 1.5)


def test_undo_returns_to_the_micrograph_of_the_edit(user, fresh):
    user.click(*POSITIONS[0])
    user.micrograph("mic_23").key("Control+z").saved()

    user.page.locator(".foot", has_text=fresh).wait_for()
    user.page.locator("[data-test=label-count]", has_text="0 particles").wait_for()
    assert user.labels() == []


def test_a_fully_labelled_micrograph_stays_marked_as_such(user, fresh):
    user.click(*POSITIONS[0]).key("f")
    user.page.locator(".list .row", has_text=fresh).locator(".badge").wait_for()
    user.saved().reload().micrograph(fresh)

    assert user.page.get_by_label("All particles are labelled").is_checked()


def test_marks_of_two_people_have_names_and_an_agreement(user, make_page):
    name = user.module("store.js", "(m) => m.micrograph.value.name")
    other = make_page().open().step("label").micrograph(name)
    for person, marker in ((user, "Ada"), (other, "Bob")):
        person.page.get_by_role("button", name="Your name?").click()
        person.page.get_by_label("Your name").fill(marker)
        person.key("Enter")
        person.page.locator("dialog td", has_text=marker).wait_for()
        person.key("Escape")
    user.click(100, 100).click(200, 200).saved()
    other.page.locator("[data-test=label-count]", has_text="2 particles").wait_for()
    other.page.get_by_role("button", name="Bob").click()
    other.page.get_by_label("Show only my marks").check()
    other.key("Escape")
    other.page.locator("[data-test=label-count]", has_text="0 particles").wait_for()
    other.click(101, 99).click(300, 300).saved()
    user.page.get_by_role("button", name="Ada").click()

    expect(user.page.locator("[data-test=agreement]")).to_have_text("50 %")


def test_counts_in_the_list_are_updated(user, fresh):
    for position in POSITIONS:
        user.click(*position)

    user.page.locator(".list .row", has_text=fresh).filter(has_text="3 labels").wait_for()
    of_all = str(user.saved().fetch("state")["n_labels"])
    user.page.locator("nav.steps button", has_text="Label").filter(has_text=of_all).wait_for()
