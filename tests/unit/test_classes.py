"""Several kinds of particles: merging of picks, model files, and the commands."""

from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.errors import FormatError
from cryopick.evaluate.class_merge import CLASS_COLUMN, merge_classes
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.model.class_models import (
    extract_class_models,
    list_classes,
    save_class_models,
)
from cryopick.picks import Picks, concatenate


def table(name, *rows):
    values = np.array(rows, float).reshape(-1, 3)
    return Picks.for_micrograph(name, values[:, :2], values[:, 2])


def test_a_particle_gets_its_best_class_and_the_scores_of_all():
    first = table("a", (0, 0, 3.0), (50, 0, -1.0))
    second = table("a", (3, 0, 1.0), (51, 0, 2.0), (99, 0, 0.5))

    merged = merge_classes([first, second], {"a": 5.0})

    assert merged.xy_px.tolist() == [[0, 0], [51, 0], [99, 0]]
    assert merged.extra[CLASS_COLUMN].tolist() == [1, 2, 2]
    assert merged.score.tolist() == [3.0, 2.0, 0.5]
    assert merged.extra["score_1"].tolist() == [3.0, -1.0, -1.0]  # the last has none nearby
    assert merged.extra["score_2"].tolist() == [1.0, 2.0, 0.5]


def test_classes_are_merged_on_each_micrograph_apart():
    first = concatenate([table("a", (0, 0, 3.0)), table("b")])
    second = concatenate([table("a"), table("b", (0, 0, 1.0))])

    merged = merge_classes([first, second], {"a": 5.0, "b": 5.0})

    assert merged.index.tolist() == [0, 1]
    assert merged.extra[CLASS_COLUMN].tolist() == [1, 2]
    assert len(merge_classes([table("a"), table("a")], {"a": 5.0})) == 0


def test_a_file_of_classes_gives_back_the_model_files(tmp_path):
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("ring", "rod")}
    for number, path in enumerate(paths.values()):
        tiny.model(path, {"seed": number})
    save_class_models(paths, tmp_path / "both.safetensors")

    extracted = extract_class_models(tmp_path / "both.safetensors", tmp_path / "models")

    assert list_classes(tmp_path / "both.safetensors") == ["ring", "rod"]
    assert list_classes(paths["ring"]) == list_classes(tmp_path / "missing") == []
    for name, path in paths.items():
        assert extracted[name].read_bytes() == path.read_bytes()


def test_a_file_with_nested_lists_has_no_classes(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "m", {"cryopick_classes": "[" * 100_000})

    assert list_classes(tmp_path / "m") == []


def test_a_file_of_classes_without_its_models_is_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "both.safetensors"
    save_file({"a": np.zeros(1)}, path, {"cryopick_classes": '["ring", "rod"]'})

    with pytest.raises(FormatError, match="damaged"):
        extract_class_models(path, tmp_path / "models")


LINE = (
    f"train --init random -m mics --diameter-ang {tiny.DIAMETER_ANG:g} "
    f"--working-pixel-size-ang {tiny.PIXEL_ANG:g} --particles-per-micrograph 12 --steps 2 "
    "--width 2 --unlabelled-patches 1 --positive-patches 1 --patch-px 31 --normalization affine "
    "--device cpu"
)


@pytest.fixture
def two_tables(run):
    """Return the runner of commands in a folder with two tables of labels."""
    labels = read_picks(Path("labels.tsv"))
    is_first = np.arange(len(labels)) % 2 == 0
    write_picks(labels.select(is_first), Path("left.tsv"))
    write_picks(labels.select(~is_first), Path("right.tsv"))
    return run


@pytest.mark.slow
def test_two_tables_train_two_classes_and_picks_state_theirs(two_tables):
    two_tables(f"{LINE} -p left.tsv -p right.tsv --classes -o both.safetensors")
    two_tables("pick mics --model both.safetensors --threshold -100 -o picks.star")

    picks = read_picks(Path("picks.star"))
    assert list_classes(Path("both.safetensors")) == ["left", "right"]
    assert set(picks.extra[CLASS_COLUMN].tolist()) <= {1, 2}
    scores = np.stack([picks.extra[f"score_{number}"].astype(float) for number in (1, 2)])
    own = scores[picks.extra[CLASS_COLUMN].astype(int) - 1, np.arange(len(picks))]
    np.testing.assert_allclose(own, picks.score, rtol=1e-6)
    assert Path("picks.star.classes/class_1.star").exists()
    assert "network" in two_tables("models show both.safetensors").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-p left.tsv -p right.tsv", "need --classes"),
        ("-p left.tsv --classes", "two or more tables"),
        ("-p left.tsv -p right.tsv --classes --held-out-frac 0.3", "held-out"),
    ],
)
def test_contradictory_options_of_classes_are_refused(two_tables, words, message):
    assert message in two_tables(f"{LINE} {words} -o both.safetensors", status=2).stderr
