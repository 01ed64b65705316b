"""`cryopick demo`: the complete workflow on simulated micrographs, without a download.

The demo runs the commands that a user would type, one stage after the other, and shows them.
Finished stages are skipped, so an interrupted demo is resumed.

- `DemoSettings`, `run_demo`: settings of a demo, and running it.
- `Stage`, `plan_stages`: the commands that it runs.
"""

import json
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer import Argument

from cryopick.cli.app import app
from cryopick.cli.messages import note
from cryopick.cli.options import Device, Force
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.config import Help
from cryopick.errors import OutputExistsError, SettingsError, format_count

if TYPE_CHECKING:
    from cryopick.report.demo_results import DemoFiles, DemoResults

__all__ = ["DemoSettings", "Stage", "demo", "plan_stages", "run_demo"]


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Settings of `cryopick demo`; equal settings give equal micrographs, labels and picks."""

    molecule: Annotated[
        str,
        Help(
            "Molecule to simulate: compact, rod, y-shaped or ring, or the path of an atomic model "
            "or a map."
        ),
    ] = "y-shaped"
    count: Annotated[int, Help("Number of micrographs.")] = 12
    held_out: Annotated[int, Help("Number of micrographs held out for evaluation.")] = 4
    particles: Annotated[int, Help("Number of particles on a micrograph, if there is space.")] = 80
    labels: Annotated[int, Help("Number of labelled particles to train on.")] = 25
    seed: Annotated[int, Help("Seed of the simulation, the labels and the training.")] = 0
    simulate: Annotated[tuple[str, ...], Help("Additional options of `cryopick simulate`.")] = ()
    train: Annotated[tuple[str, ...], Help("Additional options of `cryopick train`.")] = ()

    def __post_init__(self) -> None:
        if self.labels < 2 or self.seed < 0:
            raise SettingsError(
                f"labels must be at least 2 and seed at least 0; got {self.labels} and {self.seed}"
            )


class Stage(NamedTuple):
    """One command of a demo: its words, and the file that it writes last."""

    words: list[str]
    output: Path


@app.command()
@expand_settings
def demo(
    options: Annotated[SettingsOptions[DemoSettings], Fields(only=("molecule", "labels", "seed"))],
    out: Annotated[Path, Argument(metavar="OUT", file_okay=False, help="Output folder.")] = Path(
        "demo"
    ),
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Simulate, train, pick and evaluate, in minutes.

    OUT receives report.html, to open in a browser, and metrics.json. Run the same command again to
    resume an interrupted demo.

    Example: cryopick demo demo
    """
    run_demo(options.build(), out, device, force=force)


def run_demo(settings: DemoSettings, out: Path, device: str = "auto", *, force: bool) -> None:
    """Run or resume a demo, and report its result.

    Args:
        settings: Settings of the demo.
        out: Output folder.
        device: Device: cpu, cuda, mps or auto.
        force: Restart a demo that exists in the folder.

    Raises:
        OutputExistsError: `out` holds other files, or a demo with other settings.
    """
    from cryopick.report.demo_results import DemoFiles

    files = DemoFiles(out)
    _open(settings, files, force=force)
    if files.metrics.exists():
        metrics = json.loads(files.metrics.read_text(encoding="utf-8"))
        note(f"{out}: this demo is finished already; --force repeats it")
    else:
        metrics = _carry_out(settings, files, device)
    note(
        f"average precision {metrics['average_precision']:.3f} on held-out micrographs, from "
        f"{format_count(metrics['labels'], 'label')}; open {files.report} in a browser"
    )


def plan_stages(settings: DemoSettings, files: "DemoFiles", device: str) -> dict[str, Stage]:
    """List the commands of a demo by stage, in order.

    Before `train`, the demo draws the labels at random in place of a user.
    """
    diameter_ang, _, radius_px = _measure_particle(settings)
    count, seed, root = settings.particles, settings.seed, files.root
    device_words = () if device == "auto" else ("--device", device)
    with_model = ("--model", files.model, *device_words)
    test = f"@{files.test_list}"
    return {
        "simulate": Stage(
            _words(
                ("simulate", root / "data", "--count", settings.count),
                ("--molecule", settings.molecule, "--particles", count, "--seed", seed),
                settings.simulate,
            ),
            files.truth,
        ),
        "split": Stage(
            _words(
                ("split", files.truth, "-m", files.micrographs, "-o", files.parts),
                ("--number", settings.held_out, "--seed", seed),
            ),
            files.parts / "test.tsv",
        ),
        "train": Stage(
            _words(
                ("train", "-m", f"@{files.train_list}", "-p", files.labels, "-o", files.model),
                ("--diameter-ang", f"{diameter_ang:.0f}", "--particles-per-micrograph", count),
                ("--seed", seed, *settings.train, *device_words),
            ),
            files.model,
        ),
        "pick": Stage(_words(("pick", test, *with_model, "-o", files.picks)), files.picks),
        "score": Stage(
            _words(("score", test, *with_model, "-o", files.scores)),
            files.scores / "settings.toml",
        ),
        "evaluate": Stage(
            _words(
                ("evaluate", files.picks, files.truth, "--radius-px", f"{radius_px:g}"),
                ("--only", files.test_list, "--plot", files.precision_recall),
            ),
            files.precision_recall,
        ),
    }


def _words(*parts: tuple[object, ...]) -> list[str]:
    """Join the words of a command."""
    return [str(word) for part in parts for word in part]


def _measure_particle(settings: DemoSettings) -> tuple[float, float, float]:
    """Return the particle diameter in ångströms and raw pixels, and the matching radius."""
    from cryopick.simulate.molecule_files import load_molecule
    from cryopick.simulate.settings import SimulationSettings

    diameter_ang = load_molecule(settings.molecule).diameter_ang
    diameter_px = diameter_ang / SimulationSettings().pixel_size_ang
    return diameter_ang, diameter_px, float(round(diameter_px / 3))


def _open(settings: DemoSettings, files: "DemoFiles", *, force: bool) -> None:
    """Prepare the folder to start or resume a demo."""
    from cryopick.config import to_toml
    from cryopick.runs.atomic_write import atomic_write

    mark, text = files.root / "demo.toml", to_toml(settings)
    if mark.exists() and force:
        shutil.rmtree(files.root)
    elif mark.exists():
        if mark.read_text(encoding="utf-8") != text:
            raise OutputExistsError(
                f"{files.root}: holds a demo with other settings; replace it with --force, or "
                "choose "
                "another folder"
            )
        return
    elif files.root.exists() and any(files.root.iterdir()):
        raise OutputExistsError(
            f"{files.root}: holds files that are not a demo; choose another folder"
        )
    with atomic_write(mark) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _carry_out(settings: DemoSettings, files: "DemoFiles", device: str) -> dict[str, Any]:
    """Run the remaining stages, write the report, and return the metrics."""
    from cryopick.report.demo import render_demo_page
    from cryopick.report.demo_results import collect_demo_results
    from cryopick.runs.atomic_write import atomic_write

    log = files.root / "seconds.json"  # of each stage, kept for a resumed demo
    seconds = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    all_stages = plan_stages(settings, files, device)
    for name, stage in all_stages.items():
        if name == "train" and not files.labels.exists():
            _draw_labels(settings, files)
        if not stage.output.exists():
            seconds[name] = _run_stage(stage)
            with atomic_write(log, overwrite=True) as temporary:
                temporary.write_text(json.dumps(seconds), encoding="utf-8")
    note("writing the report")
    _, diameter_px, radius_px = _measure_particle(settings)
    results = collect_demo_results(files, diameter_px, radius_px)
    lines = [shlex.join(["cryopick", *stage.words]) for stage in all_stages.values()]
    lines.insert(
        2, f"# {files.labels}: {settings.labels} particles of parts/train.tsv, drawn at random"
    )
    with atomic_write(files.report, overwrite=True) as temporary:
        temporary.write_text(render_demo_page(results, lines, seconds), encoding="utf-8")
    metrics = _metrics(settings, results, seconds)
    with atomic_write(files.metrics, overwrite=True) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def _run_stage(stage: Stage) -> float:
    """Show and run a command; return how many seconds it took."""
    note(f"\n$ {shlex.join(['cryopick', *stage.words])}")
    started = time.monotonic()
    status = typer.main.get_command(app).main(stage.words, "cryopick", standalone_mode=False)
    if status:  # the command has reported the error
        raise typer.Exit(status)
    return round(time.monotonic() - started, 2)


def _draw_labels(settings: DemoSettings, files: "DemoFiles") -> None:
    """Draw the labelled particles at random, in place of a user."""
    import numpy as np

    from cryopick.io.tables.pick_tables import read_picks, write_picks

    particles = read_picks(files.parts / "train.tsv")
    count = min(settings.labels, len(particles))
    chosen = np.random.default_rng(settings.seed).choice(len(particles), count, replace=False)
    write_picks(particles.select(np.sort(chosen)), files.labels)


def _metrics(
    settings: DemoSettings, results: "DemoResults", seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Collect the contents of metrics.json."""
    evaluation = results.evaluation
    return {
        "average_precision": evaluation.average_precision or 0.0,
        "best": asdict(evaluation.best) if evaluation.best else None,
        "labels": len(results.labels),
        "micrographs": {
            "trained_on": results.n_training_micrographs,
            "held_out": len(evaluation.micrographs),
        },
        "held_out": evaluation.to_dict(),
        "seconds": dict(seconds),
        "demo": asdict(settings),
        "settings": dict(results.settings),
        "version": results.version,
    }
