"""Number formats that inference can compute in.

- `Precision`: the choices of `--precision`.
"""

from typing import Literal

__all__ = ["Precision"]

Precision = Literal["auto", "float32", "bfloat16"]
