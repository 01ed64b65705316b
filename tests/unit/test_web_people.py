"""Marks carry the person who made them, and two people are compared where both marked."""

import pytest
from tests.unit.test_web_api import add


def mark(client, person, *operations):
    answer = client.post("/api/ops", json={"ops": list(operations)}, headers={"X-Cryopick": person})
    assert answer.status_code == 200, answer.text


def rename(client, person, name):
    return client.put("/api/me", json={"name": name}, headers={"X-Cryopick": person})


def test_labels_carry_the_browser_that_made_them_and_its_name(client):
    mark(client, "browser1", add(1), add(2, kind="neg"))
    rename(client, "browser1", " Anna ")

    label = client.get("/api/labels", params={"mid": 1}).json()["labels"][0]
    answer = client.get("/api/people", headers={"X-Cryopick": "browser1"}).json()

    assert label["author"] == answer["me"] == "browser1"
    assert answer["people"] == [{"author": "browser1", "name": "Anna", "pos": 1, "neg": 1}]


def test_agreement_is_the_f1_on_micrographs_that_both_have_marked(client):
    client.patch("/api/state", json={"diameter_ang": 120})  # labels match within 4 px
    rename(client, "one", "Anna")
    rename(client, "two", "Ben")
    mark(client, "one", *[add(f"a{k}", x=10.0 * k, y=20) for k in range(1, 7)])
    mark(client, "one", add("alone", mid=2, x=9))
    mark(client, "two", *[add(f"b{k}", x=10.0 * k + 1, y=21) for k in range(1, 5)])
    mark(client, "two", add("far", x=80, y=80), add("no", x=50, y=20, kind="neg"))

    [agreement] = client.get("/api/people").json()["agreement"]

    assert agreement["people"] == ["Anna", "Ben"]
    assert (agreement["both"], agreement["micrographs"]) == (4, 1)
    assert agreement["f1"] == pytest.approx(2 * 4 / (6 + 5))


def test_browsers_of_one_name_are_one_person(client):
    rename(client, "one", "Anna")
    rename(client, "two", "Anna")
    mark(client, "one", add(1))
    mark(client, "two", add(2, x=40))

    assert client.get("/api/people").json()["agreement"] == []


@pytest.mark.parametrize("name", ["", "x" * 61])
def test_unsuitable_names_are_rejected(client, name):
    assert rename(client, "one", name).status_code == 422
