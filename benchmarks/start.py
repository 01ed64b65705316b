"""Start-up time of commands, compared with starting Python alone."""

import statistics
import sys
from pathlib import Path

from common import CRYOPICK, DIAMETER_ANG, FOLDER, Inputs, heading, measure, row

TOPAZ = CRYOPICK.with_name("cryopick-topaz")


def main(repeats: int = 7, folder: Path = FOLDER) -> None:
    """Print the table."""
    table = folder / "small.csv"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"mic_{i % 3},{10 * i},{7 * i},{i / 100}" for i in range(100)]
    table.write_text("\n".join(["image_name,x_coord,y_coord,score", *lines]) + "\n")
    convert = ("convert", table, "-o", folder / "small.star", "--force")
    micrograph = Inputs(count=1, side_px=512, folder=folder).micrographs[0]
    pick = (CRYOPICK, "pick", micrograph, "--diameter-ang", DIAMETER_ANG, "-o", folder / "one.star")
    alone = ("env", "CRYOPICK_WORKER=0", TOPAZ)  # each call does the work itself
    served = ("env", "CRYOPICK_WORKER_IDLE_S=20", TOPAZ)  # most calls find a worker running
    extract = ("extract", "-m", "resnet16", "-r", 8, "-o", folder / "one.txt", micrograph)
    commands = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "cryopick --help": (CRYOPICK, "--help"),
        "cryopick --version": (CRYOPICK, "--version"),
        "cryopick convert, 100 picks": (CRYOPICK, *convert),
        "cryopick pick, one micrograph of 512 x 512": (*pick, "--force"),
        "cryopick-topaz extract, the same": (*alone, *extract),
        "cryopick-topaz extract, with its worker": (*served, *extract),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            taken[name].append(measure(*command).seconds)
    seconds = {name: statistics.median(runs) for name, runs in taken.items()}
    heading("Start")
    for name in list(commands)[1:]:
        row(name, seconds[name], seconds[name] / seconds["python -c pass"], "starting Python")


if __name__ == "__main__":
    main()
