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
STEPS = {
    "data": "Micrographs",
    "label": "Label",
    "train": "Train",
    "inspect": "Inspect",
    "review": "Review",
    "export": "Export",
}

SHORTEN = (
    "from cryopick.web.jobs.commands import PRESETS; "
    "PRESETS.update({{k: (title, ('--steps', '{steps}')) for k, (title, _) in PRESETS.items()}})"
)


class Server:
    """`cryopick label` on a project, in a process of its own; it ends with `stop` or `kill`.

    With `steps`, a training of any duration takes so many steps.
    """

    def __init__(self, project, *words, port=0, log, env=None, link=True, steps=None):
        self.project, self.words, self.log, self.steps = Path(project), words, Path(log), steps
        self.env = None if env is None else {**os.environ, **env}
        self.link_works = link  # it may be meant for a proxy that is not there yet
        self.start(port)

    def start(self, port=0):
        words = ["label", str(self.project), "--no-browser", "--port", str(port), *self.words]
        program = "from cryopick.cli import main; main()"
        if self.steps:
            program = f"{SHORTEN.format(steps=self.steps)}; {program}"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *words], stdout=out, stderr=out, env=self.env
            )
        before = time.monotonic()
        while time.monotonic() - before < 60:
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

    def until(self, function, argument=None, timeout_s=20):
        """Wait until a function returns true; the page's own policy forbids Playwright's way."""
        before = time.monotonic()
        while not self.page.evaluate(function, argument):
            limit_s = max(timeout_s, float(os.environ.get("BROWSER_TIMEOUT_S", "0")))
            assert time.monotonic() - before < limit_s, function
            self.page.wait_for_timeout(50)
        return self

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
        self.page.locator(".saved", has_text="All saved").wait_for(timeout=20_000)
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
