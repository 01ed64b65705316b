"""Find the program and read picks as CCP-EM Pipeliner does.

Run it in the folder of a RELION project, with the Python of an environment that holds
ccpem-pipeliner, and with `relion_python_topaz` on PATH:

    python read_with_pipeliner.py MICROGRAPH COORDINATES AUTOPICK

What Pipeliner finds is printed as JSON.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from pipeliner.display_tools import make_particle_coords_thumb
from pipeliner.jobs.relion.autopick_job import get_topaz_python
from pipeliner.starfile_handler import StarFile
from pipeliner.user_settings import get_topaz_executable


def main():
    """Find the interpreter of the program and its version, and read and draw coordinates."""
    micrograph, coordinates, autopick = sys.argv[1:4]
    python = get_topaz_python(shutil.which("relion_python_topaz"))
    version = "import topaz; print(topaz.__version__)"
    done = subprocess.run([python, "-c", version], capture_output=True, text=True, check=False)
    table = StarFile(coordinates)
    listed = StarFile(autopick)
    shown = make_particle_coords_thumb(micrograph, coordinates, "shown")
    found = {
        "executable": get_topaz_executable(),
        "python": python,
        "version": done.stdout.strip() or done.stderr,
        "x": table.column_as_list(None, "_rlnCoordinateX"),
        "list": listed.column_as_list("coordinate_files", "_rlnMicrographCoordinates"),
        "picture": getattr(shown, "image_path", ""),
        "drawn": bool(getattr(shown, "image_path", "")) and Path(shown.image_path).is_file(),
    }
    print(json.dumps(found))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
