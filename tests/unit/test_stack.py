"""Particles cut out of micrographs: where, with which values, and what stands in the files."""

import mrcfile
import numpy as np
import pytest
from gemmi import cif

from cryopick.errors import SettingsError
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks
from cryopick.stack.boxes import cut_boxes, has_box, standardize_background, write_stack
from cryopick.stack.settings import StackSettings
from cryopick.stack.table import build_optics, read_optics_groups

RAMP = np.arange(20 * 30, dtype=np.float32).reshape(20, 30)

SCOPE = "--voltage-kv 300 --cs-mm 2.7"


def column(path, block, tag):
    return [cif.as_string(value) for value in cif.read(str(path)).find_block(block).find_loop(tag)]


def test_a_box_has_the_nearest_pixel_at_its_centre():
    (box,) = cut_boxes(RAMP, np.array([[7.4, 11.6]]), 6)

    assert box[3, 3] == RAMP[12, 7]
    np.testing.assert_array_equal(box, RAMP[9:15, 4:10])


def test_pixels_beyond_the_micrograph_are_not_known():
    (box,) = cut_boxes(RAMP, np.array([[0.0, 19.0]]), 4)

    known = np.isfinite(box)
    assert known.sum() == 2 * 3
    np.testing.assert_array_equal(box[:3, 2:], RAMP[17:20, :2])


@pytest.mark.parametrize(
    ("x", "y", "skip", "pad"),
    [
        (2, 2, True, True),
        (1, 2, False, True),
        (28, 18, True, True),
        (29, 18, False, True),
        (30, 5, False, False),
        (-1, 5, False, False),
    ],
)
def test_the_edge_policy_decides_which_picks_get_a_box(x, y, skip, pad):
    xy = np.array([[x, y]], dtype=float)

    assert has_box(RAMP.shape, xy, 4, "skip").tolist() == [skip]
    assert has_box(RAMP.shape, xy, 4, "pad").tolist() == [pad]


def test_the_background_has_mean_0_and_spread_1_whatever_the_particle_is():
    rng = np.random.default_rng(0)
    box = rng.normal(300, 7, (32, 32)).astype(np.float32)
    y, x = np.mgrid[:32, :32] - 16
    background = x**2 + y**2 > 10**2
    box[~background] -= 500

    made = standardize_background(box, background)

    assert made[background].mean() == pytest.approx(0, abs=1e-5)
    assert made[background].std() == pytest.approx(1, abs=1e-5)
    assert made[~background].mean() < -50


def test_a_flat_background_is_not_blown_up():
    assert (
        np.abs(standardize_background(np.full((4, 4), 5, np.float32), np.ones((4, 4), bool))).max()
        == 0
    )


def written(tmp_path, **options):
    path = tmp_path / "p.mrcs"
    settings = StackSettings(**{"box_px": 8, "normalize": False} | options)
    kept = write_stack(path, RAMP, np.array([[10.0, 10.0], [1.0, 1.0]]), settings, 1.5)
    return kept, *stored(path)


def stored(path):
    """Images and pixel size; a stack of one image is the same file as that image."""
    with mrcfile.open(path) as stack:
        assert not stack.is_volume()
        side = stack.data.shape[-1]
        return stack.data.reshape(-1, side, side).copy(), float(stack.voxel_size.x)


def test_raw_values_are_kept_where_nothing_else_is_asked_for(tmp_path):
    kept, images, size_ang = written(tmp_path)

    assert kept.tolist() == [True, False]
    np.testing.assert_array_equal(images, RAMP[None, 6:14, 6:14])
    assert size_ang == pytest.approx(1.5)


def test_inverting_changes_the_sign(tmp_path):
    assert written(tmp_path, invert=True)[1][0, 4, 4] == -RAMP[10, 10]


def test_padding_fills_with_the_mean_of_what_is_there(tmp_path):
    kept, images, _ = written(tmp_path, edge="pad", diameter_ang=1e-3)

    assert kept.tolist() == [True, True]
    np.testing.assert_array_equal(images[1, 3:, 3:], RAMP[:5, :5])
    ground = RAMP[:5, :5].sum() - RAMP[1, 1]  # all but the centre
    np.testing.assert_allclose(images[1, :3], ground / 24, rtol=1e-6)


def test_rescaling_keeps_the_centre_and_tells_the_new_pixel_size(tmp_path):
    y, x = np.mgrid[:64, :64]
    image = np.exp(-((x - 30) ** 2 + (y - 34) ** 2) / 50).astype(np.float32)
    settings = StackSettings(box_px=32, normalize=False, rescale_px=16)

    write_stack(tmp_path / "p.mrcs", image, np.array([[30.0, 34.0]]), settings, 1.5)

    images, size_ang = stored(tmp_path / "p.mrcs")
    assert np.unravel_index(images[0].argmax(), (16, 16)) == (8, 8)
    assert size_ang == pytest.approx(3.0)


def test_a_box_of_one_and_a_half_diameters_is_even():
    assert StackSettings(diameter_ang=100.0).side_px(1.5) == 100
    assert StackSettings(diameter_ang=101.0).side_px(1.5) == 102


@pytest.mark.parametrize(
    "options",
    [{}, {"box_px": 7}, {"box_px": 8, "rescale_px": 10}, {"diameter_ang": -1.0}, {"box_px": 0}],
)
def test_settings_without_sense_are_refused(options):
    with pytest.raises(SettingsError):
        StackSettings(**options)


def test_optics_groups_of_the_picks_are_kept_with_the_new_image_size(tmp_path):
    text = (
        "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n_rlnImageSize #3\n"
        "1 300 999\n2 200 999\n"
    )

    particles = "data_particles\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n"
    (tmp_path / "p.star").write_text(text + "\n" + particles + "a.mrc 1 2\n")

    groups = read_optics_groups(tmp_path / "p.star", StackSettings(box_px=8, cs_mm=2.7))

    (tmp_path / "o.star").write_text(build_optics(groups, 1.5, 64).others + "\n")
    assert column(tmp_path / "o.star", "optics", "_rlnSphericalAberration") == ["2.7"] * 2
    assert column(tmp_path / "o.star", "optics", "_rlnVoltage") == ["300", "200"]
    assert column(tmp_path / "o.star", "optics", "_rlnImageSize") == ["64", "64"]
    assert column(tmp_path / "o.star", "optics", "_rlnImagePixelSize") == ["1.500000"] * 2


def two_micrographs(folder):
    (folder / "mics").mkdir()
    for name in ("a", "b"):
        write_mrc(folder / "mics" / f"{name}.mrc", RAMP, pixel_size_ang=(1.5, 1.5))
    lines = ["image_name\tx_coord\ty_coord\tscore", "a\t10\t10\t1", "a\t1\t1\t2", "b\t12.5\t9\t-3"]
    (folder / "picks.tsv").write_text("\n".join(lines) + "\n")


def test_the_command_writes_stacks_and_a_star_file_that_names_each_image(run_words, tmp_path):
    two_micrographs(tmp_path)

    told = run_words(f"stack picks.tsv -m mics -o out --box-px 8 {SCOPE}").output

    star = tmp_path / "out" / "particles.star"
    assert column(star, "optics", "_rlnImagePixelSize") == ["1.500000"]
    names = column(star, "particles", "_rlnImageName")
    assert names == ["000001@out/a.mrcs", "000001@out/b.mrcs"]
    assert column(star, "particles", "_rlnMicrographName") == ["mics/a.mrc", "mics/b.mrc"]
    assert column(star, "particles", "_rlnCoordinateX") == ["10.0", "12.5"]
    assert "discarded 1 pick because the box extends beyond the micrograph" in told
    assert read_picks(tmp_path / "out" / "particles.star").score.tolist() == [1, -3]
    assert not (tmp_path / ".out.parts").exists()


def test_a_threshold_leaves_weak_picks_out_and_nothing_is_replaced_unasked(run_words, tmp_path):
    two_micrographs(tmp_path)

    run_words(f"stack picks.tsv -m mics -o out --box-px 8 {SCOPE} --threshold 0")
    before = (tmp_path / "out" / "particles.star").read_bytes()
    told = run_words(f"stack picks.tsv -m mics -o out --box-px 8 {SCOPE}", status=1).output

    assert "already exists" in told
    assert (tmp_path / "out" / "particles.star").read_bytes() == before
    assert not (tmp_path / "out" / "b.mrcs").exists()


def test_micrographs_of_another_pixel_size_are_not_put_among_the_others(run_words, tmp_path):
    two_micrographs(tmp_path)
    (tmp_path / "mics" / "b.mrc").unlink()
    write_mrc(tmp_path / "mics" / "b.mrc", RAMP, pixel_size_ang=(3.0, 3.0))

    told = run_words(f"stack picks.tsv -m mics -o out --box-px 8 {SCOPE}", status=1).output

    assert "3 Å per pixel, the earlier micrographs have 1.5" in told
    assert len(read_picks(tmp_path / "out" / "particles.star")) == 1
    assert not (tmp_path / "out" / "b.mrcs").exists()


def test_a_microscope_that_is_not_known_is_asked_for(tmp_path, run_words):
    two_micrographs(tmp_path)

    told = run_words("stack picks.tsv -m mics -o out --box-px 8", status=1).output

    assert "add --voltage-kv and --cs-mm" in told
    assert not (tmp_path / "out").exists()


def test_picks_of_larger_micrographs_are_refused_with_the_factor(tmp_path, run_words):
    two_micrographs(tmp_path)
    height, width = RAMP.shape
    xy_px = np.outer(np.linspace(0.2, 0.95, 8), (2.0 * width, 2.0 * height))
    write_picks(Picks.for_micrograph("a", xy_px), tmp_path / "p.tsv")

    told = run_words(f"stack p.tsv -m mics -o out --box-px 8 {SCOPE}", status=1).output

    assert "picks lie outside their micrographs: they fit micrographs 2 times larger" in told
    assert not (tmp_path / "out").exists()


def test_carried_columns_survive_into_the_stack(tmp_path, run_words):
    two_micrographs(tmp_path)
    table = Picks.from_columns(
        ["mics/a.mrc"], np.array([[10.0, 10.0]]), extra={"rlnDefocusU": np.array([12000.5])}
    )
    write_picks(table, tmp_path / "p.star")

    run_words(f"stack p.star -m mics -o out --box-px 8 {SCOPE}")

    star = tmp_path / "out" / "particles.star"
    assert column(star, "particles", "_rlnDefocusU") == ["12000.5"]
