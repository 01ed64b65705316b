"""Every benchmark runs, on inputs that are too small for meaningful numbers."""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.inference.engine import resolve_precision
from cryopick.model.device import CPU
from cryopick.model.geometry import Geometry
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.sampling import Sampler
from cryopick.train.sampling_settings import SamplingSettings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NUMBER_FORMATS = 2 if resolve_precision("auto", CPU) == "bfloat16" else 1
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture
def bench(monkeypatch, folder):
    """Return a function that imports a benchmark and gives it the shared inputs.

    Commands of cryopick run in this process, which has already imported torch; with
    `separate_processes=True` they run as programs, as in a real benchmark.
    """
    monkeypatch.syspath_prepend(BENCHMARKS)
    common = importlib.import_module("common")
    monkeypatch.setattr(common, "LOG", folder / "last-command.log")
    measure_program = common.measure

    def measure_here(*command):
        if command[0] != common.CRYOPICK:
            return measure_program(*command)
        common.forget(command)
        start = time.perf_counter()
        result = CliRunner().invoke(app, [str(word) for word in command[1:]])
        common.LOG.write_text(result.output)
        if result.exit_code:
            raise RuntimeError(result.output)
        return common.Usage(time.perf_counter() - start, 1.0)

    def load(name, *, separate_processes=False):
        common.measure = measure_program if separate_processes else measure_here
        inputs = common.Inputs(count=2, side_px=512, steps=4, folder=folder)
        return importlib.import_module(name), inputs

    yield load
    for name in NAMES:
        sys.modules.pop(name, None)


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("preprocess", {"repeats": 1}, 10 + 4 + 3),
        ("pick", {"repeats": 1, "seeds": 1, "cameras": ()}, 6 + 4 + 3 * NUMBER_FORMATS),
        (
            "linear",
            {"counts": (1, 2), "sides_px": (256, 512), "awkward_px": 509, "repeats": 1},
            6 + 6,
        ),
        ("memory", {"few": 1, "many": 2, "training": 2}, 7),
        ("many", {"counts": (1, 2)}, 4),
    ],
)
def test_a_benchmark_of_micrographs_prints_its_tables(bench, capsys, name, options, rows):
    module, inputs = bench(name)

    module.main(inputs, **options)

    shown = [line for line in lines_of(capsys.readouterr().out) if not line.startswith("| work")]
    assert len(shown) == rows


def test_the_benchmark_of_picking_measures_images_of_a_camera(bench, capsys):
    module, inputs = bench("pick")

    module.large(module.Camera("small", 700, 600), inputs, inputs.model(module.FACTOR), 1)

    assert "small, 700 x 600" in capsys.readouterr().out


def test_the_benchmarks_of_start_up_and_of_networks_print_their_tables(bench, capsys, folder):
    bench("start", separate_processes=True)[0].main(repeats=1, folder=folder)
    bench("train")[0].main(count=2, side_px=128, steps=2, repeats=1)
    bench("score")[0].main(side_px=64, networks=("conv31",), repeats=1)

    shown = capsys.readouterr().out
    assert "`" not in shown
    assert "cryopick convert, 100 picks" in shown
    assert "regions a second" in shown
    assert "conv31, every 4 px, float32" in shown


def test_the_benchmark_of_gpus_runs_on_a_processor(bench, capsys, folder):
    module, inputs = bench("gpu")

    results = module.main(inputs, ["--device", "cpu", "--out", str(folder / "gpu.json")])

    assert json.loads((folder / "gpu.json").read_text()) == results
    assert results["difference of unet97, float32"] < 1e-3 < results["seconds in total"]
    assert "micrographs a second" in capsys.readouterr().out


def test_the_reference_program_is_measured_and_compared(bench, capsys, monkeypatch, folder):
    peer, inputs = bench("peer")
    stand_in = folder / "topaz"
    stand_in.write_text("#!/bin/sh\nexec sleep 0.1\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(peer, "TOPAZ", stand_in)
    monkeypatch.setattr(peer, "middle", lambda work: work())
    monkeypatch.setattr(peer, "SHORT", (1, 1))
    monkeypatch.setattr(peer, "LONG", (2, 2))

    peer.main(inputs, repeats=1)

    shown = lines_of(capsys.readouterr().out)
    assert sum(line.startswith("| prepare") for line in shown) == 3
    assert shown[-1].startswith("| regions learnt")


def test_wrong_picks_are_classified_by_their_location(bench, capfd, monkeypatch, folder):
    module, _ = bench("contamination")
    monkeypatch.setattr(module, "MOLECULES", ("compact",))

    module.main(count=1, side_px=512, folder=folder / "contamination")

    assert lines_of(capfd.readouterr().out)[-1].startswith("| compact | ")


def test_trials_of_a_draw_share_the_minibatches_of_the_first(bench, folder):
    import torch

    figure5, _ = bench("figure5")
    rng = np.random.default_rng(0)
    image = rng.normal(size=(80, 90)).astype(np.float32)
    stored = StoredMicrograph(image, np.ones(image.shape, bool), (1.0, 1.0))
    save_micrograph(folder / "store", 0, stored)
    store = PreparedStore.open(folder / "store", [np.array([[30.0, 40.0], [60.0, 20.0]])])
    settings = SamplingSettings(patch_px=31, unlabelled_patches=5, positive_patches=3)
    cpu, geometry = torch.device("cpu"), Geometry(31, 31, 4)
    expected = Sampler(store, settings, geometry, seed=4)

    for seed in (4, 4, 5, 4):
        sampler = figure5.RepeatedSampler(store, settings, geometry, seed=seed)
        for step in range(3):
            batch, other = sampler.batch(step, cpu), expected.batch(step, cpu)
            assert torch.equal(batch.patches, other.patches) == (seed == 4)
            assert seed != 4 or np.array_equal(batch.kinds, other.kinds)
    figure5.RepeatedSampler.patches.close()


def test_every_benchmark_is_in_the_table_and_loads(bench):
    table = (BENCHMARKS / "README.md").read_text()

    for name in NAMES:
        assert bench(name)[0].__doc__
        assert name == "common" or f"`{name}.py`" in table
