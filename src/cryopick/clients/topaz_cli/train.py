"""The command that learns: its options, checked before anything heavy is loaded.

- `train`: learn a detector from labelled particles.
"""

import sys
from argparse import Namespace

from cryopick.clients.topaz_cli.manners import say, use_cores

__all__ = ["NETWORKS", "train"]

# What Topaz calls a network, and what we call the same one.
NETWORKS = {
    "resnet8": "resnet71",
    "resnet16": "resnet91",
    "conv31": "conv31",
    "conv63": "strided63",
    "conv127": "strided127",
}


def train(values: Namespace) -> int:
    """Learn a detector, and write it after each epoch."""
    use_cores(values.num_threads)
    _tell_what_is_not_offered(values)
    from cryopick.clients.topaz_cli.training import describe, run

    if values.describe:
        sys.stdout.write(describe(values))
        return 0
    if not (values.train_images and values.train_targets):
        values.parser.error("--train-images and --train-targets are needed")
    if values.num_particles is None and values.pi is None and values.method != "PN":
        values.parser.error(
            "--num-particles is needed: how many particles a micrograph holds, labelled or not"
        )
    if min(values.num_epochs, values.epoch_size) < 1:
        values.parser.error("--num-epochs and --epoch-size must be at least 1")
    return run(values)


def _tell_what_is_not_offered(values: Namespace) -> None:
    asked = []
    if values.bn == "off":
        asked.append("--bn off")
    if values.pooling not in (None, "none", ""):
        asked.append(f"--pooling {values.pooling}")
    if values.unit_scaling != 2:  # the one that there is
        asked.append(f"--unit-scaling {values.unit_scaling}")
    if asked:
        say(f"# not offered, and left out: {', '.join(asked)}")
