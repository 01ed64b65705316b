"""Search for inputs that a parser does not take and does not refuse in words.

    python -m tests.fuzz.search [--inputs 100000] [--folder runs/fuzz] [FAMILY ...]

Each family is searched by atheris, guided by the branches that inputs reach, in rounds of a
process each. What was tried is counted in `counts.json`, so that a later call goes on from there;
an input that crashes, takes over ten seconds or too much memory is kept as `crash-*`,
`timeout-*` or `oom-*` in the family's folder, and the exit status is 1.

- `search`: one family up to a number of inputs.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.corpus import keep, kept
from tests.fuzz.families import FAMILIES

__all__ = ["search"]

_ROUND = 10_000  # inputs of one process
_TRIED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


def search(family: str, inputs: int, folder: Path) -> tuple[int, list[Path]]:
    """Try inputs of one family until so many were tried, those of earlier calls included.

    Returns:
        How many were tried in all, and the files of those that were no good.
    """
    own = folder / family
    found = own / "found"
    found.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(kept(family)):
        (found / f"kept-{number}").write_bytes(data)
    counts = _counts(folder)
    while counts.get(family, 0) < inputs:
        began = time.monotonic()
        left = min(_ROUND, inputs - counts.get(family, 0))
        words = [sys.executable, "-m", "tests.fuzz.one_round", family, str(own), str(left)]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode(errors="replace")
        with (own / "log.txt").open("a", encoding="utf-8") as log:
            log.write(text)
        tried = _TRIED.search(text)
        counts[family] = counts.get(family, 0) + (int(tried[1]) if tried else 0)
        (folder / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
        seconds = time.monotonic() - began
        print(f"{family}: {counts[family]} inputs tried, {seconds:.0f} s this round", flush=True)  # noqa: T201
        if done.returncode and not tried:
            raise RuntimeError(f"{family}: a round broke off; see {own / 'log.txt'}")
        if done.returncode:
            break
    bad = [path for kind in ("crash", "timeout", "oom") for path in sorted(own.glob(f"{kind}-*"))]
    return counts.get(family, 0), bad


def _counts(folder: Path) -> dict[str, int]:
    path = folder / "counts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def main() -> int:
    """Search the families that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help=" ".join(FAMILIES))
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of each family")
    parser.add_argument("--folder", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--keep", action="store_true", help="add what was found to the corpus")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    all_bad = []
    for family in given.families or FAMILIES:
        tried, bad = search(family, given.inputs, given.folder)
        print(f"{family}: {tried} inputs tried in all, {len(bad)} no good", flush=True)  # noqa: T201
        if given.keep:
            keep(family, given.folder)
        all_bad += bad
    for path in all_bad:
        print(path)  # noqa: T201
    return 1 if all_bad else 0


if __name__ == "__main__":
    sys.exit(main())
