"""`cryopick denoise`: write denoised micrographs."""

from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.cli.app import app
from cryopick.cli.batches import open_ledger, select_shard
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Config, Device, Force, Micrographs, ShardName
from cryopick.cli.outputs import OutputFolder, plan_output_files
from cryopick.cli.progress import Batch
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.denoise.settings import DenoiseSettings
from cryopick.errors import format_count

__all__ = ["denoise"]


@app.command()
@expand_settings
def denoise(
    micrographs: Micrographs,
    out: OutputFolder,
    options: SettingsOptions[DenoiseSettings],
    denoiser: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Denoiser written by `cryopick denoise-train`. [default: that of the package]",
        ),
    ] = None,
    config: Config = None,
    device: Device = "auto",
    shard: ShardName = None,
    force: Force = False,
) -> None:
    """Write denoised micrographs, to look at.

    Files are MRC, named after the micrographs, of the same size and pixel size. `pick` and `train`
    expect raw micrographs. Run the same command again to resume an interrupted run.

    Example: cryopick denoise micrographs -o denoised
    """
    from cryopick.denoise.batch import DenoiseBatch
    from cryopick.denoise.model_file import DENOISER
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.torch_device import require_torch_device
    from cryopick.runs.atomic_write import atomic_write

    settings = options.build(config)
    all_outputs = plan_output_files(find_micrographs(micrographs), out)
    outputs, ledger_output = select_shard(all_outputs, out, shard)
    work = DenoiseBatch.open(settings, require_torch_device(device), denoiser or DENOISER)
    ledger = work.open_ledger(ledger_output)
    batch = Batch(list(outputs), stage="Denoising micrographs")
    with open_ledger(ledger, outputs.values(), outputs, overwrite=force):
        results = list(batch.run(lambda path: work.write(path, outputs[path], ledger)))
        with atomic_write(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(work.describe(), encoding="utf-8")
    add_results(micrographs=len(results))
    note(f"{format_count(len(results), 'micrograph')} written to {out}")
    batch.finish()
