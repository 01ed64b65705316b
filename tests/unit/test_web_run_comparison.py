"""Runs are compared by the labels that they were not trained on."""

import numpy as np
from tests.unit.test_web_api import add, edit
from tests.unit.test_web_gallery import add_run

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks


def test_the_recall_is_that_on_labels_left_out_of_the_training(client, project):
    run = add_run(project, {1: [3.0] * 4, 2: [3.0] * 3})  # at (20 + 10 i, 30)
    project.database.set_meta("diameter_ang", "120.0")  # labels match within 4 px
    places = [(1, 20.0), (1, 31.0), (1, 70.0), (2, 20.0), (2, 41.0), (2, 80.0), (3, 20.0)]
    edit(client, *[add(n, mid=mid, x=x, y=30.0) for n, (mid, x) in enumerate(places)])
    used = Picks.for_micrograph(str(project.micrographs.path(1)), np.array([[20.0, 30.0]]))
    write_picks(used, project.runs.folder(run) / "labels.json")

    [compared] = client.get("/api/comparison").json()["runs"]

    # One label was used, and the third micrograph was not picked; 31, 20 and 41 are found.
    assert (compared["left_out"], compared["recall"]) == (5, 3 / 5)


def test_further_candidates_follow_when_all_micrographs_had_their_turn(client, project):
    run = add_run(project, {1: [3.0] * 8, 2: [3.0] * 3, 3: [-9.0]})
    project.database.set_meta("diameter_ang", "12.0")

    def candidates():
        return client.get(f"/api/runs/{run}/candidates").json()["items"]

    first = candidates()
    assert [one["mid"] for one in first] == [1] * 6 + [2] * 3 + [1] * 2
    assert len({(one["mid"], one["x"]) for one in first}) == 11
    edit(client, *[add(n, mid=one["mid"], x=one["x"], y=30.0) for n, one in enumerate(first[:9])])

    assert candidates() == first[9:]
    project.runs.change(run, state="running")  # other micrographs may follow
    assert candidates() == []
