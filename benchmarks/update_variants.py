"""Time an update of the training as it is beside what was considered in its place.

The variants learn from the same drawn images, in turn, in one process. What counts is
the processor's time, so use one thread. Only the cost is measured here; what a variant
does to the accuracy is another matter.
"""

import argparse
import contextlib
import math
import statistics
import sys
import time
from dataclasses import dataclass, field
from unittest.mock import patch

import records
import torch
from skcaptcha._fitting import make_settings
from torch import nn

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.images._prepare import prepare_image
from skcaptcha.images._samples import Samples
from skcaptcha.model import network
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer, choose_autocast_dtype
from skcaptcha.vocabulary import Vocabulary

VOCABULARY = Vocabulary("2345678abcdefhkmnprtuvwxy")
SIZE = (40, 160)


class PackedLSTM(nn.Module):
    """PyTorch's own LSTM in both directions, over packed sequences."""

    def __init__(self, n_features, units):
        super().__init__()
        self.lstm = nn.LSTM(n_features, units, bidirectional=True)
        # By these names the network puts its weights together.
        self.ahead = self.back = self.lstm

    def forward(self, x, lengths):
        """Return the states (T, N, 2 * units) of `x` of shape (T, N, C)."""
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0])[0]


@dataclass(frozen=True)
class Variant:
    """What is done in another way, and what that takes."""

    words: str
    shape: dict = field(default_factory=dict)
    batch_size: int = 8
    augmentation: float = 1.0
    width: int = SIZE[1]
    half: bool = False
    patches: tuple = ()  # of (owner, name, value)


AS_IT_IS = "as it is"
ROWS = {
    AS_IT_IS: Variant("batches of 8, channels last, float32"),
    "contiguous": Variant(
        "channels first",
        patches=((network.torch, "channels_last", torch.contiguous_format),),
    ),
    "packed": Variant(
        "PyTorch's LSTM over packed sequences",
        patches=((network, "BidirectionalLSTM", PackedLSTM),),
    ),
    "bfloat16": Variant("bfloat16 by autocast", half=True),
    "time_steps": Variant("three quarters of the time steps", width=SIZE[1] * 3 // 4),
    "stem": Variant(
        "a first block of half the channels",
        shape={"conv_channels": (12, 48, 96, 128, 128)},
    ),
    "batch_32": Variant("batches of 32", batch_size=32),
    "no_augmentation": Variant(
        "no augmentation, as if it cost nothing", augmentation=0
    ),
}


def make_trainer(variant, images, texts):
    """Return what updates a network of the variant, and the batch that it gets."""
    size = {"height": SIZE[0], "color_mode": "rgb", "name": "image"}
    stretch = variant.width / SIZE[1]
    images = [prepare_image(image, stretch=stretch, **size) for image in images]
    targets = [VOCABULARY.encode(text) for text in texts]
    batch = Samples(images, targets).pick(range(variant.batch_size))
    recognizer = CaptchaRecognizer(
        batch_size=variant.batch_size, augmentation=variant.augmentation
    )
    settings = make_settings(recognizer, batch, torch.device("cpu"))
    schedule = Schedule(1.0, math.inf, 1, aligned=True)
    names = "conv_channels", "lstm_units", "lstm_layers", "dropout"
    shape = {name: getattr(recognizer, name) for name in names}
    shape |= {"n_classes": VOCABULARY.n_classes, "in_channels": 3, **variant.shape}
    trainer = Trainer(shape, settings, schedule, torch.Generator().manual_seed(0))
    # Whatever a fit would choose on this processor.
    trainer.autocast_dtype = torch.bfloat16 if variant.half else torch.float32
    return trainer, batch


def run_row(arguments):
    """Time the variants in turn; return the entry."""
    entry = records.describe_run(__file__)
    entry |= {"quick": arguments.quick, "runs": []}
    entry["updates"] = 2 if arguments.quick else 30
    entry["bfloat16"] = choose_autocast_dtype(torch.device("cpu")) == torch.bfloat16
    images, texts = make_captchas(
        32, vocabulary="".join(VOCABULARY), size=SIZE, color=True, random_state=0
    )
    prepared = {}
    for name, variant in ROWS.items():
        with patched(variant):
            prepared[name] = make_trainer(variant, images, texts)
    for repeat in range(arguments.repeats):
        milliseconds = {}
        for name in list(ROWS)[:: -1 if repeat % 2 else 1]:
            trainer, batch = prepared[name]
            with patched(ROWS[name]):
                trainer.train_step(
                    batch.images, batch.targets
                )  # the first takes longer
                begun = time.process_time()
                for _ in range(entry["updates"]):
                    trainer.train_step(batch.images, batch.targets)
                seconds = time.process_time() - begun
            n_images = entry["updates"] * ROWS[name].batch_size
            milliseconds[name] = round(1000 * seconds / n_images, 4)
        entry["runs"].append(milliseconds)
        print(f"  repeat {repeat}, milliseconds an image: {milliseconds}", flush=True)
    return entry


@contextlib.contextmanager
def patched(variant):
    """Have the package do it the variant's way for the while."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in variant.patches:
            stack.enter_context(patch.object(owner, name, value))
        yield


def format_markdown(entry):
    """Return the table, and below it what it was measured on."""
    rows = []
    for name, variant in ROWS.items():
        column = [run[name] for run in entry["runs"]]
        ratios = [run[name] / run[AS_IT_IS] for run in entry["runs"]]
        words = variant.words
        if variant.half and not entry["bfloat16"]:
            words += ", which this processor has not"
        rows.append(
            [
                words,
                f"{statistics.median(column):.2f}",
                "" if name == AS_IT_IS else records.describe_spread(ratios),
            ]
        )
    return "\n".join(
        [
            *records.format_table(["an update", "ms an image", "times as it is"], rows),
            "",
            f"Images of {SIZE[0]}x{SIZE[1]} in color; processor's time, median (lowest"
            f" to highest) of {len(entry['runs'])} times {entry['updates']} updates.",
            "",
            f"Measured on {records.describe_setting(entry)}.",
        ]
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ["update"], "update_variants.json")
    records.add_quick_argument(parser)
    records.add_repeats_argument(parser, 7, "times that each is measured")
    parser.set_defaults(threads=1)
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ["update"])
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)["update"]))
        return 0
    torch.set_num_threads(arguments.threads)
    entry = run_row(arguments)
    records.save_entry(arguments.output, "update", entry)
    print("\n" + format_markdown(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
