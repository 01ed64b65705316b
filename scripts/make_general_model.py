"""Train the general model of the package; takes some hours and resumes an interrupted run.

    python scripts/make_general_model.py --structures DIR [--run FOLDER] [--workers N] [--out MODEL]

DIR contains atomic models and maps. The structures in `HELD_OUT` are excluded from training, so
that the model can be evaluated on them. Training and calibration use simulated fields only.
"""

import argparse
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.inference.score_map import compute_score_map
from cryopick.model.calibration import Calibration
from cryopick.model.model_file import GENERAL_MODEL, Model, save_model
from cryopick.model.networks import Scorer
from cryopick.pick.picker import default_step_px, find_peaks
from cryopick.picks import Picks, concatenate
from cryopick.simulate.domain import Domain
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.molecules import Molecule
from cryopick.train.calibration_fit import apply_calibration, fit_platt_scaling
from cryopick.train.head_fit import read_head_weights, replace_head
from cryopick.train.pretrain.fields import (
    NORMALIZATION,
    Example,
    make_example,
    simulate_examples,
)
from cryopick.train.pretrain.heads import fit_head_distribution, simulate_kinds
from cryopick.train.pretrain.recipe import PretrainingProgress, train_general_model
from cryopick.train.pretrain.settings import GeneralSettings

HELD_OUT = ("IgG1_1igy", "RET-GFRa2-NRTN_6gl7", "MCR_1e6v", "Spike_6vxx")
READABLE = (".pdb", ".cif", ".mrc", ".gz")
RECIPE = GeneralSettings()
KIND_SEED = 77
KINDS = 120  # number of kinds from which the distribution of the last layer is estimated
DIAMETER_ANG = 170.0  # a model file requires one; users enter the diameter of their particles
CALIBRATION_FIELDS = 120


def load_training_molecules(folder: Path) -> list[Molecule]:
    """Load the structures to train on, in alphabetical order."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in READABLE]
    return [load_molecule(str(path)) for path in paths if not path.name.startswith(HELD_OUT)]


def pick_fields(
    scorer: Scorer,
    settings: GeneralSettings,
    examples: list[Example],
) -> tuple[Picks, Picks]:
    """Pick simulated fields that were not used in training; return picks and ground truth."""
    picks, truth = [], []
    usable = np.ones((settings.side_px, settings.side_px), np.bool_)
    for number, field in enumerate(examples):
        scores = compute_score_map(scorer, field.image, step_px=default_step_px(scorer))
        peaks = find_peaks(scores, usable, radius=settings.diameter_px / 2, threshold=-8.0)
        picks.append(Picks.for_micrograph(str(number), *peaks))
        truth.append(Picks.for_micrograph(str(number), field.xy_px))
    return concatenate(picks), concatenate(truth)


def measure_centre_offset(
    scorer: Scorer, settings: GeneralSettings, examples: list[Example]
) -> tuple[float, float]:
    """Measure the mean displacement of confident picks from their particles, field by field."""
    picks, truth = pick_fields(scorer, settings, examples)
    picks = picks.select(np.flatnonzero(picks.score > 0))
    matched = match_picks(picks, truth, settings.diameter_px / 3)
    is_right = matched >= 0
    shifts = picks.xy_px[is_right] - truth.xy_px[matched[is_right]]
    fields = np.array(picks.micrographs)[picks.index[is_right]] if len(shifts) else np.array([])
    means = [shifts[fields == field].mean(axis=0) for field in np.unique(fields)]
    x, y = np.mean(means, axis=0) if means else (0.0, 0.0)
    return round(float(x), 2), round(float(y), 2)


def fit_calibration(
    scorer: Scorer, settings: GeneralSettings, examples: list[Example]
) -> Calibration:
    """Fit Platt scaling to the picks on simulated fields."""
    picks, truth = pick_fields(scorer, settings, examples)
    is_right = match_picks(picks, truth, settings.diameter_px / 3) >= 0
    return fit_platt_scaling(picks.score, is_right)


def make_domain(settings: GeneralSettings, molecules: list[Molecule]) -> Domain:
    """Make the distribution from which fields are drawn."""
    return Domain(molecules=molecules, diameter_px=settings.diameter_px, side_px=settings.side_px)


def fit_last_layer(scorer: Scorer, domain: Domain, cache_dir: Path) -> tuple[Scorer, np.ndarray]:
    """Replace the last layer by its mean over kinds; return the factor of the covariance too."""
    kinds = simulate_kinds(scorer, domain, KIND_SEED, KINDS, cache_dir)
    mean, factor = fit_head_distribution(list(kinds), read_head_weights(scorer))
    return replace_head(scorer, mean), factor


def assemble_model(
    scorer: Scorer, head_spread: np.ndarray, molecules: list[Molecule], examples: list[Example]
) -> Model:
    """Calibrate the network, evaluate it on simulated fields and describe it in a model."""
    settings = RECIPE
    calibration = fit_calibration(scorer, settings, examples)
    scorer = apply_calibration(scorer, calibration)
    picks, truth = pick_fields(scorer, settings, examples)
    evaluation = evaluate_picks(picks, truth, settings.diameter_px / 3)
    return Model(
        scorer=scorer,
        head_spread=head_spread * calibration.slope,
        diameter_ang=DIAMETER_ANG,
        working_pixel_size_ang=DIAMETER_ANG / settings.diameter_px,
        normalization=NORMALIZATION,
        detects_contrast=True,
        centre_offset_px=measure_centre_offset(scorer, settings, examples),
        label_radius_px=settings.target_px,
        summary={
            "version": version("cryopick"),
            "recipe": asdict(RECIPE),
            "kinds": KINDS,
            "learnt_from": [molecule.name for molecule in molecules],
            "held_back": list(HELD_OUT),
            "odds": asdict(calibration),
            "held_out": {
                "fields": CALIBRATION_FIELDS,
                "labels": len(truth),
                "particle_average_precision": evaluation.average_precision,
            },
        },
    )


def main() -> None:
    """Train or resume training, calibrate, and write the model file."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/general"))
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate fields")
    parser.add_argument("--out", type=Path, default=GENERAL_MODEL)
    options = parser.parse_args()
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def print_progress(progress: PretrainingProgress) -> None:
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
    scorer = apply_calibration(scorer, fit_calibration(scorer, RECIPE, examples))
    scorer, head_spread = fit_last_layer(scorer, domain, options.run / "kinds")
    model = assemble_model(scorer, head_spread, molecules, examples)
    save_model(model, options.out, overwrite=True)
    print(f"{options.out}: {model.summary['held_out']}")


if __name__ == "__main__":
    main()
