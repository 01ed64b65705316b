"""Particles of micrographs, in one process.

- `extract_here`: the work of `extract`.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.clients.topaz_cli.detectors import Looker, Seen, device_of, open_looker
from cryopick.clients.topaz_cli.given import done_with, image_paths
from cryopick.clients.topaz_cli.manners import say
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.clients.topaz_cli.writing import FORMATS, rescaled, write_each, write_one
from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.io.names import stem_of
from cryopick.picks import Picks, concatenate

__all__ = ["extract_here"]

Found = tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]


def extract_here(values: Namespace) -> int:
    """Find the particles of micrographs and write their tables.

    A table has its header whatever was found, also where a micrograph could not be used: a client
    that waits for the file goes on to the next.

    Returns:
        The exit status.

    Raises:
        InputError: The model is missing, or the targets lie on none of the micrographs.
    """
    paths = image_paths(values.paths)
    device = device_of(values.device)
    look = open_looker(values.model, paths, device, radius_px=values.radius)
    radius_px = values.radius
    if values.targets:
        radius_px = _judged_radius(values, paths, look)
        if values.only_validate:
            return 0
    failures: list[Exception] = []
    tables = list(_tables(values, paths, look, radius_px, failures))
    picks = rescaled(concatenate(tables), values.up_scale, values.down_scale)
    kind = FORMATS[values.format]
    if values.per_micrograph:
        places = {str(path): _place(path, values) for path in paths}
        write_each(picks, places, kind, round(2 * radius_px))
    else:
        output = values.output
        if output and Path(output).is_dir():
            output = str(Path(output) / "extracted.txt")
            say(f"# {values.output} is a folder; the table goes to {output}")
        write_one(picks, output, kind, round(2 * radius_px))
    return done_with(len(paths), failures)


def _tables(
    values: Namespace, paths: list[Path], look: Looker, radius_px: float, failures: list[Exception]
) -> Iterator[Picks]:
    """The particles of each micrograph, named by its path; none where it cannot be used."""
    for path in paths:
        try:
            seen = look(path)
        except CryopickError as error:
            failures.append(error)
            yield Picks.on(str(path), np.zeros((0, 2)))
            continue
        xy_px, score = _found(values, seen, radius_px)
        if values.verbose:
            say(f"# Extracted {len(xy_px)} particles from {stem_of(path.name)}")
        yield Picks.on(str(path), xy_px, score)


def _found(values: Namespace, seen: Seen, radius_px: float) -> Found:
    if not values.filaments:
        return seen.particles(radius_px, values.threshold)
    from cryopick.clients.topaz_cli.filaments import straight_pieces

    length_px = values.filaments_length
    pieces = straight_pieces(
        seen,
        radius_px=radius_px,
        length_px=2 * radius_px if length_px is None or length_px <= 0 else length_px,
        threshold=values.threshold,
    )
    return pieces.reshape(-1, 2), np.zeros(2 * len(pieces))


def _place(path: Path, values: Namespace) -> Path:
    """Where the table of one micrograph goes, without the ending of its format."""
    folder = Path(values.output) if values.output else path.parent
    return folder / f"{stem_of(path.name)}{values.suffix}"


def _judged_radius(values: Namespace, paths: list[Path], look: Looker) -> float:
    """The radius given, or the one tried that ranks the targets best; judged on stderr or stdout.

    Raises:
        InputError: The targets lie on none of the micrographs.
        SettingsError: There is no radius to try.
    """
    targets = read_tables([values.targets])
    labelled = [path for path in paths if stem_of(path.name) in targets.micrographs]
    if not labelled:
        raise InputError(
            f"{values.targets}: its particles lie on none of the {len(paths)} micrographs"
        )
    seen = {stem_of(path.name): look(path) for path in labelled}
    radii = [values.radius]
    if values.radius is None:
        radii = list(np.arange(values.min_radius, values.max_radius + 1e-9, values.step_radius))
        if not radii or radii[0] <= 0:
            raise SettingsError("--min-radius, --max-radius and --step-radius leave no radius")
    rows = [(radius, *_judge(values, seen, targets, radius)) for radius in map(float, radii)]
    table = ["radius\tauprc\trecall\tpredicted"]
    table += [f"{r:g}\t{auprc:.6g}\t{recall:.6g}\t{count}" for r, auprc, recall, count in rows]
    text = "\n".join([*table, ""])
    (sys.stdout if values.only_validate else sys.stderr).write(text)
    return max(rows, key=lambda row: (row[1], -row[0]))[0]


def _judge(
    values: Namespace, seen: Mapping[str, Seen], targets: Picks, radius_px: float
) -> tuple[float, float, int]:
    """Average precision, recall and number of what a radius finds."""
    reach = values.assignment_radius if values.assignment_radius >= 0 else radius_px
    picks = concatenate(
        [Picks.on(name, *own.particles(radius_px, values.threshold)) for name, own in seen.items()]
    )
    judged = evaluate_picks(picks, targets.restrict(list(seen)), reach)
    return judged.average_precision or 0.0, judged.all_picks.recall, len(picks)
