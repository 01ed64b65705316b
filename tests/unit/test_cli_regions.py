"""`--ignore` and `--negatives`: exclusion regions and negative labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from tests.unit.test_cli_train import LINE

from cryopick.errors import format_count
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.io.tables.region_files import write_regions
from cryopick.model.model_file import load_model
from cryopick.picks import Picks
from cryopick.regions import Regions

LEFT = np.array([[-1.0, -1.0], [56.0, -1.0], [56.0, 96.0], [-1.0, 96.0]])


@pytest.fixture
def run(run_words, monkeypatch):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    tiny.model("m.safetensors")
    monkeypatch.setattr("cryopick.report.training.plot_training", lambda *_: None)
    write_regions(Regions({"mic_0": (LEFT,)}), Path("left.json"))
    return run_words


def on(table, name):
    picks = read_picks(Path(table))
    return picks.xy_px[picks.rows_by_micrograph()[name]]


def test_exclusion_regions_remove_only_the_picks_inside_them(run):
    run("pick mics --model m.safetensors -o all.tsv --threshold -3 --device cpu")
    run(
        "pick mics --model m.safetensors -o some.tsv --threshold -3 --device cpu --ignore left.json"
    )

    every, some = on("all.tsv", "mic_0"), on("some.tsv", "mic_0")
    assert (every[:, 0] < 50).any()
    assert (some[:, 0] > 55).all()
    far = every[every[:, 0] > 56 + tiny.DIAMETER_ANG / tiny.PIXEL_ANG]
    assert {tuple(xy) for xy in far} <= {tuple(xy) for xy in some}
    assert (on("all.tsv", "mic_1") == on("some.tsv", "mic_1")).all()


def test_changed_exclusion_regions_need_a_new_run(run):
    run("pick mics --model m.safetensors -o all.tsv --device cpu --ignore left.json")

    assert "# ignored regions: " in Path("all.settings.toml").read_text()


def test_picks_and_particles_in_exclusion_regions_are_not_evaluated(run):
    truth = Picks.for_micrograph("mic_0", np.array([[10.0, 10.0], [100.0, 10.0]]))
    picks = Picks.for_micrograph(
        "mic_0", np.array([[30.0, 30.0], [100.0, 11.0]]), np.array([2.0, 1.0])
    )
    write_picks(truth, Path("truth.tsv"))
    write_picks(picks, Path("picks.tsv"))

    plain = run("evaluate picks.tsv truth.tsv --radius-px 5 --json")
    without = run("evaluate picks.tsv truth.tsv --radius-px 5 --json --ignore left.json")

    assert json.loads(plain.stdout)["average_precision"] == 0.25
    assert json.loads(without.stdout)["average_precision"] == 1.0


def test_labels_in_exclusion_regions_are_ignored_and_reported(run):
    labels = read_picks(Path("labels.tsv"))
    inside = int(Regions({labels.micrographs[0]: (LEFT,)}).select_outside(labels).index.size)

    result = run(f"{LINE} -o out.safetensors --ignore left.json")

    assert load_model(Path("out.safetensors")).summary["training"]["labels"] == inside < len(labels)
    ignored = format_count(len(labels) - inside, "label")
    assert f"ignored {ignored} on borders, flat" in result.stderr


def test_labels_on_a_flat_border_are_ignored(run):
    image = read_micrograph(Path("mics/mic_0.mrc")).pixels.copy()
    image[:, :30] = 100.0
    write_mrc(Path("mics/mic_0.mrc"), image, pixel_size_ang=(10.0, 10.0), overwrite=True)
    table = Picks.for_micrograph("mic_0", np.array([[5.0, 50.0], [60.0, 50.0]]))
    write_picks(table, Path("labels.tsv"), overwrite=True)

    result = run(f"{LINE} -o out.safetensors")

    assert load_model(Path("out.safetensors")).summary["training"]["labels"] == 1
    assert "ignored 1 label on borders" in result.stderr


def test_negatives_are_used_and_counted(run):
    write_picks(
        Picks.for_micrograph("mic_1", np.array([[50.0, 50.0], [60.0, 20.0]])), Path("no.tsv")
    )

    run(f"{LINE} -o out.safetensors --negatives no.tsv")
    run(f"{LINE} -o plain.safetensors")

    taught, plain = (load_model(Path(f"{name}.safetensors")) for name in ("out", "plain"))
    assert taught.summary["training"]["negatives"] == 2
    assert "negatives" not in plain.summary["training"]
    assert any(
        not np.array_equal(a.detach(), b.detach())
        for a, b in zip(taught.scorer.parameters(), plain.scorer.parameters(), strict=True)
    )


def test_negatives_on_other_micrographs_are_refused(run):
    write_picks(Picks.for_micrograph("elsewhere", np.array([[50.0, 50.0]])), Path("no.tsv"))

    result = run(f"{LINE} -o out.safetensors --negatives no.tsv", status=1)

    assert "none of the 1 negative labels lies on one of the 3 micrographs" in result.stderr
