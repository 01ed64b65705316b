"""`cryopick pick`: pick particles on raw micrographs."""

from typing import Annotated

from typer import BadParameter, Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.clusters import ClusterName, WorkerCount, choose_cluster
from cryopick.cli.messages import add_results
from cryopick.cli.options import (
    BoxSize,
    Config,
    Device,
    Force,
    Ignore,
    Micrographs,
    ModelFile,
    ShardName,
    Table,
    TableFormat,
    read_ignored_regions,
)
from cryopick.cli.progress import check_skipped, open_events
from cryopick.cli.settings import AUTO, Fields, SettingsOptions, expand_settings
from cryopick.cli.tables import warn_about_tiff
from cryopick.cli.volume_check import refuse_tomograms
from cryopick.pick.settings import PickSettings
from cryopick.workflows.table_output import TableOutput

__all__ = ["check_threshold", "pick"]


@app.command()
@expand_settings
def pick(
    micrographs: Micrographs,
    out: Table,
    options: Annotated[
        SettingsOptions[PickSettings],
        Fields(
            auto={"threshold": "auto cuts at the highest expected F1."},
            ranges={"diameter_ang": "diameter_range_ang"},
            other_tables=("filaments", "suggest"),
        ),
    ],
    model: ModelFile = None,
    config: Config = None,
    ignore: Ignore = None,
    drop_empty: Annotated[
        bool,
        Option(
            "--drop-empty",
            help="With --threshold auto, drop picks of micrographs that are probably empty.",
        ),
    ] = False,
    table_format: TableFormat = None,
    box_px: BoxSize = None,
    device: Device = "auto",
    shard: ShardName = None,
    cluster: ClusterName = None,
    workers: WorkerCount = None,
    force: Force = False,
) -> None:
    """Pick particles with the general model or a trained one.

    The general model was trained on simulated particles of many shapes. It needs no labels.
    Without --diameter-ang, the particle size is estimated from the scores of the first micrographs
    and reported; a wrong estimate costs accuracy, so check it.

    Picks are in pixels of the raw micrographs, with a score each. The settings and the run
    metadata are written beside the table. Run the same command again to resume an interrupted
    run, or to pick only new and changed micrographs. --config picks other micrographs with the
    settings of a run, including the estimated ones. The table OUT.micrographs.tsv beside it lists
    picks, expected particles, verdict, pixel size and warnings of each micrograph.

    Example: cryopick pick micrographs --diameter-ang 150 -o picks.star
    """
    from cryopick.model.model_file import GENERAL_MODEL
    from cryopick.pick.picker import start_loading

    threshold = options.values.get("threshold")
    cuts_automatically = threshold == AUTO
    check_threshold(threshold, shard)
    if drop_empty and not cuts_automatically:
        raise BadParameter("--drop-empty needs --threshold auto")
    settings = options.build(config)
    if cluster is None:
        start_loading(model or GENERAL_MODEL, settings, device)
    # The networks are compiled while all that follows is imported.
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.class_models import list_classes
    from cryopick.workflows.picking import PickJob, pick_micrographs

    paths = find_micrographs(micrographs)
    refuse_tomograms(paths, "pick")
    output = TableOutput.plan(paths, out, shard, table_format=table_format, box_px=box_px)
    job = PickJob(
        micrographs=output.micrographs,
        model=model or GENERAL_MODEL,
        settings=settings,
        output=output,
        ignore=read_ignored_regions(output.micrographs, ignore),
        device=device,
        cluster=choose_cluster(cluster, workers),
        automatic_threshold=cuts_automatically,
        drop_empty=drop_empty,
        warn_if_empty=model is None and threshold is None,
        overwrite=force,
        files={"ignore": ignore},
        stopwatch=stopwatch(),
    )
    with open_events() as events:
        if model is not None and list_classes(model):
            if shard is not None or cluster is not None:
                raise BadParameter("a model of several classes works without --shard and --cluster")
            from cryopick.workflows.classes import pick_classes

            result = pick_classes(job, output, events)
        else:
            result = pick_micrographs(job, events)
    if output.out.endswith(".star") or table_format == "star":
        warn_about_tiff(result.picks.micrographs)
    add_results(
        picks=len(result.picks),
        micrographs=len(result.picks.micrographs),
        table=output.out,
    )
    check_skipped(result.skipped, len(job.micrographs))


def check_threshold(threshold: object, shard: str | None) -> None:
    """Check that the threshold can be used in a shard.

    Raises:
        BadParameter: It needs the picks of all shards.
    """
    if threshold == AUTO and shard is not None:
        raise BadParameter(
            "--threshold auto needs the picks of all shards: remove it, and cut the table that "
            "`cryopick merge` writes with `cryopick threshold --at auto`"
        )
