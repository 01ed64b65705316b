"""`cryopick threshold`: keep the picks with the highest scores.

- `apply_cut`: keep picks above a threshold, and report the expected precision and recall.
- `report_selection`: report that of an automatic selection.
"""

import math
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.messages import note
from cryopick.cli.options import Force, Table, TableFormat
from cryopick.cli.settings import AUTO
from cryopick.cli.tables import read_with_context, write_table
from cryopick.errors import format_count

if TYPE_CHECKING:
    from cryopick.evaluate.expectation import AutomaticSelection
    from cryopick.evaluate.label_sample import LabelSample
    from cryopick.picks import Picks

__all__ = ["apply_cut", "report_selection", "threshold"]

_MAX_NAMES = 3  # micrographs named in a message
_TOO_FEW = 2  # micrographs, to tell faint particles from none


@app.command()
def threshold(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of picks with scores.")],
    out: Table,
    at: Annotated[
        list[str] | None,
        Option(
            metavar="T|auto",
            help="Minimum score. auto cuts at the highest expected F1 by the distribution of the "
            "scores. Repeatable, for nested sets.",
        ),
    ] = None,
    keep: Annotated[
        list[int] | None,
        Option(
            metavar="N",
            min=0,
            help="Number of picks to keep, those with the highest scores. Repeatable, for "
            "nested sets.",
        ),
    ] = None,
    random: Annotated[
        list[int] | None,
        Option(
            metavar="N",
            min=0,
            help="Number of picks to keep at random, whatever their scores, for comparison. "
            "Repeatable; sets of the same seed are nested.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        Option(
            metavar="S",
            min=0,
            help="Seed of --random. Repeatable, for one set per seed. [default: 0]",
        ),
    ] = None,
    drop_empty: Annotated[
        bool,
        Option(
            "--drop-empty",
            help="With --at auto, drop picks of micrographs that are probably empty.",
        ),
    ] = False,
    table_format: TableFormat = None,
    force: Force = False,
) -> None:
    """Keep the picks with the highest scores, or random ones.

    Several values write one table each, named after OUT: picks_at0.star, picks_at2.star. For each
    table of the highest scores, the expected number of particles, precision and recall are printed,
    with 95 % intervals that are wide without labels. Scores must be logits, such as those of
    `cryopick pick`.

    Example: cryopick threshold picks.star -o sure.star --at auto
    """
    from cryopick.evaluate.thresholds import select_nested, select_random
    from cryopick.io.tables.codec import TableLayout
    from cryopick.workflows.derived_table import has_filtered_scores, read_label_sample

    if sum(map(bool, (at, keep, random))) != 1:
        raise typer.BadParameter("add either --at, --keep or --random")
    if seed and not random:
        raise typer.BadParameter("--seed needs --random")
    if drop_empty and AUTO not in (at or []):
        raise typer.BadParameter("--drop-empty needs --at auto")
    table, context = read_with_context([picks], out, table_format)
    layout = TableLayout(star=context)
    labels = read_label_sample(picks)
    is_filtered = has_filtered_scores(picks)
    sets = {}
    for word in at or []:
        before = f"at {_describe_threshold(word)}: "
        selected = apply_cut(
            *(table, word, before),
            drop_empty=drop_empty,
            labels=labels,
            is_filtered=is_filtered,
        )
        sets[f"at{_format_threshold(word)}"] = selected
    for count, selected in zip(keep or [], select_nested(table, keep or []), strict=True):
        _report(table, selected, f"best {count}: ", labels)
        sets[f"keep{count}"] = selected
    for count, number in product(random or [], seed or [0]):
        sets[f"random{count}_seed{number}"] = select_random(table, count, number)
    for label, selected in sets.items():
        name = out if len(sets) == 1 else _add_suffix(out, label)
        write_table(
            selected,
            name,
            table_format=table_format,
            overwrite=force,
            layout=layout,
            sources=[picks],
        )


def apply_cut(
    picks: "Picks",
    word: str,
    before: str = "",
    *,
    drop_empty: bool = False,
    labels: "LabelSample | None" = None,
    is_filtered: bool = False,
) -> "Picks":
    """Keep picks above a threshold, and report the expected precision and recall.

    Args:
        picks: The table.
        word: Threshold, or "auto" for the highest expected F1.
        before: Text to begin the report with.
        drop_empty: With "auto", drop the picks of micrographs that are probably empty.
        labels: Scores of labels that the model did not learn from, if there are any.
        is_filtered: The scores are filtered along elongated particles.

    Raises:
        BadParameter: The word is neither a number nor "auto".
        SettingsError: The table is empty, or some picks have no score.
    """
    from cryopick.evaluate.expectation import select_automatically
    from cryopick.evaluate.thresholds import apply_threshold

    if word != AUTO:
        selected = apply_threshold(picks, parse_threshold(word))
        _report(picks, selected, before, labels)
        return selected
    selection = select_automatically(
        picks, drop_empty=drop_empty, labels=labels, is_filtered=is_filtered
    )
    report_selection(picks, selection, before)
    return selection.picks


def report_selection(picks: "Picks", selection: "AutomaticSelection", before: str = "") -> None:
    """Report the expected precision and recall of an automatic selection.

    Args:
        picks: All picks.
        selection: The selected ones.
        before: Beginning of the message.
    """
    if selection.empty_micrographs:
        note(f"{before}{_describe_empty(picks, selection)}")
    if selection.is_capped:
        note(
            f"{before}no micrograph clearly shows particles, so that at most one pick of each is "
            "selected; check the micrographs, the diameter and the pixel size, or choose a "
            "threshold with `cryopick threshold --at`"
        )
    elif selection.expected is not None:
        is_selected = selection.expected.threshold >= selection.threshold
        on_populated = int(selection.expected.n_selected[is_selected].max(initial=0))
        others = len(selection.picks) - on_populated
        note(
            f"{before}{selection.expected.describe(on_populated)}"
            f"{f'; {others} more on micrographs that are probably empty' if others else ''}"
        )


def _describe_empty(picks: "Picks", selection: "AutomaticSelection") -> str:
    """Describe the micrographs that are probably empty, and what becomes of their picks."""
    empty = selection.empty_micrographs
    total = format_count(len(picks.micrographs), "micrograph")
    names = ", ".join(Path(name).name for name in empty[:_MAX_NAMES])
    more = ", …" if len(empty) > _MAX_NAMES else ""
    verb, possessive = ("is", "its") if len(empty) == 1 else ("are", "their")
    doubt = "" if len(picks.micrographs) > _TOO_FEW else ", but so few cannot show it surely"
    fate = "dropped" if selection.drops_empty else "kept, --drop-empty removes them"
    return (
        f"{len(empty)} of {total} {verb} probably empty{doubt}: {names}{more}; "
        f"{possessive} picks are {fate}"
    )


def _report(
    picks: "Picks",
    selected: "Picks",
    before: str,
    labels: "LabelSample | None",
) -> None:
    """Report the expected precision and recall of the kept picks."""
    from cryopick.evaluate.expectation import estimate_metrics

    if len(picks) and picks.is_scored:
        note(f"{before}{estimate_metrics(picks, labels).describe(len(selected))}")


def parse_threshold(word: str) -> float:
    """Parse a threshold.

    Raises:
        BadParameter: It is not a number.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise typer.BadParameter(f"a threshold must be a number or auto; got {word!r}")
    return value


def _format_threshold(word: str) -> str:
    return word if word == AUTO else f"{parse_threshold(word):g}"


def _describe_threshold(word: str) -> str:
    return "the automatic threshold" if word == AUTO else f"threshold {_format_threshold(word)}"


def _add_suffix(out: str, label: str) -> str:
    """Add a suffix to a name: `picks.star` to `picks_at2.star`, `picks/` to `picks_at2/`."""
    path = Path(out)
    if out.endswith("/"):
        return f"{path}_{label}/"
    return str(path.with_name(f"{path.stem}_{label}{path.suffix}"))
