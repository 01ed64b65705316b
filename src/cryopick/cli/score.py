"""`cryopick score`: write score maps of raw micrographs."""

from typing import Annotated

from cryopick.cli.app import app
from cryopick.cli.batches import open_ledger, select_shard
from cryopick.cli.clusters import ClusterName, WorkerCount, choose_cluster, distribute_batch
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import (
    Config,
    Device,
    Force,
    Micrographs,
    ModelFile,
    ShardName,
    choose_model_file,
)
from cryopick.cli.outputs import OutputFolder, plan_output_files
from cryopick.cli.progress import Batch
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.cli.size import resolve_size
from cryopick.errors import format_count
from cryopick.pick.settings import PickSettings

__all__ = ["score"]


@app.command()
@expand_settings
def score(
    micrographs: Micrographs,
    out: OutputFolder,
    options: Annotated[
        SettingsOptions[PickSettings],
        Fields(only=("diameter_ang", "pixel_size_ang", "step_px", "precision")),
    ],
    model: ModelFile = None,
    config: Config = None,
    device: Device = "auto",
    shard: ShardName = None,
    cluster: ClusterName = None,
    workers: WorkerCount = None,
    force: Force = False,
) -> None:
    """Write score maps of raw micrographs.

    Maps are MRC files. Values are logits. Pixel (i, j) of a map corresponds to raw pixel (i, j)
    times the ratio of the pixel sizes in the two headers. With the general model and without
    --diameter-ang, the particle size is estimated as by `cryopick size`. Run the same command
    again to resume an interrupted run.

    Example: cryopick score micrographs --model particle.safetensors -o scores
    """
    from cryopick.io.inputs import find_micrographs
    from cryopick.pick.batch import PickBatch
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.workflows.cluster import choose_execution

    settings = options.build(config)
    shared_by = choose_cluster(cluster, workers)
    computing_device, settings = choose_execution(shared_by, device, settings)
    file = choose_model_file(model, settings.diameter_ang, needs_diameter=False)
    all_outputs = plan_output_files(find_micrographs(micrographs), out)
    outputs, ledger_output = select_shard(all_outputs, out, shard)
    settings = resolve_size(file, settings, computing_device, list(all_outputs))
    work = PickBatch.open(file, settings, computing_device)
    ledger = work.open_ledger(ledger_output, "score")
    batch = Batch(list(outputs), stage="Scoring micrographs")
    with open_ledger(ledger, outputs.values(), outputs, overwrite=force):
        work = work.prefetch_scores(outputs, ledger)
        if shared_by:
            from cryopick.distributed.dask_batch import WorkerJob

            job, missing = WorkerJob.from_batch(work, file, device, ledger), work.picker.order
            missing_outputs = {path: outputs[path] for path in missing}
            distribute_batch(shared_by, job, missing_outputs, work.picker.ignore, batch)
        results = list(batch.run(lambda path: work.write_scores(path, outputs[path], ledger)))
        with atomic_write(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
    add_results(score_maps=len(results))
    note(f"{format_count(len(results), 'score map')} written to {out}")
    batch.finish()
