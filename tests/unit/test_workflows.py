"""Events of workflows, the progress file, and tasks without a command line."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.errors import InputError, OutputExistsError
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.model_file import load_model
from cryopick.pick.settings import PickSettings
from cryopick.train.curves import CurveRow
from cryopick.workflows import events as module
from cryopick.workflows.events import (
    CurvePoint,
    Event,
    EventGroup,
    FileSkipped,
    Finished,
    NoEvents,
    Notice,
    NoticeCode,
    Progress,
    Resumed,
    StageEnded,
    Started,
    track_progress,
)
from cryopick.workflows.micrograph_table import SKIPPED, read_micrograph_table
from cryopick.workflows.picking import PickJob, pick_micrographs
from cryopick.workflows.progress_file import ProgressFile, read_progress
from cryopick.workflows.table_output import TableOutput


class Recorder:
    """A receiver that keeps all events."""

    def __init__(self):
        self.events = []

    def emit(self, event, /):
        self.events.append(event)


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances by one second with each reading."""
    seconds = iter(range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))


def progress(done, total=10, elapsed_s=0.0, stage="Scoring"):
    return Progress(stage=stage, done=done, total=total, elapsed_s=elapsed_s, seconds_left=None)


def test_a_stage_reports_completed_units_and_the_remaining_time(clock):
    recorder = Recorder()

    with track_progress(recorder, "Scoring", 4) as advance:
        advance(1)
        advance(3)

    reported = [(e.done, e.seconds_left) for e in recorder.events if isinstance(e, Progress)]
    assert reported == [(0, None), (1, 3.0), (4, 0.0)]
    assert recorder.events[-1] == StageEnded(stage="Scoring")


def test_a_stage_ends_also_when_it_fails():
    recorder = Recorder()

    with pytest.raises(InputError), track_progress(recorder, "Scoring", 4):
        raise InputError("broken")

    assert recorder.events[-1] == StageEnded(stage="Scoring")


def test_a_group_informs_all_members():
    first, second = Recorder(), Recorder()

    EventGroup(first, NoEvents(), second).emit(progress(1))

    assert first.events == second.events == [progress(1)]


def test_every_event_has_a_name_of_its_own():
    names = [kind.name for kind in Event.__subclasses__()]

    assert len(set(names)) == len(names) > 8


def test_a_progress_file_keeps_early_events_and_is_read_back(tmp_path):
    row = CurveRow(
        step=5,
        loss=math.nan,
        penalty=0.5,
        expected_precision=0.25,
        true_positive_rate=1.0,
        false_positive_rate=0.0,
    )

    with ProgressFile() as file:
        file.emit(Started(workflow="train", micrographs=3))
        file.open(tmp_path / "progress.jsonl")
        file.emit(CurvePoint(row=row, steps=10))
        file.emit(FileSkipped.from_error(Path("a.mrc"), InputError("a.mrc: is\nempty")))

    started, point, skipped = read_progress(tmp_path / "progress.jsonl")
    assert (started["event"], started["micrographs"]) == ("started", 3)
    assert (point["step"], point["steps"], point["loss"], point["penalty"]) == (5, 10, None, 0.5)
    assert point["particle_average_precision"] is None
    assert (skipped["path"], skipped["reason"]) == ("a.mrc", "is empty")


def test_a_progress_file_limits_the_rate_but_keeps_the_last_count(tmp_path):
    with ProgressFile() as file:
        file.open(tmp_path / "progress.jsonl")
        for done in range(11):
            file.emit(progress(done, elapsed_s=0.3 * done))

    counts = [event["done"] for event in read_progress(tmp_path / "progress.jsonl")]
    assert counts == [0, 4, 8, 10]


def test_a_progress_file_is_appended_to_by_a_resumed_run(tmp_path):
    path = tmp_path / "progress.jsonl"

    for append in (False, True):
        with ProgressFile() as file:
            file.open(path, append=append)
            file.emit(Finished(message="done"))
    assert len(read_progress(path)) == 2

    with ProgressFile() as file:
        file.open(path)
    assert read_progress(path) == []


def test_a_progress_file_that_cannot_be_written_stops_nothing(tmp_path):
    with ProgressFile() as file:
        file.open(tmp_path / "missing" / "progress.jsonl")
        file.emit(Finished(message="done"))

    assert read_progress(tmp_path / "missing" / "progress.jsonl") == []


def test_incomplete_lines_of_a_progress_file_are_ignored(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text(json.dumps({"event": "finished"}) + '\n{"event": "prog')

    assert [event["event"] for event in read_progress(path)] == ["finished"]


@pytest.fixture
def micrographs(tmp_path):
    tiny.micrographs(tmp_path / "mics", 2)
    tiny.model(tmp_path / "mics" / "m.safetensors")
    return sorted((tmp_path / "mics").glob("*.mrc"))


def pick_job(micrographs, out=None, **others):
    folder = micrographs[0].parent
    output = out and TableOutput.plan(micrographs, str(folder / out), table_format=None)
    return PickJob(
        micrographs=micrographs,
        model=folder / "m.safetensors",
        settings=PickSettings(threshold=-100.0),
        output=output,
        device="cpu",
        **others,
    )


def test_picks_are_the_same_with_and_without_an_output(micrographs):
    returned = pick_micrographs(pick_job(micrographs), NoEvents())

    written = pick_micrographs(pick_job(micrographs, "picks.json"), NoEvents())

    folder = micrographs[0].parent
    assert np.array_equal(returned.picks.xy_px, written.picks.xy_px)
    table = read_picks(folder / "picks.json")  # coordinates with three decimals
    np.testing.assert_allclose(table.xy_px, written.picks.xy_px, atol=1e-3)
    assert json.loads((folder / "picks.run.json").read_text())["skipped"] == []
    assert (folder / "picks.settings.toml").exists()


def test_a_model_in_memory_picks_without_an_output_only(micrographs):
    folder = micrographs[0].parent
    model = load_model(folder / "m.safetensors")
    job = pick_job(micrographs)

    from_file = pick_micrographs(job, NoEvents()).picks
    from_memory = pick_micrographs(
        PickJob(micrographs=micrographs, model=model, settings=job.settings, device="cpu"),
        NoEvents(),
    ).picks

    assert np.array_equal(from_file.xy_px, from_memory.xy_px)
    output = TableOutput.plan(micrographs, str(folder / "a.tsv"), table_format=None)
    with pytest.raises(ValueError, match="need the file of the model"):
        pick_micrographs(
            PickJob(micrographs=micrographs, model=model, settings=job.settings, output=output),
            NoEvents(),
        )


def test_skipped_micrographs_are_events_and_results(micrographs):
    micrographs[0].write_bytes(b"broken")
    recorder = Recorder()

    result = pick_micrographs(pick_job(micrographs, "picks.tsv"), recorder)

    assert result.skipped == (micrographs[0],)
    skipped = [event.path for event in recorder.events if isinstance(event, FileSkipped)]
    assert skipped == [micrographs[0]]
    assert isinstance(recorder.events[-1], Finished)
    rows = read_micrograph_table(micrographs[0].parent / "picks.micrographs.tsv")
    assert [(row.micrograph, row.verdict == SKIPPED) for row in rows] == [
        (str(micrographs[1]), False),
        (str(micrographs[0]), True),
    ]
    assert rows[0].picks == len(result.picks)
    assert rows[0].pixel_size_ang == pytest.approx(tiny.PIXEL_ANG)


def test_the_summary_names_candidates_expected_particles_and_the_next_step(micrographs):
    recorder = Recorder()

    result = pick_micrographs(pick_job(micrographs, "picks.tsv"), recorder)

    message = recorder.events[-1].message
    assert message.startswith(f"{len(result.picks):,} candidates (about ")
    assert "particles expected, 95 %: " in message
    assert " without labels) on 2 micrographs" in message
    assert "next: cryopick threshold" in message


def test_an_implausible_diameter_gives_one_notice(micrographs):
    recorder = Recorder()
    job = pick_job(micrographs, "picks.tsv")
    job = replace(job, settings=replace(job.settings, pixel_size_ang=18.0))

    pick_micrographs(job, recorder)

    notices = [event for event in recorder.events if isinstance(event, Notice)]
    codes = [notice.code for notice in notices]
    assert codes.count(NoticeCode.DOUBTFUL_SIZE) == 1
    assert set(codes) <= {NoticeCode.DOUBTFUL_SIZE, NoticeCode.MICROGRAPH_FINDING}


def test_a_second_task_resumes_or_refuses(micrographs):
    recorder = Recorder()
    pick_micrographs(pick_job(micrographs, "picks.tsv"), NoEvents())

    pick_micrographs(pick_job(micrographs, "picks.tsv"), recorder)

    assert any(isinstance(event, Resumed) for event in recorder.events)
    (micrographs[0].parent / "other.tsv").write_text("of somebody else")
    with pytest.raises(OutputExistsError):
        pick_micrographs(pick_job(micrographs, "other.tsv"), NoEvents())


def test_no_usable_micrograph_is_an_error(micrographs):
    for path in micrographs:
        path.write_bytes(b"broken")

    with pytest.raises(InputError, match="none of the micrographs can be used"):
        pick_micrographs(pick_job(micrographs), NoEvents())
