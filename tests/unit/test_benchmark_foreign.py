"""The table of the benchmark of foreign data, and the sets it is made of."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cryopick.io.images.micrograph import read_micrograph

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Give a module of the benchmark by its name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("foreign", "foreign_methods", "foreign_sets", "common")
    import foreign
    import foreign_methods
    import foreign_sets

    yield {"table": foreign, "methods": foreign_methods, "sets": foreign_sets}
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def records(tmp_path):
    """A folder of records, and a function that writes one."""

    def write(name, model, ap, *, labels=0, draw=0, method="given", **others):
        folder = tmp_path / "records" / name.replace(":", "@")
        folder.mkdir(parents=True, exist_ok=True)
        key = {"set": name, "method": method, "labels": labels, "draw": draw, "model": model}
        path = folder / f"{method}-{labels}-{draw}-{model}.json"
        path.write_text(json.dumps(key | {"ap": ap, "f1": 0.5} | others))

    return tmp_path, write


def lines_of(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]


def test_the_table_shows_means_over_draws_beside_the_peer(benchmark, records, capsys):
    out, write = records
    write("aspire-ring", "new", 0.7)
    write("aspire-ring", "resnet16", 0.65, method="peer")
    for draw, ap in enumerate((0.8, 0.9, 1.0)):
        write("aspire-ring", "new", ap, labels=25, draw=draw)

    benchmark["table"].main(["--table", "--models", "new", "--out", str(out)])

    head, row = lines_of(capsys)
    assert head == "| set | peer | 0 labels | 25 labels |"
    assert row == ("| aspire-ring | 0.650 (F1 0.50) | 0.700 (F1 0.50) | 0.900 ± 0.100 (F1 0.50) |")


def test_two_models_stand_side_by_side_and_a_missing_result_is_a_dash(benchmark, records, capsys):
    out, write = records
    write("own-20", "new", 0.9)
    write("own-20", "old", 0.8)
    write("own-5", "new", 0.7)

    benchmark["table"].main(["--table", "--models", "new", "old", "--out", str(out)])

    head, *rows = lines_of(capsys)
    assert head == "| set | peer | 0 labels, new | 0 labels, old |"
    assert rows == [
        "| own-5 | – | 0.700 (F1 0.50) | – |",
        "| own-20 | – | 0.900 (F1 0.50) | 0.800 (F1 0.50) |",
    ]


def test_wrong_diameters_and_sets_without_particles_have_tables_of_their_own(
    benchmark, records, capsys
):
    out, write = records
    write("own-20", "new", 0.9)
    write("own-20:x0.67", "new", 0.4)
    write("own-20:x1.5", "new", 0.6)
    write("empty-3", "new", None, kept=[0, 2, 1])

    benchmark["table"].main(["--table", "--models", "new", "--out", str(out)])

    rows = lines_of(capsys)
    assert "| own-20 | 0.400 (F1 0.50) | – | 0.900 (F1 0.50) | – | 0.600 (F1 0.50) |" in rows
    assert "| empty-3 | 0, 2, 1 |" in rows


def test_beginnings_of_names_give_all_sets_that_begin_so_and_factors_multiply_them(benchmark):
    expand = benchmark["table"].expand

    assert expand(["own-p"], []) == ["own-px0.75", "own-px3", "own-px6"]
    assert expand(["own-2"], []) == ["own-2"]  # the whole name of a set is that set
    assert expand(["t20s"], [0.67, 1.5]) == ["t20s", "t20s:x0.67", "t20s:x1.5"]
    with pytest.raises(SystemExit, match="no set is called nowhere"):
        expand(["nowhere"], [])


def test_a_rod_is_matched_within_a_quarter_of_its_length_and_a_ball_within_0_4(benchmark):
    make = benchmark["sets"].ForeignSet
    common = {"name": "a", "kind": "own", "micrographs": [], "n_train": 0, "truth": None}
    sizes = {"pixel_size_ang": 2.0, "diameter_ang": 300.0, "given_ang": 200.0}

    rod = make(**common, **sizes, middle_ang=30.0)
    ball = make(**common, **sizes, middle_ang=280.0)

    assert rod.radius_px == pytest.approx(37.5)
    assert ball.radius_px == pytest.approx(60.0)


def test_an_mrc_file_comes_back_and_is_what_cryopick_reads(benchmark, tmp_path):
    pixels = np.random.default_rng(0).normal(size=(48, 64)).astype(np.float32)
    path = tmp_path / "a.mrc"

    benchmark["sets"].write_mrc(path, pixels, 2.5)

    assert np.array_equal(benchmark["sets"].read_pixels(path), pixels)
    micrograph = read_micrograph(path)
    assert np.array_equal(micrograph.pixels, pixels)
    assert micrograph.pixel_size_ang == pytest.approx(2.5)


def test_added_noise_multiplies_the_standard_deviation_and_is_reproducible(benchmark):
    pixels = np.random.default_rng(1).normal(3.0, 2.0, (256, 256)).astype(np.float32)

    noisy = benchmark["sets"].add_noise(pixels, 2.0)

    assert noisy.std() == pytest.approx(4.0, rel=0.02)  # 65,536 pixels: 0.3 % by chance
    assert np.array_equal(noisy, benchmark["sets"].add_noise(pixels, 2.0))


def test_labels_are_drawn_from_the_training_micrographs_alone(benchmark, tmp_path):
    truth = tmp_path / "particles.tsv"
    rows = [f"m{i % 4}\t{i}\t{i}" for i in range(40)]
    truth.write_text("\n".join(["image_name\tx_coord\ty_coord", *rows]) + "\n")
    data = benchmark["sets"].ForeignSet(
        name="a",
        kind="own",
        micrographs=[Path(f"m{i}.mrc") for i in range(4)],
        n_train=2,
        truth=truth,
        pixel_size_ang=1.0,
        diameter_ang=10.0,
        given_ang=10.0,
    )
    job, draw = benchmark["methods"].Job, benchmark["methods"].draw_labels

    few = draw(job(data, "given", 7, 0, "new"), tmp_path / "few.tsv")
    every = draw(job(data, "given", benchmark["methods"].ALL, 0, "new"), tmp_path / "all.tsv")
    too_many = draw(job(data, "given", 21, 0, "new"), tmp_path / "many.tsv")

    assert too_many is None
    assert len(few.read_text().splitlines()) == 1 + 7
    drawn = every.read_text().splitlines()[1:]
    assert {row.split("\t")[0] for row in drawn} == {"m0", "m1"}
    assert len(drawn) == 20


def test_sets_kept_back_are_named_but_not_in_the_others(benchmark):
    expand, list_sets = benchmark["table"].expand, benchmark["sets"].list_sets
    kept_back, usual = list_sets(kept_back=True), list_sets()

    assert expand(["kept-back"], []) == kept_back
    assert expand(["all"], []) == usual
    assert len(kept_back) > 10
    assert not set(kept_back) & set(usual)
    assert not set(expand(["aspire"], [])) & set(kept_back)  # beginnings of names do not reach them
    assert expand([kept_back[0]], []) == kept_back[:1]
