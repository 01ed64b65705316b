"""The page in Debian's Firefox, controlled by its own remote protocol (Marionette)."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SHOTS = os.environ.get("CRYOPICK_SHOTS")
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
        """Wait until a script returns true."""
        before = time.monotonic()
        while not self.script(text, *arguments):
            assert time.monotonic() - before < 60, text
            time.sleep(0.1)

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)

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


@pytest.fixture
def firefox(tmp_path):
    program = shutil.which("firefox-esr")
    if program is None:
        pytest.skip("firefox-esr is not installed")
    (tmp_path / "profile").mkdir()
    browser = Firefox(program, tmp_path / "profile")
    yield browser
    browser.close()


def test_a_click_on_a_micrograph_is_painted_and_saved(firefox, own_server):
    firefox.command("WebDriver:SetWindowRect", width=1280, height=720)
    firefox.command("WebDriver:Navigate", url=f"{own_server.url}#t={own_server.token}")
    firefox.wait_until("return 'ready' in document.documentElement.dataset")
    firefox.wait_until("return performance.getEntriesByName('micrograph-painted').length > 0")
    firefox.script("document.querySelectorAll('nav.steps button')[1].click()")
    firefox.wait_until("return Boolean(document.querySelector('.stage canvas'))")
    x, y = firefox.script(
        "const b = document.querySelector('.stage').getBoundingClientRect();"
        "return [Math.round(b.x + b.width / 2), Math.round(b.y + b.height / 2)];"
    )
    click = [
        {"type": "pointerMove", "x": x, "y": y, "duration": 0, "origin": "viewport"},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerUp", "button": 0},
    ]
    firefox.command(
        "WebDriver:PerformActions",
        actions=[{"type": "pointer", "id": "mouse", "actions": click}],
    )
    firefox.wait_until(
        "return document.querySelector('[data-test=label-count]').textContent === '1 particle'"
    )
    firefox.wait_until("return document.querySelector('.saved').textContent.includes('All saved')")
    if SHOTS:
        shot = firefox.command("WebDriver:TakeScreenshot", full=False)["value"]
        (Path(SHOTS) / "firefox.png").write_bytes(base64.b64decode(shot))

    [row] = [one for one in own_server.ask("GET", "micrographs")["rows"] if one["pos"]]
    [label] = own_server.ask("GET", f"labels?mid={row['id']}")["labels"]
    middle_px = [(row["width_px"] - 1) / 2, (row["height_px"] - 1) / 2]
    assert [label["x"], label["y"]] == pytest.approx(middle_px, abs=3)
    n_greys = firefox.script(
        "const c = document.querySelector('.stage canvas');"
        "const [x, y] = [c.width / 2 - 50, c.height / 2 - 50];"
        "const { data } = c.getContext('2d').getImageData(x, y, 99, 99);"
        "return new Set(data.filter((_, i) => i % 4 === 0)).size;"
    )
    assert n_greys > 20  # the micrograph is shown
