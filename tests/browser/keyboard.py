"""A user without a pointer."""

import time

from tests.browser.driver import TIMEOUT_S

MAX_TABS = 80  # to any control of a step

# Whether the focus is on a control; if it is elsewhere or hidden, what is wrong with it.
_LOOK = """
const [selector, text] = arguments;
const at = document.activeElement;
if (!at || at === document.body) return "";
const name = `${at.textContent} ${at.ariaLabel} ${at.closest("label")?.textContent}`;
const isThere = at.matches(selector) && name.includes(text);
const item = at.matches(".crops-scroll, .wall") ? at.querySelector(".at") : null;
const style = getComputedStyle(item ?? at);
const outline = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
const box = at.getBoundingClientRect();
const isOutside = box.bottom < 0 || box.right < 0 || box.top > innerHeight || box.left > innerWidth;
const what = `${at.tagName} ${at.className} ${name.slice(0, 60)}`;
if (isOutside) return `outside the window: ${what}`;
if (outline < 2 && style.boxShadow === "none") return `without visible focus: ${what}`;
return isThere ? "there" : "";
"""
_SEEN = """
const [selector, text] = arguments;
return [...document.querySelectorAll(selector)].some((one) =>
    one.getClientRects().length && `${one.textContent} ${one.ariaLabel}`.includes(text));
"""


class Keyboard:
    """Keys of a user who has no pointer; every control with the focus must be visible.

    `press` presses a key, `script` runs the body of a function in the page.
    """

    def __init__(self, press, script):
        self.press, self.script = press, script

    def focus(self, selector, text=""):
        """Press Tab until the focus is on a control."""
        for _ in range(MAX_TABS):
            found = self.script(_LOOK, selector, text)
            assert found in ("", "there"), found
            if found:
                return self
            self.press("Tab")
        raise AssertionError(f"{selector} {text} is not within {MAX_TABS} tabs")

    def use(self, selector, text=""):
        """Press a button, once it is there."""
        self.wait_for(selector, text).focus(selector, text).press("Enter")
        return self

    def keys(self, *names):
        """Press keys one after the other."""
        for name in names:
            self.press(name)
        return self

    def wait_for(self, selector, text=""):
        """Wait until something visible contains a text; a run may take long on a busy machine."""
        return self.wait_until(_SEEN, selector, text, timeout_s=4 * TIMEOUT_S)

    def wait_until(self, body, *arguments, timeout_s=TIMEOUT_S):
        """Wait until a function returns true."""
        before = time.monotonic()
        while not self.script(body, *arguments):
            assert time.monotonic() - before < timeout_s, (body, arguments)
            time.sleep(0.03)
        return self


_TOTAL = "parseInt(document.querySelector('[data-test=gallery-total]').textContent)"


def use_gallery_and_wall(keys):
    """Reject two crops and undo that, and open a micrograph from the wall and go back."""
    keys.press("g")
    keys.wait_for("#crop-0 .picture[style*=blob]")
    total = keys.script(f"return {_TOTAL}")
    keys.focus(".crops-scroll").keys("ArrowRight", "Shift+ArrowRight", "n")
    keys.wait_until(f"return {_TOTAL} === arguments[0]", total - 2).press("Control+z")
    keys.wait_until(f"return {_TOTAL} === arguments[0]", total).keys("Escape", "w")
    keys.wait_for("#wall-0").focus(".wall").keys("ArrowRight", "Enter")
    keys.wait_for("[data-test=back]", "Back to the wall")
    keys.use("[data-test=back]", "Back to the wall")
    keys.wait_for("#wall-1.at").press("Escape")


def review_picks(keys):
    """Measure the precision with two answers, one of which is revoked."""
    heading = "section[aria-label='Review a pick'] h2"
    keys.use("button", "Review 40 random picks").wait_for(heading, "1 of").press("y")
    keys.wait_for(heading, "2 of").press("n")
    keys.wait_for(heading, "3 of").press("b")
    keys.wait_for(heading, "2 of").press("y")
    keys.wait_for(heading, "3 of")
