"""Options of the commands on images and tables, with the names of Topaz.

- `preprocess_options`, `downsample_options`, `denoise_options`, `denoise3d_options`: images.
- `convert_options`, `split_options`, `test_split_options`, `stack_options`: tables.
- `scale_options`, `from_star_options`, `to_star_options`, `from_boxes_options`, `to_boxes_options`,
  `to_eman_options`, `star_threshold_options`: tables, with names that older scripts use.
- `no_options`: no options.
"""

from cryopick.clients.topaz_cli.arguments import Parser, add_scale_options, parse_integer
from cryopick.clients.topaz_cli.picking_options import TABLES

__all__ = [
    "convert_options",
    "denoise3d_options",
    "denoise_options",
    "downsample_options",
    "from_boxes_options",
    "from_star_options",
    "no_options",
    "preprocess_options",
    "scale_options",
    "split_options",
    "stack_options",
    "star_threshold_options",
    "test_split_options",
    "to_boxes_options",
    "to_eman_options",
    "to_star_options",
]

_UNUSED = "accepted and ignored"


def no_options(_: Parser) -> None:
    """Add no options."""


def preprocess_options(parser: Parser) -> None:
    """Add the options of `preprocess` and `normalize`."""
    add = parser.add_argument
    add("files", nargs="+", help="micrographs")
    add("-s", "--scale", type=float, default=1.0, help="downsampling factor (default: 1)")
    add(
        "--affine",
        action="store_true",
        help="normalize to mean 0 and standard deviation 1, without a mixture model",
    )
    for name, kind, value in (("--sample", float, 10.0), ("--niters", parse_integer, 100)):
        add(name, type=kind, default=value, help=_UNUSED)
    add("-a", "--alpha", type=float, default=900.0, help=_UNUSED)
    add("-b", "--beta", type=float, default=1.0, help=_UNUSED)
    add("--metadata", action="store_true", help="also write <name>.metadata.json")
    add("-d", "--device", type=parse_integer, default=-1, help=_UNUSED)
    add(
        "-t",
        "--num-workers",
        type=parse_integer,
        default=0,
        help="number of CPU threads; below 1: all",
    )
    add("-j", "--num-threads", type=parse_integer, default=0, help=_UNUSED)
    add("-o", "--destdir", required=True, help="output folder")
    add(
        "--format",
        default="mrc",
        help="mrc, tiff or png, or several separated by commas (default: mrc)",
    )
    add("-v", "--verbose", action="store_true", help="print a line per micrograph")


def downsample_options(parser: Parser) -> None:
    """Add the options of `downsample`."""
    parser.add_argument("file", help="micrograph")
    parser.add_argument(
        "-s", "--scale", type=float, default=4.0, help="downsampling factor (default: 4)"
    )
    parser.add_argument("-o", "--output", required=True, help="image to write")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the image sizes")


def denoise_options(parser: Parser) -> None:
    """Add the options of `denoise`."""
    add = parser.add_argument
    add("micrographs", nargs="*", help="micrographs")
    add("-o", "--output", help="output folder (default: beside the micrographs)")
    add("--suffix", default="", help="suffix of the names (default: .denoised without --output)")
    add(
        "--format",
        default="mrc",
        choices=("mrc", "tiff", "tif", "png"),
        help="format (default: mrc)",
    )
    add("--normalize", action="store_true", help="scale to mean 0 and standard deviation 1")
    add(
        "-m",
        "--model",
        nargs="+",
        default=["unet"],
        help="denoisers of cryopick, which are averaged; the names of Topaz's models stand for the "
        "one of the package, none for filters only",
    )
    add("-a", "--dir-a", help="folder of the first halves of the micrographs, to train on")
    add("-b", "--dir-b", help="folder of the second halves, with the same names")
    add("--save-prefix", help="prefix of the trained denoiser (default: denoiser)")
    add("--num-epochs", type=parse_integer, default=100, help="10 training steps each")
    add("--lowpass", type=float, default=1.0, help="factor by which a filter lowers the bandwidth")
    add("--gaussian", type=float, default=0.0, help="Gaussian filter of the result, SD in pixels")
    add("--inv-gaussian", type=float, default=0.0, help=_UNUSED)
    add("--pixel-cutoff", type=float, default=0.0, help="replace pixels this many SD off the mean")
    add("-d", "--device", type=parse_integer, default=0, help="number of the GPU; CPU below 0")
    add("-j", "--num-threads", type=parse_integer, default=0, help="number of CPU threads")
    add("--hdf", help="not supported")
    add("--stack", action="store_true", help="not supported")
    _add_ignored_options(
        parser,
        "--save-interval;--holdout;--deconv-patch;-s --patch-size;-p --patch-padding;--method;"
        "--arch;--optim;--lr;--criteria;-c --crop;--batch-size;--num-workers",
    )
    for name in ("--preload", "--deconvolve"):
        add(name, action="store_true", help=_UNUSED)


def denoise3d_options(parser: Parser) -> None:
    """Add the options of `denoise3d`."""
    add = parser.add_argument
    add("volumes", nargs="*", help="tomograms")
    add("-o", "--output", help="output folder (default: beside the tomograms)")
    add("--suffix", default="", help="suffix of the names (default: .denoised without --output)")
    add("-m", "--model", default="unet-3d", help="denoiser that was trained on half-tomograms")
    add("-a", "--even-train-path", help="half-tomogram or folder of them, to train on")
    add("-b", "--odd-train-path", help="the other half, or a folder with the same names")
    add("--save-prefix", help="prefix of the trained denoiser (default: denoiser3d)")
    add("--num-epochs", type=parse_integer, default=500, help="500 are 400 training steps")
    add("-g", "--gaussian", type=float, default=0.0, help="Gaussian filter of the result, SD in px")
    add("-d", "--device", type=parse_integer, default=0, help="number of the GPU; CPU below 0")
    add("-j", "--num-threads", type=parse_integer, default=0, help="number of CPU threads")
    _add_ignored_options(
        parser,
        "--N-train;--N-test;-c --crop;--base-kernel-width;--optim;--lr;--criteria;--momentum;"
        "--batch-size;-w --weight_decay;--save-interval;--num-workers;-s --patch-size;"
        "-p --patch-padding",
    )


def _add_ignored_options(parser: Parser, spellings: str) -> None:
    for names in spellings.split(";"):
        parser.add_argument(*names.split(), help=_UNUSED)


def convert_options(parser: Parser) -> None:
    """Add the options of `convert`."""
    add = parser.add_argument
    add("files", nargs="+", help="tables, read as one")
    add("-o", "--output", help="table or folder/ to write (default: stdout)")
    add("--from", dest="from_", choices=TABLES, default="auto", help="format of the files")
    add("--to", choices=(*TABLES, "json"), default="auto", help="format of the output")
    add("--suffix", default="", help="suffix of the names of files in a folder")
    add("-t", "--threshold", type=float, help="remove particles with lower scores")
    add_scale_options(parser)
    for name in ("--voltage", "--detector-pixel-size", "--magnification", "--amplitude-contrast"):
        add(name, type=float, default=-1.0, help="constant column of a STAR file; negative: none")
    _add_images(parser, ".mrc")
    add("--boxsize", type=parse_integer, default=0, help="box size in pixels")
    add("-v", "--verbose", type=parse_integer, default=0, help=_UNUSED)


def split_options(parser: Parser) -> None:
    """Add the options of `split`."""
    add = parser.add_argument
    add("file", help="table")
    add("-o", "--output", required=True, help="output folder")
    add(
        "--format",
        choices=("auto", "coord", "star"),
        default="auto",
        help="format of the table (default: detected)",
    )
    add("--suffix", default="", help="suffix of the names of files")
    add("-t", "--threshold", type=float, help="remove particles with lower scores")


def test_split_options(parser: Parser) -> None:
    """Add the options of `train_test_split`."""
    add = parser.add_argument
    add("file", help="table of particles")
    add("-n", "--number", type=parse_integer, required=True, help="number of test micrographs")
    add("--seed", type=parse_integer, default=0, help="seed of the random split (default: 0)")
    add("--image-dir", required=True, help="folder of the micrographs")
    add("--image-ext", help="suffix of the micrographs (default: any)")
    add("--format", choices=TABLES, default="auto", help="format of the table (default: detected)")


def stack_options(parser: Parser) -> None:
    """Add the options of `particle_stack`."""
    add = parser.add_argument
    add("file", help="table of particles")
    add("--image-root", default="", help="folder of the micrographs")
    add("-o", "--output", required=True, help="stack to write")
    add("--size", type=parse_integer, required=True, help="box size in pixels")
    add("--threshold", type=float, default=float("-inf"), help="remove particles with lower scores")
    add(
        "--resize",
        type=parse_integer,
        default=-1,
        help="resample the images to this size in pixels",
    )
    add("--image-ext", default=".mrc", help="suffix of the micrographs (default: .mrc)")
    add("--metadata", help="STAR file with a row per micrograph, whose columns are copied")


def scale_options(parser: Parser) -> None:
    """Add the options of `scale_coordinates`."""
    parser.add_argument("file", help="table")
    parser.add_argument("-s", "--scale", type=float, default=0.25, help="factor (default: 0.25)")
    parser.add_argument("-o", "--output", help="table to write (default: stdout)")


def from_star_options(parser: Parser) -> None:
    """Add the options of `star_to_coordinates`."""
    parser.add_argument("file", help="STAR file")
    parser.add_argument("-o", "--output", help="table to write (default: stdout)")


def to_star_options(parser: Parser) -> None:
    """Add the options of `coordinates_to_star`."""
    parser.add_argument("file", help="table")
    parser.add_argument("--image-ext", default=".mrc", help="suffix of the micrographs")
    for name in (
        "--voltage",
        "--defocus-u",
        "--defocus-v",
        "--defocus-angle",
        "--spherical-aberation",
        "--amplitude-contrast",
        "--detector-pixel-size",
        "--magnification",
    ):
        parser.add_argument(name, type=float, default=-1.0, help="constant column of the STAR file")


def from_boxes_options(parser: Parser) -> None:
    """Add the options of `boxes_to_coordinates`."""
    parser.add_argument("files", nargs="+", help="box files")
    _add_images(parser, ".tiff")
    parser.add_argument("-o", "--output", help="table to write (default: stdout)")


def to_boxes_options(parser: Parser) -> None:
    """Add the options of `coordinates_to_boxes`."""
    parser.add_argument("--boxsize", type=parse_integer, required=True, help="box size in pixels")
    to_eman_options(parser)


def to_eman_options(parser: Parser) -> None:
    """Add the options of `coordinates_to_eman2_json`."""
    parser.add_argument("paths", nargs="+", help="tables")
    parser.add_argument("--destdir", required=True, help="output folder")
    _add_images(parser, ".tiff")


def star_threshold_options(parser: Parser) -> None:
    """Add the options of `star_particles_threshold`."""
    parser.add_argument("file", help="STAR file")
    parser.add_argument(
        "-t",
        "--threshold",
        type=float,
        default=float("-inf"),
        help="remove particles with lower scores (default: none)",
    )
    parser.add_argument("-o", "--output", help="STAR file to write (default: stdout)")


def _add_images(parser: Parser, image_ext: str) -> None:
    add = parser.add_argument
    add("--invert-y", action="store_true", help="flip vertically; requires --imagedir")
    add("--imagedir", help="folder of the micrographs, for their heights")
    add("--image-ext", default=image_ext, help=f"suffix of the micrographs (default: {image_ext})")
