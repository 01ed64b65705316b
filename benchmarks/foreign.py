"""The general model on data that it was not made for, beside the peer's pretrained detector.

One table over the sets of `foreign_sets.py`: sets of other simulators, sweeps of our own, real
micrographs, and micrographs without particles. Cells are average precision, one to one, on the
test micrographs, from which no label was drawn; with labels they are means over draws.
Records lie in `runs/foreign/records`; what has one is not done again.

    .venv/bin/python benchmarks/foreign.py [--sets aspire own-2 t20s …] [--labels 0 25 all]
    .venv/bin/python benchmarks/foreign.py --table [--models NEW OLD]

`--sets` takes names, beginnings of names, and suffixes: `aspire-ring:bright`, `own-20:x0.67`. The
sets of ASPIRE and cryojax need `make .aspire/.installed .cryojax/.installed`, the peer
`make .peer/.installed`.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT
from foreign_methods import ALL, METHODS, Job, find_model_version, record_path, run_job
from foreign_sets import find_set, list_sets

OUT = ROOT / "runs" / "foreign"
LABELS = (0, 10, 25, 100, ALL)
FACTORS = (0.67, 0.8, 1.25, 1.5)
PEER = "resnet16"  # the version in the peer's records

KINDS = ("all", "kept-back")  # all but those kept back, and only those

Records = dict[str, list[dict[str, Any]]]


def main(words: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    chosen = parse(words)
    models = chosen.models or [find_model_version()]
    if not chosen.table:
        for name in expand(chosen.sets, chosen.factors):
            run_set(name, chosen, models[0])
    records = read_records(chosen.out / "records")
    print_table(records, models)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sets",
        nargs="+",
        default=["all"],
        help="names or their beginnings, all, or kept-back for those on which nothing was chosen; "
        "all does not have these [all]",
    )
    parser.add_argument(
        "--factors", type=float, nargs="*", default=[], help="wrong diameters to try on each set"
    )
    parser.add_argument(
        "--labels",
        type=lambda word: ALL if word == "all" else int(word),
        nargs="+",
        default=[0],
        help="numbers of labels, or all [0]; the full table has 0 10 25 100 all",
    )
    parser.add_argument("--draws", type=int, default=3, help="draws of labels [3]")
    parser.add_argument(
        "--methods",
        nargs="*",
        default=["given", "width"],
        help=f"ways to give the size: {', '.join(METHODS)} [given width]; none: the peer alone",
    )
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--table", action="store_true", help="print what there is, run nothing")
    parser.add_argument("--models", nargs="+", help="versions to show [that of the code]")
    parser.add_argument("--tag", default="", help="added to the version of the model in records")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(words)


def expand(names: Sequence[str], factors: Sequence[float]) -> list[str]:
    """Names of sets from beginnings of names, and the same with wrong diameters."""
    usual = list_sets()
    every = [*usual, *list_sets(kept_back=True)]
    found: list[str] = []
    for name in names:
        if name in KINDS:
            found += list_sets(kept_back=name == "kept-back")
            continue
        is_whole = name in every or name.split(":")[0] in every
        matching = [name] if is_whole else [one for one in usual if one.startswith(name)]
        if not matching:
            raise SystemExit(f"no set is called {name}; there are {', '.join(every)}")
        found += matching
    found += [f"{name}:x{factor:g}" for name in found for factor in factors]
    return list(dict.fromkeys(found))


def run_set(name: str, chosen: argparse.Namespace, model: str) -> None:
    """Make all records of one set; report a failure and continue."""
    try:
        data = find_set(name, chosen.out / "data")
    except (OSError, RuntimeError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return
    version = f"{model}{chosen.tag}"
    jobs = [
        Job(data, method, labels, draw, version)
        for labels in chosen.labels
        for method in chosen.methods
        for draw in range(chosen.draws if labels else 1)
        if method == "given" or not labels
    ]
    if chosen.peer and data.truth is not None and ":x" not in name:
        jobs.append(Job(data, "peer", 0, 0, PEER))
    for job in jobs:
        try:
            if record_path(job, chosen.out / "records").exists() or job.is_possible():
                run_job(job, chosen.out / "records")
        except (OSError, RuntimeError) as error:
            print(f"{name}, {job.stem}: {error}", file=sys.stderr, flush=True)


def read_records(folder: Path) -> Records:
    """All records by the names of their sets."""
    found: Records = {}
    for path in sorted(folder.glob("*/*.json")):
        if path.name.endswith(".run.json"):  # of a command of cryopick's
            continue
        record = json.loads(path.read_text())
        found.setdefault(record["set"], []).append(record)
    return found


def print_table(records: Records, models: Sequence[str]) -> None:
    """Print the comparison with the peer, wrong diameters, and sets without particles."""
    shown_order = [*list_sets(), *list_sets(kept_back=True)]
    order = {name: number for number, name in enumerate(shown_order)}
    names = sorted(records, key=lambda name: (order.get(name.split(":x")[0], len(order)), name))
    plain = [name for name in names if ":x" not in name and not name.startswith("empty-")]
    shown = used_labels(records, models)
    heads = [f"{'all' if n == ALL else n} labels" for n in shown]
    columns = [f"{head}{f', {m}' if len(models) > 1 else ''}" for head in heads for m in models]
    print("| set | peer |", " | ".join(columns), "|\n|---|---|" + "---|" * len(columns))
    for name in plain:
        cells = [cell(select(records[name], model, n)) for n in shown for model in models]
        if any(one != "–" for one in cells) or select(records[name], PEER, 0, "peer"):
            print(f"| {name} | {cell(select(records[name], PEER, 0, 'peer'))} |", end=" ")
            print(" | ".join(cells), "|")
        print_width(name, records[name], models, len(shown))
    for model in models:
        print_factors(records, names, model)
        print_empty(records, names, model)


def print_width(
    name: str, records: list[dict[str, Any]], models: Sequence[str], columns: int
) -> None:
    """Print a line for each other way of giving the size, where it was run."""
    for method in ("width", "unsized"):
        cells = [cell(select(records, model, 0, method)) for model in models]
        if any(one != "–" for one in cells):
            words = {"width": "and `--width-ang`", "unsized": "no size given"}[method]
            rest = ["–"] * (len(models) * (columns - 1))
            print(f"| {name}, {words} | |", " | ".join([*cells, *rest]), "|")


def print_factors(records: Records, names: Sequence[str], model: str) -> None:
    """Print average precision, without labels, by the factor of a wrong diameter."""
    sets = list(dict.fromkeys(name.split(":x")[0] for name in names if ":x" in name))
    lines = []
    for base in sets:
        tries = {1.0: records.get(base, [])}
        tries |= {float(n.split(":x")[1]): records[n] for n in names if n.startswith(f"{base}:x")}
        cells = [
            cell(select(tries.get(f, []), model, 0)) for f in (*FACTORS[:2], 1.0, *FACTORS[2:])
        ]
        if any(one != "–" for one in cells):
            lines.append(f"| {base} | " + " | ".join(cells) + " |")
    if lines:
        print(
            f"\n| diameter given, over the true one; model {model} | 0.67 | 0.8 | 1 | 1.25 | 1.5 |"
        )
        print("|---|---|---|---|---|---|", *lines, sep="\n")


def print_empty(records: Records, names: Sequence[str], model: str) -> None:
    """Print the picks that the automatic threshold keeps where there are no particles."""
    lines = []
    for name in names:
        found = select(records[name], model, 0) if name.startswith("empty-") else []
        if found:
            lines.append(f"| {name} | {', '.join(map(str, found[0]['kept']))} |")
    if lines:
        print(f"\n| no particles; model {model} | picks kept by micrograph |\n|---|---|")
        print(*lines, sep="\n")


def used_labels(records: Records, models: Sequence[str]) -> list[int]:
    """Numbers of labels of which there is a record."""
    used = {one["labels"] for found in records.values() for one in found if one["model"] in models}
    return [n for n in LABELS if n in used] or [0]


def select(
    records: list[dict[str, Any]], model: str, labels: int, method: str = "given"
) -> list[dict[str, Any]]:
    """Records of one cell of the table: one a draw."""
    wanted = (model, labels, method)
    return [one for one in records if (one["model"], one["labels"], one["method"]) == wanted]


def cell(found: list[dict[str, Any]]) -> str:
    """Mean average precision, standard deviation over draws, and best F1."""
    values = [one["ap"] or 0.0 for one in found if "ap" in one]
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    f1 = statistics.mean(one["f1"] or 0.0 for one in found)
    stain = [one["labelled_among_best"] for one in found if "labelled_among_best" in one]
    many = f"; {stain[0]} among 50" if stain else ""
    return f"{statistics.mean(values):.3f}{spread} (F1 {f1:.2f}{many})"


if __name__ == "__main__":
    main()
