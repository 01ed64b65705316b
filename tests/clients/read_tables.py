"""Read tables of picks with cryosparc-tools and emtools.

Run it with the Python of an environment that holds both:

    python read_tables.py TABLE.cs TABLE.star

The coordinates that both libraries read are printed as JSON.
"""

import json
import sys

from cryosparc.dataset import Dataset
from emtools.metadata import StarFile


def main():
    """Read both tables."""
    picks = Dataset.load(sys.argv[1])
    shape = picks["location/micrograph_shape"]
    rows = {
        "cs": [
            [str(path), float(x * width), float(y * height)]
            for path, x, y, (height, width) in zip(
                picks["location/micrograph_path"],
                picks["location/center_x_frac"],
                picks["location/center_y_frac"],
                shape,
                strict=True,
            )
        ]
    }
    with StarFile(sys.argv[2]) as file:
        rows["star"] = [
            [row.rlnMicrographName, float(row.rlnCoordinateX), float(row.rlnCoordinateY)]
            for row in file.iterTable("particles")
        ]
    print(json.dumps(rows))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
