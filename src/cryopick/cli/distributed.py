"""`cryopick merge` and `watch`: picking on clusters and during data collection."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import (
    MICROGRAPHS,
    BoxSize,
    Config,
    Device,
    Force,
    ModelFile,
    choose_model_file,
)
from cryopick.cli.outputs import OutputFolder
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.cli.tables import read_with_context, write_table
from cryopick.errors import InputError, UnfinishedError, format_count
from cryopick.pick.settings import PickSettings
from cryopick.workflows.table_output import metadata_file, plan_tables, settings_file

__all__ = ["merge", "watch"]


@app.command()
def merge(
    out: Annotated[
        Path, Argument(metavar="OUT", help="Table to write; the --out of the sharded commands.")
    ],
    box_px: BoxSize = None,
    force: Force = False,
) -> None:
    """Merge the tables of commands run with --shard.

    All shards must exist and have the same model and settings. The result is the table that one
    run on all micrographs would have written. The shards are kept.

    Example: cryopick merge picks.star
    """
    from cryopick.distributed.shards import find_shard_tables, merge_shards
    from cryopick.io.tables.codec import TableLayout
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.metadata import write_run_metadata
    from cryopick.workflows.micrograph_table import (
        merge_micrograph_tables,
        micrograph_table_file,
    )

    if out.is_dir():
        raise InputError(f"{out}: is a folder; shards that write to a folder need no merge")
    parts = find_shard_tables(out)
    settings_files = [settings_file(str(part)) for part in parts]
    texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in settings_files]
    for file, text in zip(settings_files, texts, strict=True):
        if text != texts[0]:
            raise InputError(
                f"{file}: its settings differ from {settings_files[0].name}; run that shard again"
            )
    picks, context = read_with_context(parts, str(out), None)
    table, record = merge_shards(picks, [metadata_file(str(part)) for part in parts])
    layout = TableLayout(star=context)
    write_table(table, str(out), table_format=None, overwrite=force, box_px=box_px, layout=layout)
    if texts[0]:
        with atomic_write(settings_file(str(out)), overwrite=True) as temporary:
            temporary.write_text(texts[0], encoding="utf-8")
    merge_micrograph_tables(
        [micrograph_table_file(part) for part in parts],
        micrograph_table_file(out),
        order=record.micrographs if record else (),
    )
    if record is not None:
        write_run_metadata(record, metadata_file(str(out)))
        if record.skipped:
            raise UnfinishedError(
                f"the shards skipped {format_count(len(record.skipped), 'micrograph')}: "
                f"{', '.join(record.skipped[:3])}; the others are in {out}"
            )


@app.command()
@expand_settings
def watch(
    micrographs: Annotated[
        list[str],
        Argument(
            metavar="MIC", help=f"Micrographs, including those not written yet. {MICROGRAPHS}"
        ),
    ],
    out: OutputFolder,
    options: Annotated[
        SettingsOptions[PickSettings],
        Fields(only=("threshold", "radius_ang", "diameter_ang", "pixel_size_ang")),
    ],
    model: ModelFile = None,
    config: Config = None,
    table_format: Annotated[
        str, Option("--format", help="Format of the tables, as for `cryopick pick`.")
    ] = "star",
    box_px: BoxSize = None,
    every_s: Annotated[
        float, Option(min=0.05, help="Interval between checks for new files, in seconds.")
    ] = 10.0,
    until_idle_s: Annotated[
        float | None,
        Option(min=0, help="Stop after this many seconds without a new file. [default: never]"),
    ] = None,
    device: Device = "auto",
) -> None:
    """Pick micrographs during data collection.

    Writes one table per micrograph, until Ctrl-C. A file is complete when two checks in a row find
    it unchanged. Picked micrographs are not picked again after a restart, unless the file changed.
    DIR/status.html and DIR/status.json show the progress; with STAR tables, DIR/autopick.star lists
    them for RELION.

    Example: cryopick watch 'MotionCorr/job002/Movies/*.mrc' --diameter-ang 150 -o picks
    """
    from cryopick.distributed.live_picking import LivePicker
    from cryopick.distributed.watch_folder import FolderWatcher, find_present_micrographs
    from cryopick.model.device import require_device
    from cryopick.pick.batch import PickBatch

    settings = options.build(config)
    file = choose_model_file(model, settings.diameter_ang)
    plan_tables([], f"{out}/", table_format=table_format, box_px=box_px)
    work = PickBatch.open(file, settings, require_device(device))
    watcher = FolderWatcher(lambda: find_present_micrographs(micrographs))
    live_picker = LivePicker(watcher, work, out, table_format=table_format, box_px=box_px)
    result = live_picker.run(
        every_s=every_s, until_idle_s=until_idle_s, notify=lambda text: note(text)
    )
    add_results(picked=result.picked, new=result.new, failures=result.failures)
    note(f"picked {format_count(result.new, 'new micrograph')}, {result.picked} in total")
    if result.failures:
        raise UnfinishedError(
            f"could not use {format_count(len(result.failures), 'micrograph')}: "
            f"{', '.join(result.failures)}; the "
            "others are picked"
        )
