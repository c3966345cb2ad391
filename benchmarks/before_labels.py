"""What do the pretrained weights read before any label, beside other readers?

With their head kept, on sets about which only what a column says is known: the
characters of the set and the lengths of its texts, the characters, or nothing. Texts
are compared with case folded. Where the labels don't tell capitals from small letters,
both are allowed. A seed cuts each set into two halves: choices are made on `--part
validation`, and the file of the results is read from the other half.

The other readers are in `sides/other_readers.py`, in an environment of their own. All
are given the same pixels.
"""

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import runner
from PIL import Image

from skcaptcha import load_pretrained
from skcaptcha._pretrained import list_characters
from skcaptcha._texts import find_texts
from skcaptcha.datasets import load_image_folder, load_labels_csv
from skcaptcha.images import read_images
from skcaptcha.metrics import exact_match_score

REQUIREMENTS = runner.FOLDER / "requirements-before-labels.txt"
SIDE = runner.FOLDER / "sides" / "other_readers.py"
# What is given -> the title of its column.
GIVEN = {
    "characters_and_lengths": "characters and lengths given",
    "characters": "characters given",
    "nothing": "nothing given",
}

# ---- readers: (arguments, images) -> model -> given -> texts, and more ------------


OURS, OURS_CHOSEN = "skcaptcha", "skcaptcha, 6 sizes chosen"


def read_ours(arguments, images, n_sizes=None):
    start = time.process_time()
    known = sorted(set(images.characters).intersection(list_characters()))
    choice = {"n_sizes": n_sizes, "vocabulary": known} if n_sizes else {}
    reader = load_pretrained(images.arrays if n_sizes else None, **choice, n_jobs=1)
    chosen = time.process_time()
    allowed = reader.vocabulary_.indices(known)
    given = {
        "characters_and_lengths": (images.lengths, allowed),
        "characters": (None, allowed),
    }
    if not n_sizes:  # else they have chosen the sizes
        given["nothing"] = None, None
    texts = {name: [None] * len(images.arrays) for name in given}
    for position, frames in reader.iter_frames(images.arrays):
        for name, what in given.items():
            texts[name][position] = find_texts(reader, frames, *what)[0][0]
    seconds = time.process_time() - chosen
    return {"pretrained": texts}, {
        "seconds_to_load": round(chosen - start, 2),
        "milliseconds": round(1000 * seconds / len(images.arrays), 2),  # of an image
    }


def read_others(task, arguments, images):
    found = kept = None
    if arguments.cache:
        kept = arguments.cache / f"{task}-{images.digest(task)}.json"
    if kept and kept.exists():
        found = json.loads(kept.read_text(encoding="utf-8"))
    else:
        python = runner.make_environment(arguments.engines, REQUIREMENTS)
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{i}.png" for i in range(len(images.arrays))]
            for path, array in zip(paths, images.arrays, strict=True):
                Image.fromarray(array).save(path)
            found = runner.run_side(
                SIDE.stem,
                task,
                threads=arguments.threads,
                python=python,
                paths=paths,
                characters=images.characters,
            )
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    return found["texts"], {"versions": found["versions"]}


READERS = {
    OURS: read_ours,
    OURS_CHOSEN: partial(read_ours, n_sizes=6),
    "ddddocr": partial(read_others, "ddddocr"),
    "PP-OCRv4 mobile": partial(read_others, "rapidocr"),
}


# ---- rows ------------------------------------------------------------------------


@dataclass
class Images:
    """What is read, and what may be given."""

    arrays: list  # as `read_images` returns them
    texts: list
    characters: str
    lengths: tuple  # least, greatest

    def digest(self, task):
        """Return what differs where another reader may read something else."""
        parts = [task.encode(), self.characters.encode(), SIDE.read_bytes()]
        parts.append(REQUIREMENTS.read_bytes())
        for array in self.arrays:
            parts += [str(array.shape).encode(), array.tobytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """A set of images, and what is to be reached where its characters are given."""

    load: Callable  # of the folder of the unpacked archive -> paths, texts
    folded: bool = False  # whether its labels have lost the case that images show
    lowest: float | None = 0.6
    factors: dict = field(default_factory=lambda: {"reader": tuple(READERS)})

    def describe(self, arguments):
        return {name: getattr(arguments, name) for name in OPTIONS}

    def prepare(self, arguments, folder):
        paths, texts = self.load(folder / self.archive.removesuffix(".zip"))
        order = np.random.default_rng(arguments.split_seed).permutation(len(paths))
        first, second = np.array_split(order, 2)
        chosen = first if arguments.part == "validation" else second
        chosen = sorted(chosen[: arguments.images].tolist())
        (chosen,) = runner.shorten(arguments, chosen)
        characters = set("".join(texts))
        if self.folded:
            characters |= {c for one in characters for c in (one.lower(), one.upper())}
        lengths = [len(text) for text in texts]
        return Images(
            read_images([paths[i] for i in chosen], n_jobs=1),
            [texts[i].lower() for i in chosen],
            "".join(sorted(characters)),
            (min(lengths), max(lengths)),
        )

    def list_runs(self, arguments, prepared):
        runs = super().list_runs(arguments, prepared)
        return [run for run in runs if run["reader"] in arguments.readers]

    def measure(self, run, arguments, images):
        texts, others = READERS[run["reader"]](arguments, images)
        scores = {
            model: {
                given: exact_match_score(images.texts, list(map(str.lower, found)))
                for given, found in of_model.items()
            }
            for model, of_model in texts.items()
        }
        best = {
            given: max(of_model[given] for of_model in scores.values())
            for given in next(iter(scores.values()))
        }
        measured = {"n_images": len(images.texts), **best, "models": scores}
        return {**measured, **others}

    def judge(self, entry):
        shares = find_shares(entry)
        if OURS not in shares:
            return "open: not run"
        if self.lowest is None or shares[OURS] >= self.lowest:
            return "met"
        return f"missed: under {self.lowest:g}"


def find_shares(entry, given=("characters",)):
    """Return reader -> exact match; of ours with the characters given.

    Of the others it is the best of what they read with one of `given`.
    """
    return {
        run["reader"]: run["characters"]
        if run["reader"] in (OURS, OURS_CHOSEN)
        else max(run[name] for name in given)
        for run in entry["runs"]
    }


def load_table(folder):
    return load_labels_csv(folder / "labels.csv")


ROWS = {
    "captcha_images_v2": DataSet(
        words="5 of 19 characters",
        archive="captcha_images_v2.zip",
        load=load_image_folder,
    ),
    "digits4": DataSet(words="4 digits", archive="digits4.zip", load=load_table),
    "cs4243": DataSet(
        words="4 to 8 of 36 characters, raw labels",
        archive="cs4243.zip",
        load=partial(load_image_folder, label="^(.+)-"),
        folded=True,
    ),
    "swust4_2019b": DataSet(
        words="4 of 36 characters",
        archive="swust4_2019b.zip",
        load=load_table,
        folded=True,
    ),
    "kaptcha_pku": DataSet(
        words="4 of 21 characters", archive="kaptcha_pku.zip", load=load_table
    ),
    "upper4_panther": DataSet(
        words="4 of 23 characters", archive="upper4_panther.zip", load=load_table
    ),
    "sysu4_mixed": DataSet(
        words="4 of 57 characters", archive="sysu4_mixed.zip", load=load_table
    ),
    "weixin4_3d": DataSet(
        words="4 of 22 characters",
        archive="weixin4_3d.zip",
        load=load_table,
        folded=True,
        lowest=None,
    ),
    "fssp_cyrillic": DataSet(
        words="5 of 20 Cyrillic letters and digits",
        archive="fssp_cyrillic.zip",
        load=load_table,
        folded=True,
    ),
}


# Sets whose mean is to be reached, and on how many of them another reader may be ahead.
AVERAGED, MEAN, MAX_BEHIND = tuple(ROWS)[:8], 0.8, 1


# ---- Markdown --------------------------------------------------------------------


def format_markdown(entries):
    """Return the table, the mean, where others are ahead, and the settings."""
    header = ["data", "reader", "images", *GIVEN.values(), "target", ""]
    lines = []
    for name, entry in entries.items():
        row = ROWS[name]
        for run in entry["runs"]:
            reader, target, verdict = run["reader"], "", ""
            if reader == OURS:
                target = f"≥ {row.lowest:g}" if row.lowest else ""
                verdict = runner.judge(row, entry)
            if len(run["models"]) > 1:
                reader += ", better of its models"
            shares = (format_share(run, given) for given in GIVEN)
            cells = [f"`{name}`", reader, run["n_images"], *shares]
            lines.append([*cells, target, verdict])
    return [
        *runner.format_table(header, lines),
        "",
        *summarize(entries),
        *runner.list_settings(entries),
    ]


def format_share(run, given):
    """Return a share with its interval."""
    if given not in run:
        return "–"
    low, high = runner.find_interval(
        round(run[given] * run["n_images"]), run["n_images"]
    )
    return f"{run[given]:.3f} ({low:.3f} to {high:.3f})"


def summarize(entries):
    """Return lines that say whether what goes for several sets is reached."""
    shares = {name: find_shares(entry) for name, entry in entries.items()}
    averaged = [shares[name] for name in AVERAGED if name in shares]
    lines = []
    for reader in READERS:
        found = [of_set[reader] for of_set in averaged if reader in of_set]
        if found:
            line = f"{reader}, characters given: mean {statistics.mean(found):.3f}"
            line += f" of {len(found)} sets"
            if reader == OURS and len(found) == len(AVERAGED):
                verdict = "met" if statistics.mean(found) >= MEAN else "missed"
                line += f"; target ≥ {MEAN:g}: {verdict}"
            lines.append(f"- {line}.")
    for words, given in {
        "nothing": ("nothing",),
        "the characters as well, or nothing": ("characters", "nothing"),
    }.items():
        behind = []
        for name, entry in entries.items():
            of_set = find_shares(entry, given)
            of_set.pop(OURS_CHOSEN, None)
            if max(of_set.values(), default=0) > of_set.get(OURS, 1):
                behind.append(f"`{name}`")
        lines.append(
            f"- Another reader, given {words}, is ahead on {len(behind)} of "
            f"{len(entries)} sets{': ' if behind else ''}{', '.join(behind)}; target: "
            f"{MAX_BEHIND} at most."
        )
    return lines


# ---- options ---------------------------------------------------------------------

# What changes that which is read, or how we read it.
OPTIONS = "part", "images", "split_seed"


def add_options(parser):
    parser.set_defaults(threads=1)
    parser.add_argument(
        "--readers",
        nargs="+",
        choices=READERS,
        default=list(READERS),
        help="readers to run (default: all)",
    )
    parser.add_argument(
        "--part",
        choices=["validation", "test"],
        default="test",
        help="half of each set; choices are made on validation (default: test)",
    )
    parser.add_argument(
        "--images", type=int, default=300, help="of each half (default: 300)"
    )
    parser.add_argument(
        "--split-seed", type=int, default=0, help="cuts the sets (default: 0)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        help="folder that keeps what the other readers read, for the next time",
    )
    parser.add_argument(
        "--engines",
        type=Path,
        default=runner.FOLDER / ".engines-venv",
        help="folder of the environment of the other readers, made where it is "
        "missing, 600 MB (default: benchmarks/.engines-venv)",
    )


def check_options(parser, arguments):
    """Check them; what is tried out doesn't go into the file of the results."""
    if arguments.images < 1:
        parser.error(f"--images {arguments.images} must be at least 1")
    usual = parser.get_default("output")
    changed = any(
        getattr(arguments, name) != parser.get_default(name) for name in OPTIONS
    )
    if changed and arguments.output == usual:
        arguments.output = runner.SCRATCH / usual.name


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
