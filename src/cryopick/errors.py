"""Exceptions that cryopick raises on purpose.

    CryopickError                    for the user: one line, exit status 1
    ├── InputError                   a file is missing, unreadable or has the wrong content
    │   ├── NotFoundError            a named file, run, micrograph or pick does not exist
    │   ├── MicrographError          an image cannot be used as a micrograph
    │   │   └── MissingPixelSizeError    neither file nor options give the pixel size
    │   ├── FormatError              a table, list, model or settings file is malformed
    │   │   └── NotATableError       a file does not contain picks
    │   └── UnmatchedError           a micrograph name matches no file, or several files
    ├── SettingsError                settings are out of range or contradict each other or the data
    ├── OutputExistsError            an output exists and must not be overwritten
    ├── BusyError                    another process is writing the same output
    ├── ClusterError                 workers are unavailable or were lost
    └── UnfinishedError              some files of a batch failed; the others are done

Callers branch on the class of an error, never on its text. `ValueError` and `TypeError` report
mistakes of the calling programmer; `assert` guards internal assumptions. A message names the
file, the expected and the actual content, and the fix.
"""

__all__ = [
    "BusyError",
    "ClusterError",
    "CryopickError",
    "FormatError",
    "InputError",
    "MicrographError",
    "MissingPixelSizeError",
    "NotATableError",
    "NotFoundError",
    "OutputExistsError",
    "SettingsError",
    "UnfinishedError",
    "UnmatchedError",
    "describe_missing_torch",
    "format_count",
]


def format_count(count: int, noun: str, *, grouped: bool = False) -> str:
    """Return a count and its noun for a message, such as "1 micrograph" or "2 picks".

    Args:
        count: The count.
        noun: The noun in the singular.
        grouped: Separate thousands by commas.
    """
    number = f"{count:,}" if grouped else str(count)
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"


def describe_missing_torch(error: Exception) -> str:
    """Return a message if an error says that PyTorch is not installed, otherwise an empty text."""
    if not isinstance(error, ModuleNotFoundError) or error.name != "torch":
        return ""
    return (
        "this needs PyTorch, which is not installed; install torch, or use commands that need "
        "none, such as pick"
    )


class CryopickError(Exception):
    """A problem that the user can fix; the message is one line that says how."""


class InputError(CryopickError):
    """A file is missing, cannot be read, or has the wrong content."""


class NotFoundError(InputError):
    """A named file, run, micrograph or pick does not exist."""


class MicrographError(InputError):
    """An image cannot be used as a micrograph: a stack, truncated, non-finite or constant."""


class MissingPixelSizeError(MicrographError):
    """Neither the file nor the options give the pixel size of a micrograph."""


class FormatError(InputError):
    """A table, list, model or settings file violates its format."""


class NotATableError(FormatError):
    """A file is no table of picks; in a folder of tables it is passed over."""


class UnmatchedError(InputError):
    """A micrograph name matches none of the given files, or several of them."""


class SettingsError(CryopickError):
    """Settings are out of range, or contradict each other or the data."""


class OutputExistsError(CryopickError):
    """An output exists and the user did not ask to overwrite it."""


class BusyError(CryopickError):
    """Another process is writing the same output."""


class ClusterError(CryopickError):
    """Workers are unavailable, do not share the file system, or were lost."""


class UnfinishedError(CryopickError):
    """Some files of a batch failed and were skipped; the others are done and written."""
