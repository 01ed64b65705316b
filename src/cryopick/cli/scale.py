"""`cryopick merge`, `submit` and `watch`: many machines, and micrographs still to come."""

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import (
    MICROGRAPHS,
    Device,
    Force,
    ModelDiameterAng,
    ModelFile,
    PickRadiusAng,
    RawPixelSizeAng,
    chosen_model,
)
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import planned_tables, record_file, settings_file, write_table
from cryopick.errors import InputError, UnfinishedError

__all__ = ["merge", "submit", "watch"]

_IN_PARTS = ("pick", "score", "propose", "filaments")


@app.command()
def merge(
    out: Annotated[
        Path, Argument(metavar="OUT", help="The table, as `--out` of the parts had it.")
    ],
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    force: Force = False,
) -> None:
    """Put the parts of a table together that `cryopick pick --shard` wrote.

    All must be there, and made with the same model and settings. The table is what one run of all
    micrographs would have written. The parts stay.

    Example: cryopick merge picks.star
    """
    from cryopick.distributed.shards import merged, shards_of
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.metadata import write_record

    if out.is_dir():
        raise InputError(f"{out}: is a folder; parts that write into one need not be merged")
    parts = shards_of(out)
    told = [settings_file(str(part)) for part in parts]
    texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in told]
    for file, text in zip(told, texts, strict=True):
        if text != texts[0]:
            raise InputError(
                f"{file}: says other settings than {told[0].name}; run that part again"
            )
    table, record = merged(parts, [record_file(str(part)) for part in parts])
    write_table(table, str(out), table_format=None, overwrite=force, box_px=box_px)
    if texts[0]:
        with whole(settings_file(str(out)), overwrite=True) as temporary:
            temporary.write_text(texts[0], encoding="utf-8")
    if record is not None:
        write_record(record, record_file(str(out)))
        if record.skipped:
            raise UnfinishedError(
                f"{len(record.skipped)} micrographs were skipped in the parts: "
                f"{', '.join(record.skipped[:3])}; the others are in {out}"
            )


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def submit(
    words: Annotated[
        list[str], Argument(metavar="pick …", help="The command, as it would be typed here.")
    ],
    scheduler: Annotated[str, Option(help="slurm, pbs, sge or lsf.")],
    shards: Annotated[int, Option(min=2, max=100_000, help="Parts, each a task of the array.")],
    out: Annotated[Path, Option("--script", "-s", metavar="FILE", help="Script to write.")],
    cores: Annotated[int, Option(min=1, help="Cores for each task.")] = 4,
    force: Force = False,
) -> None:
    """Write a batch script that runs a command in parts on a cluster.

    Give the options of submit before the command.

    Example: cryopick submit --scheduler slurm --shards 20 -s job.sh pick mics -o picks.star
    --diameter-ang 150
    """
    from cryopick.distributed.submit import SCHEDULERS, script
    from cryopick.runs.atomic_write import whole

    if scheduler not in SCHEDULERS:
        raise BadParameter(f"--scheduler is one of {', '.join(SCHEDULERS)}; got {scheduler!r}")
    if words[0] not in _IN_PARTS:
        raise BadParameter(f"only {', '.join(_IN_PARTS)} can be done in parts; got {words[0]}")
    text = script(scheduler, words, of=shards, cores=cores, file=str(out))
    with whole(out, overwrite=force) as temporary:
        temporary.write_text(text, encoding="utf-8")
    out.chmod(0o755)
    echo(f"{text.split('# ')[1].splitlines()[0]}", err=True)


@app.command()
def watch(
    micrographs: Annotated[
        list[str], Argument(metavar="MIC", help=f"Where micrographs appear. {MICROGRAPHS}")
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="DIR", file_okay=False, help="Folder for the tables.")
    ],
    model: ModelFile = None,
    threshold: Annotated[
        float | None, Option(help="Keep picks of at least this logit; a low floor [-6].")
    ] = None,
    radius_ang: PickRadiusAng = None,
    diameter_ang: ModelDiameterAng = None,
    pixel_size_ang: RawPixelSizeAng = None,
    table_format: Annotated[str, Option("--format", help="Format of the tables.")] = "star",
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    every_s: Annotated[float, Option(min=0.05, help="Seconds between looks.")] = 10.0,
    until_idle_s: Annotated[
        float | None, Option(min=0, help="End when nothing has come for so long [never].")
    ] = None,
    device: Device = "auto",
) -> None:
    """Pick micrographs as they appear, one table each, until Ctrl-C.

    A file counts as complete when two looks find it unchanged. What was picked is not picked
    again, also after a new start; a file that changes is. DIR/status.html and status.json tell how
    far it is; with STAR tables, DIR/autopick.star lists them for RELION.

    Example: cryopick watch 'MotionCorr/job002/Movies/*.mrc' --diameter-ang 150 -o picks
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.distributed.live_picking import Station
    from cryopick.distributed.watch_folder import Watcher, there_now
    from cryopick.model.device import ready_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings

    settings = settings_of(PickSettings, options)
    file = chosen_model(model, diameter_ang)
    planned_tables([], f"{out}/", table_format=table_format, box_px=box_px)
    work = PickBatch.open(file, settings, ready_device(device))
    watcher = Watcher(lambda: there_now(micrographs))
    station = Station(watcher, work, out, table_format=table_format, box_px=box_px)
    done = station.run(
        every_s=every_s, until_idle_s=until_idle_s, tell=lambda text: echo(text, err=True)
    )
    echo(f"picked {done.new} micrographs, {done.picked} in all", err=True)
    if done.failures:
        raise UnfinishedError(
            f"{len(done.failures)} micrographs could not be used: {', '.join(done.failures)}; the "
            "others are done"
        )
