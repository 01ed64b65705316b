"""Settings of inference.

- `Precision`: floating-point types, the choices of `--precision`.
"""

from typing import Literal

__all__ = ["Precision"]

Precision = Literal["auto", "float32", "bfloat16"]
