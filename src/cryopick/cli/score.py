"""`cryopick score`: score maps of raw micrographs."""

from typing import Annotated

from typer import Option, echo

from cryopick.cli.app import app
from cryopick.cli.batches import ledger, own_part
from cryopick.cli.clusters import ClusterName, WorkerCount, placed, share
from cryopick.cli.options import (
    Device,
    Force,
    Micrographs,
    ModelDiameterAng,
    ModelFile,
    RawPixelSizeAng,
    ShardName,
    chosen_model,
)
from cryopick.cli.outputs import OutputFolder, one_each
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of

__all__ = ["score"]


@app.command()
def score(
    micrographs: Micrographs,
    out: OutputFolder,
    model: ModelFile = None,
    diameter_ang: ModelDiameterAng = None,
    pixel_size_ang: RawPixelSizeAng = None,
    step_px: Annotated[
        int | None,
        Option(help="Working pixels between scored places [2, or the network's stride]."),
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
    """Write the scores of whole micrographs as MRC maps of logits.

    Pixel (i, j) of a map belongs to the raw pixel (i, j) times the ratio of the pixel sizes in
    the two headers. The same command again does only what is missing.

    Example: cryopick score micrographs --model particle.safetensors -o scores
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.io.inputs import micrograph_paths
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings
    from cryopick.runs.atomic_write import whole

    settings = settings_of(PickSettings, options)
    on, settings = placed(cluster, workers, device, settings)
    file = chosen_model(model, diameter_ang)
    every = one_each(micrograph_paths(micrographs), out)
    outputs, beside = own_part(every, out, shard)
    work = PickBatch.open(file, settings, on)
    parts = work.parts(beside, "score")
    batch = Batch(list(outputs), doing="Scoring micrographs")
    with ledger(parts, outputs.values(), outputs, overwrite=force):
        work = work.to_score(outputs, parts)
        if cluster:
            from cryopick.distributed.dask_batch import Job

            job, missing = Job.of(work, file, device, parts), work.picker.order
            to = {path: outputs[path] for path in missing}
            share(cluster, workers, job, to, work.picker.ignore, batch)
        done = list(batch.run(lambda path: work.write_scores(path, outputs[path], parts)))
        with whole(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
    echo(f"{len(done)} score maps written to {out}", err=True)
    batch.finish()
