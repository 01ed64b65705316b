"""`cryopick pick`: pick particles on raw micrographs."""

from typing import Annotated

from typer import BadParameter, echo

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import Batched, ledger
from cryopick.cli.clusters import ClusterName, WorkerCount, choose_execution, distribute_batch
from cryopick.cli.options import (
    BoxSize,
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
from cryopick.cli.sets import NO_PARTICLES_WARNING, apply_cut
from cryopick.cli.settings import AUTO, Fields, SettingsOptions, expand_settings
from cryopick.cli.tables import metadata_file, settings_file, write_table
from cryopick.errors import InputError
from cryopick.pick.settings import PickSettings

__all__ = ["pick"]


@app.command()
@expand_settings
def pick(
    micrographs: Micrographs,
    out: Table,
    options: Annotated[
        SettingsOptions[PickSettings],
        Fields(
            auto={
                "threshold": "auto cuts at the highest expected F1 and discards all picks of "
                "micrographs without signs of particles."
            }
        ),
    ],
    model: ModelFile = None,
    ignore: Ignore = None,
    table_format: TableFormat = None,
    box_px: BoxSize = None,
    device: Device = "auto",
    shard: ShardName = None,
    cluster: ClusterName = None,
    workers: WorkerCount = None,
    force: Force = False,
) -> None:
    """Pick particles on raw micrographs with the general model or a trained one.

    The general model was trained on simulated particles of many shapes. It needs no labels, only
    the particle diameter.

    Picks are in pixels of the raw micrographs, with a score each. The settings and the run
    metadata are written beside the table. Run the same command again to resume an interrupted
    run, or to pick only new and changed micrographs.

    Example: cryopick pick micrographs --diameter-ang 150 -o picks.star
    """
    from cryopick.evaluate.emptiness import is_likely_empty
    from cryopick.io.inputs import find_micrographs
    from cryopick.pick.batch import PickBatch
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.metadata import write_run_metadata

    threshold = options.given.get("threshold")
    cuts_automatically = threshold == AUTO
    if cuts_automatically and shard is not None:
        raise BadParameter(
            "--threshold auto needs the picks of all shards: remove it, and cut the table that "
            "`cryopick merge` writes with `cryopick threshold --at auto`"
        )
    settings = options.build()
    on, settings = choose_execution(cluster, workers, device, settings)
    plan = Batched.plan(
        find_micrographs(micrographs), out, shard, table_format=table_format, box_px=box_px
    )
    file, regions = (
        choose_model_file(model, settings.diameter_ang),
        read_ignored_regions(plan.paths, ignore),
    )
    work = PickBatch.open(file, settings, on, ignore=regions)
    parts = work.parts(plan.beside, "pick")
    batch = Batch(plan.paths, doing="Picking micrographs")
    with ledger(parts, plan.tables, plan.paths, overwrite=force):
        work = work.to_pick(plan.paths, parts)
        if cluster:
            from cryopick.distributed.dask_batch import Job

            job, missing = Job.of(work, file, device, parts), dict.fromkeys(work.picker.order)
            distribute_batch(cluster, workers, job, missing, regions, batch)
        found = [picks for _, picks in batch.run(lambda path: work.pick(path, parts))]
        if not found:
            raise InputError("none of the micrographs can be used; see the errors above")
        with atomic_write(settings_file(plan.out), overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
        table = concatenate(found)
        if cuts_automatically and len(table):
            table = apply_cut(table, AUTO)
        elif model is None and threshold is None and len(table) and is_likely_empty(table):
            echo(NO_PARTICLES_WARNING, err=True)
        write_table(table, plan.out, table_format=table_format, overwrite=True, box_px=box_px)
        files = {"model": file, "ignore": ignore}
        record = stopwatch().collect_metadata(
            micrographs=plan.paths, files=files, device=str(on), skipped=batch.skipped
        )
        write_run_metadata(record, metadata_file(plan.out))
    batch.finish()
