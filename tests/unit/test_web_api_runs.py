"""Routes of runs and exports."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from tests.unit.test_web_api import add, edit

from cryopick.config import to_toml
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.device import require_device
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings


def wait_for_end(client, run):
    """Return the description of a run after it has ended."""
    for _ in range(480):
        description = client.get(f"/api/runs/{run}").json()
        if description["state"] not in ("queued", "running"):
            break
        time.sleep(0.25)
    return description


def test_labels_are_exported_in_every_format_and_files_are_overwritten_only_on_request(
    client, project
):
    edit(client, add(1), add(2, mid=2, x=30.0))
    formats = [one["id"] for one in client.get("/api/state").json()["formats"]]
    request = {"what": "labels", "formats": formats, "name": "mine", "dry_run": False}

    preview = client.post("/api/exports", json={**request, "dry_run": True}).json()
    assert preview["n"] == 2
    assert not Path(preview["files"][0]["path"]).exists()
    written = client.post("/api/exports", json=request)

    assert written.status_code == 200, written.text
    for one in written.json()["files"]:
        assert len(read_picks(Path(one["path"]))) == 2
    assert "exists" in client.post("/api/exports", json=request).json()["error"]
    assert client.post("/api/exports", json={**request, "replace": True}).status_code == 200
    for name in ("../out", "a/b", ""):
        assert client.post("/api/exports", json={**request, "name": name}).status_code == 422


def test_training_is_refused_without_labels_or_particle_count(client):
    plan = client.get("/api/plan").json()
    assert "Label some particles" in plan["refusal"]

    run = {"kind": "train", "diameter_ang": 135}
    assert client.post("/api/runs", json=run).status_code == 422
    edit(client, *[add(i, x=10.0 * i) for i in range(1, 4)])
    assert client.get("/api/plan").json()["refusal"] is None
    client.patch("/api/micrographs/1", json={"state": "all"})
    assert client.get("/api/plan").json()["estimate"] == 3


@pytest.mark.slow
def test_the_size_of_the_particles_is_estimated(client, project):
    assert "diameter is missing" in client.post("/api/runs", json={"kind": "pick"}).json()["error"]

    run = client.post("/api/runs", json={"kind": "size"}).json()["id"]
    description = wait_for_end(client, run)

    assert description["state"] == "done", description["log"]
    assert description["progress"]["stage"] == "Estimating the particle size"
    state = client.get("/api/state").json()
    best = max(state["size_evidence"], key=lambda one: one["evidence"])
    assert state["diameter_ang"] == pytest.approx(best["size_ang"], abs=0.6)


def test_a_diameter_that_a_person_sets_during_the_estimate_is_kept(client, project):
    run = project.runs.create("size", "Size estimate", {"before_ang": None})
    client.patch("/api/state", json={"diameter_ang": 180})
    estimate = {"diameter_ang": 149.6, "evidence_by_size": [{"size_ang": 149.6, "evidence": 1.0}]}
    (project.runs.folder(run) / "size.json").write_text(json.dumps(estimate))

    project.runs.take_size(run)

    state = client.get("/api/state").json()
    assert state["diameter_ang"] == 180
    assert state["size_evidence"] == estimate["evidence_by_size"]


def test_a_score_map_has_the_scale_and_contrast_of_the_picks(client, project):
    run = project.runs.create("pick", "Run", {"diameter_ang": 135.0})
    tiny.model(str(project.runs.folder(run) / "model.safetensors"))
    settings = PickSettings(diameter_ang=135.0, scale_ang=170.0, contrast="bright")
    file = project.runs.folder(run) / "picks.settings.toml"
    file.write_text(to_toml(settings))

    logits, _ = project.runs.score_map(run, 1)

    model = load_model(project.runs.folder(run) / "model.safetensors")
    picker = Picker.create(model, settings, require_device("auto"))
    assert np.array_equal(logits, picker.score(project.micrographs.path(1)).scores.logits)


@pytest.mark.slow
def test_picks_are_counted_selected_reviewed_and_exported(client, project):
    run = client.post("/api/runs", json={"kind": "pick", "diameter_ang": 135}).json()["id"]
    description = wait_for_end(client, run)
    assert description["state"] == "done", description
    picks = project.runs.picks(run)

    histogram = client.get(f"/api/runs/{run}/histogram").json()
    totals = np.cumsum(histogram["counts"][::-1])[::-1]
    for index in range(0, len(totals), 97):
        edge = histogram["edges"][index]
        assert totals[index] == (picks.score >= edge).sum()

    body = client.get("/api/micrographs/2/picks", params={"run": run}).content
    count = int(np.frombuffer(body[4:8], "<u4")[0])
    _, _, score = np.frombuffer(body[16:], "<f4").reshape(3, count)
    assert (np.diff(score) <= 0).all()

    edge = histogram["edges"][len(totals) // 2]
    pick_filter = {"threshold": edge, "edge_ang": 50.0, "min_distance_ang": 60.0}
    assert client.put(f"/api/runs/{run}/threshold", json=pick_filter).json() == pick_filter
    n_selected = project.runs.selection_mask(run).sum()
    rows = client.get("/api/micrographs", params={"run": run}).json()["rows"]
    assert sum(row["picks"] for row in rows) == n_selected

    review = client.get("/api/review", params={"run": run, "kind": "random", "k": 500}).json()
    items = review["items"]
    assert review["drawn"] == pick_filter
    assert len(items) == n_selected
    assert client.get(f"/api/runs/{run}/pr").json()["precision"]["value"] is None
    verdict = {"run": run, "answer": "yes", "sample": "random", "drawn": pick_filter}
    verdicts = [{**verdict, "pick": one["pick"]} for one in items]
    client.post("/api/verdicts", json={"verdicts": verdicts})
    precision = client.get(f"/api/runs/{run}/pr").json()["precision"]
    assert (precision["value"], precision["n"]) == (
        (1.0, n_selected) if n_selected >= 10 else (None, n_selected)
    )
    remaining = client.get("/api/review", params={"run": run, "kind": "random"}).json()["items"]
    assert remaining == []

    rejected = items[0]
    edit(
        client,
        add(1, mid=rejected["mid"], x=rejected["x"], y=rejected["y"], kind="neg"),
        add(2, x=1.0, y=1.0),
    )
    export = {"what": "picks", "run": run, "dry_run": False}
    written = client.post("/api/exports", json=export).json()
    assert written["n"] == len(read_picks(Path(written["files"][0]["path"]))) == n_selected - 1 + 1
    assert "cryopick pick" in written["command"]
    assert client.delete(f"/api/runs/{run}").status_code == 200
    assert client.get("/api/runs").json()["runs"] == []
    client.post(f"/api/runs/{run}:restore")
    assert [one["id"] for one in client.get("/api/runs").json()["runs"]] == [run]
    assert project.runs.selection_mask(run).sum() == n_selected
    client.delete(f"/api/runs/{run}", params={"permanently": True})
    assert client.get(f"/api/runs/{run}").status_code == 404


def test_a_pixel_size_of_1_must_be_confirmed(client, project, tmp_path):
    write_mrc(tmp_path / "one.mrc", np.eye(9, dtype=np.float32), pixel_size_ang=(1.0, 1.0))
    project.micrographs.add([str(tmp_path / "one.mrc")])
    edit(client, add(1))
    run = {"kind": "pick", "diameter_ang": 135}

    assert client.get("/api/micrographs/4").json()["pixel_size_source"] == "doubtful"
    assert "confirm it" in client.get("/api/plan").json()["refusal"]
    assert "confirm it" in client.post("/api/runs", json=run).json()["error"]
    assert client.patch("/api/state", json={"pixel_size_ang": 1.0}).status_code == 409
    assert client.get("/api/micrographs/4").json()["pixel_size_source"] == "doubtful"
    client.patch("/api/state", json={"pixel_size_ang": 1.0, "confirmed": True})
    assert client.get("/api/micrographs/4").json()["pixel_size_source"] == "given"
    assert client.get("/api/plan").json()["refusal"] is None


def test_micrographs_are_listed_in_the_suggested_order(client, project):
    run = project.runs.create("suggest", "Suggestion", {})
    names = [str(project.micrographs.path(mid)) for mid in (3, 1)]
    (project.runs.folder(run) / "order.lst").write_text("\n".join([*names, "/gone.mrc"]))

    project.runs.take_suggested_order(run)

    rows = client.get("/api/micrographs", params={"sort": "suggested"}).json()["rows"]
    assert [(row["id"], row["suggested"]) for row in rows] == [(3, 1), (1, 2), (2, None)]


def test_a_permanently_deleted_run_leaves_no_verdicts_on_micrographs(project):
    run = project.runs.create("pick", "Run", {})
    with project.database.write() as db:
        db.execute("INSERT INTO micrograph_verdict VALUES (?, 1, 'probably empty')", (run,))

    project.runs.delete(run)

    assert project.database.number("SELECT count(*) FROM micrograph_verdict") == 0
