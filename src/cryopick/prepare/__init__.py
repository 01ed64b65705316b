"""Many raw micrographs to prepared ones on disk, for training and for other programs.

No torch: what learns from the result lies above.

- `prepare_dataset`, `Dataset`, `Preparation`: what training reads.
- `Store`, `Stored`: prepared micrographs in a folder.
- `write_prepared`, `PreprocessSettings`: prepared micrographs as MRC files.
- `DIAMETER_PX`, `raw_pixel_size`: the scale they are brought to.
"""

from cryopick.prepare.dataset import (
    DIAMETER_PX,
    Dataset,
    Preparation,
    prepare_dataset,
    raw_pixel_size,
)
from cryopick.prepare.preprocess import PreprocessSettings, write_prepared
from cryopick.prepare.store import Store, Stored

__all__ = [
    "DIAMETER_PX",
    "Dataset",
    "Preparation",
    "PreprocessSettings",
    "Store",
    "Stored",
    "prepare_dataset",
    "raw_pixel_size",
    "write_prepared",
]
