"""Do the constants behind "auto", the schedule and the alignment earn their values?

Each is changed alone on nine real sets: 150 images to learn from, 200 others to read,
none of them tested on elsewhere. What follows from sizes, ink and numbers is chosen for
the whole training part without a fit; a fit follows where the choice for the 150 is a
new one. The constants of the alignment act on random weights, and are judged by the
update at which the network reads.

What is chosen for a GPU, larger batches, is tried on the CPU for its accuracy: on 600
images of four of the sets, with the same 200 to read, and on drawn ones.
"""

import csv
import statistics
import sys
import types
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import accuracy
import numpy as np
import runner
from PIL import Image
from sides.common import clock

import skcaptcha
from skcaptcha._auto import choose_batch_size, choose_max_iter
from skcaptcha.datasets import load_image_folder, load_labels_csv
from skcaptcha.images import read_images
from skcaptcha.images._prepare import measure_ink, resized_width, round_width
from skcaptcha.metrics import exact_match_score

PACKAGE = Path(skcaptcha.__file__).parent
DEFAULTS = "defaults"
N_TRAIN, N_VAL, N_SCANNED = 150, 200, 1500
WIDEST = 280  # columns of the images of cs4243 that fits learn from; others take long
N_DRAWS, MUCH_INK = 200, 0.15
N_MANY, N_DRAWN = 600, 3000  # images that batches are tried on

# Name -> a piece of the source with braces, the value there, and others to try.
CHOSEN = {
    "ink in most": ("_INK_IN_MOST, _INK_IN_SOME = {}, 0.2", 0.5, 0.35, 0.65),
    "ink in some": ("_INK_IN_MOST, _INK_IN_SOME = 0.5, {}", 0.2, 0.1, 0.3, 0.5),
    "rows kept around": ("max({} * (most[1]", 2, 1, 1.5, 3),
    "least cut": ("_MIN_IMAGES_TO_CUT = {}, 32, 25", 0.2, 0.1, 0.3, 1),
    "least rows": ("_MIN_IMAGES_TO_CUT = 0.2, {}, 25", 32, 1, 24, 40),
    "least images": ("_MIN_IMAGES_TO_CUT = 0.2, 32, {}\n", 25, 1),
    "small height": ("_HEIGHT_STEP = {}, 56, 8", 48, 32, 40, 56),
    "greatest height": ("_HEIGHT_STEP = 48, {}, 8", 56, 48, 64),
    "filled height": ("_FILLED_HEIGHT, _FILLED_SHARE = {}, 0.8", 40, 32, 48),
    "filled share": ("_FILLED_HEIGHT, _FILLED_SHARE = 40, {}", 0.8, 0.65, 1),
    "steps a character": ("_STEPS_PER_CHARACTER = {}\n", 3, 1, 2, 5, 7),
    "greatest stretch": ("MAX_STRETCH = {}\n", 4, 2, 8),
    "small batch": ("_IMAGES_FOR_LARGE_BATCHES = {}, 16, 2000", 8, 4, 16),
    "large batches": ("_IMAGES_FOR_LARGE_BATCHES = 8, 16, {}\n", 2000, 1000, 4000),
    "passes": ("_PASSES, _PASSES_OVER_MANY = {}, 30", 20, 15, 30),
    "many passes": ("_PASSES, _PASSES_OVER_MANY = 20, {}\n", 30, 20, 40),
    "least passes": ("_MIN_PASSES, _MIN_UPDATES = {}, 2500", 5, 1, 10),
    "least updates": ("_MIN_PASSES, _MIN_UPDATES = 5, {}\n", 2500, 1250, 5000),
    "most updates": ("_MAX_UPDATES, _MAX_PIXELS = {}, 3e9", "20_000", 10000, 40000),
    "most pixels": ("_MAX_UPDATES, _MAX_PIXELS = 20_000, {}\n", "3e9", "1.5e9", "6e9"),
}
SCHEDULE = {
    "learned": ("_LEARNED = {}\n", 0.05, 0.02, 0.1),
    "least fine-tuning": ("_LEAST_FINE_TUNING = 700, {}\n", 400, 200, 800),
    "annealing": ("_ANNEALING, LEAST_ANNEALING = {}, 400", 0.8, 0.4, 1.6),
    "least annealing": ("_ANNEALING, LEAST_ANNEALING = 0.8, {}\n", 400, 200, 800),
}
ALIGNMENT = {
    "ink counts half at": ("half = {} * spread", 0.25, 0.1, 0.6),
    "power of the ink": (".mean(dim=1) ** {} ", 1.5, 1.0, 2.0),
    "fall between slots": ("exp(-{} * offset**2)", 2, 1, 4),
    "even ink": ("even = ink + {} ", "1e-6", "1e6"),
    "aligned": ("_ALIGNED = {}\n", 0.1, 0.05, 0.2),
    "left plateau": ("_LEFT_PLATEAU = {}\n", 0.6, 0.4, 0.8),
    "warm-up": ("_WARM_UP = {}\n", 60, 20, 180),
}
VARIANTS = {DEFAULTS: None} | {
    f"{name} {other}": (source.format(value), source.format(other))
    for name, (source, value, *others) in {**CHOSEN, **SCHEDULE, **ALIGNMENT}.items()
    for other in others
}
QUICK = (DEFAULTS, "small height 40", "learned 0.1", "even ink 1e6")
# Name -> device that batches and passes are chosen for, factor of the learning rate.
BATCHES = {
    "of a CPU": ("cpu", 1),
    "of a GPU": ("cuda", 1),
    "of a GPU, twice the rate": ("cuda", 2),
}


def is_of(variant, group):
    """Tell whether a variant, or the defaults, belong to a group of constants."""
    return variant == DEFAULTS or variant.rpartition(" ")[0] in group


# ---- images ----------------------------------------------------------------------


def split(name, folder, relabeled):
    """Return the four lists of a fit, and images and labels of the training part.

    That is the archive's own, or four fifths of the images, drawn with seed 0.
    """
    careful = {}
    if name == "cs4243":
        X, y = load_image_folder(folder / name / "train", label="^(.+)-")
        with relabeled.open(encoding="utf-8") as file:
            careful = {r["filename"]: r["relabelled"] for r in csv.DictReader(file)}
        pool = range(len(X))
    else:
        labels = folder / name / "labels.csv"
        load = load_labels_csv if labels.exists() else load_image_folder
        X, y = load(labels if labels.exists() else folder / name)
        pool = np.random.RandomState(0).permutation(len(X))[: int(0.8 * len(X))]
    X, y = [str(X[i]) for i in pool], [str(y[i]) for i in pool]
    order = np.random.RandomState(1).permutation(len(X))
    if careful:
        order = [i for i in order if Path(X[i]).name in careful]
        order = [i for i in order if Image.open(X[i]).width <= WIDEST]
    train, val = order[:N_TRAIN], order[N_TRAIN : N_TRAIN + N_VAL]
    parts = [[values[i] for i in part] for part in (train, val) for values in (X, y)]
    parts[3] = [careful.get(Path(X[i]).name, y[i]) for i in val]
    return parts, X, y


class Scan:
    """What the choices for images depend on, from every second or third of many."""

    def __init__(self, X, y):
        self.n_samples = len(X)
        some = slice(None, None, max(1, len(X) // N_SCANNED))
        images = read_images(X[some])
        self.sizes = np.array([image.shape[:2] for image in images])
        self.ink = np.array([measure_ink(image) for image in images])
        self.texts = y[some]
        self.targets = [np.array(list(text)) for text in self.texts]

    def choose(self, variant):
        """Return what is chosen for the images with the value of a variant."""
        auto = load_auto(variant)
        rows = auto.choose_rows(self.ink.mean(axis=0), self.sizes)
        height = auto.choose_height(self.sizes, rows)
        known = self.sizes, self.targets, self.texts, height
        size = {"height": height, "rows": rows}
        size["stretch"] = auto.choose_stretch(*known, rows=rows)
        batch = auto.choose_batch_size(self.n_samples)
        pixels = np.mean([height * find_width(one, **size) for one in self.sizes])
        passes = auto.choose_max_iter(self.n_samples, batch, pixels * self.n_samples)
        words = "rows {:.2f} to {:.2f}, height {}, stretch {:.2f}, batch {}, passes {}"
        return words.format(*rows, height, size["stretch"], batch, passes)

    def draw_rows(self, n_images):
        """Return the shares of images that lose much ink to rows chosen for a few."""
        auto, rng = load_auto("least images 1"), np.random.RandomState(0)
        part, lost = np.linspace(0, 1, self.ink.shape[1] + 1), []
        for _ in range(N_DRAWS):
            some = rng.choice(len(self.ink), n_images, replace=False)
            top, end = auto.choose_rows(self.ink[some].mean(axis=0), self.sizes[some])
            outside = (part[1:] <= top) | (part[:-1] >= end)
            lost.append(float((self.ink[:, outside].sum(axis=1) > MUCH_INK).mean()))
        return {"mean": statistics.mean(lost), "greatest": max(lost)}


def find_width(image_size, **size):
    """Return the number of columns of an image when resized."""
    return round_width(resized_width(image_size.tolist(), **size))


def load_auto(variant):
    """Return the module `_auto` with the value of a variant, if that is of its own."""
    source = (PACKAGE / "_auto.py").read_text(encoding="utf-8")
    if variant != DEFAULTS and is_of(variant, CHOSEN):
        old, new = VARIANTS[variant]
        if source.count(old) != 1:
            raise ValueError(f"{old!r} must be in _auto.py once; adapt {variant!r}")
        source = source.replace(old, new)
    module = types.ModuleType("edited_auto")
    sys.modules[module.__name__] = module  # where a dataclass looks for its module
    exec(compile(source, "_auto.py", "exec"), vars(module))
    return module


# ---- rows ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """A set on which the constants are changed."""

    name: str
    seeds: tuple = (0, 1)

    def prepare(self, arguments, folder):
        relabeled = "cs4243_relabelled_train.csv"
        parts, X, y = split(self.name, folder, arguments.data / relabeled)
        return parts, Scan(X, y), Scan(*parts[:2])

    def list_runs(self, arguments, prepared):
        """Return choices, and fits that each begin with choices of their own."""
        runs = [{"measure": "rows of a few", "images": n} for n in (1, 5, 10, 25, 50)]
        known, fits = [], []
        for variant in arguments.variants or (QUICK if arguments.quick else VARIANTS):
            run = {"measure": "fit", "variant": variant}
            if is_of(variant, CHOSEN):
                runs.append({**run, "measure": "choice"})
                choice = prepared[2].choose(variant)
                fits += [run] if choice not in known else []
                known.append(choice)
            elif is_of(variant, SCHEDULE):
                fits.append(run)
            if is_of(variant, ALIGNMENT):
                fits.append({**run, "measure": "alignment"})
        seeds = self.list_seeds(arguments)
        return runs + [{**run, "seed": seed} for seed in seeds for run in fits]

    def measure(self, run, arguments, prepared):
        parts, scan, _ = prepared
        if run["measure"] == "rows of a few":
            return scan.draw_rows(run["images"])
        if run["measure"] == "choice":
            return {"chosen": scan.choose(run["variant"])}
        aligning = run["measure"] == "alignment"
        params = {"random_state": run["seed"], "pretrained": not aligning and "auto"}
        params |= {"max_iter": 1} if arguments.quick else {}
        job = {"edit": VARIANTS[run["variant"]], "until_it_reads": aligning}
        job |= {"params": params, "parts": runner.shorten(arguments, *parts)}
        return runner.run_side(
            "edited", "fit", threads=arguments.threads, package=str(PACKAGE), **job
        )


@dataclass(frozen=True, kw_only=True)
class Batches(runner.Row):
    """A set from which fits learn in batches of a CPU, and in those of a GPU."""

    name: str
    seeds: tuple = (0,)

    def prepare(self, arguments, folder):
        if not self.archive:
            size = {"length": 4, "size": (120, 40), "n_test": 5 * N_VAL}
            characters = accuracy.DIGITS + accuracy.LETTERS
            drawn = accuracy.split_drawn(
                folder, N_DRAWN, 0, vocabulary=characters, **size
            )
            return [drawn[i] for i in (0, 2, 1, 3)]
        parts, X, y = split(self.name, folder, None)
        others = [i for i, path in enumerate(X) if path not in set(parts[2])]
        rng = np.random.RandomState(2)
        some = rng.choice(others, min(N_MANY, len(others)), replace=False)
        return [X[i] for i in some], [y[i] for i in some], *parts[2:]

    def list_runs(self, arguments, prepared):
        names = arguments.batches or BATCHES
        seeds = self.list_seeds(arguments)
        return [{"batches": name, "seed": seed} for seed in seeds for name in names]

    def measure(self, run, arguments, prepared):
        X, y, X_val, y_val = runner.shorten(arguments, *prepared)
        device, factor = BATCHES[run["batches"]]
        size = choose_batch_size(len(X), device)
        recognizer = runner.make_recognizer(
            arguments,
            batch_size=size,
            max_iter=choose_max_iter(len(X), size, 1, device),  # the pixels are few
            random_state=run["seed"],
            early_stopping=False,
        )
        recognizer.set_params(learning_rate_init=factor * recognizer.learning_rate_init)
        seconds, _ = clock(recognizer.fit, X, y)
        return {
            "n_train": len(X),
            "batch_size": size,
            "max_iter": recognizer.max_iter,
            "epochs": recognizer.n_iter_,
            "exact_match": exact_match_score(y_val, recognizer.predict(X_val)),
            "seconds": round(seconds, 1),
        }


SETS = """captcha_images_v2 cs4243 digits4 fssp_cyrillic kaptcha_pku swust4_2019b
sysu4_mixed upper4_panther weixin4_3d""".split()
WORDS = f"{N_TRAIN} to train, {N_VAL} to validate, of its training part"
ROWS = {name: DataSet(name=name, words=WORDS, archive=f"{name}.zip") for name in SETS}
ROWS |= {
    f"batches_{name}": Batches(
        name=name,
        words=f"{N_MANY} to train, {N_VAL} to validate, of its training part",
        archive=f"{name}.zip",
    )
    for name in ("captcha_images_v2", "digits4", "kaptcha_pku", "swust4_2019b")
}
ROWS["batches_drawn"] = Batches(
    name="drawn",
    words=f"4 of 36 characters, 120x40, by the `captcha` package, {N_DRAWN} to train, "
    f"{5 * N_VAL} to validate",
)


# ---- Markdown --------------------------------------------------------------------

TABLES = (
    ("Exact match, points above the defaults (seeds):", "fit", "exact_match"),
    ("The same, case folded:", "fit", "exact_match_folded"),
    ("Character error rate, points:", "fit", "character_error_rate"),
    ("Seconds of a core, as a multiple of the defaults':", "fit", "cpu_seconds"),
    ("Updates until random weights read, as a multiple:", "alignment", "reads"),
)


def find(entry, measure, variant, key):
    """Return a measured value of a variant by the seeds."""
    same = {"measure": measure, "variant": variant}.items()
    runs = [run for run in entry["runs"] if same <= run.items() and key in run]
    return {run.get("seed"): run[key] for run in runs}


def format_choice(entry, variant):
    """Return what is chosen that isn't the default choice, as in ``height 48``."""
    pair = (find(entry, "choice", name, "chosen") for name in (DEFAULTS, variant))
    usual, found = (texts.get(None, "").split(", ") for texts in pair)
    return ", ".join(c for c in found if c not in usual or variant == DEFAULTS)


def compare(entries, measure, key):
    """Return a table of differences from the defaults, or ratios, over shared seeds."""
    scored, table = key not in ("cpu_seconds", "reads"), []
    show = ("{:+z.1f}" if scored else "{:.2f}").format
    for variant in VARIANTS:
        means, cells = [], []
        for entry in entries.values():
            new, old = (find(entry, measure, v, key) for v in (variant, DEFAULTS))
            pairs = [(new[seed], old[seed]) for seed in new.keys() & old.keys()]
            values = [100 * (a - b) if scored else a / b for a, b in pairs]
            means += [statistics.mean(values)] if values else []
            cells.append(f"{show(means[-1])} ({len(values)})" if values else "")
        if means and variant != DEFAULTS:
            table.append([variant, *cells, show(statistics.mean(means))])
    return runner.format_table(["", *entries, "mean"], table)


def format_markdown(entries):
    """Return what the constants bring, and what batches of a GPU do."""
    batches = {n: e for n, e in entries.items() if isinstance(ROWS[n], Batches)}
    constants = {n: e for n, e in entries.items() if n not in batches}
    lines = format_constants(constants) if constants else []
    lines += format_batches(batches) if batches else []
    return [*lines, *runner.list_settings(entries)]


def format_batches(entries):
    """Return a table of what is read after fits with batches of each kind."""
    header = ["", "images", *BATCHES]
    table = []
    for name, entry in entries.items():
        cells = []
        for batches in BATCHES:
            runs = [run for run in entry["runs"] if run["batches"] == batches]
            scores = runner.list_values(runs, "exact_match")
            cell = f"{statistics.mean(scores):.3f} ({len(runs)})" if runs else ""
            cells.append(cell + "".join({f", {r['batch_size']}" for r in runs}))
        table.append([ROWS[name].name, entry["runs"][0]["n_train"], *cells])
    words = "Exact match (seeds) after batches of so many images, on the CPU:"
    return [words, "", *runner.format_table(header, table), ""]


def format_constants(entries):
    """Return what is chosen, what it brings, and where the schedule stands."""
    chosen = {v: [format_choice(e, v) for e in entries.values()] for v in VARIANTS}
    table = [[variant, *cells] for variant, cells in chosen.items() if any(cells)]
    lines = ["Chosen for the training parts, where it is not the default choice:", ""]
    lines += runner.format_table(["", *entries], table)
    for words, measure, key in TABLES:
        lines += ["", words, "", *compare(entries, measure, key)]
    lines += ["", "With the default values:", ""]
    for name, entry in entries.items():
        for run in entry["runs"]:
            if run.get("variant", DEFAULTS) == DEFAULTS and run["measure"] != "choice":
                lines.append(f"- `{name}`: {runner.format_run(run)}.")
    return lines


def add_options(parser):
    parser.add_argument(
        "--batches",
        nargs="+",
        metavar="BATCHES",
        choices=BATCHES,
        help=f"batches to try: {', '.join(map(repr, BATCHES))} (default: all)",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        metavar="VARIANT",
        choices=VARIANTS,
        help=f"values to try: {', '.join(map(repr, VARIANTS))} (default: all)",
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
