"""Path of a micrograph together with what its list states about it.

- `ListedPath`: a path with the pixel size from a STAR or .cs file.
- `listed_pixel_size`: that pixel size, for any path.
"""

import sys
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    from pathlib import WindowsPath as NativePath
else:
    from pathlib import PosixPath as NativePath

__all__ = ["ListedPath", "listed_pixel_size"]


class ListedPath(NativePath):
    """A path of a micrograph that a list names, with the pixel size that the list states.

    It equals the plain path. Derived paths such as `parent` are plain in meaning: they state no
    pixel size; only `absolute` keeps it, as workers of a cluster need absolute paths.

    Attributes:
        pixel_size_ang: Å per pixel of the raw micrograph; None if the list does not state it.
        source: The list.
        listed_name: Name of the micrograph in the list.
    """

    pixel_size_ang: float | None = None
    source: Path | None = None
    listed_name: str = ""

    @classmethod
    def create(
        cls, path: Path, pixel_size_ang: float | None, source: Path, listed_name: str = ""
    ) -> "ListedPath":
        """Attach the pixel size that a list states to a path."""
        return _rebuild(str(path), pixel_size_ang, source, listed_name)

    def absolute(self) -> "ListedPath":
        """Return the absolute path with the same pixel size."""
        path = str(super().absolute())
        return _rebuild(path, self.pixel_size_ang, self.source, self.listed_name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the pixel size when the path is sent to another process."""
        return _rebuild, (str(self), self.pixel_size_ang, self.source, self.listed_name)


def _rebuild(
    path: str, pixel_size_ang: float | None, source: Path | None, listed_name: str
) -> ListedPath:
    listed_path = ListedPath(path)
    listed_path.pixel_size_ang, listed_path.source = pixel_size_ang, source
    listed_path.listed_name = listed_name
    return listed_path


def listed_pixel_size(path: Path) -> float | None:
    """Return the pixel size in Å that a list states for a micrograph; None if there is none."""
    return path.pixel_size_ang if isinstance(path, ListedPath) else None
