"""Look for candidates to label on many micrographs, and lose nothing when cut off.

- `CandidateBatch`: a model at work on micrographs, with what is known of them.
- `look`: the candidates of one micrograph, and what the model sees there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryopick.active.acquisition import (
    Look,
    SuggestSettings,
    expected_shift,
    places_to_look_at,
    suggest,
    suggest_micrographs,
    worth_a_look,
)
from cryopick.array_types import Float
from cryopick.config import to_toml
from cryopick.evaluate.matching import is_near
from cryopick.inference.test_time_views import look_around
from cryopick.pick.batch import PickBatch
from cryopick.pick.picker import Picker
from cryopick.picks import Picks, concatenate
from cryopick.runs.ledger import Parts

__all__ = ["CandidateBatch", "look"]


@dataclass(frozen=True, kw_only=True)
class CandidateBatch:
    """A model at work on micrographs, with what is known of them.

    Attributes:
        work: The model and how to pick.
        settings: How many candidates, and what to expect.
        labels: Particles labelled so far, on micrographs named by `str(path)`.
        asked: Places asked for before, likewise; labelled ones among them do no harm.
    """

    work: PickBatch
    settings: SuggestSettings
    labels: Picks
    asked: Picks

    def describe(self) -> str:
        """The settings of both kinds as TOML, with the model in a comment above."""
        return f"{self.work.describe()}{to_toml(self.settings)}"

    def parts(self, output: Path) -> Parts:
        """Where results are kept until `output` is complete."""
        return self.work.parts(output, "suggest")

    def shift(self, found: Sequence[Picks]) -> float:
        """What to add to the model's logits to make odds of them.

        Without a number of particles to expect, the logits are taken as they are.

        Args:
            found: The picks of each micrograph.
        """
        trained = self.work.picker.model.summary.get("settings", {})
        expected = self.settings.particles_per_micrograph or trained.get("particles_per_micrograph")
        scores = concatenate(found).score
        return expected_shift(scores, float(expected) * len(found)) if expected else 0.0

    def look(self, path: Path, picks: Picks, shift: float, parts: Parts, among: int) -> Look:
        """Look at the candidates of a micrograph: as kept, or anew.

        Args:
            path: The micrograph.
            picks: Picks on it alone, by descending score.
            shift: What to add to logits to make odds of them.
            parts: Where results are kept.
            among: Micrographs in all.
        """
        known = concatenate([self.labels, self.asked]).restrict([str(path)]).xy_px
        number = places_to_look_at(self.settings.count, among)

        def see() -> dict[str, np.ndarray]:
            seen = asdict(look(self.work.picker, path, picks, known, shift, number))
            return {name: value for name, value in seen.items() if name != "name"}

        told = f"{shift} {number} {_digest(picks.xy_px)} {_digest(known)}"
        return Look(name=str(path), **parts.once(f"look {told}", see, reads=path))

    def choose(self, looks: Sequence[Look], shift: float) -> tuple[list[str], Picks]:
        """Order all micrographs, and choose candidates on those that are wanted.

        Returns:
            The micrographs' names in the order to label them; and the candidates in the
            order to label them, as `suggest` gives them.
        """
        labels = len(self.labels)
        order = [looks[place] for place in suggest_micrographs(looks, shift=shift, labels=labels)]
        wanted = {own.name for own in order[: self.settings.micrographs]}
        own = [own for own in looks if own.name in wanted]
        chosen = suggest(own, self.settings.count, shift=shift, labels=labels)
        return [own.name for own in order], chosen


def look(
    picker: Picker,
    path: Path,
    picks: Picks,
    known_xy_px: Float[np.ndarray, "known 2"],
    shift: float,
    number: int,
) -> Look:
    """Choose candidates on a micrograph, and look at them and at what is known there.

    Args:
        picker: A model made ready.
        path: The micrograph.
        picks: Picks on it alone, by descending score.
        known_xy_px: Places (x, y) labelled or asked for already: picks within the least
            distance of picks from one are no candidates. Those that lie outside the
            micrograph are looked at where they come closest to it.
        shift: What to add to logits to make odds of them.
        number: How many candidates to look at, at most.

    Raises:
        MicrographError: The file cannot serve, or its pixel size is unknown.
    """
    prepared, pixel_size_ang = picker.prepare(path)
    radius_ang = picker.settings.radius_ang or picker.diameter_ang / 2
    new = picks.select(~is_near(picks.xy_px, known_xy_px, radius_ang / pixel_size_ang))
    candidates = new.select(worth_a_look(new.score + shift, number))
    last = np.array(prepared.image.shape[::-1]) - 1
    xy = prepared.from_raw(np.concatenate([candidates.xy_px, known_xy_px]))
    logits, features = look_around(picker.model.scorer, prepared.image, np.clip(xy, 0, last))
    count = len(candidates)
    return Look(
        name=str(path),
        xy_px=candidates.xy_px,
        score=candidates.score,
        logits=logits[:count],
        features=features[:count],
        known=features[count:],
    )


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
