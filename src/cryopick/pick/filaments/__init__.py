"""Filaments in a score map: ordered segments along each, for helical reconstruction.

- `FilamentSettings`: how to look for them.
- `line_scores`, `LineScores`: how high the scores are along a line, in each direction.
- `trace`: the filaments, as paths.
- `segments`, `ends`: paths as tables for RELION.
- `FilamentBatch`: many micrographs, each done once.
"""

from cryopick.pick.filaments.batch import FilamentBatch
from cryopick.pick.filaments.lines import LineScores, line_scores
from cryopick.pick.filaments.segments import ends, segments
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import Path2D, trace

__all__ = [
    "FilamentBatch",
    "FilamentSettings",
    "LineScores",
    "Path2D",
    "ends",
    "line_scores",
    "segments",
    "trace",
]
