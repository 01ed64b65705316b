"""Every exception that cryopick raises on purpose.

    CryopickError               for the user: one line, exit status 1
    ├── InputError              a file that is missing, unreadable, or not what it should be
    │   ├── MicrographError     an image that cannot serve as a micrograph
    │   ├── FormatError         a pick table, list, model or settings file that breaks its format
    │   └── UnmatchedError      names of micrographs that match no file, or more than one
    ├── SettingsError           options or settings that contradict each other, the data, or reason
    ├── OutputExistsError       an output that stands already and was not to be replaced
    ├── BusyError               an output that another process is writing at the moment
    ├── ClusterError            workers that cannot be had, or were lost
    └── UnfinishedError         a batch in which some files failed; the others were done

`ValueError` and `TypeError` are for the calling programmer; an `assert` guards our own
reasoning. A message says which file, what was expected, what was found, and what to do.
"""

__all__ = [
    "BusyError",
    "ClusterError",
    "CryopickError",
    "FormatError",
    "InputError",
    "MicrographError",
    "OutputExistsError",
    "SettingsError",
    "UnfinishedError",
    "UnmatchedError",
]


class CryopickError(Exception):
    """A problem that the user can mend; the message is one line that says how."""


class InputError(CryopickError):
    """A file is missing, cannot be read, or does not hold what it should."""


class MicrographError(InputError):
    """An image cannot serve as a micrograph: a stack, truncated, non-finite, constant."""


class FormatError(InputError):
    """A table, list, model or settings file breaks the rules of its format."""


class UnmatchedError(InputError):
    """A micrograph's name matches no file at hand, or more than one."""


class SettingsError(CryopickError):
    """Settings that contradict each other or the data, or that lie outside their range."""


class OutputExistsError(CryopickError):
    """An output exists and the user did not ask to replace it."""


class BusyError(CryopickError):
    """Another process is at work on the same output."""


class ClusterError(CryopickError):
    """Workers cannot be had or do not share our files, or the connection to them was lost."""


class UnfinishedError(CryopickError):
    """Some files of a batch failed and were skipped; the rest is done and written."""
