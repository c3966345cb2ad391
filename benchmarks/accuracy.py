"""How well does it read, and from how few labels?

Default parameters alone: one set of them serves all rows, and what differs between sets
of images is decided inside the package. Test images are read once for each fit, after
it, by each decoder.
"""

import random
import shutil
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import runner
from sides.common import clock
from sklearn.model_selection import KFold, train_test_split

from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas
from skcaptcha.metrics import (
    character_error_rate,
    exact_match_score,
    mean_edit_distance,
)

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHARACTERS = DIGITS + LETTERS + LETTERS.upper()
LOOK_ALIKES = str.maketrans("oil", "011")
RELABELED = "cs4243_relabelled_{}.csv"

# ---- data sets: (folder of the unpacked archive, part, seed) -> four lists -------


def pick(values, positions):
    return [values[i] for i in positions]


def split_folds(folder, part, seed):
    X, y = load_image_folder(folder / "captcha_images_v2")
    folds = list(KFold(5, shuffle=True, random_state=seed).split(X))
    train, test = folds[part]
    return pick(X, train), pick(X, test), pick(y, train), pick(y, test)


def split_few(folder, part, seed):
    X, y = load_image_folder(folder / "captcha_images_v2")
    return train_test_split(X, y, train_size=part, test_size=300, random_state=seed)


def split_cs4243(folder, part, seed):
    # 002k-0.png reads 002k.
    X_train, y_train = load_image_folder(folder / "cs4243" / "train", label="^(.+)-")
    X_test, y_test = load_image_folder(folder / "cs4243" / "test", label="^(.+)-")
    return X_train, X_test, y_train, y_test


def split_relabeled(folder, part, seed):
    lists = []
    for name in ("train", "test"):
        table = pd.read_csv(
            folder / RELABELED.format(name), dtype=str, keep_default_na=False
        )
        X = [folder / "cs4243" / name / file for file in table["filename"]]
        lists.append((X, list(table["relabelled"])))
    (X_train, y_train), (X_test, y_test) = lists
    return X_train, X_test, y_train, y_test


def split_table(folder, part, seed, *, name):
    X, y = load_labels_csv(folder / name / "labels.csv")
    return train_test_split(X, y, test_size=0.2, random_state=seed)


split_digits4 = partial(split_table, name="digits4")


def draw_captchas(n_samples, vocabulary, length, size, seed):
    """Draw by the `captcha` package, whose randomness has no seed of its own."""
    import captcha.image

    draw = random.Random(seed)
    captcha.image.secrets = types.SimpleNamespace(
        randbelow=draw.randrange, choice=draw.choice, randbits=draw.getrandbits
    )
    generator = captcha.image.ImageCaptcha(*size)
    texts = ["".join(draw.choices(vocabulary, k=length)) for _ in range(n_samples)]
    images = [np.asarray(generator.generate_image(t).convert("RGB")) for t in texts]
    return images, texts


def split_drawn(folder, part, seed, *, vocabulary, length, size, n_test):
    X, y = draw_captchas(n_test + part, vocabulary, length, size, seed)
    return X[n_test:], X[:n_test], y[n_test:], y[:n_test]


VOCABULARIES = (DIGITS, DIGITS + LETTERS, CHARACTERS)
GRID = {
    f"{len(grid[0])} x {grid[1]} {'color' if grid[2] else 'gray'} {grid[3]}": grid
    for grid in product(VOCABULARIES, (4, 6, (4, 8)), (False, True), (500, 2000))
}


def split_grid(folder, part, seed):
    vocabulary, length, color, n_samples = GRID[part]
    X, y = make_captchas(
        n_samples, vocabulary=vocabulary, length=length, color=color, random_state=seed
    )
    return train_test_split(X, y, test_size=0.2, random_state=seed)


def group_grid(part):
    vocabulary, _, _, n_samples = GRID[part]
    return f"{len(vocabulary)} characters, {n_samples:,} images"


# ---- rows ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """Images, the parts that they are measured in, and what is to be reached."""

    split: Callable  # of a folder, a part (a fold, a number of images) and a seed
    title: Callable = lambda part: None  # of the parts that are shown together
    means: dict = field(default_factory=dict)  # title -> mean exact match to reach
    lowest: float | None = None  # exact match that every fit has to reach
    limit: float | None = None  # seconds that no fit may exceed
    fold: Callable | None = None  # texts are also compared after this
    folding: str = ""  # in words
    beside: tuple = ()  # files that lie beside the archive
    n_quick: int = 1

    def prepare(self, arguments, folder):
        for name in self.beside:
            shutil.copy(arguments.data / name, folder)
        return folder

    def list_runs(self, arguments, folder):
        runs = super().list_runs(arguments, folder)
        chosen = set(arguments.parts or map(str, self.factors["part"]))
        return [run for run in runs if str(run["part"]) in chosen]

    def measure(self, run, arguments, folder):
        X_train, X_test, y_train, y_test = runner.shorten(
            arguments, *self.split(folder, run["part"], run["seed"])
        )
        recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
        start_cpu = time.process_time()
        seconds, _ = clock(recognizer.fit, X_train, y_train)
        cpu_seconds = time.process_time() - start_cpu
        y_pred = recognizer.predict(X_test)
        recognizer.set_params(decoder="beam")
        lengths = [len(text) for text in y_train]
        known = (min(lengths), max(lengths))
        by_beam = {
            name: exact_match_score(y_test, recognizer.predict(X_test, length=length))
            for name, length in {"beam": None, "beam_of_known_length": known}.items()
        }
        measured = {
            "n_train": len(X_train),
            "n_test": len(X_test),
            "exact_match": exact_match_score(y_test, y_pred),
            "character_error_rate": character_error_rate(y_test, y_pred),
            "mean_edit_distance": mean_edit_distance(y_test, y_pred),
            "epochs": int(recognizer.n_iter_),
            "restarts": int(recognizer.n_restarts_),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(cpu_seconds, 2),
            "converged": bool(recognizer.converged_),
            **by_beam,
        }
        if self.fold is not None:
            folded = [list(map(self.fold, texts)) for texts in (y_test, y_pred)]
            measured["exact_match_folded"] = exact_match_score(*folded)
        return measured

    def find_groups(self, entry):
        """Return in words -> the runs of the parts that are shown together."""
        groups = {}
        for part in self.factors["part"]:
            runs = [run for run in entry["runs"] if run["part"] == part]
            groups.setdefault(self.title(part), []).extend(runs)
        return {words: runs for words, runs in groups.items() if runs}

    def judge_group(self, group, runs):
        """Say whether runs reach the target; an empty answer where there is none."""
        if group not in self.means and self.lowest is None:
            return ""
        exact = [run["exact_match"] for run in runs]
        reasons = {
            "not converged": not all(run["converged"] for run in runs),
            "mean": statistics.mean(exact) < self.means.get(group, 0),
            "lowest": min(exact) < (self.lowest or 0),
            f"over {self.limit} s": max(run["seconds"] for run in runs)
            > (self.limit or np.inf),
        }
        missed = [reason for reason, is_so in reasons.items() if is_so]
        return f"missed: {', '.join(missed)}" if missed else "met"

    def judge(self, entry):
        groups = self.find_groups(entry).items()
        verdicts = [self.judge_group(words, runs) for words, runs in groups]
        missed = [verdict for verdict in verdicts if verdict.startswith("missed")]
        return missed[0] if missed else "met"


ROWS = {
    "captcha_images_v2": DataSet(
        words="5-fold cross-validation, shuffled",
        split=split_folds,
        factors={"part": tuple(range(5))},
        seeds=(0, 1, 2),
        means={None: 0.997},
        lowest=0.99,
        limit=60,
        archive="captcha_images_v2.zip",
    ),
    "few_labels": DataSet(
        words="captcha_images_v2, that many to train, 300 others to test",
        split=split_few,
        factors={"part": (25, 50, 100, 200, 400)},
        title=str,
        seeds=(0, 1, 2, 3, 4),
        means={"25": 0.97, "50": 0.985, "100": 0.95, "200": 0.985, "400": 0.995},
        limit=60,
        archive="captcha_images_v2.zip",
    ),
    "cs4243": DataSet(
        words="its 8,000 to train, its 2,000 to test",
        split=split_cs4243,
        factors={"part": (8000,)},
        seeds=(0,),
        means={None: 0.68},
        limit=3600,
        fold=lambda text: text.translate(LOOK_ALIKES),
        folding="0/o and 1/i/l folded",
        archive="cs4243.zip",
    ),
    "cs4243_relabeled": DataSet(
        words="7,355 to train, 1,825 to test, labels gone over by hand",
        split=split_relabeled,
        factors={"part": (7355,)},
        seeds=(0,),
        means={None: 0.80},
        limit=3600,
        fold=lambda text: text.translate(LOOK_ALIKES),
        folding="0/o and 1/i/l folded",
        archive="cs4243.zip",
        beside=tuple(map(RELABELED.format, ("train", "test"))),
    ),
    "digits4": DataSet(
        words="80/20",
        split=split_digits4,
        factors={"part": (3279,)},
        seeds=(0, 1, 2),
        means={None: 0.985},
        archive="digits4.zip",
    ),
    **{
        name: DataSet(
            words=f"80/20, {words}",
            split=partial(split_table, name=name),
            factors={"part": (n_training,)},
            seeds=(0, 1, 2),
            means={None: mean},
            archive=f"{name}.zip",
        )
        for name, words, n_training, mean in (
            ("swust4_2019b", "4 of 36 characters", 1308, 0.951),
            ("kaptcha_pku", "4 of 21 characters", 1413, 0.972),
            ("upper4_panther", "4 of 23 characters", 584, 0.95),
            ("sysu4_mixed", "4 of 57 characters", 736, 0.94),
            ("weixin4_3d", "4 of 22 characters", 780, 0.80),
            ("fssp_cyrillic", "5 of 20 Cyrillic letters and digits", 476, 0.983),
        )
    },
    "captcha_62x5": DataSet(
        words="5 of 62 characters, 150x40, that many to train, 2,000 to test",
        split=partial(
            split_drawn, vocabulary=CHARACTERS, length=5, size=(150, 40), n_test=2000
        ),
        factors={"part": (1000, 3000, 10_000, 30_000, 100_000)},
        title="{:,}".format,
        seeds=(0,),
        means={"10,000": 0.92, "100,000": 0.95},
        fold=str.lower,
        folding="case folded",
    ),
    "captcha_36x4": DataSet(
        words="4 of 36 characters, 160x60, that many to train, 5,000 to test",
        split=partial(
            split_drawn,
            vocabulary=DIGITS + LETTERS.upper(),
            length=4,
            size=(160, 60),
            n_test=5000,
        ),
        factors={"part": (30_000,)},
        seeds=(0,),
        means={None: 0.99},
    ),
    "make_captchas": DataSet(
        words="characters x length, gray or color, images; 80/20",
        split=split_grid,
        factors={"part": tuple(GRID)},
        title=group_grid,
        seeds=(0, 1, 2),
    ),
}


# ---- Markdown --------------------------------------------------------------------


def format_group(title, row, group, runs):
    """Return the cells of a line of the table."""

    def mean(name, form=".4f"):
        return format(statistics.mean(run[name] for run in runs), form)

    exact = [run["exact_match"] for run in runs]
    n_right = sum(round(run["n_test"] * run["exact_match"]) for run in runs)
    # Where fits share test images, the interval takes them for different ones.
    low, high = runner.find_interval(n_right, sum(run["n_test"] for run in runs))
    found = f"{mean('exact_match')} ({low:.3f} to {high:.3f})"
    if row.fold:
        found += f"; {mean('exact_match_folded')} {row.folding}"
    target = f"≥ {row.means[group]:g}" if group in row.means else ""
    if row.lowest is not None:
        target += f", none under {row.lowest:g}"
    return {
        "data": title,
        "fits": len(runs),
        "exact match: mean (95 %)": found,
        "lowest to highest": f"{min(exact):.4f} to {max(exact):.4f}",
        "CER": mean("character_error_rate"),
        "edits": mean("mean_edit_distance", ".3f"),
        "by beam search": mean("beam"),
        "by known lengths": mean("beam_of_known_length"),
        "seconds": runner.describe_spread([run["seconds"] for run in runs], ".0f"),
        "of processors: longest": f"{max(run['cpu_seconds'] for run in runs):.0f}",
        "target": target,
        "": row.judge_group(group, runs),
    }


def format_markdown(entries):
    """Return the table, the convergence and what it was measured on."""
    lines, all_runs = [], []
    for name, entry in entries.items():
        for group, runs in ROWS[name].find_groups(entry).items():
            title = f"`{name}`" + (f", {group}" if group else "")
            lines.append(format_group(title, ROWS[name], group, runs))
            all_runs += runs
    n_converged = sum(run["converged"] for run in all_runs)
    return [
        *runner.format_table(list(lines[0]), [line.values() for line in lines]),
        "",
        f"Of {len(all_runs)} fits {n_converged} left the plateau.",
        *runner.list_settings(entries),
    ]


def add_options(parser):
    parser.add_argument(
        "--parts", nargs="+", help="parts to run, of one row (default: all)"
    )


def check_options(parser, arguments):
    if arguments.parts and len(arguments.rows) != 1:
        parser.error("--parts needs exactly one row")
    known = list(map(str, ROWS[arguments.rows[0]].factors["part"]))
    for part in arguments.parts or ():
        if part not in known:
            parser.error(f"unknown part {part!r}; choose from {', '.join(known)}")


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
