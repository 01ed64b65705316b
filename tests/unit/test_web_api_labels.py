"""Routes of labels: edits and imported tables."""

import json
import shutil

import pytest
from tests.unit.test_web_api import add, edit

from cryopick.web.storage.database import ProjectDatabase


def labels(client, mid=1):
    return client.get("/api/labels", params={"mid": mid}).json()["labels"]


def test_edits_are_applied_once_in_order_and_saved(client, project, tmp_path):
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
    other = ProjectDatabase(tmp_path / "copy.db")
    assert [row["kind"] for row in other.rows("SELECT kind FROM label")] == ["neg"]
    other.close()


def test_a_batch_with_an_invalid_edit_changes_nothing(client):
    answer = edit(client, add(1), add(2, mid=99), status=404)

    assert "no micrograph with number 99" in answer["error"]
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
def test_invalid_edits_are_rejected(client, op):
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
def test_invalid_bodies_are_rejected(client, content, status):
    answer = client.post("/api/ops", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, status)
    assert client.get("/api/state").status_code == 200


def test_an_import_can_be_previewed(client, tmp_path):
    table = "image_name\tx_coord\ty_coord\nmic_0\t30\t40\nmic_0\t500\t40\nother\t1\t1\n"
    edit(client, add(1, x=30.5, y=40.0))
    (tmp_path / "more.tsv").write_text(f"{table}mic_1\t12\t13\n")

    def import_table(dry_run):
        with (tmp_path / "more.tsv").open("rb") as file:
            query = {"dry_run": dry_run, "kind": "pos"}
            return client.post("/api/import/labels", params=query, files={"file": file}).json()

    preview = import_table(True)
    assert (preview["matched"], preview["outside"], preview["duplicates"]) == (1, 1, 1)
    assert preview["unmatched"] == ["other"]
    assert labels(client, 2) == []
    import_table(False)
    assert [(one["x"], one["y"]) for one in labels(client, 2)] == [(12.0, 13.0)]
    assert import_table(False)["matched"] == 0


def test_an_invalid_table_is_rejected_without_showing_a_server_path(client):
    answer = client.post("/api/import/labels", files={"file": ("a.star", b"\0\1\2")})

    assert answer.status_code == 422
    assert answer.json()["error"].startswith("a.star")


def test_an_import_is_removed_and_restored_as_one_step(client, tmp_path):
    table = "image_name\tx_coord\ty_coord\n" + "".join(
        f"mic_0\t{x}\t{y}\n" for x in range(4, 100, 4) for y in range(4, 90, 4)
    )
    answer = client.post("/api/import/labels?dry_run=false", files={"file": ("a.tsv", table)})
    batch = answer.json()["batch"]
    imported = labels(client)
    edit(client, add(1), {"cid": "m", "op": "move", "id": imported[0]["id"], "x": 5, "y": 5})
    edit(client, {"cid": "d", "op": "delete", "id": imported[1]["id"]})
    before = labels(client)

    edit(client, {"cid": "u", "op": "unbatch", "id": batch})
    removed, listed = labels(client), client.get("/api/imports").json()["imports"]
    edit(client, {"cid": "r", "op": "rebatch", "id": batch})

    assert len(imported) > 500
    assert [one["id"] for one in removed] == ["l1"]
    assert (listed[0]["name"], listed[0]["n"]) == ("a.tsv", 0)
    assert listed[0]["n_removed"] == len(imported) - 1
    assert sorted(one["id"] for one in labels(client)) == sorted(one["id"] for one in before)


@pytest.mark.parametrize("at", [(-1, 5), (112, 5), (5, -0.51), (5, 95.51)])
def test_labels_outside_the_micrograph_are_rejected(client, at):
    edit(client, add(1, x=-0.5, y=95.5))

    error = edit(client, add(2, x=at[0], y=at[1]), status=422)["error"]
    edit(client, {"cid": "m", "op": "move", "id": "l1", "x": at[0], "y": at[1]}, status=422)

    assert "outside the micrograph of 112 × 96 px" in error
    assert [(one["x"], one["y"]) for one in labels(client)] == [(-0.5, 95.5)]
