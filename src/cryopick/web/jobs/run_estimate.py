"""Progress of a whole run: the share that is done, and the time left.

The stages of a run are known before they start; their durations are not. Typical times per unit
give the proportions between the stages, and those that were measured give the speed of the machine.

- `StageProgress`: progress of one stage.
- `list_stages`: stages of a run, from its plan.
- `estimate_run`: the estimate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunEstimate", "StageProgress", "estimate_run", "list_stages"]

_START_S = 6.0  # to start a command
_UNIT_S = {  # typical seconds per micrograph or step, on two processor cores
    "Estimating the number of particles": 5.0,
    "Preparing micrographs": 1.5,
    "Training": 1.0,
    "Picking micrographs": 5.0,
    "Computing features": 2.0,
    "Estimating the particle size": 2.0,
}
_DEFAULT_STEPS = 60
_NETWORKS = 2  # of the general model; both are trained
_MAX_ESTIMATED = 8  # micrographs from which the number or the size of particles is estimated


@dataclass(frozen=True)
class StageProgress:
    """Progress of one stage.

    Attributes:
        done: Completed units.
        total: Units of the whole stage.
        elapsed_s: Seconds since the stage began.
    """

    done: int
    total: int
    elapsed_s: float


@dataclass(frozen=True)
class RunEstimate:
    """Progress of a run.

    Attributes:
        share: Fraction of the whole run, below 1 until it has ended.
        seconds_left: Estimate of the remaining time.
    """

    share: float
    seconds_left: float


def list_stages(
    folder: Path, commands: Sequence[Sequence[str]], preset_steps: int = 0
) -> dict[str, int]:
    """List the stages of a run with their expected numbers of units.

    Args:
        folder: Folder of the run, with the lists of its micrographs.
        commands: Its commands.
        preset_steps: Steps of each network, 0 if unknown.
    """
    stages: dict[str, int] = {}
    for words in commands:
        if words[:1] == ["train"]:
            training = _count_lines(folder / "train.lst")
            stages["Estimating the number of particles"] = min(training, _MAX_ESTIMATED)
            stages["Preparing micrographs"] = training + _count_lines(folder / "held_out.lst")
            stages["Training"] = _NETWORKS * (preset_steps or _DEFAULT_STEPS)
        elif words[:1] == ["pick"]:
            stages["Picking micrographs"] = _count_lines(folder / "pick.lst")
        elif words[:1] == ["suggest"]:
            stages["Picking micrographs"] = _count_lines(folder / "suggest.lst")
            stages["Computing features"] = stages["Picking micrographs"]
        elif words[:1] == ["size"]:
            n_micrographs = _count_lines(folder / "size.lst")
            stages["Estimating the particle size"] = min(n_micrographs, _MAX_ESTIMATED)
    return stages


def estimate_run(
    planned: Mapping[str, int], stages: Mapping[str, StageProgress], elapsed_s: float
) -> RunEstimate:
    """Estimate the progress of a run.

    Args:
        planned: Units of each stage, in order.
        stages: Progress of the stages that have begun.
        elapsed_s: Seconds since the run started.

    >>> estimate_run({"Training": 100}, {"Training": StageProgress(50, 100, 30.0)}, 30.0)
    RunEstimate(share=0.5, seconds_left=30.0)
    """
    usual_s = sum(_unit_s(name) * stage.done for name, stage in stages.items())
    measured_s = sum(stage.elapsed_s for stage in stages.values() if stage.done)
    speed = measured_s / usual_s if usual_s and measured_s else 1.0
    remaining_s, seen_s = 0.0, sum(stage.elapsed_s for stage in stages.values())
    order = [*planned, *(name for name in stages if name not in planned)]
    last = max((order.index(name) for name in stages), default=-1)
    for number, name in enumerate(order):
        stage = stages.get(name)
        if stage is not None:
            unit_s = stage.elapsed_s / stage.done if stage.done else _unit_s(name) * speed
            # A first command may have processed only one micrograph, to show its picks early.
            total = max(stage.total, planned.get(name, 0)) if number == last else stage.total
            left_s = unit_s * max(0, total - stage.done)
            remaining_s += left_s if stage.done else max(left_s - stage.elapsed_s, left_s / 10)
        elif number > last:  # a stage before the current one was skipped
            stage_s = _START_S + _unit_s(name) * planned[name] * speed
            if number == last + 1:  # it may have begun without a report
                stage_s = max(stage_s - max(0.0, elapsed_s - seen_s), stage_s / 10)
            remaining_s += stage_s
    share = elapsed_s / (elapsed_s + remaining_s) if elapsed_s > 0 else 0.0
    return RunEstimate(min(share, 0.99), remaining_s)


def _unit_s(stage: str) -> float:
    return _UNIT_S.get(stage, 1.0)


def _count_lines(file: Path) -> int:
    try:
        return len(file.read_text(encoding="utf-8").splitlines())
    except OSError:
        return 0
