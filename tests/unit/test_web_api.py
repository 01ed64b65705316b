"""Routes of micrographs, images and folders, and login."""

import io
import shutil

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests import tiny

from cryopick.errors import InputError
from cryopick.io.images.mrc import write_mrc
from cryopick.web.api.access_control import Credentials
from cryopick.web.project.project import AnnotationProject
from cryopick.web.server import create_application, serve


def add(name, mid=1, x=10.0, y=20.0, **more):
    return {"cid": f"c{name}", "op": "add", "id": f"l{name}", "mid": mid, "x": x, "y": y, **more}


def edit(client, *ops, status=200):
    answer = client.post("/api/ops", json={"ops": list(ops)})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_state_contains_what_the_page_loads_first(client):
    state = client.get("/api/state").json()

    assert state["n_micrographs"] == 3
    assert state["pixel_size_ang"] == tiny.PIXEL_ANG
    assert state["pixel_size_source"] == "file"
    assert ".star" in [one["id"] for one in state["formats"]]
    doubted = client.patch("/api/state", json={"pixel_size_ang": 2.5})
    assert doubted.status_code == 409
    assert "4 times less than the 10 Å that the files state" in doubted.text
    assert client.get("/api/state").json()["pixel_size_source"] == "file"
    confirmed = {"pixel_size_ang": 2.5, "confirmed": True}
    changed = client.patch("/api/state", json=confirmed).json()
    assert changed["pixel_size_ang"] == 2.5
    assert changed["pixel_size_source"] == "given"


def test_micrographs_are_listed_sorted_filtered_and_counted(client, tmp_path):
    (tmp_path / "mics/broken.mrc").write_bytes(b"no image")
    added = client.post("/api/micrographs:import", json={"glob": str(tmp_path / "mics/*.mrc")})
    edit(client, add(1, mid=3), add(2, mid=3), add(3, mid=2), add(4, mid=2, kind="neg"))

    assert added.json() == {
        "added": 1,
        "message": "added 1 of 4 micrographs; 3 were already in the project; 1 cannot be used",
    }
    rows = client.get("/api/micrographs", params={"sort": "labels"}).json()["rows"]
    assert [(row["name"], row["pos"], row["neg"]) for row in rows[:2]] == [
        ("mic_2.mrc", 2, 0),
        ("mic_1.mrc", 1, 1),
    ]
    assert rows[0]["state"] == "doing"
    filtered = client.get("/api/micrographs", params={"filter": "C_1"}).json()
    assert [row["name"] for row in filtered["rows"]] == ["mic_1.mrc"]
    problems = client.get("/api/micrographs", params={"state": "problem"}).json()["rows"]
    assert "cut short" in problems[0]["problem"]


def test_ten_thousand_micrographs_are_listed_in_parts(client, project):
    with project.database.write() as db:
        db.executemany(
            "INSERT INTO micrograph (path, name, width_px, height_px) VALUES (?, ?, 9, 9)",
            [(f"/x/{i:05d}.mrc", f"{i:05d}.mrc") for i in range(10_000)],
        )

    answer = client.get("/api/micrographs", params={"offset": 5000, "limit": 50}).json()

    assert answer["total"] == 10_003
    assert [row["name"] for row in answer["rows"]] == [f"{i:05d}.mrc" for i in range(5000, 5050)]


def test_a_denoised_image_has_less_noise_at_the_same_position(client, project):
    def grey(variant):
        answer = client.get("/api/micrographs/1/display", params={"n": 256, "variant": variant})
        assert answer.status_code == 200, answer.text
        position = [answer.headers[name] for name in ("x-scale", "x-origin-x", "x-origin-y")]
        pixels = np.asarray(Image.open(io.BytesIO(answer.content))).astype(np.float64)
        return pixels, position

    (raw, raw_position), (denoised, position) = grey("raw"), grey("denoised")

    assert denoised.shape == raw.shape
    assert position == raw_position
    assert np.abs(np.diff(denoised)).mean() < 0.5 * np.abs(np.diff(raw)).mean()


def test_images_have_fixed_sizes_and_state_their_position(client, project, tmp_path):
    image = np.zeros((1500, 3000), np.float32)
    image[:, 2000] = 1
    write_mrc(tmp_path / "mics/wide.mrc", image, pixel_size_ang=(1.0, 1.0))
    project.micrographs.add([str(tmp_path / "mics")])

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


def test_a_crop_may_extend_beyond_an_edge_but_not_lie_outside(client):
    size = {"w": 64, "h": 64}

    inside = client.get("/api/micrographs/1/crop", params={"x": -20, "y": -20, **size})

    assert inside.status_code == 200
    assert (
        client.get("/api/micrographs/1/crop", params={"x": 900, "y": 0, **size}).status_code == 422
    )
    assert (
        client.get(
            "/api/micrographs/1/crop", params={"x": 0, "y": 0, "w": 2000, "h": 9}
        ).status_code
        == 422
    )


def test_a_missing_micrograph_creates_no_project(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        serve(tmp_path / "p.cryopick", micrographs=(str(tmp_path / "gone.mrc"),))

    assert not (tmp_path / "p.cryopick").exists()


def test_a_folder_lists_the_micrographs_that_can_be_added(client, tmp_path):
    contents = client.get("/api/fs", params={"dir": str(tmp_path / "mics")}).json()

    assert contents["n_micrographs"] == 3
    assert [one["name"] for one in contents["files"]] == ["mic_0.mrc", "mic_1.mrc", "mic_2.mrc"]
    assert client.get("/api/fs", params={"dir": "/nowhere"}).status_code == 422


def test_only_allowed_folders_can_be_listed(tmp_path):
    tiny.micrographs(tmp_path / "mine", 1)
    shutil.copytree(tmp_path / "mine", tmp_path / "other")
    (tmp_path / "mine/way_out").symlink_to(tmp_path / "other")
    project = AnnotationProject.open(tmp_path / "p.cryopick", roots=(tmp_path / "mine",))
    credentials = Credentials(frozenset({"testserver"}), "cryopick_1", token="t")
    headers = {"Authorization": "Bearer t", "X-Cryopick": "1"}
    client = TestClient(create_application(project, credentials), headers=headers)

    def listing(folder):
        return client.get("/api/fs", params={"dir": str(folder)})

    def add_micrographs(pattern):
        return client.post("/api/micrographs:import", json={"glob": str(pattern)})

    first = client.get("/api/fs").json()
    assert (first["dir"], first["parent"]) == (str(tmp_path / "mine"), None)
    for outside in (tmp_path, tmp_path / "other", tmp_path / "mine/.."):
        assert "lies outside" in listing(outside).json()["error"]
    assert "lies outside" in listing(tmp_path / "mine/way_out").json()["error"]
    (tmp_path / "list.txt").write_text("a secret\n")
    for outside in ("other/*.mrc", "mine/../other", "mine/way_out/*.mrc", "list.txt"):
        assert "lies outside" in add_micrographs(tmp_path / outside).json()["error"]
    assert "secret" not in add_micrographs(f"@{tmp_path}/list.txt").text
    (tmp_path / "mine/inside.txt").write_text(f"{tmp_path}/other/mic_0.mrc\n")
    assert "lies outside" in add_micrographs(f"@{tmp_path}/mine/inside.txt").json()["error"]
    assert add_micrographs(tmp_path / "mine/*.mrc").json()["added"] == 1
    project.close()


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/store.py", "/..%5cstore.py", "//etc/passwd", "/a%00"]
)
def test_only_files_of_the_page_can_be_fetched(client, path):
    assert client.get(path).status_code in (400, 404)


def test_the_token_is_exchanged_for_a_cookie_that_scripts_cannot_read(project):
    credentials = Credentials(frozenset({"testserver"}), "cryopick_1", token="t")
    client = TestClient(create_application(project, credentials), headers={"X-Cryopick": "1"})

    assert client.post("/api/login", json={"token": "guess"}).status_code == 401
    assert client.get("/api/state").status_code == 401
    answer = client.post("/api/login", json={"token": "t"})

    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/state").status_code == 200
