"""Measure `import skcaptcha` beside `import torch, sklearn`, and see what it loads.

A fresh process imports the one and then the other, after a first process that brings
the files into the cache. What the second import takes is what ours takes more; two
processes would differ by more than that on a machine with other work.

What scikit-learn's callbacks load by themselves, rich where it is installed, is said
and does not count: the recognizer takes these callbacks.
"""

import argparse
import json
import statistics
import sys

import children
import records
import torch

BASELINE, OURS = "import torch, sklearn", "import skcaptcha"
CALLBACKS = "import torch, sklearn.callback"
OPTIONAL = (
    "cv2",
    "dask",
    "distributed",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "rich",
    "skops",
)
SECONDS = 0.3  # that ours may take more
_CODE = """
import json, sys, time
seconds = []
for statement in {statements}:
    start = time.perf_counter()
    exec(statement)
    seconds.append(round(time.perf_counter() - start, 4))
print(json.dumps([seconds, sorted(set({modules}) & set(sys.modules))]))
"""


def run_imports(statements, threads):
    """Import in a fresh process; return the seconds, and what optional it loads."""
    code = _CODE.format(statements=statements, modules=OPTIONAL)
    return json.loads(children.run_python(["-c", code], threads=threads))


def run_seconds(arguments):
    """Time both imports, one after the other, as often as asked."""
    pairs = [
        run_imports([BASELINE, OURS], arguments.threads)[0]
        for _ in range(arguments.repeats + 1)
    ]
    return {"pairs": pairs[1:]}


def judge_seconds(entry):
    if entry["quick"]:
        return "open: so few cannot tell"
    more = statistics.median(ours for _, ours in entry["pairs"])
    return "met" if more <= SECONDS else "missed"


def format_seconds(entry):
    rows = [map(records.describe_spread, zip(*entry["pairs"], strict=True))]
    header = [f"`{BASELINE}`, seconds", f"`{OURS}` after it"]
    return [
        *records.format_table(header, rows),
        "",
        f"Median (lowest to highest) of {len(entry['pairs'])}. Target: at most "
        f"{SECONDS:g} s more: {judge_seconds(entry)}.",
    ]


def run_optional(arguments):
    """Look which optional modules are loaded."""
    return {
        "looked_for": OPTIONAL,
        "loaded": run_imports([OURS], arguments.threads)[1],
        "loaded_by_callbacks": run_imports([CALLBACKS], arguments.threads)[1],
    }


def judge_optional(entry):
    own = set(entry["loaded"]) - set(entry["loaded_by_callbacks"])
    return "missed" if own else "met"


def format_optional(entry):
    return [
        f"Of {', '.join(entry['looked_for'])}, `{OURS}` loads "
        f"{', '.join(entry['loaded']) or 'none'}, and `{CALLBACKS}` "
        f"{', '.join(entry['loaded_by_callbacks']) or 'none'}. Target: no others: "
        f"{judge_optional(entry)}."
    ]


ROWS = {
    "seconds": (run_seconds, judge_seconds, format_seconds),
    "optional": (run_optional, judge_optional, format_optional),
}


def format_markdown(entries):
    """Return what was found, and below each what it was measured on."""
    lines = []
    for name, (_, _, format_row) in ROWS.items():
        if name in entries:
            setting = records.describe_setting(entries[name])
            lines += [*format_row(entries[name]), "", f"Measured on {setting}.", ""]
    return "\n".join(lines).rstrip()


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "import_time.json")
    records.add_quick_argument(parser)
    records.add_repeats_argument(parser, 20, "processes that import")
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    entries = {}
    for name in arguments.rows:
        run_row, judge_row, _ = ROWS[name]
        entry = records.describe_run(__file__, children.__file__)
        entry |= {"quick": arguments.quick, **run_row(arguments)}
        entries[name] = entry | {"target": judge_row(entry)}
        records.save_entry(arguments.output, name, entries[name])
    print(format_markdown(entries))
    return int("missed" in {entry["target"] for entry in entries.values()})


if __name__ == "__main__":
    sys.exit(main())
