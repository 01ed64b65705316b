"""Array types with shapes, for signatures: `Float[np.ndarray, "height width"]`.

A type checker, or a program that imports jaxtyping before cryopick (as the tests do), gets the
types of jaxtyping. Commands never read the annotations, and importing jaxtyping would take a
sixth of a short run; there each annotation evaluates to the plain array type.
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
