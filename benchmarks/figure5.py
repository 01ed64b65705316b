"""Figure 5 of Bepler et al. 2019 in full: objectives, labels and autoencoder, by training steps.

Runs `cryopick benchmark` on EMPIAR-10017, T20S and three simulated sets, in the setting of the
paper and in that of `cryopick train`. Draws of labels are the outer loop, so that an interruption
leaves complete draws; the same command continues. Finished trials are kept in runs/figure5. Trials
that differ only in their objective share minibatches, which are kept on disk (a megabyte a step).

    OMP_NUM_THREADS=1 nice -n 15 .venv/bin/python benchmarks/figure5.py
    .venv/bin/python benchmarks/figure5.py --short       # a part of it, on all sets
    .venv/bin/python benchmarks/figure5.py --export      # docs/results/figure5.tsv.gz
    .venv/bin/python benchmarks/figure5.py --report      # tables and figures from the export

`--export` writes one row per evaluation of each finished trial. `--report` needs only the export.
"""

import argparse
import csv
import gzip
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np
from common import ROOT, listed
from empiar10017 import DATA as EMPIAR
from empiar10017 import micrographs

from cryopick.cli import app
from cryopick.experiments.results import load_records
from cryopick.train import loop
from cryopick.train.sampling import Minibatch, Sampler

if TYPE_CHECKING:
    import torch

OUT = ROOT / "runs" / "figure5"
EXPORT = ROOT / "docs" / "results" / "figure5.tsv.gz"
FIGURES = ROOT / "docs" / "results"
T20S = EMPIAR.parent / "real" / "t20s"

MOLECULES = {"compact": 171, "rod": 218, "y-shaped": 150}  # longest extent in ångströms
SETS = ("empiar10017", "t20s", *MOLECULES)
SIMULATED, TRAINING = 24, 18  # micrographs with 70 particles each; 18 contain 1,260 labels
OBJECTIVES = ("pn", "nnpu", "ge-kl", "ge-binomial")
AUTOENCODERS = ("0", "1", "10/N")
LABELS = (10, 25, 50, 100, 250, 1000)
DRAWS = 10
PARTS = ("objectives", "autoencoder")
MEASURES = ("region_average_precision", "particle_average_precision")
REFERENCE = "ge-binomial"
METHODS = (*OBJECTIVES, *(f"{REFERENCE}, γ {weight}" for weight in AUTOENCODERS[1:]))
MIN_DRAWS = 3  # for a mean in the figure, and for a test
INTERRUPTED = 130  # exit status

# The paper's minibatch: 256 separate regions, 1/16 of them labelled; λ is 1 for 240 regions.
PAPER = """
normalization = "dataset"
steps = {steps}
schedule = "constant"
learning_rate = 2e-4
warm_up_steps = 0
independent_regions = 240
[network]
name = "conv31"
width = {width}
dropout = 0.0
[sampling]
patch_px = 31
unlabelled_patches = 240
positive_patches = 16
label_radius_px = 3.0
contrast = 0.0
noise = 0.0
spectral_augmentation = 0.0
"""
# That of `cryopick train` from random weights, as long as the paper's.
OURS = """
normalization = "white"
steps = {steps}
warm_up_steps = {warm_up}
[network]
width = {width}
"""
SETTINGS = {"paper": PAPER, "ours": OURS}

COLUMNS = (
    *("set", "setting", "objective", "autoencoder", "labels", "draw", "step", "steps", "width"),
    *("region_average_precision", "particle_average_precision", "seconds", "version"),
)


def main() -> None:
    """Run missing trials, export or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--labels", nargs="+", type=int, default=list(LABELS))
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=300, help="steps between evaluations")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--short", action="store_true", help="a short form of the study")
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--report", action="store_true")
    chosen = parser.parse_args()
    if chosen.export:
        export()
        return
    if chosen.report:
        report()
        return
    if chosen.short:
        chosen.settings, chosen.labels = ["paper"], [25]
        chosen.draws, chosen.steps, chosen.every, chosen.width = 3, 1500, 300, 16
    loop.Sampler = RepeatedSampler  # type: ignore[misc]  # trials of a draw share minibatches
    for draw in range(chosen.draws):
        for name in chosen.sets:
            for setting in chosen.settings:
                for labels in chosen.labels:
                    run(name, setting, labels, draw, chosen)


def run(name: str, setting: str, labels: int, draw: int, chosen: argparse.Namespace) -> None:
    """Run the trials of one draw of labels: four objectives, and the weights of the autoencoder."""
    text = SETTINGS[setting].format(
        steps=chosen.steps, width=chosen.width, warm_up=min(200, 2 * chosen.steps // 5)
    )
    options = [*data(name), "--labels", labels, "--repeats", draw + 1, "--jobs", 1]
    options += ["--evaluate-every", chosen.every]
    folder = OUT / setting / name
    options += ["--config", write_settings(text, name, setting)]
    if "objectives" in chosen.parts:
        objectives = [word for name in chosen.objectives for word in ("--objective", name)]
        cryopick("benchmark", folder, *options, *objectives)
    if "autoencoder" in chosen.parts:
        weights = [word for weight in AUTOENCODERS[1:] for word in ("--autoencoder", weight)]
        cryopick("benchmark", folder, *options, "--objective", "ge-binomial", *weights)


class RepeatedSampler(Sampler):
    """Sampler that repeats the minibatches of the last trial if that had the same ones.

    Trials that differ only in their objective draw the same minibatches, which takes longer than
    to train on them. Patches are kept in a temporary file.
    """

    key: ClassVar[object] = None
    batches: ClassVar[list[dict[str, Any]]] = []  # fields of each, without patches
    patches: ClassVar[IO[bytes]] = BytesIO()

    def batch(self, step: int, device: "torch.device") -> Minibatch:
        """Return the batch of a step."""
        import torch

        shared = RepeatedSampler
        key = (self.store.folder, self.store.fingerprint, self.seed, self.settings, self.geometry)
        if shared.key != key:
            shared.key, shared.batches = key, []
            shared.patches.close()
            shared.patches = TemporaryFile()  # noqa: SIM115  # open until the next draw
        if step == len(shared.batches):
            batch = super().batch(step, device)
            shared.patches.seek(0, 2)
            shared.patches.write(batch.patches.numpy().tobytes())
            kept = {name: value for name, value in vars(batch).items() if name != "patches"}
            shared.batches.append(kept)
            return batch
        side = self.geometry.patch_px
        count = self.settings.unlabelled_patches + self.settings.positive_patches
        shared.patches.seek(4 * step * count * side**2)
        content = bytearray(shared.patches.read(4 * count * side**2))
        pixels = np.frombuffer(content, np.float32).reshape(count, 1, side, side)
        return Minibatch(patches=torch.from_numpy(pixels), **shared.batches[step])


def write_settings(text: str, name: str, setting: str) -> Path:
    """Write the settings file of a set; the diameter is required in it."""
    diameter_ang = {"empiar10017": 190, "t20s": 150, **MOLECULES}[name]
    path = OUT / "settings" / f"{setting}-{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"diameter_ang = {diameter_ang}\n{text}")
    return path


def data(name: str) -> list[object]:
    """Return the options for a data set, which is simulated if missing."""
    if name == "empiar10017":
        known: list[object] = ["-p", EMPIAR / "particles.tsv", "--pixel-size-ang", 1.77]
        parted = micrographs("train"), micrographs("test")
    elif name == "t20s":
        known = ["-p", T20S / "auto_picks.tsv", "--pixel-size-ang", 7.84]
        paths = sorted(T20S.glob("*.png"))
        parted = paths[:5], paths[5:]
    else:
        folder = OUT / "data" / name
        if not (folder / "particles.tsv").exists():
            cryopick(
                *("simulate", folder, "--count", SIMULATED, "--molecule", name),
                *("--particles", 70, "--width-px", 1536, "--height-px", 1536),
                *("--pixel-size-ang", 2, "--ice-thickness-ang", 700),
                *("--dose-e-per-ang2", 30, "--seed", 5),
            )
        known = ["-p", folder / "particles.tsv"]
        paths = sorted((folder / "micrographs").glob("*.mrc"))
        parted = paths[:TRAINING], paths[TRAINING:]
    options = known
    for option, paths in zip(("-m", "--held-out-micrographs"), parted, strict=True):
        options += [option, listed(paths, OUT / "lists" / f"{name}{option}")]
    return options


def cryopick(*arguments: object) -> None:
    """Run a cryopick command in this process; a failed trial does not stop the rest."""
    words = list(map(str, arguments))
    print("$ cryopick", *words, file=sys.stderr, flush=True)
    if app(words, standalone_mode=False) == INTERRUPTED:
        sys.exit(INTERRUPTED)


def export() -> None:
    """Write one row per evaluation of each finished trial to a compressed table."""
    rows = [
        (
            *(folder.name, folder.parent.name, record.settings["objective"]),
            *(record.settings["autoencoder"], record.labels, record.repeat),
            *(step, record.steps, record.settings["network"]["width"]),
            *(f"{regions:.5f}", f"{particles:.5f}", f"{record.seconds:.0f}", record.version),
        )
        for folder in sorted(path.parent for path in OUT.glob("*/*/runs"))
        for record in load_records(folder)
        for step, regions, particles in record.curve
    ]
    with gzip.GzipFile(EXPORT, "wb", mtime=0) as compressed:
        lines = ["\t".join(map(str, row)) for row in [COLUMNS, *rows]]
        compressed.write(("\n".join(lines) + "\n").encode())
    print(f"{len(rows)} evaluations written to {EXPORT}", file=sys.stderr)


def read_export() -> list[dict[str, str]]:
    """Read the rows of the export."""
    with gzip.open(EXPORT, "rt") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def report() -> None:
    """Print average precision by steps with paired t-tests, and draw it."""
    rows = read_export()
    for measure in MEASURES:
        print(f"\n### {measure.replace('_', ' ')}")
        steps: list[int] = []
        for (name, setting, labels), group in group_rows(rows, measure):
            found = sorted({step for table in group.values() for step in table})
            if found != steps:
                steps = found
                shown = " | ".join(f"{step} steps" for step in steps)
                print(f"\n| set | setting | labels | method | {shown} | against {REFERENCE} |")
                print("|---" * (len(steps) + 5) + "|")
            for method, table in group.items():
                cells = [name, setting, labels, method]
                cells += [describe(table.get(step, {})) for step in steps]
                print(f"| {' | '.join(cells)} | {compare(group, method, steps[-1])} |")
    draw(rows)


def group_rows(
    rows: Sequence[dict[str, str]], measure: str
) -> Iterator[tuple[tuple[str, ...], dict[str, dict[int, dict[str, float]]]]]:
    """Yield set, setting and labels with the values by method, step and draw."""
    groups: dict[tuple[str, ...], dict[str, dict[int, dict[str, float]]]] = {}
    for row in rows:
        key = (row["set"], f"{row['setting']}, width {row['width']}", row["labels"])
        gamma = row["autoencoder"]
        method = row["objective"] + (f", γ {gamma}" if gamma != "0" else "")
        tables = groups.setdefault(key, defaultdict(lambda: defaultdict(dict)))
        tables[method][int(row["step"])][row["draw"]] = float(row[measure])
    yield from sorted(groups.items())


def describe(values: dict[str, float]) -> str:
    """Return mean ± standard deviation."""
    numbers = list(values.values())
    if len(numbers) < 2:
        return f"{numbers[0]:.3f} (one draw)" if numbers else "–"
    return f"{statistics.mean(numbers):.3f} ± {statistics.stdev(numbers):.3f}"


def compare(group: dict[str, dict[int, dict[str, float]]], method: str, step: int) -> str:
    """Describe the difference from the reference at a step, by a two-sided paired t-test."""
    from scipy.stats import ttest_rel

    first, second = group[method][step], group.get(REFERENCE, {}).get(step, {})
    draws = sorted(first.keys() & second.keys())
    if method == REFERENCE or len(draws) < MIN_DRAWS:
        return "–"
    x, y = ([table[number] for number in draws] for table in (first, second))
    p_value = float(ttest_rel(x, y).pvalue)
    gain = statistics.mean(x) - statistics.mean(y)
    shown = "equal" if math.isnan(p_value) else f"P {p_value:.2g}"
    return f"{gain:+.3f} ({shown}, {len(draws)} draws)"


def draw(rows: Sequence[dict[str, str]]) -> None:
    """Draw average precision against training steps, one panel per set, setting and labels.

    Thin lines are draws; thick ones their mean, from three draws on.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = [list(group_rows(rows, measure)) for measure in MEASURES]
    figure, axes = plt.subplots(
        len(panels[0]), 2, figsize=(9, 2.6 * len(panels[0])), squeeze=False, layout="constrained"
    )
    for column, measure in enumerate(MEASURES):
        for row, (key, group) in enumerate(panels[column]):
            panel = axes[row][column]
            for method, table in group.items():
                color = f"C{METHODS.index(method)}"
                for number in sorted({number for values in table.values() for number in values}):
                    points = [(s, v[number]) for s, v in sorted(table.items()) if number in v]
                    panel.plot(*zip(*points, strict=True), color=color, linewidth=0.8, marker=".")
                means = {step: statistics.mean(values.values()) for step, values in table.items()}
                is_mean_shown = all(len(values) >= MIN_DRAWS for values in table.values())
                shown = sorted(means.items()) if is_mean_shown else [(math.nan, math.nan)]
                panel.plot(*zip(*shown, strict=True), color=color, linewidth=2.5, label=method)
            title = f"{', '.join(key)} labels: {measure.split('_')[0]}s"
            panel.set_title(title, fontsize="small", loc="left")
            panel.set_xlabel("training steps")
            panel.set_ylabel("average precision")
    axes[0][0].legend(fontsize="x-small", frameon=False)
    figure.savefig(FIGURES / "figure5-steps.png", dpi=130)


if __name__ == "__main__":
    main()
