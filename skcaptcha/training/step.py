"""Updates of a network's weights, and an epoch of them."""

import math

import numpy as np
import torch

from skcaptcha.images._batches import make_batches, pad_images
from skcaptcha.model.inference import halve_batch
from skcaptcha.model.network import build_network, extend_network
from skcaptcha.training.augmentation import random_affine
from skcaptcha.training.distributed import Alone
from skcaptcha.training.losses import ctc_loss, locate_ink, uniform_alignment_loss
from skcaptcha.training.optimizer import AdamW

__all__ = ["Trainer", "choose_precision", "make_optimizer", "run_epoch"]

_GRADIENT_CLIP = 5.0


def make_optimizer(network, settings):
    """AdamW whose weight decay spares biases and the scales of the norms."""
    learning = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in learning if p.ndim > 1]
    vectors = [p for p in learning if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=settings.learning_rate_init, betas=(0.9, 0.99))


def choose_precision(device):
    """Return in which precision a device convolves best.

    Parameters
    ----------
    device : torch.device
        Where to train.

    Returns
    -------
    torch.dtype
        bfloat16 where there are instructions for it, which takes half the time.
        Devices that have none only emulate it.
    """
    if device.type == "cuda":
        recent = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if recent else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


class Trainer:
    """Network, optimizer, schedule and randomness, and a single update.

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
    team : Alone, optional
        The processes that train the network together.

    Attributes
    ----------
    losses : list of float
        Of the updates of the epoch so far.
    shuffling : tensor
        State of `generator` when the epoch began.
    n_left_out : int
        Updates that were left out because they were not finite.
    most_at_once : int or math.inf
        Images for which the GPU has enough memory, as far as is known.
    """

    def __init__(self, shape, settings, schedule, generator, start=None, team=None):
        self.shape = shape
        self.settings = settings
        self.schedule = schedule
        self.generator = generator
        self.start = start
        self.team = Alone() if team is None else team
        self.losses, self.shuffling = [], None
        self.n_left_out, self.most_at_once = 0, math.inf
        self.begin()

    def begin(self, start=None):
        """Take the weights to begin with, those of a network or new ones.

        Parameters
        ----------
        start : CRNN, optional
            The network, if not `self.start`.
        """
        device = self.settings.device
        self.schedule.begun = self.schedule.update  # the optimizer has to warm up
        start = self.start if start is None else start
        if start is None:
            network = build_network(self.shape, self.generator)
        else:
            network = extend_network(
                start,
                self.shape["n_classes"],
                self.generator,
                auxiliary=self.schedule.stage == "alignment",
            )
            network.dropout = self.shape["dropout"]
        network.freeze_convolutions(self.settings.freeze_convolutions)
        self.network = network.to(device).train()
        self.team.wrap(self.network)
        self.optimizer = make_optimizer(self.network, self.settings)
        seed = int(torch.randint(2**31, (1,), generator=self.generator))
        self.noise = torch.Generator(device).manual_seed(seed)
        self.half = choose_precision(device)
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.half == torch.float16
        )

    @property
    def learning_rate(self):
        """What the last update learned with."""
        return self.optimizer.param_groups[0]["lr"]

    def suits(self, shape, settings):
        """Tell whether the network and its optimizer can go on as they are."""
        names = ("device", "freeze_convolutions", "weight_decay")
        return {**shape, "dropout": self.shape["dropout"]} == self.shape and all(
            getattr(settings, name) == getattr(self.settings, name) for name in names
        )

    def update(self, images, targets):
        """Learn from one batch; return its loss a symbol.

        It is NaN if the loss or the gradients were not finite. The weights are then
        as before.
        """
        rate = self.schedule.learning_rate * self.settings.learning_rate_init
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # In the end the network sees the images as they are, with all of its features.
        self.network.dropout = self.shape["dropout"] * self.schedule.share_left
        statistics = [buffer.clone() for buffer in self.network.buffers()]
        images, targets, weight = self.team.take(images, targets)
        while (loss := self._find_gradients(images, targets, weight)) is None:
            if self.team.size > 1:  # the others would not know of the halves
                raise MemoryError(
                    f"The GPU of process {self.team.rank} has too little memory for "
                    f"its {len(images)} images of a batch; lower `batch_size`."
                )
            most = min(self.most_at_once, len(images))
            self.most_at_once, _ = halve_batch(most)
        loss = self.team.settle(loss, self.settings.device)
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(
            self.network.parameters(), _GRADIENT_CLIP
        ).item()
        # Half precision overflows until its scale suits; the scaler then skips a step.
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        finite = math.isfinite(loss) and (math.isfinite(norm) or overflow)
        if finite:
            self.scaler.step(self.optimizer)
        else:
            self.n_left_out += 1
            for buffer, before in zip(self.network.buffers(), statistics, strict=True):
                buffer.copy_(before)
        self.scaler.update()
        return loss if finite else math.nan

    def _find_gradients(self, images, targets, weight):
        """Find the gradients of a batch, a part of it at a time if need be.

        Return the loss times `weight`, or None if the GPU has too little memory.
        """
        self.optimizer.zero_grad()
        size, loss = min(self.most_at_once, len(images)), 0.0
        noise = self.team.fork(self.noise)
        try:
            for first in range(0, len(images), size):
                part = slice(first, first + size)
                losses = self._find_losses(images[part], targets[part], noise)
                share = weight * len(targets[part]) / len(targets)
                self.scaler.scale(share * sum(losses)).backward()
                loss += share * losses[0].item()
        except torch.OutOfMemoryError:
            return None
        return loss

    def _find_losses(self, images, targets, noise):
        """Return the loss of each head of the network, a symbol."""
        aligning = self.schedule.stage == "alignment"
        batch, widths = pad_images(images, self.settings.device)
        strength = self.settings.augmentation * self.schedule.share_left
        if strength:
            batch = random_affine(batch, widths, strength=strength, generator=noise)
        ink = locate_ink(batch, widths) if aligning else None
        with torch.autocast(
            self.settings.device.type, self.half, enabled=self.half != torch.float32
        ):
            *heads, lengths = self.team.model(
                batch, widths, auxiliary=True, generator=noise, share=self.team.share
            )
        return [
            uniform_alignment_loss(log_probs, targets, ink)
            if aligning
            else ctc_loss(log_probs, lengths, targets)
            for log_probs in heads
        ]


def run_epoch(trainer, samples, progress=None, save=None):
    """Pass once over the samples in random order.

    Returns the mean loss and whether the fit has to begin anew, which ends the epoch
    early, as does the end of the schedule. An epoch of which some updates were made
    already goes on. `save` is called before each update.
    """
    restart = False
    widths = [image.shape[1] for image in samples.images]
    trainer.shuffling = trainer.generator.get_state()
    batches = make_batches(widths, trainer.settings.batch_size, trainer.generator)
    for positions in batches[len(trainer.losses) :]:
        if save is not None:
            save()
        batch = samples.pick(positions)
        loss = trainer.update(batch.images, batch.targets)
        samples.release()
        trainer.losses.append(loss)
        if progress is not None:
            progress.update()
        restart = trainer.schedule.step(loss)
        if restart or trainer.schedule.finished:
            break
    losses, trainer.losses = trainer.losses, []
    finite = [loss for loss in losses if math.isfinite(loss)]
    return float(np.mean(finite)) if finite else math.nan, restart
