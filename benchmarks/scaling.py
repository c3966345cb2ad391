"""Measure how the cost of an epoch grows, and the peak memory of a fit, on noise.

Images are noise and labels random, 5 of 62 characters on 150x40 pixels unless it is
said otherwise, so nothing is learned and no font is needed. Each fit runs in a process
of its own, with batches of 16 and otherwise default parameters, on the CPU. It is
broken off after some updates, whose mean time is multiplied by the updates of an epoch.
What comes once an epoch, the shuffling, is left out where an epoch is longer than that.
Longer texts stand on images of 480x40, which have room for them.

Memory is that of the whole process, and of images that come from files. What images
cost that wait in the temporary file is compared with images in memory, in turn.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

import children
import records
import torch

USUAL = {"n_images": 2000, "width": 150, "n_characters": 62, "length": 5}
UPDATES = 150  # that are timed
PLOT = records.ROOT / "docs" / "images" / "scaling.png"
# How much faster than its cause the cost may grow for the growth to pass as linear.
TOLERANCE = 1.1
GIGABYTES = 2.5  # that a fit may take
MEMORY_IMAGES = 100_000
COLORS = {"gray": False, "color": True}
CACHE_SIZES = {"in memory": 1000, "in the file": 0}  # megabytes
CACHE_IMAGES = 10_000
GREATEST_RATIO = 1.3  # of an epoch from the file to one from memory


@dataclass(frozen=True)
class Row:
    """What is varied, in which steps, and what differs from `USUAL`."""

    words: str
    varied: str
    values: tuple
    others: dict = field(default_factory=dict)


ROWS = {
    "images": Row("number of images", "n_images", (1000, 10_000, 100_000)),
    "width": Row("width of the images", "width", (75, 150, 300, 600)),
    "vocabulary": Row("characters", "n_characters", (10, 50, 250, 1000, 5000)),
    "length": Row("length of the text", "length", (4, 8, 16, 32), {"width": 480}),
}
MEMORY, CACHE = "memory", "cache"


def run_row(name, arguments):
    """Time an epoch of each value in turn, as often as asked; return the entry."""
    row = ROWS[name]
    entry = describe_run(arguments)
    entry["updates"] = 3 if arguments.quick else UPDATES
    entry |= {"usual": {**USUAL, **row.others}, "runs": []}
    values = row.values[:2] if arguments.quick else row.values
    for repeat in range(arguments.repeats):
        for value in values:
            measured = children.run_task(
                "noise",
                "time_epoch",
                threads=arguments.threads,
                n_updates=entry["updates"],
                seed=arguments.seed,
                **{**USUAL, **row.others, row.varied: value},
            )
            entry["runs"].append({"repeat": repeat, "value": value, **measured})
            print(
                f"  {name} {value:7,}, repeat {repeat}: "
                f"{1000 * measured['update']:.1f} ms an update",
                flush=True,
            )
    return entry


def describe_run(arguments):
    scripts = __file__, children.FOLDER / "side_noise.py", children.__file__
    entry = records.describe_run(*scripts)
    return entry | {"quick": arguments.quick, "seed": arguments.seed}


def find_epochs(entry):
    """Return value -> seconds of an epoch, the median over the repeats."""
    seconds = {}
    for run in entry["runs"]:
        seconds.setdefault(run["value"], []).append(run["epoch"])
    return {value: statistics.median(column) for value, column in seconds.items()}


def find_growth(entry):
    """Return by how much cause and cost grow, from the least to the greatest value."""
    epochs = find_epochs(entry)
    least, greatest = min(epochs), max(epochs)
    return greatest / least, epochs[greatest] / epochs[least]


def judge_row(entry):
    """Say whether the cost grows linearly or better."""
    if entry["quick"]:
        return "open: so short a run cannot tell"
    cause, cost = find_growth(entry)
    return "met" if cost <= TOLERANCE * cause else "missed"


def format_row(name, entry):
    row, usual = ROWS[name], entry["usual"]
    first = find_epochs(entry)[min(find_epochs(entry))]
    rows = []
    for value, seconds in find_epochs(entry).items():
        runs = [run for run in entry["runs"] if run["value"] == value]
        n_images = value if row.varied == "n_images" else usual["n_images"]
        rows.append(
            [
                f"{value:,}",
                records.describe_spread([1000 * run["update"] for run in runs], ".1f"),
                f"{seconds:.1f}",
                f"{1000 * seconds / n_images:.2f}",
                f"{seconds / first:.2f}",
                f"{statistics.median(run['start'] for run in runs):.1f}",
            ]
        )
    header = [row.words, "ms an update", "seconds an epoch", "ms an image"]
    header += ["times the first", "seconds until the first update has ended"]
    cause, cost = find_growth(entry)
    n_repeats = len({run["repeat"] for run in entry["runs"]})
    return [
        *records.format_table(header, rows),
        "",
        f"{describe_usual(row, usual)}; {entry['runs'][0]['timed_updates']} updates "
        f"timed in each of {n_repeats} fits. {cause:g} times the {row.words} cost "
        f"{cost:.2f} times as much. Target: linear or better: {judge_row(entry)}.",
    ]


def describe_usual(row, usual):
    words = {
        "n_images": f"{usual['n_images']:,} images",
        "width": f"{usual['width']}x40 pixels",
        "n_characters": f"{usual['n_characters']} characters",
        "length": f"texts of {usual['length']}",
    }
    return ", ".join(words[name] for name in words if name != row.varied)


def run_memory(arguments):
    """Measure the peak memory of fits on gray images and color ones, at two bounds."""
    entry = describe_run(arguments)
    entry["n_images"] = 200 if arguments.quick else MEMORY_IMAGES
    entry["runs"] = []
    for words, color in COLORS.items():
        for cache_size in CACHE_SIZES.values():
            measured = children.run_task(
                "noise",
                "measure_memory",
                threads=arguments.threads,
                n_images=entry["n_images"],
                width=150,
                color=color,
                cache_size=cache_size,
                n_updates=3 if arguments.quick else UPDATES,
                seed=arguments.seed,
            )
            run = {"images": words, "cache_size": cache_size, **measured}
            entry["runs"].append(run)
            print(
                f"  memory, {words}, cache_size={cache_size}: {run['peak']:.2f} GB",
                flush=True,
            )
    return entry


def judge_memory(entry):
    if entry["quick"]:
        return "open: so few images cannot tell"
    return "met" if max(r["peak"] for r in entry["runs"]) <= GIGABYTES else "missed"


def format_memory(entry):
    rows = [
        [
            run["images"],
            str(run["cache_size"]),
            f"{run['peak']:.2f} GB",
            f"{run['before']:.2f} GB",
        ]
        for run in entry["runs"]
    ]
    header = ["images", "`cache_size`", "peak memory of the process"]
    header.append("of it before the fit")
    return [
        *records.format_table(header, rows),
        "",
        f"{entry['n_images']:,} images of 150x40 from files. Target: at most "
        f"{GIGABYTES:g} GB: {judge_memory(entry)}.",
    ]


def run_cache(arguments):
    """Time epochs of images in memory and in the file in turn, as often as asked."""
    entry = describe_run(arguments)
    entry["updates"] = 3 if arguments.quick else UPDATES
    entry["n_images"] = 200 if arguments.quick else CACHE_IMAGES
    entry["runs"] = []
    for repeat in range(arguments.repeats):
        for words, cache_size in CACHE_SIZES.items():
            measured = children.run_task(
                "noise",
                "time_epoch",
                threads=arguments.threads,
                n_updates=entry["updates"],
                seed=arguments.seed,
                cache_size=cache_size,
                **{**USUAL, "n_images": entry["n_images"]},
            )
            entry["runs"].append({"repeat": repeat, "images": words, **measured})
            print(
                f"  images {words}, repeat {repeat}: "
                f"{1000 * measured['update']:.1f} ms an update, "
                f"{1000 * measured['processor']:.1f} ms of the processor",
                flush=True,
            )
    return entry


def find_ratios(entry, unit):
    """Return for each repeat what the file costs, memory being 1."""
    costs = {
        words: [run[unit] for run in entry["runs"] if run["images"] == words]
        for words in CACHE_SIZES
    }
    pairs = zip(*costs.values(), strict=True)
    return [from_file / in_memory for in_memory, from_file in pairs]


def judge_cache(entry):
    if entry["quick"]:
        return "open: so short a run cannot tell"
    ratios = [statistics.median(find_ratios(entry, u)) for u in ("update", "processor")]
    return "met" if max(ratios) <= GREATEST_RATIO else "missed"


def format_cache(entry):
    rows = []
    for words in CACHE_SIZES:
        runs = [run for run in entry["runs"] if run["images"] == words]
        rows.append(
            [
                words,
                *(
                    records.describe_spread([1000 * run[unit] for run in runs], ".1f")
                    for unit in ("update", "processor")
                ),
            ]
        )
    ratios = (
        records.describe_spread(find_ratios(entry, unit), ".2f")
        for unit in ("update", "processor")
    )
    rows.append(["**ratio**", *ratios])
    header = ["images", "ms an update", "ms of the processor"]
    return [
        *records.format_table(header, rows),
        "",
        f"{entry['n_images']:,} images of 150x40; {entry['updates']} updates timed. "
        "The operating system kept the file in memory, as it does where there is room. "
        f"Target: at most {GREATEST_RATIO:g} times: {judge_cache(entry)}.",
    ]


# Name -> how to run, format and judge what is no `Row`.
OTHERS = {
    MEMORY: (run_memory, format_memory, judge_memory),
    CACHE: (run_cache, format_cache, judge_cache),
}


def judge(name, entry):
    return OTHERS[name][2](entry) if name in OTHERS else judge_row(entry)


def format_markdown(entries):
    """Return the tables, and below each what it was measured on."""
    lines = []
    for name in [*ROWS, *OTHERS]:
        if name in entries:
            entry = entries[name]
            other = name in OTHERS
            lines += OTHERS[name][1](entry) if other else format_row(name, entry)
            lines += ["", f"Measured on {records.describe_setting(entry)}.", ""]
    return "\n".join(lines).rstrip()


def draw_plot(entries, path):
    """Draw the cost of each row over its cause, and beside it linear growth."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    names = [name for name in ROWS if name in entries]
    figure = Figure(figsize=(2.4 * len(names), 2.6), layout="constrained")
    for column, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), column)
        epochs = find_epochs(entries[name])
        values, seconds = list(epochs), list(epochs.values())
        linear = [seconds[0] * value / values[0] for value in values]
        axes.loglog(values, linear, "--", color="gray", label="linear")
        axes.loglog(values, seconds, "o-", label="measured")
        axes.set_xlabel(ROWS[name].words)
        axes.set_xticks(values, [f"{value:,}".replace(",000", "k") for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    figure.axes[0].set_ylabel("seconds an epoch")
    figure.axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def parse_arguments(argv):
    names = [*ROWS, *OTHERS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, names, "scaling.json")
    records.add_quick_argument(parser)
    records.add_repeats_argument(parser, 3, "fits for each value")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--plot",
        type=Path,
        help="file of the plot, which needs matplotlib (default: "
        "docs/images/scaling.png, or with --quick beside the results)",
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, names)
    if arguments.plot is None:
        quick = arguments.output.with_suffix(".png")
        arguments.plot = quick if arguments.quick else PLOT
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    ran = {}
    for name in arguments.rows:
        other = name in OTHERS
        ran[name] = OTHERS[name][0](arguments) if other else run_row(name, arguments)
        records.save_entry(arguments.output, name, ran[name])
    entries = records.read_entries(arguments.output)
    if ROWS.keys() & entries.keys():
        draw_plot(entries, arguments.plot)
    print("\n" + format_markdown(ran))
    return int("missed" in {judge(name, entry) for name, entry in ran.items()})


if __name__ == "__main__":
    sys.exit(main())
