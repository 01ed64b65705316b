"""Batches on dask workers: the same result, even if workers fail."""

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

from cryopick.distributed import dask_cluster
from cryopick.distributed.dask_batch import WorkerJob, run_on_workers
from cryopick.distributed.dask_cluster import connect_workers, create_job_cluster
from cryopick.errors import ClusterError, SettingsError
from cryopick.io.tables.pick_tables import read_picks

pytestmark = [
    pytest.mark.xdist_group("cluster"),  # the tests share the workers
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]

COMMAND = "pick many --model m.safetensors --threshold -100 --precision float32"


def start_workers(number):
    """Start a scheduler with workers, to which commands connect by its address."""
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
def shared_cluster():
    with start_workers(2) as cluster:
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
def expected_table(run):
    """Table written by one process."""
    run(f"{COMMAND} -o expected.tsv")
    return Path("expected.tsv").read_bytes()


def cluster_option(cluster):
    return f"--cluster {cluster.scheduler_address}"


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def list_parts(name):
    return list(Path().glob(f".{name}.parts/*/[!.]*.npz"))


def test_one_worker_two_workers_and_one_process_write_the_same_table(
    run, expected_table, shared_cluster
):
    Path("regions.json").write_text('{"regions": {"mic_01": [[[0, 0], [60, 0], [60, 90]]]}}')
    run(f"{COMMAND} -o masked.tsv --ignore regions.json")

    messages = run(f"{COMMAND} -o two.tsv {cluster_option(shared_cluster)}").stderr
    run(f"{COMMAND} -o masked-two.tsv --ignore regions.json {cluster_option(shared_cluster)}")
    shared_cluster.scale(1)
    wait_for(lambda: len(shared_cluster.scheduler.workers) == 1)
    run(f"{COMMAND} -o one.tsv {cluster_option(shared_cluster)}")
    shared_cluster.scale(2)

    assert Path("two.tsv").read_bytes() == Path("one.tsv").read_bytes() == expected_table
    assert Path("masked-two.tsv").read_bytes() == Path("masked.tsv").read_bytes() != expected_table
    assert "dashboard: http://127.0.0.1:" in messages
    assert "36 of 36" in messages
    assert Path("two.settings.toml").read_text() == Path("expected.settings.toml").read_text()
    assert not list(Path().glob(".*.parts"))


def test_workers_write_the_same_score_maps(run, shared_cluster):
    run("score mics --model m.safetensors -o expected --precision float32")
    option = cluster_option(shared_cluster)
    run(f"score mics --model m.safetensors -o maps --precision float32 {option}")

    for path in Path("expected").iterdir():
        assert (Path("maps") / path.name).read_bytes() == path.read_bytes()


def test_remote_workers_use_one_number_format(run, shared_cluster):
    run(f"pick mics --model m.safetensors -o picks.tsv {cluster_option(shared_cluster)}")

    assert 'precision = "float32"' in Path("picks.settings.toml").read_text()


def test_damaged_files_are_skipped_and_the_others_are_picked(run, shared_cluster):
    expected_errors = tiny.bad_micrographs("mics")

    messages = run(
        f"pick mics/* --model m.safetensors -o p.tsv {cluster_option(shared_cluster)}", status=1
    ).stderr

    for name, words in expected_errors.items():
        lines = [
            line for line in messages.splitlines() if line.startswith(f"skipped mics/{name}: ")
        ]
        assert len(lines) == 1
        assert words in lines[0]
        assert str(Path.cwd()) not in lines[0]
    assert "7 of 10 files failed and were skipped" in messages
    assert len(read_picks(Path("p.tsv")).micrographs) == 3


def test_a_killed_worker_does_not_change_the_result(run, expected_table, shared_cluster):
    with Client(shared_cluster) as client:
        client.wait_for_workers(2)
        pid = min(client.run(os.getpid).values())
    finished_counts = []

    def kill():
        wait_for(lambda: list_parts("killed.tsv"))
        finished_counts.append(len(list_parts("killed.tsv")))
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    run(f"{COMMAND} -o killed.tsv {cluster_option(shared_cluster)}")
    killer.join()

    assert finished_counts[0] < 36, "the batch finished before the worker was killed"
    assert Path("killed.tsv").read_bytes() == expected_table


@pytest.mark.slow
def test_a_file_that_kills_every_worker_is_skipped(run):
    class CrashPlugin(WorkerPlugin):
        name = "crash"

        def setup(self, worker):
            from cryopick.pick.batch import PickBatch

            pick = PickBatch.pick

            def crash(self, path, ledger):
                return os._exit(1) if path.stem == "mic_05" else pick(self, path, ledger)

            PickBatch.pick = crash

    with start_workers(1) as cluster, Client(cluster) as client:
        client.register_plugin(CrashPlugin())
        messages = run(f"{COMMAND} -o p.tsv {cluster_option(cluster)}", status=1).stderr

    assert "skipped many/mic_05.mrc: all workers died on it" in messages
    assert "1 of 36 files failed" in messages
    assert len(read_picks(Path("p.tsv")).micrographs) == 35


SCHEDULER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
def test_the_same_command_resumes_after_the_scheduler_was_killed(
    run, expected_table, shared_cluster
):
    Path("scheduler.py").write_text(SCHEDULER)
    with subprocess.Popen(
        [sys.executable, "scheduler.py"], stdout=subprocess.PIPE, text=True
    ) as scheduler:
        address = scheduler.stdout.readline().strip()

        def kill():
            wait_for(lambda: list_parts("cut.tsv"))
            scheduler.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        messages = run(f"{COMMAND} -o cut.tsv --cluster {address}", status=1).stderr
        killer.join()
    n_finished = len(list_parts("cut.tsv"))

    resumed_messages = run(f"{COMMAND} -o cut.tsv {cluster_option(shared_cluster)}").stderr

    assert "the connection to the dask scheduler was lost; run the same command again" in messages
    assert 0 < n_finished < 36
    assert "resuming from the unfinished batch" in resumed_messages
    assert Path("cut.tsv").read_bytes() == expected_table


@pytest.mark.slow
def test_a_killed_command_leaves_no_worker_and_resumes_in_one_process(run, expected_table):
    import psutil

    program = [sys.executable, "-c", "from cryopick.cli import main; main()"]
    words = f"{COMMAND} -o cut.tsv --cluster local --workers 1".split()
    with subprocess.Popen([*program, *words], stderr=subprocess.PIPE, text=True) as command:
        wait_for(lambda: list_parts("cut.tsv"))
        children = psutil.Process(command.pid).children(recursive=True)
        listening_addresses = [
            connection.laddr.ip
            for process in (psutil.Process(command.pid), *children)
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        command.kill()
        messages = command.communicate()[1]
    n_finished = len(list_parts("cut.tsv"))
    wait_for(lambda: not psutil.wait_procs(children, timeout=0)[1])

    resumed_messages = run(f"{COMMAND} -o cut.tsv").stderr

    assert "dashboard: http://127.0.0.1:" in messages
    assert set(listening_addresses) == {"127.0.0.1"}
    assert 0 < n_finished < 36
    assert "resuming from the unfinished batch" in resumed_messages
    assert Path("cut.tsv").read_bytes() == expected_table


@pytest.mark.slow
def test_local_workers_load_the_model_once_and_refuse_other_clients(run):
    from cryopick.model.device import require_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings

    batch = PickBatch.open(Path("m.safetensors"), PickSettings(), require_device("cpu"))
    ledger = batch.open_ledger(Path("p.tsv"), "pick")
    paths = sorted(Path("many").iterdir())
    progress = []

    def count_loads():
        from cryopick.distributed.dask_batch import _open_batch

        return _open_batch.cache_info().misses

    with ledger.start([], overwrite=False), connect_workers("local", 1, print) as client:
        job = WorkerJob.from_batch(batch, Path("m.safetensors"), "cpu", ledger)
        outputs = dict.fromkeys(paths)
        failures = run_on_workers(client, job, outputs, batch.picker.ignore, progress.append)
        address = client.scheduler.address
        loads = client.run(count_loads)
        with pytest.raises(OSError, match="TLS certificate does not match"):
            Client(address, timeout=2, security=Security.temporary())

    assert failures == {}
    assert sum(progress) == 36
    assert list(loads.values()) == [1]
    assert address.startswith("tls://127.0.0.1:")


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "lsf", "sge"])
def test_jobs_start_workers_with_this_python(scheduler, tmp_path):
    with create_job_cluster(scheduler) as cluster:
        script = cluster.job_script()

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
def test_jobs_are_submitted_and_cancelled(run, expected_table, monkeypatch):
    for name, text in (("sbatch", SBATCH), ("scancel", '#!/bin/bash\nkill -- "-$1"\n')):
        Path(name).write_text(text)
        Path(name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path.cwd()}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(Path.cwd()))

    messages = run(f"{COMMAND} -o slurm.tsv --cluster slurm --workers 1").stderr

    assert "waiting for a worker of slurm" in messages
    assert "dashboard: http://127.0.0.1:" in messages
    assert Path("slurm.tsv").read_bytes() == expected_table
    pids = [int(line) for line in Path("submitted").read_text().split()]
    assert pids
    wait_for(lambda: not any(map(is_running, pids)))


def is_running(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            "--cluster condor",
            1,
            "--cluster must be one of local, slurm, pbs, lsf, sge, or the address",
        ),
        ("--cluster tcp://127.0.0.1:9", 1, "no dask scheduler answers at this address"),
        ("--workers 2", 2, "--workers needs --cluster"),
    ],
)
def test_usage_errors_are_reported(run, monkeypatch, words, status, message):
    monkeypatch.setattr(dask_cluster, "_TIMEOUT_S", 0.4)

    messages = run(f"{COMMAND} -o p.tsv {words}", status=status).stderr

    assert message in " ".join(messages.split())


@pytest.mark.parametrize("package", ["distributed", "cryptography", "dask_jobqueue"])
def test_the_error_of_a_missing_package_names_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    cluster = "slurm" if package == "dask_jobqueue" else "local"

    with (
        pytest.raises(ClusterError, match=r"pip install 'cryopick\[cluster\]'"),
        connect_workers(cluster, 1, print),
    ):
        pass


def test_a_scheduler_without_workers_times_out(monkeypatch):
    monkeypatch.setattr(dask_cluster, "_TIMEOUT_S", 4.0)
    with (
        start_workers(0) as empty,
        pytest.raises(ClusterError, match="has no worker"),
        connect_workers(empty.scheduler_address, None, print),
    ):
        pass


def test_an_unknown_cluster_is_refused_before_workers_start():
    with (
        pytest.raises(SettingsError, match="--cluster must be one of"),
        connect_workers("x", 1, print),
    ):
        pass
