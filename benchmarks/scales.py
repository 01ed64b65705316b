"""Average precision against the diameter that the general model is given, and without one.

For each set of `foreign_sets.py` and each factor by which the given diameter is wrong: average
precision at the scale of that diameter (`--scale-ang`), and at the scale chosen by evidence.
Without a diameter: the estimated size over the longest extent, and the average precision. Only the
first test micrographs are picked. Results lie in `runs/scales/MODEL`; what has one is not done
again.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scales.py [--sets aspire-ring own-2 …] [--count 2]
    .venv/bin/python benchmarks/scales.py --table
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import ROOT
from foreign_methods import find_model_version
from foreign_sets import ForeignSet, find_set, list_sets

from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.spacing import is_inside_margin
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.device import require_device
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.pick.decisions import resolve_settings
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate

OUT = ROOT / "runs" / "scales"
FACTORS = (0.67, 1.0, 1.5)
CPU = require_device("cpu")


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=[""], help="names or their beginnings [all]")
    parser.add_argument("--count", type=int, default=2, help="micrographs of each set")
    parser.add_argument("--table", action="store_true", help="only print the table")
    chosen = parser.parse_args(words)
    folder = OUT / find_model_version()
    folder.mkdir(parents=True, exist_ok=True)
    if not chosen.table:
        model = load_model(GENERAL_MODEL)
        for name in [*list_sets(), *list_sets(kept_back=True)]:
            path = folder / f"{name.replace(':', '@')}.json"
            wanted = any(name.startswith(start) for start in chosen.sets)
            if wanted and not name.startswith("empty") and not path.exists():
                record = measure_set(
                    find_set(name, ROOT / "runs/foreign/data"), model, chosen.count
                )
                path.write_text(json.dumps(record, indent=1) + "\n")
    print_table([json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))])


def measure_set(data: ForeignSet, model: Model, count: int) -> dict[str, Any]:
    """Measure one set."""
    data = replace(data, micrographs=data.test[:count])
    unsized, seconds = resolve(data, model, None)
    record: dict[str, Any] = {
        "set": data.name,
        "seconds": round(seconds, 2),
        "contrast": unsized.contrast,
        "size": unsized.diameter_ang,
        "true size": data.diameter_ang,
        "unsized": score(data, model, unsized),
        "fixed": {},
        "chosen": {},
        "scale": {},
    }
    for factor in FACTORS:
        given_ang = factor * data.given_ang
        settings, _ = resolve(data, model, given_ang)
        fixed = replace(settings, scale_ang=given_ang, diameter_ang=given_ang, width_ang=None)
        record["fixed"][str(factor)] = score(data, model, fixed)
        record["chosen"][str(factor)] = score(data, model, settings)
        record["scale"][str(factor)] = settings.scale_ang
    return record


def resolve(
    data: ForeignSet, model: Model, diameter_ang: float | None
) -> tuple[PickSettings, float]:
    """Settings with all decisions, and the seconds that these took."""
    settings = PickSettings(diameter_ang=diameter_ang, pixel_size_ang=data.pixel_size_ang)
    started = time.perf_counter()
    resolved, _ = resolve_settings(model, settings, CPU, data.micrographs)
    return resolved, time.perf_counter() - started


def score(data: ForeignSet, model: Model, settings: PickSettings) -> float | None:
    """Average precision on the micrographs."""
    assert data.truth is not None
    picker = Picker.create(model, settings, CPU)
    tables = [picker.pick(path) for path in data.micrographs]
    picks = concatenate([keep_judged(table, data) for table in tables])
    named = replace(picks, micrographs=tuple(Path(name).stem for name in picks.micrographs))
    truth = read_picks(data.truth)
    truth = replace(truth, micrographs=tuple(Path(name).stem for name in truth.micrographs))
    only = [path.stem for path in data.micrographs]
    return evaluate_picks(named, truth, data.radius_px, only).average_precision


def keep_judged(picks: Picks, data: ForeignSet) -> Picks:
    """Picks within the part of the micrographs that is labelled."""
    if data.judged_px is None:
        return picks
    left, right, top, bottom = data.judged_px
    shifted = picks.xy_px - (left, top)
    inside = is_inside_margin(shifted, (int(bottom - top), int(right - left)), 0.0)
    return picks.select(inside.nonzero()[0])


def print_table(records: Sequence[dict[str, Any]]) -> None:
    """Print a row for each set."""
    factors = " | ".join(f"× {factor:g}" for factor in FACTORS)
    print(f"| set | {factors} | largest loss | without: AP | estimated / true | contrast | time |")
    print("|---" * (len(FACTORS) + 6) + "|")
    for record in records:
        fixed, chosen = (record[kind] for kind in ("fixed", "chosen"))
        cells = [f"{fixed[key]:.3f} → {chosen[key]:.3f}" for key in map(str, FACTORS)]
        loss = max(*fixed.values(), *chosen.values()) - min(chosen.values())
        print(
            f"| {record['set']} | {' | '.join(cells)} | {loss:.3f} | {record['unsized']:.3f} | "
            f"{record['size'] / record['true size']:.2f} | {record['contrast']} | "
            f"{record['seconds']:.1f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
