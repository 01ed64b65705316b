"""Particles cut out of raw micrographs, as image stacks with a STAR file that RELION reads.

A box of even side n is centred on the pixel nearest to the particle, which becomes pixel
(n/2, n/2) of the image, RELION's centre. Coordinates stay those of the raw micrograph. One
stack a micrograph, written image by image, so that memory does not grow with the particles.

- `StackSettings`: how to cut.
- `Stacks`: many micrographs' particles, each as one file.
- `write_stack`: one micrograph's; `boxed`, `cut_boxes`, `standardized`: its steps.
- `optics_groups`, `optics`, `stack_table`: the STAR file.
"""

from cryopick.stack.boxes import boxed, cut_boxes, standardized, write_stack
from cryopick.stack.many import Stacks
from cryopick.stack.settings import Edge, StackSettings
from cryopick.stack.table import optics, optics_groups, stack_table

__all__ = [
    "Edge",
    "StackSettings",
    "Stacks",
    "boxed",
    "cut_boxes",
    "optics",
    "optics_groups",
    "stack_table",
    "standardized",
    "write_stack",
]
