"""Many raw micrographs to prepared ones on disk, for training and for other programs.

No torch: what learns from the result lies above.

- `prepare_dataset`, `Dataset`, `Preparation`: what training reads.
- `Store`, `Stored`: prepared micrographs in a folder.
- `write_prepared`, `missing_of`, `PreprocessSettings`: prepared micrographs as MRC files.
- `DIAMETER_PX`, `raw_pixel_size`: the scale they are brought to.
"""

from cryopick.prepare.dataset import (
    DIAMETER_PX,
    Dataset,
    Preparation,
    prepare_dataset,
    raw_pixel_size,
)
from cryopick.prepare.preprocess import PreprocessSettings, missing_of, write_prepared
from cryopick.prepare.store import Store, Stored

__all__ = [
    "DIAMETER_PX",
    "Dataset",
    "Preparation",
    "PreprocessSettings",
    "Store",
    "Stored",
    "missing_of",
    "prepare_dataset",
    "raw_pixel_size",
    "write_prepared",
]
