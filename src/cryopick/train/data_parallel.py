"""Data-parallel training whose steps equal those of a single device.

Every device samples the same minibatch, since it depends only on the seed and the step, and applies
the network to its part of the patches. The objective is not a mean over patches: it depends on the
expectation over all unlabelled regions and the distribution of their number, and so does batch
normalization on all pixels. Therefore the devices exchange:

- the sums of batch normalization over all pixels, in the network and in the decoder;
- the logits, so that each device computes the objective of the whole minibatch;
- the gradients. The gathering of sums and logits is differentiable, so the gradient of a device
  contains the effect of its patches on the objectives of all devices. These are equal, and the mean
  of the gradients is the gradient on one device.

Each device draws the dropout mask of the whole minibatch and uses its part. Only the order of
summation differs.

- `DeviceGroup`: the devices, as seen from one of them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cryopick.array_types import Float
from cryopick.model.torch_device import widen_to_float32

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["DeviceGroup"]

Result = TypeVar("Result")


class DeviceGroup:
    """Devices that share each minibatch, as seen from one of them.

    Args:
        fabric: Connection of the devices; None for a single device.

    Attributes:
        rank: Number of this device, from 0.
        size: Number of devices.
        patches: Patches of the current minibatch, on all devices.
    """

    def __init__(self, fabric: "Fabric | None" = None) -> None:
        self._fabric: Any = fabric
        self.rank: int = fabric.global_rank if fabric else 0
        self.size: int = fabric.world_size if fabric else 1
        self.patches: int = 0

    def __deepcopy__(self, _: object) -> "DeviceGroup":
        return self  # connections cannot be copied with a network

    def synchronize_layers(self, module: nn.Module) -> nn.Module:
        """Make batch normalization and dropout span all devices; the weights stay."""
        if self.size == 1:
            return module
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _SyncBatchNorm(self, child))
            elif isinstance(child, nn.Dropout2d):
                setattr(module, name, _SyncDropout(self, child))
            else:
                self.synchronize_layers(child)
        return module

    def select_local(
        self, patches: Float[Tensor, "batch 1 side side"]
    ) -> Float[Tensor, "local 1 side side"]:
        """Select the patches of this device: every n-th one, so that all kinds are present."""
        self.patches = len(patches)
        return patches[self.rank :: self.size]

    def gather(self, local: Float[Tensor, "local *rest"]) -> Float[Tensor, "batch *rest"]:
        """Gather the results of all devices, in the order of the minibatch."""
        if self.size == 1:
            return local
        missing = -(-self.patches // self.size) - len(local)
        padded = pad(local, (0, 0) * (local.ndim - 1) + (0, missing))
        gathered = self._all_gather(padded).transpose(0, 1).flatten(0, 1)
        return gathered[: self.patches]

    def all_reduce_sum(self, local: Float[Tensor, " values"]) -> Float[Tensor, " values"]:
        """Sum values over all devices; the sum is differentiable."""
        return self._all_gather(local).sum(0)

    def partial_mean(self, local: Float[Tensor, " local"], count: int) -> Float[Tensor, ""]:
        """Compute this device's part of a mean; its mean over devices is the whole mean.

        Args:
            local: Values on this device.
            count: Number of values on all devices.
        """
        return local.mean() if self.size == 1 else local.sum() * (self.size / count)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients by their means over devices."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1:
            return
        flat = self.all_reduce_mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient in gradients:
            mean, flat = flat[: gradient.numel()], flat[gradient.numel() :]
            gradient.copy_(mean.view_as(gradient))

    def all_reduce_mean(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Average a value over devices."""
        if self.size == 1:
            return value
        mean: Tensor = self._fabric.all_reduce(value, reduce_op="mean")
        return mean

    def run_on_first(self, work: Callable[[], Result]) -> Result:
        """Run a function on the first device, and broadcast its result."""
        if self.size == 1:
            return work()
        result: Result = self._fabric.broadcast(work() if self.rank == 0 else None)
        return result

    def _all_gather(self, local: Tensor) -> Tensor:
        gathered: Tensor = self._fabric.all_gather(local, sync_grads=True)
        return gathered


class _SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalization with statistics over the patches of all devices."""

    def __init__(self, group: DeviceGroup, layer: nn.BatchNorm2d) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.group = group
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        wide = widen_to_float32(x)
        pixels = wide.new_tensor([x.numel() / x.shape[1]])
        sums = self.group.all_reduce_sum(torch.cat([wide.sum((0, 2, 3)), pixels]))
        count = sums[-1]
        mean = sums[:-1] / count
        centred = wide - mean[:, None, None]
        variance = self.group.all_reduce_sum(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _SyncDropout(nn.Dropout2d):
    """Dropout with the random mask that a single device would draw."""

    def __init__(self, group: DeviceGroup, layer: nn.Dropout2d) -> None:
        super().__init__(layer.p)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return super().forward(x)
        mask = x.new_empty(self.group.patches, x.shape[1], 1, 1)
        mask = mask.bernoulli_(1 - self.p).div_(1 - self.p)
        return x * mask[self.group.rank :: self.group.size]
