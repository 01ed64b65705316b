"""What `cryopick train` says of the number of particles, and of what scores will mean.

- `look`: what micrographs and labels tell before a run begins.
- `tell_number`, `tell_odds`: the same in words, on stderr.
"""

from typing import TYPE_CHECKING

from typer import BadParameter, echo

from cryopick.cli.progress import progress

if TYPE_CHECKING:
    import torch

    from cryopick.model.model_file import Model
    from cryopick.picks import Picks
    from cryopick.regions import Regions
    from cryopick.train.labels import Labelled
    from cryopick.train.particle_count import Known
    from cryopick.train.settings import TrainSettings

__all__ = ["AUTO", "look", "number_or_auto", "tell_number", "tell_odds"]

AUTO = "auto"


def number_or_auto(option: str, given: str | None) -> float | None:
    """The number that an option gives; None where it is to be found out.

    Raises:
        BadParameter: It is neither a number nor "auto".
    """
    if given is None or given == AUTO:
        return None
    try:
        return float(given)
    except ValueError:
        raise BadParameter(f"{option} takes a number or auto; got {given!r}") from None


def look(
    training: "Labelled",
    settings: "TrainSettings",
    device: "torch.device",
    ignore: "Regions",
    complete: "Picks | None",
) -> "Known":
    """Let the general model look at the training micrographs."""
    from cryopick.train.particle_count import Known, gather, sample

    chosen = sample(training.paths, training.labels)
    with progress(len(chosen), "Estimating the number of particles") as advance:
        evidence = gather(
            *(chosen, training.labels, settings, device, ignore), on_done=lambda: advance(1)
        )
    return Known(evidence=evidence, complete=complete)


def tell_number(known: "Known", given: float | None) -> None:
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
    if model.odds is None:
        echo("scores are not calibrated: too little tells right picks from wrong ones", err=True)
