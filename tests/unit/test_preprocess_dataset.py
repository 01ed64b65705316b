import os

import numpy as np
import pytest
from tests import oracles_learn as oracles

from cryopick.errors import InputError, MicrographError
from cryopick.io.images.mrc import write_mrc
from cryopick.picks import Picks, concatenate
from cryopick.preprocess import dataset
from cryopick.preprocess.dataset import Preparation, prepare_dataset, raw_pixel_size
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.prepared_store import load_micrograph

SHAPE = (409, 577)  # as 4092 x 5760 are: 8 divides neither
PREPARATION = Preparation(working_size_ang=16.0, pixel_size_ang=2.0, normalization="affine")
CENTRES = np.array([[80.0, 60.0], [500.0, 90.0], [120.0, 340.0], [520.0, 370.0]])


def micrograph(path, *, seed=0, centres=CENTRES):
    write_mrc(path, oracles.blobs(SHAPE, centres, 20.0, seed=seed), pixel_size_ang=(2.0, 2.0))
    return path


def labels(*paths):
    return concatenate([Picks.for_micrograph(str(path), CENTRES) for path in paths])


def peak(image, xy):
    """Compute the centre of mass of the intensity around a position."""
    x, y = np.round(xy).astype(int)
    part = np.clip(image[y - 6 : y + 7, x - 6 : x + 7], 0.3, None) - 0.3
    rows, columns = np.indices(part.shape) - 6
    return np.array([x, y]) + [(part * columns).sum(), (part * rows).sum()] / part.sum()


def test_labels_match_particles_for_fractional_factors(tmp_path):
    path = micrograph(tmp_path / "a.mrc")

    store = prepare_dataset([path], labels(path), PREPARATION, tmp_path / "work").store

    image = load_micrograph(store.folder, 0).image
    found = np.array([peak(image, xy) for xy in store.labels_px[0]])
    assert store.shapes == ((51, 72),)
    np.testing.assert_allclose(found, store.labels_px[0], atol=0.1)
    np.testing.assert_allclose(store.labels_px[0], CENTRES * [72 / 577, 51 / 409])


def test_labels_follow_their_micrographs_in_any_order(tmp_path):
    paths = [micrograph(tmp_path / f"{name}.mrc", seed=i) for i, name in enumerate("abc")]
    table = concatenate(
        [
            Picks.for_micrograph(str(paths[2]), CENTRES[:1]),
            Picks.for_micrograph(str(paths[0]), CENTRES),
        ]
    )

    data = prepare_dataset(paths, table, PREPARATION, tmp_path / "work")

    assert data.paths == tuple(paths)
    assert [len(own) for own in data.store.labels_px] == [4, 0, 1]


def test_bad_micrographs_are_reported_and_skipped(tmp_path):
    good = [micrograph(tmp_path / f"{name}.mrc", seed=i) for i, name in enumerate("ac")]
    bad = tmp_path / "b.mrc"
    bad.write_bytes(b"no micrograph")
    paths, reported = [good[0], bad, tmp_path / "missing.mrc", good[1]], []

    data = prepare_dataset(
        paths,
        labels(*paths),
        PREPARATION,
        tmp_path / "work",
        on_done=lambda path, error: reported.append((path, error)),
    )

    assert [path for path, _ in reported] == paths
    assert [error is None for _, error in reported] == [True, False, False, True]
    assert all(str(path) in str(error) for path, error in reported if error)
    assert data.paths == tuple(good)
    assert len(data.store) == 2
    second = prepare_dataset(good[1:], labels(good[1]), PREPARATION, tmp_path / "alone").store
    np.testing.assert_array_equal(
        load_micrograph(data.store.folder, 1).image, load_micrograph(second.folder, 0).image
    )


@pytest.mark.parametrize("kind", ["dataset", "micrograph", "affine", "white"])
def test_the_preparation_does_not_depend_on_the_number_of_threads(tmp_path, kind):
    paths = [micrograph(tmp_path / f"{name}.mrc", seed=i) for i, name in enumerate("abcde")]
    (tmp_path / "c.mrc").write_bytes(b"no micrograph")
    how = Preparation(working_size_ang=16.0, pixel_size_ang=2.0, normalization=kind)

    made = []
    for workers in (1, 3):
        folder = tmp_path / f"by-{workers}"
        prepare_dataset(paths, labels(*paths), how, folder, workers=workers)
        made.append({path.name: path.read_bytes() for path in (folder / "ready").iterdir()})

    assert len(made[0]) == 4 * 3
    assert made[0] == made[1]


def test_no_usable_micrograph_is_an_error(tmp_path):
    with pytest.raises(InputError, match="none of the micrographs can be used"):
        prepare_dataset(
            [tmp_path / "missing.mrc"],
            labels(tmp_path / "missing.mrc"),
            PREPARATION,
            tmp_path / "work",
        )


def test_existing_results_are_reused(tmp_path, monkeypatch):
    path = micrograph(tmp_path / "a.mrc")
    first = prepare_dataset([path], labels(path), PREPARATION, tmp_path / "work")
    monkeypatch.setattr(
        "cryopick.preprocess.dataset.save_micrograph", lambda *_: pytest.fail("made repeated")
    )

    repeated = prepare_dataset([path], labels(path), PREPARATION, tmp_path / "work")

    assert repeated.normalization == first.normalization
    assert repeated.store.fingerprint == first.store.fingerprint


@pytest.mark.parametrize("saved", range(4))  # two micrographs to shrink, two to standardise
def test_an_interrupted_preparation_can_be_resumed(tmp_path, monkeypatch, saved):
    paths = [micrograph(tmp_path / f"{name}.mrc", seed=i) for i, name in enumerate("ab")]
    whole = Preparation(working_size_ang=16.0, pixel_size_ang=2.0, normalization="dataset")
    expected = prepare_dataset(paths, labels(*paths), whole, tmp_path / "straight")
    save, left = dataset.save_micrograph, [None] * saved

    def killed(*args):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        save(*args)

    monkeypatch.setattr(dataset, "save_micrograph", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset(paths, labels(*paths), whole, tmp_path / "work", workers=1)
    monkeypatch.undo()
    resumed = prepare_dataset(paths, labels(*paths), whole, tmp_path / "work")

    assert resumed.normalization == expected.normalization
    for number in range(2):
        before, after = (load_micrograph(d.store.folder, number) for d in (expected, resumed))
        np.testing.assert_array_equal(before.image, after.image)


def prepared_sides(path, folder, **values):
    preparation = Preparation(
        **{"working_size_ang": 16.0, "pixel_size_ang": 2.0, "normalization": "affine"} | values
    )
    return prepare_dataset([path], labels(path), preparation, folder).store.shapes


def test_changed_settings_discard_only_old_results(tmp_path):
    path, work = micrograph(tmp_path / "a.mrc"), tmp_path / "work"
    work.mkdir()
    (work / "thesis.txt").write_text("years of work")

    assert prepared_sides(path, work) == ((51, 72),)
    assert prepared_sides(path, work, working_size_ang=8.0) == ((102, 144),)
    assert (work / "thesis.txt").read_text() == "years of work"


def test_a_changed_micrograph_is_prepared_again(tmp_path):
    path, work = micrograph(tmp_path / "a.mrc"), tmp_path / "work"
    prepare_dataset([path], labels(path), PREPARATION, work)
    path.unlink()
    micrograph(path, seed=9)
    os.utime(path, ns=(1, 1))

    repeated = prepare_dataset([path], labels(path), PREPARATION, work)

    fresh = prepare_dataset([path], labels(path), PREPARATION, tmp_path / "fresh")
    images = [load_micrograph(data.store.folder, 0).image for data in (repeated, fresh)]
    np.testing.assert_array_equal(*images)


def test_a_repaired_micrograph_is_added_in_order(tmp_path, monkeypatch):
    paths = [micrograph(tmp_path / f"{name}.mrc", seed=i) for i, name in enumerate("ab")]
    read = dataset.read_micrograph

    def unreadable(path, **values):
        if path == paths[0]:
            raise MicrographError(f"{path}: the disk is away")
        return read(path, **values)

    monkeypatch.setattr(dataset, "read_micrograph", unreadable)
    assert prepare_dataset(paths, labels(*paths), PREPARATION, tmp_path / "work").paths == (
        paths[1],
    )
    monkeypatch.undo()

    data = prepare_dataset(paths, labels(*paths), PREPARATION, tmp_path / "work")

    fresh = prepare_dataset(paths, labels(*paths), PREPARATION, tmp_path / "fresh")
    assert data.paths == tuple(paths)
    for number in range(2):
        images = [load_micrograph(d.store.folder, number).image for d in (data, fresh)]
        np.testing.assert_array_equal(*images)


def test_held_out_micrographs_can_share_the_normalisation_of_others(tmp_path):
    path = micrograph(tmp_path / "a.mrc")
    given = Normalization("micrograph")

    data = prepare_dataset(
        [path],
        labels(path),
        Preparation(working_size_ang=16.0, pixel_size_ang=None, normalization=given),
        tmp_path / "work",
    )

    assert data.normalization is given


def test_a_missing_pixel_size_raises_an_error(tmp_path):
    path = tmp_path / "a.mrc"

    with pytest.raises(MicrographError, match=r"a\.mrc: .*pixel size; add --pixel-size-ang"):
        raw_pixel_size(path, None)
    assert raw_pixel_size(path, 1.5) == 1.5
