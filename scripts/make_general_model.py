"""Make the general model again: some hours, and it goes on where it was cut off.

    python scripts/make_general_model.py --structures DIR [--run FOLDER] [--out MODEL]

DIR holds atomic models and maps. Those in `HELD_BACK` are not learnt from, so that the model can
be judged on them. Training and calibration see simulated fields and nothing else.
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
from cryopick.train.calibration_fit import fit_platt_scaling, apply_calibration
from cryopick.train.head_fit import read_head_weights, replace_head
from cryopick.train.pretrain.heads import simulate_kinds, fit_head_distribution
from cryopick.train.pretrain.recipe import PretrainingProgress, train_general_model
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.stream import NORMALIZATION, Example, make_example

HELD_BACK = ("IgG1_1igy", "RET-GFRa2-NRTN_6gl7", "MCR_1e6v", "Spike_6vxx")
READABLE = (".pdb", ".cif", ".mrc", ".gz")
# The first stage learns to tell places, the others the peaks of what was learnt before, the last
# on fields that differ more, as its window is wider.
PLACES = GeneralSettings()
PEAKS = GeneralSettings(seed=1, steps=800, window=128, learning_rate=1e-3, peak_weight=1.0)
MORE_PEAKS = GeneralSettings(seed=2, steps=1300, window=256, learning_rate=1e-3, peak_weight=1.0)
STAGES = {"places": PLACES, "peaks": PEAKS, "more-peaks": MORE_PEAKS}
KIND_SEED = 77
KINDS = 240  # from which it is learnt how the last layer varies
DIAMETER_ANG = 170.0  # a model needs one; every use gives its own
CALIBRATION_FIELDS = 200


def molecules(folder: Path) -> list[Molecule]:
    """The structures to learn from, in the order of their names."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in READABLE]
    return [load_molecule(str(path)) for path in paths if not path.name.startswith(HELD_BACK)]


def judged_fields(
    scorer: Scorer,
    settings: GeneralSettings,
    examples: list[Example],
) -> tuple[Picks, Picks]:
    """Picks on fields that training did not see, and the truth about them."""
    found, truth = [], []
    usable = np.ones((settings.side_px, settings.side_px), np.bool_)
    for number, field in enumerate(examples):
        scores = compute_score_map(scorer, field.image, step_px=default_step_px(scorer))
        picks = find_peaks(scores, usable, radius=settings.diameter_px / 2, threshold=-8.0)
        found.append(Picks.on(str(number), *picks))
        truth.append(Picks.on(str(number), field.xy_px))
    return concatenate(found), concatenate(truth)


def fitted(picks: Picks, truth: Picks, settings: GeneralSettings) -> Calibration:
    """The line that makes scores the log-odds that a pick is right."""
    is_right = match_picks(picks, truth, settings.diameter_px / 3) >= 0
    return fit_platt_scaling(picks.score, is_right)


def domain_of(settings: GeneralSettings, learnt_from: list[Molecule]) -> Domain:
    """Where fields are drawn from."""
    return Domain(molecules=learnt_from, diameter_px=settings.diameter_px, side_px=settings.side_px)


def odds_of(scorer: Scorer, settings: GeneralSettings, examples: list[Example]) -> Calibration:
    """What makes log-odds of a network's scores."""
    return fitted(*judged_fields(scorer, settings, examples), settings)


def with_usual_head(scorer: Scorer, domain: Domain, kept: Path) -> tuple[Scorer, np.ndarray]:
    """The network with the last layer that suits simulate_kinds on average, and how they differ."""
    found = simulate_kinds(scorer, domain, KIND_SEED, KINDS, kept)
    mean, spread = fit_head_distribution(list(found), read_head_weights(scorer))
    return replace_head(scorer, mean), spread


def finished(
    scorer: Scorer, head_spread: np.ndarray, learnt_from: list[Molecule], examples: list[Example]
) -> Model:
    """The calibrated model, with what made it and how well it does on fresh fields."""
    settings = MORE_PEAKS
    odds = odds_of(scorer, settings, examples)
    scorer = apply_calibration(scorer, odds)
    picks, truth = judged_fields(scorer, settings, examples)
    judged = evaluate_picks(picks, truth, settings.diameter_px / 3)
    return Model(
        scorer=scorer,
        head_spread=head_spread * odds.slope,
        diameter_ang=DIAMETER_ANG,
        working_pixel_size_ang=DIAMETER_ANG / settings.diameter_px,
        normalization=NORMALIZATION,
        label_radius_px=settings.positive_px,
        summary={
            "version": version("cryopick"),
            "stages": {name: asdict(stage) for name, stage in STAGES.items()},
            "simulate_kinds": KINDS,
            "learnt_from": [molecule.name for molecule in learnt_from],
            "held_back": list(HELD_BACK),
            "odds": asdict(odds),
            "held_out": {
                "fields": CALIBRATION_FIELDS,
                "labels": len(truth),
                "particle_average_precision": judged.average_precision,
            },
        },
    )


def main() -> None:
    """Train, or go on training; then calibrate, and write the model."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/general"))
    parser.add_argument("--out", type=Path, default=GENERAL_MODEL)
    given = parser.parse_args()
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def tell(progress: PretrainingProgress) -> None:
        minutes = (time.monotonic() - started) / 60
        print(
            f"step {progress.step}  loss {progress.loss:.4f}  {minutes:.1f} min",
            file=sys.stderr,
            flush=True,
        )

    given.run.mkdir(parents=True, exist_ok=True)
    learnt_from = molecules(given.structures)
    domain = domain_of(PLACES, learnt_from)
    examples = [make_example(domain, (1, n)) for n in range(CALIBRATION_FIELDS)]
    scorer: Scorer | None = None
    for name, stage in STAGES.items():
        learnt = train_general_model(
            stage,
            learnt_from,
            given.run / f"{name}.safetensors",
            device=device,
            start=scorer,
            on_progress=tell,
        )
        scorer = apply_calibration(learnt.cpu(), odds_of(learnt.cpu(), stage, examples))
    assert scorer is not None
    scorer, spread = with_usual_head(scorer, domain, given.run / "simulate_kinds")
    model = finished(scorer, spread, learnt_from, examples)
    save_model(model, given.out, overwrite=True)
    print(f"{given.out}: {model.summary['held_out']}")


if __name__ == "__main__":
    main()
