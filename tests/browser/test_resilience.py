"""T1, T8 and T12: nothing is lost, nobody else is asked, and it works where graphics do not."""

import hashlib
import re

import pytest
from tests.browser.conftest import FLAGS, STATIC
from tests.browser.driver import Driver

PLACES = [(100, 120), (255, 300), (400, 60), (60, 440)]


def offline(complaints):
    """Only what a lost connection makes a browser say."""
    said = [text for text in complaints if "net::ERR_" not in text and "401" not in text]
    complaints.clear()
    return said


def test_clicks_while_the_server_is_gone_are_not_lost(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    user.click(*PLACES[0]).saved()
    own_server.kill()
    for place in PLACES[1:]:
        user.click(*place)
    user.page.locator(".saved", has_text="Not saved").wait_for()

    own_server.again()
    user.page.goto("about:blank")
    user.open().saved().micrograph("mic_00")

    assert len(user.stored("pos")) == len(PLACES)
    assert offline(make_page.complaints) == []


def test_a_saved_label_outlives_a_killed_server(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    user.click(*PLACES[0]).saved()

    own_server.kill()
    own_server.again()
    user.page.goto("about:blank")
    user.open().step("label").micrograph("mic_00")

    assert len(user.stored("pos")) == 1
    assert offline(make_page.complaints) == []


def test_two_tabs_show_the_same(make_page, fresh):
    one = make_page().open().step("label").micrograph(fresh)
    other = make_page().open().step("label").micrograph(fresh)

    one.click(*PLACES[0]).saved()
    other.page.locator("[data-test=here]", has_text="1 particle").wait_for()
    other.click(*PLACES[1]).saved()
    one.page.locator("[data-test=here]", has_text="2 particles").wait_for()

    assert one.labels() == other.labels()


def test_the_page_works_without_webgl(browser, chromium, server):
    flags = [*FLAGS, "--disable-3d-apis", "--disable-software-rasterizer"]
    plain = browser.browser_type.launch(executable_path=chromium, args=flags)
    try:
        user = Driver(plain.new_page(), server).open().step("label").micrograph("mic_05")
        has_webgl = user.page.evaluate("!!document.createElement('canvas').getContext('webgl2')")
        user.click(*PLACES[0]).saved()
        stored = user.stored("pos")
    finally:
        plain.close()

    assert not has_webgl
    assert len(stored) == 1


def test_the_token_leaves_the_address_bar(make_page, server):
    user = make_page().open()

    assert server.token not in user.page.url
    assert user.page.evaluate("document.cookie") == ""


def test_without_the_link_the_page_says_what_to_do(make_page, server):
    user = make_page()
    user.page.goto(server.url)

    user.page.get_by_role("heading", name="Please open the printed link").wait_for()
    make_page.complaints.clear()  # the browser itself complains of the 401


def test_the_page_works_behind_a_prefix(make_page, server):
    """A proxy that strips a prefix, as Open OnDemand has, is all the page notices."""
    user = make_page()
    outside = f"{server.url}node/host/8000/"
    user.page.route(
        outside + "**",
        lambda route: route.continue_(url=route.request.url.replace(outside, server.url)),
    )
    user.page.goto(f"{outside}#t={server.token}")
    user.ready().step("label").micrograph("mic_07").click(*PLACES[0]).saved()

    assert len(user.stored("pos")) == 1


def test_every_module_is_fetched_at_once():
    page = (STATIC / "index.html").read_text()
    modules = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js")}

    assert set(re.findall(r'(?:href|src)="([^"]+\.js)"', page)) == modules


def test_nothing_in_the_page_names_another_host():
    for path in STATIC.rglob("*"):
        if path.suffix in {".js", ".css", ".html"} and path.parent.name != "vendor":
            hosts = set(re.findall(r"https?://[\w.-]+", path.read_text()))
            assert hosts <= {"http://www.w3.org"}, path


def test_vendored_files_are_the_ones_that_were_pinned():
    sums = (STATIC / "vendor" / "SHA256SUMS").read_text().split()

    for digest, name in zip(sums[::2], sums[1::2], strict=True):
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.js")), ids=lambda path: path.name)
def test_modules_are_short(path):
    if path.parent.name != "vendor":
        assert len(path.read_text().splitlines()) < 350
