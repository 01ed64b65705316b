"""Measure processor time and memory of the main commands, for `docs/reference/runtimes.md`.

python scripts/measure_runtimes.py FOLDER

Needs the micrographs of ../shared/data/empiar10017. Each command runs with one thread; its
processor time is about the time that it takes on one free core, also on a machine with other work.
Files are kept in FOLDER; commands whose line is in FOLDER/times.tsv are not repeated.
"""

import os
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "empiar10017"
OPTIONS = "--pixel-size-ang 1.77 --device cpu --force"
COMMANDS = {
    "start": "cryopick --version",
    "size": "cryopick size @four.txt --pixel-size-ang 1.77 --device cpu",
    "pick one": f"cryopick pick @one.txt --diameter-ang 190 {OPTIONS} -o one.star",
    "pick four": f"cryopick pick @four.txt --diameter-ang 190 {OPTIONS} -o four.star",
    "pick twelve": f"cryopick pick @all.txt --diameter-ang 190 {OPTIONS} -o all.star",
    "threshold": "cryopick threshold all.star --at auto -o selected.star --force",
    "report": "cryopick report four.star --device cpu --force",
    "train": f"cryopick train -m @train.txt -p {DATA}/labels_25.tsv -o model.safetensors "
    f"--diameter-ang 190 {OPTIONS}",
    "pick trained": f"cryopick pick @four.txt --model model.safetensors {OPTIONS} -o trained.star",
}


def main() -> None:
    """Run what is missing, and print the table."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    write_lists()
    table = Path("times.tsv")
    lines = table.read_text().splitlines() if table.exists() else []
    for name, command in COMMANDS.items():
        if not any(line.startswith(f"{name}\t") for line in lines):
            seconds, megabytes = measure(command)
            lines.append(f"{name}\t{seconds:.1f} s\t{megabytes:.0f} MB\t{command}")
            table.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def write_lists() -> None:
    """Write lists of one, four and twelve micrographs, and of the eight for training."""
    paths = sorted(map(str, (DATA / "micrographs").glob("*.jpg")))
    names = (DATA / "train.txt").read_text().split()
    training = [path for path in paths if Path(path).stem in names]
    lists = {"one": paths[:1], "four": paths[:4], "all": paths, "train": training}
    for name, members in lists.items():
        Path(f"{name}.txt").write_text("\n".join([*members, ""]))


def measure(command: str) -> tuple[float, float]:
    """Run a command; return its processor time and its peak memory in megabytes."""
    program, *words = shlex.split(command)
    path = str(Path(sys.executable).with_name(program))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    child = os.posix_spawn(path, [path, *words], environment)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{command}: status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()
