"""The package from Python: the same as the commands, and nothing heavy before it is used."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

import cryopick
from cryopick.workflows.events import CurvePoint, Progress


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.micrographs(tmp_path / "mics", 2)
    return cryopick.find_micrographs(["mics"]), cryopick.read_picks(Path("labels.tsv"))


def quick(**others):
    return cryopick.train_settings(tiny.DIAMETER_ANG, 60.0, init="random", steps=2, **others)


def test_every_name_is_there():
    for name in cryopick.__all__:
        assert getattr(cryopick, name).__module__.startswith("cryopick.")
        assert name in cryopick.__doc__

    with pytest.raises(AttributeError, match="train_quickly"):
        _ = cryopick.train_quickly


def test_importing_the_package_loads_no_library():
    loaded = "import sys, cryopick; print(*(m for m in ('numpy', 'torch') if m in sys.modules))"

    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).split() == []


def test_training_picking_and_evaluation_equal_those_of_the_commands(here, run_words):
    paths, labels = here

    model = cryopick.train_model(paths, labels, "a.safetensors", quick())
    settings = cryopick.PickSettings(threshold=-100.0)
    picks = cryopick.pick_particles(paths, model, settings)

    words = "--diameter-ang 135 --particles-per-micrograph 60 --init random --steps 2"
    run_words(f"train -m mics -p labels.tsv -o b.safetensors {words}")
    run_words("pick mics --model b.safetensors --threshold -100 -o b.json")
    theirs = cryopick.read_picks(Path("b.json"))
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    written = [{path.name for path in Path(f"{name}.run").iterdir()} for name in "ab"]
    assert written[0] == written[1]
    assert {"run.json", "curves.tsv", "curves.png", "progress.jsonl"} <= written[0]
    np.testing.assert_allclose(picks.xy_px, theirs.xy_px, atol=1e-3)
    truth = cryopick.match_names(labels, paths).picks
    assert cryopick.evaluate_picks(picks, truth, radius_px=4.0).average_precision > 0


def test_the_default_settings_are_those_of_the_command(here, run_words):
    run_words(
        "train -m mics -p labels.tsv -o c.safetensors --diameter-ang 135 "
        "--particles-per-micrograph 60 --steps 1"
    )

    settings = cryopick.train_settings(tiny.DIAMETER_ANG, 60.0, steps=1)

    from cryopick.config import load_toml
    from cryopick.train.settings import TrainSettings

    recorded = load_toml(TrainSettings, Path("c.run/settings.toml"))
    decided = {"contrast": settings.contrast, "scale_ang": None, "width_ang": None}  # in the run
    assert replace(recorded, **decided) == settings


class Recorder:
    """A receiver that keeps all events."""

    def __init__(self):
        self.events = []

    def emit(self, event, /):
        self.events.append(event)


def test_training_shows_progress_at_each_step(here):
    paths, labels = here
    recorder = Recorder()

    settings = quick(checkpoint_every=2)
    cryopick.train_model(paths, labels, "a.safetensors", settings, events=recorder)

    progress = [e for e in recorder.events if isinstance(e, Progress) and e.stage == "Training"]
    assert [event.done for event in progress] == [0, 1, 2]


def test_training_evaluates_on_held_out_micrographs_at_each_checkpoint(here):
    paths, labels = here
    recorder = Recorder()

    cryopick.train_model(
        paths[:1],
        labels,
        "a.safetensors",
        quick(checkpoint_every=1),
        held_out=(paths[1:], labels),
        events=recorder,
    )

    rows = [event.row for event in recorder.events if isinstance(event, CurvePoint)]
    assert [row.step for row in rows] == [1, 2]
    assert all(0 <= row.particle_average_precision <= 1 for row in rows)


def test_a_broken_micrograph_gives_a_warning_and_the_others_are_picked(here):
    paths, _ = here
    paths[0].write_bytes(b"broken")
    model = tiny.model("m.safetensors")

    with pytest.warns(UserWarning, match=r"skipped .*mic_0\.mrc"):
        picks = cryopick.pick_particles(paths, model)

    assert picks.micrographs == (str(paths[1]),)


def test_the_general_model_picks_without_labels(here):
    paths, _ = here

    picks = cryopick.pick_particles(paths, settings=cryopick.PickSettings(diameter_ang=135.0))

    assert picks.micrographs == tuple(map(str, paths))
