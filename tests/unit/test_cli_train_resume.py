"""`cryopick train` after an interruption: resume, start again or end early."""

import importlib
import os
from pathlib import Path

import pytest
from tests import tiny
from tests.unit.test_cli_train import FROM_MODEL, LINE

from cryopick.model.model_file import load_model


@pytest.fixture
def cut_off(monkeypatch, run):
    """Run a command that is interrupted right after a number of checkpoints."""

    def run_and_cut(line, checkpoints):
        left = iter(range(checkpoints))

        def save_and_stop(*args):
            save_checkpoint(*args)
            if next(left) == checkpoints - 1:
                raise KeyboardInterrupt

        module = importlib.import_module("cryopick.train.loop")  # the name is a function's too
        save_checkpoint = module.save_checkpoint
        with monkeypatch.context() as patch:
            patch.setattr(module, "save_checkpoint", save_and_stop)
            run(line, status=130)

    return run_and_cut


def test_a_resumed_run_ends_like_an_uninterrupted_one(run, cut_off):
    run(f"{LINE} -o a.safetensors --held-out-frac 0.3")
    cut_off(f"{LINE} -o b.safetensors --held-out-frac 0.3", 2)
    Path("b.run/.checkpoint.safetensors.0123.safetensors").write_text("half a checkp")
    assert not Path("b.safetensors").exists()

    result = run(f"{LINE} -o b.safetensors --held-out-frac 0.3")

    assert "resuming at step 4 of the unfinished run in b.run" in result.stderr
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    assert Path("a.run/curves.tsv").read_text() == Path("b.run/curves.tsv").read_text()
    assert not list(Path("b.run").glob(".*"))


@pytest.mark.parametrize("change", ["settings", "labels", "micrographs", "held out"])
def test_an_unfinished_run_with_other_inputs_is_neither_resumed_nor_discarded(run, cut_off, change):
    cut_off(f"{LINE} -o a.safetensors", 1)
    line = f"{LINE} -o a.safetensors"
    if change == "settings":
        line += " --seed 5"
    elif change == "held out":
        line += " --held-out-frac 0.3"
    elif change == "labels":
        Path("labels.tsv").write_text(Path("labels.tsv").read_text() + "mic_0\t50\t50\n")
    else:
        Path("mics/mic_2.mrc").touch()

    for words in (line, f"{line} --resume", f"{line} --resume --force"):
        assert "start again with --force" in run(words, status=1).stderr


def test_force_discards_an_unfinished_run(run, cut_off):
    cut_off(f"{LINE} -o a.safetensors", 1)

    assert "resuming" not in run(f"{LINE} -o a.safetensors --force --seed 5").stderr


def test_resume_continues_or_fails(run, cut_off):
    assert "contains no unfinished run" in run(f"{LINE} -o a.safetensors --resume", status=1).stderr
    cut_off(f"{LINE} -o a.safetensors", 1)

    assert "resuming at step 2" in run(f"{LINE} -o a.safetensors --resume").stderr
    assert (
        "contains no unfinished run" in run(f"{LINE} -o a.safetensors --resume --force", 1).stderr
    )


def test_finish_writes_the_best_model_so_far(run, cut_off):
    assert "contains no unfinished run" in run(f"{LINE} -o a.safetensors --finish", status=1).stderr
    cut_off(f"{LINE} -o a.safetensors", 2)

    run(f"{LINE} -o a.safetensors --finish")

    assert load_model(Path("a.safetensors")).summary["best_step"] == 4
    assert not Path("a.run/unfinished").exists()


def test_a_run_with_another_initial_model_is_another_run(cut_off, run):
    tiny.model("start.safetensors")
    longer = FROM_MODEL.replace("--steps 2", "--steps 4")
    line = f"{longer} --init start.safetensors -o a.safetensors"
    cut_off(line, 1)
    os.utime("start.safetensors", (0, 0))  # as if it had been written again

    assert "contains an unfinished run with other settings" in run(line, status=1).stderr


@pytest.mark.parametrize("damage", [b"", b"half a checkpoint", None])
def test_a_damaged_checkpoint_costs_its_steps_only(run, cut_off, damage):
    run(f"{LINE} -o a.safetensors")
    cut_off(f"{LINE} -o b.safetensors", 1)
    checkpoint = Path("b.run/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9] if damage is None else damage)

    run(f"{LINE} -o b.safetensors --resume", status=1)
    run(f"{LINE} -o b.safetensors")

    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
