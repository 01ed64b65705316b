from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.preprocess.histogram import Histogram
from cryopick.preprocess.store import (
    Store,
    Stored,
    is_saved,
    load_histogram,
    load_micrograph,
    save_micrograph,
)

HEIGHT, WIDTH = 23, 31


def stored(shape=(HEIGHT, WIDTH), scale_yx=(4.0, 4.0)):
    rng = np.random.default_rng(0)
    return Stored(rng.normal(size=shape).astype(np.float32), rng.random(shape) > 0.2, scale_yx)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    save_micrograph(folder, 0, stored())
    return Store.open(folder, [np.zeros((0, 2))])


@settings(deadline=None)
@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(1, 50))
def test_a_window_is_a_slice_of_the_image_in_a_sea_of_zeros(store, top, left, side):
    micrograph, sea = stored(), 120
    image = np.pad(micrograph.image, sea)[sea + top :, sea + left :][:side, :side]
    usable = np.pad(micrograph.usable, sea)[sea + top :, sea + left :][:side, :side]

    window = store.window(0, top, left, side)

    np.testing.assert_array_equal(window.image, image)
    np.testing.assert_array_equal(window.usable, usable)


def test_a_window_reads_its_own_rows_alone(store, monkeypatch):
    counts, fromfile = [], np.fromfile

    def counted(file, dtype, count):
        counts.append(count)
        return fromfile(file, dtype, count)

    monkeypatch.setattr(np, "fromfile", counted)

    store.window(0, 2, 3, 5)

    assert counts == [5 * WIDTH, 5 * WIDTH]


def test_windows_do_not_depend_on_how_an_image_lay_in_memory(tmp_path):
    plain = stored()
    columns = Stored(np.asfortranarray(plain.image), np.asfortranarray(plain.usable), (4.0, 4.0))
    save_micrograph(tmp_path, 0, columns)

    window = Store.open(tmp_path, [np.zeros((0, 2))]).window(0, 2, 3, 5)

    np.testing.assert_array_equal(window.image, plain.image[2:7, 3:8])
    np.testing.assert_array_equal(window.usable, plain.usable[2:7, 3:8])


def test_a_micrograph_cut_off_while_it_was_written_is_not_there(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_micrograph(tmp_path, 3, stored())
    assert not is_saved(tmp_path, 3)

    monkeypatch.undo()
    save_micrograph(tmp_path, 3, stored())
    assert is_saved(tmp_path, 3)
    assert not is_saved(tmp_path, 2)


def test_what_was_saved_comes_back_whole(tmp_path):
    save_micrograph(tmp_path, 0, stored(scale_yx=(4.5, 3.25)))

    loaded = load_micrograph(tmp_path, 0)

    np.testing.assert_array_equal(loaded.image, stored().image)
    np.testing.assert_array_equal(loaded.usable, stored().usable)
    assert loaded.scale_yx == (4.5, 3.25)


def test_labels_are_scaled_along_each_axis_by_its_own_factor(tmp_path):
    save_micrograph(tmp_path, 0, stored(scale_yx=(4.0, 5.0)))
    save_micrograph(tmp_path, 1, stored(shape=(12, 9)))

    store = Store.open(tmp_path, [np.array([[50.0, 20.0]]), np.zeros((0, 2))])

    np.testing.assert_array_equal(store.labels_px[0], [[10.0, 5.0]])
    assert store.labelled == 1
    assert len(store) == 2
    assert store.shapes == ((HEIGHT, WIDTH), (12, 9))
    assert store.usable_px[0] == stored().usable.sum()


def test_other_labels_or_micrographs_give_another_fingerprint(tmp_path):
    for number, shape in enumerate([(20, 30), (20, 30), (20, 31)]):
        save_micrograph(tmp_path, number, stored(shape=shape))
    here, there = np.array([[50.0, 20.0]]), np.array([[50.0, 20.5]])

    first = Store.open(tmp_path, [here, here])

    assert first.fingerprint == Store.open(tmp_path, [here, here]).fingerprint
    assert first.fingerprint != Store.open(tmp_path, [here, there]).fingerprint
    assert first.fingerprint != Store.open(tmp_path, [here, here, here]).fingerprint


def test_pixel_size_and_histogram_are_kept_where_they_are_given(tmp_path):
    plain, rng = stored(), np.random.default_rng(1)
    counted = Histogram(np.sort(rng.normal(size=9)), rng.integers(0, 50, 9).astype(float))
    save_micrograph(tmp_path, 0, plain)
    save_micrograph(tmp_path, 1, Stored(plain.image, plain.usable, plain.scale_yx, 1.25, counted))

    without, both = (load_micrograph(tmp_path, number) for number in (0, 1))

    assert (without.in_file_ang, without.counted) == (None, None)
    assert both.in_file_ang == 1.25
    for own in (both.counted, load_histogram(tmp_path, 1)):
        np.testing.assert_array_equal(own.centres, counted.centres)
        np.testing.assert_array_equal(own.counts, counted.counts)
