"""All picks of a run in one order, their crops, and tiles at full resolution."""

import io

import numpy as np
import pytest
from PIL import Image
from tests import tiny

from cryopick.io.images.micrograph_region import MicrographRegions
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.display import filter_band
from cryopick.web.storage.image_cache import ImageCache
from cryopick.web.storage.tiles import Crop, SheetLayout, TileRequest


def add_run(project, scores_of):
    """Add a finished run with picks at (20 + 10 i, 30) on each micrograph; NaN leaves one out."""
    run = project.runs.create("pick", "Run", {"diameter_ang": 135.0})
    tables = []
    for mid, scores in scores_of.items():
        picked = [(20.0 + 10 * i, 30.0) for i, s in enumerate(scores) if not np.isnan(s)]
        kept = np.array([s for s in scores if not np.isnan(s)], np.float64)
        name = str(project.micrographs.path(mid))
        tables.append(Picks.for_micrograph(name, np.array(picked, np.float64).reshape(-1, 2), kept))
    write_picks(concatenate(tables), project.runs.folder(run) / "picks.json")
    project.runs.take_picks(run)
    project.runs.change(run, state="done")
    return run


def ask(client, run, **query):
    answer = client.get("/api/gallery", params={"run": run, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def label(client, mid, x, y, kind):
    body = {"op": "add", "cid": f"c{x:.0f}{kind}", "id": f"l{x:.0f}{kind}", "mid": mid}
    body |= {"x": x, "y": y, "kind": kind}
    assert client.post("/api/ops", json={"ops": [body]}).status_code == 200


NONE = np.nan


def test_picks_of_all_micrographs_are_sorted_by_score_both_ways(client, project):
    run = add_run(project, {1: [3.0, -1.0], 2: [5.0, 0.5], 3: [1.0]})

    down = [item[3] for item in ask(client, run)["items"]]
    up = [item[3] for item in ask(client, run, order="score-asc")["items"]]
    part = ask(client, run, offset=1, limit=2)

    assert down == [5.0, 3.0, 1.0, 0.5, -1.0]
    assert up == down[::-1]
    assert part["total"] == 5
    assert [item[3] for item in part["items"]] == [3.0, 1.0]


def test_picks_in_exclusion_regions_and_on_excluded_micrographs_are_not_listed(client, project):
    run = add_run(project, {1: [3.0, -1.0], 2: [5.0, 0.5], 3: [1.0]})

    points = [(15, 25), (25, 25), (25, 35), (15, 35)]  # around the first pick
    body = {"op": "region", "cid": "c", "id": "a", "mid": 1, "kind": "exclude", "points": points}
    assert client.post("/api/ops", json={"ops": [body]}).status_code == 200
    without_region = ask(client, run)
    client.patch("/api/micrographs/2", json={"state": "skip"})

    assert [item[3] for item in without_region["items"]] == [5.0, 1.0, 0.5, -1.0]
    assert [item[3] for item in ask(client, run)["items"]] == [1.0, -1.0]


def test_picks_nearest_to_the_threshold_come_first(client, project):
    run = add_run(project, {1: [3.0, -1.0], 2: [5.0, 0.5], 3: [1.0]})

    items = ask(client, run, order="threshold", t=0.9)["items"]
    selected = ask(client, run, order="threshold", t=0.9, selected=True)["items"]

    assert [item[3] for item in items] == [1.0, 0.5, -1.0, 3.0, 5.0]
    assert [item[3] for item in selected] == [1.0, 3.0, 5.0]


def test_the_largest_disagreement_of_two_runs_comes_first(client, project):
    first = add_run(project, {1: [4.0, 3.0, NONE], 2: [4.0]})
    second = add_run(project, {1: [4.5, -3.0, 2.0], 2: [NONE]})

    items = ask(client, first, order="disagreement", other=second)["items"]

    # A particle of one run only disagrees by its whole probability.
    assert [(item[0], item[1], item[3], item[4]) for item in items] == [
        (2, 20.0, 4.0, None),
        (1, 30.0, 3.0, -3.0),
        (1, 40.0, None, 2.0),
        (1, 20.0, 4.0, 4.5),
    ]


def test_labelled_picks_are_marked_and_filtered(client, project):
    run = add_run(project, {1: [3.0, 2.0, 1.0]})
    label(client, 1, 20.5, 30.0, "pos")
    label(client, 1, 30.0, 30.5, "neg")

    items = ask(client, run)["items"]

    marks = {item[1]: (item[5], item[6] and item[6]["id"]) for item in items}
    assert marks == {20.0: (1, "l20pos"), 30.0: (2, "l30neg"), 40.0: (0, None)}
    assert (items[0][6]["x"], items[0][6]["y"]) == (20.5, 30.0)
    for show, x in {"pos": 20.0, "neg": 30.0, "open": 40.0}.items():
        assert [item[1] for item in ask(client, run, show=show)["items"]] == [x]


def decode(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(float)


def test_crops_show_the_pixels_around_their_centres(client, project):
    image, xy = tiny.blobs(0)
    centres = [xy[0].round(), [60.0, 40.0]]
    at = ",".join(f"1:{x}:{y}" for x, y in centres)

    sheet = decode(client.get("/api/crops", params={"at": at, "side": 20, "cell": 20}))

    assert sheet.shape == (20, 40)
    for number, (x, y) in enumerate(centres):
        left, top = round(x - 9.5), round(y - 9.5)
        rows, columns = slice(max(0, top), top + 20), slice(max(0, left), left + 20)
        part = image[rows, columns]
        shown = sheet[max(0, -top) :, 20 * number + max(0, -left) :][: part.shape[0]]
        assert np.corrcoef(shown[:, : part.shape[1]].ravel(), part.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("at", ["", "1:2", "1:nan:2", "x:1:1", ",".join(["1:5:5"] * 101)])
def test_a_malformed_list_of_crops_is_refused(client, at):
    assert client.get("/api/crops", params={"at": at, "side": 20}).status_code == 422


def test_a_tile_shows_one_pixel_per_pixel(client):
    image, _ = tiny.blobs(0)

    tile = decode(client.get("/api/micrographs/1/tile", params={"x": 10, "y": 20}))

    assert tile.shape == (76, 102)
    assert np.corrcoef(tile.ravel(), image[20:, 10:].ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("factor", "shape"), [(1, (96, 112)), (2, (48, 56))])
def test_a_tile_is_binned_by_its_factor(client, factor, shape):
    tile = decode(client.get("/api/micrographs/1/tile", params={"x": 0, "y": 0, "factor": factor}))

    assert tile.shape == shape


@pytest.mark.parametrize("factor", [0, 3, "x"])
def test_other_factors_of_tiles_are_refused(client, factor):
    query = {"x": 0, "y": 0, "factor": factor}

    assert client.get("/api/micrographs/1/tile", params=query).status_code == 422


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz"])
@pytest.mark.parametrize("filters", [(None, None), (60.0, None), (60.0, 2000.0)])
def test_tiles_agree_with_the_filtered_micrograph(tmp_path, suffix, filters):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:1400, :1300]
    image = rng.normal(100, 10, (1400, 1300)) + 60 * np.sin(x / 300) * np.cos(y / 250)
    path = tmp_path / f"a{suffix}"
    write_mrc(path, image.astype(np.float32), pixel_size_ang=(5.0, 5.0))
    whole = filter_band(
        image.astype(np.float32), 5.0, low_pass_ang=filters[0], high_pass_ang=filters[1]
    )

    jpeg = ImageCache().render_tile(path, TileRequest(512, 300, 512, 1, 5.0, *filters))

    tile = np.asarray(Image.open(io.BytesIO(jpeg))).astype(float)
    expected = whole[300:812, 512:1024]
    assert tile.shape == (512, 512)
    assert np.corrcoef(tile.ravel(), expected.ravel())[0, 1] > 0.99


def test_neighbouring_tiles_have_the_same_grey_scale(tmp_path):
    rng = np.random.default_rng(1)
    image = rng.normal(0, 1, (600, 1100)) + np.linspace(0, 20, 1100)
    write_mrc(tmp_path / "a.mrc", image.astype(np.float32), pixel_size_ang=(1.0, 1.0))
    cache = ImageCache()

    tiles = [
        np.asarray(Image.open(io.BytesIO(cache.render_tile(tmp_path / "a.mrc", TileRequest(x, 0)))))
        for x in (0, 512)
    ]

    edges = tiles[0][:, -20:].mean(), tiles[1][:, :20].mean()
    assert abs(edges[0] - edges[1]) < 4


def test_a_region_reads_only_its_part(tmp_path):
    image = np.arange(60, dtype=np.float32).reshape(6, 10)
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=(1.0, 1.0))
    regions = MicrographRegions.open(tmp_path / "a.mrc")

    assert regions.nbytes == 0
    np.testing.assert_array_equal(regions.read(2, 3, 2, 4), image[2:4, 3:7])
    np.testing.assert_array_equal(regions.read(-2, 8, 4, 9), image[0:2, 8:10])
    assert regions.read(9, 0, 2, 2).size == 0


def test_an_unreadable_micrograph_leaves_its_crops_grey(tmp_path):
    write_mrc(tmp_path / "a.mrc", tiny.blobs(0)[0], pixel_size_ang=(10.0, 10.0))
    crops = [Crop(tmp_path / "gone.mrc", 5.0, 5.0), Crop(tmp_path / "a.mrc", 50.0, 50.0)]

    jpeg = ImageCache().render_sheet(crops, SheetLayout(20, 32, 2))

    sheet = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert sheet[:, :24].std() < 2 < sheet[:, 40:].std()


def test_without_a_run_the_gallery_shows_the_labels(client):
    label(client, 2, 20.0, 30.0, "pos")
    label(client, 1, 40.0, 30.0, "neg")

    items = ask(client, "")["items"]

    assert [(item[0], item[1], item[3], item[5]) for item in items] == [
        (1, 40.0, None, 2),
        (2, 20.0, None, 1),
    ]


def test_each_of_two_labels_near_each_other_is_listed_with_its_own_name(client):
    label(client, 1, 20.0, 30.0, "pos")
    label(client, 1, 22.0, 30.0, "neg")

    items = ask(client, "")["items"]

    assert [(item[5], item[6]["id"]) for item in items] == [(1, "l20pos"), (2, "l22neg")]
