"""`cryopick preprocess`: small, standardised micrographs."""

from pathlib import Path
from typing import Annotated

from typer import Option, echo

from cryopick.cli.app import app
from cryopick.cli.batches import ledger
from cryopick.cli.options import Force, Micrographs, RawPixelSizeAng
from cryopick.cli.outputs import OutputFolder, one_each
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import settings_of
from cryopick.errors import CryopickError, InputError

__all__ = ["preprocess"]


@app.command()
def preprocess(
    micrographs: Micrographs,
    out: OutputFolder,
    factor: Annotated[
        float | None, Option(help="Raw pixels per new pixel, such as 8; need not be whole.")
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(help="Particle diameter in ångströms, from which the factor follows.")
    ] = None,
    model: Annotated[
        Path | None, Option(metavar="MODEL", help="Prepare micrographs as this model's were.")
    ] = None,
    pixel_size_ang: RawPixelSizeAng = None,
    normalization: Annotated[
        str | None,
        Option(help="How to standardise: dataset, micrograph, affine or white [dataset]."),
    ] = None,
    force: Force = False,
) -> None:
    """Write downsampled, normalised MRC files; `train` and `pick` do the same by themselves.

    The same command again does only what is missing. With the normalisation of a data set, which
    all micrographs share, others than before make all of them new, and need --force.

    Example: cryopick preprocess micrographs -o small --factor 8
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.config import to_toml
    from cryopick.io.inputs import micrograph_paths
    from cryopick.preprocess.export import PreprocessSettings, missing_of, write_prepared
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.ledger import Parts, file_identity

    settings = settings_of(PreprocessSettings, options)
    outputs = one_each(micrograph_paths(micrographs), out)
    loaded = None
    if model:
        from cryopick.model.model_file import (
            load_model,  # and with it torch, which nothing else here needs
        )

        loaded = load_model(model)
    settings.preparation(loaded)  # a contradiction shows before any work
    is_shared = loaded is None and settings.normalization == "dataset"
    told = [
        file_identity(path) for path in [*(outputs if is_shared else ()), *filter(None, [model])]
    ]
    parts = Parts.beside(out, ["preprocess", to_toml(settings), *told])
    batch = Batch(list(outputs), doing="Preparing micrographs")
    with ledger(parts, outputs.values(), outputs, overwrite=force):
        missing = missing_of(outputs, parts)
        wanted = outputs if is_shared and missing else missing
        with progress(len(wanted), "Preparing micrographs") as advance:

            def on_done(path: Path, error: CryopickError | None) -> None:
                if error:
                    batch.skip(path, error)
                advance(1)

            if wanted:
                write_prepared(wanted, settings, loaded, parts, on_done)
        if len(batch.skipped) == len(outputs):
            raise InputError("none of the micrographs can be used; see what was skipped above")
        with whole(out / "settings.toml", overwrite=True) as temporary:
            header = f"# prepared as for the model {model.name}\n" if model else ""
            temporary.write_text(header + to_toml(settings), encoding="utf-8")
    echo(f"{len(outputs) - len(batch.skipped)} micrographs written to {out}", err=True)
    batch.finish()
