"""Pixel sizes that are probably wrong need a confirmation."""

import pytest

from cryopick.web.project.pixel_size_check import find_pixel_size_doubt


@pytest.mark.parametrize("wrong_ang", [17.7, 0.177, 3.54, 0.885, 1.5])
def test_a_size_unlike_that_of_the_files_is_doubtful(wrong_ang):
    assert "the files state" in find_pixel_size_doubt(wrong_ang, 1.77, 180.0)


@pytest.mark.parametrize("wrong_ang", [17.7, 0.177])
def test_an_unusual_size_is_doubtful_even_if_the_files_state_none(wrong_ang):
    assert "unusual" in find_pixel_size_doubt(wrong_ang, None, None)
    assert "unusual" in find_pixel_size_doubt(wrong_ang, 1.0, 180.0)


def test_a_particle_of_few_pixels_is_doubtful():
    assert "2.9 pixels" in find_pixel_size_doubt(3.5, None, 10.0)


@pytest.mark.parametrize("right_ang", [1.77, 1.7, 1.9])
def test_a_size_close_to_that_of_the_files_is_accepted(right_ang):
    assert find_pixel_size_doubt(right_ang, 1.77, 180.0) is None


def test_a_doubtful_size_is_stored_only_after_confirmation(client, project):
    """The files of this project state 10 Å."""
    refused = client.patch("/api/state", json={"pixel_size_ang": 1.0})
    before = project.micrographs.find(1)["pixel_size_ang"]
    accepted = client.patch("/api/state", json={"pixel_size_ang": 1.0, "confirmed": True})

    assert refused.status_code == 409
    assert "10 times less" in refused.json()["error"]
    assert before == 10.0
    assert accepted.json()["pixel_size_ang"] == 1.0


@pytest.mark.parametrize("invalid", [0, -3, "x"])
def test_sizes_that_are_not_positive_are_refused(client, invalid):
    answer = client.patch("/api/state", json={"pixel_size_ang": invalid, "confirmed": True})

    assert answer.status_code == 422
    assert "pixel_size_ang" in answer.json()["error"]


def test_the_box_follows_the_diameter_until_it_is_entered(client):
    client.patch("/api/state", json={"diameter_ang": 200})
    automatic = client.get("/api/state").json()
    client.patch("/api/state", json={"box_px": 64})
    given = client.get("/api/state").json()
    client.patch("/api/state", json={"box_px": 0})

    assert (automatic["box_px"], automatic["box_given"]) == (30, False)  # 1.5 x 200 Å / 10 Å
    assert (given["box_px"], given["box_given"]) == (64, True)
    assert client.get("/api/state").json()["box_px"] == 30
