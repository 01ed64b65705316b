"""Picking without a model: blob detection and template matching."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles_learn import blobs

from cryopick.errors import InputError, SettingsError
from cryopick.evaluate.matching import match_points
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import write_picks
from cryopick.pick.proposals.correlation import match_templates
from cryopick.pick.proposals.flattening import flatten_background
from cryopick.pick.proposals.proposer import Proposer
from cryopick.pick.proposals.settings import BlobSettings, ProposeSettings, TemplateSettings
from cryopick.picks import Picks
from cryopick.preprocess.blob_detection import difference_of_gaussians
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.views import draw_rotations, project_molecule

PIXEL_ANG, DIAMETER_ANG = 4.0, 100.0
SHAPE = (400, 520)
CENTRES = np.array([[60.0, 50.0], [300.5, 120.25], [460.0, 70.0], [80.3, 330.9], [452.5, 340.0]])


def micrograph(folder, *, sign=-1, centres=CENTRES, seed=0):
    """Write a micrograph of Gaussian blobs and noise; blobs are dark for a negative sign."""
    image = sign * blobs(SHAPE, centres, DIAMETER_ANG / PIXEL_ANG / 3, noise=0.5, seed=seed)
    path = Path(folder) / f"mic_{sign}.mrc"
    write_mrc(path, image.astype(np.float32), pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
    return path


def proposed(path, **values):
    return Proposer.create(ProposeSettings(diameter_ang=DIAMETER_ANG, **values), [path]).propose(
        path
    )


def recalled(picks, truth, radius_px, first):
    best = picks.select(np.arange(min(first, len(picks))))
    return (match_points(best.xy_px, best.score, truth, radius_px) >= 0).mean()


@pytest.mark.parametrize(("contrast", "sign"), [("dark", -1), ("light", 1)])
def test_blobs_of_both_contrasts_have_the_highest_scores(tmp_path, contrast, sign):
    picks = proposed(micrograph(tmp_path, sign=sign), contrast=contrast)

    assert recalled(picks, CENTRES, radius_px=4.0, first=len(CENTRES)) == 1
    assert (np.diff(picks.score) <= 0).all()
    assert len(picks) > len(CENTRES)  # the default threshold is low


def test_nothing_is_proposed_on_a_filled_border(tmp_path):
    path = micrograph(tmp_path)
    image = mrcfile.read(path).copy()
    image[:, :40] = image[:, 40:41]
    write_mrc(path, image, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG), overwrite=True)

    picks = proposed(path)

    assert picks.xy_px[:, 0].min() >= 40 + DIAMETER_ANG / PIXEL_ANG / 2 - 4  # a working pixel


def test_very_dark_objects_are_not_preferred(tmp_path):
    path = micrograph(tmp_path)
    image = mrcfile.read(path).copy()
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image[np.hypot(y - 250, x - 260) < 12] -= 40
    write_mrc(path, image, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG), overwrite=True)

    score = {clip: proposed(path, clip_sd=clip).score for clip in (2.0, 100.0)}

    assert score[100.0][0] > 2 * score[100.0][1]
    assert score[2.0][0] < 1.5 * score[2.0][1]


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 1e4), st.floats(-1e4, 1e4), st.integers(0, 9))
def test_flattening_is_invariant_to_gain_and_offset(gain, offset, seed):
    image = np.random.default_rng(seed).normal(size=(60, 70)).astype(np.float32)
    usable = np.ones(image.shape, bool)
    usable[:7] = False
    flat = flatten_background(image, usable, diameter_px=5.0, clip_sd=2.0)

    repeated = flatten_background(
        (image * gain + offset).astype(np.float32), usable, diameter_px=5.0, clip_sd=2.0
    )

    # float32 keeps 24 bits of gain and offset together
    assert np.abs(repeated - flat).max() < 1e-3 + 1e-5 * abs(offset) / gain
    assert (flat[~usable] == 0).all()
    assert flat[usable].std() == pytest.approx(1, abs=0.15)


def test_a_difference_of_gaussians_prefers_blobs_of_the_matching_size():
    centres, sigma_px = [60, 180, 300], 6.0
    image = np.zeros((120, 360), np.float32)
    y, x = np.mgrid[:120, :360]
    # of blobs of equal energy it answers best to one of sigma / sqrt(3): differentiate
    # sigma_b / (sigma_b² + sigma²)², the answer of the limit of a ratio of 1
    for centre, size in zip(centres, (1.2, sigma_px / np.sqrt(3), 11.0), strict=True):
        blob = np.exp(-((x - centre) ** 2 + (y - 60) ** 2) / (2 * size**2))
        image += (blob / np.linalg.norm(blob)).astype(np.float32)
    usable = np.ones(image.shape, bool)

    answer = difference_of_gaussians(image, usable, sigma_px=sigma_px, ratio=1.01)

    at_centres = answer[60, centres]
    assert at_centres[1] > 1.3 * max(at_centres[0], at_centres[2])
    assert answer.std() == pytest.approx(1, abs=1e-3)


def slow_correlation(image, template, inside):
    """Compute Pearson's coefficient at each pixel by its definition."""
    reach = len(template) // 2
    padded = np.pad(image, reach)
    best = np.zeros_like(image)
    for y, x in np.ndindex(image.shape):
        around = padded[y : y + len(template), x : x + len(template)][inside]
        best[y, x] = np.corrcoef(around, template[inside])[0, 1]
    return best


def test_correlation_is_pearsons_coefficient_within_the_disc():
    rng = np.random.default_rng(5)
    image = rng.normal(size=(40, 33)).astype(np.float32)
    template = rng.normal(size=(7, 7))
    y, x = np.mgrid[:7, :7] - 3
    inside = np.hypot(y, x) <= 3.5

    quick = match_templates(image, template[None])

    # where neighbourhoods vary less than a tenth of the whole, the quick one is lower on purpose
    np.testing.assert_allclose(quick, slow_correlation(image, template, inside), atol=2e-3)


def test_a_rotated_particle_requires_rotated_templates():
    template = np.zeros((21, 21))
    template[9:12, 2:19] = 1.0
    image = np.zeros((200, 200), np.float32)
    image[92:109, 99:102] = 1.0  # the same bar upright
    image += np.random.default_rng(0).normal(0, 0.2, image.shape).astype(np.float32)

    straight = match_templates(image, template[None])
    turned = match_templates(image, template[None], step_deg=15.0)

    assert np.hypot(*(np.argwhere(turned == turned.max())[0] - (100, 100))) <= 1
    assert turned.max() > 0.8 > 0.4 > straight[100, 100]


def y_shaped(folder, count=12):
    """Write a micrograph of Y-shaped molecules; return its path and their centres."""
    molecule = load_molecule("y-shaped")
    rng = np.random.default_rng(3)
    image = np.zeros((420, 560))
    xy = np.array([[70 + 140 * (i % 4), 70 + 140 * (i // 4)] for i in range(count)], float)
    for (x, y), rotation in zip(xy.astype(int), draw_rotations(rng, count), strict=True):
        side = 41
        image[y - 20 : y + 21, x - 20 : x + 21] -= project_molecule(molecule, rotation, 5.0, side)
    image = image / np.abs(image).max() + rng.normal(0, 0.25, image.shape)
    path = Path(folder) / "y.mrc"
    write_mrc(path, image.astype(np.float32), pixel_size_ang=(5.0, 5.0))
    return path, xy


def as_map(folder):
    molecule = load_molecule("y-shaped")
    density = np.zeros((48, 48, 48), np.float32)
    voxel = np.rint(molecule.xyz_ang / 4.0).astype(int) + 24
    np.add.at(density, tuple(voxel[:, ::-1].T), molecule.mass_da)
    path = Path(folder) / "map.mrc"
    with mrcfile.new(path) as file:
        file.set_data(density)
        file.voxel_size = 4.0
    return path


def as_averages(folder, sign=1):
    molecule = load_molecule("y-shaped")
    rotations = draw_rotations(np.random.default_rng(8), 40)
    stack = np.stack([sign * project_molecule(molecule, each, 4.0, 64) for each in rotations])
    stack[3] = 0  # an empty class, as classifications leave them
    path = Path(folder) / f"averages{sign}.mrcs"
    with mrcfile.new(path) as file:
        file.set_data(stack.astype(np.float32))
        file.voxel_size = 4.0
    return path


def as_picks(folder, path, xy):
    table = Path(folder) / "labels.star"
    write_picks(Picks.for_micrograph(str(path), xy[:5]), table)
    return table


@pytest.mark.parametrize("kind", ["map", "averages", "dark averages", "picks"])
def test_templates_from_every_source_rank_particles_first(tmp_path, kind):
    path, xy = y_shaped(tmp_path)
    file = {
        "map": lambda: as_map(tmp_path),
        "averages": lambda: as_averages(tmp_path),
        "dark averages": lambda: as_averages(tmp_path, sign=-1),
        "picks": lambda: as_picks(tmp_path, path, xy),
    }[kind]()
    template = TemplateSettings(file=str(file), views=20, step_deg=20.0)
    chosen = ProposeSettings(diameter_ang=150.0, template=template)

    picks = Proposer.create(chosen, [path]).propose(path)

    assert recalled(picks, xy, radius_px=5.0, first=len(xy)) >= 0.9
    assert -1 <= picks.score.min() <= picks.score.max() <= 1


def test_invalid_templates_raise_input_errors(tmp_path):
    path = micrograph(tmp_path)
    table = tmp_path / "elsewhere.tsv"
    write_picks(Picks.for_micrograph("other.mrc", np.array([[50.0, 50.0]])), table)
    empty = tmp_path / "empty.mrcs"
    with mrcfile.new(empty) as file:
        file.set_data(np.zeros((3, 16, 16), np.float32))
        file.voxel_size = 2.0
    unsized = tmp_path / "unsized.mrcs"
    with mrcfile.new(unsized) as file:
        file.set_data(np.ones((3, 16, 16), np.float32))

    for file, words in {
        tmp_path / "missing.mrc": "no such file",
        table: "no pick is completely inside",
        empty: "all class averages are empty",
        unsized: "--template-pixel-size-ang",
    }.items():
        with pytest.raises(InputError, match=words):
            proposed(path, template=TemplateSettings(file=str(file)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ProposeSettings(diameter_ang=0.0),
        lambda: ProposeSettings(diameter_ang=100.0, threshold=np.nan),
        lambda: ProposeSettings(diameter_ang=100.0, margin_ang=-1.0),
        lambda: BlobSettings(ratio=1.0),
        lambda: BlobSettings(sigma_frac=0.0),
        lambda: TemplateSettings(views=0),
        lambda: TemplateSettings(step_deg=0.0),
    ],
)
def test_settings_out_of_range_are_rejected(make):
    with pytest.raises(SettingsError, match="must be"):
        make()
