"""`cryopick preprocess`: small, standardised micrographs."""

from pathlib import Path
from typing import Annotated

from typer import Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force, Micrographs
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
    pixel_size_ang: Annotated[
        float | None, Option(help="Ångströms per raw pixel [as the files say].")
    ] = None,
    normalization: Annotated[
        str | None,
        Option(help="How to standardise: dataset, micrograph, affine or white [dataset]."),
    ] = None,
    force: Force = False,
) -> None:
    """Write downsampled, normalised MRC files; `train` and `pick` do the same by themselves.

    Example: cryopick preprocess micrographs -o small --factor 8
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.config import to_toml
    from cryopick.io import micrograph_paths, whole
    from cryopick.io.parts import Parts, file_identity
    from cryopick.prepare import PreprocessSettings, write_prepared

    settings = settings_of(PreprocessSettings, options)
    outputs = one_each(micrograph_paths(micrographs), out)
    loaded = None
    if model:
        from cryopick.learn import load_model  # and with it torch, which nothing else here needs

        loaded = load_model(model)
    settings.preparation(loaded)  # a contradiction shows before any work
    identities = [file_identity(path) for path in [*outputs, *([model] if model else [])]]
    parts = Parts.beside(out, ["preprocess", to_toml(settings), *identities])
    if parts.begin(outputs.values(), overwrite=force):
        echo(f"going on with the unfinished work in {parts.folder}", err=True)
    batch = Batch(list(outputs), doing="Preparing micrographs")
    with progress(len(outputs), "Preparing micrographs") as advance:

        def on_done(path: Path, error: CryopickError | None) -> None:
            if error:
                batch.skip(path, error)
            advance(1)

        try:
            written = write_prepared(outputs, settings, loaded, parts, on_done)
        except InputError:  # nothing to go on with
            parts.remove()
            raise
    with whole(out / "settings.toml", overwrite=True) as temporary:
        header = f"# prepared as for the model {model.name}\n" if model else ""
        temporary.write_text(header + to_toml(settings), encoding="utf-8")
    parts.remove()
    echo(f"{len(written)} micrographs written to {out}", err=True)
    batch.finish()
