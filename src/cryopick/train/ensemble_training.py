"""Train a network and, from the general model, its ensemble partner as well.

Both networks of the general model learn from the labels, one after the other: the partner first,
so that the network is evaluated together with what it will work beside.

- `train_ensemble`: train all networks of an initialization.
- `find_partner_checkpoint`: checkpoint of the partner's training.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import extract_network
from cryopick.train.curves import CurveRow
from cryopick.train.fabric import train_on_devices
from cryopick.train.initialization import Initialization
from cryopick.train.loop import TrainingResult, Validator

__all__ = ["find_partner_checkpoint", "train_ensemble"]


def train_ensemble(  # noqa: PLR0913  # what a run is made of
    start: Initialization,
    checkpoint: Path,
    *,
    device: torch.device,
    devices: int = 1,
    make_validator: Callable[[EnsemblePartner | None], Validator] | None = None,
    on_row: Callable[[CurveRow, bool], None] = lambda *_: None,
    on_progress: Callable[[int], None] = lambda _: None,
    finish: bool = False,
) -> TrainingResult:
    """Train the partner if the initialization has settings for it, then the network.

    Args:
        start: Initial networks, labels and settings.
        checkpoint: Checkpoint file of the network; that of the partner lies beside it. Both are
            read if they exist.
        device: Device to compute on.
        devices: Number of such devices that share each minibatch.
        make_validator: Makes the evaluation on held-out micrographs, beside a partner.
        on_row: Called with each new row of the curves, and true if it is of the partner.
        on_progress: Called with the number of completed steps, the partner's included.
        finish: Return the state of the checkpoints without training further.

    Raises:
        SettingsError: The prior and the labels contradict each other, or a training diverges.
        FormatError: A checkpoint is damaged or belongs to another run.
    """
    partner, steps_before = start.partner, 0
    if partner is not None and start.partner_settings is not None:
        tuned = train_on_devices(
            devices,
            device,
            lambda row: on_row(row, True),
            on_progress,
            store=start.store,
            settings=start.partner_settings,
            checkpoint=find_partner_checkpoint(checkpoint),
            start=partner.scorer,
            finish=finish,
        )
        partner = replace(partner, network=extract_network(tuned.best))
        steps_before = start.partner_settings.steps
    return train_on_devices(
        devices,
        device,
        lambda row: on_row(row, False),
        lambda step: on_progress(steps_before + step),
        store=start.store,
        settings=start.settings,
        checkpoint=checkpoint,
        start=start.scorer,
        partner=partner,
        held_out=make_validator(partner) if make_validator else None,
        finish=finish,
    )


def find_partner_checkpoint(checkpoint: Path) -> Path:
    """Return the checkpoint file of the partner, beside that of the network."""
    return checkpoint.with_name(f"{checkpoint.stem}-partner{checkpoint.suffix}")
