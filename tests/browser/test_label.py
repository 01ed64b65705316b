"""T2: labels land where the user clicks, are taken back, and are there after loading again."""

import pytest
from tests.browser.conftest import PIXEL_ANG

PLACES = [(100.0, 120.0), (255.5, 300.25), (400.0, 60.0)]


def near(found, wanted, within_px=0.5):
    """Compare two sorted lists of positions."""
    return len(found) == len(wanted) and all(
        abs(a - b) <= within_px
        for one, other in zip(found, sorted(wanted), strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("zoom", [0.6, 1.5, 5.0])
def test_a_click_marks_the_pixel_under_it(make_page, fresh, zoom, ratio):
    user = make_page(device_scale_factor=ratio).open().step("label").micrograph(fresh)
    where = (200.0, 180.0)

    user.look_at(230, 200, zoom).click(*where).saved()

    # The pointer stands on whole screen pixels.
    assert near(user.stored("pos"), [where], within_px=0.5 + 0.5 / zoom)


def test_each_kind_of_edit_is_stored(user):
    for place in PLACES:
        user.click(*place)
    user.key("n").click(300, 420)
    user.key("p").drag(PLACES[0], (140, 150))
    user.click(*PLACES[2], button="right")
    user.saved()

    assert near(user.stored("pos"), [(140, 150), PLACES[1]], 1.5)
    assert near(user.stored("neg"), [(300, 420)], 1.5)
    assert user.stored() == user.labels()


def test_the_eraser_takes_what_it_sweeps_over_and_one_undo_gives_it_back(user):
    for place in [(100, 100), (160, 100), (220, 100), (400, 400)]:
        user.click(*place)
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


def test_the_diameter_is_drawn_on_a_particle(user):
    user.key("m").drag((100, 200), (160, 200))
    after = user.module("store.js", "(m) => m.diameter.value")
    user.page.locator(".over", has_text="240 Å").wait_for()
    user.key("Escape").click(300, 300).saved()

    assert after == pytest.approx(60 * PIXEL_ANG, rel=0.03)
    assert near(user.stored("pos"), [(300, 300)], 1.5)
    user.page.wait_for_timeout(300)  # it is kept when the hand rests
    assert user.fetch("state")["diameter_ang"] == after


def test_an_outline_is_stored_and_deleted(user):
    user.key("x")
    for corner in [(50, 50), (200, 60), (180, 220)]:
        user.click(*corner)
    user.key("Enter").saved()
    mid = user.module("store.js", "(m) => m.micrograph.value.id")
    regions = user.fetch("labels", mid=mid)["regions"]
    user.key("p").click(140, 110, button="right").saved()

    assert near(sorted(map(tuple, regions[0]["points"])), [(50, 50), (180, 220), (200, 60)], 1.5)
    assert user.fetch("labels", mid=mid)["regions"] == []


def test_undo_and_redo_go_on_after_loading_the_page_again(user, fresh):
    for place in PLACES:
        user.click(*place)
    user.key("Control+z").saved()
    user.reload().micrograph(fresh)
    before = user.labels()
    user.key("Control+z").saved()
    after_undo = user.stored()
    user.key("Control+Shift+z").key("Control+y").saved()

    assert near(before, PLACES[:2], 1.5)
    assert near(after_undo, PLACES[:1], 1.5)
    assert near(user.stored(), PLACES, 1.5)


def test_undo_goes_back_to_the_micrograph_of_the_edit(user, fresh):
    user.click(*PLACES[0])
    user.micrograph("mic_23").key("Control+z").saved()

    user.page.locator(".foot", has_text=fresh).wait_for()
    assert user.labels() == []


def test_all_marked_is_kept(user, fresh):
    user.click(*PLACES[0]).key("f")
    user.page.locator(".list .row", has_text=fresh).locator(".badge").wait_for()
    user.saved().reload().micrograph(fresh)

    assert user.page.get_by_label("All particles are labelled").is_checked()


def test_counts_in_the_list_follow(user, fresh):
    for place in PLACES:
        user.click(*place)

    assert "3 labels" in user.page.locator(".list .row", has_text=fresh).inner_text()
    of_all = str(user.saved().fetch("state")["n_labels"])
    user.page.locator("nav.steps button", has_text="Label").filter(has_text=of_all).wait_for()
