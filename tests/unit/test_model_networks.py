import math

import pytest
import torch
from torch import nn

from cryopick.errors import SettingsError
from cryopick.model.architectures import NETWORKS, NetworkSettings
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.networks import Decoder, Scorer


def layers(module, kind):
    return [part for part in module.modules() if isinstance(part, kind)]


def test_conv31_has_the_layers_of_the_paper():
    network = Scorer(NetworkSettings())
    convolutions = layers(network, nn.Conv2d)

    assert [tuple(c.weight.shape) for c in convolutions] == [
        (32, 1, 7, 7),
        (64, 32, 5, 5),
        (128, 64, 5, 5),
    ]
    assert [c.stride for c in convolutions] == [(2, 2), (2, 2), (1, 1)]
    assert [n.num_features for n in layers(network, nn.BatchNorm2d)] == [32, 64, 128]
    assert len(layers(network, nn.PReLU)) == 3
    assert network.head.weight.shape == (1, 128)
    assert (network.receptive_field_px, network.stride_px) == (31, 4)


def test_the_decoder_has_the_layers_of_the_paper():
    transposed = layers(Decoder(128, 31), nn.ConvTranspose2d)

    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in transposed] == [
        (128, 4, 1),
        (64, 4, 2),
        (32, 4, 2),
        (1, 3, 2),
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_name_of_a_network_contains_its_receptive_field(name):
    field = int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))

    assert Scorer(NetworkSettings(name=name, width=1)).receptive_field_px == field


@pytest.mark.parametrize(
    ("name", "number", "stride", "margin"),
    [
        ("resnet41", 1, 1, 2),
        ("resnet41", 2, 2, 3),
        ("dilated101", 4, 1, 9),
        ("resnet71", 2, 2, 3),
        ("resnet91", 1, 2, 2),
    ],
)
def test_the_shortcut_of_a_residual_layer_is_centred(name, number, stride, margin):
    # with the second convolution silenced, only the shortcut is left
    block = Scorer(NetworkSettings(name=name, width=2)).eval().encoder[number]
    nn.init.zeros_(block.second.weight)
    if stride > 1:
        nn.init.dirac_(block.shortcut.weight)
    x = torch.rand(1, 2, 27, 29)

    out = block(x)[:, :2]

    # two filters of side 3: the first reaches its dilation to each side, the second `stride` more
    # batch normalisation of a fresh network divides by the root of 1 + 1e-5
    torch.testing.assert_close(
        out, x[..., margin:-margin:stride, margin:-margin:stride], rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "vgg"}, "unknown network 'vgg'; choose one of conv31"),
        ({"width": 0}, "width must be at least 1 channel; got 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; got 1.0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1; got -0.1"),
        ({"dropout": math.nan}, "dropout must be at least 0 and below 1; got nan"),
    ],
)
def test_settings_out_of_range_are_rejected(values, message):
    with pytest.raises(SettingsError, match=message):
        NetworkSettings(**values)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_the_gradient_of_the_rectifier_is_that_of_torch(kind):
    generator = torch.Generator().manual_seed(1)
    rectifier = layers(Scorer(NetworkSettings()), nn.PReLU)[0].to(kind)
    with torch.no_grad():
        rectifier.weight.copy_(torch.linspace(-0.5, 1.5, 32))
    image, gradient = torch.randn(2, 2, 32, 9, 7, generator=generator).to(kind)
    found = {}
    for name, rectify in {
        "ours": rectifier,
        "torch": lambda x: nn.functional.prelu(x, rectifier.weight),
    }.items():
        x = image.clone().requires_grad_()
        result = rectify(x)
        found[name] = (result, *torch.autograd.grad(result, (x, rectifier.weight), gradient))

    torch.testing.assert_close(found["ours"], found["torch"])


def test_upsampling_in_bfloat16_is_a_transposed_convolution_of_each_channel():
    generator = torch.Generator().manual_seed(1)
    upsampling = layers(EncoderDecoder(4), nn.ConvTranspose2d)[0].to(torch.bfloat16)
    channels = upsampling.in_channels
    image = torch.randn(2, channels, 5, 6, generator=generator).to(torch.bfloat16)

    result = upsampling(image)

    expected = nn.functional.conv_transpose2d(
        image.float(), upsampling.weight.float(), None, 2, 1, 1, channels
    )
    assert result.shape == (2, channels, 10, 12)
    torch.testing.assert_close(result.float(), expected, rtol=0.02, atol=0.02)
