"""Settings of inference.

- `Precision`: number formats, the choices of `--precision`.
- `NumberFormat`: those formats that numbers can have.
"""

from typing import Literal

__all__ = ["NumberFormat", "Precision"]

NumberFormat = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32", "bfloat16"]
