"""How far a watch is, for people and for programs.

- `Status`: what has been done.
- `write_status`: as `status.json`, and as `status.html`, which a browser draws again by itself.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path

from cryopick.runs.atomic_write import atomic_write

__all__ = ["Status", "write_status"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="10">
<meta name="color-scheme" content="light dark">
<title>{picked} micrographs picked</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
padding: 0 1rem }} dt {{ float: left; width: 10rem }} dd {{ margin-left: 10rem }}</style>
<h1>{picked} micrographs picked</h1>
<dl>
<dt>state</dt><dd>{state}</dd>
<dt>particles</dt><dd>{particles}</dd>
<dt>waiting</dt><dd>{waiting}</dd>
<dt>given up</dt><dd>{failed}</dd>
<dt>latest</dt><dd>{last}</dd>
<dt>told at</dt><dd>{updated}</dd>
</dl>
{failures}
</html>
"""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What has been done.

    Attributes:
        running: Whether the watch goes on.
        picked: Micrographs with a table, those of earlier watches on the same folder included.
        new: Those of them that this watch has picked.
        particles: Particles on all of them.
        waiting: Micrographs that are there and not picked yet.
        last: The micrograph picked last.
        failures: Micrographs that were given up, each with the reason.
    """

    running: bool = True
    picked: int = 0
    new: int = 0
    particles: int = 0
    waiting: int = 0
    last: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)

    def with_picks(self, path: str, *, picked: int, new: int, particles: int) -> "Status":
        """One more micrograph, or one of those again."""
        return replace(
            self,
            picked=picked,
            new=new,
            particles=particles,
            last=path,
            failures={name: why for name, why in self.failures.items() if name != path},
        )

    def with_failure(self, path: str, why: str) -> "Status":
        """One that was given up."""
        return replace(self, failures={**self.failures, path: why})


def write_status(status: Status, folder: Path) -> None:
    """Write both files into a folder, in place of those before."""
    updated = time.strftime("%Y-%m-%d %H:%M:%S")
    told = {**asdict(status), "failed": len(status.failures), "updated": updated}
    with atomic_write(folder / "status.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    why = "".join(f"<li>{escape(text)}</li>" for text in status.failures.values())
    page = _PAGE.format(
        **{name: escape(str(value)) for name, value in told.items() if name != "failures"},
        state="running" if status.running else "ended",
        failures=f"<h2>Given up, until they change</h2><ul>{why}</ul>" if why else "",
    )
    with atomic_write(folder / "status.html", overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")
