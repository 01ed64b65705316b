"""What the page may say of a run's picks: only what its evidence carries."""

import numpy as np
import pytest
from tests import tiny

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.project.annotations import Add
from cryopick.web.project.measures import measured, review
from cryopick.web.project.micrographs import Wanted
from cryopick.web.project.project import Desk
from cryopick.web.project.reviews import NewCut, Verdict
from cryopick.web.project.run_picks import Cut

EACH = 40


@pytest.fixture
def desk(tmp_path):
    """A project with three micrographs and a run that found 40 picks on each, scores -2 to 2."""
    tiny.micrographs(tmp_path / "mics", 3)
    opened = Desk.open(tmp_path / "p.cryopick")
    opened.micrographs.add([str(tmp_path / "mics")])
    run = opened.runs.create("train", "Training", {"held_out": []})
    tables = []
    for path in opened.micrographs.usable().values():
        xy_px = np.stack([np.arange(EACH) * 2.0, np.full(EACH, 30.0)], axis=1)
        tables.append(Picks.on(str(path), xy_px, np.linspace(2, -2, EACH)))
    opened.runs.folder(run).mkdir(exist_ok=True)
    write_picks(concatenate(tables), opened.runs.folder(run) / "picks.json")
    opened.runs.take_picks(run)
    yield opened
    opened.close()


def judge(desk, picks, answer, drawn, author="one"):
    """Say the same of several picks of a random sample."""
    kept = None if drawn is None else NewCut(threshold=drawn)
    sample = "uncertain" if drawn is None else "random"
    said = [
        Verdict(run="r1", pick=int(pick), answer=answer, sample=sample, drawn=kept)
        for pick in picks
    ]
    desk.verdicts.say(said, author)


def precision(desk, threshold):
    desk.runs.set_cut("r1", Cut(threshold))
    return measured(desk, "r1")["precision"]


def test_a_random_sample_holds_for_its_threshold_and_higher_ones_but_for_no_lower_one(desk):
    score = desk.runs.found("r1").score
    judge(desk, np.flatnonzero(score >= 1), "yes", 0.0)
    judge(desk, np.flatnonzero((score >= 0) & (score < 1)), "no", 0.0)

    at_zero, at_one, below = precision(desk, 0.0), precision(desk, 1.0), precision(desk, -0.5)

    assert at_zero["value"] == 0.5
    assert at_zero["low"] < 0.5 < at_zero["high"]
    assert (at_one["value"], at_one["n"]) == (1.0, (score >= 1).sum())
    assert (below["value"], below["n"]) == (None, 0)


def test_answers_on_uncertain_picks_say_nothing_of_precision(desk):
    judge(desk, range(30), "yes", None)

    assert precision(desk, -2.0)["value"] is None


def test_a_random_sample_holds_uncertain_picks_too_but_none_twice(desk):
    desk.runs.set_cut("r1", Cut(-2.0))
    judge(desk, range(30), "no", None)
    judge(desk, range(30, 40), "yes", -2.0)

    drawn = {one["pick"] for one in review(desk, "r1", "random", 500)}
    uncertain = {one["pick"] for one in review(desk, "r1", "uncertain", 500)}

    assert drawn == set(range(3 * EACH)) - set(range(30, 40))
    assert not uncertain & set(range(40))


def test_a_marked_micrograph_judges_only_a_detector_that_did_not_learn_from_it(desk):
    first, path = next(iter(desk.micrographs.usable().items()))
    found = desk.runs.found("r1")
    marks = [
        Add(op="add", cid=f"c{i}", id=f"l{i}", mid=first, x=float(x), y=float(y))
        for i, (x, y) in enumerate(found.xy_px[found.on(first)][:10])
    ]
    desk.marks.apply(marks, "")
    desk.micrographs.change(first, state="all", note=None)
    unseen = precision(desk, -2.0)
    (desk.runs.folder("r1") / "train.lst").write_text(f"{path}\n")
    learnt = precision(desk, -2.0)

    assert unseen["n"] == EACH
    assert unseen["value"] == pytest.approx(10 / EACH)
    assert learnt["value"] is None
    assert [one["name"] for one in measured(desk, "r1")["suggestions"]] == ["Even odds"]


@pytest.mark.parametrize("threshold", [0.0, 0.123, -0.777, -2.0, 2.0, 5.0, -5.0])
def test_what_the_page_counts_is_what_is_kept_wherever_the_threshold_was_put(desk, threshold):
    desk.runs.set_cut("r1", Cut(threshold))
    found = desk.runs.found("r1")
    kept_from = np.cumsum(found.counts(desk.runs.thinned("r1"))[::-1])[::-1]

    cut = desk.runs.cut("r1").threshold
    edge = int(np.flatnonzero(found.edges == np.float32(cut))[0])

    assert abs(cut - np.clip(threshold, -2, 2)) < 0.002
    assert desk.runs.kept("r1").sum() == np.append(kept_from, 0)[edge]


def test_picks_are_counted_on_each_micrograph_also_on_those_without(desk):
    found = desk.runs.found("r1")
    keep = found.score > 1
    keep[found.on(2)] = False

    per_micrograph = found.on_each(keep).tolist()

    assert per_micrograph == [int(keep[found.mids == mid].sum()) for mid in found.micrographs]
    assert per_micrograph[1] == 0
    desk.runs.set_cut("r1", Cut(1.5))
    rows = desk.micrographs.listed(Wanted(run="r1"))["rows"]
    assert [(row["picks"], row["best"]) for row in rows] == [
        (int((found.score >= np.float32(desk.runs.cut("r1").threshold)).sum()) // 3, 2.0)
    ] * 3


def test_nobody_takes_back_what_another_said(desk):
    few = np.flatnonzero(desk.runs.found("r1").score >= 1)
    judge(desk, few, "yes", 1.0)
    judge(desk, few, "no", 1.0, author="other")

    assert precision(desk, 1.0)["value"] == 0.0
    judge(desk, few, "none", 1.0, author="other")
    assert precision(desk, 1.0)["value"] == 1.0
    judge(desk, few, "none", 1.0)
    assert precision(desk, 1.0)["value"] is None


def test_a_clock_that_is_set_back_changes_no_order(desk, monkeypatch):
    desk.marks.apply([Add(op="add", cid="a", id="a", mid=1, x=1, y=1)], "")
    judge(desk, range(20), "yes", -2.0)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    desk.marks.apply([Add(op="add", cid="b", id="b", mid=1, x=2, y=2)], "")
    judge(desk, range(20), "no", -2.0, author="other")
    later = desk.runs.create("pick", "Picking", {})

    assert [label["id"] for label in desk.marks.on(1)["labels"]] == ["a", "b"]
    assert precision(desk, -2.0)["value"] == 0.0  # what was said last counts
    assert [run["id"] for run in desk.runs.all()] == [later, "r1"]
    desk.runs.change("r1", started=2000.0)
    assert desk.jobs.shown(desk.runs.one("r1"))["seconds"] == 0.0
