"""The labelling server's addresses, from importing micrographs to exporting particles."""

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests import tiny

from cryopick.errors import InputError
from cryopick.io import read_picks, write_mrc
from cryopick.web.desk import Desk
from cryopick.web.server import application, serve
from cryopick.web.shell import Door
from cryopick.web.store import Store


@pytest.fixture
def desk(tmp_path):
    tiny.micrographs(tmp_path / "mics", 3)
    opened = Desk.open(tmp_path / "p.cryopick")
    opened.micrographs.add([str(tmp_path / "mics")])
    yield opened
    opened.close()


@pytest.fixture
def client(desk):
    door = Door(frozenset({"testserver"}), "cryopick_1", token="t")
    return TestClient(
        application(desk, door),
        headers={"Authorization": "Bearer t", "X-Cryopick": "1"},
        raise_server_exceptions=True,
    )


def add(name, mid=1, x=10.0, y=20.0, **more):
    return {"cid": f"c{name}", "op": "add", "id": f"l{name}", "mid": mid, "x": x, "y": y, **more}


def edit(client, *ops, status=200):
    answer = client.post("/api/ops", json={"ops": list(ops)})
    assert answer.status_code == status, answer.text
    return answer.json()


def labels(client, mid=1):
    return client.get("/api/labels", params={"mid": mid}).json()["labels"]


def ended(client, run):
    """What is told of a run when it has ended."""
    for _ in range(480):
        told = client.get(f"/api/runs/{run}").json()
        if told["state"] not in ("queued", "running"):
            break
        time.sleep(0.25)
    return told


def test_the_state_tells_what_the_page_needs_to_begin(client):
    state = client.get("/api/state").json()

    assert state["n_micrographs"] == 3
    assert state["pixel_size_ang"] == tiny.PIXEL_ANG
    assert state["pixel_size_source"] == "file"
    assert ".star" in [one["id"] for one in state["formats"]]
    changed = client.patch("/api/state", json={"pixel_size_ang": 2.5}).json()
    assert changed["pixel_size_ang"] == 2.5
    assert changed["pixel_size_source"] == "given"


def test_micrographs_are_listed_sorted_filtered_and_counted(client, tmp_path):
    (tmp_path / "mics/broken.mrc").write_bytes(b"no image")
    said = client.post("/api/micrographs:import", json={"glob": str(tmp_path / "mics/*.mrc")})
    edit(client, add(1, mid=3), add(2, mid=3), add(3, mid=2), add(4, mid=2, kind="neg"))

    assert said.json() == {"added": 1, "says": "1 of 4 micrographs are new; 1 cannot be used"}
    rows = client.get("/api/micrographs", params={"sort": "labels"}).json()["rows"]
    assert [(row["name"], row["pos"], row["neg"]) for row in rows[:2]] == [
        ("mic_2.mrc", 2, 0),
        ("mic_1.mrc", 1, 1),
    ]
    assert rows[0]["state"] == "doing"
    found = client.get("/api/micrographs", params={"filter": "C_1"}).json()
    assert [row["name"] for row in found["rows"]] == ["mic_1.mrc"]
    problems = client.get("/api/micrographs", params={"state": "problem"}).json()["rows"]
    assert "cut short" in problems[0]["problem"]


def test_ten_thousand_micrographs_are_listed_a_window_at_a_time(client, desk):
    with desk.store.write() as db:
        db.executemany(
            "INSERT INTO micrograph (path, name, width_px, height_px) VALUES (?, ?, 9, 9)",
            [(f"/x/{i:05d}.mrc", f"{i:05d}.mrc") for i in range(10_000)],
        )

    answer = client.get("/api/micrographs", params={"offset": 5000, "limit": 50}).json()

    assert answer["total"] == 10_003
    assert [row["name"] for row in answer["rows"]] == [f"{i:05d}.mrc" for i in range(5000, 5050)]


def test_edits_are_done_once_in_order_and_stay(client, desk, tmp_path):
    edit(client, add(1), add(2, x=30.5))
    again = edit(client, add(1), {"cid": "m", "op": "move", "id": "l1", "x": 11.25, "y": 2.0})

    assert again["done"] == 1
    assert [(one["x"], one["y"]) for one in labels(client)] == [(11.25, 2.0), (30.5, 20.0)]
    edit(
        client,
        {"cid": "d", "op": "delete", "id": "l2"},
        {"cid": "k", "op": "kind", "id": "l1", "kind": "neg"},
    )
    shutil.copy(tmp_path / "p.cryopick/labels.db", tmp_path / "copy.db")  # as after a crash
    other = Store(tmp_path / "copy.db")
    assert [row["kind"] for row in other.rows("SELECT kind FROM label")] == ["neg"]
    other.close()


def test_a_batch_with_one_bad_edit_leaves_nothing(client):
    answer = edit(client, add(1), add(2, mid=99), status=404)

    assert "no such micrograph" in answer["error"]
    assert labels(client) == []


@pytest.mark.parametrize(
    "op",
    [
        add(1) | {"x": 1e309},
        add(1, kind="maybe"),
        add(1, colour="red"),
        add(1) | {"id": "a b"},
        add(1) | {"cid": ""},
        {"cid": "r", "op": "region", "id": "r", "mid": 1, "points": [[0, 0], [1, 1]]},
        {"cid": "r", "op": "paint", "id": "r"},
    ],
)
def test_edits_that_make_no_sense_are_refused(client, op):
    text = json.dumps({"ops": [op]})

    answer = client.post("/api/ops", content=text, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"no json", 422),
        (b"[" * 100_000, 422),
        (b'{"ops": NaN}', 422),
        (b'{"ops": [], "x": 1}', 422),
    ],
)
def test_bodies_that_are_none_are_refused(client, content, status):
    answer = client.post("/api/ops", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, status)
    assert client.get("/api/state").status_code == 200


def test_pictures_come_in_set_sizes_with_their_place(client, desk, tmp_path):
    image = np.zeros((1500, 3000), np.float32)
    image[:, 2000] = 1
    write_mrc(tmp_path / "mics/wide.mrc", image, pixel_size_ang=(1.0, 1.0))
    desk.micrographs.add([str(tmp_path / "mics")])

    plain = client.get("/api/micrographs/4/display", params={"n": 1024})
    smooth = client.get(
        "/api/micrographs/4/display", params={"n": 1024, "variant": "filtered", "lp": 50}
    )

    assert plain.headers["content-type"] == "image/jpeg"
    scale, origin = (float(plain.headers[name]) for name in ("x-scale", "x-origin-x"))
    bright = np.asarray(Image.open(io.BytesIO(plain.content)))[100].argmax()
    assert scale == 3
    assert abs(origin + scale * bright - 2000) <= 1
    assert plain.content != smooth.content
    for query in ({"n": 10**9}, {"n": 1000}, {"lp": "nan"}, {"lp": "inf"}, {"hp": -1}):
        assert client.get("/api/micrographs/4/display", params=query).status_code == 422
    assert client.get("/api/micrographs/99/display").status_code == 404


def test_a_crop_reaches_beyond_an_edge_but_not_outside(client):
    here = {"w": 64, "h": 64}

    inside = client.get("/api/micrographs/1/crop", params={"x": -20, "y": -20, **here})

    assert inside.status_code == 200
    assert (
        client.get("/api/micrographs/1/crop", params={"x": 900, "y": 0, **here}).status_code == 422
    )
    assert (
        client.get(
            "/api/micrographs/1/crop", params={"x": 0, "y": 0, "w": 2000, "h": 9}
        ).status_code
        == 422
    )


def test_a_table_is_tried_before_it_is_taken(client, tmp_path):
    table = "image_name\tx_coord\ty_coord\nmic_0\t30\t40\nmic_0\t500\t40\nother\t1\t1\n"
    edit(client, add(1, x=30.5, y=40.0))
    (tmp_path / "more.tsv").write_text(f"{table}mic_1\t12\t13\n")

    def bring(dry_run):
        with (tmp_path / "more.tsv").open("rb") as file:
            query = {"dry_run": dry_run, "kind": "pos"}
            return client.post("/api/import/labels", params=query, files={"file": file}).json()

    said = bring(True)
    assert (said["matched"], said["outside"], said["duplicates"]) == (1, 1, 1)
    assert said["unmatched"] == ["other"]
    assert labels(client, 2) == []
    bring(False)
    assert [(one["x"], one["y"]) for one in labels(client, 2)] == [(12.0, 13.0)]
    assert bring(False)["matched"] == 0


def test_a_table_that_is_none_is_refused_without_a_path_of_ours(client):
    answer = client.post("/api/import/labels", files={"file": ("a.star", b"\0\1\2")})

    assert answer.status_code == 422
    assert answer.json()["error"].startswith("a.star")


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


def test_a_mistyped_micrograph_begins_no_project(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        serve(tmp_path / "p.cryopick", bring=(str(tmp_path / "gone.mrc"),))

    assert not (tmp_path / "p.cryopick").exists()


def test_a_folder_shows_what_can_be_brought_in(client, tmp_path):
    told = client.get("/api/fs", params={"dir": str(tmp_path / "mics")}).json()

    assert told["n_micrographs"] == 3
    assert [one["name"] for one in told["files"]] == ["mic_0.mrc", "mic_1.mrc", "mic_2.mrc"]
    assert client.get("/api/fs", params={"dir": "/nowhere"}).status_code == 422


def test_only_chosen_folders_can_be_looked_into(tmp_path):
    tiny.micrographs(tmp_path / "mine", 1)
    shutil.copytree(tmp_path / "mine", tmp_path / "other")
    (tmp_path / "mine/way_out").symlink_to(tmp_path / "other")
    desk = Desk.open(tmp_path / "p.cryopick", roots=(tmp_path / "mine",))
    door = Door(frozenset({"testserver"}), "cryopick_1", token="t")
    headers = {"Authorization": "Bearer t", "X-Cryopick": "1"}
    client = TestClient(application(desk, door), headers=headers)

    def listing(folder):
        return client.get("/api/fs", params={"dir": str(folder)})

    def bring(what):
        return client.post("/api/micrographs:import", json={"glob": str(what)})

    first = client.get("/api/fs").json()
    assert (first["dir"], first["parent"]) == (str(tmp_path / "mine"), None)
    for outside in (tmp_path, tmp_path / "other", tmp_path / "mine/.."):
        assert "lies outside" in listing(outside).json()["error"]
    assert "lies outside" in listing(tmp_path / "mine/way_out").json()["error"]
    (tmp_path / "list.txt").write_text("a secret\n")
    for outside in ("other/*.mrc", "mine/../other", "mine/way_out/*.mrc", "list.txt"):
        assert "lies outside" in bring(tmp_path / outside).json()["error"]
    assert "secret" not in bring(f"@{tmp_path}/list.txt").text
    (tmp_path / "mine/inside.txt").write_text(f"{tmp_path}/other/mic_0.mrc\n")
    assert "lies outside" in bring(f"@{tmp_path}/mine/inside.txt").json()["error"]
    assert bring(tmp_path / "mine/*.mrc").json()["added"] == 1
    desk.close()


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


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/store.py", "/..%5cstore.py", "//etc/passwd", "/a%00"]
)
def test_nothing_but_the_page_can_be_fetched(client, path):
    assert client.get(path).status_code in (400, 404)


def test_the_token_is_swapped_for_a_cookie_that_scripts_cannot_read(desk):
    door = Door(frozenset({"testserver"}), "cryopick_1", token="t")
    client = TestClient(application(desk, door), headers={"X-Cryopick": "1"})

    assert client.post("/api/login", json={"token": "guess"}).status_code == 401
    assert client.get("/api/state").status_code == 401
    answer = client.post("/api/login", json={"token": "t"})

    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/state").status_code == 200
