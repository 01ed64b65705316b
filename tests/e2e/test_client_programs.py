"""Unmodified programs of others read what we write, and run cryopick in place of Topaz.

`make clients` installs each program into an environment of its own and runs these tests. They are
skipped where an environment is missing; with REQUIRE_CLIENTS=1 that is a failure.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from tests.e2e.conftest import SHAPE, run

from cryopick.clients.relion import write_coordinates
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph
from cryopick.picks import Picks, concatenate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DRIVERS = ROOT / "tests" / "clients"
BOX_PX = 16


def find_python(client):
    """Return the Python of a client's environment."""
    python = ROOT / os.environ.get("CLIENTS", ".clients") / client / "bin" / "python"
    if not python.exists():
        reason = f"{client} is not installed: `make clients` installs it in {python.parents[1]}"
        pytest.fail(reason) if os.environ.get("REQUIRE_CLIENTS") == "1" else pytest.skip(reason)
    return python


def ask(client, driver, *words, folder, **environment):
    """Run a driver with the Python of a client, and return the JSON of its last line."""
    done = subprocess.run(
        [find_python(client), DRIVERS / driver, *map(str, words)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def picked(tmp_path):
    """Three micrographs in mics/, and picks at whole pixels on them."""
    (tmp_path / "mics").mkdir()
    tables = []
    for number in range(3):
        image, xy_px = tiny.particles(number, (192, 224))
        path = tmp_path / "mics" / f"mic_{number}.mrc"
        write_mrc(path, image, pixel_size_ang=(tiny.PIXEL_ANG, tiny.PIXEL_ANG))
        scores = np.linspace(3, -3, len(xy_px))
        tables.append(Picks.for_micrograph(f"mics/{path.name}", np.rint(xy_px), scores))
    return concatenate(tables)


def rows_of(picks):
    names = [Path(picks.micrographs[i]).stem for i in picks.index]
    return sorted([n, *xy] for n, xy in zip(names, picks.xy_px.tolist(), strict=True))


def count_found(found, picks):
    """Number of picks that lie within half a box of one found."""
    positions = {}
    for name, x, y in found:
        positions.setdefault(name, []).append((x, y))
    return sum(
        min(np.hypot(x - u, y - v) for u, v in positions.get(name, [(-999, -999)])) < BOX_PX / 2
        for name, x, y in rows_of(picks)
    )


def test_scipion_imports_our_picks_and_runs_its_topaz_protocols(topaz, picked, tmp_path):
    find_python("scipion")
    write_picks(picked, tmp_path / "picks.star")
    write_picks_per_micrograph(picked, tmp_path / "boxes", format="box", box_px=BOX_PX)
    (tmp_path / "work").mkdir()

    made = ask(
        "scipion",
        "run_scipion.py",
        *("work", topaz.parent, "mics/*.mrc", "picks.star", "boxes/*.box"),
        folder=tmp_path,
    )

    assert sorted(made["star"]) == sorted(made["box"]) == rows_of(picked)
    assert count_found(made["general"], picked) >= 0.7 * len(picked)
    assert count_found(made["trained"], picked) >= 0.5 * len(picked)


def test_cryosparc_tools_and_emtools_read_the_same_positions(picked, tmp_path):
    find_python("readers")
    shapes = dict.fromkeys(picked.micrographs, (192, 224))
    write_picks(picked, tmp_path / "picks.cs", layout=TableLayout(shapes_px=shapes))
    write_picks(picked, tmp_path / "picks.star")

    rows = ask("readers", "read_tables.py", "picks.cs", "picks.star", folder=tmp_path)

    for name in ("cs", "star"):
        found = sorted([Path(path).stem, x, y] for path, x, y in rows[name])
        expected = rows_of(picked)
        assert [row[0] for row in found] == [row[0] for row in expected]
        np.testing.assert_allclose(
            [row[1:] for row in found], [row[1:] for row in expected], atol=0.01
        )


def test_pipeliner_finds_the_program_and_draws_our_picks(topaz, picked, tmp_path, monkeypatch):
    find_python("pipeliner")
    monkeypatch.chdir(tmp_path)
    write_coordinates(picked, Path("External/job001"))
    (tmp_path / "shown").mkdir()
    table = "External/job001/mics/mic_0_autopick.star"

    found = ask(
        "pipeliner",
        "read_with_pipeliner.py",
        *("mics/mic_0.mrc", table, "External/job001/autopick.star"),
        folder=tmp_path,
        PATH=f"{topaz.parent}:{os.environ['PATH']}",
    )

    assert found["executable"] == "relion_python_topaz"
    assert Path(found["python"]).exists()
    assert [float(x) for x in found["x"]] == picked.xy_px[picked.index == 0, 0].tolist()
    assert table in found["list"]
    assert found["drawn"]


def test_relion_of_version_5_runs_the_script_of_its_own_name(topaz, tmp_path):
    image, _ = tiny.blobs(1, SHAPE)
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=None)
    program = topaz.with_name("relion_python_topaz")

    run([program, "extract", "-m", "none", "-r", "3", "-t", "-9", "-o", "p.txt", "a.mrc"], tmp_path)

    assert (tmp_path / "p.txt").read_text().startswith("image_name\tx_coord\ty_coord\tscore\n")
