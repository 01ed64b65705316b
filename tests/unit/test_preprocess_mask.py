from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cryopick.preprocess.mask import Border, InvalidRegions, erode_mask, find_border, find_invalid

DATA = Path(__file__).parents[3] / "shared" / "data"
NOWHERE = Border(0, 0, 0, 0)

depths = st.integers(0, 30)
quick = settings(deadline=None, max_examples=40)


def noise(shape=(120, 150), seed=0):
    return np.random.default_rng(seed).normal(100, 5, shape).astype(np.float32)


def smooth_noise(shape, width, seed=0):
    """Make noise with a correlation length of `width` pixels, as in filtered micrographs."""
    rng = np.random.default_rng(seed)
    y, x = (np.fft.fftfreq(side)[:, None] for side in shape)
    low_pass = np.exp(-((y**2 + x.T**2) * (np.pi * width) ** 2))
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * low_pass).real


def repeat_edges(image, border):
    """Overwrite the strips with the adjacent pixels, like frame shifts with clamping."""
    height, width = image.shape
    inner = image[border.top : height - border.bottom, border.left : width - border.right]
    strips = ((border.top, border.bottom), (border.left, border.right))
    return np.pad(inner, strips, mode="edge")


@quick
@given(depths, depths, depths, depths, st.integers(0, 5))
def test_repeated_edges_are_measured_exactly(top, bottom, left, right, seed):
    border = Border(top, bottom, left, right)
    image = noise(shape=(300, 320), seed=seed)  # on a tenth of it chance quietens whole lines

    assert find_border(repeat_edges(image, border)) == border


@quick
@given(depths, depths, depths, depths, st.sampled_from([0.0, 100.0, -1e4]))
def test_constant_edges_are_measured_exactly(top, bottom, left, right, value):
    image = np.full((120, 150), value, dtype=np.float32)
    inside = np.s_[top : 120 - bottom, left : 150 - right]
    image[inside] = noise()[inside]

    assert find_border(image) == Border(top, bottom, left, right)


def test_a_blurred_border_extends_to_normal_image_contrast():
    image = repeat_edges(smooth_noise((400, 400), 3), Border(40, 0, 0, 0))
    spectrum = np.fft.rfft(image, axis=0)  # blur along y alone, 4 pixels wide
    image = np.fft.irfft(
        spectrum * np.exp(-2 * (np.pi * 4 * np.fft.rfftfreq(400)[:, None]) ** 2), n=400, axis=0
    )

    # the periodic blur mixes the last lines into the first, as filters did on EMPIAR-10017
    border = find_border(image)

    assert 38 <= border.top <= 48  # the blur's own width either way
    assert (border.left, border.right) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "make",
    [
        lambda seed: noise((400, 300), seed),
        lambda seed: noise((33, 40), seed),
        lambda seed: smooth_noise((512, 512), 8, seed),
        lambda seed: smooth_noise((512, 512), 25, seed),
        lambda seed: np.random.default_rng(seed).poisson(0.05, (500, 500)),
        lambda seed: np.random.default_rng(seed).poisson(1.0, (500, 500)).astype(np.int8),
        lambda seed: noise((300, 300), seed) + np.linspace(0, 200, 300),
        lambda seed: np.add.outer(np.arange(300.0), 2 * np.arange(200.0)) + seed,
    ],
    ids=["noise", "small", "filtered", "blurred", "sparse", "low dose", "gradient", "ramp"],
)
def test_a_micrograph_without_defects_is_completely_usable(make, seed):
    invalid = find_invalid(make(seed))

    assert invalid.border == NOWHERE
    assert invalid.usable((64, 64)).all()


def test_a_dead_row_in_the_interior_is_not_a_border():
    image = noise((300, 300))
    image[60] = 0

    assert find_border(image) == NOWHERE


def test_a_hot_pixel_does_not_hide_a_border():
    image = repeat_edges(noise((300, 300)), Border(20, 0, 0, 25))
    image[150, 100] = image[23, 40] = 1e6

    assert find_border(image) == Border(20, 0, 0, 25)


@pytest.mark.parametrize("value", [0.0, 100.0, 7.5])
def test_only_a_constant_corner_is_unusable(value):
    image = noise((1024, 1024))
    image[:250, 700:] = value  # too narrow for a border, too wide for chance

    usable = find_invalid(image).usable((1024, 1024))

    assert not usable[:250, 700:].any()
    assert usable[275:].all()
    assert usable[:, :675].all()


def test_pixels_that_overlap_a_border_are_unusable():
    invalid = InvalidRegions((64, 64), Border(11, 0, 0, 9), np.zeros((1, 1), dtype=bool), 8)

    usable = invalid.usable((16, 8))

    # row i covers raw 4i - 2 ... 4i + 2, with pixel 11 starting at 10.5; column j 8j - 4 ... 8j + 4
    rows, columns = usable.any(axis=1), usable.any(axis=0)
    np.testing.assert_array_equal(np.flatnonzero(rows), np.arange(4, 16))
    np.testing.assert_array_equal(np.flatnonzero(columns), np.arange(0, 7))
    np.testing.assert_array_equal(usable, rows[:, None] & columns)


def test_at_raw_size_exactly_the_border_is_unusable():
    border = Border(3, 4, 5, 6)

    usable = InvalidRegions((30, 40), border, np.zeros((1, 1), dtype=bool), 8).usable((30, 40))

    assert usable.sum() == (30 - 7) * (40 - 11)
    assert usable[3:26, 5:34].all()


def test_filling_changes_only_invalid_pixels_for_any_block_size():
    image = noise((1024, 1024))
    image[:20], image[-30:] = image[20], image[-31]
    image[:, :40], image[:, -50:] = image[:, [40]], image[:, [-51]]
    image[500:800, 500:800] = 0
    filled, invalid = image.copy(), find_invalid(image)

    invalid.fill(filled, 100.0)

    usable = invalid.usable(image.shape)
    np.testing.assert_array_equal(filled[usable], image[usable])
    assert (filled[~usable] == 100).all()
    y, x = np.indices(image.shape)
    np.testing.assert_array_equal(invalid.covers(y, x), ~usable)
    parts = [image[:333].copy(), image[333:].copy()]
    for part, first_row in zip(parts, (0, 333), strict=True):
        invalid.fill(part, 100.0, first_row=first_row)
    np.testing.assert_array_equal(np.concatenate(parts), filled)


@pytest.mark.parametrize(
    "path", sorted((DATA / "empiar10017" / "micrographs").glob("*.jpg")), ids=lambda p: p.stem[-10:]
)
def test_the_borders_of_empiar_10017_are_detected(path):
    with Image.open(path) as file:
        border = find_border(np.asarray(file))

    # measured by eye on the change from line to line: it ramps up over about 20 pixels
    assert 68 <= border.top <= 84
    assert 80 <= border.bottom <= 100
    assert 52 <= border.left <= 68
    assert 92 <= border.right <= 116


@pytest.mark.parametrize(
    "path", sorted((DATA / "negatives").glob("*/*.png")), ids=lambda p: p.stem[:24]
)
def test_micrographs_without_borders_are_completely_usable(path):
    with Image.open(path) as file:
        invalid = find_invalid(np.asarray(file))

    assert invalid.usable(invalid.raw_shape).all()


@quick
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.floats(0, 6))
def test_erosion_keeps_pixels_far_from_unusable_ones(usable, reach_px):
    kept = erode_mask(usable, reach_px)

    bad = np.argwhere(~usable)
    for row, column in np.ndindex(usable.shape):
        gaps = np.hypot(*(bad - (row, column)).T)
        assert kept[row, column] == (usable[row, column] and not (gaps <= reach_px).any())
