"""Create runs: the folder of a run, its input files and its commands.

- `RunPlanner`: plans training, picking and suggestion runs; `JobQueue` carries them out.
- `TrainingRequest`: settings of a training run. `PRESETS`: durations of training.
- `write_plan`: makes a run ready to start.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import InputError
from cryopick.io.tables.pick_tables import write_picks
from cryopick.io.tables.region_files import write_regions
from cryopick.io.tables.star_text import quote_value
from cryopick.web.storage.annotations import Annotations
from cryopick.web.storage.file_names import escape_name, find_name_problem
from cryopick.web.storage.micrographs import ProjectMicrographs
from cryopick.web.storage.run_records import ProjectRuns

__all__ = ["PRESETS", "RunPlanner", "TrainingRequest", "preset_steps", "write_plan"]

_MIN_THRESHOLD = "-6"
_SAMPLE, _SAMPLED_FROM = 8, 30  # micrographs to pick early, and from how many on
PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "usual": ("Standard: 40 to 200 steps, more with more labels", ()),
    "quick": ("Quick: 20 steps, for a first impression", ("--steps", "20")),
    "long": ("Long: 300 steps", ("--steps", "300")),
}


def preset_steps(preset: str) -> int:
    """Return the number of training steps of a preset; 0 if it depends on the labels."""
    words = PRESETS.get(preset, ("", ()))[1]
    return int(words[words.index("--steps") + 1]) if "--steps" in words else 0


@dataclass(frozen=True)
class TrainingRequest:
    """Settings of a training run.

    Attributes:
        diameter_ang: Particle diameter.
        particles_per_micrograph: Expected number of particles; None estimates it.
        preset: One of `PRESETS`.
        pick: Pick all micrographs after training.
        held_out: Numbers of fully labelled micrographs that are used for evaluation only.
    """

    diameter_ang: float
    particles_per_micrograph: float | None = None
    preset: str = "usual"
    pick: bool = True
    held_out: tuple[int, ...] = ()


class RunPlanner:
    """Creates the runs of a project; each method returns the name of a new run.

    Args:
        runs: Runs of the project.
        micrographs: Its micrographs.
        annotations: Its labels and exclusion regions.
    """

    def __init__(
        self, runs: ProjectRuns, micrographs: ProjectMicrographs, annotations: Annotations
    ) -> None:
        self._runs, self._micrographs, self._annotations = runs, micrographs, annotations

    def plan_training(self, request: TrainingRequest) -> str:
        """Create a training run with the current labels.

        Raises:
            InputError: There is no label.
        """
        labels, usable = self._annotations.table("pos"), self._micrographs.usable()
        if not len(labels):
            raise InputError("there are no labels; label some particles first")
        config = asdict(request) | {"labels": len(labels)}
        del config["pick"]
        run = self._runs.create("train", "Training", config)
        folder = self._runs.folder(run)
        write_picks(labels, folder / "labels.json")
        held_out = [usable[mid] for mid in request.held_out if mid in usable]
        others = [path for path in usable.values() if path not in held_out]
        labelled = set(labels.micrographs)
        training = [path for path in others if str(path) in labelled] or others
        _write_list(folder / "train.lst", training)
        micrograph_list = self._list_argument(folder / "train.lst", training)
        words = ["train", "-m", micrograph_list, "-p", str(folder / "labels.json")]
        words += ["-o", str(folder / "model.safetensors"), *self._training_options(request)]
        if held_out:
            _write_list(folder / "held_out.lst", held_out)
            micrograph_list = self._list_argument(folder / "held_out.lst", held_out)
            words += ["--held-out-micrographs", micrograph_list]
            words += ["--held-out-picks", str(folder / "labels.json")]
        negatives = self._annotations.table("neg").restrict([str(path) for path in training])
        if len(negatives):
            write_picks(negatives, folder / "negatives.json")
            words += ["--negatives", str(folder / "negatives.json")]
        region_options = self._region_options(folder)
        words += region_options
        commands = [words]
        if request.pick:
            model = folder / "model.safetensors"
            commands.append(self._picking_command(folder, usable, model, region_options))
        _write_new_plan(folder, commands, on_stop=[*words, "--finish"])
        return run

    def plan_picking(self, diameter_ang: float, first: int | None = None) -> str:
        """Create a run that picks all micrographs with the general model.

        Args:
            diameter_ang: Particle diameter.
            first: Micrograph to pick first, because a person looks at it.
        """
        usable = self._require_usable()
        usable = dict(sorted(usable.items(), key=lambda item: item[0] != first))
        run = self._runs.create("pick", "General model", {"diameter_ang": diameter_ang})
        folder = self._runs.folder(run)
        words = self._picking_command(folder, usable, None, self._region_options(folder))
        words += ["--diameter-ang", f"{diameter_ang:g}"]
        commands = []
        # At the given size, so that candidates appear at once; the comparison of sizes takes most
        # of the time, and the last command makes it on all micrographs.
        for name, sample in _list_samples(list(usable.values())).items():
            _write_list(folder / f"{name}.lst", sample)
            sample_list = self._list_argument(folder / f"{name}.lst", sample)
            commands.append([words[0], sample_list, *words[2:], "--scale-ang", f"{diameter_ang:g}"])
        _write_new_plan(folder, [*commands, words], on_stop=[])
        return run

    def plan_suggestion(self, diameter_ang: float) -> str:
        """Create a run that suggests which micrographs to label next.

        It uses the model that was trained last, or the general model.
        """
        usable = self._require_usable()
        run = self._runs.create("suggest", "Suggestion", {"diameter_ang": diameter_ang})
        folder = self._runs.folder(run)
        _write_list(folder / "suggest.lst", list(usable.values()))
        micrograph_list = self._list_argument(folder / "suggest.lst", list(usable.values()))
        words = ["suggest", micrograph_list, "-o", str(folder / "candidates.json")]
        words += ["--out-micrographs", str(folder / "order.lst"), "--force"]
        words += self._pixel_size_options()
        labels = self._annotations.table("pos").restrict([str(path) for path in usable.values()])
        if len(labels):
            write_picks(labels, folder / "labels.json")
            words += ["--labels", str(folder / "labels.json")]
        model = self._runs.last_model()
        words += ["--model", str(model)] if model else ["--diameter-ang", f"{diameter_ang:g}"]
        _write_new_plan(folder, [words], on_stop=[])
        return run

    def plan_size(self, diameter_ang: float | None) -> str:
        """Create a run that estimates the particle size.

        Args:
            diameter_ang: Diameter of the project; one that a person sets during the run is kept.
        """
        paths = list(self._require_usable().values())
        run = self._runs.create("size", "Size estimate", {"before_ang": diameter_ang})
        folder = self._runs.folder(run)
        _write_list(folder / "size.lst", paths)
        words = ["size", self._list_argument(folder / "size.lst", paths)]
        words += ["-o", str(folder / "size.json"), *self._pixel_size_options()]
        _write_new_plan(folder, [words], on_stop=[])
        return run

    def _require_usable(self) -> dict[int, Path]:
        usable = self._micrographs.usable()
        if not usable:
            raise InputError("there are no micrographs; add some first")
        return usable

    def _training_options(self, request: TrainingRequest) -> list[str]:
        number = request.particles_per_micrograph
        return [
            *("--diameter-ang", f"{request.diameter_ang:g}"),
            *([] if number is None else ["--particles-per-micrograph", f"{number:g}"]),
            *PRESETS[request.preset][1],
            *self._pixel_size_options(),
        ]

    def _pixel_size_options(self) -> list[str]:
        given_ang = self._micrographs.given_pixel_size_ang
        return ["--pixel-size-ang", f"{given_ang:g}"] if given_ang else []

    def _list_argument(self, file: Path, paths: list[Path]) -> str:
        """Name the micrographs of a list, with the pixel sizes that their own list stated."""
        sizes_ang = self._micrographs.listed_sizes_ang()
        if not sizes_ang or not all(path in sizes_ang for path in paths):
            return f"@{file}"
        star = file.with_suffix(".star")
        star.write_text(_format_star(paths, sizes_ang), encoding="utf-8")
        return str(star)

    def _region_options(self, folder: Path) -> list[str]:
        regions = self._annotations.regions()
        if not regions.polygons:
            return []
        write_regions(regions, folder / "ignore.json")
        return ["--ignore", str(folder / "ignore.json")]

    def _picking_command(
        self, folder: Path, usable: dict[int, Path], model: Path | None, region_options: list[str]
    ) -> list[str]:
        _write_list(folder / "pick.lst", list(usable.values()))
        micrograph_list = self._list_argument(folder / "pick.lst", list(usable.values()))
        words = ["pick", micrograph_list, "-o", str(folder / "picks.json"), "--force"]
        words += ["--threshold", _MIN_THRESHOLD, *self._pixel_size_options(), *region_options]
        return words if model is None else [*words, "--model", str(model)]


def _list_samples(paths: list[Path]) -> dict[str, list[Path]]:
    """List the micrographs to pick before all of them: the first one, and some of many."""
    samples = {}
    if len(paths) > 1:
        samples["first"] = paths[:1]
    if len(paths) >= _SAMPLED_FROM:
        samples["sample"] = paths[:: len(paths) // _SAMPLE]
    return samples


def _write_new_plan(folder: Path, commands: list[list[str]], *, on_stop: list[str]) -> None:
    write_plan(folder, {"commands": commands, "on_stop": on_stop, "begin": 0})


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write the plan of a run atomically; the run may start once it exists."""
    (folder / ".plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (folder / ".plan.json").rename(folder / "plan.json")


def _format_star(paths: list[Path], sizes_ang: dict[Path, float]) -> str:
    """Format a STAR file of micrographs, with one optics group for each pixel size."""
    groups = {size: k for k, size in enumerate(sorted({sizes_ang[p] for p in paths}), start=1)}
    optics = "".join(f"{group} {size!r}\n" for size, group in groups.items())
    rows = "".join(f"{quote_value(str(path))} {groups[sizes_ang[path]]}\n" for path in paths)
    return (
        f"data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnMicrographPixelSize #2\n{optics}\n"
        f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{rows}"
    )


def _write_list(file: Path, paths: list[Path]) -> None:
    """Write paths, one per line.

    Raises:
        InputError: A path with a line break would be two paths.
    """
    for path in paths:
        if problem := find_name_problem(path):
            raise InputError(f"{escape_name(str(path))}: {problem}")
    file.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
