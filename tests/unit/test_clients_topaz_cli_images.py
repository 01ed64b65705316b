"""Topaz-compatible command line: particle stacks, and denoising."""

import shutil

import mrcfile
import numpy as np
import pytest
from tests import tiny

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.tomograms.volumes import write_volume

HEAD = "image_name\tx_coord\ty_coord\tscore\n"


@pytest.fixture
def two_micrographs(tmp_path):
    """Write b.mrc and a.mrc, and a table with b first and boxes over edges; return the pixels."""
    pixels = {}
    for number, name in enumerate("ab"):
        pixels[name], _ = tiny.blobs(number)
        write_mrc(tmp_path / f"{name}.mrc", pixels[name], pixel_size_ang=(2.0, 2.0))
    rows = "b\t20\t30\t1\na\t1\t2\t3\na\t50\t40\t2\na\t300\t40\t-1\n"
    (tmp_path / "p.txt").write_text(HEAD + rows)
    return pixels


def standardized(box):
    return (box - box.mean()) / box.std()


def test_a_stack_has_all_particles_by_micrograph_each_standardized(
    topaz, two_micrographs, tmp_path
):
    topaz("particle_stack p.txt --size 16 -o out.mrcs")

    with mrcfile.open(tmp_path / "out.mrcs") as stack:
        images, size = np.array(stack.data), stack.voxel_size
        assert (size.x, size.y, stack.is_image_stack()) == (2, 2, True)
    edge, inside, outside, last = images  # those of a, then those of b
    a, b = two_micrographs["a"], two_micrographs["b"]
    expected = standardized(a[:10, :9])  # from x = 1 - 8 and y = 2 - 8 on
    np.testing.assert_allclose(edge[6:, 7:], expected, atol=1e-4)
    assert not edge[:6].any()
    assert not edge[:, :7].any()
    np.testing.assert_allclose(inside, standardized(a[32:48, 42:58]), atol=1e-4)
    assert not outside.any()
    np.testing.assert_allclose(last, standardized(b[22:38, 12:28]), atol=1e-4)
    table = read_picks(tmp_path / "out.star")
    assert table.extra["rlnImageName"].tolist() == [f"00000{i}@out.mrcs" for i in (1, 2, 3, 4)]
    assert table.xy_px[:, 0].tolist() == [1, 50, 300, 20]


@pytest.mark.parametrize(("side", "image_side"), [(16, 8), (15, 15), (8, 16)])
def test_resized_images_are_standardized_and_have_their_pixel_size(
    side, image_side, topaz, two_micrographs, tmp_path
):
    (tmp_path / "p.txt").write_text(HEAD + "a\t50\t40\t2\n")

    topaz(f"particle_stack p.txt --size {side} --resize {image_side} -o out.mrcs")

    with mrcfile.open(tmp_path / "out.mrcs") as stack:
        image, size_ang = np.squeeze(stack.data), float(stack.voxel_size.x)
    assert image.shape == (image_side, image_side)
    assert size_ang == pytest.approx(2 * side / image_side)
    assert image.mean() == pytest.approx(0, abs=1e-5)
    assert image.std() == pytest.approx(1, abs=1e-4)


def test_metadata_of_micrographs_are_copied_to_their_particles(topaz, two_micrographs, tmp_path):
    rows = "m/b.mrc 200 low\nm/a.mrc 300.10 high\n"
    tags = "".join(f"_rln{tag}\n" for tag in ("MicrographName", "Voltage", "GroupName"))
    (tmp_path / "m.star").write_text(f"data_\nloop_\n{tags}{rows}")

    topaz("particle_stack p.txt --size 8 -o out.mrcs --metadata m.star")

    table = read_picks(tmp_path / "out.star")
    assert table.extra["rlnVoltage"].tolist() == ["300.10", "300.10", "300.10", "200"]
    assert table.extra["rlnGroupName"].tolist() == ["high", "high", "high", "low"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--size 1 -o o.mrcs", "at least 2"),
        ("--size 8 --threshold 9 -o o.mrcs", "no particles"),
        ("--size 8 --image-ext .tif -o o.mrcs", "no such file"),
    ],
)
def test_a_stack_that_cannot_be_made_is_reported_in_one_line(
    line, text, topaz, two_micrographs, tmp_path
):
    assert text in topaz(f"particle_stack p.txt {line}", 1).err
    assert not (tmp_path / "o.mrcs").exists()


def test_tomograms_need_a_denoiser_of_their_own_and_nothing_is_written_without(topaz, tmp_path):
    error = topaz("denoise3d v.mrc -o o -m unet-3d -g 0 -s 96 -p 48", 1).err

    assert "`cryopick tomo denoise-train`" in error
    assert not (tmp_path / "o").exists()


def test_a_denoiser_learns_from_half_tomograms_and_denoises_others(topaz, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("even", "odd", "."):
        noise = rng.normal(100, 5, (8, 40, 40)).astype(np.float32)
        write_volume(tmp_path / folder / "a.rec", noise, voxel_size_ang=10.0)

    trained = topaz("denoise3d -a even -b odd --num-epochs 2 --save-prefix d -s 96 -d -1")
    topaz("denoise3d a.rec -m d_epoch2.sav -o o --suffix _dn -d -1")
    topaz("denoise3d a.rec -m d_epoch2.sav -o o --suffix _smooth --gaussian 2 -d -1")

    assert "after 2 steps" in trained.err
    plain, smooth = (mrcfile.read(tmp_path / "o" / f"a_{name}.rec") for name in ("dn", "smooth"))
    assert plain.shape == smooth.shape == (8, 40, 40)
    assert plain.mean() == pytest.approx(100, abs=5)
    assert smooth.std() < 0.5 * plain.std()
    assert "would overwrite itself" in topaz("denoise3d a.rec -m d_epoch2.sav -o . -d -1", 1).err


# RELION's manual picker, cryoSPARC, Scipion, Appion
@pytest.mark.parametrize(
    "options",
    [
        "--device 0 --patch-size 1024 --patch-padding 256 --normalize",
        "--device 0 --format mrc --normalize --patch-size 1024 --patch-padding 256 --lowpass 1 "
        "--gaussian 0 --inv-gaussian 0 --deconv-patch 1 --pixel-cutoff 0 --model unet",
        "--model affineresnet8 --device 0 --normalize",
        "--format mrc --model unet --patch-size -1 --patch-padding 128",
    ],
)
def test_clients_get_denoised_micrographs_of_the_same_names(options, topaz, mics, tmp_path):
    printed = topaz(f"denoise mics/mic_0.mrc mics/mic_1.mrc --output o/ {options}")

    assert printed.out == ""
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["mic_0.mrc", "mic_1.mrc"]
    raw, denoised = (mrcfile.read(tmp_path / folder / "mic_0.mrc") for folder in ("mics", "o"))
    assert denoised.shape == raw.shape
    if "--normalize" in options:
        assert denoised.mean() == pytest.approx(0, abs=1e-4)
        assert denoised.std() == pytest.approx(1, abs=1e-4)
    spectra = [np.abs(np.fft.rfft2(image - image.mean())) for image in (raw, denoised)]
    fine_frac = [spectrum[48].sum() / spectrum[1:3].sum() for spectrum in spectra]  # Nyquist, low
    assert fine_frac[1] < 0.2 * fine_frac[0]


def test_a_micrograph_is_not_denoised_onto_itself_and_outputs_beside_it_have_a_suffix(topaz, mics):
    assert "overwrite itself" in topaz("denoise mics/mic_0.mrc -o mics/", 1).err
    topaz("denoise mics/mic_0.mrc")
    topaz("denoise mics/mic_1.mrc --suffix .x --format png")

    assert (mics / "mic_0.denoised.mrc").exists()
    assert (mics / "mic_1.x.png").exists()


def test_filters_need_no_denoiser_and_others_are_reported(topaz, mics, tmp_path):
    topaz("denoise mics/mic_0.mrc -o o/ -m none --gaussian 2 --pixel-cutoff 3")
    error = topaz("denoise mics/mic_1.mrc -o o/ -m unet fcnn --lowpass 4 --deconvolve").err

    assert "# not supported, ignored: --deconvolve" in error
    raw, filtered = (mrcfile.read(tmp_path / folder / "mic_0.mrc") for folder in ("mics", "o"))
    assert np.diff(filtered).std() < 0.3 * np.diff(raw).std()


def test_wrong_requests_of_denoising_are_reported(topaz, mics, tmp_path):
    (tmp_path / "peer.sav").write_bytes(b"\x80\x02")

    assert "--stack is not supported" in topaz("denoise --stack a.mrcs -o o/", 1).err
    assert "cannot be read" in topaz("denoise mics/mic_0.mrc -o o/ -m peer.sav", 1).err
    assert "require each other" in topaz("denoise -a mics/", 2).err
    assert "micrographs are required" in topaz("denoise -o o/", 2).err


def test_a_denoiser_is_trained_on_two_folders_and_used(topaz, mics, tmp_path):
    shutil.copytree(mics, tmp_path / "odd")

    topaz("denoise -a mics/ -b odd/ --save-prefix m/den --num-epochs 1 mics/mic_0.mrc -o o/ -d -1")
    topaz("denoise mics/mic_1.mrc -m m/den_epoch1.sav -o o/ -d -1")

    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["mic_0.mrc", "mic_1.mrc"]
