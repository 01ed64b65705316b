"""Networks in the layout that Topaz saves: stand-ins of the same module and class names."""

import torch
from torch import nn


class Features(nn.Module):
    """Layers before the linear layer."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, x):
        return self.features(x)


class Scored(nn.Module):
    """A classifier in the layout of the original: features, then a linear layer."""

    def __init__(self, features, channels):
        super().__init__()
        self.features = Features(features)
        self.classifier = nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        return self.classifier(self.features(x))


class Block(nn.Module):
    """A convolution of a residual network."""

    def __init__(self, before, after, kernel, stride=1, bn=True):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride=stride, bias=not bn)
        if bn:
            self.bn = nn.BatchNorm2d(after)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        return self.act(self.bn(x) if hasattr(self, "bn") else x)


class Pair(nn.Module):
    """Two convolutions with a shortcut; written from what the score maps show."""

    def __init__(self, before, after, stride=1, dilation=1, bn=True):
        super().__init__()
        if before != after:
            self.proj = nn.Conv2d(before, after, 1, stride=stride, bias=False)
        self.conv0 = nn.Conv2d(before, before, 3, bias=not bn)
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, dilation=dilation, bias=not bn)
        if bn:
            self.bn0, self.bn1 = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.act0, self.act1 = nn.ReLU(), nn.ReLU()
        self.edge, self.step = 1 + dilation, stride

    def forward(self, x):
        inner = x[..., self.edge : -self.edge, self.edge : -self.edge]
        short = (
            self.proj(inner) if hasattr(self, "proj") else inner[..., :: self.step, :: self.step]
        )
        y = self.conv0(x)
        y = self.conv1(self.act0(self.bn0(y) if hasattr(self, "bn0") else y)) + short
        return self.act1(self.bn1(y) if hasattr(self, "bn1") else y)


def resnet8(units=3, bn=True):
    return Scored(
        nn.Sequential(
            Block(1, units, 7, stride=2, bn=bn),
            Pair(units, units, dilation=2, bn=bn),
            Pair(units, 2 * units, stride=2, dilation=2, bn=bn),
            Pair(2 * units, 2 * units, dilation=2, bn=bn),
            Block(2 * units, 4 * units, 5, bn=bn),
        ),
        4 * units,
    )


def resnet16(units=2, bn=True):
    return Scored(
        nn.Sequential(
            Block(1, units, 7, bn=bn),
            Pair(units, units, stride=2, bn=bn),
            *[Pair(units, units, bn=bn) for _ in range(3)],
            Pair(units, 2 * units, stride=2, bn=bn),
            *[Pair(2 * units, 2 * units, bn=bn) for _ in range(2)],
            Block(2 * units, 4 * units, 5, bn=bn),
        ),
        4 * units,
    )


def conv(depth, units=2, bn=True):
    layers, before = [], 1
    for number in range(depth):
        after = units * 2**number
        stride = 2 if number + 1 < depth else 1
        layers.append(nn.Conv2d(before, after, 5 if number else 7, stride=stride, bias=not bn))
        layers += [nn.BatchNorm2d(after)] if bn else []
        layers.append(nn.PReLU())
        before = after
    return Scored(nn.Sequential(*layers), before)


KINDS = {
    "resnet8": (resnet8, 71),
    "resnet16": (resnet16, 91),
    "conv31": (lambda **options: conv(3, **options), 31),
    "conv63": (lambda **options: conv(4, **options), 63),
    "conv127": (lambda **options: conv(5, **options), 127),
}


def network(kind, seed=0, **options):
    """A network with batch statistics and slopes unlike those of a fresh one."""
    torch.manual_seed(seed)
    made = KINDS[kind][0](**options)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    return made.eval()
