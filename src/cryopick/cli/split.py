"""`cryopick split`: parts for training and testing, by micrograph."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS, Force

if TYPE_CHECKING:
    from cryopick.evaluate.set_operations import Split
    from cryopick.picks import Picks

__all__ = ["split"]


@app.command()
def split(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of labelled particles.")],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Folder to write to.")],
    micrographs: Annotated[
        list[str] | None,
        Option("--micrographs", "-m", metavar="MIC", help=f"Their files; repeat. {MICROGRAPHS}"),
    ] = None,
    test_fraction: Annotated[
        float | None, Option(min=0.0, max=1.0, help="Share of micrographs to test on.")
    ] = None,
    number: Annotated[int | None, Option(min=1, help="Micrographs to test on.")] = None,
    folds: Annotated[
        int | None, Option(min=2, metavar="K", help="Write K splits, each micrograph tested once.")
    ] = None,
    seed: Annotated[int, Option(min=0, help="Another seed, another choice.")] = 0,
    table_format: Annotated[str, Option("--format", help="tsv, csv or star.")] = "tsv",
    force: Force = False,
) -> None:
    """Split labelled micrographs into some to train on and some to test on.

    DIR gets train.txt and test.txt, lists of micrographs for `-m @train.txt` and for
    `evaluate --only`, and their particles as train.tsv and test.tsv; --folds writes folders
    fold1, fold2, … of these. Micrographs without any particle in PICKS are left out.

    Example: cryopick split particles.tsv -m micrographs -o parts --test-fraction 0.2
    """
    from cryopick.evaluate import set_operations as sets

    if sum(choice is not None for choice in (test_fraction, number, folds)) != 1:
        raise typer.BadParameter("give one of --test-fraction, --number and --folds")
    table = _labelled(picks, micrographs)
    names = table.micrographs
    if test_fraction is not None:
        number = max(1, round(test_fraction * len(names)))
    _require_enough(len(names), number or 1, folds)
    if folds is None:
        _write(table, sets.hold_out(names, number or 1, seed), out, table_format, overwrite=force)
        return
    for i, part in enumerate(sets.fold(names, folds, seed), start=1):
        _write(table, part, out / f"fold{i}", table_format, overwrite=force)


def _require_enough(count: int, number: int, folds: int | None) -> None:
    from cryopick.errors import SettingsError

    if folds is None and number >= count:
        raise SettingsError(
            f"{number} of {count} labelled micrographs for testing leave none to train on; "
            "ask for fewer"
        )
    if folds is not None and folds > count:
        raise SettingsError(f"{folds} folds need as many labelled micrographs; there are {count}")


def _labelled(picks: Path, micrographs: Sequence[str] | None) -> "Picks":
    """The particles, by file where files are given, on the micrographs that have any."""
    from cryopick.io.inputs import micrograph_paths
    from cryopick.io.names import match_names
    from cryopick.io.tables.pick_tables import read_picks

    table = read_picks(picks)
    if micrographs:
        paths = [path.absolute() for path in micrograph_paths(micrographs)]
        matched = match_names(table, paths)
        table = matched.picks
        if matched.unmatched:
            echo(f"left out, as no file matches: {', '.join(matched.unmatched)}", err=True)
        unlabelled = len(paths) - len(table.micrographs)
        if unlabelled:
            echo(f"left out, as they have no label: {unlabelled} micrographs", err=True)
    return table.restrict([name for name, rows in table.rows().items() if len(rows)])


def _write(
    table: "Picks", part: "Split", folder: Path, table_format: str, *, overwrite: bool
) -> None:
    from cryopick.io.tables.pick_tables import write_picks
    from cryopick.runs.atomic_write import whole

    for side, names in (("train", part.train), ("test", part.test)):
        own = table.restrict(names)
        with whole(folder / f"{side}.txt", overwrite=overwrite) as path:
            path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        write_picks(own, folder / f"{side}.{table_format}", overwrite=overwrite)
        echo(f"{folder / side}: {len(names)} micrographs, {len(own)} particles", err=True)
