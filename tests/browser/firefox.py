"""Driver of Debian's Firefox by its own remote protocol (Marionette), with a page of the server."""

import json
import os
import shutil
import socket
import subprocess
import time

import pytest
from tests.browser.driver import STEPS

PREFERENCES = {
    "marionette.port": 0,  # any free port
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "extensions.update.enabled": False,
}
_SPECIAL = {"Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c", "Control": "\ue009"}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # key of an element in the protocol
# The first visible element of a selector whose text or label contains a text.
_FIND = """const [selector, text] = arguments;
    const found = [...document.querySelectorAll(selector)].find((one) =>
        `${one.textContent} ${one.ariaLabel}`.includes(text) && one.getClientRects().length);"""
_CENTRE = """if (!found) return null;
    found.scrollIntoView({block: "nearest"});
    const box = found.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2].map(Math.round);"""


class Firefox:
    """A Firefox without a screen; messages are `length:[type, number, command, parameters]`."""

    def __init__(self, program, folder):
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines))
        words = [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
        with (folder / "firefox.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*words, "about:blank"], stdout=log, stderr=log, env={**os.environ, "HOME": folder}
            )
        port_file = folder / "MarionetteActivePort"
        before = time.monotonic()
        while not port_file.exists() or not port_file.read_text():
            assert self.process.poll() is None, (folder / "firefox.log").read_text()
            assert time.monotonic() - before < 60, (folder / "firefox.log").read_text()
            time.sleep(0.1)
        self.socket = socket.create_connection(("127.0.0.1", int(port_file.read_text())), 60)
        self.number = 0
        self._receive()  # its greeting
        self.command("WebDriver:NewSession", capabilities={})
        self.command("WebDriver:SetWindowRect", width=1280, height=720)

    def command(self, name, **parameters):
        """Send a command, and return its value."""
        self.number += 1
        text = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(b"%d:%b" % (len(text), text))
        _, _, error, value = self._receive()
        assert error is None, error
        return value

    def script(self, text, *arguments):
        """Run the body of a function in the page, and return its value."""
        return self.command("WebDriver:ExecuteScript", script=text, args=arguments)["value"]

    def wait_until(self, text, *arguments):
        """Wait until a script returns true; return its value."""
        before = time.monotonic()
        while not (value := self.script(text, *arguments)):
            assert time.monotonic() - before < 60, (text, arguments)
            time.sleep(0.05)
        return value

    def wait_for(self, selector, text=""):
        """Wait for a visible element whose text or label contains a text."""
        self.wait_until(f"{_FIND} return Boolean(found);", selector, text)
        return self

    def open(self, server):
        """Open the page of a server."""
        self.command("WebDriver:Navigate", url="about:blank")
        self.command("WebDriver:Navigate", url=f"{server.url}#t={server.token}")
        self.wait_until("return 'ready' in document.documentElement.dataset")
        return self

    def step(self, name):
        """Go to a step."""
        return self.click("nav.steps button", STEPS[name])

    def click(self, selector, text=""):
        """Press the mouse in the middle of an element, once it is there."""
        x, y = self.wait_until(f"{_FIND} {_CENTRE}", selector, text)
        self._perform(
            "pointer",
            {"type": "pointerMove", "x": x, "y": y, "duration": 0, "origin": "viewport"},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )
        return self

    def key(self, *names):
        """Press keys together, such as `key("Control", "z")`."""
        keys = [_SPECIAL.get(name, name) for name in names]
        down = [{"type": "keyDown", "value": key} for key in keys]
        self._perform("key", *down, *({"type": "keyUp", "value": key} for key in reversed(keys)))
        return self

    def type(self, selector, text):
        """Replace the text of a field, and leave it."""
        self.click(selector).key("Control", "a")
        for letter in text:
            self.key(letter)
        return self.key("Tab")

    def choose_files(self, selector, paths):
        """Choose files in a field, which may be hidden."""
        element = self.command("WebDriver:FindElement", using="css selector", value=selector)
        self.command(
            "WebDriver:ElementSendKeys",
            id=element["value"][_ELEMENT],
            text="\n".join(map(str, paths)),
        )
        return self

    def text(self, selector):
        """Return the text of an element; empty if there is none."""
        return self.script(
            "return document.querySelector(arguments[0])?.textContent ?? ''", selector
        )

    def saved(self):
        """Wait until the server has every edit."""
        return self.wait_for(".saved", "All saved")

    def close(self):
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)

    def _perform(self, kind, *actions):
        sequence = {"type": kind, "id": kind, "actions": actions}
        self.command("WebDriver:PerformActions", actions=[sequence])

    def _receive(self):
        length = b""
        while not length.endswith(b":"):
            length += self._read(1)
        return json.loads(self._read(int(length[:-1])))

    def _read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "Firefox has ended"
            data += part
        return data


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    """A Firefox, shared by the tests of a file."""
    program = shutil.which("firefox-esr")
    if program is None:
        pytest.skip("firefox-esr is not installed")
    browser = Firefox(program, tmp_path_factory.mktemp("firefox"))
    yield browser
    browser.close()
