"""`cryopick train`, from files to a model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.errors import SettingsError
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.model.model_file import load_model
from cryopick.picks import Picks

LINE = (
    f"train --init random -m mics -p labels.tsv --diameter-ang {tiny.DIAMETER_ANG:g} "
    f"--working-pixel-size-ang {tiny.PIXEL_ANG:g} --particles-per-micrograph 12 "
    "--steps 6 --checkpoint-every 2 --width 2 "
    "--unlabelled-patches 1 --positive-patches 1 --patch-px 31 --normalization affine --device cpu"
)


def test_a_run_writes_a_model_and_a_folder_with_its_history(run_and_plot):
    result = run_and_plot(f"{LINE} -o a.safetensors --held-out-frac 0.3")

    model = load_model(Path("a.safetensors"))
    rows = Path("a.run/curves.tsv").read_text().splitlines()
    assert model.diameter_ang == tiny.DIAMETER_ANG
    assert model.working_pixel_size_ang == pytest.approx(tiny.PIXEL_ANG)
    assert model.summary["training"] == {
        "micrographs": 2,
        "labels": 12,
        "labelled_micrographs": 2,
    }
    assert model.summary["held_out"]["micrographs"] == 1
    assert 0 <= model.summary["held_out"]["particle_average_precision"] <= 1
    assert model.summary["settings"]["network"]["width"] == 2
    assert [row.split("\t")[0] for row in rows] == ["step", "2", "4", "6"]
    assert Path("a.run/curves.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in Path("a.run").iterdir()) == [
        "checkpoint.safetensors",
        "curves.png",
        "curves.tsv",
        "progress.jsonl",
        "run.json",
        "settings.toml",
    ]
    assert result.stderr.count("held-out AP") == 3
    assert "a.safetensors: trained on 12 labels on 2 micrographs" in result.stderr


def test_the_settings_file_of_a_run_reproduces_the_model_elsewhere(run, tmp_path, monkeypatch):
    run(f"{LINE} -o a.safetensors")
    shutil.copytree(tmp_path, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")

    run("train -m mics -p labels.tsv --config a.run/settings.toml -o b.safetensors")

    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_a_model_is_replaced_only_with_force(run):
    Path("a.safetensors").write_text("old")

    result = run(f"{LINE} -o a.safetensors", status=1)

    assert "a.safetensors: already exists; overwrite it with --force" in result.stderr
    assert not Path("a.run").exists()
    run(f"{LINE} -o a.safetensors --force")
    load_model(Path("a.safetensors"))


def test_bad_micrographs_are_reported_and_skipped(run):
    expected = tiny.bad_micrographs("mics")
    (Path("mics") / "text.mrc.txt").rename("mics/text.png")
    expected["text.png"] = expected.pop("text.mrc.txt")

    result = run(f"{LINE} -o a.safetensors", status=1)

    told = dict(
        line.removeprefix("skipped mics/").split(": ", 1)
        for line in result.stderr.splitlines()
        if line.startswith("skipped")
    )
    assert set(told) == set(expected)
    for name, words in expected.items():
        assert words in told[name]
    assert "7 of 10 files failed and were skipped" in result.stderr
    assert load_model(Path("a.safetensors")).summary["training"]["micrographs"] == 3


def test_labels_on_other_micrographs_are_counted_and_reported(run):
    result = run(f"{LINE} -o a.safetensors".replace("-m mics", "-m mics/mic_1.mrc"))

    assert "ignored 12 labels of labels.tsv on micrographs that were not" in result.stderr
    assert "trained on 6 labels on 1 micrograph" in result.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "labels.tsv: the table contains no labels"),
        ("other\t5\t5\n", "labels.tsv: none of the 1 labels lies on one of the 3 micrographs"),
    ],
)
def test_a_run_needs_a_label(run, rows, message):
    Path("labels.tsv").write_text(f"image_name\tx_coord\ty_coord\n{rows}")

    assert message in run(f"{LINE} -o a.safetensors", status=1).stderr


def test_a_run_fails_if_all_labels_lie_on_skipped_micrographs(run):
    Path("mics/mic_0.mrc").write_bytes(b"")
    write_picks(
        Picks.for_micrograph("mic_0", np.array([[5.0, 5.0]])), Path("labels.tsv"), overwrite=True
    )

    result = run(f"{LINE} -o a.safetensors", status=1)

    assert "all labels lie on micrographs that were skipped" in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--normalization z", 2, "'z' is not one of 'dataset', 'micrograph', 'affine', 'white'"),
        ("--objective hinge", 2, "'hinge' is not one of 'pn', 'pu', 'nnpu', 'ge-kl'"),
        ("--network z", 1, "unknown network 'z'"),
        ("--device z", 1, "--device z: not available on this machine"),
        ("--particles-per-micrograph 6", 1, "Raise --particles-per-micrograph"),
        ("--held-out-picks labels.tsv", 2, "require each other"),
        ("--held-out-frac 0.5 --held-out-picks labels.tsv", 2, "cannot be combined"),
        ("--held-out-frac 0.9", 1, "leaves none to hold out or none to train on"),
        ("--config none.toml", 1, "none.toml: no such file; check the name"),
    ],
)
def test_invalid_options_are_refused_in_one_line(run, words, status, message):
    result = run(f"{LINE} -o a.safetensors {words}", status)

    assert message in " ".join(result.stderr.split())


def test_held_out_micrographs_may_have_a_separate_table(run):
    line = LINE.replace("-m mics", "-m mics/mic_0.mrc -m mics/mic_1.mrc")

    run(
        f"{line} -o a.safetensors --held-out-micrographs mics/mic_2.mrc --held-out-picks labels.tsv"
    )

    facts = json.loads(run("models show a.safetensors --json").stdout)["summary"]
    assert facts["training"] == {"micrographs": 2, "labels": 12, "labelled_micrographs": 2}
    assert facts["held_out"]["labels"] == 6


FROM_MODEL = (
    f"train -m mics -p labels.tsv --diameter-ang {tiny.DIAMETER_ANG:g} "
    "--particles-per-micrograph 12 --steps 2 --checkpoint-every 2 --unlabelled-patches 1 "
    "--positive-patches 1 --patch-px 31 --device cpu"
)


def test_fine_tuning_starts_from_the_model_and_keeps_its_scale(run):
    start = tiny.model("start.safetensors")
    run(f"{FROM_MODEL} --init start.safetensors --learning-rate 1e-9 -o a.safetensors")

    model = load_model(Path("a.safetensors"))
    assert model.working_pixel_size_ang == pytest.approx(tiny.PIXEL_ANG)
    assert model.summary["settings"]["init"] == "start.safetensors"
    for name, value in start.scorer.state_dict().items():
        assert np.allclose(value, model.scorer.state_dict()[name], atol=1e-6), name


def test_frozen_layers_keep_their_weights_and_the_others_change(run):
    start = tiny.model("start.safetensors").scorer.state_dict()
    run(f"{FROM_MODEL} --init start.safetensors --frozen-layers 2 -o a.safetensors")

    learnt = load_model(Path("a.safetensors")).scorer.state_dict()
    kept = {name for name, value in start.items() if np.array_equal(value, learnt[name])}
    assert {"encoder.0.0.weight", "encoder.1.0.weight"} <= kept
    assert not {"encoder.2.0.weight", "head.weight"} & kept


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--init none.safetensors", 1, "none.safetensors: no such model file"),
        ("--init start.safetensors --width 4", 2, "--width cannot be changed in a trained model"),
        (
            "--init random --frozen-layers 1",
            1,
            "frozen_layers must be at least 0, and needs --init",
        ),
    ],
)
def test_an_invalid_initialization_is_refused(run, words, status, message):
    tiny.model("start.safetensors")

    result = run(f"{FROM_MODEL} {words} -o a.safetensors", status=status)

    assert message in " ".join(result.stderr.split())
    assert not Path("a.safetensors").exists()


@pytest.mark.parametrize(("labels", "steps"), [(18, 416), (50, 800)])
def test_the_default_number_of_steps_depends_on_the_labels(run, labels, steps, monkeypatch):
    grid = np.stack(np.meshgrid(np.arange(20.0, 80, 8), np.arange(20.0, 80, 8)), axis=-1)
    xy_px = np.random.default_rng(0).permutation(grid.reshape(-1, 2))[:labels]  # no duplicates
    write_picks(Picks.for_micrograph("mics/mic_0.mrc", xy_px), Path("many.tsv"))

    def refuse(run, **_):
        raise SettingsError(f"asked for {run.settings.steps} steps")

    monkeypatch.setattr("cryopick.train.training_run.TrainingRun.open", refuse)

    words = run(
        LINE.replace("--steps 6 ", "").replace("labels.tsv", "many.tsv --trust-labels")
        + " -o m.safetensors",
        status=1,
    )

    assert f"asked for {steps} steps" in words.stderr


def without_number(line=LINE):
    return line.replace("--particles-per-micrograph 12 ", "")


@pytest.mark.parametrize("words", ["", " --particles-per-micrograph auto"])
def test_the_particle_count_is_estimated_reported_and_stored(run, words):
    result = run(f"{without_number()} -o a.safetensors{words}")

    summary = load_model(Path("a.safetensors")).summary
    estimate = summary["estimated_particles"]
    assert f"estimated: {estimate['number']:g} particles per micrograph" in result.stderr
    assert estimate["low"] < estimate["number"] < estimate["high"]
    assert summary["settings"]["particles_per_micrograph"] >= tiny.PER_MICROGRAPH


@pytest.mark.parametrize(("number", "side"), [(90, "above"), (7, "")])
def test_a_doubtful_particle_count_is_reported(run, number, side):
    line = LINE.replace("--particles-per-micrograph 12", f"--particles-per-micrograph {number}")

    told = run(f"{line} -o a.safetensors").stderr

    assert (f"{number} particles per micrograph is {side}" in told) is bool(side)


def test_a_particle_count_that_is_not_a_number_is_a_usage_error(run):
    result = run(f"{without_number()} -o a.safetensors --particles-per-micrograph many", status=2)

    assert "expected a number or auto, got 'many'" in " ".join(result.stderr.split())


def test_complete_labels_on_held_out_micrographs_are_counted(run):
    line = without_number().replace("-m mics", "-m mics/mic_0.mrc -m mics/mic_1.mrc")

    told = run(
        f"{line} -o a.safetensors --held-out-micrographs mics/mic_2.mrc --held-out-picks labels.tsv"
    ).stderr

    assert f"estimated: {tiny.PER_MICROGRAPH} particles per micrograph" in told


def test_labels_that_fit_much_better_upside_down_stop_a_run_unless_they_are_trusted(run):
    table = read_picks(Path("labels.tsv"))
    write_picks(table.invert_y(96), Path("flipped.tsv"))
    line = LINE.replace("labels.tsv", "flipped.tsv")

    refused = run(f"{line} -o a.safetensors", status=1)
    result = run(f"{line} -o a.safetensors --trust-labels")

    assert "flipped.tsv: the labels fit" in refused.stderr
    assert "with --invert-y" in refused.stderr
    assert "warning: the labels fit" in result.stderr
    assert Path("a.safetensors").exists()
