"""Projects with runs, made without a page."""

import numpy as np
from tests.browser.conftest import particles

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate

PER_MICROGRAPH = 24


def add_run(project, shift=0.0):
    """Add a run with the particles of all micrographs, by scores that fall along the list."""
    run = project.runs.create("pick", "Run", {"diameter_ang": 100.0})
    usable = project.micrographs.usable()
    tables = []
    for number, mid in enumerate(usable):
        _, xy = particles(number)
        score = 6 - 0.05 * (np.arange(PER_MICROGRAPH) * len(usable) + number)
        score[number] -= shift
        tables.append(Picks.for_micrograph(str(project.micrographs.path(mid)), xy, score))
    write_picks(concatenate(tables), project.runs.folder(run) / "picks.json")
    project.runs.take_picks(run)
    project.runs.change(run, state="done", started=0.0, ended=1.0)
    return run
