"""Progress of live picking, for users and for programs.

- `WatchStatus`: the progress.
- `write_status`: writes `status.json`, and `status.html`, which a browser reloads every 10 s.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cryopick.report.markup import render_template
from cryopick.runs.atomic_write import atomic_write

__all__ = ["WatchStatus", "write_status"]


@dataclass(frozen=True, kw_only=True)
class WatchStatus:
    """Progress of live picking.

    Attributes:
        running: True until the watch ends.
        picked: Micrographs with a table, including those of earlier watches of the same folder.
        new: Micrographs picked by this watch.
        particles: Particles on all picked micrographs.
        waiting: Micrographs in the folder that are not picked yet.
        last: Micrograph picked last.
        failures: Error message of each failed micrograph.
    """

    running: bool = True
    picked: int = 0
    new: int = 0
    particles: int = 0
    waiting: int = 0
    last: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)

    def with_picks(self, path: str, *, picked: int, new: int, particles: int) -> "WatchStatus":
        """Return the status after a micrograph was picked for the first time or again."""
        return replace(
            self,
            picked=picked,
            new=new,
            particles=particles,
            last=path,
            failures={name: reason for name, reason in self.failures.items() if name != path},
        )

    def with_failure(self, path: str, reason: str) -> "WatchStatus":
        """Return the status after a micrograph failed."""
        return replace(self, failures={**self.failures, path: reason})


def write_status(status: WatchStatus, folder: Path) -> None:
    """Write status.json and status.html into a folder; existing files are replaced."""
    updated = time.strftime("%Y-%m-%d %H:%M:%S")
    values = {**asdict(status), "failed": len(status.failures), "updated": updated}
    with atomic_write(folder / "status.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    page = render_template("progress.html", **values)
    with atomic_write(folder / "status.html", overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")
