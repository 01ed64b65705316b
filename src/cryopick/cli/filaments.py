"""`cryopick filaments`: pick filaments as segments, or as start and end points."""

from dataclasses import replace
from typing import Annotated

from typer import Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import open_ledger
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import (
    Config,
    Device,
    Force,
    Ignore,
    Micrographs,
    ModelFile,
    ShardName,
    Table,
    TableFormat,
    choose_model_file,
    read_ignored_regions,
)
from cryopick.cli.progress import Batch
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.errors import InputError
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.settings import PickSettings
from cryopick.workflows.table_output import TableOutput, metadata_file, settings_file

__all__ = ["filaments"]


@app.command()
@expand_settings
def filaments(
    micrographs: Micrographs,
    out: Table,
    picking: Annotated[
        SettingsOptions[PickSettings],
        Fields(only=("diameter_ang", "pixel_size_ang"), other_tables=("filaments",)),
    ],
    options: Annotated[SettingsOptions[FilamentSettings], Fields(table="filaments")],
    model: ModelFile = None,
    config: Config = None,
    ends: Annotated[
        bool,
        Option("--ends", help="Write the start and end point of each filament, not segments."),
    ] = False,
    ignore: Ignore = None,
    table_format: TableFormat = None,
    device: Device = "auto",
    shard: ShardName = None,
    force: Force = False,
) -> None:
    """Pick filaments on raw micrographs.

    The output is ordered segments for helical reconstruction. Filaments are traced along the ridges
    of the score map, straight across crossings. Segments have RELION's columns for helical tube,
    psi and tilt priors and track length. With --ends, the table has two rows per filament, as in
    RELION's start-end coordinates. Run the same command again to resume an interrupted run.

    Example: cryopick filaments micrographs --diameter-ang 110 -o segments.star --spacing-ang 27.5
    """
    from cryopick.io.images.sizes import list_pixel_sizes
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.device import require_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.filaments.batch import FilamentBatch
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.metadata import write_run_metadata

    settings, torch_device = picking.build(config), require_device(device)
    plan = TableOutput.plan(find_micrographs(micrographs), out, shard, table_format=table_format)
    file, regions = (
        choose_model_file(model, settings.diameter_ang),
        read_ignored_regions(plan.micrographs, ignore),
    )
    scored = PickBatch.open(file, settings, torch_device, ignore=regions)
    work = FilamentBatch(scored, options.build(config), ends)
    ledger = work.open_ledger(plan.ledger_output)
    batch = Batch(plan.micrographs, stage="Tracing filaments")
    with open_ledger(ledger, plan.tables, plan.micrographs, overwrite=force):
        work = work.prefetch_filaments(plan.micrographs, ledger)
        segments = [picks for _, picks in batch.run(lambda path: work.find(path, ledger))]
        if not segments:
            raise InputError("none of the micrographs can be used; see the errors above")
        with atomic_write(settings_file(plan.out), overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
        files = {"model": file, "ignore": ignore}
        record = stopwatch().collect_metadata(
            micrographs=plan.micrographs,
            files=files,
            device=str(torch_device),
            skipped=batch.skipped_files,
        )
        sizes = list_pixel_sizes(plan.micrographs, settings.pixel_size_ang)
        record = replace(record, settings=work.describe(), pixel_sizes_ang=sizes)
        table = concatenate(segments)
        add_results(segments=len(table), micrographs=len(table.micrographs))
        note(plan.write(table, record.describe_origin()))
        write_run_metadata(record, metadata_file(plan.out))
    batch.finish()
