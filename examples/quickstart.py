"""
Quick start
===========

Train a reader of short text images, see how well it reads images that it has never
seen, save it, and use it as another program would.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_labeled_images, make_captchas
from skcaptcha.images import read_image
from skcaptcha.metrics import exact_match_score, recognition_report
from skcaptcha.plotting import PredictionDisplay

EXAMPLES = r"""
examples:
  python examples/quickstart.py
        on captchas that it draws itself
  python examples/quickstart.py my_images
        on your own images, where my_images/2b827.png reads 2b827
  python examples/quickstart.py my_images.zip --label "^([^_]+)_"
        where 2b827_0417.png does
  python examples/quickstart.py labels.csv
        where a table with the columns filename and text says so
"""


def run(options):
    # A redirected output of Windows may lack letters of your texts.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")

    # X is a list of images, or of the paths of image files; y is what they say.
    X, y = load_data(options)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=options.test_size, random_state=options.seed
    )

    options.output.mkdir(parents=True, exist_ok=True)

    # Train. A seed makes the result the same each time; verbose shows the progress.
    print(
        f"Training on {len(X_train)} images and holding out {len(X_test)}.", flush=True
    )
    recognizer = CaptchaRecognizer(random_state=options.seed, verbose=1)
    if options.max_iter is not None:
        recognizer.set_params(max_iter=options.max_iter)
    recognizer.fit(X_train, y_train)

    # Read the images held out, and compare with what they say.
    y_pred = recognizer.predict(X_test)
    print("\nHow well it reads the images held out:\n")
    print(recognition_report(y_test, y_pred))

    # Save the model.
    model_path = options.output / "model.joblib"
    joblib.dump(recognizer, model_path)

    # Save a picture of what it read.
    picture_path = options.output / "predictions.png"
    confidence = recognizer.predict_confidence(X_test)
    draw_predictions(X_test, y_test, y_pred, confidence, options.seed, picture_path)

    # Put the model to use: load and predict are all that another program needs.
    image_path = options.output / "example.png"
    Image.fromarray(read_image(X_test[0])).save(image_path)
    reader = joblib.load(model_path)
    text = reader.predict([image_path])[0]

    print(f"\nThe model is in            {model_path}")
    print(f"What it read is drawn in   {picture_path}")
    print(f"\nThe saved model reads {image_path} as {text!r}; it says {y_test[0]!r}.")
    print("In a program of your own:\n")
    print("    import joblib")
    print(f"    reader = joblib.load({str(model_path)!r})")
    print(f"    reader.predict([{str(image_path)!r}])")


def load_data(options):
    """Return images and their texts, from wherever the options say."""
    if options.source is None:
        print(f"Drawing {options.n_samples} captchas.")
        X, y = make_captchas(options.n_samples, random_state=options.seed)
    else:
        X, y = load_labeled_images(options.source, label=options.label)
    if len(X) < 2:
        raise ValueError("1 image is too few: at least 2 are needed, to train and test")
    return X, y


def draw_predictions(X, y_true, y_pred, confidence, seed, path, n_images=20):
    """Draw some of the images at random, but up to a third of them mistakes."""
    is_right = [
        exact_match_score([true], [read]) == 1
        for true, read in zip(y_true, y_pred, strict=True)
    ]
    order = np.random.default_rng(seed).permutation(len(X))
    mistakes = [i for i in order if not is_right[i]]
    title = f"{sum(is_right)} of {len(X)} images held out were read right"
    if len(mistakes) == 1:
        title += "; the mistake comes first"
    elif mistakes:
        some = "some of " if len(mistakes) > n_images // 3 else ""
        title += f"; {some}the {len(mistakes)} mistakes come first"
    first = mistakes[: n_images // 3]
    shown = [*first, *(i for i in order if i not in first)][:n_images]
    display = PredictionDisplay.from_predictions(
        [X[i] for i in shown],
        [y_pred[i] for i in shown],
        y_true=[y_true[i] for i in shown],
        confidence=[confidence[i] for i in shown],
        max_images=None,
        title=title,
    )
    display.figure_.savefig(path, dpi=150)


def parse_options(argv):
    parser = argparse.ArgumentParser(
        prog="quickstart.py",
        usage="%(prog)s [SOURCE] [options]",
        description="Train a reader of short text images, test it on images held out, "
        "save it, and use what was saved.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        type=Path,
        help="folder or zip file of images, or CSV file with the columns filename and "
        "text; a single CSV file among the images is used as well. Without it, "
        "captchas are drawn",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("quickstart_output"),
        help="folder to write to (default: %(default)s)",
    )
    parser.add_argument(
        "--label",
        metavar="REGEX",
        help="how the text is found in the name of a file, without its suffix: the "
        "group of a regular expression (default: it is the whole name)",
    )
    parser.add_argument(
        "--test-size",
        metavar="SHARE",
        type=float,
        default=0.2,
        help="share of the images to hold out (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="seed of all that is random (default: %(default)s)",
    )
    parser.add_argument(
        "--n-samples",
        metavar="N",
        type=int,
        default=1000,
        help="number of captchas to draw (default: %(default)s)",
    )
    parser.add_argument(
        "--max-iter",
        metavar="N",
        type=int,
        help="largest number of times to go through the training images (default: "
        "chosen by their number)",
    )
    return parser.parse_args(argv)


def main(argv=None):
    options = parse_options(argv)
    try:
        run(options)
    except (ImportError, OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"quickstart.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
