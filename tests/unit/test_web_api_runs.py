"""The labelling server's addresses of runs and exports."""

import time
from pathlib import Path

import numpy as np
import pytest
from tests.unit.test_web_api import add, edit

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks


def ended(client, run):
    """What is told of a run when it has ended."""
    for _ in range(480):
        told = client.get(f"/api/runs/{run}").json()
        if told["state"] not in ("queued", "running"):
            break
        time.sleep(0.25)
    return told


def test_labels_are_exported_in_every_format_and_nothing_is_replaced_unasked(client, desk):
    edit(client, add(1), add(2, mid=2, x=30.0))
    formats = [one["id"] for one in client.get("/api/state").json()["formats"]]
    wanted = {"what": "labels", "formats": formats, "name": "mine", "dry_run": False}

    told = client.post("/api/exports", json={**wanted, "dry_run": True}).json()
    assert told["n"] == 2
    assert not Path(told["files"][0]["path"]).exists()
    written = client.post("/api/exports", json=wanted)

    assert written.status_code == 200, written.text
    for one in written.json()["files"]:
        assert len(read_picks(Path(one["path"]))) == 2
    assert "exists" in client.post("/api/exports", json=wanted).json()["error"]
    assert client.post("/api/exports", json={**wanted, "replace": True}).status_code == 200
    for name in ("../out", "a/b", ""):
        assert client.post("/api/exports", json={**wanted, "name": name}).status_code == 422


def test_a_training_is_refused_until_there_is_something_to_learn_from(client):
    plan = client.get("/api/plan").json()
    assert "Mark some particles" in plan["refusal"]

    run = {"kind": "train", "diameter_ang": 135}
    assert client.post("/api/runs", json=run).status_code == 422
    edit(client, *[add(i, x=10.0 * i) for i in range(1, 4)])
    assert client.get("/api/plan").json()["refusal"] is None
    assert "about how many" in client.post("/api/runs", json=run).json()["error"]
    client.patch("/api/micrographs/1", json={"state": "all"})
    assert client.get("/api/plan").json()["estimate"] == 3


@pytest.mark.slow
def test_picks_are_counted_cut_judged_and_exported(client, desk):
    run = client.post("/api/runs", json={"kind": "pick", "diameter_ang": 135}).json()["id"]
    told = ended(client, run)
    assert told["state"] == "done", told
    found = desk.runs.found(run)

    histogram = client.get(f"/api/runs/{run}/histogram").json()
    kept_from = np.cumsum(histogram["counts"][::-1])[::-1]
    for place in range(0, 2048, 97):
        edge = np.float32(histogram["edges"][place])
        assert kept_from[place] == (found.score >= edge).sum()

    body = client.get("/api/micrographs/2/picks", params={"run": run}).content
    count = int(np.frombuffer(body[4:8], "<u4")[0])
    _, _, score = np.frombuffer(body[16:], "<f4").reshape(3, count)
    assert (np.diff(score) <= 0).all()

    edge = histogram["edges"][1024]
    cut = {"threshold": edge, "edge_ang": 50.0, "min_distance_ang": 60.0}
    assert client.put(f"/api/runs/{run}/threshold", json=cut).json() == cut
    kept = desk.runs.kept(run).sum()
    listed = client.get("/api/micrographs", params={"run": run}).json()["rows"]
    assert sum(row["picks"] for row in listed) == kept

    asked = client.get("/api/review", params={"run": run, "kind": "random", "k": 500}).json()
    items = asked["items"]
    assert asked["drawn"] == cut
    assert len(items) == kept
    assert client.get(f"/api/runs/{run}/pr").json()["precision"]["value"] is None
    said = {"run": run, "answer": "yes", "sample": "random", "drawn": cut}
    verdicts = [{**said, "pick": one["pick"]} for one in items]
    client.post("/api/verdicts", json={"verdicts": verdicts})
    precision = client.get(f"/api/runs/{run}/pr").json()["precision"]
    assert (precision["value"], precision["n"]) == ((1.0, kept) if kept >= 10 else (None, kept))
    left = client.get("/api/review", params={"run": run, "kind": "random"}).json()["items"]
    assert left == []

    wrong = items[0]
    edit(
        client,
        add(1, mid=wrong["mid"], x=wrong["x"], y=wrong["y"], kind="neg"),
        add(2, x=1.0, y=1.0),
    )
    export = {"what": "picks", "run": run, "dry_run": False}
    written = client.post("/api/exports", json=export).json()
    assert written["n"] == len(read_picks(Path(written["files"][0]["path"]))) == kept - 1 + 1
    assert "cryopick pick" in written["command"]
    assert client.delete(f"/api/runs/{run}").status_code == 200
    assert client.get(f"/api/runs/{run}").status_code == 404


def test_a_pixel_size_of_1_is_asked_about(client, desk, tmp_path):
    write_mrc(tmp_path / "one.mrc", np.eye(9, dtype=np.float32), pixel_size_ang=(1.0, 1.0))
    desk.micrographs.add([str(tmp_path / "one.mrc")])
    edit(client, add(1))
    run = {"kind": "pick", "diameter_ang": 135}

    assert client.get("/api/micrographs/4").json()["pixel_size_source"] == "doubtful"
    assert "confirm it" in client.get("/api/plan").json()["refusal"]
    assert "confirm it" in client.post("/api/runs", json=run).json()["error"]
    client.patch("/api/state", json={"pixel_size_ang": 1.0})
    assert client.get("/api/micrographs/4").json()["pixel_size_source"] == "given"
    assert client.get("/api/plan").json()["refusal"] is None


def test_micrographs_are_listed_in_the_order_to_label_them(client, desk):
    run = desk.runs.create("suggest", "Suggestion", {})
    names = [str(desk.micrographs.path(mid)) for mid in (3, 1)]
    (desk.runs.folder(run) / "order.lst").write_text("\n".join([*names, "/gone.mrc"]))

    desk.runs.take_order(run)

    rows = client.get("/api/micrographs", params={"sort": "suggested"}).json()["rows"]
    assert [(row["id"], row["suggested"]) for row in rows] == [(3, 1), (1, 2), (2, None)]
