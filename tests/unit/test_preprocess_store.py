from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.preprocess.histogram import Histogram
from cryopick.preprocess.prepared_store import (
    PreparedStore,
    StoredMicrograph,
    is_saved,
    load_histogram,
    load_micrograph,
    save_micrograph,
)

HEIGHT, WIDTH = 23, 31


def stored(shape=(HEIGHT, WIDTH), scale_yx=(4.0, 4.0)):
    rng = np.random.default_rng(0)
    return StoredMicrograph(
        rng.normal(size=shape).astype(np.float32), rng.random(shape) > 0.2, scale_yx
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    save_micrograph(folder, 0, stored())
    return PreparedStore.open(folder, [np.zeros((0, 2))])


@settings(deadline=None)
@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(1, 50))
def test_a_window_is_a_slice_padded_with_zeros(store, top, left, side):
    micrograph, sea = stored(), 120
    image = np.pad(micrograph.image, sea)[sea + top :, sea + left :][:side, :side]
    usable = np.pad(micrograph.usable, sea)[sea + top :, sea + left :][:side, :side]

    window = store.window(0, top, left, side)

    np.testing.assert_array_equal(window.image, image)
    np.testing.assert_array_equal(window.usable, usable)


def test_a_window_reads_only_its_rows(store, monkeypatch):
    counts, fromfile = [], np.fromfile

    def counted(file, dtype, count):
        counts.append(count)
        return fromfile(file, dtype, count)

    monkeypatch.setattr(np, "fromfile", counted)

    store.window(0, 2, 3, 5)

    assert counts == [5 * WIDTH, 5 * WIDTH]


def test_windows_do_not_depend_on_the_memory_order(tmp_path):
    plain = stored()
    columns = StoredMicrograph(
        np.asfortranarray(plain.image), np.asfortranarray(plain.usable), (4.0, 4.0)
    )
    save_micrograph(tmp_path, 0, columns)

    window = PreparedStore.open(tmp_path, [np.zeros((0, 2))]).window(0, 2, 3, 5)

    np.testing.assert_array_equal(window.image, plain.image[2:7, 3:8])
    np.testing.assert_array_equal(window.usable, plain.usable[2:7, 3:8])


def test_an_incomplete_micrograph_is_not_saved(tmp_path, monkeypatch):
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


def test_saved_micrographs_are_restored(tmp_path):
    save_micrograph(tmp_path, 0, stored(scale_yx=(4.5, 3.25)))

    loaded = load_micrograph(tmp_path, 0)

    np.testing.assert_array_equal(loaded.image, stored().image)
    np.testing.assert_array_equal(loaded.usable, stored().usable)
    assert loaded.scale_yx == (4.5, 3.25)


def test_labels_are_scaled_per_axis(tmp_path):
    save_micrograph(tmp_path, 0, stored(scale_yx=(4.0, 5.0)))
    save_micrograph(tmp_path, 1, stored(shape=(12, 9)))

    store = PreparedStore.open(tmp_path, [np.array([[50.0, 20.0]]), np.zeros((0, 2))])

    np.testing.assert_array_equal(store.labels_px[0], [[10.0, 5.0]])
    assert store.label_count == 1
    assert len(store) == 2
    assert store.shapes == ((HEIGHT, WIDTH), (12, 9))
    assert store.usable_px[0] == stored().usable.sum()


def test_the_fingerprint_depends_on_labels_and_micrographs(tmp_path):
    for number, shape in enumerate([(20, 30), (20, 30), (20, 31)]):
        save_micrograph(tmp_path, number, stored(shape=shape))
    here, there = np.array([[50.0, 20.0]]), np.array([[50.0, 20.5]])

    first = PreparedStore.open(tmp_path, [here, here])

    assert first.fingerprint == PreparedStore.open(tmp_path, [here, here]).fingerprint
    assert first.fingerprint != PreparedStore.open(tmp_path, [here, there]).fingerprint
    assert first.fingerprint != PreparedStore.open(tmp_path, [here, here, here]).fingerprint


def test_pixel_size_and_histogram_are_optional(tmp_path):
    plain, rng = stored(), np.random.default_rng(1)
    counted = Histogram(np.sort(rng.normal(size=9)), rng.integers(0, 50, 9).astype(float))
    save_micrograph(tmp_path, 0, plain)
    save_micrograph(
        tmp_path, 1, StoredMicrograph(plain.image, plain.usable, plain.scale_yx, 1.25, counted)
    )

    without, both = (load_micrograph(tmp_path, number) for number in (0, 1))

    assert (without.header_pixel_size_ang, without.pixel_histogram) == (None, None)
    assert both.header_pixel_size_ang == 1.25
    for own in (both.pixel_histogram, load_histogram(tmp_path, 1)):
        np.testing.assert_array_equal(own.centres, counted.centres)
        np.testing.assert_array_equal(own.counts, counted.counts)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("000000.json", b""),
        ("000000.json", b"[" * 10),
        ("000000.json", b"\xff"),
        ("000000.json", b"{}"),
        ("000000.image.npy", b"half"),
        ("000000.usable.npy", None),
    ],
)
def test_a_damaged_micrograph_counts_as_missing(tmp_path, name, content):
    save_micrograph(tmp_path, 0, stored())
    assert is_saved(tmp_path, 0)

    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)

    assert not is_saved(tmp_path, 0)
