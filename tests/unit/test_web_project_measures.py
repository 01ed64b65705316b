"""The metrics of a run's picks are shown only if there is enough evidence."""

import numpy as np
import pytest
from tests import tiny

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.project.measures import choose_picks_to_review, measure_run
from cryopick.web.project.project import AnnotationProject
from cryopick.web.project.training_plan import plan_training
from cryopick.web.storage.annotations import AddLabel
from cryopick.web.storage.micrographs import MicrographQuery
from cryopick.web.storage.reviews import FilterChange, PickVerdict
from cryopick.web.storage.run_picks import PickFilter
from cryopick.workflows.events import Notice, NoticeCode
from cryopick.workflows.progress_file import ProgressFile

EACH = 40


@pytest.fixture
def project(tmp_path):
    """A project with three micrographs and a run with 40 picks on each, scores -2 to 2."""
    tiny.micrographs(tmp_path / "mics", 3)
    opened = AnnotationProject.open(tmp_path / "p.cryopick")
    opened.micrographs.add([str(tmp_path / "mics")])
    run = opened.runs.create("train", "Training", {"held_out": []})
    tables = []
    for path in opened.micrographs.usable().values():
        xy_px = np.stack([np.arange(EACH) * 2.0, np.full(EACH, 30.0)], axis=1)
        tables.append(Picks.for_micrograph(str(path), xy_px, np.linspace(2, -2, EACH)))
    opened.runs.folder(run).mkdir(exist_ok=True)
    write_picks(concatenate(tables), opened.runs.folder(run) / "picks.json")
    opened.runs.take_picks(run)
    yield opened
    opened.close()


def review(project, picks, answer, drawn, author="one"):
    """Save the same verdict on several picks; `drawn` is the threshold of a random sample."""
    pick_filter = None if drawn is None else FilterChange(threshold=drawn)
    sample = "uncertain" if drawn is None else "random"
    verdicts = [
        PickVerdict(run="r1", pick=int(pick), answer=answer, sample=sample, drawn=pick_filter)
        for pick in picks
    ]
    project.verdicts.save(verdicts, author)


def precision(project, threshold):
    project.runs.set_pick_filter("r1", PickFilter(threshold))
    return measure_run(project, "r1")["precision"]


def test_a_random_sample_is_valid_for_its_threshold_and_higher_ones_only(project):
    score = project.runs.picks("r1").score
    review(project, np.flatnonzero(score >= 1), "yes", 0.0)
    review(project, np.flatnonzero((score >= 0) & (score < 1)), "no", 0.0)

    at_zero, at_one, below = (
        precision(project, 0.0),
        precision(project, 1.0),
        precision(project, -0.5),
    )

    assert at_zero["value"] == 0.5
    assert at_zero["low"] < 0.5 < at_zero["high"]
    assert (at_one["value"], at_one["n"]) == (1.0, (score >= 1).sum())
    assert (below["value"], below["n"]) == (None, 0)


def test_verdicts_on_uncertain_picks_give_no_precision(project):
    review(project, range(30), "yes", None)

    assert precision(project, -2.0)["value"] is None


def test_a_random_sample_includes_uncertain_picks_but_none_twice(project):
    project.runs.set_pick_filter("r1", PickFilter(-2.0))
    review(project, range(30), "no", None)
    review(project, range(30, 40), "yes", -2.0)

    drawn = {one["pick"] for one in choose_picks_to_review(project, "r1", "random", 500)}
    uncertain = {one["pick"] for one in choose_picks_to_review(project, "r1", "uncertain", 500)}

    assert drawn == set(range(3 * EACH)) - set(range(30, 40))
    assert not uncertain & set(range(40))


def test_a_fully_labelled_micrograph_evaluates_only_models_not_trained_on_it(project):
    first, path = next(iter(project.micrographs.usable().items()))
    picks = project.runs.picks("r1")
    labels = [
        AddLabel(op="add", cid=f"c{i}", id=f"l{i}", mid=first, x=float(x), y=float(y))
        for i, (x, y) in enumerate(picks.xy_px[picks.rows_of(first)][:10])
    ]
    project.annotations.apply(labels, "")
    project.micrographs.change(first, state="all", note=None)
    unseen = precision(project, -2.0)
    (project.runs.folder("r1") / "train.lst").write_text(f"{path}\n")
    used = precision(project, -2.0)

    assert unseen["n"] == EACH
    assert unseen["value"] == pytest.approx(10 / EACH)
    assert used["value"] is None
    assert [one["name"] for one in measure_run(project, "r1")["suggestions"]] == ["Automatic"]


@pytest.mark.parametrize("threshold", [0.0, 0.123, -0.777, -2.0, 2.0, 5.0, -5.0])
def test_the_histogram_gives_the_number_of_selected_picks_at_any_threshold(project, threshold):
    project.runs.set_pick_filter("r1", PickFilter(threshold))
    picks = project.runs.picks("r1")

    histogram = project.corrections.histogram("r1")

    edges = histogram["edges"]
    totals = [*np.cumsum(histogram["counts"][::-1])[::-1], 0]
    assert project.runs.pick_filter("r1").threshold == threshold  # not rounded
    assert project.runs.selection_mask("r1").sum() == totals[edges.index(threshold)]
    for edge, total in zip(edges, totals, strict=True):
        assert total == (picks.score >= edge).sum()


def test_picks_are_counted_on_every_micrograph_including_those_without_picks(project):
    picks = project.runs.picks("r1")
    keep = picks.score > 1
    keep[picks.rows_of(2)] = False

    per_micrograph = picks.count_per_micrograph(keep).tolist()

    assert per_micrograph == [int(keep[picks.mids == mid].sum()) for mid in picks.micrographs]
    assert per_micrograph[1] == 0
    project.runs.set_pick_filter("r1", PickFilter(1.5))
    rows = project.micrographs.list_rows(MicrographQuery(run="r1"))["rows"]
    assert [(row["picks"], row["best"]) for row in rows] == [
        (int((picks.score >= np.float32(project.runs.pick_filter("r1").threshold)).sum()) // 3, 2.0)
    ] * 3


def test_a_person_cannot_withdraw_the_verdict_of_another(project):
    few = np.flatnonzero(project.runs.picks("r1").score >= 1)
    review(project, few, "yes", 1.0)
    review(project, few, "no", 1.0, author="other")

    assert precision(project, 1.0)["value"] == 0.0
    review(project, few, "none", 1.0, author="other")
    assert precision(project, 1.0)["value"] == 1.0
    review(project, few, "none", 1.0)
    assert precision(project, 1.0)["value"] is None


def test_setting_the_clock_back_does_not_change_the_order(project, monkeypatch):
    project.annotations.apply([AddLabel(op="add", cid="a", id="a", mid=1, x=1, y=1)], "")
    review(project, range(20), "yes", -2.0)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    project.annotations.apply([AddLabel(op="add", cid="b", id="b", mid=1, x=2, y=2)], "")
    review(project, range(20), "no", -2.0, author="other")
    later = project.runs.create("pick", "Picking", {})

    assert [label["id"] for label in project.annotations.list_on(1)["labels"]] == ["a", "b"]
    assert precision(project, -2.0)["value"] == 0.0  # the last verdict counts
    assert [run["id"] for run in project.runs.list_all()] == [later, "r1"]
    project.runs.change("r1", started=2000.0)
    assert project.jobs.describe(project.runs.find("r1"))["seconds"] == 0.0


def test_scores_that_are_not_calibrated_give_no_estimates(project):
    calibrated = measure_run(project, "r1")
    with ProgressFile() as file:
        file.open(project.runs.folder("r1") / "events.jsonl")
        file.emit(Notice(code=NoticeCode.UNCALIBRATED_SCORES, message="scores are not calibrated"))
    expected = plan_training(project)["expected"]

    uncalibrated = measure_run(project, "r1")

    assert calibrated["is_calibrated"]
    assert calibrated["estimated"] is not None
    assert [one["name"] for one in calibrated["suggestions"]] == ["Automatic"]
    assert not uncalibrated["is_calibrated"]
    assert uncalibrated["estimated"] is None
    assert uncalibrated["suggestions"] == []
    assert expected is None
