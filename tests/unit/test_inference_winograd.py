import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cryopick.inference.score_map import compute_score_map, optimize_for_inference
from cryopick.inference.winograd import WinogradConv2d, is_worthwhile
from cryopick.model.architectures import NetworkSettings
from cryopick.model.networks import Scorer

sides = st.integers(17, 41)  # at dilation 4 the filter spans 17 pixels


def convolution(inputs=3, outputs=2, **options):
    torch.manual_seed(4)
    return nn.Conv2d(inputs, outputs, 5, **options).requires_grad_(False)


@settings(deadline=None, max_examples=40)
@given(sides, sides, st.integers(1, 3), st.sampled_from([1, 2, 3, 4]), st.booleans())
def test_winograd_equals_direct_convolution(height, width, batch, dilation, bias):
    plain = convolution(dilation=dilation, bias=bias)
    pixels = torch.randn(batch, 3, height, width)

    result = WinogradConv2d(plain)(pixels)

    # an exact algorithm, whose transforms let float32 lose some of its 24 bits
    torch.testing.assert_close(result, plain(pixels), rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("columns", [31, 32, 33, 64, 65, 100])
def test_batches_of_tiles_join_without_seams(columns):
    plain, pixels = convolution(), torch.randn(1, 3, 9, 4 * columns + 3)

    torch.testing.assert_close(WinogradConv2d(plain)(pixels), plain(pixels), rtol=1e-4, atol=3e-5)


def test_the_error_is_small_relative_to_the_largest_output():
    plain, pixels = convolution(64, 128), torch.randn(1, 64, 36, 36)
    exact = convolution(64, 128).double()(pixels.double())

    error = (WinogradConv2d(plain)(pixels) - exact).abs().max() / exact.abs().max()

    assert error < 2e-5


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 5, stride=2),
        nn.Conv2d(64, 64, 5, padding=2),
        nn.Conv2d(64, 64, 5, groups=2),
        nn.Conv2d(16, 64, 5),
        nn.Conv2d(64, 16, 5),
    ],
    ids=["small filter", "stride", "padding", "groups", "few inputs", "few outputs"],
)
def test_unsuitable_convolutions_are_not_replaced(other):
    assert not is_worthwhile(other)
    assert is_worthwhile(nn.Conv2d(64, 64, 5))


def parts(scorer, kind):
    return [part for part in scorer.modules() if isinstance(part, kind)]


@pytest.mark.parametrize(("name", "replaced"), [("conv31", 1), ("conv63", 2)])
def test_a_network_optimized_for_a_cpu_gives_the_same_scores(name, replaced):
    network = Scorer(NetworkSettings(name=name)).eval()
    pixels = np.random.default_rng(0).normal(size=(120, 150)).astype(np.float32)

    ready = optimize_for_inference(network)

    assert len(parts(ready, WinogradConv2d)) == replaced
    result, expected = (
        compute_score_map(each, pixels, step_px=4).logits for each in (ready, network)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * expected.std())


def test_bfloat16_and_other_devices_keep_direct_convolutions():
    network = Scorer(NetworkSettings()).eval()

    assert not parts(optimize_for_inference(network, torch.bfloat16), WinogradConv2d)
    assert not parts(optimize_for_inference(network, device=torch.device("meta")), WinogradConv2d)
