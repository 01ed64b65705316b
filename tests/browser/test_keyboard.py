"""Labels, threshold and navigation work without a pointer."""

from playwright.sync_api import expect


def test_three_particles_are_labelled_with_the_keyboard(user):
    page = user.page
    for _ in range(80):
        if page.evaluate("document.activeElement.dataset.test") == "stage":
            break
        user.key("Tab")
    before = user.labels()
    user.key("ArrowRight").key("Enter")
    for _ in range(6):
        user.key("ArrowDown")
    user.key("Enter")
    for _ in range(5):
        user.key("ArrowLeft")
    user.key("n").key("Enter").saved()

    assert before == []
    assert len(user.stored("pos")) == 2
    assert len(user.stored("neg")) == 1


def test_shift_and_an_arrow_moves_by_one_pixel(user):
    user.page.locator("[data-test=stage]").focus()
    user.key("Enter").key("Shift+ArrowRight").key("Shift+ArrowRight").key("Shift+ArrowDown")
    (x, y), before = user.labels()[0], len(user.labels())

    cursor = user.module("store.js", "(m) => m.cursor.value")

    assert cursor == [x + 2, y + 1]
    assert before == 1


def test_delete_removes_the_label_at_the_cursor_and_keys_select_labels_in_turn(user):
    user.click(100, 100).click(300, 200)
    user.page.locator("[data-test=stage]").focus()
    user.key(".").key(".").key("Delete").saved()

    assert len(user.stored()) == 1
    assert user.module("store.js", "(m) => m.announcement.value") == "1 removed"


def test_shortcuts_are_ignored_during_text_entry(user):
    user.page.get_by_label("Find a micrograph").fill("")
    user.page.get_by_label("Find a micrograph").press_sequentially("nfi")

    assert user.module("store.js", "(m) => [m.tool.value, m.lens.value.invert]") == ["pos", False]


def test_shortcuts_can_be_changed_and_disabled(user):
    user.key("?")
    page = user.page
    page.get_by_label("Change the shortcut: Add negative labels").click()
    user.key("m")
    user.key("Escape").key("m")
    changed = user.module("store.js", "(m) => m.tool.value")
    user.key("?")
    page.get_by_label("Enable single-key shortcuts").uncheck()
    user.key("Escape").key("p")

    assert changed == "neg"
    assert user.module("store.js", "(m) => m.tool.value") == "neg"


def test_the_next_and_the_previous_micrograph_are_one_key_away(make_page):
    user = make_page().open().step("label").micrograph("mic_03")
    chosen = user.page.locator(".list .row[aria-selected=true]")
    user.key("d")
    chosen.filter(has_text="mic_04").wait_for()
    user.key("PageUp")
    chosen.filter(has_text="mic_03").wait_for()
    user.key("a")
    chosen.filter(has_text="mic_02").wait_for()


def test_edits_are_announced_to_screen_readers(user):
    user.page.locator("[data-test=stage]").focus()
    user.key("Enter")

    announcement = user.page.locator("[aria-live=polite].sr")
    expect(announcement).to_have_text("particle added, 1 on this micrograph")
