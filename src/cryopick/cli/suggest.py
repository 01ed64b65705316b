"""`cryopick suggest`: suggest particles to label next (active learning)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option

from cryopick.active.settings import SuggestSettings
from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import open_ledger
from cryopick.cli.messages import add_results, print_result, warn
from cryopick.cli.options import (
    BoxSize,
    Config,
    Device,
    Force,
    Micrographs,
    ModelFile,
    Table,
    TableFormat,
    choose_model_file,
)
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.cli.size import resolve_size
from cryopick.cli.tables import write_table
from cryopick.errors import InputError, format_count
from cryopick.pick.settings import PickSettings
from cryopick.workflows.table_output import metadata_file, plan_tables, settings_file

if TYPE_CHECKING:
    from cryopick.active.candidates import CandidateBatch
    from cryopick.picks import Picks
    from cryopick.runs.ledger import Ledger

__all__ = ["suggest"]


@app.command()
@expand_settings
def suggest(
    micrographs: Micrographs,
    out: Table,
    options: Annotated[SettingsOptions[SuggestSettings], Fields(table="suggest")],
    picking: Annotated[
        SettingsOptions[PickSettings],
        Fields(
            only=("threshold", "radius_ang", "diameter_ang", "pixel_size_ang", "margin_ang"),
            other_tables=("suggest",),
        ),
    ],
    model: ModelFile = None,
    config: Config = None,
    labels: Annotated[
        Path | None,
        Option(metavar="PICKS", help="Table of existing labels, which are not suggested again."),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        Option(
            "--asked",
            metavar="PICKS",
            help="Table of earlier suggestions, accepted or not, which are not suggested again; "
            "repeatable.",
        ),
    ] = None,
    out_micrographs: Annotated[
        Path | None,
        Option(
            metavar="LIST",
            help="Text file to write: the micrographs in the order to label, one per line.",
        ),
    ] = None,
    table_format: TableFormat = None,
    box_px: BoxSize = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Suggest which particles to label next.

    These are the labels that would improve the model most. OUT lists candidates in the order to
    label, with their scores and, in the column `acquisition_value`, the acquisition value:
    candidates are probable particles that the model is uncertain of, that differ from each other
    and from the labels, and that lie on many micrographs. With few labels, some certain ones are
    included. With --micrographs, the names of the micrographs to label first go to stdout. With
    the general model and without --diameter-ang, the particle size is estimated as by
    `cryopick size`.

    Example: cryopick suggest micrographs --model particle.safetensors --labels labels.star
    -o candidates.star
    """
    from cryopick.active.candidates import CandidateBatch
    from cryopick.io.images.sizes import list_pixel_sizes
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.device import require_device
    from cryopick.pick.batch import PickBatch
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.metadata import write_run_metadata

    settings = options.build(config)
    pick_settings = picking.build(config)
    model = choose_model_file(model, pick_settings.diameter_ang, needs_diameter=False)
    out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
    paths = find_micrographs(micrographs)
    outputs = plan_tables(paths, out, table_format=table_format, box_px=box_px)
    if out_micrographs in outputs:
        raise BadParameter("--out and --out-micrographs must be different files")
    pick_settings = resolve_size(model, pick_settings, require_device(device), paths)
    outputs += [out_micrographs] if out_micrographs else []
    candidates = CandidateBatch(
        picking=PickBatch.open(model, pick_settings, require_device(device), paths),
        settings=settings,
        labels=_read_picks_on(paths, [labels] if labels else []),
        suggested=_read_picks_on(paths, earlier or []),
    )
    ledger = candidates.open_ledger(Path(out))
    batch = Batch(paths, stage="Picking micrographs")
    with open_ledger(ledger, outputs, paths, overwrite=force, keep=False):
        order, chosen = _choose_candidates(candidates, batch, ledger)
        if out_micrographs:
            _write_list(order, out_micrographs)
        if settings.micrographs:
            add_results(micrographs_to_label=order[: settings.micrographs])
            print_result("\n".join(order[: settings.micrographs]))
        with atomic_write(settings_file(out), overwrite=True) as temporary:
            temporary.write_text(candidates.describe(), encoding="utf-8")
        write_table(chosen, out, table_format=table_format, overwrite=True, box_px=box_px)
        record = stopwatch().collect_metadata(
            micrographs=paths,
            files={"model": model, "labels": labels},
            device=device,
            skipped=batch.skipped_files,
        )
        sizes = list_pixel_sizes(paths, pick_settings.pixel_size_ang)
        record = replace(record, settings=candidates.describe(), pixel_sizes_ang=sizes)
        write_run_metadata(record, metadata_file(out))
    batch.finish()


def _read_picks_on(paths: Sequence[Path], tables: Sequence[Path]) -> "Picks":
    """Read tables of picks on the given micrographs; report how many lie on others.

    Raises:
        InputError: No pick of a table lies on them, or many lie outside, as picks of differently
            binned micrographs do.
    """
    from cryopick.io.names import match_names
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.picks import concatenate
    from cryopick.train.label_extent import select_inside

    matched = []
    for table in tables:
        all_picks = read_picks(table)
        on_micrographs = match_names(all_picks, paths).picks
        other_count = len(all_picks) - len(on_micrographs)
        if other_count == len(all_picks) > 0:
            raise InputError(
                f"{table}: none of its {len(all_picks)} picks lies on one of the {len(paths)} "
                f"micrographs: its first is {all_picks.micrographs[0]!r}, the first given is "
                f"{paths[0].name!r}; give the micrographs of the table"
            )
        if other_count:
            warn(f"ignored {format_count(other_count, 'pick')} of {table} on other micrographs")
        matched.append(select_inside(on_micrographs, paths, table, noun="picks"))
    return concatenate(matched)


def _choose_candidates(
    candidates: "CandidateBatch", batch: Batch, ledger: "Ledger"
) -> tuple[list[str], "Picks"]:
    """Pick all micrographs, compute the features of the best picks, and choose candidates."""
    picks_by_path = dict(batch.run(lambda path: candidates.picking.pick(path, ledger)))
    if not picks_by_path:
        raise InputError("none of the micrographs can be used; see the errors above")
    shift = candidates.estimate_shift(list(picks_by_path.values()))
    features = []
    with progress(len(picks_by_path), "Computing features") as advance:
        for path, picks in picks_by_path.items():
            features.append(
                candidates.compute_features(path, picks, shift, ledger, len(picks_by_path))
            )
            advance(1)
    return candidates.choose(features, shift)


def _write_list(names: Sequence[str], path: Path) -> None:
    """Write the absolute paths of micrographs, one per line."""
    from cryopick.runs.atomic_write import atomic_write

    with atomic_write(path, overwrite=True) as temporary:
        text = "".join(f"{Path(name).absolute()}\n" for name in names)
        temporary.write_text(text, encoding="utf-8")
