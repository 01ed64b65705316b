"""`cryopick tomo`: all commands of the group."""

from cryopick.cli.tomo_data import convert, evaluate, simulate
from cryopick.cli.tomo_pick import pick, train

__all__ = ["convert", "evaluate", "pick", "simulate", "train"]
