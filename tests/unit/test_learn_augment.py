import pytest
import torch

from cryopick.learn.augment import distort

PATCHES = torch.randn(400, 20, 20, generator=torch.Generator().manual_seed(0))


def test_without_contrast_and_noise_patches_stay_as_they_are():
    assert torch.equal(distort(PATCHES, contrast=0.0, noise=0.0, seed=1), PATCHES)


def test_contrast_scales_each_patch_by_one_number_of_the_given_spread():
    ratio = distort(PATCHES, contrast=0.3, noise=0.0, seed=1) / PATCHES

    log_scale = ratio[:, 0, 0].log()
    torch.testing.assert_close(ratio, log_scale.exp()[:, None, None].expand_as(ratio))
    assert log_scale.std().item() == pytest.approx(0.3, rel=0.1)  # 400 draws
    assert log_scale.mean().item() == pytest.approx(0.0, abs=0.05)


def test_noise_has_a_level_of_its_own_on_each_patch_below_the_greatest():
    level = (distort(PATCHES, contrast=0.0, noise=2.0, seed=1) - PATCHES).std(dim=(1, 2))

    assert level.max().item() < 2.0 * 1.15  # the spread of 400 pixels is known to a few per cent
    assert level.mean().item() == pytest.approx(1.0, rel=0.1)
    assert level.min().item() < 0.1


def test_what_is_drawn_follows_from_the_seed():
    once, again, other = (distort(PATCHES, contrast=0.2, noise=1.0, seed=s) for s in (5, 5, 6))

    assert torch.equal(once, again)
    assert not torch.equal(once, other)
