"""What the sides of a comparison share: tasks, clocks and scores.

Nothing but the standard library is imported here, as the Keras side runs in an
environment that has no skcaptcha.
"""

import json
import statistics
import sys
import time


def serve(tasks):
    """Do the task that `run_side` asks for; the answer is the last line printed."""
    job = json.load(sys.stdin)
    answer = tasks[job.pop("task")](**job)
    print("\n" + json.dumps(answer))


def clock(function, *arguments):
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def compare_texts(texts, found):
    """Return the share of texts that were read without any error."""
    return sum(map(str.__eq__, texts, found)) / len(texts)


class Progress:
    """What is read of held-out images after each epoch, and the clock of a training.

    The clock runs from the making of this object until the first epoch after which the
    exact match with `texts` is the `target`, or until the last one that there may be.
    It includes the reading of the held-out images after each epoch, whose seconds are
    also counted apart.
    """

    def __init__(self, texts, target, max_epochs):
        self.texts, self.target, self.max_epochs = texts, target, max_epochs
        self.scores, self.evaluation = [], 0.0
        self.start = time.perf_counter()

    def end_epoch(self, read):
        """Call `read` for the texts of the held-out images; return whether to stop."""
        seconds, found = clock(read)
        self.evaluation += seconds
        self.seconds = time.perf_counter() - self.start
        self.scores.append(compare_texts(self.texts, found))
        return self.reached or len(self.scores) == self.max_epochs

    @property
    def reached(self):
        return self.scores[-1] >= self.target

    def summarize(self):
        return {
            "reached": self.reached,
            "seconds": round(self.seconds, 3),
            "evaluation_seconds": round(self.evaluation, 3),
            "epochs": len(self.scores),
            "exact_match": [round(score, 4) for score in self.scores],
        }


class EpochEnd:
    """Callback of a fit that calls a function of the estimator after each epoch.

    The fit stops where the function says so.
    """

    def __init__(self, function):
        self.function = function

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        return context.task_name == "epoch" and bool(self.function(fitted_estimator))


def clock_reading(read_many, read_one, encoded, texts):
    """Time ways of reading, each after a warm-up.

    `read_many` maps names to functions that read all images and return their texts,
    `read_one` to functions that read the encoded bytes of one image. The answer maps
    the names to images a second, or to the median seconds of a call, and has the
    ``exact_match`` of what was read last.
    """
    measured = {}
    for name, read in read_many.items():
        read()  # traces, compiles, allocates
        seconds, found = clock(read)
        measured[name] = round(len(texts) / seconds, 2)
        measured["exact_match"] = compare_texts(texts, found)
    for name, read in read_one.items():
        for data in encoded[:10]:
            read(data)
        calls = [clock(read, data)[0] for data in encoded]
        measured[name] = round(statistics.median(calls), 9)
    return measured
