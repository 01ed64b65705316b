"""Deleted runs, which can be restored until they are deleted permanently.

- `delete_run`, `restore_run`: hide a run, and show it again.
- `list_deleted_runs`: the runs that can be restored.
"""

from typing import Any

from cryopick.errors import InputError
from cryopick.web.storage.database import ProjectDatabase, current_time
from cryopick.web.storage.run_records import ProjectRuns

__all__ = ["delete_run", "list_deleted_runs", "restore_run"]

_LIST = "SELECT id, title, kind, deleted FROM run WHERE deleted IS NOT NULL ORDER BY deleted DESC"


def delete_run(
    database: ProjectDatabase, runs: ProjectRuns, run: str, *, permanently: bool = False
) -> None:
    """Hide a run with its picks; or delete them permanently.

    Raises:
        InputError: The run is in progress.
    """
    if runs.find(run)["state"] == "running":
        raise InputError("the run is not finished; stop it before you delete it")
    if permanently:
        runs.delete(run)
        return
    with database.write() as db:
        db.execute(
            "UPDATE run SET deleted = ? WHERE id = ? AND deleted IS NULL", (current_time(), run)
        )


def restore_run(database: ProjectDatabase, runs: ProjectRuns, run: str) -> None:
    """Show a deleted run again; one that was waiting in the queue waits again."""
    runs.find(run)
    with database.write() as db:
        db.execute("UPDATE run SET deleted = NULL WHERE id = ?", (run,))


def list_deleted_runs(database: ProjectDatabase) -> list[dict[str, Any]]:
    """List the deleted runs, the last one first."""
    return database.rows(_LIST)
