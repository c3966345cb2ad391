"""What the command line understands, and its help."""

import argparse
import ast
import difflib
import math
import os
import sys
from pathlib import Path

from skcaptcha._version import __version__

OVERVIEW = """
examples:
  skcaptcha generate captchas -n 1000
  skcaptcha train captchas --out model.joblib
  skcaptcha predict model.joblib unread/*.png
  skcaptcha evaluate model.joblib more_captchas --html report.html

`skcaptcha COMMAND --help` says more of each. Results go to standard output, progress
and notes to standard error.
"""
GENERATE = """
examples:
  skcaptcha generate captchas
        a thousand images of five characters, with a table of what they say
  skcaptcha generate codes -n 500 --characters 0123456789 --length 4-6 --size 40x120
  skcaptcha generate hard --color --param rotation=30 --param lines=4 --seed 7
"""
CHECK = """
examples:
  skcaptcha check my_images
        counts, lengths, characters, five labels, what was left out, what looks wrong
  skcaptcha check labels.tsv --filename-column file --text-column says
"""
TRAIN = """
examples:
  skcaptcha train my_images --out model.joblib --html report.html
        my_images/2b827.png reads 2b827, or my_images/labels.csv says what it reads
  skcaptcha train my_images.zip --label "^([^_]+)_" --out model.skops
        2b827_0417.png reads 2b827; a .skops file can be loaded without trust
  skcaptcha train labels.csv --out model.joblib --param max_iter=50 --param device=cuda
  skcaptcha train new_images --from model.joblib --out better.joblib
  skcaptcha train my_images --out model.joblib --search grid.toml --jobs 2
        with, in grid.toml:  learning_rate_init = [0.001, 0.003]
                             lstm_units = [64, 128]
"""
ADAPT = """
examples:
  skcaptcha adapt unread --out model.joblib
        reads the images, and learns from what it is sure of, without any label
  skcaptcha adapt unread --out model.joblib --characters 0123456789 --length 4
        say what there may be, if you know
  skcaptcha adapt unread --labels labels.csv --out model.joblib
        some labels, such as 50, teach more; their images may be among the others

Then look at what it is least sure of:
  skcaptcha predict model.joblib unread --sort confidence
"""
PREDICT = """
examples:
  skcaptcha predict model.joblib 1.png 2.png
        1.png <tab> 2b827 <tab> 0.9984
  skcaptcha predict model.joblib unread --format csv > read.csv
        all images below a folder; or in a zip file, or those that a table names
  find . -name '*.png' | skcaptcha predict model.joblib - --format jsonl
        paths from standard input, one a line
  skcaptcha predict model.joblib meter.png --length 5-6 --characters 0123456789
  skcaptcha predict model.joblib unread --min-confidence 0.9 --sort confidence
        doubtful images first, without a text
  skcaptcha predict pretrained unread --characters 0123456789 --length 4
        before anything is trained; it reads best if you say what there may be
  skcaptcha predict pretrained unread --n-sizes 6
        quicker, and about as good if the images look alike
  skcaptcha predict model.joblib 1.png --characters-detail
        1.png <tab> 2b <tab> 0.9984 <tab> 2 0.9991 8-21 <tab> b 0.9993 21-34

An image that cannot be read gives a row with the error, and the exit code 1.
"""
EVALUATE = """
examples:
  skcaptcha evaluate model.joblib held_out
  skcaptcha evaluate model.joblib labels.csv --picture mistakes.png --html report.html
  skcaptcha evaluate pretrained held_out --characters 0123456789 --length 4
        how well four digits are read before any label
  skcaptcha evaluate model.joblib held_out --format csv > read.csv
        each image with its label, what was read, and whether the label looks wrong
"""
CURVE = """
examples:
  skcaptcha curve my_images
        what these labels, twice and four times as many would give
  skcaptcha curve my_images --cv 5 --target 0.99 --picture curve.png
        surer and longer; how many labels 0.99 takes; drawn
"""
LABELING = """
examples:
  skcaptcha label my_images
        opens a page in the browser; my_images/labels.csv has the labels
  skcaptcha label my_images --characters 0123456789 --length 4
        only such texts are proposed and taken; say so above all where letters are not
        Latin, as many look alike
  skcaptcha label my_images --model model.joblib --save-model better.joblib
        proposals of a model; the one that is fine-tuned from it is saved as it grows

The address has a secret and works on this machine alone. Ctrl-C ends; the same command
continues.
"""
CHECK_LABELS = """
examples:
  skcaptcha check-labels my_images
        labels that are not what networks read that were not fitted on them
  skcaptcha check-labels labels.csv --model model.joblib --picture issues.png
        the same by a model that has not learned from these labels; the images drawn
  skcaptcha check-labels my_images --format csv > issues.csv
  skcaptcha check-labels my_images --page
        in the browser, to keep or correct each with one key
"""
EXPORT = """
examples:
  skcaptcha export model.joblib --onnx model.onnx
  skcaptcha export model.joblib --onnx small.onnx --dtype int8 --test-images some/*.png
        a quarter of the size, with images by which `info --self-test` checks it
"""
INFO = """
examples:
  skcaptcha info model.joblib
  skcaptcha info model.onnx --self-test
"""
MODEL = (
    "file of a recognizer, ensemble or pipeline (.joblib, .pkl, .skops or .onnx); use "
    ".joblib and .pkl only if you trust who made them, as they can run any code; or "
    "the word pretrained, for what reads before any training"
)
SOURCE = (
    "folder or zip file of images, or table of their names and labels; a single table "
    "among the images, or a text beside each, is used as well"
)
JUDGE = (
    "model that has not learned from these labels; without one a network is fitted for "
    "each fold of them, on the others"
)
REPEATS = (
    "cut the labels into so many parts and measure a curve for each, held out in turn "
    "(default: one curve, a quarter of the labels held out)"
)
LABELS = "labeled images as well: table of names and labels, folder or zip file"
THRESHOLD = (
    "confidence from which a text is learned from, from 0 to 1 (default: %(default)s)"
)
EXPORTED = "file of a recognizer (.joblib, .pkl or .skops)"
START = (
    "model whose texts are proposed at first (default: the file of --save-model if it "
    "is there, else pretrained)"
)
SAVED = (
    "file for what was learned, written after each round: .joblib, .pkl or .skops "
    "(default: model.joblib beside the labels, when the page is asked to)"
)
FROM = (
    "recognizer to train on, with the new characters of the labels added; images that "
    "it has seen before may be among those held out"
)
MIN_CONFIDENCE = (
    "leave out texts whose confidence is less; their rows have an error that names "
    "them, and the exit code stays 0"
)
PRECISION = (
    "leave out texts as --min-confidence does, by the threshold from which this share "
    "of the texts was right on the images that `train` held out; it stores those for "
    "0.9, 0.95, 0.98, 0.99, 0.995 and 0.999, and the next higher one is taken"
)
SORT = (
    "order of the rows: as given, or the least confident first (default: %(default)s)"
)
N_SIZES = (
    "of the model `pretrained`: at how many sizes to read, those that suit up to 100 "
    "of the images best; 6 take about a quarter of the time of all 24 (default: all)"
)
DETAIL = (
    "write each character as well, with its probability and the columns of the image "
    "from the first to the one after the last; not in CSV"
)
LABEL = (
    "regular expression with one group that finds the text in the name of a file, "
    "without its suffix (default: the whole name is the text)"
)
DELIMITER = r"what is between two columns of the table; \t or tab for a tab"
SEARCH = (
    "file with lists of values of parameters; those with the best cross-validated "
    "exact match are taken"
)
FORMAT = (
    "path, text, confidence and error between tabs, as CSV with a header, or as a JSON "
    "object a line (default: %(default)s)"
)
DTYPE = (
    "type of the weights; the fewer bits, the smaller the file (default: %(default)s)"
)
TEST_IMAGES = (
    "images, patterns or folders, 100 images at most, that the file keeps with what is "
    "read in them"
)
SELF_TEST = (
    "read the test images of an .onnx file first; it is an error if one is read "
    "otherwise than it must be"
)
ENCODING_OF_NAMES = "encoding of names in a zip file, such as gbk"
CASE = "take capital and small letters for the same, and show them as small ones"
SCORES = (
    "scores as text, as JSON with the mistakes, or a row for each image as CSV "
    "(default: %(default)s)"
)


def make_parser():
    """Return the parser; what it parsed has the name of the function as `command`."""
    parser = _Parser("skcaptcha", "Read short text images: train, test, use.", OVERVIEW)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Parser
    )
    _fill_generate(
        _add(commands, "generate", "draw labeled captchas into a folder", GENERATE)
    )
    _add_source(
        _add(commands, "check", "look at labeled images before training", CHECK)
    )
    _fill_train(_add(commands, "train", "train a recognizer on labeled images", TRAIN))
    words = "train a recognizer on images of which few or none have labels"
    _fill_adapt(_add(commands, "adapt", words, ADAPT))
    _fill_predict(_add(commands, "predict", "read images", PREDICT))
    command = _add(commands, "evaluate", "report how well images are read", EVALUATE)
    _add_path(command, "model", "MODEL", MODEL)
    _add_source(command)
    _add_pictures(command, "the images")
    formats = ["text", "json", "csv"]
    command.add_argument("--format", choices=formats, default="text", help=SCORES)
    _add_rules(command)
    command.add_argument("--ignore-case", action="store_true", help=CASE)
    _fill_curve(_add(commands, "curve", "estimate what more labels would bring", CURVE))
    _fill_label(_add(commands, "label", "label images on a local page", LABELING))
    _fill_check_labels(
        _add(commands, "check-labels", "look for wrong labels", CHECK_LABELS)
    )
    command = _add(commands, "export", "write a model for other programs", EXPORT)
    _add_path(command, "model", "MODEL", EXPORTED)
    _add_path(command, "--onnx", "FILE", "file to write: .onnx", required=True)
    dtypes = ["float32", "float16", "int8"]
    command.add_argument("--dtype", choices=dtypes, default="float32", help=DTYPE)
    command.add_argument("--test-images", metavar="IMAGE", nargs="+", help=TEST_IMAGES)
    command = _add(commands, "info", "say what is in a model", INFO)
    _add_path(command, "model", "MODEL", MODEL)
    command.add_argument("--self-test", action="store_true", help=SELF_TEST)
    return parser


def _fill_generate(command):
    add = command.add_argument
    _add_path(command, "folder", "DIR", "folder to make")
    number = "number of images (default: %(default)s)"
    add("-n", "--n-samples", metavar="N", type=int, default=1000, help=number)
    add("--characters", help="characters to draw from")
    length = "number of characters, N or N-M (default: 5)"
    add("--length", metavar="N", type=_parse_span, default=5, help=length)
    size = "pixels, HEIGHTxWIDTH (default: 50x150)"
    add("--size", metavar="SIZE", type=_parse_size, default=(50, 150), help=size)
    add("--color", action="store_true", help="draw in color")
    fonts = "files of TrueType fonts; give DIR before them"
    add("--fonts", nargs="+", metavar="FILE", help=fonts)
    _add_param(command, "another parameter of make_captchas")
    _add_seed(command)


def _fill_train(command):
    add = command.add_argument
    out = "file to write: .joblib, .pkl, or .skops (needs skops)"
    share = (
        "share of the images to hold out and report on (default: %(default)s); 0: none"
    )
    _add_source(command)
    _add_path(command, "--out", "FILE", out, required=True)
    _add_path(command, "--from", "MODEL", FROM, dest="start")
    add("--test-size", metavar="SHARE", type=float, default=0.2, help=share)
    _add_pictures(command, "the images held out")
    _add_param(command, "a parameter of CaptchaRecognizer")
    _add_path(command, "--search", "TOML", SEARCH)
    add("--cv", metavar="N", type=int, help="folds of the search (default: 3)")
    add(
        "--jobs",
        metavar="N",
        type=int,
        help="fits at a time in the search (default: 1)",
    )
    add("--quiet", action="store_true", help="show no progress")
    _add_seed(command)


def _fill_adapt(command):
    add = command.add_argument
    out = "file to write: .joblib, .pkl, or .skops (needs skops)"
    rounds = "rounds of reading and learning at the most (default: %(default)s)"
    _add_path(command, "folder", "FOLDER", "folder or zip file of images to read")
    _add_path(command, "--labels", "SOURCE", LABELS, dest="source")
    _add_loading(command)
    _add_path(command, "--out", "FILE", out, required=True)
    add("--characters", help="the only characters that images show")
    length = "number of characters that each text has, N or N-M"
    add("--length", metavar="N", type=_parse_span, help=length)
    add("--threshold", metavar="P", type=float, default=0.6, help=THRESHOLD)
    add("--max-iter", metavar="N", type=int, default=3, help=rounds)
    _add_param(command, "a parameter of CaptchaRecognizer")
    add("--quiet", action="store_true", help="show no progress")
    _add_seed(command)


def _fill_predict(command):
    add = command.add_argument
    images = (
        "image files, patterns, folders, zip files, tables that name images, or - for "
        "paths from standard input"
    )
    _add_path(command, "model", "MODEL", MODEL)
    add("images", metavar="IMAGE", nargs="+", help=images)
    formats = ["text", "csv", "jsonl"]
    add("--format", choices=formats, default="text", help=FORMAT)
    _add_rules(command)
    least = command.add_mutually_exclusive_group().add_argument
    least("--min-confidence", metavar="P", type=_parse_share, help=MIN_CONFIDENCE)
    least("--precision", metavar="SHARE", type=_parse_share, help=PRECISION)
    add(
        "--top-k",
        metavar="K",
        type=int,
        default=1,
        help="texts for each image (default: 1)",
    )
    add("--characters-detail", action="store_true", help=DETAIL)
    add("--n-sizes", metavar="N", type=int, help=N_SIZES)
    orders = ["input", "confidence"]
    add("--sort", choices=orders, default="input", help=SORT)
    add("--metadata-encoding", metavar="NAME", help=ENCODING_OF_NAMES)


def _fill_curve(command):
    add = command.add_argument
    _add_source(command)
    add("--cv", metavar="N", type=int, help=REPEATS)
    target = "score for which to say how many labels it takes, such as 0.99"
    add("--target", metavar="SCORE", type=_parse_target, help=target)
    names = ["exact_match", "character_accuracy"]
    score = "score to measure (default: %(default)s)"
    add("--scoring", choices=names, default="exact_match", help=score)
    _add_fits(command, "draw the curve to it")


def _fill_label(command):
    add = command.add_argument
    _add_path(command, "folder", "FOLDER", "folder of images, which stay as they are")
    _add_path(command, "--model", "MODEL", START)
    _add_path(
        command, "--out", "FILE", "table of the labels (default: FOLDER/labels.csv)"
    )
    _add_table_form(command)
    _add_rules(command)
    _add_path(command, "--save-model", "FILE", SAVED)
    every = (
        "labels between two rounds of learning, 0 for no round (default: %(default)s)"
    )
    add("--learn-every", metavar="N", type=_parse_count, default=25, help=every)
    _add_param(command, "a parameter of CaptchaRecognizer")
    _add_page(command)


def _fill_check_labels(command):
    add = command.add_argument
    _add_source(command)
    _add_path(command, "--model", "MODEL", JUDGE)
    add(
        "--cv", metavar="N", type=int, help="folds to fit on the others of (default: 5)"
    )
    _add_fits(command, "draw the images beside both texts to it")
    page = "show each doubtful label in the browser, to keep or correct it"
    add("--page", action="store_true", help=page)
    out = "table that the page corrects (default: that of the source, or labels.csv)"
    _add_path(command, "--out", "FILE", out, dest="table")
    _add_rules(command)
    _add_page(command)


def _add_fits(command, picture):
    add = command.add_argument
    formats = ["text", "json", "csv"]
    words = "a table as text, JSON or CSV (default: %(default)s)"
    add("--format", choices=formats, default="text", help=words)
    _add_path(command, "--picture", "FILE", picture)
    _add_param(command, "a parameter of CaptchaRecognizer")
    add("--jobs", metavar="N", type=int, help="fits at a time (default: 1)")
    add("--quiet", action="store_true", help="say nothing of the images")
    _add_seed(command)
    command.set_defaults(start=None, html=None)


def _add_rules(command):
    add = command.add_argument
    add("--characters", help="the only characters that texts may have")
    length = "number of characters that each text has, N or N-M"
    add("--length", metavar="N", type=_parse_span, help=length)


def _add_page(command):
    add = command.add_argument
    port = "port of the page (default: one that is free)"
    add("--port", metavar="N", type=_parse_port, default=0, help=port)
    browser = "open no browser, only print the address"
    add("--no-browser", action="store_true", help=browser)


class _Parser(argparse.ArgumentParser):
    def __init__(self, prog, description, epilog):
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._given = []

    def parse_args(self, args=None, namespace=None):
        """Parse; the usage and the options of the command help where it cannot."""
        args = sys.argv[1:] if args is None else args
        options, unknown = self.parse_known_args(args, namespace)
        command = vars(options).pop("parser")
        if unknown:
            known = command._option_string_actions
            near = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options

    def parse_known_args(self, args=None, namespace=None):
        """Parse, and remember the arguments for errors."""
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message):
        """End with a message; a file whose name looks like an option is named."""
        known = self._option_string_actions
        for text in self._given:
            if text.startswith("-") and text not in known and os.path.isfile(text):
                message += f"; write {'./' + text!r} for the file of that name"
                break
        super().error(message)


def _add(commands, name, description, epilog):
    command = commands.add_parser(
        name,
        help=description,
        description=description[0].upper() + description[1:] + ".",
        epilog=epilog,
    )
    command.add_argument(
        "--debug", action="store_true", help="show where in the code an error arose"
    )
    command.set_defaults(command=name, parser=command)
    return command


def _add_param(command, what):
    command.add_argument(
        "--param",
        metavar="NAME=VALUE",
        type=_parse_assignment,
        action="append",
        default=[],
        help=f"{what}, in Python's notation; repeat for more",
    )


def _add_path(command, name, metavar, text, **options):
    command.add_argument(name, metavar=metavar, type=_parse_path, help=text, **options)


def _add_source(command):
    _add_path(command, "source", "SOURCE", SOURCE)
    _add_loading(command)


def _add_loading(command):
    add = command.add_argument
    add("--label", metavar="REGEX", help=LABEL)
    _add_table_form(command)
    add("--metadata-encoding", metavar="NAME", help=ENCODING_OF_NAMES)
    unreadable = "what to do about images that cannot be read (default: %(default)s)"
    add("--on-error", choices=["raise", "skip"], default="raise", help=unreadable)


def _add_table_form(command):
    add = command.add_argument
    add("--filename-column", metavar="NAME", help="column of the table with file names")
    add("--text-column", metavar="NAME", help="column of the table with labels")
    add("--delimiter", metavar="CHAR", type=_parse_delimiter, help=DELIMITER)
    add("--encoding", metavar="NAME", help="encoding of the table, such as gb18030")


def _add_pictures(command, of):
    _add_path(command, "--picture", "FILE", f"draw the worst mistakes in {of} to it")
    report = f"write a report on {of}, with pictures, to it"
    _add_path(command, "--html", "FILE", report)


def _add_seed(command):
    command.add_argument(
        "--seed",
        metavar="N",
        type=_parse_seed,
        default=0,
        help="number that makes what is random the same each time (default: 0)",
    )


def _parse_path(text):
    if not text:  # as of a shell's variable that is not set; it would be "."
        raise argparse.ArgumentTypeError("'' is no path")
    return Path(text)


def _parse_seed(text):
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an int from 0 to {2**32 - 1}"
        )
    return int(text)


def _parse_count(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return int(text)


def _parse_port(text):
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 0 to 65535")
    return int(text)


def _parse_share(text):
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def _parse_target(text):
    share = _parse_share(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return share


def _parse_span(text):
    parts = text.split("-")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is neither N nor N-M, such as 4-6")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _parse_delimiter(text):
    return {"\\t": "\t", "tab": "\t"}.get(text, text)


def _parse_size(text):
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HEIGHTxWIDTH, such as 50x150"
        )
    return tuple(int(part) for part in parts)


def _parse_assignment(text):
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=VALUE, such as max_iter=50"
        )
    if name == "vocabulary" and value.isdecimal():  # digits, and no number
        return name, value
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):  # a word needs no quotes
        return name, value
