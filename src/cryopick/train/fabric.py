"""Data-parallel training in several processes, with Lightning Fabric.

- `check_device_count`: check that the machine has enough devices.
- `train_on_devices`: train on one or several devices.
"""

import importlib
import logging
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.multiprocessing

from cryopick.errors import CryopickError, SettingsError
from cryopick.train.curves import CurveRow
from cryopick.train.data_parallel import DeviceGroup
from cryopick.train.loop import TrainingResult, train
from cryopick.train.sampling_settings import SamplingSettings

__all__ = ["check_device_count", "train_on_devices"]


def check_device_count(number: int, device: torch.device, sampling: SamplingSettings) -> None:
    """Check that a number of devices can share a training.

    Raises:
        SettingsError: The machine has fewer devices, a minibatch has fewer patches, or Lightning
            Fabric is not installed.
    """
    if number == 1:
        return
    patches = sampling.unlabelled_patches + sampling.positive_patches
    if number > patches:
        raise SettingsError(
            f"--devices {number}: a minibatch has only {patches} patches; use fewer devices, "
            "or raise --unlabelled-patches"
        )
    available = {"cuda": torch.cuda.device_count(), "cpu": patches}.get(device.type, 1)
    if number > available:
        raise SettingsError(
            f"--devices {number}: this machine has {available} of {device.type}; use fewer, or add "
            "--device cpu"
        )
    _fabric()


def train_on_devices(
    number: int,
    device: torch.device,
    on_row: Callable[[CurveRow], None],
    on_progress: Callable[[int], None],
    **arguments: Any,  # noqa: ANN401  # those of `train`
) -> TrainingResult:
    """Call `train` on one or several devices.

    Args:
        number: Number of devices.
        device: The device, or one of its type.
        on_row: Called with each new row of the curves.
        on_progress: Called with the number of steps after each of them.
        arguments: Other arguments of `train`.

    Raises:
        CryopickError: An error of `train`.
    """
    if number == 1:
        return train(**arguments, device=device, on_row=on_row, on_progress=on_progress)
    rows = torch.multiprocessing.get_context("spawn").SimpleQueue()

    def read() -> None:
        for row in iter(rows.get, None):
            if isinstance(row, CurveRow):
                on_row(row)
            else:
                on_progress(row)

    reader = threading.Thread(target=read)
    fabric = _fabric()(accelerator=device.type, devices=number, strategy="ddp_spawn")
    reader.start()
    try:
        error = fabric.launch(
            _train_in_process, rows, pickle.dumps(arguments)
        )  # Fabric would inspect the objects
    finally:
        rows.put(None)
        reader.join()
    if error:
        raise error
    return train(**arguments | {"finish": True}, device=device)


def _train_in_process(fabric: Any, rows: Any, pickled: bytes) -> CryopickError | None:  # noqa: ANN401
    """Train in one process of several; an error of one occurs in all of them."""
    # Fabric calls a function that torch has deprecated.
    warnings.filterwarnings("ignore", message=r"torch\.distributed\.nn\.functional\.all_gather")
    arguments = pickle.loads(pickled)
    group = DeviceGroup(fabric)
    report = rows.put if group.rank == 0 else lambda _: None
    try:
        train(**arguments, device=fabric.device, group=group, on_row=report, on_progress=report)
    except CryopickError as error:
        return error
    return None


def _fabric() -> Any:  # noqa: ANN401  # the class of Fabric
    try:
        fabric = importlib.import_module("lightning_fabric")
    except ImportError as error:
        raise SettingsError(
            "--devices needs the package lightning-fabric: pip install 'cryopick[devices]'"
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # it reports every process
    return fabric.Fabric
