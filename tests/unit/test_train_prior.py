import numpy as np
import pytest

from cryopick.errors import SettingsError
from cryopick.train.prior import compute_disc_area, compute_unlabelled_prior


@pytest.mark.parametrize("radius_px", [0.5, 1.0, 2.0, 3.3])
def test_a_disc_contains_as_many_pixels_as_its_area_on_average(radius_px):
    offsets = (np.arange(50) + 0.5) / 50  # where the particle lies within a pixel
    pixels = np.arange(-5, 7)
    gaps = (offsets[:, None] - pixels) ** 2
    squares = gaps[:, None, :, None] + gaps[None, :, None, :]

    counted = (squares <= radius_px**2).sum(axis=(2, 3)).mean()

    assert compute_disc_area(radius_px) == pytest.approx(counted, rel=0.01)  # only 2500 positions


def test_the_prior_is_the_fraction_of_positive_pixels_outside_labels():
    rng = np.random.default_rng(0)
    cells = np.array([(20 * i + 10, 20 * j + 10) for i in range(40) for j in range(30)])
    particles = rng.permutation(cells)[:600] + rng.random((600, 2))  # anywhere within a pixel
    y, x = np.mgrid[:600, :800]
    painted = np.zeros((600, 800), int)
    for number, (px, py) in enumerate(particles, start=1):
        painted[(x - px) ** 2 + (y - py) ** 2 <= 3**2] = number
    labelled, usable = 150, np.ones_like(painted, bool)
    usable[:5] = False  # a border that no disc touches
    unlabelled = usable & ~np.isin(painted, range(1, labelled + 1))

    prior = compute_unlabelled_prior(
        particles=600.0, labelled=labelled, radius_px=3.0, usable_px=int(usable.sum())
    )

    # 450 discs of 28.3 pixels, each give or take one or two
    assert prior == pytest.approx((painted[unlabelled] > 0).mean(), rel=0.01)


def test_more_labels_than_particles_are_refused():
    with pytest.raises(SettingsError, match=r"12 are labelled already.*--particles-per-micrograph"):
        compute_unlabelled_prior(particles=12.0, labelled=12, radius_px=2.0, usable_px=10_000)


def test_the_prior_must_exceed_what_the_labels_alone_explain():
    assert (
        compute_unlabelled_prior(particles=12.5, labelled=12, radius_px=2.0, usable_px=10_000) > 0
    )


@pytest.mark.parametrize("usable_px", [0, 100, 1300])
def test_particles_that_would_cover_everything_are_refused(usable_px):
    with pytest.raises(SettingsError, match="Lower --particles-per-micrograph"):
        compute_unlabelled_prior(particles=100.0, labelled=1, radius_px=2.0, usable_px=usable_px)
