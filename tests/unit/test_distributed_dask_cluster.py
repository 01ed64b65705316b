"""Batches spread over workers: the same result, whatever becomes of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from distributed import Client, LocalCluster, Security, WorkerPlugin
from tests import tiny

from cryopick.distributed import dask_cluster as module
from cryopick.distributed.dask_batch import Job, spread
from cryopick.distributed.dask_cluster import jobs, workers_at
from cryopick.errors import ClusterError, SettingsError
from cryopick.io.tables.pick_tables import read_picks

pytestmark = [
    pytest.mark.xdist_group("cluster"),  # one start of the workers for all
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]

LINE = "pick many --model m.safetensors --threshold -100 --precision float32"


def workers(number):
    """A scheduler with workers that the command reaches by its address."""
    return LocalCluster(
        n_workers=number,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=None,
        scheduler_kwargs={"allowed_failures": 0},
        silence_logs=50,
    )


@pytest.fixture(scope="module")
def crew():
    with workers(2) as cluster:
        yield cluster


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    tiny.model("m.safetensors")
    Path("many").mkdir()
    for number in range(36):
        os.link(f"mics/mic_{number % 3}.mrc", f"many/mic_{number:02}.mrc")
    return run_words


@pytest.fixture
def whole(run):
    """What one process makes."""
    run(f"{LINE} -o whole.tsv")
    return Path("whole.tsv").read_bytes()


def on(crew):
    return f"--cluster {crew.scheduler_address}"


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def parts_of(name):
    return list(Path().glob(f".{name}.parts/*/[!.]*.npz"))


def test_one_worker_two_workers_and_one_process_make_the_same_table(run, whole, crew):
    Path("regions.json").write_text('{"regions": {"mic_01": [[[0, 0], [60, 0], [60, 90]]]}}')
    run(f"{LINE} -o less.tsv --ignore regions.json")

    said = run(f"{LINE} -o two.tsv {on(crew)}").stderr
    run(f"{LINE} -o less-on-two.tsv --ignore regions.json {on(crew)}")
    crew.scale(1)
    wait_for(lambda: len(crew.scheduler.workers) == 1)
    run(f"{LINE} -o one.tsv {on(crew)}")
    crew.scale(2)

    assert Path("two.tsv").read_bytes() == Path("one.tsv").read_bytes() == whole
    assert Path("less-on-two.tsv").read_bytes() == Path("less.tsv").read_bytes() != whole
    assert "dashboard: http://127.0.0.1:" in said
    assert "36 of 36" in said
    assert Path("two.settings.toml").read_text() == Path("whole.settings.toml").read_text()
    assert not list(Path().glob(".*.parts"))


def test_workers_write_the_same_score_maps(run, crew):
    run("score mics --model m.safetensors -o whole --precision float32")
    run(f"score mics --model m.safetensors -o maps --precision float32 {on(crew)}")

    for path in Path("whole").iterdir():
        assert (Path("maps") / path.name).read_bytes() == path.read_bytes()


def test_workers_elsewhere_agree_on_a_number_format(run, crew):
    run(f"pick mics --model m.safetensors -o picks.tsv {on(crew)}")

    assert 'precision = "float32"' in Path("picks.settings.toml").read_text()


def test_a_bad_file_is_set_aside_and_the_others_are_done(run, crew):
    wrong = tiny.bad_micrographs("mics")

    said = run(f"pick mics/* --model m.safetensors -o p.tsv {on(crew)}", status=1).stderr

    for name, words in wrong.items():
        lines = [line for line in said.splitlines() if line.startswith(f"skipped mics/{name}: ")]
        assert len(lines) == 1
        assert words in lines[0]
        assert str(Path.cwd()) not in lines[0]
    assert "7 of 10 files failed and were skipped" in said
    assert len(read_picks(Path("p.tsv")).micrographs) == 3


def test_a_worker_killed_on_the_way_costs_nothing(run, whole, crew):
    with Client(crew) as client:
        client.wait_for_workers(2)
        pid = min(client.run(os.getpid).values())
    seen = []

    def kill():
        wait_for(lambda: parts_of("killed.tsv"))
        seen.append(len(parts_of("killed.tsv")))
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    run(f"{LINE} -o killed.tsv {on(crew)}")
    killer.join()

    assert seen[0] < 36, "it was done before the kill"
    assert Path("killed.tsv").read_bytes() == whole


@pytest.mark.slow
def test_a_file_that_kills_every_worker_is_set_aside(run):
    class Deadly(WorkerPlugin):
        name = "deadly"

        def setup(self, worker):
            from cryopick.pick.batch import PickBatch

            pick = PickBatch.pick

            def deadly(self, path, parts):
                return os._exit(1) if path.stem == "mic_05" else pick(self, path, parts)

            PickBatch.pick = deadly

    with workers(1) as frail, Client(frail) as client:
        client.register_plugin(Deadly())
        said = run(f"{LINE} -o p.tsv {on(frail)}", status=1).stderr

    assert "skipped many/mic_05.mrc: every worker that worked on it died" in said
    assert "1 of 36 files failed" in said
    assert len(read_picks(Path("p.tsv")).micrographs) == 35


SCHEDULER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address=None) as here:
        print(here.scheduler_address, flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
def test_when_the_scheduler_is_killed_the_same_command_goes_on(run, whole, crew):
    Path("scheduler.py").write_text(SCHEDULER)
    with subprocess.Popen(
        [sys.executable, "scheduler.py"], stdout=subprocess.PIPE, text=True
    ) as scheduler:
        address = scheduler.stdout.readline().strip()

        def kill():
            wait_for(lambda: parts_of("cut.tsv"))
            scheduler.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        said = run(f"{LINE} -o cut.tsv --cluster {address}", status=1).stderr
        killer.join()
    done = len(parts_of("cut.tsv"))

    again = run(f"{LINE} -o cut.tsv {on(crew)}").stderr

    assert "the connection to dask's scheduler was lost; give the same command again" in said
    assert 0 < done < 36
    assert "resuming from the unfinished batch" in again
    assert Path("cut.tsv").read_bytes() == whole


@pytest.mark.slow
def test_a_killed_command_leaves_no_worker_and_goes_on_in_one_process(run, whole):
    import psutil

    program = [sys.executable, "-c", "from cryopick.cli import main; main()"]
    words = f"{LINE} -o cut.tsv --cluster local --workers 1".split()
    with subprocess.Popen([*program, *words], stderr=subprocess.PIPE, text=True) as command:
        wait_for(lambda: parts_of("cut.tsv"))
        family = psutil.Process(command.pid).children(recursive=True)
        heard = [
            each.laddr.ip
            for process in (psutil.Process(command.pid), *family)
            for each in process.net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        ]
        command.kill()
        said = command.communicate()[1]
    done = len(parts_of("cut.tsv"))
    wait_for(lambda: not psutil.wait_procs(family, timeout=0)[1])

    again = run(f"{LINE} -o cut.tsv").stderr

    assert "dashboard: http://127.0.0.1:" in said
    assert set(heard) == {"127.0.0.1"}
    assert 0 < done < 36
    assert "resuming from the unfinished batch" in again
    assert Path("cut.tsv").read_bytes() == whole


@pytest.mark.slow
def test_workers_here_load_the_model_once_and_listen_to_nobody_else(run):
    from cryopick.model.device import require_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings

    work = PickBatch.open(Path("m.safetensors"), PickSettings(), require_device("cpu"))
    parts = work.open_ledger(Path("p.tsv"), "pick")
    paths = sorted(Path("many").iterdir())
    counted = []

    def loaded():
        from cryopick.distributed.dask_batch import _ready

        return _ready.cache_info().misses

    with parts.start([], overwrite=False), workers_at("local", 1, print) as client:
        job = Job.of(work, Path("m.safetensors"), "cpu", parts)
        aside = spread(client, job, dict.fromkeys(paths), work.picker.ignore, counted.append)
        address = client.scheduler.address
        loads = client.run(loaded)
        with pytest.raises(OSError, match="TLS certificate does not match"):
            Client(address, timeout=2, security=Security.temporary())

    assert aside == {}
    assert sum(counted) == 36
    assert list(loads.values()) == [1]
    assert address.startswith("tls://127.0.0.1:")


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "lsf", "sge"])
def test_jobs_run_workers_of_this_python(scheduler, tmp_path):
    with jobs(scheduler) as there:
        script = there.job_script()

    assert f"{sys.executable} -m distributed.cli.dask_worker" in script
    assert "--nthreads 1" in script
    assert {"slurm": "#SBATCH", "pbs": "#PBS", "lsf": "#BSUB", "sge": "#$"}[scheduler] in script


SBATCH = """#!/bin/bash
text=$(cat "$1")
setsid bash -c "$text" > sbatch.log 2>&1 &
echo "$!" >> submitted
echo "Submitted batch job $!"
"""


@pytest.mark.slow
def test_a_scheduler_gets_jobs_and_they_are_ended(run, whole, monkeypatch):
    for name, text in (("sbatch", SBATCH), ("scancel", '#!/bin/bash\nkill -- "-$1"\n')):
        Path(name).write_text(text)
        Path(name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path.cwd()}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(Path.cwd()))

    said = run(f"{LINE} -o slurm.tsv --cluster slurm --workers 1").stderr

    assert "waiting for a worker of slurm" in said
    assert "dashboard: http://127.0.0.1:" in said
    assert Path("slurm.tsv").read_bytes() == whole
    pids = [int(line) for line in Path("submitted").read_text().split()]
    assert pids
    wait_for(lambda: not any(map(is_running, pids)))


def is_running(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--cluster condor", 1, "--cluster is one of local, slurm, pbs, lsf, sge, or the address"),
        ("--cluster tcp://127.0.0.1:9", 1, "no scheduler of dask's answers there"),
        ("--workers 2", 2, "--workers is for --cluster"),
    ],
)
def test_mistakes_are_told(run, monkeypatch, words, status, message):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.4)

    said = run(f"{LINE} -o p.tsv {words}", status=status).stderr

    assert message in " ".join(said.split())


@pytest.mark.parametrize("package", ["distributed", "cryptography", "dask_jobqueue"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    cluster = "slurm" if package == "dask_jobqueue" else "local"

    with (
        pytest.raises(ClusterError, match=r"pip install 'cryopick\[cluster\]'"),
        workers_at(cluster, 1, print),
    ):
        pass


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 4.0)
    with (
        workers(0) as empty,
        pytest.raises(ClusterError, match="has no worker"),
        workers_at(empty.scheduler_address, None, print),
    ):
        pass


def test_a_name_that_is_none_is_refused_before_anything_starts():
    with pytest.raises(SettingsError, match="--cluster is one of"), workers_at("x", 1, print):
        pass
