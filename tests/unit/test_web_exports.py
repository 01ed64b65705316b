"""Exports have the box that was chosen, can be downloaded, and are written again by a command."""

import io
import shlex
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.io.tables.formats import CODECS
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate


@pytest.fixture
def run(project):
    """A run with five picks on each of three micrographs."""
    name = project.runs.create("pick", "Run", {"diameter_ang": 135.0})
    tables = [
        Picks.for_micrograph(
            str(path), np.arange(10.0).reshape(5, 2) * 9 + 4, np.linspace(4, 0.5, 5)
        )
        for path in project.micrographs.usable().values()
    ]
    write_picks(concatenate(tables), project.runs.folder(name) / "picks.json")
    project.runs.take_picks(name)
    project.runs.change(name, state="done")
    return name


def export(client, run, **request):
    body = {"what": "picks", "run": run, "formats": [".star"], "dry_run": False, **request}
    answer = client.post("/api/exports", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def content(path):
    """Return the bytes of a file, or of all tables of a folder by name."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "run.json"}
    return path.read_bytes()


@pytest.mark.parametrize("kind", list(CODECS))
def test_the_command_writes_the_same_file(client, project, run, kind):
    summary = export(client, run, formats=[f".{kind}"], box_px=24)
    path = project.folder / summary["files"][0]["path"]
    before = content(path)

    words = shlex.split(summary["command"].splitlines()[-1])
    result = CliRunner().invoke(app, words[1:])

    assert result.exit_code == 0, result.output
    assert words[:2] == ["cryopick", "convert"]
    assert content(path) == before


def test_boxes_have_the_chosen_side(client, project, run):
    for chosen, expected in ((0, project.box_px), (48, 48)):
        summary = export(client, run, formats=[".box"], box_px=chosen, replace=True)
        folder = project.folder / "exports" / "particles-box"
        line = sorted(folder.iterdir())[0].read_text().splitlines()[0].split()

        assert summary["box_px"] == expected
        assert [int(float(side)) for side in line[2:4]] == [expected, expected]


def test_particles_added_by_hand_get_the_highest_score(client, project, run):
    """RELION takes a missing figure of merit, -999, for the worst one."""
    body = {"op": "add", "cid": "c", "id": "l", "mid": 1, "x": 80.0, "y": 80.0, "kind": "pos"}
    assert client.post("/api/ops", json={"ops": [body]}).status_code == 200

    path = project.folder / export(client, run)["files"][0]["path"]

    table = read_picks(path)
    assert table.score.min() > -999
    added = (table.xy_px == [80.0, 80.0]).all(axis=1)
    assert table.score[added].tolist() == [4.0]


def test_labels_alone_have_no_score(client, project):
    body = {"op": "add", "cid": "c", "id": "l", "mid": 1, "x": 80.0, "y": 80.0, "kind": "pos"}
    client.post("/api/ops", json={"ops": [body]})

    path = project.folder / export(client, None, what="labels")["files"][0]["path"]

    assert "FigureOfMerit" not in path.read_text()


def test_an_export_is_downloaded_as_it_is_or_as_an_archive(client, project, run):
    export(client, run, formats=[".star", ".box"])

    table = client.get("/api/exports/download", params={"name": "particles.star"})
    folder = client.get("/api/exports/download", params={"name": "particles-box"})

    exports = project.folder / "exports"
    assert table.content == (exports / "particles.star").read_bytes()
    assert "particles.star" in table.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(folder.content)) as archive:
        packed = {name.split("/")[1]: archive.read(name) for name in archive.namelist()}
    assert packed == content(exports / "particles-box")


@pytest.mark.parametrize("name", ["", "..", "../labels.db", "source/particles.json", "gone.star"])
def test_only_exports_can_be_downloaded(client, run, name):
    export(client, run)

    assert client.get("/api/exports/download", params={"name": name}).status_code == 404


def test_a_link_in_the_folder_is_not_downloaded(client, project, run):
    export(client, run)
    (project.folder / "exports" / "link.star").symlink_to(project.folder / "labels.db")

    assert client.get("/api/exports/download", params={"name": "link.star"}).status_code == 404
