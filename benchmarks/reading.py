"""How long does reading take, by each way to compute the network?

1,000 drawn images of 200x50 pixels, given as arrays, are read in one call, and one from
its encoded bytes in calls of its own. `as trained` is the network of the fit, in
batches of 64; `prepared` is what reads by default, and `onnx` is ``backend="onnx"``.
The network has learned for one epoch, which takes as long to read with as one that
reads well; each image is read once, however little the network knows.

The ways take turns in one process. Seconds of the processor stand beside those of the
clock, as they say more beside other work.
"""

import io
import statistics
import sys
import time
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import numpy as np
import runner
from PIL import Image

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.model import inference
from skcaptcha.model import prepared as prepared_network

N_MANY, N_SINGLE = 1000, 100


def time_calls(function, arguments):
    """Return median milliseconds of a call, of the clock and of the processor."""
    seconds = []
    for argument in arguments:
        start = time.perf_counter(), time.process_time()
        function(argument)
        end = time.perf_counter(), time.process_time()
        seconds.append((end[0] - start[0], end[1] - start[1]))
    return tuple(1000 * statistics.median(part) for part in zip(*seconds, strict=True))


class Reading(runner.Row):
    NETWORKS = ("pooling", "stride")
    AS_TRAINED = "as trained"
    WAYS = (AS_TRAINED, "prepared", "onnx")

    def prepare(self, arguments, folder):
        """Return a fitted recognizer by network, arrays, and encoded images."""
        n_images = runner.N_QUICK if arguments.quick else N_MANY
        X, y = make_captchas(n_images, size=(50, 200), random_state=0)
        with runner.only_measurements():
            fitted = {
                name: CaptchaRecognizer(
                    max_iter=1,
                    downsampling=name,
                    multi_scale=False,
                    device="cpu",
                    random_state=0,
                ).fit(X[:50], y[:50])
                for name in self.NETWORKS
            }
        return fitted, X, [encode(x) for x in X[:N_SINGLE]]

    def measure(self, run, arguments, prepared):
        fitted, X, encoded = prepared
        reader = fitted[run["network"]]
        reader.set_params(backend="onnx" if run["way"] == "onnx" else "torch")
        with ExitStack() as stack:
            if run["way"] == self.AS_TRAINED:
                stack.enter_context(
                    patch.object(
                        prepared_network, "prepare", lambda network, make: network
                    )
                )
                stack.enter_context(patch.object(inference, "_CPU_BATCH_SIZE", 64))
            reader.predict(X[:40])
            many, many_processor = time_calls(reader.predict, [X])
            one, one_processor = time_calls(
                reader.predict, [[data] for data in encoded]
            )
        return {
            "many": many / len(X),
            "many_processor": many_processor / len(X),
            "one": one,
            "one_processor": one_processor,
        }

    def find_ratios(self, entry, network, way, unit):
        """Return how many times sooner a way is than the network as trained."""
        costs = {name: {} for name in self.WAYS}
        for run in entry["runs"]:
            if run["network"] == network:
                costs[run["way"]][run["repeat"]] = run[unit]
        return runner.find_ratios(costs[self.AS_TRAINED], costs[way])

    def judge(self, entry):
        ratios = [
            self.find_ratios(entry, network, "prepared", unit)
            for network in self.NETWORKS
            for unit in ("many_processor", "one_processor")
        ]
        if not all(ratios):
            return "open: not run with all"
        least = min(map(statistics.median, ratios))
        return "met" if least >= 1 else "missed"

    def note(self, entry):
        parts = [
            f"{network} {way} {unit} {runner.describe_spread(ratios)}"
            for network in self.NETWORKS
            for way in self.WAYS[1:]
            for unit in self.columns
            if (ratios := self.find_ratios(entry, network, way, unit))
        ]
        return f"Times sooner than the network as trained: {'; '.join(parts)}."


def encode(image):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, "PNG")
    return buffer.getvalue()


ROWS = {
    "predict": Reading(
        words="reading 1,000 images, and one, in each way",
        repeats=5,
        factors={"network": Reading.NETWORKS, "way": Reading.WAYS},
        columns={
            "many": ("milliseconds an image of 1,000", ".2f"),
            "many_processor": ("of the processor", ".2f"),
            "one": ("of one alone", ".2f"),
            "one_processor": ("of the processor", ".2f"),
        },
        target="prepared takes no longer than as trained",
    ),
}

main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
