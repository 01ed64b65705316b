import pytest
import torch

from cryopick.train.augmentation import augment_intensity, augment_spectrum

PATCHES = torch.randn(400, 20, 20, generator=torch.Generator().manual_seed(0))


def test_without_contrast_and_noise_patches_stay_as_they_are():
    assert torch.equal(augment_intensity(PATCHES, contrast=0.0, noise=0.0, seed=1), PATCHES)


def test_contrast_scales_each_patch_by_a_factor_with_the_given_log_deviation():
    ratio = augment_intensity(PATCHES, contrast=0.3, noise=0.0, seed=1) / PATCHES

    log_scale = ratio[:, 0, 0].log()
    torch.testing.assert_close(ratio, log_scale.exp()[:, None, None].expand_as(ratio))
    assert log_scale.std().item() == pytest.approx(0.3, rel=0.1)  # 400 draws
    assert log_scale.mean().item() == pytest.approx(0.0, abs=0.05)


def test_noise_has_an_independent_level_below_the_maximum_on_each_patch():
    level = (augment_intensity(PATCHES, contrast=0.0, noise=2.0, seed=1) - PATCHES).std(dim=(1, 2))

    assert level.max().item() < 2.0 * 1.15  # 400 pixels give it to a few per cent
    assert level.mean().item() == pytest.approx(1.0, rel=0.1)
    assert level.min().item() < 0.1


def test_augmentation_depends_on_the_seed_only():
    once, again, other = (
        augment_intensity(PATCHES, contrast=0.2, noise=1.0, seed=s) for s in (5, 5, 6)
    )

    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_spectral_augmentation_preserves_mean_and_standard_deviation():
    patches = 3 * torch.randn(40, 64, 64, generator=torch.Generator().manual_seed(1)) + 5

    other = augment_spectrum(patches, log_gain_std=0.5, seed=3)

    torch.testing.assert_close(other.mean((1, 2)), patches.mean((1, 2)), atol=1e-3, rtol=0)
    torch.testing.assert_close(other.std((1, 2)), patches.std((1, 2)), atol=1e-3, rtol=0)
    power = torch.fft.rfft2(other - 5).abs().square()
    slow, fast = power[:, 2:9, 2:9].mean((1, 2)), power[:, 20:32, 16:].mean((1, 2))
    ratio = (slow / fast).log()
    assert ratio.std().item() > 0.5  # white noise alone: 0.15
    assert ratio.median().item() == pytest.approx(0.0, abs=1.0)


def test_no_spectral_augmentation_returns_the_patches():
    assert torch.equal(augment_spectrum(PATCHES, log_gain_std=0.0, seed=1), PATCHES)


def test_spectral_augmentation_does_not_shift_and_depends_on_the_seed_only():
    patches = torch.zeros(20, 33, 33)
    patches[:, 12, 21] = 1.0

    once, again, other = (augment_spectrum(patches, log_gain_std=0.4, seed=s) for s in (5, 5, 6))

    assert (once.flatten(1).argmax(1) == 12 * 33 + 21).all()
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
