"""Runs in child processes: a run that failed or was stopped can be resumed."""

import json
import os
import time

import pytest
from tests import tiny

from cryopick.errors import InputError
from cryopick.web.jobs.run_progress import read_last_lines, read_run_progress
from cryopick.web.project.project import AnnotationProject


@pytest.fixture
def project(tmp_path):
    tiny.micrographs(tmp_path / "mics", 1)
    open_project = AnnotationProject.open(tmp_path / "p.cryopick")
    yield open_project
    open_project.close()


def create_run(project, *commands):
    """Create a run with the given commands; it does not start before they are written."""
    run = project.runs.create("train", "Training", {})
    project.runs.folder(run).mkdir(exist_ok=True)
    time.sleep(1.2)  # longer than the interval of the queue
    assert project.runs.find(run)["state"] == "queued"
    plan = {"commands": list(commands), "on_stop": []}
    (project.runs.folder(run) / ".plan.json").write_text(json.dumps(plan))
    (project.runs.folder(run) / ".plan.json").rename(project.runs.folder(run) / "plan.json")
    return run


def wait_for_end(project, run):
    """Return the description of a run after it has ended."""
    before = time.monotonic()
    while time.monotonic() - before < 120:
        description = project.jobs.describe(project.runs.find(run))
        if description["state"] not in ("queued", "running"):
            return description
        time.sleep(0.1)
    raise AssertionError(description)


@pytest.mark.slow
def test_a_failed_run_is_resumed_after_its_completed_commands(project):
    run = create_run(project, ["no-such-command"], ["--version"])
    failed = wait_for_end(project, run)
    (project.runs.folder(run) / "model.safetensors").write_bytes(b"as after training")

    project.jobs.resume(run)

    description = wait_for_end(project, run)
    assert (failed["state"], failed["can_resume"]) == ("failed", True)
    assert "no-such-command" in " ".join(failed["log"])
    assert (description["state"], description["can_resume"]) == ("done", False)
    assert description["log"][-1].startswith("cryopick ")
    with pytest.raises(InputError, match="nothing left to resume"):
        project.jobs.resume(run)


def write_events(file, *events):
    file.parent.mkdir()
    file.write_text("".join(json.dumps(event) + "\n" for event in events))


def test_curves_and_progress_are_read_from_progress_files(tmp_path):
    progress = {"event": "progress", "elapsed_s": 1.0, "seconds_left": 2.5}
    rows = [
        {"event": "curve_point", "step": 50, "loss": 0.45, "particle_average_precision": None},
        {"event": "curve_point", "step": 100, "loss": None, "particle_average_precision": 0.625},
    ]
    training = {**progress, "stage": "Training", "done": 100, "total": 100}
    write_events(tmp_path / "model.run" / "progress.jsonl", {"event": "started"}, *rows, training)
    os.utime(tmp_path / "model.run" / "progress.jsonl", (1, 1))
    before = read_run_progress(tmp_path)
    picking = {**progress, "stage": "Picking micrographs", "done": 2, "total": 3}
    write_events(tmp_path / ".picks.json.parts" / "progress.jsonl", picking)

    after = read_run_progress(tmp_path)

    assert after.curves["step"] == [50, 100]
    assert after.curves["loss"] == [0.45, None]
    assert after.curves["average_precision_step"] == [100]
    assert after.curves["average_precision"] == [0.625]
    assert (before.current["stage"], before.current["done"]) == ("Training", 100)
    assert after.current == {
        "stage": "Picking micrographs",
        "done": 2,
        "total": 3,
        "seconds_left": 2.5,
    }


def test_the_curves_of_both_networks_share_their_steps(tmp_path):
    points = [(5, 0.9, True), (10, 0.8, True), (5, 0.7, False), (5, 0.6, False)]  # 5 again: resumed
    keys = ("step", "loss", "is_partner")
    events = [{"event": "curve_point"} | dict(zip(keys, point, strict=True)) for point in points]
    write_events(tmp_path / "model.run" / "progress.jsonl", *events)

    curves = read_run_progress(tmp_path).curves

    assert curves["step"] == [5, 10]
    assert curves["partner_loss"] == [0.9, 0.8]
    assert curves["loss"] == [0.6, None]


def test_the_last_lines_of_the_output_are_shown_unchanged(tmp_path):
    assert read_last_lines(tmp_path) == []
    (tmp_path / "log.txt").write_text("".join(f"line {number}\n" for number in range(100)))

    assert read_last_lines(tmp_path) == [f"line {number}" for number in range(60, 100)]
