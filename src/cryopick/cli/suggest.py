"""`cryopick suggest`: what to label next."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.batches import ledger
from cryopick.cli.options import (
    Device,
    Force,
    Micrographs,
    ModelDiameterAng,
    ModelFile,
    RawPixelSizeAng,
    Table,
    TableFormat,
    chosen_model,
)
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import settings_of
from cryopick.cli.tables import planned_tables, settings_file, write_table
from cryopick.errors import InputError

if TYPE_CHECKING:
    from cryopick.active.candidates import CandidateBatch
    from cryopick.picks import Picks
    from cryopick.runs.ledger import Parts

__all__ = ["suggest"]


@app.command()
def suggest(
    micrographs: Micrographs,
    out: Table,
    model: ModelFile = None,
    labels: Annotated[
        Path | None, Option(metavar="PICKS", help="Particles labelled so far; kept clear of.")
    ] = None,
    asked: Annotated[
        list[Path] | None,
        Option(metavar="PICKS", help="Earlier suggestions, whatever their answer; repeat."),
    ] = None,
    count: Annotated[int | None, Option(help="Candidates to suggest [50].")] = None,
    first: Annotated[
        int | None,
        Option(
            "--micrographs",
            metavar="N",
            help="Name the N micrographs to label first; candidates on these alone.",
        ),
    ] = None,
    out_micrographs: Annotated[
        Path | None,
        Option(metavar="LIST", help="Write the micrographs in the order to label, one a line."),
    ] = None,
    particles_per_micrograph: Annotated[
        float | None, Option(help="Particles expected on a micrograph [as in training].")
    ] = None,
    threshold: Annotated[
        float, Option(help="Consider picks of at least this logit; a low floor.")
    ] = -6.0,
    radius_ang: Annotated[
        float | None, Option(help="Least distance between candidates [half the diameter].")
    ] = None,
    diameter_ang: ModelDiameterAng = None,
    pixel_size_ang: RawPixelSizeAng = None,
    margin_ang: Annotated[
        float | None, Option(help="Leave out places closer to an edge than this [0].")
    ] = None,
    table_format: TableFormat = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Suggest what to label next: the places whose answer would teach a model most.

    OUT has them in the order to label, with their scores and, in the column `teaches`, what
    each is worth beside those before it: probable particles that the model is not sure of and
    that differ from each other and from the labels, spread over the micrographs. While labels
    are few, sure ones come too. With --micrographs the micrographs' names go to stdout.

    Example: cryopick suggest micrographs --model particle.safetensors --labels labels.star
    -o candidates.star
    """
    options: dict[str, Any] = locals()  # by the names of the settings' fields
    from cryopick.active.acquisition import SuggestSettings
    from cryopick.active.candidates import CandidateBatch
    from cryopick.io.inputs import micrograph_paths
    from cryopick.model.device import ready_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings
    from cryopick.runs.atomic_write import whole

    settings = settings_of(SuggestSettings, options | {"micrographs": first})
    picking = settings_of(PickSettings, options)
    model = chosen_model(model, diameter_ang)
    out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
    paths = micrograph_paths(micrographs)
    outputs = planned_tables(paths, out, table_format=table_format, box_px=box_px)
    if out_micrographs in outputs:
        raise BadParameter("--out and --out-micrographs name the same file; name two")
    outputs += [out_micrographs] if out_micrographs else []
    candidates = CandidateBatch(
        work=PickBatch.open(model, picking, ready_device(device), paths),
        settings=settings,
        labels=_on(paths, [labels] if labels else []),
        asked=_on(paths, asked or []),
    )
    parts = candidates.parts(Path(out))
    batch = Batch(paths, doing="Picking micrographs")
    with ledger(parts, outputs, paths, overwrite=force, keep=False):
        order, chosen = _choose(candidates, batch, parts)
        if out_micrographs:
            _write_list(order, out_micrographs)
        if first:
            echo("\n".join(order[:first]))
        with whole(settings_file(out), overwrite=True) as temporary:
            temporary.write_text(candidates.describe(), encoding="utf-8")
        write_table(chosen, out, table_format=table_format, overwrite=True, box_px=box_px)
    batch.finish()


def _on(paths: Sequence[Path], tables: Sequence[Path]) -> "Picks":
    """The places of some tables on the micrographs at hand; others are counted and told."""
    from cryopick.io.names import match_names
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.picks import concatenate

    matched = []
    for table in tables:
        read = read_picks(table)
        found = match_names(read, paths).picks
        left_out = len(read) - len(found)
        if left_out == len(read) > 0:
            raise InputError(
                f"{table}: none of its {len(read)} picks lies on one of the {len(paths)} "
                f"micrographs: it names {read.micrographs[0]!r}, they are such as "
                f"{paths[0].name!r}; give the micrographs that it is about"
            )
        if left_out:
            where = f"{left_out} picks of {table} on micrographs that were not given"
            echo(f"left out: {where}", err=True)
        matched.append(found)
    return concatenate(matched)


def _choose(
    candidates: "CandidateBatch", batch: Batch, parts: "Parts"
) -> tuple[list[str], "Picks"]:
    """Pick all micrographs, look at what is worth it, and choose among that."""
    found = dict(batch.run(lambda path: candidates.work.pick(path, parts)))
    if not found:
        raise InputError("none of the micrographs can be used; see what was skipped above")
    shift = candidates.shift(list(found.values()))
    looks = []
    with progress(len(found), "Looking at candidates") as advance:
        for path, picks in found.items():
            looks.append(candidates.look(path, picks, shift, parts, len(found)))
            advance(1)
    return candidates.choose(looks, shift)


def _write_list(names: Sequence[str], path: Path) -> None:
    """Write micrographs in full, so that the list means the same from everywhere."""
    from cryopick.runs.atomic_write import whole

    with whole(path, overwrite=True) as temporary:
        text = "".join(f"{Path(name).absolute()}\n" for name in names)
        temporary.write_text(text, encoding="utf-8")
