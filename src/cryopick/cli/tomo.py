"""`cryopick tomo`: all commands of the group."""

from cryopick.cli.tomo_data import convert, evaluate, simulate
from cryopick.cli.tomo_denoise import denoise, denoise_train
from cryopick.cli.tomo_pick import pick, train

__all__ = ["convert", "denoise", "denoise_train", "evaluate", "pick", "simulate", "train"]
