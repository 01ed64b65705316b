"""Errors of single files in a batch.

Whatever one file raises is the error of that file, so that the batch skips it and processes the
others. Errors of the whole batch, such as a full disk, are not translated.

- `is_decodable`: check a file name.
- `translate_file_errors`: raise an error for users in place of any other exception.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryopick.errors import CryopickError, MicrographError

__all__ = ["is_decodable", "translate_file_errors"]

# A full or read-only disk, a quota, or a closed pipe ends every file alike.
_BATCH_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EPIPE, errno.EMFILE, errno.ENFILE}


@contextmanager
def translate_file_errors(path: Path) -> Iterator[None]:
    """Translate exceptions of the block, which processes one file.

    Raises:
        MicrographError: The block raised an exception that is neither a `CryopickError` nor one
            that ends the whole batch. The original exception is its cause.
    """
    try:
        yield
    except CryopickError:
        raise
    except MemoryError as error:
        raise MicrographError(
            f"{path}: takes more memory than there is; process it on a larger machine"
        ) from error
    except OSError as error:
        if error.errno in _BATCH_ERRNOS:
            raise
        raise MicrographError(
            f"{path}: cannot be read: {error.strerror or _describe(error)}"
        ) from error
    except UnicodeError as error:
        raise MicrographError(f"{path}: its name is not in UTF-8; rename it") from error
    except Exception as error:  # of any decoder or numerical library
        raise MicrographError(f"{path}: cannot be processed: {_describe(error)}") from error


def is_decodable(name: str) -> bool:
    """Check that a file name can be written to a text file in UTF-8."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
