"""Micrographs in, pick tables in and out, one module per format.

Images are (height, width) as stored, row 0 first; coordinates are centres (x, y) in pixels of
the raw micrograph. What a format does otherwise stays in its module. Libraries of single
formats load when a file of that format comes.

- `read_micrograph`, `describe_micrograph`, `write_mrc`: images.
- `micrograph_shape`, `known_shapes`, `HEIGHT`, `WIDTH`: how large they are.
- `read_picks`, `read_picks_many`, `write_picks`, `write_picks_per_micrograph`: tables.
- `table_of`, `write_coordinate_list`: one table a micrograph, and RELION's list of them.
- `Layout`, `StarFrame`, `read_star_frame`: what a table needs beside its picks.
- `codec_of`, `listed_micrographs`: what a file is.
- `micrograph_paths`, `name_list`, `match_names`: what the user means by a name.
- `whole`: outputs that appear whole or not at all.
"""

from cryopick.io.codec import Layout, StarFrame
from cryopick.io.files import MICROGRAPH_SUFFIXES, micrograph_paths, name_list, whole
from cryopick.io.formats import FORMATS, codec_of, listed_micrographs
from cryopick.io.micrograph import (
    Micrograph,
    MicrographInfo,
    describe_micrograph,
    read_micrograph,
)
from cryopick.io.mrc import write_mrc
from cryopick.io.names import Matched, match_names, stem_of
from cryopick.io.sizes import HEIGHT, WIDTH, known_shapes, micrograph_shape
from cryopick.io.tables import (
    read_picks,
    read_picks_many,
    read_star_frame,
    table_of,
    write_coordinate_list,
    write_picks,
    write_picks_per_micrograph,
)

__all__ = [
    "FORMATS",
    "HEIGHT",
    "MICROGRAPH_SUFFIXES",
    "WIDTH",
    "Layout",
    "Matched",
    "Micrograph",
    "MicrographInfo",
    "StarFrame",
    "codec_of",
    "describe_micrograph",
    "known_shapes",
    "listed_micrographs",
    "match_names",
    "micrograph_paths",
    "micrograph_shape",
    "name_list",
    "read_micrograph",
    "read_picks",
    "read_picks_many",
    "read_star_frame",
    "stem_of",
    "table_of",
    "whole",
    "write_coordinate_list",
    "write_mrc",
    "write_picks",
    "write_picks_per_micrograph",
]
