"""Exit status and one-line error messages.

Exit status: 0 success, also without any particle; 1 error in the input; 2 usage error; 70 bug; 130
interrupted.

- `run_with_status`: run a function and return its exit status.
"""

import os
import sys
from collections.abc import Callable

from cryopick.clients.topaz_cli.arguments import report
from cryopick.errors import CryopickError, describe_missing_torch

__all__ = ["USAGE", "run_with_status"]

FAILED, USAGE, BUG, INTERRUPTED = 1, 2, 70, 130


def run_with_status(work: Callable[[], int], program: str) -> int:
    """Run a function, report errors in one line, and return the exit status."""
    try:
        return work()
    except SystemExit as end:  # from argparse, which has printed its message
        return end.code if isinstance(end.code, int) else USAGE
    except CryopickError as error:
        report(f"{program}: error: {' '.join(str(error).split())}")
        return FAILED
    except KeyboardInterrupt:
        report(f"{program}: interrupted")
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("CRYOPICK_DEBUG") == "1":
            raise
        return _report_error(error, program)


def _report_error(error: Exception, program: str) -> int:
    """Report a file error, a missing PyTorch or a bug in one line; return the exit status."""
    if isinstance(error, BrokenPipeError):  # the reader of stdout has closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # for the flush at exit
        return FAILED
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        report(f"{program}: error: {where}{error.strerror}")
        return FAILED
    if missing_torch := describe_missing_torch(error):
        report(f"{program}: error: {missing_torch}")
        return FAILED
    report(
        f"{program}: bug: {type(error).__name__}: {' '.join(str(error).split())}. This is "
        "an error in cryopick itself; run it again with CRYOPICK_DEBUG=1 and report the traceback."
    )
    return BUG
