"""`cryopick preprocess`: write downsampled, normalized micrographs."""

from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.cli.app import app
from cryopick.cli.batches import open_ledger
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Config, Force, Micrographs
from cryopick.cli.outputs import OutputFolder, plan_output_files
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.errors import CryopickError, InputError, format_count
from cryopick.preprocess.settings import PreprocessSettings

__all__ = ["preprocess"]


@app.command()
@expand_settings
def preprocess(
    micrographs: Micrographs,
    out: OutputFolder,
    options: SettingsOptions[PreprocessSettings],
    model: Annotated[
        Path | None,
        Option(metavar="MODEL", help="Use the scale and the normalization of this model."),
    ] = None,
    config: Config = None,
    force: Force = False,
) -> None:
    """Write downsampled, normalized micrographs.

    `train` and `pick` preprocess by themselves and do not need them. Run the same command again to
    process only what is missing. With --normalization dataset, which all micrographs share, a
    changed set of micrographs needs --force to be written again.

    Example: cryopick preprocess micrographs -o small --factor 8
    """
    from cryopick.config import to_toml
    from cryopick.io.inputs import find_micrographs
    from cryopick.preprocess.export import list_missing_outputs, plan_preparation, write_prepared
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.ledger import Ledger, identify_file, identify_files

    settings = options.build(config)
    outputs = plan_output_files(find_micrographs(micrographs), out)
    loaded = None
    if model:
        from cryopick.model.model_file import load_model

        loaded = load_model(model)
    plan_preparation(settings, loaded)  # contradictory settings fail before any work
    is_shared = loaded is None and settings.normalization == "dataset"
    identities = identify_files(outputs) if is_shared else []
    identities += [identify_file(model)] if model else []
    ledger = Ledger.for_output(out, ["preprocess", to_toml(settings), *identities])
    batch = Batch(list(outputs), stage="Preparing micrographs")
    with open_ledger(ledger, outputs.values(), outputs, overwrite=force):
        missing = list_missing_outputs(outputs, ledger)
        to_write = outputs if is_shared and missing else missing
        with progress(len(to_write), "Preparing micrographs") as advance:

            def on_done(path: Path, error: CryopickError | None) -> None:
                if error:
                    batch.skip(path, error)
                advance(1)

            if to_write:
                write_prepared(to_write, settings, loaded, ledger, on_done)
        if len(batch.skipped_files) == len(outputs):
            raise InputError("none of the micrographs can be used; see the errors above")
        with atomic_write(out / "settings.toml", overwrite=True) as temporary:
            header = f"# prepared for the model {model.name}\n" if model else ""
            temporary.write_text(header + to_toml(settings), encoding="utf-8")
    add_results(micrographs=len(outputs) - len(batch.skipped_files))
    written = format_count(len(outputs) - len(batch.skipped_files), "micrograph")
    note(f"{written} written to {out}")
    batch.finish()
