"""Types of arrays with their shapes, for signatures: `Float[np.ndarray, "height width"]`.

They are jaxtyping's where something reads them: a type checker, or a program that has loaded
jaxtyping before cryopick, as the tests do. A command reads none of them and would spend a sixth
of a short run on loading it, so there each stands for the array's bare type.
"""

import sys
from typing import TYPE_CHECKING

__all__ = [
    "Bool",
    "Complex64",
    "Float",
    "Float32",
    "Float64",
    "Int64",
    "Integer",
    "Real",
    "Shaped",
    "UInt8",
]

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import (
        Bool,
        Complex64,
        Float,
        Float32,
        Float64,
        Int64,
        Integer,
        Real,
        Shaped,
        UInt8,
    )
else:

    class _Unread:
        """Any of these types where nothing reads it."""

        def __class_getitem__(cls, array_and_shape: tuple[type, str]) -> type:
            return array_and_shape[0]

    Bool = Complex64 = Float = Float32 = Float64 = _Unread
    Int64 = Integer = Real = Shaped = UInt8 = _Unread
