"""`cryopick demo`: the whole way on simulated micrographs, in minutes and without a download.

The demo types the commands that a user would type, one stage after the other, and shows them.
What a stage has written is not made again, so a demo that was cut off goes on.

- `DemoSettings`, `run_demo`: which demo, and to run it.
- `Stage`, `stages`: the commands that it types.
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
from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Device, Force

if TYPE_CHECKING:
    from cryopick.report.findings import DemoFiles, Findings

__all__ = ["DemoSettings", "Stage", "demo", "run_demo", "stages"]


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Which demo it is; the same settings give the same micrographs, labels and picks.

    Attributes:
        molecule: Built-in molecule to simulate, or the path of an atomic model or a map.
        count: Micrographs in all.
        held_out: How many of them the network does not learn from.
        particles: Particles on each, as far as there is room.
        labels: Particles that the network is told.
        seed: Whole number from which micrographs, labels and training follow.
        simulate: Further options of `cryopick simulate`.
        train: Further options of `cryopick train`.
    """

    molecule: str = "y-shaped"
    count: int = 12
    held_out: int = 4
    particles: int = 80
    labels: int = 25
    seed: int = 0
    simulate: tuple[str, ...] = ()
    train: tuple[str, ...] = ()


class Stage(NamedTuple):
    """One command of a demo: its words, and the file that is there once it is done."""

    words: list[str]
    made: Path


@app.command()
def demo(
    out: Annotated[
        Path, Argument(metavar="OUT", file_okay=False, help="Folder to fill [demo].")
    ] = Path("demo"),
    molecule: Annotated[
        str, Option(help="compact, rod, y-shaped, ring, or an atomic model or map.")
    ] = "y-shaped",
    labels: Annotated[int, Option(min=2, help="Particles that the network is told.")] = 25,
    seed: Annotated[int, Option(min=0, help="Another seed, another demo.")] = 0,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Simulate a small data set, learn from 25 labels, pick held-out micrographs, judge them.

    OUT gets report.html, a page to look at, and metrics.json. A demo that was cut off goes on
    when its command is given again.

    Example: cryopick demo demo
    """
    run_demo(DemoSettings(molecule=molecule, labels=labels, seed=seed), out, device, force=force)


def run_demo(settings: DemoSettings, out: Path, device: str = "auto", *, force: bool) -> None:
    """Run a demo, or what is left of it, and say where to look.

    Args:
        settings: Which demo.
        out: Folder to fill.
        device: Where to compute: cpu, cuda, mps or auto.
        force: Start afresh in a folder that holds a demo.

    Raises:
        OutputExistsError: `out` holds something else, or a demo of other settings.
    """
    from cryopick.report.findings import DemoFiles

    files = DemoFiles(out)
    _open(settings, files, force=force)
    if files.metrics.exists():
        metrics = json.loads(files.metrics.read_text(encoding="utf-8"))
        echo(f"{out}: this demo is done already; --force makes it again", err=True)
    else:
        metrics = _carry_out(settings, files, device)
    echo(
        f"average precision {metrics['average_precision']:.3f} on held-out micrographs, from "
        f"{metrics['labels']} labels; open {files.report} in a browser",
        err=True,
    )


def stages(settings: DemoSettings, files: "DemoFiles", device: str) -> dict[str, Stage]:
    """The commands of a demo by the name of their stage, in order.

    Before `train`, the demo draws the labels itself: they are what a user would click.
    """
    diameter_ang, _, radius_px = _sizes(settings)
    many, seed, root = settings.particles, settings.seed, files.root
    on = () if device == "auto" else ("--device", device)
    with_model = ("--model", files.model, *on)
    test = f"@{files.test_list}"
    return {
        "simulate": Stage(
            _words(
                ("simulate", root / "data", "--count", settings.count),
                ("--molecule", settings.molecule, "--particles", many, "--seed", seed),
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
                ("--diameter-ang", f"{diameter_ang:.0f}", "--particles-per-micrograph", many),
                ("--seed", seed, *settings.train, *on),
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
                ("--only", files.test_list, "--plot", files.judged),
            ),
            files.judged,
        ),
    }


def _words(*parts: tuple[object, ...]) -> list[str]:
    """The words of a command."""
    return [str(word) for part in parts for word in part]


def _sizes(settings: DemoSettings) -> tuple[float, float, float]:
    """Diameter of the particle in ångströms and raw pixels, and a third of it to judge by."""
    from cryopick.simulate.molecules import load_molecule
    from cryopick.simulate.settings import SimulationSettings

    diameter_ang = load_molecule(settings.molecule).diameter_ang
    diameter_px = diameter_ang / SimulationSettings().pixel_size_ang
    return diameter_ang, diameter_px, float(round(diameter_px / 3))


def _open(settings: DemoSettings, files: "DemoFiles", *, force: bool) -> None:
    """Make the folder ready to start the demo, or to go on with it."""
    from cryopick.config import to_toml
    from cryopick.errors import OutputExistsError
    from cryopick.runs.atomic_write import whole

    mark, text = files.root / "demo.toml", to_toml(settings)
    if mark.exists() and force:
        shutil.rmtree(files.root)
    elif mark.exists():
        if mark.read_text(encoding="utf-8") != text:
            raise OutputExistsError(
                f"{files.root}: holds a demo of other settings; replace it with --force or name "
                "another folder"
            )
        return
    elif files.root.exists() and any(files.root.iterdir()):
        raise OutputExistsError(f"{files.root}: holds no demo but other files; name another folder")
    with whole(mark) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _carry_out(settings: DemoSettings, files: "DemoFiles", device: str) -> dict[str, Any]:
    """Run the stages that are not done yet, write the page, and return the numbers."""
    from cryopick.report.demo import demo_page
    from cryopick.report.findings import gather
    from cryopick.runs.atomic_write import whole

    log = files.root / "seconds.json"  # of each stage, for a demo that goes on
    seconds = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    every = stages(settings, files, device)
    for name, stage in every.items():
        if name == "train" and not files.labels.exists():
            _draw_labels(settings, files)
        if not stage.made.exists():
            seconds[name] = _type(stage)
            with whole(log, overwrite=True) as temporary:
                temporary.write_text(json.dumps(seconds), encoding="utf-8")
    echo("writing the report", err=True)
    _, diameter_px, radius_px = _sizes(settings)
    found = gather(files, diameter_px, radius_px)
    lines = [shlex.join(["cryopick", *stage.words]) for stage in every.values()]
    lines.insert(2, f"# {files.labels}: {settings.labels} particles of parts/train.tsv, by chance")
    with whole(files.report, overwrite=True) as temporary:
        temporary.write_text(demo_page(found, lines, seconds), encoding="utf-8")
    metrics = _metrics(settings, found, seconds)
    with whole(files.metrics, overwrite=True) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def _type(stage: Stage) -> float:
    """Show and run a command; return how many seconds it took."""
    echo(f"\n$ {shlex.join(['cryopick', *stage.words])}", err=True)
    started = time.monotonic()
    status = typer.main.get_command(app).main(stage.words, "cryopick", standalone_mode=False)
    if status:  # the command has told why
        raise typer.Exit(status)
    return round(time.monotonic() - started, 2)


def _draw_labels(settings: DemoSettings, files: "DemoFiles") -> None:
    """Choose the particles that the network is told, as a user would click them."""
    import numpy as np

    from cryopick.io.tables.pick_tables import read_picks, write_picks

    particles = read_picks(files.parts / "train.tsv")
    many = min(settings.labels, len(particles))
    chosen = np.random.default_rng(settings.seed).choice(len(particles), many, replace=False)
    write_picks(particles.select(np.sort(chosen)), files.labels)


def _metrics(
    settings: DemoSettings, found: "Findings", seconds: Mapping[str, float]
) -> dict[str, Any]:
    """What metrics.json holds."""
    judged = found.judged
    return {
        "average_precision": judged.average_precision or 0.0,
        "best": asdict(judged.best) if judged.best else None,
        "labels": len(found.labels),
        "micrographs": {"trained_on": found.trained_on, "held_out": len(judged.micrographs)},
        "held_out": judged.to_dict(),
        "seconds": dict(seconds),
        "demo": asdict(settings),
        "settings": dict(found.settings),
        "version": found.version,
    }
