"""`cryopick propose`: pick particles without a model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import open_ledger
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import BoxSize, Config, Force, Micrographs, ShardName, Table, TableFormat
from cryopick.cli.progress import Batch
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.errors import InputError
from cryopick.pick.proposals.settings import ProposeSettings
from cryopick.workflows.table_output import TableOutput, metadata_file, settings_file

__all__ = ["propose"]


@app.command()
@expand_settings
def propose(
    micrographs: Micrographs,
    out: Table,
    options: SettingsOptions[ProposeSettings],
    config: Config = None,
    table_format: TableFormat = None,
    box_px: BoxSize = None,
    shard: ShardName = None,
    force: Force = False,
) -> None:
    """Pick particles by blob detection or template matching.

    Needs no model and no labels. Use it for a first set to label from, or as a baseline. Scores are
    figures of merit, not probabilities: standard deviations for blobs, correlation coefficients for
    templates. Cut the table with `cryopick threshold`. Run the same command again to resume an
    interrupted run.

    Example: cryopick propose micrographs --diameter-ang 150 -o proposals.star
    """
    from cryopick.config import to_toml
    from cryopick.io.images.sizes import list_pixel_sizes
    from cryopick.io.inputs import find_micrographs
    from cryopick.pick.proposals.proposer import Proposer
    from cryopick.picks import Picks, concatenate
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.ledger import Ledger, identify_file
    from cryopick.runs.metadata import write_run_metadata

    settings = options.build(config)
    plan = TableOutput.plan(
        find_micrographs(micrographs), out, shard, table_format=table_format, box_px=box_px
    )
    proposer = Proposer.create(settings, plan.micrographs)
    settings_text = to_toml(settings)
    identities = [identify_file(settings.template.path)] if settings.template.file else []
    ledger = Ledger.for_output(plan.ledger_output, ["propose", settings_text, *identities])

    def work(path: Path) -> Picks:
        def find() -> dict[str, Any]:
            proposals = proposer.propose(path)
            return {"xy_px": proposals.xy_px, "score": proposals.score}

        columns = ledger.compute_once("proposals", find, reads=path)
        return Picks.for_micrograph(str(path), columns["xy_px"], columns["score"])

    batch = Batch(plan.micrographs, stage="Detecting particles")
    with open_ledger(ledger, plan.tables, plan.micrographs, overwrite=force):
        proposer = replace(proposer, order=ledger.list_missing(plan.micrographs, "proposals"))
        tables = [picks for _, picks in batch.run(work)]
        if not tables:
            raise InputError("none of the micrographs can be used; see the errors above")
        with atomic_write(settings_file(plan.out), overwrite=True) as temporary:
            temporary.write_text(settings_text, encoding="utf-8")
        table = concatenate(tables)
        record = stopwatch().collect_metadata(
            micrographs=plan.micrographs, files={}, device="cpu", skipped=batch.skipped_files
        )
        sizes = list_pixel_sizes(plan.micrographs, settings.pixel_size_ang)
        record = replace(record, settings=settings_text, pixel_sizes_ang=sizes)
        add_results(picks=len(table), micrographs=len(table.micrographs))
        note(plan.write(table, record.describe_origin()))
        write_run_metadata(record, metadata_file(plan.out))
    batch.finish()
