"""Compare ways to learn from few labels, many runs at a time, with numbers that can be trusted.

- `Plan`, `Trial`: what is compared, and one run of it.
- `Study`: a data set of which all particles are known, in a folder that keeps what was found.
- `Record`, `load_records`, `selected`: what one run gave, and all that there are so far.
- `Comparison`, `compare`: means, spreads and paired tests of them.
- `draw_comparisons`: the figure.
"""

from cryopick.study.compare import Cell, Comparison, compare
from cryopick.study.figure import draw_comparisons
from cryopick.study.plan import Plan, Trial
from cryopick.study.record import Record, load_records, selected
from cryopick.study.runs import Study

__all__ = [
    "Cell",
    "Comparison",
    "Plan",
    "Record",
    "Study",
    "Trial",
    "compare",
    "draw_comparisons",
    "load_records",
    "selected",
]
