import sys
from pathlib import Path

import pytest

from cryopick.cli.progress import Batch, progress
from cryopick.errors import InputError, UnfinishedError
from cryopick.workflows import events

FILES = [Path("a.mrc"), Path("b.mrc"), Path("c.mrc")]


def refuse_b(path):
    if path.name == "b.mrc":
        raise InputError("b.mrc: is\nempty")
    return path.stem


def test_a_failed_file_is_reported_and_skipped_and_the_others_are_processed(capsys):
    batch = Batch(FILES, stage="Scoring")

    results = list(batch.run(refuse_b))

    assert results == [(FILES[0], "a"), (FILES[2], "c")]
    assert "skipped b.mrc: is empty\n" in capsys.readouterr().err
    with pytest.raises(UnfinishedError, match=r"1 of 3 files failed and were skipped: b\.mrc;"):
        batch.finish()


def test_a_batch_without_failures_ends_quietly():
    batch = Batch(FILES, stage="Scoring")

    assert len(list(batch.run(str))) == 3
    batch.finish()


def test_any_exception_of_a_file_skips_it_and_is_named(capsys):
    batch = Batch(FILES, stage="Scoring")

    results = list(batch.run(lambda path: 1 / (path != FILES[1])))

    assert [path for path, _ in results] == [FILES[0], FILES[2]]
    assert "skipped b.mrc: cannot be processed: ZeroDivisionError" in capsys.readouterr().err
    with pytest.raises(UnfinishedError, match="1 of 3 files failed"):
        batch.finish()


def test_a_log_gets_a_line_every_few_seconds_and_one_at_the_end(monkeypatch, capsys):
    seconds = iter(range(100))
    monkeypatch.setattr(events.time, "monotonic", lambda: float(next(seconds)))

    with progress(12, "Scoring") as advance:
        for _ in range(12):
            advance(1)

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Scoring: 5 of 12, about 7 s left",
        "Scoring: 10 of 12, about 2 s left",
        "Scoring: 12 of 12",
    ]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")

    with progress(2, "Scoring") as advance:
        advance(2)

    assert "2/2" in capsys.readouterr().err
