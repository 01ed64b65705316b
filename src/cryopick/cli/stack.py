"""`cryopick stack`: extract picked particles as image stacks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import open_ledger
from cryopick.cli.messages import add_results, note, warn
from cryopick.cli.options import MICROGRAPHS, Config, Force
from cryopick.cli.outputs import OutputFolder, plan_output_files
from cryopick.cli.progress import Batch
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.errors import InputError, format_count
from cryopick.stack.settings import StackSettings

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["extract_particles", "stack"]

_MAX_CHECKED = 50  # micrographs whose size is compared with the picks


@app.command()
@expand_settings
def stack(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of picks, or a folder of them.")],
    micrographs: Annotated[
        list[str],
        Option("--micrographs", "-m", metavar="MIC", help=f"Raw micrographs. {MICROGRAPHS}"),
    ],
    out: OutputFolder,
    options: SettingsOptions[StackSettings],
    config: Config = None,
    threshold: Annotated[
        float | None, Option(help="Minimum score of a pick. [default: all picks]")
    ] = None,
    force: Force = False,
) -> None:
    """Extract picked particles, for RELION.

    Writes one .mrcs stack per micrograph, and particles.star with image names relative to the
    current folder: run it in the RELION project folder. A box is centred on the pixel nearest to
    the pick. RELION expects bright particles: add --invert if they are dark, as on most
    micrographs.

    Example: cryopick stack picks.star -m mics -o stacks --box-px 256 --voltage-kv 300 --cs-mm 2.7
    """
    extract_particles(
        picks, micrographs, out, options.build(config), threshold=threshold, overwrite=force
    )


def extract_particles(
    picks: Path,
    micrographs: Sequence[str],
    out: Path,
    settings: StackSettings,
    *,
    threshold: float | None = None,
    overwrite: bool = False,
) -> None:
    """Extract picked particles and write stacks and their STAR file.

    Args:
        picks: Table of picks, or a folder of them.
        micrographs: Raw micrographs, as the command line names them.
        out: Output folder.
        settings: Boxes, contrast and optics.
        threshold: Minimum score of a pick.
        overwrite: Overwrite existing files.

    Raises:
        InputError: No pick lies on the micrographs, or none of these can be used.
        UnfinishedError: Some micrographs were skipped.
    """
    from cryopick.config import to_toml
    from cryopick.io.images.micrograph import summarize_findings
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.tables.codec import TableLayout
    from cryopick.io.tables.pick_tables import read_picks, write_picks
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.ledger import Ledger
    from cryopick.stack.batch import StackWriter
    from cryopick.stack.table import read_optics_groups
    from cryopick.train.label_extent import find_outside, read_shapes
    from cryopick.workflows.derived_table import carry_run_files

    groups = read_optics_groups(picks, settings)
    table, paths = _apply_threshold(read_picks(picks), threshold), find_micrographs(micrographs)
    picks_by_file = _match_picks_to_files(table, paths)
    if not picks_by_file:
        raise InputError(
            f"{picks}: no pick lies on the given micrographs; give those that the table names"
        )
    checked = concatenate(list(picks_by_file.values())[:_MAX_CHECKED])
    find_outside(checked, read_shapes(checked, paths), picks, paths)
    outputs, star = plan_output_files(list(picks_by_file), out, ".mrcs"), out / "particles.star"
    ledger = Ledger.for_output(out, ["stack", to_toml(settings), str(threshold)])
    batch = Batch(list(picks_by_file), stage="Extracting particles")
    stacks = StackWriter(settings)
    with open_ledger(ledger, [star, *outputs.values()], picks_by_file, overwrite=overwrite):
        extracted = dict(
            batch.run(lambda path: stacks.write(path, picks_by_file[path], outputs[path], ledger))
        )
        if not extracted:
            raise InputError("none of the micrographs can be used; see the errors above")
        particles = concatenate(list(extracted.values()))
        write_picks(
            particles, star, overwrite=True, layout=TableLayout(star=stacks.build_context(groups))
        )
        with atomic_write(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(to_toml(settings), encoding="utf-8")
        carry_run_files([picks], str(star), stopwatch().command, overwrite=True)
    add_results(particles=len(particles), micrographs=len(extracted))
    counts = format_count(len(particles), "particle")
    note(f"{counts} of {format_count(len(extracted), 'micrograph')} written to {star}")
    lost = sum(len(picks_by_file[path]) for path in extracted) - len(particles)
    if lost:
        reason = (
            "extends beyond the micrograph"
            if settings.edge == "skip"
            else "lies outside the micrograph"
        )
        warn(f"discarded {format_count(lost, 'pick')} because the box {reason}")
    for finding in summarize_findings(list(picks_by_file), settings.pixel_size_ang):
        warn(f"note: {finding}")
    batch.finish()


def _apply_threshold(table: "Picks", threshold: float | None) -> "Picks":
    if threshold is None:
        return table
    from cryopick.evaluate.thresholds import apply_threshold

    return apply_threshold(table, threshold)


def _match_picks_to_files(table: "Picks", paths: Sequence[Path]) -> dict[Path, "Picks"]:
    """Match picks to files; report micrographs of the table without a file."""
    from cryopick.io.names import match_names

    named = table.restrict([name for name, rows in table.rows_by_micrograph().items() if len(rows)])
    matched = match_names(named, paths)
    if matched.unmatched:
        names = ", ".join(matched.unmatched)
        warn(f"ignored micrographs without a matching file: {names}")
    by_name = {str(path): path for path in paths}
    return {by_name[name]: rows for name, rows in matched.picks.split_by_micrograph()}
