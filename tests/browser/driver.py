"""Driver of the labelling page: a server, and a page whose clicks use micrograph coordinates."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

LINK = re.compile(r"(https?://\S+?/)#t=(\S+)")
TIMEOUT_S = float(os.environ.get("BROWSER_TIMEOUT_S", "30"))  # a machine may be in heavy use
STEPS = {
    "data": "Micrographs",
    "label": "Label",
    "train": "Train",
    "inspect": "Inspect",
    "review": "Review",
    "export": "Export",
}

# The image has arrived, and two frames later nothing is left to draw.
PAINTED = """async () => {
    const store = await import(document.baseURI + "js/store.js");
    const {stage} = await import(document.baseURI + "js/viewer/viewer.js");
    for (let k = 0; k < 2; k++) await new Promise(requestAnimationFrame);
    const {plane, frame, tiles} = stage.now;
    const hasTiles = tiles.wanted.every((key) => tiles.tiles.get(key)?.bytes);
    if (store.loading.value || !plane || frame || !hasTiles) return false;
    await new Promise(requestAnimationFrame);
    return true;
}"""

# Programs that change the server before it starts: a training of any duration takes some steps;
# any run takes its picks from a table.
SHORT_TRAINING = """
from cryopick.web.jobs.commands import PRESETS
PRESETS.update({{k: (title, ("--steps", "{}")) for k, (title, _) in PRESETS.items()}})
"""
GIVEN_PICKS = """
from cryopick.web.jobs import commands
def write_plan(folder, *_, **__):
    words = ["convert", {!r}, "-o", str(folder / "picks.json"), "--force"]
    commands.write_plan(folder, {{"commands": [words], "on_stop": [], "begin": 0}})
commands._write_new_plan = write_plan
"""


class Server:
    """`cryopick label` on a project, in a process of its own; it ends with `stop` or `kill`.

    `change` is a program that changes the server before it starts.
    """

    def __init__(self, project, *words, port=0, log, env=None, link=True, change=""):
        self.project, self.words, self.log, self.change = Path(project), words, Path(log), change
        self.env = None if env is None else {**os.environ, **env}
        self.link_works = link  # it may be meant for a proxy that is not there yet
        self.start(port)

    def start(self, port=0):
        words = ["label", str(self.project), "--no-browser", "--port", str(port), *self.words]
        program = f"{self.change}\nfrom cryopick.cli import main; main()"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *words], stdout=out, stderr=out, env=self.env
            )
        before = time.monotonic()
        while time.monotonic() - before < max(60, TIMEOUT_S):
            said = LINK.findall(self.log.read_text())
            if said and (not self.link_works or self._answers(said[-1][0])):
                self.url, self.token = said[-1]
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.kill()
        raise AssertionError(f"the server did not begin:\n{self.log.read_text()}")

    @staticmethod
    def _answers(url):
        try:
            with urllib.request.urlopen(url + "api/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, method, path, body=None):
        """Ask as a script does, without a page."""
        request = urllib.request.Request(
            f"{self.url}api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    @property
    def port(self):
        return int(self.url.rstrip("/").rsplit(":", 1)[1].split("/")[0])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait(20)

    def again(self):
        """Restart on the same port, as after a crash."""
        port = self.port
        self.log.write_text("")
        self.start(port)


class Driver:
    """The page as a user has it in front of them."""

    def __init__(self, page, server):
        self.page, self.server = page, server

    def open(self):
        self.page.goto(f"{self.server.url}#t={self.server.token}")
        return self.ready()

    def reload(self):
        self.page.reload()
        return self.ready()

    def ready(self):
        self.page.wait_for_selector("html[data-ready]", timeout=60_000)
        return self

    def step(self, name):
        self.page.locator("nav.steps button", has_text=STEPS[name]).click()
        return self

    def micrograph(self, name):
        found = self.fetch("micrographs", filter=name)["rows"]
        self.module("session.js", "(m, id) => m.open(id)", found[0]["id"])
        self.page.locator(".foot", has_text=name).wait_for()
        return self

    def module(self, path, function, argument=None):
        """Call a function with a module of the page, as in `module("store.js", "(m) => …")`."""
        script = (
            f"async (given) => ({function})(await import(document.baseURI + 'js/{path}'), given)"
        )
        return self.page.evaluate(script, argument)

    def until(self, function, argument=None, timeout_s=TIMEOUT_S):
        """Wait until a function returns true; the page's own policy forbids Playwright's way."""
        before = time.monotonic()
        while not self.page.evaluate(function, argument):
            assert time.monotonic() - before < max(timeout_s, TIMEOUT_S), function
            self.page.wait_for_timeout(50)
        return self

    def wait_for(self, read, is_right, timeout_s=TIMEOUT_S):
        """Read a value until it is right; return it, or the last one when the time is over."""
        before = time.monotonic()
        while not is_right(value := read()) and time.monotonic() - before < timeout_s:
            self.page.wait_for_timeout(50)
        return value

    def wait_for_value(self, read, expected):
        """Read a value until it is the expected one; return it, or the last one."""
        return self.wait_for(read, lambda value: value == expected)

    def painted(self):
        """Wait until the micrograph and what was asked for last are on the screen."""
        return self.until(PAINTED)

    def quiet(self):
        """Wait until the page has asked the server for nothing during 300 ms."""
        count = "performance.getEntriesByType('resource').length"
        return self.until(
            f"""async () => {{
                const before = {count};
                await new Promise((wake) => setTimeout(wake, 300));
                return before === {count};
            }}"""
        )

    def place(self, x, y):
        """Return the window position of a pixel of the micrograph."""
        return self.module(
            "viewer/viewer.js",
            """async (m, [x, y]) => {
                const {toScreen} = await import(document.baseURI + 'js/viewer/view.js');
                const box = m.stage.now.above.getBoundingClientRect();
                const [sx, sy] = toScreen(m.stage.now.view, m.stage.now.size, x, y);
                return [box.left + sx, box.top + sy];
            }""",
            [x, y],
        )

    def look_at(self, x, y, zoom):
        self.module(
            "viewer/viewer.js",
            "(m, [cx, cy, zoom]) => m.stage.now.setView({cx, cy, zoom})",
            [x, y, zoom],
        )
        return self

    def click(self, x, y, **how):
        self.page.mouse.click(*self.place(x, y), **how)
        return self

    def drag(self, start, end):
        self.page.mouse.move(*self.place(*start))
        self.page.mouse.down()
        middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
        self.page.mouse.move(*self.place(*middle))
        self.page.mouse.move(*self.place(*end))
        self.page.mouse.up()
        return self

    def key(self, name):
        self.page.keyboard.press(name)
        return self

    def saved(self):
        """Wait until the server has every edit."""
        self.page.locator(".saved", has_text="All saved").wait_for()
        return self

    def labels(self, kind=None):
        """Return the labels (x, y) that the page shows on this micrograph, sorted."""
        found = self.module("store.js", "(m) => [...m.labels.value.values()]")
        return sorted((one["x"], one["y"]) for one in found if kind in (None, one["kind"]))

    def fetch(self, path, **query):
        """Return the server's response to a request of this page."""
        return self.module("api.js", "(m, [path, query]) => m.get(path, query)", [path, query])

    def stored(self, kind=None):
        """Return the labels (x, y) that the server has stored on this micrograph, sorted."""
        mid = self.module("store.js", "(m) => m.micrograph.value.id")
        found = self.fetch("labels", mid=mid)["labels"]
        return sorted((one["x"], one["y"]) for one in found if kind in (None, one["kind"]))
