"""Train the encoder-decoder of the general model; takes some hours and resumes when interrupted.

    python scripts/make_general_model.py --structures DIR [--run FOLDER] [--first MODEL]
        [--workers N] [--out MODEL]

DIR contains atomic models and maps. The structures in `HELD_OUT` are excluded from training, so
that the model can be evaluated on them. Training and calibration use simulated fields only.
"""

import argparse
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.inference.engine import optimize_ensemble
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.calibration import Calibration
from cryopick.model.device import CPU
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model, save_model
from cryopick.model.networks import Scorer, extract_network
from cryopick.pick.picker import default_step_px, find_peaks
from cryopick.picks import Picks, concatenate
from cryopick.simulate.domain import Domain
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.molecules import Molecule
from cryopick.train.averaged_training import StepProgress
from cryopick.train.calibration_fit import apply_calibration, fit_platt_scaling
from cryopick.train.pretrain.fields import (
    Example,
    make_example,
    simulate_examples,
)
from cryopick.train.pretrain.recipe import train_general_model
from cryopick.train.pretrain.settings import GeneralSettings

HELD_OUT = ("IgG1_1igy", "RET-GFRa2-NRTN_6gl7", "MCR_1e6v", "Spike_6vxx")
READABLE = (".pdb", ".cif", ".mrc", ".gz")
RECIPE = GeneralSettings()
CALIBRATION_FIELDS = 120
PARTNER_WEIGHT = 1.0


def load_training_molecules(folder: Path) -> list[Molecule]:
    """Load the structures to train on, in alphabetical order."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in READABLE]
    return [load_molecule(str(path)) for path in paths if not path.name.startswith(HELD_OUT)]


def pick_fields(model: Model, examples: list[Example]) -> tuple[Picks, Picks]:
    """Pick simulated fields that were not used in training; return picks and ground truth."""
    picks, truth = [], []
    usable = np.ones((RECIPE.side_px, RECIPE.side_px), np.bool_)
    step_px = default_step_px(model.network.stride_px)
    ensemble = optimize_ensemble(model.network, model.partner, "float32", CPU, step_px=step_px)
    for number, field in enumerate(examples):
        scores = compute_ensemble_score_map(ensemble, field.image)
        if model.calibration is not None:
            scores = replace(scores, logits=model.calibration.apply_to_map(scores.logits))
        peaks = find_peaks(scores, usable, radius=RECIPE.diameter_px / 2, threshold=-8.0)
        picks.append(Picks.for_micrograph(str(number), *peaks))
        truth.append(Picks.for_micrograph(str(number), field.xy_px))
    return concatenate(picks), concatenate(truth)


def measure_centre_offset(model: Model, examples: list[Example]) -> tuple[float, float]:
    """Measure the mean displacement of confident picks from their particles, field by field."""
    picks, truth = pick_fields(model, examples)
    picks = picks.select(np.flatnonzero(picks.score > 0))
    matched = match_picks(picks, truth, RECIPE.diameter_px / 3)
    is_right = matched >= 0
    shifts = picks.xy_px[is_right] - truth.xy_px[matched[is_right]]
    fields = np.array(picks.micrographs)[picks.index[is_right]] if len(shifts) else np.array([])
    means = [shifts[fields == field].mean(axis=0) for field in np.unique(fields)]
    x, y = np.mean(means, axis=0) if means else (0.0, 0.0)
    return round(float(x), 2), round(float(y), 2)


def fit_calibration(model: Model, examples: list[Example]) -> Calibration:
    """Fit Platt scaling to the picks on simulated fields."""
    picks, truth = pick_fields(model, examples)
    is_right = match_picks(picks, truth, RECIPE.diameter_px / 3) >= 0
    return fit_platt_scaling(picks.score, is_right)


def make_domain(settings: GeneralSettings, molecules: list[Molecule]) -> Domain:
    """Make the distribution from which fields are drawn."""
    return Domain(molecules=molecules, diameter_px=settings.diameter_px, side_px=settings.side_px)


def summarize(
    model: Model, examples: list[Example], molecules: list[str], steps: int
) -> dict[str, Any]:
    """Describe the training, and evaluate the model on simulated fields."""
    picks, truth = pick_fields(model, examples)
    evaluation = evaluate_picks(picks, truth, RECIPE.diameter_px / 3)
    return {
        "version": version("cryopick"),
        "recipe": asdict(RECIPE),
        "steps": steps,
        "learnt_from": molecules,
        "held_back": list(HELD_OUT),
        "odds": asdict(model.calibration) if model.calibration else None,
        "held_out": {
            "fields": len(examples),
            "labels": len(truth),
            "particle_average_precision": evaluation.average_precision,
        },
    }


def add_partner(first: Model, scorer: Scorer, examples: list[Example]) -> Model:
    """Make the encoder-decoder the partner of the network of a model, and calibrate both."""
    alone = replace(first, network=extract_network(scorer), partner=None, calibration=None)
    scorer = apply_calibration(scorer, fit_calibration(alone, examples))
    model = replace(
        first,
        partner=EnsemblePartner(extract_network(scorer), PARTNER_WEIGHT),
        calibration=None,
        centre_offset_px=(0.0, 0.0),
    )
    model = replace(model, calibration=fit_calibration(model, examples))
    return replace(model, centre_offset_px=measure_centre_offset(model, examples))


def main() -> None:
    """Train or resume training, calibrate, and write the model file."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/general"))
    parser.add_argument(
        "--first",
        type=Path,
        default=GENERAL_MODEL,
        help="model with the first network, whose partner is trained",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate fields")
    parser.add_argument("--out", type=Path, default=GENERAL_MODEL)
    options = parser.parse_args()
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def print_progress(progress: StepProgress) -> None:
        minutes = (time.monotonic() - started) / 60
        print(
            f"step {progress.step}  loss {progress.loss:.4f}  {minutes:.1f} min",
            file=sys.stderr,
            flush=True,
        )

    options.run.mkdir(parents=True, exist_ok=True)
    molecules = load_training_molecules(options.structures)
    domain = make_domain(RECIPE, molecules)
    fields = simulate_examples(
        domain,
        RECIPE.seed,
        RECIPE.field_count,
        options.run / "fields",
        workers=options.workers,
    )
    scorer = train_general_model(
        RECIPE,
        fields,
        options.run / "training.safetensors",
        device=device,
        on_progress=print_progress,
    ).cpu()
    examples = [make_example(domain, (1, n)) for n in range(CALIBRATION_FIELDS)]
    model = add_partner(load_model(options.first), scorer, examples)
    names = [molecule.name for molecule in molecules]
    model = replace(model, summary=summarize(model, examples, names, RECIPE.steps))
    save_model(model, options.out, overwrite=True)
    print(f"{options.out}: {model.summary['held_out']}")


if __name__ == "__main__":
    main()
