"""Make the general model again: hours on two cores, and it goes on where it was cut off.

    python scripts/make_general_model.py --structures DIR [--run FOLDER]

DIR holds atomic models and maps (INDEX.tsv in it is passed over). Those in `HELD_BACK` are not
learnt from, so that the model can be judged on them.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from cryopick.learn.general import GeneralSettings, train_general
from cryopick.learn.general.recipe import Progress
from cryopick.simulate import Molecule, load_molecule

HELD_BACK = ("IgG1_1igy", "RET-GFRa2-NRTN_6gl7", "MCR_1e6v", "Spike_6vxx")
READABLE = (".pdb", ".cif", ".mrc", ".gz")


def molecules(folder: Path) -> list[Molecule]:
    """The structures to learn from, in the order of their names."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in READABLE]
    return [load_molecule(str(path)) for path in paths if not path.name.startswith(HELD_BACK)]


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/general"))
    given = parser.parse_args()
    settings, started = GeneralSettings(), time.monotonic()

    def tell(progress: Progress) -> None:
        minutes = (time.monotonic() - started) / 60
        print(
            f"step {progress.step}/{settings.steps}  loss {progress.loss:.4f}  {minutes:.1f} min",
            file=sys.stderr,
            flush=True,
        )

    given.run.mkdir(parents=True, exist_ok=True)
    train_general(
        settings,
        molecules(given.structures),
        given.run / "checkpoint.safetensors",
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        on_progress=tell,
    )


if __name__ == "__main__":
    main()
