"""Send exported files to the browser: a table as it is, a folder of tables as a ZIP archive.

- `pack_export`: the content of an exported file or folder.
- `PackedExport`: name and content of a download.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryopick.errors import NotFoundError

__all__ = ["PackedExport", "pack_export"]

_DATE = (1980, 1, 1, 0, 0, 0)  # of the files in an archive, so that equal exports are equal


@dataclass(frozen=True)
class PackedExport:
    """A download.

    Attributes:
        name: Name of the file.
        content: Its content.
        media_type: Its type.
    """

    name: str
    content: bytes
    media_type: str = "application/octet-stream"

    @property
    def quoted_name(self) -> str:
        """Name in the form that HTTP headers require."""
        return quote(self.name, safe="")


def pack_export(folder: Path, name: str) -> PackedExport:
    """Read an exported file, or pack an exported folder.

    Args:
        folder: Folder with the exports of a project.
        name: Name of the file or folder in it.

    Raises:
        NotFoundError: There is no such export, or it is a symbolic link.
    """
    path = folder / name
    if name != path.name or name in ("", ".", "..") or path.is_symlink() or not path.exists():
        raise NotFoundError(f"there is no export {name[:100]!r}; export the particles again")
    if path.is_file():
        return PackedExport(name, path.read_bytes())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for table in sorted(path.iterdir()):
            if table.is_file() and not table.is_symlink():
                file.writestr(zipfile.ZipInfo(f"{name}/{table.name}", _DATE), table.read_bytes())
    return PackedExport(f"{name}.zip", archive.getvalue(), "application/zip")
