"""What `cryopick train` says of the number of particles, and of what scores will mean.

- `look`: what micrographs and labels tell before a run begins.
- `tell_number`, `tell_odds`: the same in words, on stderr.
"""

from typing import TYPE_CHECKING

from typer import echo

from cryopick.cli.progress import progress

if TYPE_CHECKING:
    import torch

    from cryopick.model.model_file import Model
    from cryopick.picks import Picks
    from cryopick.regions import Regions
    from cryopick.train.labels import LabelledMicrographs
    from cryopick.train.particle_count import ParticleStatistics
    from cryopick.train.settings import TrainSettings

__all__ = ["look", "tell_number", "tell_odds"]


def look(
    training: "LabelledMicrographs",
    settings: "TrainSettings",
    device: "torch.device",
    ignore: "Regions",
    complete: "Picks | None",
) -> "ParticleStatistics":
    """Let the general model look at the training micrographs."""
    from cryopick.train.particle_count import ParticleStatistics, pick_sample, sample

    chosen = sample(training.paths, training.labels)
    with progress(len(chosen), "Estimating the number of particles") as advance:
        evidence = pick_sample(
            *(chosen, training.labels, settings, device, ignore), on_done=lambda: advance(1)
        )
    return ParticleStatistics(evidence=evidence, complete=complete)


def tell_number(known: "ParticleStatistics", given: float | None) -> None:
    """Say what was estimated, or what speaks against a number that was given."""
    if known.estimate is None:
        return
    if given is None:
        echo(f"estimated: {known.estimate}", err=True)
    elif objection := known.estimate.objection(given):
        echo(
            f"warning: {objection}; look at the labels and at --diameter-ang, or leave "
            "--particles-per-micrograph out",
            err=True,
        )


def tell_odds(model: "Model") -> None:
    """Say whether scores are odds."""
    if model.calibration is None:
        echo("scores are not calibrated: too little tells right picks from wrong ones", err=True)
