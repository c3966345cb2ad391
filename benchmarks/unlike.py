"""Does it notice images unlike those that it was trained on, and what helps?

`margins`: a recognizer learns from drawn images and reads others of the same kind, to
which margins are added, as they are and after `MarginCropper`; so does one that has
learned from images after `MarginCropper`.

`alarms`: random halves of real sets are taken for training images. Of the others, none
should be called unlike them.
"""

import functools
import sys
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import runner
from sklearn.pipeline import make_pipeline

from skcaptcha.datasets import load_labeled_images, make_captchas
from skcaptcha.images._likeness import (
    LEAST_IMAGES,
    SeenImages,
    measure_image,
    summarize,
)
from skcaptcha.images._read import iterate_images
from skcaptcha.metrics import exact_match_score
from skcaptcha.preprocessing import MarginCropper

N_TRAIN, N_READ, N_EPOCHS = 500, 200, 15
N_HALVES, MOST_IMAGES = 300, 1000
SETS = (
    "captcha_images_v2",
    "digits4",
    "swust4_2019b",
    "kaptcha_pku",
    "upper4_panther",
    "sysu4_mixed",
    "weixin4_3d",
    "fssp_cyrillic",
    "cs4243",
)

# ---- images with other margins: (image, generator) -> image ------------------------


def surround(image, rng, *, rows=(0, 0), columns=(0, 0), level=None, noise=0):
    """Add rows above and below and columns on either side, of the paper's level."""
    paper = np.median(image) if level is None else level
    found = np.pad(image, (rows, columns), constant_values=int(paper))
    if noise:
        inner = np.zeros(found.shape, bool)
        height, width = image.shape[:2]
        inner[rows[0] : rows[0] + height, columns[0] : columns[0] + width] = True
        noisy = found + rng.normal(0, noise, found.shape)
        found = np.where(inner, found, noisy.clip(0, 255)).astype(np.uint8)
    return found


def surround_with_noise(image, rng):
    top, bottom, left, right = rng.integers(20, 33, 4).tolist()
    return surround(image, rng, rows=(top, bottom), columns=(left, right), noise=10)


AROUND = {"rows": (20, 20), "columns": (20, 20)}
MARGINS = {
    "same as in training": lambda image, rng: image,
    "10 white pixels around": partial(
        surround, rows=(10, 10), columns=(10, 10), level=255
    ),
    "32 white above and below": partial(surround, rows=(32, 32), level=255),
    "32 of the paper's level above and below": partial(surround, rows=(32, 32)),
    "20 of the paper's level around": partial(surround, **AROUND),
    "32 of the paper's level below": partial(surround, rows=(0, 32)),
    "20 to 32 of noisy paper around": surround_with_noise,
    "20 around, and inverted": lambda image, rng: 255 - surround(image, rng, **AROUND),
}


# ---- rows --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Margins(runner.Row):
    seeds: tuple = (0,)
    factors: dict = field(default_factory=lambda: {"images_read": tuple(MARGINS)})
    n_quick: int = 2

    def prepare(self, arguments, folder):
        """Return a function of the seed: two fitted readers, and images to read."""

        @functools.lru_cache(maxsize=1)
        def fit(seed):
            X, y = make_captchas(N_TRAIN + N_READ, random_state=seed)
            X_train, y_train, X_test, y_test = runner.shorten(
                arguments, X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]
            )
            params = {"max_iter": N_EPOCHS, "random_state": seed}
            plain, cropped = (
                runner.make_recognizer(arguments, **params) for _ in range(2)
            )
            plain.fit(X_train, y_train)
            return (
                plain,
                make_pipeline(MarginCropper(), cropped).fit(X_train, y_train),
                X_test,
                y_test,
            )

        return fit

    def measure(self, run, arguments, fit):
        plain, cropped, X, y = fit(run["seed"])
        rng = np.random.default_rng(run["seed"])
        X = [MARGINS[run["images_read"]](image, rng) for image in X]
        seen = SeenImages(plain.training_images_)
        seen.add([measure_image(image) for image in X])
        return {
            "without": exact_match_score(y, plain.predict(X)),
            "to_read": exact_match_score(
                y, plain.predict(MarginCropper().fit_transform(X))
            ),
            "to_train": exact_match_score(y, cropped.predict(X)),
            "warned": "yes" if seen.describe() else "no",
        }

    def format(self, entry):
        lines = super().format(entry)
        warned = [run["images_read"] for run in entry["runs"] if run["warned"] == "yes"]
        named = ", ".join(dict.fromkeys(warned)) or "none"
        return [*lines[:-1], f"Warned of without it: {named}. {lines[-1]}"]


@dataclass(frozen=True, kw_only=True)
class Alarms(runner.Row):
    reads_data: bool = True
    seeds: tuple = (0,)
    factors: dict = field(default_factory=lambda: {"data": SETS})
    n_quick: int = 2

    def measure(self, run, arguments, folder):
        path = arguments.data / f"{run['data']}.zip"
        label = "^(.+)-" if run["data"] == "cs4243" else None
        X, _ = load_labeled_images(path, label=label)
        rng = np.random.default_rng(run["seed"])
        order = rng.permutation(len(X))[:MOST_IMAGES].tolist()
        (order,) = runner.shorten(arguments, order)
        images = iterate_images(
            [X[i] for i in order],
            lambda image, *, name: measure_image(image),
            background="white",
            n_jobs=1,
        )
        measures = np.array(list(images))
        n_halves = 3 if arguments.quick else N_HALVES
        found = {"n_images": len(measures)}
        for name, n_train in (("half", len(measures) // 2), ("few", LEAST_IMAGES)):
            n_warned = n_unlike = n_seen = 0
            for _ in range(n_halves):
                chosen = rng.permutation(len(measures))
                seen = SeenImages(summarize(measures[chosen[:n_train]]))
                seen.add(measures[chosen[n_train:]])
                n_warned += bool(seen.describe())
                n_unlike += seen._n_unlike
                n_seen += len(measures) - n_train
            found |= {
                f"warned_of_{name}": n_warned,
                f"unlike_{name}": n_unlike / max(1, n_seen),
            }
        return found


ROWS = {
    "margins": Margins(
        words="other margins to read than those that were learned from",
        columns={
            "without": ("without", ".3f"),
            "to_read": ("`MarginCropper` to read", ".3f"),
            "to_train": ("to train and to read", ".3f"),
        },
    ),
    "alarms": Alarms(
        words="parts of real sets, and whether the rest is unlike them",
        columns={
            "n_images": ("images", ".0f"),
            "warned_of_half": ("halves warned of", ".0f"),
            "unlike_half": ("images unlike a half", ".5f"),
            "warned_of_few": ("warned of where few were learned from", ".0f"),
            "unlike_few": ("images unlike few", ".5f"),
        },
    ),
}


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
