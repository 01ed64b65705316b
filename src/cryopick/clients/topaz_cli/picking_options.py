"""Options of the commands that train, score and pick, with the names of Topaz.

All options of Topaz 0.3.20 and of RELION's fork are accepted. Options without a meaning here are
ignored, and their help says so.

- `extract_options`, `segment_options`, `train_options`, `curve_options`: add the options of a
  command.
"""

from cryopick.clients.topaz_cli.arguments import Parser, add_scale_options, parse_integer

__all__ = ["curve_options", "extract_options", "segment_options", "train_options"]

TABLES = ("auto", "coord", "csv", "star", "box")
_UNUSED = "accepted and ignored"


def extract_options(parser: Parser) -> None:
    """Add the options of `extract`."""
    add = parser.add_argument
    add("paths", nargs="*", help="micrographs (default: read names from stdin)")
    _add_model(parser)
    add(
        "-r",
        "--radius",
        type=float,
        help="minimum distance between particles, in pixels; for the general model and models of "
        "`cryopick train`, at least, and by default, 0.6 of the particle diameter",
    )
    _add_diameter(parser)
    add("-t", "--threshold", type=float, default=-6.0, help="minimum score (default: -6)")
    add_scale_options(parser)
    add("--batch-size", type=parse_integer, default=1, help=_UNUSED)
    add(
        "--assignment-radius",
        type=float,
        default=-1.0,
        help="maximum distance between a pick and a target, in pixels (default: the radius)",
    )
    add(
        "--min-radius",
        type=float,
        default=5.0,
        help="smallest radius to test with --targets, in pixels (default: 5)",
    )
    add("--max-radius", type=float, default=100.0, help="largest radius to test (default: 100)")
    add("--step-radius", type=float, default=5.0, help="step between tested radii (default: 5)")
    add(
        "--targets",
        help="table of true particles; the radius with the best average precision is used",
    )
    add(
        "--only-validate",
        action="store_true",
        help="evaluate with --targets only, and write no table",
    )
    add("-o", "--output", help="table to write, or folder of the tables with --per-micrograph")
    add(
        "--per-micrograph",
        action="store_true",
        help="write one table per micrograph, beside it by default",
    )
    add(
        "--suffix",
        default="",
        help="with --per-micrograph: suffix of the names of tables, before .coord",
    )
    add(
        "--format",
        choices=("coord", "csv", "star", "json", "box"),
        default="coord",
        help="format of the tables (default: coord)",
    )
    add(
        "--dims",
        type=parse_integer,
        choices=(2, 3),
        default=2,
        help="2; for tomograms use `cryopick tomo pick`",
    )
    add("-p", "--patch-size", type=parse_integer, default=0, help=_UNUSED)
    add(
        "-f",
        "--filaments",
        action="store_true",
        help="pick filaments; rows are start and end points",
    )
    add("-fl", "--filaments_length", type=float, help="minimum length of a filament, in pixels")
    add("-fp", "--filaments_plot", action="store_true", help=_UNUSED)
    _add_machine(parser)
    add("-v", "--verbose", action="store_true", help="print a line per micrograph")


def segment_options(parser: Parser) -> None:
    """Add the options of `segment`."""
    parser.add_argument("paths", nargs="+", help="micrographs")
    _add_model(parser)
    _add_diameter(parser)
    parser.add_argument("-o", "--destdir", required=True, help="output folder")
    parser.add_argument("-p", "--patch-size", type=parse_integer, default=0, help=_UNUSED)
    _add_machine(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="print a line per map")


def curve_options(parser: Parser) -> None:
    """Add the options of `precision_recall_curve`."""
    add = parser.add_argument
    add("--predicted", required=True, help="table of particles with scores")
    add("--targets", required=True, help="table of true particles")
    add(
        "-r",
        "--assignment-radius",
        type=float,
        required=True,
        help="maximum distance between a pick and a target, in pixels",
    )
    add(
        "--images",
        choices=("target", "predicted", "union"),
        default="target",
        help="micrographs to compare: those of --targets, of --predicted, or of both "
        "(default: target)",
    )


def train_options(parser: Parser) -> None:
    """Add the options of `train`."""
    _add_data(parser)
    _add_learning(parser)
    _add_network(parser)
    add = parser.add_argument
    add("--describe", action="store_true", help="describe the network and exit")
    add("--save-prefix", help="prefix of the detector files: PREFIX_epoch1.sav, …")
    add("-o", "--output", help="table of the training curve (default: stdout)")
    _add_machine(parser)


def _add_data(parser: Parser) -> None:
    add = parser.add_argument
    add("--train-images", help="list of micrographs, or folder of them")
    add("--train-targets", help="table of labelled particles")
    add("--test-images", help="list or folder of test micrographs")
    add("--test-targets", help="table of labelled particles on them")
    add("--format", choices=TABLES, default="auto", help="format of the tables (default: detected)")
    add("--image-ext", default="", help="suffix of the micrographs in a folder")
    add(
        "-k",
        "--k-fold",
        type=parse_integer,
        default=0,
        help="test on one of K parts (cross-validation)",
    )
    add("--fold", type=parse_integer, default=0, help="number of the test part, from 0")
    add(
        "--cross-validation-seed",
        type=parse_integer,
        default=42,
        help="seed of the parts of --k-fold (default: 42)",
    )
    add("--preload", default="auto", help=_UNUSED)
    add("--test-batch-size", type=parse_integer, default=1, help=_UNUSED)


def _add_learning(parser: Parser) -> None:
    add = parser.add_argument
    add("-n", "--num-particles", type=float, help="expected number of particles on a micrograph")
    add(
        "--pi",
        type=float,
        help="fraction of pixels within the radius of a particle, instead of --num-particles",
    )
    add(
        "-r",
        "--radius",
        type=float,
        default=3.0,
        help="pixels within this distance of a label count as positive (default: 3)",
    )
    add(
        "--method",
        choices=("PN", "GE-KL", "GE-binomial", "PU"),
        default="GE-binomial",
        help="objective: PN counts unlabelled regions as negative, PU is the non-negative PU risk, "
        "GE-KL and GE-binomial are generalized expectation criteria (default: GE-binomial)",
    )
    add(
        "--slack",
        type=float,
        default=-1.0,
        help="weight of the GE penalty; negative: 10 for GE-KL, 1 for GE-binomial; that of "
        "GE-binomial is multiplied by 240 over the unlabelled regions of a minibatch",
    )
    add("--autoencoder", type=float, default=0.0, help="weight of the reconstruction error")
    add("--l2", type=float, default=0.0, help="weight of the L2 penalty")
    add(
        "--learning-rate",
        type=float,
        default=0.0002,
        help="learning rate; scaled, so that 0.0002 is the default of cryopick",
    )
    add("--natural", action="store_true", help=_UNUSED)
    add("--minibatch-size", type=parse_integer, default=256, help="regions in a minibatch")
    add("--minibatch-balance", type=float, default=0.0625, help=_UNUSED)
    add(
        "--epoch-size",
        type=parse_integer,
        default=1000,
        help="minibatches per epoch (default: 1000)",
    )
    add(
        "--num-epochs",
        type=parse_integer,
        default=10,
        help="number of epochs; a detector is written after each (default: 10)",
    )


def _add_network(parser: Parser) -> None:
    add = parser.add_argument
    add("--pretrained", action="store_true", default=True, help="start resnet8 and resnet16 "
        "from the general model of cryopick (default)")  # fmt: skip
    add(
        "--no-pretrained",
        action="store_false",
        dest="pretrained",
        help="start the networks that --model names from random weights",
    )
    add("-m", "--model", default="resnet8", help="resnet8, resnet16, conv31, conv63, conv127, "
        "or a .sav file to fine-tune")  # fmt: skip
    add("--units", type=parse_integer, default=32, help="filters of the first layer (default: 32)")
    add(
        "--dropout",
        type=float,
        default=0.0,
        help="fraction of features dropped in training (default: 0)",
    )
    add("--bn", choices=("on", "off"), default="on", help="on; off is not supported")
    add("--pooling", help="none; others are not supported")
    add("--unit-scaling", type=parse_integer, default=2, help="2; others are not supported")
    add("--ngf", type=parse_integer, default=32, help=_UNUSED)
    add("-s", "--patch-size", type=parse_integer, default=96, help=_UNUSED)
    add("-p", "--patch-padding", type=parse_integer, default=48, help=_UNUSED)


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "-m",
        "--model",
        default="resnet16",
        help="a .sav or .safetensors file; resnet8 and resnet16 stand for the general model of "
        "cryopick; none: the input images are score maps (default: resnet16)",
    )


def _add_diameter(parser: Parser) -> None:
    parser.add_argument(
        "--particle-diameter",
        type=float,
        help="particle diameter in pixels of the images, for the general model and models of "
        "`cryopick train` (default: from --targets, or estimated from the images)",
    )


def _add_machine(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "-d",
        "--device",
        type=parse_integer,
        help="number of the GPU; negative: CPU (default: a GPU if available)",
    )
    add(
        "-j",
        "--num-threads",
        type=parse_integer,
        default=0,
        help="number of CPU threads; below 1: all",
    )
    add("--num-workers", type=parse_integer, default=0, help=_UNUSED)
