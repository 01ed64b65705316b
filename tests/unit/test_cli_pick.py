"""`cryopick pick`: from raw micrographs to tables, also interrupted or with bad files."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.config import load_toml
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.device import require_device
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import concatenate

PATHS = [Path("mics") / f"mic_{number}.mrc" for number in range(3)]


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    tiny.model("m.safetensors", settings={"pixel_size_ang": 3.5})
    return run_words


@pytest.fixture
def picked(monkeypatch):
    """Record the picked micrographs; interrupt after the number in `stop_after`."""

    class Picked(list):
        stop_after = None

    seen, pick = Picked(), Picker.pick

    def pick_and_count(self, path):
        if len(seen) == seen.stop_after:
            raise KeyboardInterrupt
        seen.append(path.name)
        return pick(self, path)

    monkeypatch.setattr(Picker, "pick", pick_and_count)
    return seen


def expected(**settings):
    picker = Picker.create(
        load_model(Path("m.safetensors")), PickSettings(**settings), require_device("cpu")
    )
    return concatenate([picker.pick(path) for path in PATHS])


def test_the_table_holds_the_picks_of_all_micrographs_best_first(run):
    run("pick mics --model m.safetensors -o picks.tsv --threshold -3 --device cpu")

    picks, wanted = read_picks(Path("picks.tsv")), expected(threshold=-3.0)
    assert picks.micrographs == ("mic_0", "mic_1", "mic_2")
    assert len(picks) == len(wanted) > 30
    assert np.allclose(picks.xy_px, wanted.xy_px, rtol=0, atol=1e-3)
    for _, own in picks.split_by_micrograph():
        assert (np.diff(own.score) <= 0).all()
        assert (own.score >= -3).all()


def test_the_settings_are_written_beside_the_table_and_name_the_model(run):
    run("pick mics --model m.safetensors -o picks.star --radius-ang 55 --margin-ang 20")

    beside = Path("picks.settings.toml")
    assert load_toml(PickSettings, beside) == PickSettings(radius_ang=55.0, margin_ang=20.0)
    assert "# model: m.safetensors (sha256 " in beside.read_text()


@pytest.mark.parametrize("out", ["out/", "there"])
def test_a_folder_gets_one_table_per_micrograph(run, out):
    Path("there").mkdir()

    run(f"pick mics --model m.safetensors -o {out} --format box --box-px 12")

    assert sorted(path.name for path in Path(out).iterdir()) == [
        "mic_0.box",
        "mic_1.box",
        "mic_2.box",
        "run.json",
        "settings.toml",
    ]


def test_only_what_is_missing_is_picked_after_an_interruption(run, picked):
    run("pick mics --model m.safetensors -o whole.tsv")
    picked.clear()
    picked.stop_after = 2
    run("pick mics --model m.safetensors -o cut.tsv", status=130)
    assert not Path("cut.tsv").exists()
    picked.stop_after = None

    result = run("pick mics --model m.safetensors -o cut.tsv")

    assert picked == ["mic_0.mrc", "mic_1.mrc", "mic_2.mrc"]
    assert "resuming from the unfinished batch" in result.stderr
    assert Path("cut.tsv").read_bytes() == Path("whole.tsv").read_bytes()
    assert not list(Path().glob(".*.parts"))


@pytest.mark.parametrize("change", ["settings", "model", "micrograph"])
def test_picks_of_other_settings_are_repeated(run, picked, change):
    picked.stop_after = 2
    run("pick mics --model m.safetensors -o picks.tsv", status=130)
    picked.clear()
    picked.stop_after = None
    line = "pick mics --model m.safetensors -o picks.tsv"
    if change == "settings":
        line += " --radius-ang 50"
    elif change == "model":
        Path("m.safetensors").unlink()
        tiny.model("m.safetensors", settings={"steps": 1})
    else:
        Path("mics/mic_0.mrc").touch()

    run(line)

    again = ["mic_0.mrc", "mic_2.mrc"] if change == "micrograph" else [p.name for p in PATHS]
    assert picked == again


def test_bad_micrographs_are_reported_and_the_others_are_in_the_table(run):
    wrong = tiny.bad_micrographs("mics")

    result = run("pick mics/* --model m.safetensors -o picks.tsv", status=1)

    for name, words in wrong.items():
        assert any(
            line.startswith(f"skipped mics/{name}: ") and words in line
            for line in result.stderr.splitlines()
        )
    assert "7 of 10 files failed and were skipped" in result.stderr
    assert len(read_picks(Path("picks.tsv"))) == len(expected())


def test_no_table_is_written_where_nothing_could_be_picked(run):
    for path in PATHS:
        path.write_bytes(b"")

    result = run("pick mics --model m.safetensors -o picks.tsv", status=1)

    assert "none of the micrographs can be used" in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["labels.tsv", "m.safetensors", "mics"]


def test_a_missing_pixel_size_is_reported_with_that_of_the_training(run):
    Path("raw").mkdir()
    write_mrc(Path("raw/a.mrc"), tiny.blobs(0)[0], pixel_size_ang=None)

    result = run("pick raw --model m.safetensors -o picks.tsv", status=1)

    assert (
        "skipped raw/a.mrc: the file does not give its pixel size; add --pixel-size-ang "
        "(the model was trained with --pixel-size-ang 3.5)\n"
    ) in result.stderr
    run("pick raw --model m.safetensors -o picks.tsv --pixel-size-ang 10")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o picks.tsv", "picks.tsv: already exists; overwrite it with --force"),
        ("-o picks.dat", "picks.dat: expected a suffix of"),
        ("-o a.tsv --format z", "expected a format of"),
        ("-o a.box", "--box-px"),
        (
            "-o a.tsv --step-px 3",
            "--step-px must divide the stride of the network, 4 pixels; got 3",
        ),
        ("-o a.tsv --radius-ang 0", "radius_ang must be above 0"),
        ("-o a.tsv --model no.safetensors", "no.safetensors: no such model file"),
        ("-o a.tsv --model labels.tsv", "labels.tsv: not a cryopick model file"),
        ("-o a.tsv nothing-here", "nothing-here: no such file or folder"),
    ],
)
def test_invalid_options_fail_before_any_work(run, picked, words, message):
    Path("picks.tsv").write_text("old")

    result = run(f"pick mics --model m.safetensors {words}", status=1)

    assert message in result.stderr
    assert picked == []
    assert Path("picks.tsv").read_text() == "old"
    assert not list(Path().glob(".*.parts"))


def test_the_general_model_is_the_default(run):
    run("pick mics --diameter-ang 135 --threshold -9 -o picks.tsv --device cpu")

    assert len(read_picks(Path("picks.tsv"))) > 3
    assert "general.safetensors" in Path("picks.settings.toml").read_text()


def test_the_size_is_estimated_if_none_is_given(run):
    result = run("pick mics -o picks.tsv --device cpu")

    size_ang = float(re.search(r"size not given: estimated (\d+) Å", result.stderr)[1])
    stored = tomllib.loads(Path("picks.settings.toml").read_text())
    assert stored["diameter_ang"] == stored["scale_ang"] == pytest.approx(size_ang, abs=0.5)


def test_a_range_of_diameters_limits_the_estimate(run):
    run("pick mics -o picks.tsv --diameter-ang 90-110 --device cpu")

    assert 90 <= tomllib.loads(Path("picks.settings.toml").read_text())["diameter_ang"] <= 110


def test_a_diameter_that_is_no_number_is_refused(run):
    result = run("pick mics -o picks.tsv --diameter-ang 90-", status=2)

    assert "expected a number such as 150 or a range such as 120-180" in " ".join(
        result.stderr.split()
    )


def test_threshold_auto_cuts_at_the_highest_expected_f1(run):
    words = "pick mics --diameter-ang 135 --device cpu"
    run(f"{words} -o all.tsv")
    picked = run(f"{words} --threshold auto -o cut.tsv").stderr
    selected = run("threshold all.tsv --at auto -o same.tsv").stderr

    assert Path("cut.tsv").read_text() == Path("same.tsv").read_text()
    assert 0 < len(read_picks(Path("cut.tsv"))) < len(read_picks(Path("all.tsv")))
    report = selected.splitlines()[0].removeprefix("at the automatic threshold: ")
    assert report in picked.replace(".mrc", "")  # a table names micrographs by their stems


def test_a_shard_cannot_be_cut_automatically(run):
    told = run(
        "pick mics --diameter-ang 135 -o a.tsv --threshold auto --shard 1/2", status=2
    ).stderr

    assert "--threshold auto needs the picks of all shards" in " ".join(told.split())


def test_calibration_changes_scores_but_not_their_order(run):
    from dataclasses import replace

    from cryopick.model.calibration import Calibration
    from cryopick.model.model_file import load_model, save_model

    model = load_model("m.safetensors")
    save_model(replace(model, calibration=Calibration(2.0, -0.5)), Path("odds.safetensors"))
    for name in ("m", "odds"):
        run(f"pick mics --model {name}.safetensors --threshold -100 -o {name}.tsv --device cpu")

    plain, changed = read_picks(Path("m.tsv")), read_picks(Path("odds.tsv"))
    assert np.allclose(changed.score, 2 * plain.score - 0.5, atol=1e-4)
    assert np.allclose(changed.xy_px, plain.xy_px, atol=1e-3)


def test_the_settings_file_of_a_run_repeats_it_and_options_take_precedence(run):
    run("pick mics --model m.safetensors -o a.tsv --threshold -3 --margin-ang 50 --device cpu")
    run("pick mics --model m.safetensors -o b.tsv --config a.settings.toml --device cpu")
    run("pick mics --model m.safetensors -o c.tsv --config a.settings.toml --margin-ang 0")

    assert Path("a.tsv").read_bytes() == Path("b.tsv").read_bytes()
    repeated, changed = (load_toml(PickSettings, Path(f"{x}.settings.toml")) for x in "bc")
    assert (repeated.threshold, repeated.margin_ang) == (-3.0, 50.0)
    assert (changed.threshold, changed.margin_ang) == (-3.0, 0.0)
