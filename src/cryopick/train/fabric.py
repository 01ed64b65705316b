"""One training on several devices, by Lightning Fabric.

- `check_devices`: whether so many can.
- `train_on`: have them train, each in a process of its own, up to the last checkpoint.
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
from cryopick.train.curves import Row
from cryopick.train.data_parallel import Team
from cryopick.train.loop import Outcome, train
from cryopick.train.sampling import SamplingSettings

__all__ = ["check_devices", "train_on"]


def check_devices(number: int, device: torch.device, sampling: SamplingSettings) -> None:
    """See that so many devices can share a training.

    Raises:
        SettingsError: The machine has fewer, a minibatch has less patches, or the package that
            connects them is missing.
    """
    if number == 1:
        return
    patches = sampling.unlabelled_patches + sampling.positive_patches
    if number > patches:
        raise SettingsError(
            f"--devices {number}: a minibatch has {patches} patches to share; take fewer devices, "
            "or raise --unlabelled-patches"
        )
    there = {"cuda": torch.cuda.device_count(), "cpu": patches}.get(device.type, 1)
    if number > there:
        raise SettingsError(
            f"--devices {number}: this machine has {there} of {device.type}; take fewer, or add "
            "--device cpu"
        )
    _fabric()


def train_on(
    number: int,
    device: torch.device,
    on_row: Callable[[Row], None],
    **what: Any,  # noqa: ANN401  # as `train` has them
) -> Outcome:
    """Have devices train, as `train` does on one.

    Args:
        number: How many.
        device: The device, or one of their kind.
        on_row: Called with each new row of the curves.
        what: The other arguments of `train`.

    Raises:
        CryopickError: What `train` raises.
    """
    if number == 1:
        return train(**what, device=device, on_row=on_row)
    rows = torch.multiprocessing.get_context("spawn").SimpleQueue()

    def read() -> None:
        for row in iter(rows.get, None):
            on_row(row)

    reader = threading.Thread(target=read)
    fabric = _fabric()(accelerator=device.type, devices=number, strategy="ddp_spawn")
    reader.start()
    try:
        error = fabric.launch(_member, rows, pickle.dumps(what))  # it would look into our classes
    finally:
        rows.put(None)
        reader.join()
    if error:
        raise error
    return train(**what | {"finish": True}, device=device)


def _member(fabric: Any, rows: Any, pickled: bytes) -> CryopickError | None:  # noqa: ANN401
    """One process of several; what is wrong for one is so for all."""
    # Fabric calls what torch means to replace; that is theirs to mend.
    warnings.filterwarnings("ignore", message=r"torch\.distributed\.nn\.functional\.all_gather")
    what = pickle.loads(pickled)
    team = Team(fabric)
    on_row = rows.put if team.rank == 0 else lambda _: None
    try:
        train(**what, device=fabric.device, team=team, on_row=on_row)
    except CryopickError as error:
        return error
    return None


def _fabric() -> Any:  # noqa: ANN401  # Fabric's class, where it is installed
    try:
        fabric = importlib.import_module("lightning_fabric")
    except ImportError as error:
        raise SettingsError(
            "--devices needs the package lightning-fabric: pip install 'cryopick[devices]'"
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # it tells of every process
    return fabric.Fabric
