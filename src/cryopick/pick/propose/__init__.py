"""Propose particles without a model: blobs of the right size, or what looks like a template.

Classical pickers in plain NumPy: a first set to label from, and what learning has to beat.

- `Proposer`, `ProposeSettings`: from raw micrographs to picks.
- `flatten`: the same local mean and spread everywhere, before particles are looked for.
- `correlate`: how much a place looks like a template, in any turn.
- `load_templates`: templates from a map, from class averages or from picks.
"""

from cryopick.pick.propose.correlate import correlate
from cryopick.pick.propose.flatten import flatten
from cryopick.pick.propose.proposer import Proposer
from cryopick.pick.propose.settings import BlobSettings, ProposeSettings, TemplateSettings
from cryopick.pick.propose.templates import Templates, load_templates

__all__ = [
    "BlobSettings",
    "ProposeSettings",
    "Proposer",
    "TemplateSettings",
    "Templates",
    "correlate",
    "flatten",
    "load_templates",
]
