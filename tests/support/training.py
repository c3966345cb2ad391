"""Hooks into a fit and into the network: the one place that knows what to replace."""

import itertools
import math

from skcaptcha.export._network import OnnxNetwork
from skcaptcha.model.network import CRNN
from skcaptcha.model.prepared import PreparedNetwork
from skcaptcha.training.step import Trainer


def before_updates(monkeypatch, watch):
    """Call a function with the number of each update, from 1, before it is made."""
    train_step, numbers = Trainer.train_step, itertools.count(1)

    def watched(trainer, *batch):
        watch(next(numbers))
        return train_step(trainer, *batch)

    monkeypatch.setattr(Trainer, "train_step", watched)


def fail_at(monkeypatch, number, error):
    """Let a fit fail with an error before its update of some number, from 1."""

    def fail(update):
        if update == number:
            raise error

    before_updates(monkeypatch, fail)


def interrupt_at(monkeypatch, number):
    """Press Ctrl-C before the update of some number, from 1."""
    fail_at(monkeypatch, number, KeyboardInterrupt)


def forbid_training(monkeypatch):
    """Let a fit fail where it comes as far as its first update."""
    fail_at(monkeypatch, 1, AssertionError("the training has begun"))


def lose_updates(monkeypatch, numbers):
    """Report the losses of the updates of some numbers, from 1, as not finite."""
    train_step, count = Trainer.train_step, itertools.count(1)

    def lose(trainer, *batch):
        loss = train_step(trainer, *batch)
        return math.nan if next(count) in numbers else loss

    monkeypatch.setattr(Trainer, "train_step", lose)


def before_network_runs(monkeypatch, watch):
    """Call a function with the images of each run of the network, before it runs."""
    for network_class in (CRNN, PreparedNetwork, OnnxNetwork):
        forward = network_class.forward

        def watched(network, images, *args, forward=forward, **kwargs):
            watch(images)
            return forward(network, images, *args, **kwargs)

        monkeypatch.setattr(network_class, "forward", watched)


def count_network_runs(monkeypatch):
    """Return a list to which each run of the network adds its number of images."""
    runs = []
    before_network_runs(monkeypatch, lambda images: runs.append(len(images)))
    return runs
