"""Maps of scores as files.

- `segment`: one for each micrograph.
"""

from argparse import Namespace
from pathlib import Path

from cryopick.clients.topaz_cli.given import done_with, image_paths
from cryopick.clients.topaz_cli.manners import say, use_cores

__all__ = ["segment"]


def segment(values: Namespace) -> int:
    """Write the scores of all pixels of micrographs, `<destdir>/<stem>.tiff`.

    `extract --model none` finds particles in them.
    """
    use_cores(values.num_threads)
    from cryopick.clients.topaz_cli.detectors import device_of, open_looker
    from cryopick.clients.topaz_cli.images import write_image
    from cryopick.errors import CryopickError
    from cryopick.io.names import stem_of

    paths = image_paths(values.paths)
    look = open_looker(values.model, paths, device_of(values.device), radius_px=None, dense=True)
    failures: list[Exception] = []
    for path in paths:
        try:
            seen = look(path)
        except CryopickError as error:
            failures.append(error)
            continue
        output = Path(values.destdir) / f"{stem_of(path.name)}.tiff"
        write_image(output, seen.whole_map(), None)
        if values.verbose:
            say(f"# scored: {path} -> {output}")
    return done_with(len(paths), failures)
