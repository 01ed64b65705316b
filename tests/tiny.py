"""Small inputs for tests of whole commands: micrographs with blobs, labels, a model.

The inputs are unrealistic but fast. Micrographs have 10 Å pixels and particles
of about 100 Å; the working pixels of the model are the raw ones.
"""

from pathlib import Path

import numpy as np

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate

PIXEL_ANG = 10.0
DIAMETER_ANG = 135.0
PER_MICROGRAPH = 6
# Settings of a training that takes seconds
TRAINING = f"""
diameter_ang = {DIAMETER_ANG}
working_pixel_size_ang = {PIXEL_ANG}
normalization = "affine"
steps = 3
[network]
width = 2
[sampling]
unlabelled_patches = 1
positive_patches = 1
patch_px = 31
"""
LINE = "pick mics --model m.safetensors --threshold -100"  # in the folder of fixture `project`


def blobs(seed, shape=(96, 112)):
    """Make dark blobs on noise, and return the image and their centres (x, y)."""
    rng = np.random.default_rng(seed)
    height, width = shape
    xy = rng.uniform(12, [width - 12, height - 12], (PER_MICROGRAPH, 2))
    y, x = np.mgrid[:height, :width]
    image = rng.normal(100, 10, shape)
    for cx, cy in xy:
        image -= 25 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 4.0**2))
    return image.astype(np.float32), xy


def particles(seed, shape=(128, 160), diameter_px=21.0, zoom=1):
    """Simulate ten particles, and return the image and their centres (x, y).

    The general model ignores smooth blobs. With `zoom`, all lengths are `zoom` times as large.
    """
    from cryopick.simulate.micrograph import simulate_micrograph
    from cryopick.simulate.molecule_files import load_molecule
    from cryopick.simulate.settings import SimulationSettings

    coarse_ang = 8.0  # coarse enough for small images
    height, width = shape
    settings = SimulationSettings(
        width_px=width * zoom,
        height_px=height * zoom,
        pixel_size_ang=coarse_ang / zoom,
        particles=10,
        overlapping_frac=0.0,
    ).without_junk()
    molecule = load_molecule("compact", diameter_px * coarse_ang)
    made = simulate_micrograph(settings, molecule, seed)
    return made.image, made.xy_px


def micrographs(folder, count=3, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG)):
    """Write mic_0.mrc, … into a folder, and labels.tsv beside it."""
    tables = []
    for number in range(count):
        path = Path(folder) / f"mic_{number}.mrc"
        image, xy = blobs(number)
        write_mrc(path, image, pixel_size_ang=pixel_size_ang)
        tables.append(Picks.for_micrograph(str(path), xy))
    write_picks(concatenate(tables), Path(folder).parent / "labels.tsv")


def model(path, settings=None):
    """Write an untrained model; its scores are sufficient for tests of commands."""
    import torch

    from cryopick.model.architectures import NetworkSettings
    from cryopick.model.model_file import Model, save_model
    from cryopick.model.networks import Scorer, extract_network
    from cryopick.preprocess.normalize import Normalization

    torch.manual_seed(7)
    made = Model(
        network=extract_network(Scorer(NetworkSettings(width=2))),
        diameter_ang=DIAMETER_ANG,
        working_pixel_size_ang=PIXEL_ANG,
        normalization=Normalization("affine"),
        label_radius_px=2.0,
        summary={"settings": settings or {}, "held_out": None},
    )
    save_model(made, Path(path))
    return made


def bad_micrographs(folder):
    """Write one unusable file of each kind; return the expected error messages."""
    folder = Path(folder)
    image, _ = blobs(0)
    write_mrc(folder / "whole.mrc", image, pixel_size_ang=None)
    stored = (folder / "whole.mrc").read_bytes()
    (folder / "whole.mrc").unlink()
    hole = 1024 + 4 * (3 * image.shape[1] + 5)  # a header of 1024 bytes, then rows
    not_a_number = np.float32(np.nan).tobytes()
    (folder / "holed.mrc").write_bytes(stored[:hole] + not_a_number + stored[hole + 4 :])
    write_mrc(folder / "flat.mrc", np.full_like(image, 3.0), pixel_size_ang=None)
    (folder / "cut.mrc").write_bytes(stored[:5000])
    (folder / "header.mrc").write_bytes(stored[:100])
    (folder / "empty.mrc").write_bytes(b"")
    (folder / "text.mrc.txt").write_text("no image at all")
    stack(folder / "stack.mrc", image)
    return {
        "holed.mrc": "NaN or infinite, the first at x = 5, y = 3",
        "flat.mrc": "all pixels have the value 3",
        "cut.mrc": "truncated",
        "header.mrc": "an MRC header takes 1024 bytes",
        "empty.mrc": "the file is empty",
        "text.mrc.txt": "is not MRC, TIFF, PNG or JPEG",
        "stack.mrc": "holds 2 sections where one micrograph was expected",
    }


def stack(path, image):
    import mrcfile

    with mrcfile.new(path) as mrc:
        mrc.set_data(np.stack([image, image]))
        mrc.set_image_stack()
