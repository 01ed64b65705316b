"""Options of the commands that learn, score and pick, by the names that Topaz gives them.

All options of Topaz 0.3.20 and of RELION's fork are taken. Those without a meaning here say so in
their help and change nothing.

- `extract_options`, `segment_options`, `train_options`, `curve_options`: one for each command.
"""

from cryopick.clients.topaz_cli.manners import Parser, whole_number

__all__ = ["curve_options", "extract_options", "segment_options", "train_options"]

TABLES = ("auto", "coord", "csv", "star", "box")
_UNUSED = "taken and not needed here"


def extract_options(parser: Parser) -> None:
    """Scores and particles of micrographs."""
    add = parser.add_argument
    add("paths", nargs="*", help="micrographs; without any, their names come from stdin")
    _add_model(parser)
    add("-r", "--radius", type=float, help="least distance between particles, in pixels")
    add("-t", "--threshold", type=float, default=-6.0, help="least score (default: -6)")
    add("-s", "--down-scale", type=float, default=1.0, help="divide coordinates by this")
    add("-x", "--up-scale", type=float, default=1.0, help="multiply coordinates by this")
    add("--batch-size", type=whole_number, default=1, help=_UNUSED)
    add("--assignment-radius", type=float, default=-1.0, help="greatest distance to a target")
    add("--min-radius", type=float, default=5.0, help="first radius tried against the targets")
    add("--max-radius", type=float, default=100.0, help="last radius tried")
    add("--step-radius", type=float, default=5.0, help="step between radii tried")
    add("--targets", help="known particles, to find the radius that suits them best")
    add("--only-validate", action="store_true", help="judge against the targets, write no table")
    add("-o", "--output", help="table to write, or with --per-micrograph its folder")
    add("--per-micrograph", action="store_true", help="one table a micrograph, beside it")
    add("--suffix", default="", help="end of the names of tables, before .txt")
    add("--format", choices=("coord", "csv", "star", "json", "box"), default="coord")
    add("--dims", type=whole_number, choices=(2, 3), default=2, help="2; tomograms are refused")
    add("-p", "--patch-size", type=whole_number, default=0, help=_UNUSED)
    add("-f", "--filaments", action="store_true", help="pick filaments: rows are start and end")
    add("-fl", "--filaments_length", type=float, help="least length, in pixels of the input")
    add("-fp", "--filaments_plot", action="store_true", help=_UNUSED)
    _add_machine(parser)
    add("-v", "--verbose", action="store_true", help="a line for each micrograph")


def segment_options(parser: Parser) -> None:
    """Maps of scores."""
    parser.add_argument("paths", nargs="+", help="micrographs")
    _add_model(parser)
    parser.add_argument("-o", "--destdir", required=True, help="folder for the maps")
    parser.add_argument("-p", "--patch-size", type=whole_number, default=0, help=_UNUSED)
    _add_machine(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each map")


def curve_options(parser: Parser) -> None:
    """Precision and recall of a table."""
    add = parser.add_argument
    add("--predicted", required=True, help="table of particles with scores")
    add("--targets", required=True, help="table of known particles")
    add("-r", "--assignment-radius", type=float, required=True, help="greatest distance to one")
    add("--images", choices=("target", "predicted", "union"), default="target")


def train_options(parser: Parser) -> None:
    """A detector from labelled particles."""
    _add_data(parser)
    _add_learning(parser)
    _add_network(parser)
    add = parser.add_argument
    add("--describe", action="store_true", help="describe the network and stop")
    add("--save-prefix", help="detectors are written to PREFIX_epoch1.sav and so on")
    add("-o", "--output", help="table of the training curve (default: stdout)")
    _add_machine(parser)


def _add_data(parser: Parser) -> None:
    add = parser.add_argument
    add("--train-images", help="list of micrographs, or their folder")
    add("--train-targets", help="table of labelled particles")
    add("--test-images", help="list or folder of micrographs to judge by")
    add("--test-targets", help="labelled particles on them")
    add("--format", choices=TABLES, default="auto", help="of the tables (default: by content)")
    add("--image-ext", default="", help="which files of a folder are micrographs")
    add("-k", "--k-fold", type=whole_number, default=0, help="judge by one of K parts")
    add("--fold", type=whole_number, default=0, help="which part, from 0")
    add("--cross-validation-seed", type=whole_number, default=42)
    add("--preload", default="auto", help=_UNUSED)
    add("--test-batch-size", type=whole_number, default=1, help=_UNUSED)


def _add_learning(parser: Parser) -> None:
    add = parser.add_argument
    add("-n", "--num-particles", type=float, help="particles expected on a micrograph")
    add("--pi", type=float, help="instead: share of pixels near a particle")
    add("-r", "--radius", type=float, default=3.0, help="pixels this near to a label are positive")
    add("--method", choices=("PN", "GE-KL", "GE-binomial", "PU"), default="GE-binomial")
    add("--slack", type=float, default=-1.0, help="weight of the penalty; below 0 the paper's")
    add("--autoencoder", type=float, default=0.0, help="weight of the reconstruction")
    add("--l2", type=float, default=0.0, help="weight of the squared weights")
    add("--learning-rate", type=float, default=0.0002, help="in relation to 0.0002")
    add("--natural", action="store_true", help=_UNUSED)
    add("--minibatch-size", type=whole_number, default=256, help="regions in a minibatch")
    add("--minibatch-balance", type=float, default=0.0625, help=_UNUSED)
    add("--epoch-size", type=whole_number, default=1000, help="minibatches in an epoch")
    add("--num-epochs", type=whole_number, default=10, help="as many detectors are written")


def _add_network(parser: Parser) -> None:
    add = parser.add_argument
    add("--pretrained", action="store_true", default=True, help="taken; see --no-pretrained")
    add(
        "--no-pretrained",
        action="store_false",
        dest="pretrained",
        help="taken: networks named by --model always start from random weights",
    )
    add("-m", "--model", default="resnet8", help="resnet8, resnet16, conv31, conv63, conv127, "
        "or a .sav file that learns on")  # fmt: skip
    add("--units", type=whole_number, default=32, help="filters of the first layer")
    add("--dropout", type=float, default=0.0)
    add("--bn", choices=("on", "off"), default="on", help="on; off is not offered")
    add("--pooling", help="none; others are not offered")
    add("--unit-scaling", type=whole_number, default=2, help="2; others are not offered")
    add("--ngf", type=whole_number, default=32, help=_UNUSED)
    add("-s", "--patch-size", type=whole_number, default=96, help=_UNUSED)
    add("-p", "--patch-padding", type=whole_number, default=48, help=_UNUSED)


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "-m",
        "--model",
        default="resnet16",
        help="a .sav or .safetensors file; resnet8, resnet16 and the like mean the general model "
        "that comes with cryopick; none: the micrographs are score maps (default: resnet16)",
    )


def _add_machine(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "-d",
        "--device",
        type=whole_number,
        help="GPU to use; below 0: CPU (default: any GPU)",
    )
    add("-j", "--num-threads", type=whole_number, default=0, help="cores; below 1: all")
    add("--num-workers", type=whole_number, default=0, help=_UNUSED)
