"""Micrographs in, pick tables in and out, one module per format.

Images are (height, width) as stored, row 0 first; coordinates are centres (x, y) in pixels of
the raw micrograph. What a format does otherwise stays in its module. Libraries of single
formats load when a file of that format comes.

- `read_micrograph`, `describe_micrograph`, `write_mrc`: images.
- `read_picks`, `read_picks_many`, `write_picks`, `write_picks_per_micrograph`: tables.
- `micrograph_paths`, `name_list`, `match_names`: what the user means by a name.
- `whole`: outputs that appear whole or not at all.
"""

from cryopick.io.files import MICROGRAPH_SUFFIXES, micrograph_paths, name_list, whole
from cryopick.io.micrograph import (
    Micrograph,
    MicrographInfo,
    describe_micrograph,
    read_micrograph,
)
from cryopick.io.mrc import write_mrc
from cryopick.io.names import Matched, match_names, stem_of
from cryopick.io.tables import (
    FORMATS,
    read_picks,
    read_picks_many,
    write_picks,
    write_picks_per_micrograph,
)

__all__ = [
    "FORMATS",
    "MICROGRAPH_SUFFIXES",
    "Matched",
    "Micrograph",
    "MicrographInfo",
    "describe_micrograph",
    "match_names",
    "micrograph_paths",
    "name_list",
    "read_micrograph",
    "read_picks",
    "read_picks_many",
    "stem_of",
    "whole",
    "write_mrc",
    "write_picks",
    "write_picks_per_micrograph",
]
