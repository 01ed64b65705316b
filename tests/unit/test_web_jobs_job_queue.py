"""Runs in a process of their own: what fails or is stopped can go on."""

import json
import time

import pytest
from tests import tiny

from cryopick.errors import InputError
from cryopick.web.project.project import Desk
from cryopick.web.run_log import read_log


@pytest.fixture
def desk(tmp_path):
    tiny.micrographs(tmp_path / "mics", 1)
    opened = Desk.open(tmp_path / "p.cryopick")
    yield opened
    opened.close()


def run_of(desk, *commands):
    """A run that waits, with commands of its own; it does not begin before it has them."""
    run = desk.runs.create("train", "Training", {})
    desk.runs.folder(run).mkdir(exist_ok=True)
    time.sleep(1.2)  # the queue is looked at meanwhile
    assert desk.runs.one(run)["state"] == "queued"
    plan = {"commands": list(commands), "on_stop": []}
    (desk.runs.folder(run) / ".plan.json").write_text(json.dumps(plan))
    (desk.runs.folder(run) / ".plan.json").rename(desk.runs.folder(run) / "plan.json")
    return run


def ended(desk, run):
    """The run when it has ended."""
    before = time.monotonic()
    while time.monotonic() - before < 120:
        told = desk.jobs.shown(desk.runs.one(run))
        if told["state"] not in ("queued", "running"):
            return told
        time.sleep(0.1)
    raise AssertionError(told)


@pytest.mark.slow
def test_a_run_that_failed_goes_on_after_what_it_has_made(desk):
    run = run_of(desk, ["no-such-command"], ["--version"])
    failed = ended(desk, run)
    (desk.runs.folder(run) / "model.safetensors").write_bytes(b"as if it had learned")

    desk.jobs.resume(run)

    told = ended(desk, run)
    assert (failed["state"], failed["can_resume"]) == ("failed", True)
    assert "no-such-command" in " ".join(failed["log"])
    assert (told["state"], told["can_resume"]) == ("done", False)
    assert told["log"][-1].startswith("cryopick ")
    with pytest.raises(InputError, match="nothing of this run is left"):
        desk.jobs.resume(run)


def test_curves_are_read_off_the_log(tmp_path):
    (tmp_path / "log.txt").write_text(
        "Micrographs: 2 of 3\n"
        "step 50/100  loss 0.4500  precision 0.2\n"
        "step 100/100  loss nan  held-out AP 0.6250 of 12 particles\n"
    )

    _, curves, progress = read_log(tmp_path / "log.txt")

    assert curves["step"] == [50, 100]
    assert curves["loss"] == [0.45, None]
    assert (curves["recall_step"], curves["recall"]) == ([100], [0.625])
    assert progress == {"says": "learning", "step": 100, "steps": 100}
    assert read_log(tmp_path / "none.txt")[0] == []
