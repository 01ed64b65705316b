"""Devices that share each minibatch, so that a step equals that of one device.

Every device draws the same minibatch, since it follows from the seed and the number of the step,
and takes its share of the patches through the network. What an objective is made of is no mean
over patches: the expectation over unlabelled regions and the distribution of their number are of
the whole minibatch, and so are the statistics of batch normalisation. So these are gathered:

- for batch normalisation, in the network and in the decoder, the sums over all devices' pixels;
- the logits, so that each device computes the objective of the whole minibatch;
- the gradients. The other gathering is differentiable, so that a device's gradient holds what its
  patches do to the objectives of all devices; these are the same one, and the mean of the
  gradients is the gradient on one device.

For dropout each device draws the choice for the whole minibatch and takes its own part. What
remains is the order of summation.

- `DeviceGroup`: the devices; alone, a device keeps all to itself.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cryopick.array_types import Float
from cryopick.model.device import widen_to_float32

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["DeviceGroup"]

Result = TypeVar("Result")


class DeviceGroup:
    """The devices that share a training, as seen from one of them.

    Args:
        fabric: What connects them; None for a device alone.

    Attributes:
        rank: Number of this device, from 0.
        size: How many there are.
    """

    def __init__(self, fabric: "Fabric | None" = None) -> None:
        self._fabric: Any = fabric
        self.rank: int = fabric.global_rank if fabric else 0
        self.size: int = fabric.world_size if fabric else 1
        self.patches: int = 0  # of the minibatch at hand, on all devices

    def __deepcopy__(self, _: object) -> "DeviceGroup":
        return self  # connections cannot be copied with a network

    def synchronize_layers(self, module: nn.Module) -> nn.Module:
        """Have a network normalise and drop out over the whole minibatch; its weights stay."""
        if self.size == 1:
            return module
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _SharedNorm(self, child))
            elif isinstance(child, nn.Dropout2d):
                setattr(module, name, _SharedDropout(self, child))
            else:
                self.synchronize_layers(child)
        return module

    def own(self, patches: Float[Tensor, "batch 1 side side"]) -> Float[Tensor, "own 1 side side"]:
        """Every n-th patch, so that each device has some of every kind."""
        self.patches = len(patches)
        return patches[self.rank :: self.size]

    def gather(self, own: Float[Tensor, "own *rest"]) -> Float[Tensor, "batch *rest"]:
        """What all devices made of their patches, in the order of the minibatch."""
        if self.size == 1:
            return own
        short = -(-self.patches // self.size) - len(own)
        padded = pad(own, (0, 0) * (own.ndim - 1) + (0, short))
        told = self._gathered(padded).transpose(0, 1).flatten(0, 1)
        return told[: self.patches]

    def total(self, own: Float[Tensor, " values"]) -> Float[Tensor, " values"]:
        """Sums over all devices."""
        return self._gathered(own).sum(0)

    def mean(self, own: Float[Tensor, " own"], count: int) -> Float[Tensor, ""]:
        """This device's part in a mean over `count` values on all devices.

        The mean over devices of what this returns is that mean.
        """
        return own.mean() if self.size == 1 else own.sum() * (self.size / count)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean over devices."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1:
            return
        flat = self.all_reduce_mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient in gradients:
            own, flat = flat[: gradient.numel()], flat[gradient.numel() :]
            gradient.copy_(own.view_as(gradient))

    def all_reduce_mean(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The mean over devices."""
        if self.size == 1:
            return value
        mean: Tensor = self._fabric.all_reduce(value, reduce_op="mean")
        return mean

    def once(self, work: Callable[[], Result]) -> Result:
        """What the first device makes, for all."""
        if self.size == 1:
            return work()
        made: Result = self._fabric.broadcast(work() if self.rank == 0 else None)
        return made

    def _gathered(self, own: Tensor) -> Tensor:
        told: Tensor = self._fabric.all_gather(own, sync_grads=True)
        return told


class _SharedNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of all devices' patches."""

    def __init__(self, team: DeviceGroup, alone: nn.BatchNorm2d) -> None:
        super().__init__(alone.num_features, alone.eps, alone.momentum)
        self.team = team
        self.weight, self.bias = alone.weight, alone.bias
        self.running_mean, self.running_var = alone.running_mean, alone.running_var
        self.num_batches_tracked = alone.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        wide = widen_to_float32(x)
        pixels = wide.new_tensor([x.numel() / x.shape[1]])
        sums = self.team.total(torch.cat([wide.sum((0, 2, 3)), pixels]))
        count = sums[-1]
        mean = sums[:-1] / count
        centred = wide - mean[:, None, None]
        variance = self.team.total(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _SharedDropout(nn.Dropout2d):
    """Dropout that chooses for all devices' patches as one device would."""

    def __init__(self, team: DeviceGroup, alone: nn.Dropout2d) -> None:
        super().__init__(alone.p)
        self.team = team

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return super().forward(x)
        whole = x.new_empty(self.team.patches, x.shape[1], 1, 1)
        kept = whole.bernoulli_(1 - self.p).div_(1 - self.p)
        return x * kept[self.team.rank :: self.team.size]
