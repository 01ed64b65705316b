"""Labels outside their micrographs, at another scale, or repeated."""

import numpy as np
import pytest
from tests import tiny

from cryopick.errors import InputError
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks
from cryopick.train.label_extent import find_corner_factor
from cryopick.train.labels import LabelledMicrographs


@pytest.fixture
def paths(tmp_path):
    noise = np.random.default_rng(0).normal(size=(60, 100))
    paths = [tmp_path / f"m{i}.mrc" for i in range(2)]
    for path in paths:
        write_mrc(path, noise, pixel_size_ang=(1.0, 1.0))
    return paths


def label(paths, xy_px, names=None):
    names = names or ["m0", "m1"] * (len(xy_px) // 2)
    table = Picks.from_columns(names, np.asarray(xy_px, float))
    return LabelledMicrographs.from_table(paths, table, paths[0].with_name("labels.tsv"))


def scatter(count=40, shape=(60, 100)):
    return np.random.default_rng(1).uniform((2, 2), (shape[1] - 2, shape[0] - 2), (count, 2))


@pytest.mark.parametrize("factor", [1.5, 2, 4, 8])
def test_labels_of_larger_micrographs_are_refused_with_the_factor(factor, paths):
    with pytest.raises(InputError, match="lie outside their micrographs") as caught:
        label(paths, scatter() * factor)

    assert f"{factor:g} times larger" in str(caught.value)
    assert f"--scale {1 / factor:.4g}" in str(caught.value)


@pytest.mark.parametrize("size_ang", [1.37, 5.3])
def test_labels_in_angstroms_are_refused_with_the_pixel_size(size_ang, paths):
    for path in paths:
        noise = np.random.default_rng(0).normal(size=(60, 100))
        write_mrc(path, noise, pixel_size_ang=(size_ang, size_ang), overwrite=True)

    with pytest.raises(InputError, match="lie outside their micrographs") as caught:
        label(paths, scatter() * size_ang)

    assert f"probably in ångströms, at {size_ang:g} Å per pixel" in str(caught.value)
    assert f"--scale {1 / size_ang:.4g}`" in str(caught.value)


def test_labels_far_outside_or_shifted_are_refused_without_a_factor(paths):
    for xy_px in (scatter() * 1000, scatter() - 60, scatter() + 300):
        with pytest.raises(InputError, match="check that the table belongs to these micrographs"):
            label(paths, xy_px)


def test_a_few_labels_outside_are_ignored_and_counted(paths):
    xy_px = scatter()
    xy_px[7] = (150, 10)

    labelled = label(paths, xy_px)

    assert (len(labelled.labels), labelled.outside_labels) == (39, 1)


def test_labels_on_the_edge_are_inside(paths):
    labelled = label(paths, [[0, 0], [99, 59], [99.4, 59.4], [-0.4, -0.4]])

    assert labelled.outside_labels == 0


def test_repeated_labels_are_merged_and_counted(paths):
    xy_px = scatter(10)

    labelled = label(paths, np.tile(xy_px, (3, 1)), names=["m0"] * 30)

    assert (len(labelled.labels), labelled.duplicate_labels) == (10, 20)


def test_an_unreadable_micrograph_is_left_to_the_preparation(paths):
    paths[0].write_bytes(b"")

    assert label(paths, [[500, 500]] * 3 + [[5, 5]], names=["m0"] * 3 + ["m1"]).outside_labels == 0


def place(paths, xy_px):
    names = [str(paths[i % len(paths)]) for i in range(len(xy_px))]
    return Picks.from_columns(names, np.asarray(xy_px, float))


@pytest.fixture
def three_paths(paths):
    copy = paths[0].with_name("m2.mrc")
    copy.write_bytes(paths[0].read_bytes())
    return [*paths, copy]


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0, 4.0])
def test_labels_of_smaller_micrographs_are_found_with_the_factor(factor, three_paths):
    labels = place(three_paths, scatter(200) / factor)

    assert find_corner_factor(labels, three_paths) == factor


def test_other_labels_are_not_taken_for_those_of_smaller_micrographs(three_paths):
    whole, half = scatter(200), scatter(200) / 2
    for xy_px in (
        whole,
        half[:50],
        half * (1, 2),
        half * (0.5, 1),
        half + np.array([50, 0]),
        whole / 1.2,
    ):
        assert find_corner_factor(place(three_paths, xy_px), three_paths) is None
    assert find_corner_factor(place(three_paths[:2], half), three_paths) is None


def test_training_refuses_labels_of_smaller_micrographs(run_words, tmp_path):
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 3)
    xy_px = np.random.default_rng(2).uniform(1, (112, 96), (90, 2)) / 2
    names = [f"mic_{i % 3}" for i in range(90)]
    write_picks(Picks.from_columns(names, xy_px), tmp_path / "half.tsv")

    result = run_words(
        f"train -p half.tsv -m mics -o m.safetensors --diameter-ang {tiny.DIAMETER_ANG}", status=1
    )

    assert "as if these had been 2 times smaller" in result.stderr
    assert "`cryopick convert --scale 2`, or add --trust-labels" in result.stderr
