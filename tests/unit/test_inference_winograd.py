import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cryopick.inference.score_map import folded, score_map
from cryopick.inference.winograd import Winograd, is_worthwhile
from cryopick.model.networks import NetworkSettings, Scorer

sides = st.integers(17, 41)  # at dilation 4 the filter spans 17 pixels


def convolution(inputs=3, outputs=2, **options):
    torch.manual_seed(4)
    return nn.Conv2d(inputs, outputs, 5, **options).requires_grad_(False)


@settings(deadline=None, max_examples=40)
@given(sides, sides, st.integers(1, 3), st.sampled_from([1, 2, 3, 4]), st.booleans())
def test_it_gives_what_the_convolution_gives(height, width, batch, dilation, bias):
    plain = convolution(dilation=dilation, bias=bias)
    pixels = torch.randn(batch, 3, height, width)

    found = Winograd(plain)(pixels)

    # an exact algorithm, whose transforms let float32 lose some of its 24 bits
    torch.testing.assert_close(found, plain(pixels), rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("columns", [31, 32, 33, 64, 65, 100])
def test_more_tiles_than_are_transformed_at_once_join_without_a_seam(columns):
    plain, pixels = convolution(), torch.randn(1, 3, 9, 4 * columns + 3)

    torch.testing.assert_close(Winograd(plain)(pixels), plain(pixels), rtol=1e-4, atol=3e-5)


def test_its_error_is_a_small_part_of_the_greatest_output():
    plain, pixels = convolution(64, 128), torch.randn(1, 64, 36, 36)
    exact = convolution(64, 128).double()(pixels.double())

    error = (Winograd(plain)(pixels) - exact).abs().max() / exact.abs().max()

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
def test_convolutions_that_it_cannot_do_or_not_faster_are_left_alone(other):
    assert not is_worthwhile(other)
    assert is_worthwhile(nn.Conv2d(64, 64, 5))


def parts(scorer, kind):
    return [part for part in scorer.modules() if isinstance(part, kind)]


@pytest.mark.parametrize(("name", "expected"), [("conv31", 1), ("conv63", 2)])
def test_a_network_made_ready_for_a_processor_scores_as_before(name, expected):
    network = Scorer(NetworkSettings(name=name)).eval()
    pixels = np.random.default_rng(0).normal(size=(120, 150)).astype(np.float32)

    ready = folded(network)

    assert len(parts(ready, Winograd)) == expected
    found, known = (score_map(each, pixels, step_px=4).logits for each in (ready, network))
    np.testing.assert_allclose(found, known, rtol=1e-4, atol=1e-4 * known.std())


def test_bfloat16_and_other_devices_keep_their_own_convolutions():
    network = Scorer(NetworkSettings()).eval()

    assert not parts(folded(network, torch.bfloat16), Winograd)
    assert not parts(folded(network, device=torch.device("meta")), Winograd)
