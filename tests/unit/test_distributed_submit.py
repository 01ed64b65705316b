"""`cryopick submit`: batch scripts, and the check of the command in them."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.distributed.submit import PLACEHOLDERS, SCHEDULERS, JobScript, parse_time_limit
from cryopick.errors import SettingsError

SUBMIT = "submit --scheduler slurm -s job.sh"
DIRECTIVES = {
    "slurm": [
        *("--job-name=cryopick-pick", "--array=1-20", "--cpus-per-task=8", "--partition=long"),
        *("--time=26:30:00", "--mem=16384M", "--gres=gpu:2", "--output=logs/%x-%A_%a.log"),
    ],
    "pbs": [
        *("-N cryopick-pick", "-J 1-20", "-l select=1:ncpus=8:mem=16384mb:ngpus=2", "-q long"),
        *("-l walltime=26:30:00", "-j oe -o logs/", "-V"),
    ],
    "sge": [
        *("-N cryopick-pick", "-t 1-20", "-pe smp 8", "-q long", "-l h_rt=26:30:00"),
        *("-l h_vmem=2048M", "-l gpu=2", "-j y -o logs/", "-cwd", "-V"),
    ],
    "lsf": [
        *('-J "cryopick-pick[1-20]"', "-n 8", '-R "span[hosts=1]"', "-q long", "-W 1590"),
        *("-M 16384MB", '-gpu "num=2"', "-o logs/cryopick-pick-%J-%I.log"),
    ],
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYOPICK_SUBMIT_TEMPLATE", raising=False)

    def run_line(line, status=0):
        result = CliRunner().invoke(app, shlex.split(line))
        assert result.exit_code == status, result.output
        return result

    return run_line


def execute(text, folder):
    """Run a script with a program in place of cryopick that prints its words."""
    (folder / "cryopick").write_text('#!/bin/bash\nprintf "%s|" "$@" "${CRYOPICK_SHARDS:-}"\n')
    (folder / "cryopick").chmod(0o755)
    return subprocess.run(
        ["bash", "-c", text],
        env={"PATH": f"{folder}:/usr/bin:/bin", "PBS_O_WORKDIR": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_asks_for_its_resources_and_runs_the_command_in_shards(scheduler, tmp_path):
    words = ["pick", "my mics/*.mrc", "-o", "p.star"]
    text = JobScript(
        scheduler=scheduler,
        words=words,
        file="a b.sh",
        shards=20,
        cores=8,
        partition="long",
        time_s=parse_time_limit("1-02:30:00"),
        memory_gb=16.0,
        gpus=2,
        log_folder="logs",
        setup=["echo 'set up' >&2"],
    ).render()

    done = execute(text, tmp_path)

    assert done.stdout == "pick|my mics/*.mrc|-o|p.star|--shard|auto|20|", done.stderr
    assert done.stderr == "set up\n"
    directives = [line.split(" ", 1)[1] for line in text.splitlines()[1:] if line.startswith("#")]
    assert directives[: len(DIRECTIVES[scheduler])] == DIRECTIVES[scheduler]
    assert "'a b.sh'" in text


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_single_job_is_no_array_and_leaves_the_rest_to_the_cluster(scheduler, tmp_path):
    text = JobScript(scheduler=scheduler, words=["train", "-o", "m"], file="j.sh").render()

    assert execute(text, tmp_path).stdout == "train|-o|m||"
    given = " ".join(text.partition("set -euo")[0].split())
    assert not any(word in given for word in ("1-", "array", "time", "mem", "gpu", "-q", "-W"))


@pytest.mark.parametrize("text", ["", "90", "1:30", "0:00:00", "1:60:00", "x", "-1:00:00"])
def test_an_odd_time_limit_is_refused(text):
    with pytest.raises(SettingsError, match="a time limit must have the form"):
        parse_time_limit(text)


def test_submit_writes_an_executable_script_and_the_folder_of_logs(run):
    result = run(f"{SUBMIT} --shards 4 --log-folder logs pick mics -o p.star --diameter-ang 90")

    assert result.stderr == "Submit with: sbatch job.sh\n"
    assert (
        "cryopick pick mics -o p.star --diameter-ang 90 --shard auto" in Path("job.sh").read_text()
    )
    assert os.access("job.sh", os.X_OK)
    assert Path("logs").is_dir()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--shards 4 info mics", "only pick, score, propose, filaments, train can be"),
        ("--shards 4 pick mics -o p.star --diametr-ang 9", "No such option: --diametr-ang"),
        ("pick mics -o p.star --diameter-ang x", "expected a number such as 150"),
        ("pick mics -o p.star --diameter-ang -9", "diameter_ang must be above 0; got -9"),
        ("--shards 4 pick mics", "Missing option '--out'"),
        ("--shards 4 pick mics -o p.star --threshold auto", "needs the picks of all shards"),
        ("--shards 4 pick mics -o p.star --shard 1/4", "remove --shard from the command"),
        ("pick mics -o p.star --config none.toml", "none.toml: no such file"),
        ("--shards 4 train -m mics -p l.star -o m.safetensors", "train cannot run in shards"),
        ("train -m mics -p l.star -o m.safetensors", "add --diameter-ang"),
        ("--time 90 pick mics -o p.star", "a time limit must have the form"),
        ("--scheduler x pick mics -o p.star", "must be one of slurm"),
    ],
)
def test_a_command_that_would_fail_is_refused_before_the_script_is_written(run, line, message):
    status = 1 if "no such file" in message else 2
    result = run(f"{SUBMIT} {line}", status=status)

    assert message in " ".join(result.stderr.split())
    assert not Path("job.sh").exists()


def test_a_command_with_several_micrographs_after_one_option_can_be_submitted(run):
    run(f"{SUBMIT} train -m a.mrc b.mrc -p l.star -o m.safetensors --diameter-ang 90")

    assert "cryopick train -m a.mrc b.mrc -p l.star" in Path("job.sh").read_text()


def test_checking_a_command_writes_neither_its_log_nor_its_report(run):
    result = run(f"{SUBMIT} pick mics -o p.star --log-file inner.log --json --quiet")

    assert not Path("inner.log").exists()
    assert (result.stdout, result.stderr) == ("", "Submit with: sbatch job.sh\n")


def test_the_template_of_a_site_is_filled_in(run, monkeypatch):
    names = " ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS if name != "directives")
    Path("site.sh").write_text(f"#!/bin/sh\n{{{{ directives }}}}\n#SBATCH --account=x\n: {names}\n")
    monkeypatch.setenv("CRYOPICK_SUBMIT_TEMPLATE", "site.sh")

    run(f"{SUBMIT} --shards 3 --partition p --time 1:00:00 --memory-gb 2 pick mics -o p.star")

    text = Path("job.sh").read_text()
    assert "#SBATCH --array=1-3\n" in text
    assert "#SBATCH --account=x\n" in text
    assert "cryopick pick mics -o p.star --shard auto cryopick-pick 3 4 p 01:00:00 2 0" in text
    assert "{{" not in text


@pytest.mark.parametrize(
    ("template", "message"),
    [("{{command}} {{colour}}", "refers to 'colour'"), ("echo", "has no {{command}}")],
)
def test_a_template_with_a_mistake_is_refused(run, template, message):
    Path("site.sh").write_text(template)

    result = run(f"{SUBMIT} --template site.sh pick mics -o p.star", status=2)

    assert message in " ".join(result.stderr.split())
