"""Options of the commands on images and tables, by the names that Topaz gives them.

- `preprocess_options`, `downsample_options`, `denoise_options`, `denoise3d_options`: images.
- `convert_options`, `split_options`, `test_split_options`, `stack_options`: tables.
- `scale_options`, `from_star_options`, `to_star_options`, `from_boxes_options`, `to_boxes_options`,
  `to_eman_options`, `star_threshold_options`: tables, by the names that older scripts use.
- `no_options`: a command without any.
"""

from cryopick.clients.topaz_cli.manners import Parser, whole_number
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

_UNUSED = "taken and not needed here"


def no_options(_: Parser) -> None:
    """None."""


def preprocess_options(parser: Parser) -> None:
    """Shrink and standardise micrographs."""
    add = parser.add_argument
    add("files", nargs="+", help="micrographs")
    add("-s", "--scale", type=float, default=1.0, help="raw pixels per new pixel (default: 1)")
    add("--affine", action="store_true", help="mean 0 and standard deviation 1, no mixture")
    for name, kind, value in (("--sample", float, 10.0), ("--niters", whole_number, 100)):
        add(name, type=kind, default=value, help=_UNUSED)
    add("-a", "--alpha", type=float, default=900.0, help=_UNUSED)
    add("-b", "--beta", type=float, default=1.0, help=_UNUSED)
    add("--metadata", action="store_true", help="write <name>.metadata.json as well")
    add("-d", "--device", type=whole_number, default=-1, help=_UNUSED)
    add("-t", "--num-workers", type=whole_number, default=0, help="cores; below 1: all")
    add("-j", "--num-threads", type=whole_number, default=0, help=_UNUSED)
    add("-o", "--destdir", required=True, help="folder to write to")
    add("--format", default="mrc", help="mrc, tiff, png, or several with commas (default: mrc)")
    add("-v", "--verbose", action="store_true", help="a line for each micrograph")


def downsample_options(parser: Parser) -> None:
    """Shrink one micrograph."""
    parser.add_argument("file", help="micrograph")
    parser.add_argument("-s", "--scale", type=float, default=4.0, help="factor (default: 4)")
    parser.add_argument("-o", "--output", required=True, help="image to write")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell the sizes")


def denoise_options(parser: Parser) -> None:
    """Not offered; the options are taken so that a client hears so whatever it asks for."""
    parser.add_argument("micrographs", nargs="*")
    parser.add_argument("-m", "--model", nargs="+")
    _add_unread(
        parser,
        "-d --device;-o --output;--suffix;--format;--save-prefix;--save-interval;-a --dir-a;"
        "-b --dir-b;--hdf;--holdout;--lowpass;--gaussian;--inv-gaussian;--deconv-patch;"
        "--pixel-cutoff;-s --patch-size;-p --patch-padding;--method;--arch;--optim;--lr;"
        "--criteria;-c --crop;--batch-size;--num-epochs;--num-workers;-j --num-threads",
    )
    for name in ("--normalize", "--stack", "--preload", "--deconvolve"):
        parser.add_argument(name, action="store_true")


def denoise3d_options(parser: Parser) -> None:
    """Not offered, as for `denoise_options`."""
    parser.add_argument("volumes", nargs="*")
    _add_unread(
        parser,
        "-o --output;--suffix;-m --model;-a --even-train-path;-b --odd-train-path;--N-train;"
        "--N-test;-c --crop;--base-kernel-width;--optim;--lr;--criteria;--momentum;--batch-size;"
        "--num-epochs;-w --weight_decay;--save-interval;--save-prefix;--num-workers;"
        "-j --num-threads;-g --gaussian;-s --patch-size;-p --patch-padding;-d --device",
    )


def _add_unread(parser: Parser, spellings: str) -> None:
    for names in spellings.split(";"):
        parser.add_argument(*names.split())


def convert_options(parser: Parser) -> None:
    """Tables from one format to another."""
    add = parser.add_argument
    add("files", nargs="+", help="tables, taken as one")
    add("-o", "--output", help="table to write, or a folder/ (default: stdout)")
    add("--from", dest="from_", choices=TABLES, default="auto", help="format of the files")
    add("--to", choices=(*TABLES, "json"), default="auto", help="format of the output")
    add("--suffix", default="", help="end of the names of files in a folder")
    add("-t", "--threshold", type=float, help="leave out lower scores")
    add("-s", "--down-scale", type=float, default=1.0, help="divide coordinates by this")
    add("-x", "--up-scale", type=float, default=1.0, help="multiply coordinates by this")
    for name in ("--voltage", "--detector-pixel-size", "--magnification", "--amplitude-contrast"):
        add(name, type=float, default=-1.0, help="column of a STAR file; below 0: none")
    _add_images(parser, ".mrc")
    add("--boxsize", type=whole_number, default=0, help="side of boxes")
    add("-v", "--verbose", type=whole_number, default=0, help=_UNUSED)


def split_options(parser: Parser) -> None:
    """A table to one for each micrograph."""
    add = parser.add_argument
    add("file", help="table")
    add("-o", "--output", required=True, help="folder to write to")
    add("--format", choices=("auto", "coord", "star"), default="auto")
    add("--suffix", default="", help="end of the names of files")
    add("-t", "--threshold", type=float, help="leave out lower scores")


def test_split_options(parser: Parser) -> None:
    """Micrographs to learn from and to judge by."""
    add = parser.add_argument
    add("file", help="table of particles")
    add("-n", "--number", type=whole_number, required=True, help="micrographs to judge by")
    add("--seed", type=whole_number, default=0)
    add("--image-dir", required=True, help="folder of the micrographs")
    add("--image-ext", help="ending of their names (default: any)")
    add("--format", choices=TABLES, default="auto")


def stack_options(parser: Parser) -> None:
    """Images of particles."""
    add = parser.add_argument
    add("file", help="table of particles")
    add("--image-root", default="", help="folder of the micrographs")
    add("-o", "--output", required=True, help="stack to write")
    add("--size", type=whole_number, required=True, help="side of the images")
    add("--threshold", type=float, default=float("-inf"), help="leave out lower scores")
    add("--resize", type=whole_number, default=-1, help="shrink the images to this side")
    add("--image-ext", default=".mrc")
    add("--metadata", help=_UNUSED)


def scale_options(parser: Parser) -> None:
    """Coordinates for images of another size."""
    parser.add_argument("file", help="table")
    parser.add_argument("-s", "--scale", type=float, default=0.25, help="factor (default: 0.25)")
    parser.add_argument("-o", "--output", help="table to write (default: stdout)")


def from_star_options(parser: Parser) -> None:
    """A STAR file as a table."""
    parser.add_argument("file", help="STAR file")
    parser.add_argument("-o", "--output", help="table to write (default: stdout)")


def to_star_options(parser: Parser) -> None:
    """A table as a STAR file, on stdout."""
    parser.add_argument("file", help="table")
    parser.add_argument("--image-ext", default=".mrc", help="ending of micrographs' names")
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
        parser.add_argument(name, type=float, default=-1.0, help="column of the STAR file")


def from_boxes_options(parser: Parser) -> None:
    """Box files as a table."""
    parser.add_argument("files", nargs="+", help="box files")
    _add_images(parser, ".tiff")
    parser.add_argument("-o", "--output", help="table to write (default: stdout)")


def to_boxes_options(parser: Parser) -> None:
    """A table as box files."""
    parser.add_argument("--boxsize", type=whole_number, required=True, help="side of boxes")
    to_eman_options(parser)


def to_eman_options(parser: Parser) -> None:
    """A table as EMAN2 JSON files."""
    parser.add_argument("paths", nargs="+", help="tables")
    parser.add_argument("--destdir", required=True, help="folder to write to")
    _add_images(parser, ".tiff")


def star_threshold_options(parser: Parser) -> None:
    """A STAR file without its lower scores."""
    parser.add_argument("file", help="STAR file")
    parser.add_argument("-t", "--threshold", type=float, default=float("-inf"))
    parser.add_argument("-o", "--output", help="STAR file to write (default: stdout)")


def _add_images(parser: Parser, image_ext: str) -> None:
    add = parser.add_argument
    add("--invert-y", action="store_true", help="turn over; needs --imagedir")
    add("--imagedir", help="folder of the micrographs, for their heights")
    add("--image-ext", default=image_ext, help=f"their ending (default: {image_ext})")
