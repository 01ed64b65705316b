"""`cryopick split`: split labelled micrographs into training and test sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.messages import add_results, note, warn
from cryopick.cli.options import MICROGRAPHS, Force
from cryopick.cli.tables import read_with_context
from cryopick.errors import format_count

if TYPE_CHECKING:
    from cryopick.evaluate.set_operations import Split
    from cryopick.io.tables.codec import TableLayout
    from cryopick.picks import Picks

__all__ = ["split"]


@app.command()
def split(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of labelled particles.")],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Output folder.")],
    micrographs: Annotated[
        list[str] | None,
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help=f"Micrographs, to list their paths; repeatable. {MICROGRAPHS}",
        ),
    ] = None,
    test_fraction: Annotated[
        float | None,
        Option(min=0.0, max=1.0, help="Fraction of micrographs in the test set, 0 to 1."),
    ] = None,
    number: Annotated[
        int | None, Option(min=1, help="Number of micrographs in the test set.")
    ] = None,
    folds: Annotated[
        int | None,
        Option(
            min=2,
            metavar="K",
            help="Write K splits for cross-validation: each micrograph is in one test set.",
        ),
    ] = None,
    seed: Annotated[int, Option(min=0, help="Seed of the random choice.")] = 0,
    table_format: Annotated[
        str | None,
        Option(
            "--format",
            help="Format of the tables: tsv, csv or star. [default: that of PICKS, or tsv]",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Split micrographs into a training and a test set.

    DIR receives train.txt and test.txt, lists of micrographs for `-m @train.txt` and
    `evaluate --only`, and their particles, such as train.tsv and test.tsv. --folds writes these to
    folders fold1, fold2, …. Micrographs without a particle in PICKS are ignored.

    Example: cryopick split particles.tsv -m micrographs -o parts --test-fraction 0.2
    """
    from cryopick.evaluate import set_operations as sets
    from cryopick.workflows.derived_table import carry_run_files

    if sum(choice is not None for choice in (test_fraction, number, folds)) != 1:
        raise typer.BadParameter("add one of --test-fraction, --number and --folds")
    table_format = table_format or _choose_format(picks)
    table, layout = _read_labelled(picks, micrographs, table_format)
    names = table.micrographs
    if test_fraction is not None:
        number = max(1, round(test_fraction * len(names)))
    _require_enough(len(names), number or 1, folds)
    if folds is None:
        parts = {out: sets.hold_out(names, number or 1, seed)}
    else:
        parts = {out / f"fold{i}": s for i, s in enumerate(sets.fold(names, folds, seed), start=1)}
    for folder, part in parts.items():
        _write(table, part, folder, table_format, layout=layout, overwrite=force)
        for side in ("train", "test"):
            derived = str(folder / f"{side}.{table_format}")
            carry_run_files([picks], derived, stopwatch().command, overwrite=force)
    add_results(
        splits=[
            {"folder": str(folder), "train": len(part.train), "test": len(part.test)}
            for folder, part in parts.items()
        ]
    )


def _choose_format(picks: Path) -> str:
    """Choose the format of the particles, if it keeps all columns of several micrographs."""
    from cryopick.io.tables.formats import detect_codec

    if picks.is_dir():
        return "tsv"
    name = detect_codec(picks).name
    return name if name in ("csv", "star") else "tsv"


def _require_enough(count: int, number: int, folds: int | None) -> None:
    from cryopick.errors import SettingsError

    if folds is None and number >= count:
        raise SettingsError(
            f"a test set of {number} of {count} labelled micrographs leaves none for training; "
            "reduce --number"
        )
    if folds is not None and folds > count:
        raise SettingsError(
            f"{folds} folds need at least {folds} labelled micrographs; there are {count}"
        )


def _read_labelled(
    picks: Path, micrographs: Sequence[str] | None, table_format: str
) -> "tuple[Picks, TableLayout]":
    """Read particles, matched to files if given, without micrographs that have none.

    Returns:
        The particles, and the content around them in a STAR file.
    """
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.names import match_names
    from cryopick.io.tables.codec import TableLayout

    table, context = read_with_context([picks], "", table_format)
    if micrographs:
        paths = [path.absolute() for path in find_micrographs(micrographs)]
        matched = match_names(table, paths)
        table = matched.picks
        if matched.unmatched:
            warn(f"ignored micrographs without a matching file: {', '.join(matched.unmatched)}")
        unlabelled = len(paths) - len(table.micrographs)
        if unlabelled:
            warn(f"ignored {format_count(unlabelled, 'micrograph')} without a label")
    labelled = [name for name, rows in table.rows_by_micrograph().items() if len(rows)]
    return table.restrict(labelled), TableLayout(star=context)


def _write(
    table: "Picks",
    part: "Split",
    folder: Path,
    table_format: str,
    *,
    layout: "TableLayout",
    overwrite: bool,
) -> None:
    from cryopick.io.tables.pick_tables import write_picks
    from cryopick.runs.atomic_write import atomic_write

    for side, names in (("train", part.train), ("test", part.test)):
        subset = table.restrict(names)
        with atomic_write(folder / f"{side}.txt", overwrite=overwrite) as path:
            path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        path = folder / f"{side}.{table_format}"
        write_picks(subset, path, overwrite=overwrite, layout=layout)
        counts = (
            f"{format_count(len(names), 'micrograph')}, {format_count(len(subset), 'particle')}"
        )
        note(f"{folder / side}: {counts}")
