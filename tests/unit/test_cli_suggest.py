"""`cryopick suggest`: from micrographs to candidates to label."""

from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.active.candidates import CandidateBatch
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks
from cryopick.runs.text_files import read_name_list

LINE = "suggest mics --model m.safetensors --device cpu"
HALF_PX = tiny.DIAMETER_ANG / 2 / tiny.PIXEL_ANG


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    tiny.model("m.safetensors")
    return run_words


@pytest.fixture
def processed(monkeypatch):
    """Record the processed micrographs; interrupt after the number in `stop_after`."""

    class ProcessedNames(list):
        stop_after = None

    names, compute_features = ProcessedNames(), CandidateBatch.compute_features

    def compute_and_count(self, path, *rest):
        if len(names) == names.stop_after:
            raise KeyboardInterrupt
        names.append(path.name)
        return compute_features(self, path, *rest)

    monkeypatch.setattr(CandidateBatch, "compute_features", compute_and_count)
    return names


def nearest(picks, others):
    """Compute the distance of each pick to the nearest pick of another table."""
    found = np.full(len(picks), np.inf)
    of_others = others.rows_by_micrograph()
    for name, rows in picks.rows_by_micrograph().items():
        there = others.xy_px[of_others.get(name, np.zeros(0, int))]
        if len(rows) and len(there):
            gaps = np.linalg.norm(picks.xy_px[rows][:, None] - there, axis=2)
            found[rows] = gaps.min(axis=1)
    return found


@pytest.mark.parametrize("name", ["c.star", "c.tsv", "c.csv"])
def test_candidates_are_scored_and_in_the_order_to_label(run, name):
    result = run(f"{LINE} -o {name} --count 7")

    picks = read_picks(Path(name))
    assert len(picks) == 7
    assert len(picks.micrographs) == 3
    assert np.isfinite(picks.score).all()
    assert (np.diff(picks.extra["acquisition_value"]) <= 0).all()
    assert result.stdout == ""
    beside = Path("c.settings.toml").read_text()
    assert "# model: m.safetensors (sha256 " in beside
    assert "count = 7" in beside


def test_candidates_are_picks(run):
    run(f"{LINE} -o c.tsv --count 10 --threshold -2 --margin-ang 150")
    run("pick mics --model m.safetensors -o p.tsv --threshold -2 --margin-ang 150")

    candidates, picks = (read_picks(Path(name)) for name in ("c.tsv", "p.tsv"))
    assert len(candidates) == 10
    assert nearest(candidates, picks).max() < 2e-3


def test_labels_and_earlier_suggestions_are_not_suggested_again(run):
    run(f"{LINE} -o first.tsv --count 6")
    run(f"{LINE} -o second.tsv --count 30 --asked first.tsv --labels labels.tsv")

    asked, second = read_picks(Path("first.tsv")), read_picks(Path("second.tsv"))
    assert len(second) > 5
    assert nearest(second, asked).min() > HALF_PX
    assert nearest(second, read_picks(Path("labels.tsv"))).min() > HALF_PX


def test_micrographs_are_named_in_order_and_hold_all_candidates(run):
    result = run(f"{LINE} -o c.tsv --micrographs 2 --out-micrographs lists/order.txt")

    named, listed = result.stdout.splitlines(), read_name_list(Path("lists/order.txt"))
    assert len(set(named)) == 2
    assert [str(Path(name).absolute()) for name in named] == listed[:2]
    assert sorted(Path(name).name for name in listed) == ["mic_0.mrc", "mic_1.mrc", "mic_2.mrc"]
    assert set(read_picks(Path("c.tsv")).micrographs) == {micrograph_stem(name) for name in named}
    run("suggest @lists/order.txt --model m.safetensors -o again.tsv")


def test_a_labelled_micrograph_is_named_last(run):
    write_picks(Picks.for_micrograph("mic_0", np.array([[50.0, 50.0]])), Path("one.tsv"))

    run(f"{LINE} -o c.tsv --labels one.tsv --out-micrographs order.txt")

    assert read_name_list(Path("order.txt"))[-1].endswith("mic_0.mrc")


def test_the_default_particle_count_is_that_of_the_training(run):
    run(f"{LINE} -o plain.tsv")
    run(f"{LINE} -o explicit.tsv --particles-per-micrograph 3")
    tiny.model("t.safetensors", settings={"particles_per_micrograph": 3.0})
    run("suggest mics --model t.safetensors -o trained.tsv")

    plain, explicit, trained = (
        Path(f"{name}.tsv").read_text() for name in ("plain", "explicit", "trained")
    )
    assert plain != explicit == trained


def test_a_resumed_run_gives_the_same_candidates(run, processed):
    run(f"{LINE} -o whole.tsv")
    processed.clear()
    processed.stop_after = 2
    run(f"{LINE} -o cut.tsv", status=130)
    assert not Path("cut.tsv").exists()
    processed.stop_after = None

    result = run(f"{LINE} -o cut.tsv")

    assert "resuming from the unfinished batch" in result.stderr
    assert Path("cut.tsv").read_bytes() == Path("whole.tsv").read_bytes()
    assert not list(Path().glob(".*.parts"))


def test_bad_micrographs_are_reported_and_the_others_used(run):
    wrong = tiny.bad_micrographs("mics")

    result = run("suggest mics/* --model m.safetensors -o c.tsv --micrographs 9", status=1)

    assert result.stderr.count("skipped mics/") == len(wrong)
    assert len(result.stdout.splitlines()) == 3
    assert len(read_picks(Path("c.tsv"))) == 50


@pytest.mark.parametrize("out", ["out/", "there"])
def test_a_folder_gets_one_table_per_micrograph(run, out):
    Path("there").mkdir()

    run(f"{LINE} -o {out} --format box --box-px 12")

    found = sorted(path.name for path in Path(out).iterdir())
    assert found == ["mic_0.box", "mic_1.box", "mic_2.box", "run.json", "settings.toml"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("-o c.tsv", 1, "c.tsv: already exists; overwrite it with --force"),
        ("-o a.tsv --out-micrographs c.tsv", 1, "c.tsv: already exists"),
        ("-o a.tsv --out-micrographs a.tsv", 2, "must be different files"),
        ("-o a.dat", 1, "a.dat: expected a suffix of"),
        ("-o a.tsv --count 0", 1, "count must be at least 1"),
        ("-o a.tsv --micrographs 0", 1, "micrographs must be at least 1"),
        ("-o a.tsv --particles-per-micrograph 0", 1, "particles_per_micrograph must be above 0"),
        ("-o a.tsv --model no.safetensors", 1, "no.safetensors: no such model file"),
        ("-o a.tsv --labels no.tsv", 1, "no.tsv: no such file"),
        ("-o a.tsv --labels other.tsv", 1, "other.tsv: none of its 1 picks lies on one of the 3"),
        (
            "-o a.tsv --asked other.tsv",
            1,
            "its first is 'elsewhere', the first given is 'mic_0.mrc'",
        ),
        ("-o a.tsv nothing-here", 1, "nothing-here: no such file or folder"),
    ],
)
def test_invalid_options_fail_before_any_work(run, processed, words, status, message):
    Path("c.tsv").write_text("old")
    write_picks(Picks.for_micrograph("elsewhere", np.ones((1, 2))), Path("other.tsv"))

    result = run(f"{LINE} {words}", status=status)

    assert message in result.stderr
    assert processed == []
    assert Path("c.tsv").read_text() == "old"
    assert not list(Path().glob(".*.parts"))


def test_the_general_model_is_used_without_a_model(run, monkeypatch):
    monkeypatch.setattr("cryopick.model.model_file.GENERAL_MODEL", Path("gone.safetensors"))
    result = run("suggest mics -o c.tsv --diameter-ang 135", status=1)
    assert result.stderr.count("\n") == 1
    assert "gone.safetensors: no such model file" in result.stderr

    monkeypatch.setattr("cryopick.model.model_file.GENERAL_MODEL", Path("m.safetensors"))
    run("suggest mics -o c.tsv --diameter-ang 135")
