"""Pick the sets of `foreign_sets.py` by cryopick and by the peer, one record a result.

A record is a small JSON file, named by set, method, number of labels, draw of labels and version
of the general model (the start of its file's SHA-256), so that results of several models lie side
by side. What has a record is not done again. Everything goes through the command lines, so
that `PYTHONPATH` swaps the code.

- `Job`: what one record is the result of.
- `run_job`: its record.
"""

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from common import CRYOPICK, ROOT, listed
from foreign_sets import ForeignSet, read_pixels, write_mrc

__all__ = ["ALL", "Job", "find_model_version", "record_path", "run_job"]

TOPAZ = ROOT / ".peer" / "bin" / "topaz"
PEER_MODEL = "resnet16"
PEER_ACROSS_PX = (20, 13)  # pixels that a particle spans in the two binnings
LOWEST = "-6"  # a threshold below all that matters, so that precision is averaged to the end
ALL = -1  # labels: all particles of the training micrographs
BEST_PICKS = 50  # of which those on labelled particles are counted

# Options of `cryopick pick` by method; a method runs where the command has its options.
METHODS = {
    "given": ("--diameter-ang",),
    "width": ("--diameter-ang", "--width-ang"),
    "unsized": (),
}


@dataclass(frozen=True)
class Job:
    """A set, and how it is picked.

    Attributes:
        data: The set.
        method: A name of `METHODS`, or `peer`.
        labels: How many are trained on; 0 is the general model.
        draw: Seed of the labels and of training.
        model: Version of the general model.
    """

    data: ForeignSet
    method: str
    labels: int
    draw: int
    model: str

    @property
    def stem(self) -> str:
        """Name of its files."""
        many = "all" if self.labels == ALL else str(self.labels)
        return f"{self.method}-{many}-{self.draw}-{self.model}"

    def is_possible(self) -> bool:
        """There are enough labels and micrographs, and extents that the method needs."""
        if self.labels and (self.data.truth is None or not self.data.n_train):
            return False
        if self.method == "width" and not self.data.is_elongated:
            return False
        missing = [o for o in METHODS.get(self.method, ()) if o not in pick_options()]
        return not missing


def record_path(job: Job, out: Path) -> Path:
    """File of the record."""
    return out / job.data.name.replace(":", "@") / f"{job.stem}.json"


def run_job(job: Job, out: Path) -> dict[str, Any] | None:
    """Record of a job, made where it is missing; `None` where a set has too few labels.

    Args:
        job: What to do.
        out: Folder of the records.
    """
    path = record_path(job, out)
    if path.exists():
        return json.loads(path.read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    if job.method == "peer":
        found = best_of_peer(job, path.with_suffix(""))
    elif job.data.kind == "empty":
        found = count_kept(job, path.with_suffix(".tsv"))
    else:
        picks = pick(job, path)
        if picks is None:
            return None
        found = judge(picks, job)
    key = {"set": job.data.name, "method": job.method, "labels": job.labels, "draw": job.draw}
    record = key | {"model": job.model, "seconds": round(time.monotonic() - started, 1)} | found
    path.write_text(json.dumps(record, indent=1) + "\n")
    return record


def pick(job: Job, record: Path) -> Path | None:
    """Table of picks on all micrographs, or on the test micrographs where labels were used."""
    table = record.with_suffix(".tsv")
    if not job.labels:
        cryopick(
            *("pick", listed(job.data.micrographs, record.with_suffix(".list"))),
            *(*pick_sizes(job), "--threshold", LOWEST, "-o", table, "--force"),
        )
        return table
    labels = draw_labels(job, record.with_suffix(".labels.tsv"))
    if labels is None:
        return None
    model = record.with_suffix(".safetensors")
    pixels = ("--pixel-size-ang", job.data.pixel_size_ang)
    train = listed(job.data.micrographs[: job.data.n_train], record.with_suffix(".train"))
    cryopick(
        *("train", "-m", train, "-p", labels, "--diameter-ang", job.data.given_ang, *pixels),
        *("--seed", job.draw, "-o", model, "--force"),
    )
    cryopick(
        *("pick", listed(job.data.test, record.with_suffix(".test")), "--model", model, *pixels),
        *("--threshold", LOWEST, "-o", table, "--force"),
    )
    return table


def pick_sizes(job: Job) -> tuple[object, ...]:
    """Options that give the particle's size, as the method has them, and the pixel size."""
    values = {"--diameter-ang": job.data.given_ang, "--width-ang": job.data.middle_ang}
    words = [word for option in METHODS[job.method] for word in (option, values[option])]
    return (*words, "--pixel-size-ang", job.data.pixel_size_ang)


def draw_labels(job: Job, out: Path) -> Path | None:
    """Table of labels drawn from the particles on the training micrographs, if there are enough."""
    assert job.data.truth is not None
    names = {path.stem for path in job.data.micrographs[: job.data.n_train]}
    header, *rows = job.data.truth.read_text().splitlines()
    rows = [row for row in rows if row.split("\t")[0] in names]
    if job.labels > len(rows):
        return None
    many = len(rows) if job.labels == ALL else job.labels
    chosen = np.random.default_rng(job.draw).choice(len(rows), many, replace=False)
    out.write_text("\n".join([header, *(rows[at] for at in sorted(chosen))]) + "\n")
    return out


def count_kept(job: Job, table: Path) -> dict[str, Any]:
    """Picks on each micrograph that the automatic threshold keeps."""
    paths = listed(job.data.micrographs, table.with_suffix(".list"))
    cryopick("pick", paths, *pick_sizes(job), "--threshold", "auto", "-o", table, "--force")
    names = [row.split("\t")[0] for row in table.read_text().splitlines()[1:]]
    stems = [path.stem for path in job.data.micrographs]
    return {"kept": [sum(Path(name).stem == stem for name in names) for stem in stems]}


def best_of_peer(job: Job, folder: Path) -> dict[str, Any]:
    """Result of the peer's pretrained detector at its better binning, and its NMS radius.

    The two binnings make the particle, by the geometric mean of its two longest extents, about
    20 and 13 pixels wide. The radius is half the diameter; for rods a quarter is tried also.
    """
    data = job.data
    across_ang = (data.given_ang * (data.middle_ang or data.given_ang)) ** 0.5
    pixel_sizes = [across_ang / across_px / data.pixel_size_ang for across_px in PEER_ACROSS_PX]
    factors = {max(1, round(factor)) for factor in pixel_sizes}
    fractions = (0.5, 0.25) if data.is_elongated else (0.5,)
    tried = {}
    for factor in sorted(factors):
        for fraction in fractions:
            radius_px = fraction * data.given_ang / data.pixel_size_ang / factor
            table = peer_picks(data, folder / f"bin{factor}", factor, max(1, round(radius_px)))
            tried[f"{factor}, {fraction}"] = judge(table, job)
    best = max(tried, key=lambda name: tried[name]["ap"] or 0.0)
    by_try = {name: one["ap"] for name, one in tried.items()}
    return tried[best] | {"binning, radius": best, "tried": by_try}


def peer_picks(data: ForeignSet, folder: Path, factor: int, radius_px: int) -> Path:
    """Table of the peer's picks on the test micrographs, in raw pixels."""
    small, maps = folder / "small", folder / "maps"
    table = folder / f"picks-r{radius_px}.txt"
    scored = [maps / f"{path.stem}.tiff" for path in data.test]
    quiet = ("-d", -1, "-j", 1)
    if not (folder / "scored").exists():
        small.mkdir(parents=True, exist_ok=True)
        raw = [as_mrc(path, folder.parent, data.pixel_size_ang) for path in data.test]
        run(TOPAZ, "preprocess", "-s", factor, *quiet, "-o", f"{small}/", *raw)
        prepared = [small / f"{path.stem}.mrc" for path in data.test]
        words = ("-m", PEER_MODEL, *quiet, "-o", f"{maps}/")
        run(TOPAZ, "segment", *words, *prepared)
        (folder / "scored").touch()
    options = ("-m", "none", "-r", radius_px, "-x", factor, "-t", LOWEST, *quiet)
    run(TOPAZ, "extract", *options, "-o", table, *scored)
    return table


def as_mrc(path: Path, folder: Path, pixel_size_ang: float) -> Path:
    """The micrograph as an MRC file, whose rows the peer reads in the same order."""
    copy = folder / f"{path.stem}.mrc"
    if path.suffix == ".mrc":
        return path
    if not copy.exists():
        write_mrc(copy, read_pixels(path), pixel_size_ang)
    return copy


def judge(table: Path, job: Job) -> dict[str, Any]:
    """Average precision and best F1 on the test micrographs, and on all where all were picked."""
    data = job.data
    if data.judged_px:
        table = crop_table(table, data.judged_px)
    found: dict[str, Any] = {}
    parts = {"test": data.test}
    if not job.labels and job.method != "peer":
        parts["all"] = data.micrographs
    for part, micrographs in parts.items():
        only = table.with_suffix(f".{part}.only")
        only.write_text("".join(f"{path.stem}\n" for path in micrographs))
        words = ("--radius-px", data.radius_px, "--only", only, "--json")
        one = json.loads(cryopick("evaluate", table, data.truth, *words))
        best = one["best"] or {}
        found[part] = {"ap": one["average_precision"]}
        found[part] |= {key: best.get(key) for key in ("f1", "precision", "recall")}
        found[part] |= {key: one[key] for key in ("n_picks", "n_truth", "n_matched")}
    if data.name.startswith("negative_stain"):  # its labels are not all particles
        found["labelled_among_best"] = count_labelled(table, job)
    scores = {"ap": found["test"]["ap"], "f1": found["test"]["f1"]}
    return scores | {"radius_px": round(data.radius_px, 2)} | found


def read_rows(table: Path) -> tuple[list[str], list[list[str]], np.ndarray]:
    """Columns, rows, and the x, y and score of a table of picks."""
    header, *lines = table.read_text().splitlines()
    columns, rows = header.split("\t"), [line.split("\t") for line in lines]
    at = [columns.index(name) for name in ("x_coord", "y_coord", "score")]
    return columns, rows, np.array([[float(row[i]) for i in at] for row in rows]).reshape(-1, 3)


def crop_table(table: Path, judged_px: tuple[float, float, float, float]) -> Path:
    """Table of the picks within the part of the micrographs that is labelled."""
    columns, rows, values = read_rows(table)
    x, y = values[:, 0], values[:, 1]
    left, right, top, bottom = judged_px
    keep = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    out = table.with_suffix(".judged.tsv")
    lines = ["\t".join(row) for row, kept in zip(rows, keep, strict=True) if kept]
    out.write_text("\n".join(["\t".join(columns), *lines]) + "\n")
    return out


def count_labelled(table: Path, job: Job) -> int:
    """Labelled particles that are among the best picks."""
    columns, rows, values = read_rows(table)
    best = np.argsort(-values[:, 2], kind="stable")[:BEST_PICKS]
    out = table.with_suffix(".best.tsv")
    out.write_text("\n".join("\t".join(row) for row in [columns, *(rows[i] for i in best)]) + "\n")
    words = ("--radius-px", job.data.radius_px, "--json")
    return json.loads(cryopick("evaluate", out, job.data.truth, *words))["n_matched"]


def cryopick(*words: object) -> str:
    """Run a command of cryopick's; its stdout."""
    return run(CRYOPICK, *words)


def run(*words: object) -> str:
    """Run a program; its stdout. Its messages are shown where it fails."""
    line = [str(word) for word in words]
    print("$", *line, file=sys.stderr, flush=True)
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


@cache
def pick_options() -> str:
    """Help text of `cryopick pick`."""
    return cryopick("pick", "--help")


@cache
def find_model_version() -> str:
    """Start of the SHA-256 of the general model that the command would use."""
    code = "import cryopick; print(cryopick.__file__)"
    python = CRYOPICK.with_name("python")
    package = Path(run(python, "-c", code).strip()).parent
    (model,) = package.rglob("general.safetensors")
    return hashlib.sha256(model.read_bytes()).hexdigest()[:12]
