import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.preprocess.mask import Border, InvalidRegions, find_invalid
from cryopick.preprocess.pixel_repair import CleanedMicrograph

SHAPE = (90, 110)
quick = settings(deadline=None, max_examples=40)


def replace_outliers(image):
    """Repair an image without invalid regions in place; return the number of repaired pixels.

    Also checks that a known range of the pixels does not change the result.
    """
    nowhere = InvalidRegions(image.shape, Border(0, 0, 0, 0), np.zeros((1, 1), bool), 8)
    clean = CleanedMicrograph.from_pixels(image, nowhere, (float(image.min()), float(image.max())))
    unaware = CleanedMicrograph.from_pixels(image, nowhere)
    np.testing.assert_array_equal(clean.outliers, unaware.outliers)
    np.testing.assert_array_equal(clean.repaired, unaware.repaired)
    image[:] = clean.rows(0, len(image))
    return len(clean.outliers)


def noise(seed=0):
    return np.random.default_rng(seed).normal(100, 5, SHAPE).astype(np.float32)


@quick
@given(
    st.sets(st.tuples(st.integers(0, 17), st.integers(0, 21)), min_size=1, max_size=30),
    st.sampled_from([0.0, 1e3, -1e5, 3e38]),
)
def test_only_isolated_bad_pixels_are_repaired(places, value):
    image = noise()
    bad = np.zeros(SHAPE, dtype=bool)
    bad[tuple(5 * np.array(sorted(places)).T)] = True  # five apart, edges and corners too
    image[bad] = value
    mended = image.copy()

    assert replace_outliers(mended) == bad.sum()
    np.testing.assert_array_equal(mended[~bad], image[~bad])
    np.testing.assert_allclose(mended[bad], 100, atol=15)


def test_a_bad_pixel_becomes_the_mean_of_its_neighbours():
    image = noise()
    around = image[38:43, 28:33].copy()
    image[40, 30] = 1e4

    replace_outliers(image)

    expected = np.delete(around.ravel(), 12).mean()
    assert image[40, 30] == pytest.approx(expected, rel=1e-6)


def test_a_bad_pixel_in_a_late_block_is_repaired():
    image = np.tile(noise(), (10, 1))
    image[700, 13] = 1e4
    before = image.copy()

    replace_outliers(image)

    np.testing.assert_array_equal(np.argwhere(image != before), [[700, 13]])


def test_a_dead_column_is_repaired():
    image = np.tile(noise(), (1, 4))
    image[:, 50] = 0

    assert replace_outliers(image) == len(image)
    assert image[:, 50].min() > 80


def test_a_gold_bead_is_preserved():
    image = np.tile(noise(), (1, 4))
    y, x = np.indices(image.shape)
    bead = np.hypot(y - 40, x - 60) <= 5
    image[bead] = 0
    before = image.copy()

    assert replace_outliers(image) == 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dose", [0.001, 0.01, 0.05, 0.5, 5.0])
def test_electron_counts_are_preserved(dose):
    image = np.random.default_rng(1).poisson(dose, (1000, 1000)).astype(np.float32)

    assert replace_outliers(image) <= 10  # of a million pixels


def test_a_nearly_constant_image_is_not_changed():
    image = np.full(SHAPE, 3.0, dtype=np.float32)
    image[7, 7] = 9

    assert replace_outliers(image) == 0


@pytest.mark.parametrize("kind", [np.float32, np.int16, ">f4", np.float64])
def test_rows_do_not_depend_on_the_block_size(kind):
    image = (100 * np.tile(noise(), (4, 5))).astype(kind)
    image[:40], image[:, -50:] = image[40], image[:, [-51]]
    image[120:290, 100:300] = 7
    image[300, [200, 240]] = 30_000
    clean = CleanedMicrograph.from_pixels(image, find_invalid(image))

    whole = clean.rows(0, len(image))

    parts = [clean.rows(start, min(start + 37, len(image))) for start in range(0, len(image), 37)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.float32
    assert len(clean.outliers) == 2
    np.testing.assert_allclose(whole[300, [200, 240]], 10_000, rtol=0.1)
    filled = np.argwhere(clean.invalid.covers(*np.indices(image.shape)))
    assert len(filled) > 40 * 550 + 150 * 150
    np.testing.assert_array_equal(whole[tuple(filled.T)], np.float32(clean.level))
    assert clean.level == pytest.approx(10_000, rel=0.01)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("width", [1, 3, 4])
def test_a_few_dead_lines_side_by_side_are_repaired(axis, width):
    image = np.tile(noise(), (10, 10))
    dead = np.zeros(image.shape, bool)
    dead[(slice(None),) * axis + (slice(200, 200 + width),)] = True
    image[dead] = -50
    mended = image.copy()

    assert replace_outliers(mended) == dead.sum()
    np.testing.assert_array_equal(mended[~dead], image[~dead])
    np.testing.assert_allclose(mended[dead], 100, atol=15)


def test_a_long_object_is_not_taken_for_a_dead_line():
    image = np.tile(noise(), (6, 6))
    image[200:204, 100:300] = -50  # less than half of the row
    before = image.copy()

    assert replace_outliers(image) <= 12  # its corners
    assert (image[201:203, 105:295] == before[201:203, 105:295]).all()
