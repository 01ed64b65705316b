"""A million micrographs on 1 to 1,000 workers, by discrete simulation: docs/explanation/scale.md.

One scheduler assigns groups of micrographs; workers prefetch them from one shared storage; some
workers are slow, some groups take long, workers die and are replaced.
The cost of a micrograph is measured (docs/results/speed.md), the rest is assumed
(`Site`). For other numbers see `python benchmarks/scale_simulation.py --help`.
"""

import argparse
import heapq
import math
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.io.tables.pick_tables import write_picks_per_micrograph
from cryopick.picks import Picks

PLOT = Path(__file__).parents[1] / "docs" / "explanation" / "scale.png"
WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Work of a run, and the properties of the cluster.

    Attributes:
        micrographs: Number of micrographs.
        group: Micrographs assigned at once.
        seconds: Time of one micrograph on one worker, without reading: 0.15 s measured on two
            cores, from raw pixels to picks.
        start_s: Time until a worker has loaded torch and the model: 2.2 s measured.
        file_bytes: Size of a micrograph; 4096 x 4096 of float32.
        store_bytes_s: Bandwidth of the shared storage.
        link_bytes_s: Bandwidth of the network of one worker.
        dispatch_s: Time of the scheduler per group; Dask's documentation says 0.2 to 1 ms per task.
        alive_s: Mean time until a worker dies; short, as for preemptible machines.
        noticed_s: Time until a death is detected and the group is assigned again.
        return_s: Time until a dead worker is replaced.
        slow_frac: Fraction of workers with a third of the speed.
        long_frac: Fraction of groups that take ten times as long.
    """

    micrographs: int = 1_000_000
    group: int = 16
    seconds: float = 0.15
    start_s: float = 2.2
    file_bytes: float = 4096 * 4096 * 4
    store_bytes_s: float = math.inf
    link_bytes_s: float = 1.2e9
    dispatch_s: float = 1e-3
    alive_s: float = 2 * 3600.0
    noticed_s: float = 60.0
    return_s: float = 300.0
    slow_frac: float = 0.02
    long_frac: float = 0.001


@dataclass(frozen=True)
class Finished:
    """Result of a simulated run.

    Attributes:
        seconds: From the first request to the last group.
        groups: Number of finished groups.
        deaths: Workers that died during a group, which was repeated.
        store_busy: Fraction of the time that the storage was busy.
        scheduler_busy: Fraction of the time that the scheduler was busy.
    """

    seconds: float
    groups: int
    deaths: int
    store_busy: float
    scheduler_busy: float


def simulate(site: Site, workers: int, seed: int = 0) -> Finished:
    """Simulate a run, event by event.

    The scheduler, then the storage, serve requests sequentially and in order. A worker
    requests its next group when it starts to process one.
    """
    chance = random.Random(seed)
    speeds = [1 / 3 if chance.random() < site.slow_frac else 1.0 for _ in range(workers)]
    fresh = math.ceil(site.micrographs / site.group)
    again: list[float] = []  # when groups of dead workers can be handed out
    idle: list[int] = []
    free = [site.start_s] * workers  # when each worker is done with what it works on
    asks = [(site.start_s, worker) for worker in range(workers)]
    scheduler = store = last = 0.0
    scheduler_busy = store_busy = 0.0
    groups = deaths = 0
    while asks:
        now, worker = heapq.heappop(asks)
        if again and again[0] <= now:
            heapq.heappop(again)
        elif fresh:
            fresh -= 1
        elif again:
            heapq.heappush(asks, (again[0], worker))
            continue
        else:
            idle.append(worker)
            continue
        scheduler = max(now, scheduler) + site.dispatch_s
        scheduler_busy += site.dispatch_s
        size = site.group * site.file_bytes
        begun = max(scheduler, store)
        store = begun + size / site.store_bytes_s
        store_busy += size / site.store_bytes_s
        read = max(store, begun + size / site.link_bytes_s)
        begin = max(read, free[worker])
        seconds = site.group * site.seconds / speeds[worker] * chance.lognormvariate(0, 0.2)
        seconds *= 10 if chance.random() < site.long_frac else 1
        death = begin + chance.expovariate(1.0) * site.alive_s
        if death < begin + seconds:
            deaths += 1
            heapq.heappush(again, death + site.noticed_s)
            free[worker] = death + site.return_s + site.start_s
            heapq.heappush(asks, (free[worker], worker))
            if idle:
                heapq.heappush(asks, (death + site.noticed_s, idle.pop()))
            continue
        free[worker] = begin + seconds
        groups += 1
        last = max(last, free[worker])
        heapq.heappush(asks, (begin, worker))
    return Finished(last, groups, deaths, store_busy / last, scheduler_busy / last)


def bytes_out(picks: int = 400) -> int:
    """Return the size of the STAR file of one micrograph by number of picks."""
    places = np.random.default_rng(0).uniform(0, 4096, (picks, 2))
    score = np.random.default_rng(1).normal(size=picks)
    with tempfile.TemporaryDirectory() as folder:
        table = Picks.for_micrograph("a.mrc", places, score)
        [path] = write_picks_per_micrograph(table, Path(folder), format="star")
        return path.stat().st_size


def sites(site: Site) -> dict[str, Site]:
    """Return the storage systems to compare, and one worse scheduling method."""
    return {
        "no limit on the store": site,
        "cluster file system, 50 GB/s": replace(site, store_bytes_s=50e9),
        "file server, 2 GB/s": replace(site, store_bytes_s=2e9),
        "no limit, handed out one by one": replace(site, group=1),
    }


def plot(found: dict[str, list[float]], site: Site, path: Path) -> None:
    """Plot micrographs per second against number of workers."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    ideal = [workers / site.seconds for workers in WORKERS]
    axes.plot(WORKERS, ideal, color="0.7", linestyle="--", label="every worker always busy")
    styles = ("o-", "s-", "D-", "^:")
    colours = ("#0072b2", "#009e73", "#d55e00", "#cc79a7")
    for (name, rates), style, colour in zip(found.items(), styles, colours, strict=True):
        axes.plot(WORKERS, rates, style, color=colour, markersize=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="micrographs a second")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=True, which="major", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=Site.seconds, help="of one micrograph")
    parser.add_argument("--file-bytes", type=float, default=Site.file_bytes)
    parser.add_argument("--micrographs", type=int, default=Site.micrographs)
    parser.add_argument("--plot", type=Path, default=PLOT)
    given = parser.parse_args()
    site = Site(seconds=given.seconds, file_bytes=given.file_bytes, micrographs=given.micrographs)
    print(f"in {site.file_bytes / 1e6:.1f} MB, out {bytes_out() / 1e3:.1f} kB a micrograph")
    found: dict[str, list[float]] = {}
    for name, own in sites(site).items():
        print(f"\n{name}\n\n| workers | hours | a second | of ideal | deaths |", end="")
        print(" store busy | scheduler busy |\n|---|---|---|---|---|---|---|")
        for workers in WORKERS:
            run = simulate(own, workers)
            rate = own.micrographs / run.seconds
            found.setdefault(name, []).append(rate)
            print(
                f"| {workers} | {run.seconds / 3600:.2f} | {rate:.0f} | "
                f"{rate * own.seconds / workers:.0%} | {run.deaths} | "
                f"{run.store_busy:.0%} | {run.scheduler_busy:.0%} |"
            )
    plot(found, site, given.plot)


if __name__ == "__main__":
    main()
