"""Training of the network: updates, epochs, the whole fit.

Nothing here knows of scikit-learn. `fit_network` returns a plain `TrainingResult`.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm.auto import tqdm

from skcaptcha._batches import Samples, make_batches, pad_images, run_network
from skcaptcha._losses import (
    ctc_loss,
    locate_ink,
    symbol_entropy,
    uniform_alignment_loss,
)
from skcaptcha._schedule import LEAST_ANNEALING, Schedule
from skcaptcha.augmentation import random_affine
from skcaptcha.decoding import greedy_decode
from skcaptcha.network import build_network, extend_network
from skcaptcha.vocabulary import BLANK

__all__ = [
    "Trainer",
    "TrainingResult",
    "TrainingSettings",
    "evaluate",
    "fit_network",
    "run_epoch",
]

_GRADIENT_CLIP = 5.0


@dataclass
class TrainingSettings:
    """What training has to know beside the samples."""

    batch_size: int
    learning_rate_init: float
    weight_decay: float
    max_iter: int
    n_iter_no_change: int
    tol: float
    augmentation: float
    freeze_convolutions: bool
    device: torch.device
    verbose: bool


@dataclass
class TrainingResult:
    """What `fit_network` found.

    An epoch that a new start broke off does not count. The loss is that of the uniform
    alignment at first and CTC's later, either without that of the auxiliary output.
    """

    network: torch.nn.Module | None = None
    loss_curve: list = field(default_factory=list)
    learning_rate_curve: list = field(default_factory=list)
    validation_scores: list | None = None
    best_validation_score: float | None = None
    n_iter: int = 0
    n_restarts: int = 0
    interrupted: bool = False
    stopped: bool = False
    converged: bool = False
    blank_ratio: float = 1.0


def evaluate(network, samples):
    """Exact match on `samples` and the share of time steps that are blank."""
    was_training = network.training
    network.eval()
    n_right, n_blank, n_steps = 0, 0, 0
    for positions, log_probs, lengths in run_network(network, samples.images):
        read = greedy_decode(log_probs, lengths, blank=BLANK)
        n_right += sum(
            np.array_equal(text, samples.targets[i])
            for text, i in zip(read, positions, strict=True)
        )
        inside = np.arange(len(log_probs))[:, None] < lengths  # (T, N)
        n_blank += int(((log_probs.argmax(axis=2) == BLANK) & inside).sum())
        n_steps += int(lengths.sum())
    network.train(was_training)
    return n_right / len(samples), n_blank / n_steps


def make_optimizer(network, settings):
    """AdamW whose weight decay spares biases and the scales of the norms."""
    learning = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in learning if p.ndim > 1]
    vectors = [p for p in learning if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate_init, betas=(0.9, 0.99))


class Trainer:
    """Network, optimiser, schedule and randomness, and a single update.

    Parameters
    ----------
    shape : dict
        The parameters of `CRNN`.
    settings : TrainingSettings
        How to learn.
    schedule : Schedule
        When to do what.
    generator : torch.Generator
        On the CPU; the only source of randomness.
    start : CRNN, optional
        Network to go on from, which stays as it is. It may know fewer classes.
    """

    def __init__(self, shape, settings, schedule, generator, start=None):
        self.shape = shape
        self.settings = settings
        self.schedule = schedule
        self.generator = generator
        self.start = start
        self.begin()

    def begin(self):
        """Take the weights to begin with, those of `start` or new ones."""
        device = self.settings.device
        self.schedule.begun = self.schedule.update  # the optimiser has to warm up
        if self.start is None:
            network = build_network(self.shape, self.generator)
        else:
            network = extend_network(
                self.start,
                self.shape["n_classes"],
                self.generator,
                auxiliary=self.schedule.stage == "alignment",
            )
            network.dropout = self.shape["dropout"]
        network.freeze_convolutions(self.settings.freeze_convolutions)
        self.network = network.to(device).train()
        self.optimizer = make_optimizer(self.network, self.settings)
        seed = int(torch.randint(2**31, (1,), generator=self.generator))
        self.noise = torch.Generator(device).manual_seed(seed)
        self.half = torch.float32
        if device.type == "cuda":
            # Earlier devices only emulate bfloat16.
            recent = torch.cuda.get_device_capability(device) >= (8, 0)
            self.half = torch.bfloat16 if recent else torch.float16
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.half == torch.float16
        )

    @property
    def learning_rate(self):
        """What the last update learned with."""
        return self.optimizer.param_groups[0]["lr"]

    def suits(self, shape, settings):
        """Tell whether the network and its optimiser can go on as they are."""
        names = ("device", "freeze_convolutions", "weight_decay")
        return {**shape, "dropout": self.shape["dropout"]} == self.shape and all(
            getattr(settings, name) == getattr(self.settings, name) for name in names
        )

    def update(self, images, targets):
        """Learn from one batch; return its loss a symbol."""
        aligning = self.schedule.stage == "alignment"
        rate = self.schedule.learning_rate * self.settings.learning_rate_init
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch, widths = pad_images(images, self.settings.device)
        # In the end the network sees the images as they are, with all of its features.
        self.network.dropout = self.shape["dropout"] * self.schedule.share_left
        strength = self.settings.augmentation * self.schedule.share_left
        if strength:
            batch = random_affine(
                batch, widths, strength=strength, generator=self.noise
            )
        ink = locate_ink(batch, widths) if aligning else None
        with torch.autocast(
            self.settings.device.type, self.half, enabled=self.half != torch.float32
        ):
            *heads, lengths = self.network(
                batch, widths, auxiliary=True, generator=self.noise
            )
        losses = [
            uniform_alignment_loss(log_probs, targets, ink)
            if aligning
            else ctc_loss(log_probs, lengths, targets)
            for log_probs in heads
        ]
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(sum(losses)).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return losses[0].item()


def run_epoch(trainer, samples, progress=None):
    """Pass once over the samples in random order.

    Returns the mean loss and whether the fit has to begin anew, which ends the epoch
    early, as does the end of the schedule.
    """
    losses, restart = [], False
    widths = [image.shape[1] for image in samples.images]
    batch_size = trainer.settings.batch_size
    for positions in make_batches(widths, batch_size, trainer.generator):
        loss = trainer.update(
            [samples.images[i] for i in positions],
            [samples.targets[i] for i in positions],
        )
        losses.append(loss)
        if progress is not None:
            progress.update()
        restart = trainer.schedule.step(loss)
        if restart or trainer.schedule.finished:
            break
    return float(np.mean(losses)), restart


def fit_network(
    shape,
    samples,
    validation,
    settings,
    generator,
    *,
    start=None,
    aligned=False,
    tasks=None,
):
    """Train a network.

    Parameters
    ----------
    shape : dict
        The parameters of `CRNN`.
    samples : Samples
        What to learn from.
    validation : Samples or None
        What to choose the best weights on.
    settings : TrainingSettings
        How to learn.
    generator : torch.Generator
        On the CPU; the only source of randomness.
    start : CRNN, optional
        Network to go on from, which stays as it is.
    aligned : bool, default=False
        Whether `start` can read already, so that no alignment is needed.
    tasks : object, optional
        Is told of each epoch: ``tasks.begin()``, and ``tasks.end(network, result)``,
        which returns whether to stop.

    Returns
    -------
    TrainingResult
        A keyboard interrupt ends the training early, as do the `tasks`, with the best
        weights so far.
    """
    updates_per_epoch = math.ceil(len(samples) / settings.batch_size)
    schedule = Schedule(
        symbol_entropy(samples.targets),
        settings.max_iter * updates_per_epoch,
        updates_per_epoch,
        aligned=aligned,
    )
    trainer = Trainer(shape, settings, schedule, generator, start)
    result = TrainingResult()
    if validation is not None:
        result.validation_scores = []
    best_weights, best, n_stale = None, -math.inf, 0
    restart = False
    progress = tqdm(
        total=schedule.n_updates,
        desc="Training",
        unit="update",
        disable=not settings.verbose,
    )
    try:
        while not (schedule.finished or result.stopped):
            if tasks is not None and not restart:
                tasks.begin()
            aligning = schedule.stage == "alignment"
            loss, restart = run_epoch(trainer, samples, progress)
            progress.total = schedule.last_update
            if restart:
                trainer.begin()
                best_weights, best, n_stale = None, -math.inf, 0
                result.best_validation_score = None
                continue
            report = {"stage": schedule.stage, "loss": f"{loss:.3f}"}
            value = -loss
            if validation is not None:
                value, _ = evaluate(trainer.network, validation)
                result.validation_scores.append(value)
                report["validation exact match"] = f"{value:.3f}"
            result.n_iter += 1
            result.loss_curve.append(loss)
            result.learning_rate_curve.append(trainer.learning_rate)
            progress.set_postfix(report)
            # Without validation the loss of the alignment says nothing of the next.
            if not aligning or validation is not None:
                n_stale = 0 if value > best + settings.tol else n_stale + 1
                if best_weights is None or value >= best:
                    best, best_weights = value, copy_weights(trainer.network)
                    if validation is not None:
                        result.best_validation_score = best
                enough = n_stale * updates_per_epoch >= LEAST_ANNEALING
                if enough and n_stale >= settings.n_iter_no_change:
                    schedule.anneal()
            result.n_restarts = schedule.n_restarts
            result.converged = schedule.left_plateau or schedule.aligned
            if tasks is not None:
                result.stopped = tasks.end(trainer.network, result)
    except KeyboardInterrupt:
        result.interrupted = True
    finally:
        progress.close()
    early = result.interrupted or result.stopped
    if result.interrupted and best_weights is None and start is not None:
        trainer.begin()  # half an epoch is no reason to give up what could read
    result.network = trainer.network.eval()
    if best_weights is not None and (validation is not None or early):
        result.network.load_state_dict(best_weights)
    result.n_restarts = schedule.n_restarts
    result.converged = schedule.left_plateau or schedule.aligned
    if not result.interrupted:
        some = Samples(samples.images[:200], samples.targets[:200])
        share_right, result.blank_ratio = evaluate(result.network, some)
        # The smoothed loss lags behind a fit that was stopped.
        result.converged = share_right > (0 if schedule.left_plateau else 0.5)
    return result


def fit_epoch(trainer, shape, samples, settings, generator, *, start, aligned):
    """Train for one epoch, whatever comes after it.

    Parameters
    ----------
    trainer : Trainer or None
        What an earlier call returned; it is changed.
    shape, samples, settings, generator, start, aligned
        As for `fit_network`, which begin a first call.

    Returns
    -------
    trainer : Trainer
        The trainer to go on with, its network in evaluation mode.
    loss : float
        Mean loss a symbol of the epoch.
    """
    entropy = symbol_entropy(samples.targets)
    if trainer is None:
        updates = math.ceil(len(samples) / settings.batch_size)
        schedule = Schedule(entropy, math.inf, updates, aligned=aligned)
        trainer = Trainer(shape, settings, schedule, generator, start)
    elif not trainer.suits(shape, settings):
        trainer = Trainer(
            shape, settings, trainer.schedule, trainer.generator, trainer.network
        )
    if trainer.schedule.left_plateau:  # else what was learned would be lost
        trainer.start, trainer.schedule.aligned = start, True
    trainer.schedule.forget_restarts()
    trainer.settings, trainer.shape = settings, shape
    trainer.schedule.set_entropy(entropy)
    trainer.network.train().dropout = shape["dropout"]
    progress = tqdm(
        total=math.ceil(len(samples) / settings.batch_size),
        desc="Training",
        unit="update",
        disable=not settings.verbose,
    )
    with progress:
        loss, restart = run_epoch(trainer, samples, progress)
        while restart:
            trainer.begin()
            loss, restart = run_epoch(trainer, samples, progress)
        progress.set_postfix({"stage": trainer.schedule.stage, "loss": f"{loss:.3f}"})
    trainer.network.eval()
    return trainer, loss


def copy_weights(network):
    """Return the state of a network that training goes on with."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
