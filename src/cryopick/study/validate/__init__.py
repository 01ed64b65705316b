"""Ask the next program whether picks are particles: 2D classes, and resolutions.

- `ClassSettings`: how to classify.
- `nested_stacks`: the stacks of images, by threshold.
- `classify`, `Classes`: RELION's 2D classes of one stack.
- `judged`, `Verdict`, `is_hardly_parted`: which classes are particles, by a rule.
- `write_verdicts`, `overruled`: the verdicts as a table, and those of a person.
- `Shares`, `write_shares`: true and false positives by threshold, from the verdicts.
- `class_page`, `draw_shares`: the page that shows all that, and its figure.
- `read_resolutions`, `plot_resolutions`: what reconstructions made elsewhere reached.
"""

from cryopick.study.validate.page import class_page, draw_shares
from cryopick.study.validate.relion import Classes, classify, nested_stacks
from cryopick.study.validate.resolution import plot_resolutions, read_resolutions
from cryopick.study.validate.rule import Verdict, is_hardly_parted, judged
from cryopick.study.validate.settings import ClassSettings
from cryopick.study.validate.shares import Shares, write_shares
from cryopick.study.validate.verdicts import overruled, write_verdicts

__all__ = [
    "ClassSettings",
    "Classes",
    "Shares",
    "Verdict",
    "class_page",
    "classify",
    "draw_shares",
    "is_hardly_parted",
    "judged",
    "nested_stacks",
    "overruled",
    "plot_resolutions",
    "read_resolutions",
    "write_shares",
    "write_verdicts",
]
