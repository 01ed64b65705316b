"""`cryopick simulate`: data sets, complete and resumed."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from cryopick.config import load_toml
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.tables.pick_tables import read_picks
from cryopick.simulate.micrograph import simulate_dataset
from cryopick.simulate.settings import SimulationSettings

SMALL = "--width-px 80 --height-px 64 --pixel-size-ang 12 --particles 3 --clean --count 3"


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def test_a_data_set_is_micrographs_particles_and_settings(run_words):
    run_words(f"simulate data {SMALL} --defocus-um 1 1.2 --molecule ring --seed 4")

    settings = load_toml(SimulationSettings, Path("data/settings.toml"))
    picks = read_picks(Path("data/particles.tsv"))
    assert settings.defocus_um == (1.0, 1.2)
    assert (settings.molecule, settings.seed, settings.broken) == ("ring", 4, 0.0)
    for number, made in enumerate(simulate_dataset(settings, 3)):
        stored = read_micrograph(Path(f"data/micrographs/mic_00{number}.mrc"))
        own = picks.restrict([f"mic_00{number}"])
        assert stored.pixel_size_ang == pytest.approx(12)
        assert np.array_equal(stored.pixels, made.image)
        assert np.allclose(own.xy_px, made.xy_px, rtol=0, atol=1e-3)
        assert np.allclose(own.extra["defocus_um"].astype(float), made.truth["defocus_um"])


def test_a_resumed_data_set_equals_an_uninterrupted_one(run_words, monkeypatch):
    run_words(f"simulate whole {SMALL}")
    module, written = importlib.import_module("cryopick.simulate.micrograph"), []

    def simulate_one(settings, molecule, index):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(index)
        return real(settings, molecule, index)

    real = module.simulate_micrograph
    with monkeypatch.context() as patch:
        patch.setattr(module, "simulate_micrograph", simulate_one)
        run_words(f"simulate cut {SMALL}", status=130)
    assert not Path("cut/particles.tsv").exists()

    assert "resuming" in run_words(f"simulate cut {SMALL}").stderr
    assert files("cut") == files("whole")
    assert not list(Path().glob(".*.parts"))


def test_a_data_set_is_overwritten_only_with_force(run_words):
    run_words(f"simulate data {SMALL}")
    before = files("data")

    result = run_words(f"simulate data {SMALL} --seed 1", status=1)

    assert "data/particles.tsv: already exists; overwrite it with --force" in result.stderr
    assert files("data") == before
    run_words(f"simulate data {SMALL} --seed 1 --force")
    assert files("data") != before


def test_options_take_precedence_over_a_settings_file(run_words):
    Path("c.toml").write_text("width_px = 100\nheight_px = 64\nparticles = 1\nbroken = 1.5\n")

    run_words("simulate data --config c.toml --pixel-size-ang 12 --width-px 70 --count 1")

    settings = load_toml(SimulationSettings, Path("data/settings.toml"))
    assert (settings.width_px, settings.height_px, settings.broken) == (70, 64, 1.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--molecule z", "molecule must be one of"),
        ("--particles 5000", "particles must be at most"),
        ("--width-px 3", "width_px must be at least 64; got 3"),
    ],
)
def test_invalid_simulations_are_refused_in_one_line(run_words, words, message):
    assert message in run_words(f"simulate data {SMALL} {words}", status=1).stderr


def test_vary_writes_micrographs_that_all_differ(run_words):
    run_words("simulate data --vary --count 3 --width-px 96 --seed 4")

    particles = read_picks(Path("data/particles.tsv"))
    sizes = {read_micrograph(p).pixel_size_ang for p in Path("data/micrographs").glob("*.mrc")}
    assert len(sizes) == 3
    assert (np.asarray(particles.extra["diameter_ang"], float) > 30).all()
    assert "--seed 4" in Path("data/settings.toml").read_text()


def test_vary_refuses_the_settings_of_a_single_data_set(run_words):
    result = run_words("simulate data --vary --molecule rod", status=2)

    assert "--molecule cannot be combined with --vary" in result.stderr
