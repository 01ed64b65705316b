"""Molecules and micrographs with known truth.

NumPy and SciPy only; nothing here writes a file, and only `structures` reads one.

- `SimulationSettings`: what a data set looks like.
- `simulate_dataset`, `simulate_micrograph`: the micrographs, with their particles.
- `load_molecule`: a built-in molecule by name, or one from a PDB, mmCIF or MRC file.
"""

from cryopick.simulate.micrograph import Simulated, simulate_dataset, simulate_micrograph
from cryopick.simulate.molecules import Molecule, load_molecule
from cryopick.simulate.settings import SimulationSettings
from cryopick.simulate.shapes import BUILTIN_MOLECULES

__all__ = [
    "BUILTIN_MOLECULES",
    "Molecule",
    "Simulated",
    "SimulationSettings",
    "load_molecule",
    "simulate_dataset",
    "simulate_micrograph",
]
