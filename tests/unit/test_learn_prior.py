import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import SettingsError
from cryopick.learn import disc_size, unlabelled_prior


@settings(deadline=None)
@given(st.floats(0, 30))
def test_a_disc_is_counted_in_two_dimensions(radius_px):
    side = range(-31, 32)
    by_hand = sum(x * x + y * y <= radius_px**2 for x in side for y in side)

    assert disc_size(radius_px) == by_hand


def test_the_prior_is_the_share_of_painted_pixels_that_carry_no_label():
    rng = np.random.default_rng(0)
    cells = [(20 * i + 10, 20 * j + 10) for i in range(8) for j in range(6)]
    particles = rng.permutation(cells)[:30]
    y, x = np.mgrid[:120, :160]
    painted = np.zeros((120, 160), int)
    for number, (px, py) in enumerate(particles, start=1):
        painted[(x - px) ** 2 + (y - py) ** 2 <= 3**2] = number
    labelled, usable = 7, np.ones_like(painted, bool)
    usable[:5] = False  # a border that no disc touches
    unlabelled = usable & ~np.isin(painted, range(1, labelled + 1))

    prior = unlabelled_prior(
        particles=30.0, labelled=labelled, radius_px=3.0, usable_px=int(usable.sum())
    )

    assert prior == pytest.approx((painted[unlabelled] > 0).mean(), abs=1e-15)


def test_more_labels_than_particles_leave_nothing_to_find():
    with pytest.raises(SettingsError, match=r"12 are labelled already.*--particles-per-micrograph"):
        unlabelled_prior(particles=12.0, labelled=12, radius_px=2.0, usable_px=10_000)


def test_the_prior_must_exceed_what_the_labels_alone_explain():
    assert unlabelled_prior(particles=12.5, labelled=12, radius_px=2.0, usable_px=10_000) > 0


@pytest.mark.parametrize("usable_px", [0, 100, 1400])
def test_particles_that_would_cover_everything_are_refused(usable_px):
    with pytest.raises(SettingsError, match="Lower --particles-per-micrograph"):
        unlabelled_prior(particles=100.0, labelled=1, radius_px=2.0, usable_px=usable_px)
