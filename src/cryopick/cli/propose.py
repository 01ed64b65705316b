"""`cryopick propose`: picks without a model."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force, Micrographs, Table, TableFormat
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import planned_tables, settings_file, write_table
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
    pixel_size_ang: Annotated[
        float | None, Option(help="Ångströms per raw pixel [as the files say].")
    ] = None,
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
    force: Force = False,
) -> None:
    """Propose particles without a model: round blobs, or what looks like a template.

    For a first set to label from, or to compare with. Scores are figures of merit, not odds:
    standard deviations for blobs, correlation coefficients for templates. Cut with
    `cryopick threshold`.

    Example: cryopick propose micrographs --diameter-ang 150 -o proposals.star
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.config import to_toml
    from cryopick.io import micrograph_paths, whole
    from cryopick.io.parts import Parts, file_identity
    from cryopick.pick.propose import Proposer, ProposeSettings
    from cryopick.picks import Picks, concatenate

    settings = settings_of(ProposeSettings, options, within=_WITHIN)
    out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
    paths = micrograph_paths(micrographs)
    tables = planned_tables(paths, out, table_format=table_format, box_px=box_px)
    proposer = Proposer.ready(settings, paths)
    told = to_toml(settings)
    of_what = [file_identity(settings.template.path)] if settings.template.file else []
    parts = Parts.beside(Path(out), ["propose", told, *of_what])
    if parts.begin(tables, overwrite=force):
        echo(f"going on with the unfinished work in {parts.folder}", err=True)

    def work(path: Path) -> Picks:
        def find() -> dict[str, Any]:
            found = proposer.propose(path)
            return {"xy_px": found.xy_px, "score": found.score}

        kept = parts.once(file_identity(path), find)
        return Picks.on(str(path), kept["xy_px"], kept["score"])

    batch = Batch(paths, doing="Looking for particles")
    found = [picks for _, picks in batch.run(work)]
    if not found:
        parts.remove()
        raise InputError("none of the micrographs can be used; see what was skipped above")
    with whole(settings_file(out), overwrite=True) as temporary:
        temporary.write_text(told, encoding="utf-8")
    write_table(concatenate(found), out, table_format=table_format, overwrite=True, box_px=box_px)
    parts.remove()
    batch.finish()
