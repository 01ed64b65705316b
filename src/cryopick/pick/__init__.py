"""Find particles: score whole micrographs densely, take the peaks.

- `Picker`, `PickSettings`: from a model and raw micrographs to picks.
- `score_map`, `ScoreMap`: logits of every place.
- `suppress`, `refine`, `locate`: from scores to particles.
- `HeldOutMicrographs`: the judge that training asks on the way.
"""

from cryopick.pick.held_out import HeldOutMicrographs
from cryopick.pick.peaks import refine, suppress
from cryopick.pick.pipeline import Picker, locate
from cryopick.pick.score import ScoreMap, score_map
from cryopick.pick.settings import PickSettings

__all__ = [
    "HeldOutMicrographs",
    "PickSettings",
    "Picker",
    "ScoreMap",
    "locate",
    "refine",
    "score_map",
    "suppress",
]
