"""What a run is told to do: its folder, the files in it and the commands that it types.

- `Orders`: write down a training, a picking or a suggestion; `Jobs` carries it out.
- `TrainForm`: what the page asks for. `PRESETS`: how long to train.
- `write_plan`: let a run begin.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import InputError
from cryopick.io.tables.pick_tables import write_picks
from cryopick.io.tables.region_files import write_regions
from cryopick.web.jobs.run_records import Runs
from cryopick.web.project.annotations import Marks
from cryopick.web.project.micrographs import Micrographs

__all__ = ["PRESETS", "Orders", "TrainForm", "write_plan"]

_FLOOR = "-6"
PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "usual": ("The usual way, 400 steps or more", ()),
    "quick": ("A quick look, 100 steps", ("--steps", "100")),
    "long": ("Longer, for many labels, 900 steps", ("--steps", "900")),
}


@dataclass(frozen=True)
class TrainForm:
    """What a training is asked to do.

    Attributes:
        diameter_ang: Particle diameter.
        particles_per_micrograph: How many are expected.
        preset: One of `PRESETS`.
        pick: Whether to pick all micrographs afterwards.
        held_out: Numbers of fully labelled micrographs to judge by.
    """

    diameter_ang: float
    particles_per_micrograph: float
    preset: str = "usual"
    pick: bool = True
    held_out: tuple[int, ...] = ()


class Orders:
    """Runs of a project, written down. Each method gives the name of a new run, or refuses.

    Args:
        runs: The project's runs.
        micrographs: Its micrographs.
        marks: Its labels.
    """

    def __init__(self, runs: Runs, micrographs: Micrographs, marks: Marks) -> None:
        self._runs, self._micrographs, self._marks = runs, micrographs, marks

    def train(self, form: TrainForm) -> str:
        """A training, with the labels as they are now.

        Raises:
            InputError: There is no label, or no micrograph to pick.
        """
        labels, usable = self._marks.table("pos"), self._micrographs.usable()
        if not len(labels):
            raise InputError("mark some particles first")
        config = {"labels": len(labels), "held_out": form.held_out, **_fields(form)}
        run = self._runs.create("train", "Training", config)
        folder = self._runs.folder(run)
        write_picks(labels, folder / "labels.json")
        held = [usable[mid] for mid in form.held_out if mid in usable]
        learnt = [path for path in usable.values() if path not in held]
        named = set(labels.micrographs)
        ours = [path for path in learnt if str(path) in named] or learnt
        _listed(folder / "train.lst", ours)
        words = ["train", "-m", f"@{folder / 'train.lst'}", "-p", str(folder / "labels.json")]
        words += ["-o", str(folder / "model.safetensors"), *self._of(form)]
        if held:
            _listed(folder / "held_out.lst", held)
            words += ["--held-out-micrographs", f"@{folder / 'held_out.lst'}"]
            words += ["--held-out-picks", str(folder / "labels.json")]
        negatives = self._marks.table("neg").restrict([str(path) for path in ours])
        if len(negatives):
            write_picks(negatives, folder / "negatives.json")
            words += ["--negatives", str(folder / "negatives.json")]
        ignored = self._ignored(folder)
        commands = [[*words, *ignored]]
        if form.pick:
            commands.append(self._picking(folder, usable, folder / "model.safetensors", ignored))
        _planned(folder, commands, on_stop=[*words, *ignored, "--finish"])
        return run

    def pick(self, diameter_ang: float) -> str:
        """A picking of all micrographs by the general model."""
        usable = self._usable()
        run = self._runs.create("pick", "General model", {"diameter_ang": diameter_ang})
        folder = self._runs.folder(run)
        words = self._picking(folder, usable, None, self._ignored(folder))
        _planned(folder, [[*words, "--diameter-ang", f"{diameter_ang:g}"]], on_stop=[])
        return run

    def suggest(self, diameter_ang: float) -> str:
        """The order in which to label micrographs, by the model trained last or the general one."""
        usable = self._usable()
        run = self._runs.create("suggest", "Suggestion", {"diameter_ang": diameter_ang})
        folder = self._runs.folder(run)
        _listed(folder / "suggest.lst", list(usable.values()))
        words = ["suggest", f"@{folder / 'suggest.lst'}", "-o", str(folder / "candidates.json")]
        words += ["--out-micrographs", str(folder / "order.lst"), "--force", *self._pixel_size()]
        labels = self._marks.table("pos").restrict([str(path) for path in usable.values()])
        if len(labels):
            write_picks(labels, folder / "labels.json")
            words += ["--labels", str(folder / "labels.json")]
        model = self._runs.last_model()
        words += ["--model", str(model)] if model else ["--diameter-ang", f"{diameter_ang:g}"]
        _planned(folder, [words], on_stop=[])
        return run

    def _usable(self) -> dict[int, Path]:
        usable = self._micrographs.usable()
        if not usable:
            raise InputError("bring micrographs first")
        return usable

    def _of(self, form: TrainForm) -> list[str]:
        return [
            *("--diameter-ang", f"{form.diameter_ang:g}"),
            *("--particles-per-micrograph", f"{form.particles_per_micrograph:g}"),
            *PRESETS[form.preset][1],
            *self._pixel_size(),
        ]

    def _pixel_size(self) -> list[str]:
        stated = self._micrographs.stated_pixel_size_ang
        return ["--pixel-size-ang", f"{stated:g}"] if stated else []

    def _ignored(self, folder: Path) -> list[str]:
        regions = self._marks.regions()
        if not regions.polygons:
            return []
        write_regions(regions, folder / "ignore.json")
        return ["--ignore", str(folder / "ignore.json")]

    def _picking(
        self, folder: Path, usable: dict[int, Path], model: Path | None, ignored: list[str]
    ) -> list[str]:
        _listed(folder / "pick.lst", list(usable.values()))
        words = ["pick", f"@{folder / 'pick.lst'}", "-o", str(folder / "picks.json"), "--force"]
        words += ["--threshold", _FLOOR, *self._pixel_size(), *ignored]
        return words if model is None else [*words, "--model", str(model)]


def _fields(form: TrainForm) -> dict[str, Any]:
    return {
        "diameter_ang": form.diameter_ang,
        "particles_per_micrograph": form.particles_per_micrograph,
        "preset": form.preset,
    }


def _planned(folder: Path, commands: list[list[str]], *, on_stop: list[str]) -> None:
    write_plan(folder, {"commands": commands, "on_stop": on_stop, "begin": 0})


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write a run's plan whole: with it the run may begin."""
    (folder / ".plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (folder / ".plan.json").rename(folder / "plan.json")


def _listed(file: Path, paths: list[Path]) -> None:
    file.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
