"""`cryopick pick` and `cryopick score`: raw micrographs through a model."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from typer import Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Device, Force, Micrographs, ModelFile, Table, TableFormat
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import write_table
from cryopick.errors import InputError

__all__ = ["pick"]


@app.command()
def pick(
    micrographs: Micrographs,
    model: ModelFile,
    out: Table,
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
        Option(help="Working pixels between scored places [half the network's stride]."),
    ] = None,
    margin_ang: Annotated[
        float | None, Option(help="Leave out picks closer to an edge than this [0].")
    ] = None,
    table_format: TableFormat = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    precision: Annotated[
        str | None,
        Option(help="Convolutions in float32, bfloat16, or what is faster here [auto]."),
    ] = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Find particles on raw micrographs with a trained model.

    Picks come in raw pixels, with their scores. The settings are written beside the table. A
    run that was cut off goes on when its command is given again.

    Example: cryopick pick micrographs --model particle.safetensors -o picks.star
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.io import micrograph_paths, whole
    from cryopick.learn.run import ready_device
    from cryopick.pick import PickSettings
    from cryopick.pick.batch import PickBatch
    from cryopick.picks import concatenate

    settings = settings_of(PickSettings, options)
    out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
    paths = micrograph_paths(micrographs)
    tables = _outputs(paths, out, table_format, box_px)
    work = PickBatch.open(model, settings, ready_device(device), paths)
    parts = work.parts(Path(out), "pick")
    if parts.begin(tables, overwrite=force):
        echo(f"going on with the unfinished work in {parts.folder}", err=True)
    batch = Batch(paths, doing="Picking micrographs")
    found = [picks for _, picks in batch.run(lambda path: work.pick(path, parts))]
    if not found:
        parts.remove()
        raise InputError("none of the micrographs can be used; see what was skipped above")
    with whole(_settings_file(out), overwrite=True) as temporary:
        temporary.write_text(work.describe(), encoding="utf-8")
    write_table(concatenate(found), out, table_format=table_format, overwrite=True, box_px=box_px)
    parts.remove()
    batch.finish()


def _settings_file(out: str) -> Path:
    """`picks.settings.toml` for a table, `settings.toml` inside a folder of tables."""
    path = Path(out)
    return path / "settings.toml" if out.endswith("/") else path.with_suffix(".settings.toml")


def _outputs(
    paths: Sequence[Path], out: str, table_format: str | None, box_px: int | None
) -> list[Path]:
    """The tables to be written, tried without a pick so that mistakes show before the work."""
    import numpy as np

    from cryopick.io import write_picks, write_picks_per_micrograph
    from cryopick.picks import Picks

    nothing = Picks(
        micrographs=tuple(str(path) for path in paths),
        index=np.zeros(0, np.int64),
        xy_px=np.zeros((0, 2)),
        score=np.zeros(0),
    )
    with TemporaryDirectory() as folder:
        if not out.endswith("/"):
            write_picks(nothing, Path(folder, Path(out).name), format=table_format, box_px=box_px)
            return [Path(out)]
        tables = write_picks_per_micrograph(
            nothing, Path(folder), format=table_format or "tsv", box_px=box_px
        )
    return [Path(out) / table.name for table in tables]
