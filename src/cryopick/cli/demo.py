"""`cryopick demo`: the whole way on simulated micrographs, in minutes and without a download.

The demo types the commands that a user would type, one stage after the other, and shows them.
What a stage has written is not made again, so a demo that was cut off goes on.

- `DemoSettings`: which demo.
- `commands`: what it types, by stage; a stage is done when its file exists.
"""

import json
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Device, Force
from cryopick.errors import OutputExistsError

if TYPE_CHECKING:
    from cryopick.report.demo import Findings

__all__ = ["DemoSettings", "commands", "demo"]


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Which demo it is; two of the same settings give the same micrographs and picks.

    Attributes:
        molecule: Built-in molecule to simulate, or the path of an atomic model or a map.
        labels: Particles that the network is told.
        seed: Whole number from which micrographs, labels and training follow.
        simulate: Further options of `cryopick simulate`.
        train: Further options of `cryopick train`.
    """

    molecule: str = "compact"
    labels: int = 25
    seed: int = 0
    simulate: tuple[str, ...] = ("--count", "12")
    train: tuple[str, ...] = ()


class Stage(NamedTuple):
    """One command of the demo: its words, and the file that is there once it is done."""

    words: list[str]
    made: Path


@app.command()
def demo(
    out: Annotated[Path, Argument(metavar="OUT", file_okay=False, help="Folder to fill.")] = Path(
        "demo"
    ),
    molecule: Annotated[
        str, Option(help="compact, rod, y-shaped, ring, or an atomic model or map.")
    ] = "compact",
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


def run_demo(settings: DemoSettings, out: Path, device: str, *, force: bool) -> None:
    """Run a demo, or what is left of it, and say where to look.

    Raises:
        OutputExistsError: `out` holds something else and was not to be replaced.
    """
    _open(settings, out, force=force)
    if (out / "metrics.json").exists():
        metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        said = f"average precision {metrics['average_precision']:.3f}"
        echo(f"{out}: the demo is done already ({said}); --force makes it again", err=True)
    else:
        _carry_out(settings, out, device)
    echo(f"open {out / 'report.html'} in a browser", err=True)


def _carry_out(settings: DemoSettings, out: Path, device: str) -> None:
    """Run the stages that are not done yet, then write report and numbers."""
    from cryopick.io import whole
    from cryopick.report.demo import demo_page

    log = out / "seconds.json"  # of each stage, kept for a demo that goes on
    seconds = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    stages = commands(settings, out, device)
    for name, stage in stages.items():
        if stage.made.exists():
            continue
        if name == "train":
            _draw_labels(settings, out)
        started = time.monotonic()
        _type(stage.words)
        seconds[name] = round(time.monotonic() - started, 2)
        with whole(log, overwrite=True) as temporary:
            temporary.write_text(json.dumps(seconds), encoding="utf-8")
    started = time.monotonic()
    found = _findings(settings, out, stages, seconds)
    page = demo_page(found)
    found.seconds["report"] = round(time.monotonic() - started, 2)
    with whole(out / "report.html", overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")
    with whole(out / "metrics.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(_metrics(settings, found), indent=2), encoding="utf-8")
