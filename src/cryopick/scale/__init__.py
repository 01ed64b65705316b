"""Many micrographs: parts of a batch on many machines, and micrographs that are still to come.

- `Shard`: one part of a batch, as named or as a scheduler says.
- `shards_of`, `merged`: the finished parts of a table, and what they are together.
- `script`: a batch script that runs all parts.
- `Watcher`, `there_now`: micrographs as they become complete.
"""

from cryopick.scale.shards import Shard, merged, shards_of
from cryopick.scale.submit import SCHEDULERS, script
from cryopick.scale.watch import Watcher, there_now

__all__ = ["SCHEDULERS", "Shard", "Watcher", "merged", "script", "shards_of", "there_now"]
