import json
import math
from pathlib import Path

import pytest
from tests import tiny

from cryopick.experiments.cross_validation import CandidateScore, choose_candidate

LINE = (
    f"cross-validate study -m mics -p labels.tsv --diameter-ang {tiny.DIAMETER_ANG:g} "
    "--config settings.toml --folds 3"
)


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 4)
    Path("settings.toml").write_text(tiny.TRAINING)
    return run_words


def score(count, *precisions):
    return CandidateScore(particles_per_micrograph=count, prior=0.1, average_precisions=precisions)


def test_the_best_mean_is_chosen_and_the_smaller_of_equal_candidates():
    scores = [score(8.0, 0.5, 0.7), score(4.0, 0.7, 0.5), score(2.0, 0.9, 0.2)]

    assert choose_candidate(scores).particles_per_micrograph == 4.0
    assert scores[0].standard_error == pytest.approx(0.1)
    assert math.isnan(score(1.0, 0.5).standard_error)


def test_every_candidate_is_trained_once_per_fold_and_the_best_is_named(run):
    line = f"{LINE} --particles-per-micrograph 7 --particles-per-micrograph 12 --json"

    first = json.loads(run(line).stdout)
    files = {path: path.stat().st_mtime_ns for path in Path("study/runs").glob("*.json")}
    again = json.loads(run(f"{line} --particles-per-micrograph 20").stdout)

    assert [row["particles_per_micrograph"] for row in first["candidates"]] == [7.0, 12.0]
    assert all(len(row["average_precisions"]) == 3 for row in first["candidates"])
    assert first["candidates"][0]["prior"] < first["candidates"][1]["prior"]
    assert first["best"] in (7.0, 12.0)
    assert again["candidates"][:2] == first["candidates"]
    assert len(files) == 6
    assert {p: p.stat().st_mtime_ns for p in files} == files
    assert len(list(Path("study/runs").glob("*.json"))) == 9


def test_micrographs_without_labels_are_not_used(run):
    rows = Path("labels.tsv").read_text().splitlines()
    some = [rows[0], *(row for row in rows[1:] if not row.startswith("mic_3"))]
    Path("labels.tsv").write_text("\n".join(some) + "\n")

    run(f"{LINE} --particles-per-micrograph 9")
    why = run(f"{LINE} --folds 4 --particles-per-micrograph 9", status=1).stderr

    assert "4 folds need at least as many labelled micrographs; only 3 have labels" in why


def test_fewer_particles_than_labels_are_refused(run):
    why = run(f"{LINE} --particles-per-micrograph 2", status=1).stderr

    assert "2 particles" in why or "particles are expected" in why
