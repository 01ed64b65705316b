"""Train the denoiser; takes a quarter of an hour on a free core, and may be interrupted.

    python scripts/make_denoiser.py --structures DIR [--run FOLDER] [--out DENOISER]

The learning rate is constant until the last steps, so that a run may be made longer or shorter.
DIR contains atomic models and maps, of which those held out from the training of the general model
are excluded here too. Training uses simulated fields only.
"""

import argparse
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import torch
from make_general_model import HELD_OUT, load_training_molecules

from cryopick.config import hash_settings
from cryopick.denoise.model_file import DENOISER, save_denoiser
from cryopick.denoise.network import DenoisingNetwork
from cryopick.denoise.settings import DenoiserTrainingSettings
from cryopick.denoise.simulated_pairs import SimulatedPairs
from cryopick.denoise.training import train_denoiser
from cryopick.train.averaged_training import StepProgress

RECIPE = DenoiserTrainingSettings(
    steps=4_400,
    average=0.998,
    checkpoint_every=100,
    falling_steps=2_400,
    final_rate_frac=0.01,
)


def main() -> None:
    """Train or resume training, and write the file."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/denoiser"))
    parser.add_argument("--out", type=Path, default=DENOISER)
    options = parser.parse_args()
    started = time.monotonic()

    def print_progress(progress: StepProgress) -> None:
        minutes = (time.monotonic() - started) / 60
        message = f"step {progress.step}  loss {progress.loss:.4f}  {minutes:.1f} min"
        print(message, file=sys.stderr, flush=True)

    options.run.mkdir(parents=True, exist_ok=True)
    molecules = load_training_molecules(options.structures)
    torch.manual_seed(RECIPE.seed)
    network = train_denoiser(
        DenoisingNetwork(),
        SimulatedPairs(molecules, seed=RECIPE.seed),
        RECIPE,
        options.run / "training.safetensors",
        hash_settings(replace(RECIPE, steps=1, falling_steps=0)),  # a run may be extended
        on_progress=print_progress,
    )
    summary = {
        "version": version("cryopick"),
        "recipe": asdict(RECIPE),
        "learnt_from": [molecule.name for molecule in molecules],
        "held_back": list(HELD_OUT),
    }
    save_denoiser(network, options.out, summary, overwrite=True)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
