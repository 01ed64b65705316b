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
from cryopick.inference.score_map import score_map
from cryopick.model.calibration import Odds
from cryopick.model.model_file import GENERAL_MODEL, Model, save_model
from cryopick.model.networks import Scorer
from cryopick.pick.picker import default_step, locate
from cryopick.picks import Picks, concatenate
from cryopick.simulate.domain import Domain
from cryopick.simulate.molecules import Molecule, load_molecule
from cryopick.train.calibration_fit import fit_odds, on_odds
from cryopick.train.head_fit import head_of, with_head
from cryopick.train.pretrain.heads import kinds, learn_heads
from cryopick.train.pretrain.recipe import Progress, train_general
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
        scores = score_map(scorer, field.image, step_px=default_step(scorer))
        picks = locate(scores, usable, radius=settings.diameter_px / 2, threshold=-8.0)
        found.append(Picks.on(str(number), *picks))
        truth.append(Picks.on(str(number), field.xy_px))
    return concatenate(found), concatenate(truth)


def fitted(picks: Picks, truth: Picks, settings: GeneralSettings) -> Odds:
    """The line that makes scores the log-odds that a pick is right."""
    is_right = match_picks(picks, truth, settings.diameter_px / 3) >= 0
    return fit_odds(picks.score, is_right)


def domain_of(settings: GeneralSettings, learnt_from: list[Molecule]) -> Domain:
    """Where fields are drawn from."""
    return Domain(molecules=learnt_from, diameter_px=settings.diameter_px, side_px=settings.side_px)


def odds_of(scorer: Scorer, settings: GeneralSettings, examples: list[Example]) -> Odds:
    """What makes log-odds of a network's scores."""
    return fitted(*judged_fields(scorer, settings, examples), settings)


def with_usual_head(scorer: Scorer, domain: Domain, kept: Path) -> tuple[Scorer, np.ndarray]:
    """The network with the last layer that suits kinds on average, and how they differ."""
    found = kinds(scorer, domain, KIND_SEED, KINDS, kept)
    mean, spread = learn_heads(list(found), head_of(scorer))
    return with_head(scorer, mean), spread


def finished(
    scorer: Scorer, head_spread: np.ndarray, learnt_from: list[Molecule], examples: list[Example]
) -> Model:
    """The calibrated model, with what made it and how well it does on fresh fields."""
    settings = MORE_PEAKS
    odds = odds_of(scorer, settings, examples)
    scorer = on_odds(scorer, odds)
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
            "kinds": KINDS,
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

    def tell(progress: Progress) -> None:
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
        learnt = train_general(
            stage,
            learnt_from,
            given.run / f"{name}.safetensors",
            device=device,
            start=scorer,
            on_progress=tell,
        )
        scorer = on_odds(learnt.cpu(), odds_of(learnt.cpu(), stage, examples))
    assert scorer is not None
    scorer, spread = with_usual_head(scorer, domain, given.run / "kinds")
    model = finished(scorer, spread, learnt_from, examples)
    save_model(model, given.out, overwrite=True)
    print(f"{given.out}: {model.summary['held_out']}")


if __name__ == "__main__":
    main()
