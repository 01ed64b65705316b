"""`cryopick demo`: small demos, complete and interrupted."""

import importlib
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from typer import Exit
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.cli.demo import DemoSettings, run_demo
from cryopick.errors import OutputExistsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.io.inputs import find_micrographs
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.pick_tables import read_picks
from cryopick.report.demo_results import DemoFiles

module = importlib.import_module("cryopick.cli.demo")  # the name is a function's too

SMALL = DemoSettings(
    molecule="compact",
    count=3,
    held_out=1,
    particles=6,
    labels=5,
    simulate=("--width-px", "576", "--height-px", "512", "--carbon-prob", "0"),
    train=(
        "--init",
        "random",
        "--steps",
        "4",
        "--checkpoint-every",
        "2",
        "--width",
        "2",
        "--patch-px",
        "31",
    ),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished demo; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("demos") / "demo"
    run_demo(SMALL, folder, "cpu", force=False)
    return folder


@pytest.fixture
def copy(done, tmp_path):
    return shutil.copytree(done, tmp_path / "demo")


@pytest.fixture
def typed(monkeypatch):
    """Collect the commands that the demo runs, by name."""
    names, run_stage = [], module._run_stage

    def run_and_record(stage):
        names.append(stage.words[0])
        return run_stage(stage)

    monkeypatch.setattr(module, "_run_stage", run_and_record)
    return names


def test_the_report_makes_no_network_requests(done):
    wanted = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            wanted.extend(v for k, v in attrs if k in ("src", "href", "xlink:href", "action"))
            assert tag != "script"

    text = (done / "report.html").read_text(encoding="utf-8")
    Reader().feed(text)

    assert all(address.startswith(("data:", "#")) for address in wanted)
    assert not re.findall(r"url\((?!#)|@import", text)


def test_the_report_shows_commands_and_results(done):
    text = (done / "report.html").read_text(encoding="utf-8")
    metrics = json.loads((done / "metrics.json").read_text())

    for name in ("simulate", "split", "train", "pick", "score", "evaluate"):
        assert f"$ cryopick {name} " in text
        assert metrics["seconds"][name] >= 0
    assert "Particle picking from 5 labels" in text
    assert f"{metrics['average_precision']:.3f}" in text


def test_the_metrics_are_those_of_the_held_out_micrographs(done):
    files = DemoFiles(done)
    held_out = [micrograph_stem(path.name) for path in find_micrographs([f"@{files.test_list}"])]
    picks, truth = read_picks(files.picks), read_picks(files.truth)

    third_px = 38.0  # of a diameter of 171 Å, at 1.5 Å a pixel
    judged = evaluate_picks(picks, truth, third_px, held_out)
    metrics = json.loads(files.metrics.read_text())

    assert len(held_out) == 1
    assert metrics["average_precision"] == pytest.approx(judged.average_precision, abs=1e-9)
    assert metrics["held_out"]["n_picks"] == len(picks)
    assert metrics["micrographs"]["held_out"] == 1


def test_labels_are_particles_of_the_micrographs_to_train_on(done):
    files = DemoFiles(done)
    labels = read_picks(files.labels)
    truth = read_picks(files.truth)

    trained_on = {micrograph_stem(path.name) for path in find_micrographs([f"@{files.train_list}"])}
    assert len(labels) == 5
    assert set(labels.micrographs) <= trained_on
    for name, own in labels.split_by_micrograph():
        others = truth.restrict([name]).xy_px
        assert all(np.abs(others - xy).max(axis=1).min() == 0 for xy in own.xy_px)


def test_a_finished_demo_is_not_repeated(copy, typed, capsys):
    run_demo(SMALL, copy, "cpu", force=False)

    assert typed == []
    assert "is finished already; --force repeats it" in capsys.readouterr().err


def test_a_resumed_demo_gives_the_same_picks(copy, typed):
    files = DemoFiles(copy)
    picks = files.picks.read_bytes()
    for path in (files.metrics, files.report, files.picks, files.precision_recall):
        path.unlink()

    run_demo(SMALL, copy, "cpu", force=False)

    assert typed == ["pick", "evaluate"]
    assert files.picks.read_bytes() == picks
    assert set(json.loads(files.metrics.read_text())["seconds"]) >= {"simulate", "train", "pick"}


def test_force_restarts_the_demo(copy, typed):
    model = DemoFiles(copy).model.read_bytes()

    run_demo(SMALL, copy, "cpu", force=True)

    assert typed[0] == "simulate"
    assert DemoFiles(copy).model.read_bytes() == model


def test_a_demo_with_other_settings_is_not_changed(done):
    result = CliRunner().invoke(app, ["demo", str(done)])

    assert result.exit_code == 1
    assert "holds a demo with other settings; replace it with --force" in result.output


@pytest.mark.parametrize("force", [True, False])
def test_a_folder_with_other_files_is_not_changed(tmp_path, force):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(OutputExistsError, match="holds files that are not a demo"):
        run_demo(SMALL, tmp_path, force=force)
    assert (tmp_path / "thesis.txt").exists()


def test_a_stage_that_fails_ends_the_demo_with_its_status(copy, capsys):
    files = DemoFiles(copy)
    for path in (files.metrics, files.picks, files.model):
        path.unlink()
    files.model.write_bytes(b"no model")

    with pytest.raises(Exit) as stopped:
        run_demo(SMALL, copy, "cpu", force=False)

    assert stopped.value.exit_code == 1
    assert "not a cryopick model file" in capsys.readouterr().err
    assert not files.metrics.exists()


def test_an_interrupt_ends_the_demo_like_any_command(tmp_path, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cryopick.cli.simulate.write_dataset", interrupt)

    assert CliRunner().invoke(app, ["demo", str(tmp_path / "demo")]).exit_code == 130
