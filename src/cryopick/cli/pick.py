"""`cryopick pick` and `cryopick score`: raw micrographs through a model."""

from pathlib import Path
from typing import Annotated

from typer import Option, echo

from cryopick.cli.app import app, stopwatch
from cryopick.cli.options import (
    Device,
    Force,
    Ignore,
    Micrographs,
    ModelFile,
    ShardName,
    Table,
    TableFormat,
    chosen_model,
    regions_on,
)
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import planned_tables, record_file, settings_file, write_table
from cryopick.errors import InputError

__all__ = ["pick"]


@app.command()
def pick(
    micrographs: Micrographs,
    out: Table,
    model: ModelFile = None,
    threshold: Annotated[
        float | None, Option(help="Keep picks of at least this logit; a low floor [-6].")
    ] = None,
    radius_ang: Annotated[
        float | None, Option(help="Least distance between picks [half the diameter].")
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(help="Particle diameter in ångströms [the model's].")
    ] = None,
    pixel_size_ang: Annotated[
        float | None, Option(help="Ångströms per raw pixel [as the files say].")
    ] = None,
    step_px: Annotated[
        int | None,
        Option(help="Working pixels between scored places [2, or the network's stride]."),
    ] = None,
    margin_ang: Annotated[
        float | None, Option(help="Leave out picks closer to an edge than this [0].")
    ] = None,
    ignore: Ignore = None,
    table_format: TableFormat = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    precision: Annotated[
        str | None,
        Option(help="Convolutions in float32, bfloat16, or what is faster here [auto]."),
    ] = None,
    device: Device = "auto",
    shard: ShardName = None,
    update: Annotated[
        bool,
        Option(
            "--update", help="Keep a ledger beside OUT, and do only new or changed micrographs."
        ),
    ] = False,
    force: Force = False,
) -> None:
    """Find particles on raw micrographs with a trained model, or with the general one.

    The general model was trained on simulated particles of all kinds and needs no labels, but
    the particle's diameter.

    Picks come in raw pixels, with their scores. Settings and a record of the run are written
    beside the table. A run that was cut off goes on when its command is given again.

    Example: cryopick pick micrographs --diameter-ang 150 -o picks.star
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.io import micrograph_paths, whole
    from cryopick.io.record import write_record
    from cryopick.learn.device import ready_device
    from cryopick.pick import PickSettings
    from cryopick.pick.batch import PickBatch
    from cryopick.picks import concatenate
    from cryopick.scale import Shard

    settings = settings_of(PickSettings, options)
    out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
    paths = micrograph_paths(micrographs)
    tables = planned_tables(paths, out, table_format=table_format, box_px=box_px)
    kept_beside = Path(out)
    if shard is not None:
        part = Shard.parse(shard)
        tables = part.own(tables) if out.endswith("/") else [part.output(Path(out))]
        kept_beside, paths = part.output(Path(out)), part.own(paths)
        out = out if out.endswith("/") else str(kept_beside)
    file, regions = chosen_model(model, diameter_ang), regions_on(paths, ignore)
    on = ready_device(device)
    work = PickBatch.open(file, settings, on, paths, regions)
    parts = work.parts(kept_beside, "pick")
    if parts.begin(tables, overwrite=force, kept=update) and not update:
        echo(f"going on with the unfinished work in {parts.folder}", err=True)
    batch = Batch(paths, doing="Picking micrographs")
    found = [picks for _, picks in batch.run(lambda path: work.pick(path, parts))]
    if not found:
        parts.remove()
        raise InputError("none of the micrographs can be used; see what was skipped above")
    with whole(settings_file(out), overwrite=True) as temporary:
        temporary.write_text(work.describe(), encoding="utf-8")
    write_table(concatenate(found), out, table_format=table_format, overwrite=True, box_px=box_px)
    files = {"model": file, "ignore": ignore}
    record = stopwatch().record(micrographs=paths, files=files, device=str(on))
    write_record(record, record_file(out))
    if not update:
        parts.remove()
    batch.finish()
