"""
Preprocessing in a pipeline
===========================

Clean images before they are read, by a scikit-learn Pipeline; find out by a grid search
which of the steps help on the images at hand, and which do harm; save the whole as one
object, and let another process read with it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
from PIL import Image
from sklearn.model_selection import GridSearchCV, ShuffleSplit, train_test_split
from sklearn.pipeline import Pipeline

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.preprocessing import (
    CLAHE,
    AdaptiveThreshold,
    ImageResizer,
    MedianFilter,
    MorphologicalOpening,
)

STEPS = ("median", "clahe", "threshold", "opening", "resize")

READ_ELSEWHERE = """
import sys, joblib
pipeline = joblib.load(sys.argv[1])
print(*pipeline.predict(sys.argv[2:]))
"""


def run(options):
    # Uneven paper, lines across the text, specks and noise; images of many widths.
    X, y = make_captchas(
        options.n_samples,
        vocabulary="0123",
        length=(8, 12),
        size=(50, None),
        rotation=5,
        warp=0,
        overlap=0,
        lines=2,
        dots=60,
        gradient=0.5,
        noise=10,
        random_state=options.seed,
    )
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, random_state=options.seed
    )

    # Images in, images out, and at the end texts. The network is small, so that this
    # takes a moment; leave out its parameters to get one that reads well.
    pipeline = Pipeline(
        [
            ("median", MedianFilter(size=3)),
            ("clahe", CLAHE(clip_limit=2.0, tile_grid_size=(8, 8))),
            ("threshold", AdaptiveThreshold(block_size=11, offset=10)),
            ("opening", MorphologicalOpening(size=(2, 2))),
            ("resize", ImageResizer(height=50, width=495)),
            (
                "recognizer",
                CaptchaRecognizer(
                    image_height=20,
                    conv_channels=(8, 16, 32, 32),
                    lstm_units=32,
                    batch_size=4,
                    dropout=0.0,
                    augmentation=0.5,
                    max_iter=options.max_iter,
                    random_state=options.seed,
                ),
            ),
        ]
    )

    # All steps, each of them left out, and none: a step that is "passthrough" does
    # nothing. Parameters are searched the same way, as in {"median__size": [3, 5]}.
    grid = [
        {"resize__width": [495]},
        *({step: ["passthrough"]} for step in STEPS),
        {step: ["passthrough"] for step in STEPS},
    ]
    # One split will do here; cv=5 tells more and takes five times as long.
    split = ShuffleSplit(n_splits=1, test_size=0.25, random_state=options.seed)
    search = GridSearchCV(pipeline, grid, cv=split, error_score="raise")
    print(f"Searching on {len(X_train)} captchas, {len(X_test)} are held out.")
    search.fit(X_train, y_train)

    results = search.cv_results_
    print("\nleft out            exact match  seconds of fit")
    for params, score, seconds in zip(
        results["params"],
        results["mean_test_score"],
        results["mean_fit_time"],
        strict=True,
    ):
        left_out = [step for step in STEPS if params.get(step) == "passthrough"]
        words = {0: "nothing", len(STEPS): "everything"}.get(
            len(left_out), "".join(left_out)
        )
        print(f"{words:18}  {score:11.3f}  {seconds:14.1f}")
    score = search.score(X_test, y_test)
    print(f"\nThe best reads {score:.3f} of the images held out.")

    # The pipeline is one object: what is done to images is saved with the network. A
    # fresh process is given files, and reads the same.
    with tempfile.TemporaryDirectory() as folder:
        model_path = Path(folder) / "pipeline.joblib"
        joblib.dump(search.best_estimator_, model_path)
        image_paths = [Path(folder) / f"{i}.png" for i in range(3)]
        for path, image in zip(image_paths, X_test, strict=False):
            Image.fromarray(image).save(path)
        read = subprocess.run(
            [sys.executable, "-c", READ_ELSEWHERE, model_path, *image_paths],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    here = list(search.predict(X_test[:3]))
    print(f"Saved and loaded in another process, it reads {', '.join(read)};")
    print(f"here it reads {', '.join(here)}.")


def parse_options(argv):
    parser = argparse.ArgumentParser(
        prog="preprocessing.py",
        description="Find out which steps of preprocessing help on generated captchas, "
        "and save the best pipeline.",
    )
    parser.add_argument(
        "--n-samples",
        metavar="N",
        type=int,
        default=200,
        help="number of captchas to draw (default: %(default)s)",
    )
    parser.add_argument(
        "--max-iter",
        metavar="N",
        type=int,
        default=9,
        help="epochs of each fit (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="seed of all that is random (default: %(default)s)",
    )
    return parser.parse_args(argv)


def main(argv=None):
    run(parse_options(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
