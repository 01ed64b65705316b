from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate, shift

from cryopick.errors import SettingsError
from cryopick.experiments.classes2d.relion import ClassAssignment
from cryopick.experiments.classes2d.shares import compare_class_shares, match_class_averages
from cryopick.picks import Picks

SIDE, PIXEL_ANG = 32, 5.0


def averages():
    """Three different shapes: a bar, a disc and an L."""
    images = np.zeros((3, SIDE, SIDE))
    images[0, 14:18, 6:26] = 1
    y, x = np.mgrid[:SIDE, :SIDE] - 16
    images[1] = np.hypot(x, y) < 7
    images[2, 8:24, 9:13] = images[2, 20:24, 9:23] = 1
    return gaussian_filter(images, (0, 1, 1)).astype(np.float32)


def classified(images, counts):
    number = np.repeat(np.arange(1, len(counts) + 1), counts)
    return ClassAssignment(
        picks=Picks.for_micrograph("a.mrc", np.zeros((len(number), 2))),
        number=number,
        images=images,
        resolution_ang=np.full(len(counts), 20.0),
        pixel_size_ang=PIXEL_ANG,
    )


def moved(images, seed=0):
    """Turn, mirror and shift each image, and add noise."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            shift(rotate(image[:, ::-1], rng.uniform(0, 360), reshape=False), rng.uniform(-2, 2, 2))
            + 0.1 * rng.normal(size=image.shape)
            for image in images
        ]
    ).astype(np.float32)


def test_averages_are_matched_whatever_their_rotation_mirror_image_shift_and_scale():
    order = [2, 0, 1, 2]

    best, correlation = match_class_averages(
        3 * moved(averages()[order]) + 1, averages(), pixel_size_ang=PIXEL_ANG
    )

    assert best.tolist() == order
    assert correlation.min() > 0.8


def test_shares_are_those_of_the_matched_classes():
    first = classified(averages(), [60, 30, 10])
    # another numbering, one class divided in two, and one view missing
    second = classified(moved(averages()[[1, 0, 0]]), [50, 30, 20])

    shares = compare_class_shares([first, second])

    assert shares.reference.tolist() == [1, 2, 3]
    np.testing.assert_allclose(shares.share, [[0.6, 0.3, 0.1], [0.5, 0.5, 0.0]])
    assert shares.correlation[0] == pytest.approx(1)
    assert shares.correlation[1] > 0.8


def test_empty_classes_are_no_reference():
    shares = compare_class_shares([classified(averages(), [5, 0, 5])])

    assert shares.reference.tolist() == [1, 3]
    np.testing.assert_allclose(shares.share, [[0.5, 0.5]])


@pytest.mark.parametrize(
    "other",
    [
        classified(averages()[:, :30, :30], [5, 5, 5]),
        replace(classified(averages(), [5, 5, 5]), pixel_size_ang=2 * PIXEL_ANG),
    ],
)
def test_averages_of_different_sizes_are_refused(other):
    with pytest.raises(SettingsError, match="sets 1 and 2 differ in size"):
        compare_class_shares([classified(averages(), [5, 5, 5]), other])


def test_validate_shares_prints_one_row_per_class(run_words, monkeypatch):
    sets = {"a": classified(averages(), [60, 30, 10]), "b": classified(averages(), [9, 0, 1])}
    monkeypatch.setattr(
        "cryopick.experiments.classes2d.relion.read_classes", lambda path: sets[str(path)[0]]
    )
    for name in sets:
        Path(f"{name}_data.star").write_text("")

    lines = run_words("validate shares a_data.star b_data.star").stdout.splitlines()

    assert lines[1].split() == ["1", "60.0", "%", "90.0", "%"]
    assert lines[3].split() == ["3", "10.0", "%", "10.0", "%"]
