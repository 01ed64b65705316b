"""Many micrographs: parts of a batch on many machines, and micrographs that are still to come.

- `Shard`: one part of a batch, as named or as a scheduler says.
- `shards_of`: the finished parts of a table.
- `script`: a batch script that runs all parts.
- `Watcher`: micrographs as they become complete.
"""

from cryopick.scale.shards import Shard, shards_of
from cryopick.scale.submit import SCHEDULERS, script
from cryopick.scale.watch import Watcher

__all__ = ["SCHEDULERS", "Shard", "Watcher", "script", "shards_of"]
