"""Commands that check their options before anything heavy is imported.

- `train`: train a detector on labelled particles.
- `segment`: write score maps.
- `extract`: pick particles; clients wait for this command.
- `gui`: open the labelling page.
"""

import os
import subprocess
import sys
from argparse import Namespace

from cryopick.clients.topaz_cli.arguments import report, set_thread_count

__all__ = ["extract", "gui", "segment", "train"]

_MAX_WORKER_MICROGRAPHS = 8  # for more, the start-up time does not matter
_CRYOPICK = (sys.executable, "-P", "-m", "cryopick")


def train(values: Namespace) -> int:
    """Train a detector, and write it after each epoch."""
    set_thread_count(values.num_threads)
    _warn_about_unsupported_options(values)
    from cryopick.clients.topaz_cli.training import describe, run

    if values.describe:
        sys.stdout.write(describe(values))
        return 0
    if not (values.train_images and values.train_targets):
        values.parser.error("--train-images and --train-targets are required")
    if values.num_particles is None and values.pi is None and values.method != "PN":
        values.parser.error(
            "--num-particles is required: the expected number of particles on a micrograph, "
            "labelled or not"
        )
    if min(values.num_epochs, values.epoch_size) < 1:
        values.parser.error("--num-epochs and --epoch-size must be at least 1")
    return run(values)


def _warn_about_unsupported_options(values: Namespace) -> None:
    unsupported = []
    if values.bn == "off":
        unsupported.append("--bn off")
    if values.pooling not in (None, "none", ""):
        unsupported.append(f"--pooling {values.pooling}")
    if values.unit_scaling != 2:  # the only supported value
        unsupported.append(f"--unit-scaling {values.unit_scaling}")
    if unsupported:
        report(f"# not supported, ignored: {', '.join(unsupported)}")


def segment(values: Namespace) -> int:
    """Write a score map `<destdir>/<stem>.tiff` for each micrograph."""
    set_thread_count(values.num_threads)
    from cryopick.clients.topaz_cli.picking import write_score_maps

    return write_score_maps(values)


def extract(values: Namespace) -> int:
    """Write a table `image_name x_coord y_coord score`, highest scores first."""
    if not values.paths:
        values.paths = [line.strip() for line in sys.stdin if line.strip()]
    _check(values)
    set_thread_count(values.num_threads)
    if os.name == "posix" and len(values.paths) <= _MAX_WORKER_MICROGRAPHS:
        from cryopick.clients.topaz_cli.worker import ask

        status = ask(values)
        if status is not None:
            return status
    from cryopick.clients.topaz_cli.picking import extract_here

    return extract_here(values)


def _check(values: Namespace) -> None:
    error = values.parser.error
    if values.dims == 3:  # dimensions
        error("--dims 3: use `cryopick tomo pick` with a model of `cryopick tomo train`")
    if values.model == "none" and values.radius is None and not values.targets:
        error("--radius is required, or --targets to optimize it")
    if values.radius is not None and not values.radius > 0:
        error("--radius must be above 0")
    if values.particle_diameter is not None and not values.particle_diameter > 0:
        error("--particle-diameter must be above 0")
    if not values.step_radius > 0:
        error("--step-radius must be above 0")
    if values.only_validate and not values.targets:
        error("--only-validate requires --targets")


def gui(_: Namespace) -> int:
    """Run `cryopick label` on the current folder until Ctrl-C."""
    return subprocess.run([*_CRYOPICK, "label", "."], check=False).returncode
