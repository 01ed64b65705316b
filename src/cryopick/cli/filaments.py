"""`cryopick filaments`: helices as ordered segments, or as pairs of ends."""

from typing import Annotated

from typer import Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import Batched, ledger
from cryopick.cli.options import (
    Device,
    Force,
    Ignore,
    Micrographs,
    ModelFile,
    RawPixelSizeAng,
    ShardName,
    Table,
    TableFormat,
    chosen_model,
    regions_on,
)
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import record_file, settings_file, write_table
from cryopick.errors import InputError

__all__ = ["filaments"]


@app.command()
def filaments(
    micrographs: Micrographs,
    out: Table,
    model: ModelFile = None,
    diameter_ang: Annotated[
        float | None, Option(help="Width of a filament in ångströms [the model's].")
    ] = None,
    spacing_ang: Annotated[
        float | None, Option(help="Distance of segments, such as the rise [a quarter width].")
    ] = None,
    min_length_ang: Annotated[
        float | None, Option(help="Leave out filaments shorter than this [four widths].")
    ] = None,
    contrast: Annotated[
        float | None,
        Option(help="How far a filament stands out, in spreads of the background [5]."),
    ] = None,
    ends: Annotated[
        bool, Option("--ends", help="Write start and end of each filament, not segments.")
    ] = False,
    pixel_size_ang: RawPixelSizeAng = None,
    ignore: Ignore = None,
    table_format: TableFormat = None,
    device: Device = "auto",
    shard: ShardName = None,
    force: Force = False,
) -> None:
    """Find filaments on raw micrographs, as ordered segments for helical reconstruction.

    The scores of a model are followed along ridges, straight over crossings. Segments come with
    tube, psi, tilt and track length, as RELION names them; --ends gives pairs of rows instead,
    as RELION reads start-end coordinates. The same command again does only what is
    missing.

    Example: cryopick filaments micrographs --diameter-ang 110 -o segments.star --spacing-ang 27.5
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.io.inputs import micrograph_paths
    from cryopick.model.device import ready_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.filaments.batch import FilamentBatch
    from cryopick.pick.filaments.settings import FilamentSettings
    from cryopick.pick.settings import PickSettings
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.metadata import write_record

    on = ready_device(device)
    plan = Batched.plan(micrograph_paths(micrographs), out, shard, table_format=table_format)
    file, regions = chosen_model(model, diameter_ang), regions_on(plan.paths, ignore)
    scored = PickBatch.open(file, settings_of(PickSettings, options), on, ignore=regions)
    work = FilamentBatch(scored, settings_of(FilamentSettings, options), ends)
    parts = work.parts(plan.beside)
    batch = Batch(plan.paths, doing="Tracing filaments")
    with ledger(parts, plan.tables, plan.paths, overwrite=force):
        work = work.to_find(plan.paths, parts)
        found = [picks for _, picks in batch.run(lambda path: work.find(path, parts))]
        if not found:
            raise InputError("none of the micrographs can be used; see what was skipped above")
        with whole(settings_file(plan.out), overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
        write_table(concatenate(found), plan.out, table_format=table_format, overwrite=True)
        files = {"model": file, "ignore": ignore}
        record = stopwatch().record(
            micrographs=plan.paths, files=files, device=str(on), skipped=batch.skipped
        )
        write_record(record, record_file(plan.out))
    batch.finish()
