"""`cryopick tomo train` and `pick`: train on tomograms and pick particles in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option

from cryopick.cli.app import stopwatch
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Device, Force
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.cli.tomo_group import (
    TomogramFiles,
    TomogramOption,
    UnbinnedAng,
    VoxelSizeAng,
    tomo,
)
from cryopick.errors import InputError, format_count
from cryopick.tomograms.settings import TomogramPicking, TomogramTraining
from cryopick.workflows.table_output import metadata_file, settings_file

if TYPE_CHECKING:
    from cryopick.picks import Picks
    from cryopick.tomograms.volumes import Tomogram

__all__ = ["pick", "train"]


@tomo.command()
@expand_settings
def train(
    tomograms: TomogramOption,
    picks: Annotated[
        list[Path],
        Option(
            "--picks",
            "-p",
            metavar="PICKS",
            help="Table of labelled particles; repeatable. .tsv, .csv, .star (RELION), .json "
            "(EMAN2), .mod and .txt (IMOD), .tbl (Dynamo) or .cbox.",
        ),
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="MODEL", help="Model file to write (.safetensors).")
    ],
    options: SettingsOptions[TomogramTraining],
    classes: Annotated[
        bool,
        Option(
            "--classes",
            help="Learn a class for each table, or for each number in the class column of a "
            "single table. Without it, all labels are particles of one kind.",
        ),
    ] = False,
    negatives: Annotated[
        Path | None,
        Option(metavar="TABLE", help="Table of negative labels: positions without a particle."),
    ] = None,
    voxel_size_ang: VoxelSizeAng = None,
    unbinned_ang: UnbinnedAng = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Train a model on labelled particles in tomograms.

    The labels need not be complete: 25 in one tomogram are often sufficient. All other areas of the
    tomograms with labels count as unlabelled, not as background.

    Example: cryopick tomo train -t tomo_1.mrc -p labels.star -o ribosome.safetensors
    --diameter-ang 250 --particles-per-tomogram 300
    """
    from cryopick.errors import OutputExistsError
    from cryopick.model.torch_device import require_torch_device
    from cryopick.tomograms.model_file import save_model
    from cryopick.tomograms.training_run import TrainingInputs, train_model
    from cryopick.tomograms.volumes import find_tomograms

    settings = options.build()
    if out.exists() and not force:
        raise OutputExistsError(f"{out}: already exists; overwrite it with --force")
    volumes = find_tomograms(tomograms, voxel_size_ang=voxel_size_ang, unbinned_ang=unbinned_ang)
    inputs = TrainingInputs(
        tomograms=volumes,
        labels=_read_classes(picks, volumes, split=classes),
        negatives=_read_table(negatives, volumes) if negatives else None,
    )
    losses: list[float] = []
    with progress(settings.steps, "Training") as advance:

        def record(_step: int, loss: float) -> None:
            losses.append(loss)
            advance(1)

        model = train_model(inputs, settings, device=require_torch_device(device), on_step=record)
    save_model(model, out, overwrite=force)
    add_results(model=str(out), **{f"labels of {k}": v for k, v in inputs.count_labels().items()})
    counts = ", ".join(f"{count} of {name}" for name, count in inputs.count_labels().items())
    last = losses[-50:]
    note(f"labels: {counts}; loss {sum(last) / len(last):.3f}; model written to {out}")


@tomo.command()
@expand_settings
def pick(
    tomograms: TomogramFiles,
    model: Annotated[
        Path,
        Option("--model", metavar="MODEL", help="Model file written by `cryopick tomo train`."),
    ],
    out: Annotated[
        str,
        Option(
            "--out",
            "-o",
            metavar="OUT",
            help="Table to write: .star for RELION 5, .tsv, .csv, .json for EMAN2, or .txt for "
            "IMOD's point2model. A name that ends in / is a folder with one table per tomogram.",
        ),
    ],
    options: SettingsOptions[TomogramPicking],
    table_format: Annotated[
        str,
        Option("--format", help="Format of the tables of a folder: star, tsv, csv, eman or imod."),
    ] = "star",
    voxel_size_ang: VoxelSizeAng = None,
    unbinned_ang: UnbinnedAng = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Pick particles in tomograms.

    Coordinates in .tsv, .csv and .txt are voxels of the tomogram files; .star and .json follow
    RELION and EMAN2. A model of several classes adds the number of the best class and the scores of
    all.

    Example: cryopick tomo pick 'tomograms/*.mrc' --model ribosome.safetensors -o picks.star
    """
    from cryopick.config import to_toml
    from cryopick.model.torch_device import require_torch_device
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.metadata import write_run_metadata
    from cryopick.tomograms.model_file import load_model
    from cryopick.tomograms.picking import pick_tomogram
    from cryopick.tomograms.tables.formats import check_output, write_points_table
    from cryopick.tomograms.volumes import find_tomograms

    settings, torch_device = options.build(), require_torch_device(device)
    volumes = find_tomograms(tomograms, voxel_size_ang=voxel_size_ang, unbinned_ang=unbinned_ang)
    check_output(out, table_format, volumes)
    trained = load_model(model)
    trained.scorer.to(torch_device)
    by_path = {volume.path: volume for volume in volumes}
    batch = Batch(list(by_path), stage="Picking in tomograms")
    tables = [
        picks
        for _, picks in batch.run(
            lambda path: pick_tomogram(by_path[path], trained, settings, device=torch_device)
        )
    ]
    if not tables:
        raise InputError("none of the tomograms can be used; see the errors above")
    picked = concatenate(tables)
    write_points_table(picked, out, volumes, table_format=table_format, overwrite=force)
    with atomic_write(settings_file(out), overwrite=True) as temporary:
        temporary.write_text(to_toml(settings), encoding="utf-8")
    record = stopwatch().collect_metadata(
        micrographs=list(by_path),
        files={"model": model},
        skipped=batch.skipped_files,
        device=str(torch_device),
    )
    write_run_metadata(record, metadata_file(out))
    above = int((picked.score >= 0).sum())
    note(
        f"{format_count(len(picked), 'pick')} in {format_count(len(tables), 'tomogram')}, {above} "
        f"of them with a score of at least 0, written to {out}"
    )
    add_results(picks=len(picked), tomograms=len(tables), table=out)
    batch.finish()


def _read_classes(
    paths: list[Path], volumes: "list[Tomogram]", *, split: bool
) -> "dict[str, Picks]":
    """Read the labels of each class: one for each table, or for each number of a column."""
    import numpy as np

    from cryopick.picks import concatenate
    from cryopick.tomograms.coordinates import CLASS_COLUMN

    tables = [_read_table(path, volumes) for path in paths]
    if not split:
        return {"particle": concatenate(tables)}
    if len(tables) > 1:
        names = [path.stem for path in paths]
        if len(set(names)) < len(names):
            raise BadParameter("two tables of labels have the same name, which is that of a class")
        return dict(zip(names, tables, strict=True))
    column = tables[0].extra.get(CLASS_COLUMN)
    if column is None:
        raise BadParameter(
            f"--classes needs several tables, or a table with a class column; {paths[0]} has none"
        )
    numbers = column.astype(str)
    return {f"class {value}": tables[0].select(numbers == value) for value in np.unique(numbers)}


def _read_table(path: Path, volumes: "list[Tomogram]") -> "Picks":
    from cryopick.tomograms.tables.formats import read_points_table

    return read_points_table(path, volumes)
