"""Two kinds of particles on the same micrographs: `python benchmarks/classes.py [--topaz PROGRAM]`.

Rings and Y-shaped particles lie on the same simulated micrographs. 25 labels of each kind on two
of them train a model of two classes, a model of each kind alone, and, with `--topaz`, a network of
the reference for each kind (conv31, 300 minibatches). Average precision is that of the picks of a
kind on three other micrographs, where the other kind counts as wrong. Finished steps are kept in
runs/bench/classes.
"""

import argparse
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import FOLDER, cryopick, listed

from cryopick.evaluate.class_merge import CLASS_COLUMN
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.io.images.mrc import write_mrc
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate
from cryopick.simulate.micrograph import simulate_scene
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings

OUT = FOLDER / "classes"
KINDS = ("ring", "y-shaped")
DIAMETER_ANG, PIXEL_ANG, SIDE_PX = 150, 4.0, 512
PARTICLES = 18  # of each kind on a micrograph
MICROGRAPHS, LABELLED, LABELS = 5, 2, 25
DOSE_E_PER_ANG2 = 30.0
RADIUS_PX = DIAMETER_ANG / 3 / PIXEL_ANG
PEER_BINNING, PEER_EPOCHS, PEER_STEPS = 2, 3, 100


def main(program: Path | None) -> None:
    """Run missing steps, and print the table."""
    paths = [OUT / "micrographs" / f"mic_{number}.mrc" for number in range(MICROGRAPHS)]
    truth = {kind: simulate(kind, paths) for kind in KINDS}
    labels = {kind: draw_labels(kind, truth[kind], paths) for kind in KINDS}
    results = {
        "cryopick, one model of two classes": pick_classes(labels, paths),
        "cryopick, a model of each kind": {
            kind: pick_alone(kind, labels[kind], paths) for kind in KINDS
        },
    }
    if program:
        results["Topaz, a network of each kind"] = {
            kind: pick_by_peer(program, kind, labels[kind], paths) for kind in KINDS
        }
    print(f"| method | {' | '.join(KINDS)} | kind of the particles found |")
    print("|---|---|---|---|")
    for name, picks in results.items():
        precisions = [
            evaluate_picks(picks[kind], truth[kind], RADIUS_PX, test_names(paths)).average_precision
            for kind in KINDS
        ]
        right = count_right(picks, truth, test_names(paths))
        print(f"| {name} | {precisions[0]:.3f} | {precisions[1]:.3f} | {right:.1%} right |")


def test_names(paths: list[Path]) -> list[str]:
    """Return the names of the micrographs that are evaluated."""
    return [str(path) for path in paths[LABELLED:]]


def simulate(kind: str, paths: list[Path]) -> Picks:
    """Return the particles of a type; write micrographs of both types, which may overlap."""
    parts = []
    for index, path in enumerate(paths):
        scenes = {}
        for number, name in enumerate(KINDS):
            settings = SimulationSettings(
                width_px=SIDE_PX,
                height_px=SIDE_PX,
                pixel_size_ang=PIXEL_ANG,
                molecule=name,
                particles=PARTICLES,
                dose_e_per_ang2=DOSE_E_PER_ANG2,
                ice_thickness_ang=700.0,
                seed=70 + number,
            )
            if number:
                settings = settings.without_junk()
            scenes[name] = simulate_scene(settings, load_molecule(name), index)
        if not path.exists():
            first, second = (scenes[name] for name in KINDS)
            both = replace(first, intensity=first.intensity * second.intensity)
            image = both.expose(np.random.default_rng([7, index]))
            write_mrc(path, image, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
        parts.append(Picks.for_micrograph(str(path), scenes[kind].xy_px))
    return concatenate(parts)


def draw_labels(kind: str, truth: Picks, paths: list[Path]) -> Path:
    """Write random labels of one type."""
    particles = truth.restrict([str(path) for path in paths[:LABELLED]])
    rows = np.random.default_rng(0).permutation(len(particles))[:LABELS]
    table = OUT / f"{kind}.tsv"
    write_picks(particles.select(np.sort(rows)), table, overwrite=True)
    return table


def train_and_pick(name: str, tables: list[Path], paths: list[Path]) -> Picks:
    """Train with default settings on some tables, and pick the other micrographs."""
    model, out = OUT / f"{name}.safetensors", OUT / f"{name}.star"
    if not model.exists():
        words = [word for table in tables for word in ("-p", table)]
        cryopick(
            *("train", "-m", listed(paths[:LABELLED], OUT / "labelled"), *words, "-o", model),
            *(("--classes",) if len(tables) > 1 else ()),
            *("--diameter-ang", DIAMETER_ANG, "--particles-per-micrograph", PARTICLES),
        )
    if not out.exists():
        test = listed(paths[LABELLED:], OUT / "test")
        cryopick("pick", test, "--model", model, "-o", out)
    return match_names(read_picks(out), paths).picks


def pick_classes(labels: Mapping[str, Path], paths: list[Path]) -> dict[str, Picks]:
    """Pick with one model of all kinds, and return the picks of each class."""
    picks = train_and_pick("classes", list(labels.values()), paths)
    numbers = picks.extra[CLASS_COLUMN].astype(int)
    return {
        kind: picks.select(np.flatnonzero(numbers == number))
        for number, kind in enumerate(labels, start=1)
    }


def pick_alone(kind: str, labels: Path, paths: list[Path]) -> Picks:
    """Pick with a model of one type."""
    return train_and_pick(f"alone-{kind}", [labels], paths)


def pick_by_peer(program: Path, kind: str, labels: Path, paths: list[Path]) -> Picks:
    """Train a network of the reference on a kind, and pick the other micrographs."""
    folder = OUT / f"peer-{kind}"
    small, training, table = folder / "small", folder / "training", folder / "picks.txt"
    if not table.exists():
        training.mkdir(parents=True, exist_ok=True)
        run(program, "preprocess", "-s", PEER_BINNING, "-d", -1, "-o", f"{small}/", *paths)
        for path in paths[:LABELLED]:
            (training / path.name).unlink(missing_ok=True)
            (training / path.name).symlink_to(small / path.name)
        picks = read_picks(labels)
        rows = [
            f"{Path(name).stem}\t{x:.0f}\t{y:.0f}"
            for name, indices in picks.rows_by_micrograph().items()
            for x, y in picks.xy_px[indices] / PEER_BINNING
        ]
        targets = folder / "labels.txt"
        targets.write_text("\n".join(["image_name\tx_coord\ty_coord", *rows, ""]))
        run(
            *(program, "train", "-d", -1, "-m", "conv31", "--no-pretrained", "-r", 2),
            *("--train-images", training, "--train-targets", targets, "-n", PARTICLES),
            *("--num-epochs", PEER_EPOCHS, "--epoch-size", PEER_STEPS),
            *("--save-prefix", folder / "model", "-o", folder / "curve.txt"),
        )
        radius_px = round(DIAMETER_ANG / 2 / PIXEL_ANG / PEER_BINNING)
        run(
            *(program, "extract", "-d", -1, "-m", folder / f"model_epoch{PEER_EPOCHS}.sav"),
            *("-r", radius_px, "-x", PEER_BINNING, "-t", -6, "-o", table),
            *[small / path.name for path in paths[LABELLED:]],
        )
    return match_names(read_picks(table), paths).picks


def run(*words: object) -> None:
    """Run a program on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(list(map(str, words)), check=True, env=environment, capture_output=True)


def count_right(picks: Mapping[str, Picks], truth: Mapping[str, Picks], names: list[str]) -> float:
    """Return the fraction of particles for which their own kind has the highest score nearby.

    Scores of both kinds are probabilities in logits. Particles that no pick lies on do not count.
    """
    found = right = 0
    for kind in KINDS:
        particles = truth[kind].restrict(names)
        scores = []
        for other in KINDS:
            score = np.full(len(particles), -np.inf)
            table = picks[other].restrict(names)
            rows = match_picks(table, particles, RADIUS_PX)
            score[rows[rows >= 0]] = table.score[rows >= 0]
            scores.append(score)
        is_found = np.max(scores, axis=0) > -np.inf
        found += int(is_found.sum())
        right += int((np.argmax(scores, axis=0)[is_found] == KINDS.index(kind)).sum())
    return right / found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topaz", type=Path, help="the reference, such as .peer/bin/topaz")
    main(parser.parse_args().topaz)
