"""`cryopick pick` and `cryopick score`: raw micrographs through a model."""

from typing import Annotated

from typer import BadParameter, Option, echo

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import Batched, ledger
from cryopick.cli.clusters import ClusterName, WorkerCount, placed, share
from cryopick.cli.options import (
    Device,
    Force,
    Ignore,
    Micrographs,
    ModelDiameterAng,
    ModelFile,
    PickRadiusAng,
    RawPixelSizeAng,
    ShardName,
    Table,
    TableFormat,
    chosen_model,
    regions_on,
)
from cryopick.cli.progress import Batch
from cryopick.cli.sets import AUTO, NO_SIGN, cut, number
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import record_file, settings_file, write_table
from cryopick.errors import InputError

__all__ = ["pick"]


@app.command()
def pick(
    micrographs: Micrographs,
    out: Table,
    model: ModelFile = None,
    threshold: Annotated[
        str | None,
        Option(
            metavar="T|auto",
            help="Keep picks of at least this logit, or (auto) where F1 should be best, and none "
            "on micrographs that show no particles; a low floor [-6].",
        ),
    ] = None,
    radius_ang: PickRadiusAng = None,
    diameter_ang: ModelDiameterAng = None,
    pixel_size_ang: RawPixelSizeAng = None,
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
    cluster: ClusterName = None,
    workers: WorkerCount = None,
    force: Force = False,
) -> None:
    """Find particles on raw micrographs with a trained model, or with the general one.

    The general model was trained on simulated particles of all kinds and needs no labels, but
    the particle's diameter.

    Picks come in raw pixels, with their scores. Settings and a record of the run are written
    beside the table. The same command again does only what is missing: after a run that was cut
    off, or when micrographs have come or changed.

    Example: cryopick pick micrographs --diameter-ang 150 -o picks.star
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.evaluate.emptiness import likely_empty
    from cryopick.io.inputs import micrograph_paths
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.metadata import write_record

    cuts_itself = threshold == AUTO
    if cuts_itself and shard is not None:
        raise BadParameter(
            "--threshold auto looks at all picks together: leave it out with --shard, and cut what "
            "`cryopick merge` makes by `cryopick threshold --at auto`"
        )
    options["threshold"] = None if threshold is None or cuts_itself else number(threshold)
    settings = settings_of(PickSettings, options)
    on, settings = placed(cluster, workers, device, settings)
    plan = Batched.plan(
        micrograph_paths(micrographs), out, shard, table_format=table_format, box_px=box_px
    )
    file, regions = chosen_model(model, diameter_ang), regions_on(plan.paths, ignore)
    work = PickBatch.open(file, settings, on, ignore=regions)
    parts = work.parts(plan.beside, "pick")
    batch = Batch(plan.paths, doing="Picking micrographs")
    with ledger(parts, plan.tables, plan.paths, overwrite=force):
        work = work.to_pick(plan.paths, parts)
        if cluster:
            from cryopick.distributed.dask_batch import Job

            job, missing = Job.of(work, file, device, parts), dict.fromkeys(work.picker.order)
            share(cluster, workers, job, missing, regions, batch)
        found = [picks for _, picks in batch.run(lambda path: work.pick(path, parts))]
        if not found:
            raise InputError("none of the micrographs can be used; see what was skipped above")
        with whole(settings_file(plan.out), overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
        table = concatenate(found)
        if cuts_itself and len(table):
            table = cut(table, AUTO)
        elif model is None and threshold is None and len(table) and likely_empty(table):
            echo(NO_SIGN, err=True)
        write_table(table, plan.out, table_format=table_format, overwrite=True, box_px=box_px)
        files = {"model": file, "ignore": ignore}
        record = stopwatch().record(
            micrographs=plan.paths, files=files, device=str(on), skipped=batch.skipped
        )
        write_record(record, record_file(plan.out))
    batch.finish()
