"""`cryopick propose`: picks without a model."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.batches import Batched, ledger
from cryopick.cli.options import Force, Micrographs, RawPixelSizeAng, ShardName, Table, TableFormat
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import record_file, settings_file, write_table
from cryopick.errors import InputError

__all__ = ["propose"]

_WITHIN = {
    "sigma_frac": "blob.sigma_frac",
    "ratio": "blob.ratio",
    "templates": "template.file",
    "views": "template.views",
    "step_deg": "template.step_deg",
    "template_pixel_size_ang": "template.pixel_size_ang",
}


@app.command()
def propose(
    micrographs: Micrographs,
    out: Table,
    diameter_ang: Annotated[
        float | None, Option(help="Particle diameter in ångströms; of a long one about half.")
    ] = None,
    templates: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="Correlate with a map or atomic model, with class averages (.mrcs), or with the "
            "average of a table of picks.",
        ),
    ] = None,
    contrast: Annotated[
        str | None, Option(help="Particles are dark or light on the micrographs [dark].")
    ] = None,
    threshold: Annotated[
        float | None,
        Option(help="Keep figures of merit of at least this; a low floor [0.5, templates 0.1]."),
    ] = None,
    radius_ang: Annotated[
        float | None, Option(help="Least distance between proposals [half the diameter].")
    ] = None,
    pixel_size_ang: RawPixelSizeAng = None,
    margin_ang: Annotated[
        float | None, Option(help="Leave out proposals closer to an edge than this [0].")
    ] = None,
    clip_sd: Annotated[
        float | None, Option(help="Count pixels as no further off than this many spreads [2].")
    ] = None,
    sigma_frac: Annotated[
        float | None, Option(help="Blobs: narrower Gaussian, in diameters [0.21].")
    ] = None,
    ratio: Annotated[
        float | None, Option(help="Blobs: the wider Gaussian over the narrower [1.2].")
    ] = None,
    views: Annotated[int | None, Option(help="Templates: projections of a map [40].")] = None,
    step_deg: Annotated[
        float | None, Option(help="Templates: turn in the plane between copies [15].")
    ] = None,
    template_pixel_size_ang: Annotated[
        float | None, Option(help="Ångströms per pixel of class averages [as the file says].")
    ] = None,
    table_format: TableFormat = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    shard: ShardName = None,
    force: Force = False,
) -> None:
    """Propose particles without a model: round blobs, or what looks like a template.

    For a first set to label from, or to compare with. Scores are figures of merit, not odds:
    standard deviations for blobs, correlation coefficients for templates. Cut with
    `cryopick threshold`. The same command again does only what is missing.

    Example: cryopick propose micrographs --diameter-ang 150 -o proposals.star
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.config import to_toml
    from cryopick.io.inputs import micrograph_paths
    from cryopick.pick.proposals.proposer import Proposer
    from cryopick.pick.proposals.settings import ProposeSettings
    from cryopick.picks import Picks, concatenate
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.ledger import Parts, file_identity
    from cryopick.runs.metadata import write_record

    settings = settings_of(ProposeSettings, options, within=_WITHIN)
    plan = Batched.plan(
        micrograph_paths(micrographs), out, shard, table_format=table_format, box_px=box_px
    )
    proposer = Proposer.ready(settings, plan.paths)
    told = to_toml(settings)
    of_what = [file_identity(settings.template.path)] if settings.template.file else []
    parts = Parts.beside(plan.beside, ["propose", told, *of_what])

    def work(path: Path) -> Picks:
        def find() -> dict[str, Any]:
            found = proposer.propose(path)
            return {"xy_px": found.xy_px, "score": found.score}

        kept = parts.once("proposals", find, reads=path)
        return Picks.on(str(path), kept["xy_px"], kept["score"])

    batch = Batch(plan.paths, doing="Looking for particles")
    with ledger(parts, plan.tables, plan.paths, overwrite=force):
        proposer = replace(proposer, order=parts.missing(plan.paths, "proposals"))
        found = [picks for _, picks in batch.run(work)]
        if not found:
            raise InputError("none of the micrographs can be used; see what was skipped above")
        with whole(settings_file(plan.out), overwrite=True) as temporary:
            temporary.write_text(told, encoding="utf-8")
        table = concatenate(found)
        write_table(table, plan.out, table_format=table_format, overwrite=True, box_px=box_px)
        record = stopwatch().record(
            micrographs=plan.paths, files={}, device="cpu", skipped=batch.skipped
        )
        write_record(record, record_file(plan.out))
    batch.finish()
