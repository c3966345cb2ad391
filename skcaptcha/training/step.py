"""Updates of a network's weights: the batches of an epoch, and what one teaches."""

import math

import numpy as np
import torch

from skcaptcha._torch_compat import (
    OutOfMemoryError,
    foreach,
    has_bfloat16_instructions,
)
from skcaptcha.images._batches import make_batches, pad_images
from skcaptcha.model.inference import halve_batch
from skcaptcha.model.network import build_network, extend_network
from skcaptcha.training.augmentation import random_affine
from skcaptcha.training.distributed import SingleProcess
from skcaptcha.training.losses import (
    ctc_loss,
    locate_ink,
    symbol_entropy,
    uniform_alignment_loss,
)
from skcaptcha.training.optimizer import make_optimizer

_GRADIENT_CLIP = 5.0


def choose_autocast_dtype(device):
    """Return the dtype in which a device convolves best.

    It is bfloat16 where there are instructions for it, which takes half the time.
    Devices that have none only emulate it.
    """
    if device.type == "cuda":
        recent = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if recent else torch.float16
    if device.type == "cpu" and has_bfloat16_instructions():
        return torch.bfloat16
    return torch.float32


def clip_gradients(parameters, limit):
    """Shorten the gradient to a norm of `limit`; return its norm before.

    Without looking at the norm first, PyTorch's function multiplies in any case.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack(foreach.norm(gradients)).norm().item()
    if norm > limit:
        foreach.mul_(gradients, limit / norm)
    return norm


class Trainer:
    """Network, optimizer, schedule and random numbers: all that an update changes.

    Parameters
    ----------
    network_config : dict
        The parameters of `CRNN`.
    training_config : TrainingConfig
        How to learn.
    schedule : Schedule
        When to do what.
    generator : torch.Generator
        On the CPU; the only source of randomness.
    start : CRNN, optional
        Network to start from, which stays as it is. It may know fewer classes.
    processes : SingleProcess, optional
        The processes that train the network together.

    Attributes
    ----------
    losses : list of float
        Of the updates of the epoch so far.
    shuffling : tensor
        State of `generator` when the epoch began.
    n_skipped_updates : int
        Updates whose loss or gradients were not finite.
    max_batch : int or math.inf
        Images for which the GPU has enough memory, as far as is known.
    warnings : list of (str, type)
        What to tell the user in the end, with the category.
    """

    def __init__(
        self,
        network_config,
        training_config,
        schedule,
        generator,
        start=None,
        processes=None,
    ):
        self.network_config = network_config
        self.training_config = training_config
        self.schedule = schedule
        self.generator = generator
        self.start = start
        self.processes = SingleProcess() if processes is None else processes
        self.losses, self.shuffling = [], None
        self._forget_troubles()
        self.begin()

    def _forget_troubles(self):
        self.n_skipped_updates, self.max_batch, self.warnings = 0, math.inf, []

    def begin(self, start=None):
        """Take the weights to begin with: of `start`, else of `self.start`, or new."""
        config, device = self.network_config, self.training_config.device
        self.schedule.begun = self.schedule.update  # the optimizer has to warm up
        start = self.start if start is None else start
        if start is None:
            network = build_network(config, self.generator)
        else:
            # Only the alignment needs a second head where there is none.
            auxiliary = self.schedule.stage == "alignment"
            network = extend_network(
                start, config["n_classes"], self.generator, auxiliary=auxiliary
            )
            network.dropout = config["dropout"]
        network.freeze_convolutions(self.training_config.freeze_convolutions)
        self.network = network.to(device).train()
        self.processes.wrap(self.network)
        self.optimizer = make_optimizer(self.network, self.training_config)
        seed = torch.randint(2**31, (1,), generator=self.generator, device="cpu").item()
        self.device_generator = torch.Generator(device).manual_seed(seed)
        self.autocast_dtype = choose_autocast_dtype(device)
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.autocast_dtype == torch.float16
        )

    def resume(self, network_config, training_config, samples, start):
        """Go on with other samples, and maybe more classes or other parameters.

        `start` is the network that was found so far.
        """
        no_dropout = {"dropout": None}  # which no weight depends on
        same = network_config | no_dropout == self.network_config | no_dropout and all(
            getattr(training_config, name) == getattr(self.training_config, name)
            for name in ("device", "freeze_convolutions", "weight_decay")
        )
        self.network_config, self.training_config = network_config, training_config
        if not same:  # the optimizer does not fit any more
            self.start = self.network
            self.begin()
        if self.schedule.left_plateau:  # or a new start would lose what was learned
            self.start = start
        updates = math.ceil(len(samples) / training_config.batch_size)
        self.schedule.resume(symbol_entropy(samples.targets), updates)
        self._forget_troubles()
        self.network.train()

    @property
    def learning_rate(self):
        """What the last update learned with."""
        return self.optimizer.param_groups[0]["lr"]

    def batches(self, samples):
        """Yield the batches of an epoch in random order, or the rest of them.

        An epoch that broke off has the losses of the first ones in `losses`.
        """
        widths = [image.shape[1] for image in samples.images]
        self.shuffling = self.generator.get_state()
        batch_size = self.training_config.batch_size
        batches = make_batches(widths, batch_size, self.generator)
        for positions in batches[len(self.losses) :]:
            yield samples.pick(positions)
            samples.release()

    def end_epoch(self):
        """Return the mean loss of the epoch, NaN if none was finite."""
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        self.losses = []
        return float(np.mean(finite)) if finite else math.nan

    def train_step(self, images, targets, weights=None):
        """Learn from one batch; return its loss a symbol.

        `weights` are those of the losses, of the mean 1 over all samples.
        It is NaN if the loss or the gradients were not finite. The weights are then
        as before.
        """
        rate = self.schedule.learning_rate * self.training_config.learning_rate_init
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # In the end the network sees the images as they are, with all of its features.
        self.network.dropout = self.network_config["dropout"] * self.schedule.share_left
        statistics = [buffer.clone() for buffer in self.network.buffers()]
        batch = (images, targets) if weights is None else (images, targets, weights)
        *batch, share = self.processes.take(*batch)
        while (loss := self.get_gradients(*batch, share=share)) is None:
            self._halve_batch(len(batch[0]))
        loss = self.processes.mean_loss(loss, self.training_config.device)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.network.parameters(), _GRADIENT_CLIP)
        # float16 overflows until its scale suits; the scaler then skips a step.
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        finite = math.isfinite(loss) and (math.isfinite(norm) or overflow)
        if finite:
            self.scaler.step(self.optimizer)
        else:
            self.n_skipped_updates += 1
            for buffer, before in zip(self.network.buffers(), statistics, strict=True):
                buffer.copy_(before)
        self.scaler.update()
        return loss if finite else math.nan

    def get_gradients(self, images, targets, weights=None, *, share=1.0):
        """Find the gradients of a batch, a part of it at a time if need be.

        Return the loss times `share`, or None if the GPU has too little memory.
        """
        self.optimizer.zero_grad()
        size, loss = min(self.max_batch, len(images)), 0.0
        generator = self.processes.fork(self.device_generator)
        try:
            for first in range(0, len(images), size):
                part = targets[first : first + size]
                own = None if weights is None else weights[first : first + size]
                heads, lengths, ink = self._forward(
                    images[first : first + size], generator
                )
                # The second head, over the convolutions alone, helps them to learn.
                losses = [
                    ctc_loss(log_probs, lengths, part, own)
                    if ink is None
                    else uniform_alignment_loss(log_probs, part, ink, own)
                    for log_probs in heads
                ]
                factor = share * len(part) / len(targets)
                self.scaler.scale(factor * sum(losses)).backward()
                loss += factor * losses[0].item()
        except OutOfMemoryError:
            return None
        return loss

    def _forward(self, images, generator):
        """Return the log-probabilities of each head, their lengths, and the ink.

        The ink is that of the distorted images, and None unless the network aligns.
        """
        device, dtype = self.training_config.device, self.autocast_dtype
        batch, widths = pad_images(images, device)
        strength = self.training_config.augmentation * self.schedule.share_left
        if strength:
            batch = random_affine(batch, widths, strength=strength, generator=generator)
        aligning = self.schedule.stage == "alignment"
        ink = locate_ink(batch, widths) if aligning else None
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            *heads, lengths = self.processes.model(
                batch,
                widths,
                auxiliary=True,
                generator=generator,
                all_reduce=self.processes.share,
            )
        # PyTorch does so at the end of the outermost block alone, and would compute
        # with weights of before the update.
        torch.clear_autocast_cache()
        return heads, lengths, ink

    def _halve_batch(self, n_images):
        """Learn from fewer images at once, as the GPU has too little memory."""
        if self.processes.size > 1:  # the others would not know of the halves
            raise MemoryError(
                f"The GPU of process {self.processes.rank} has too little memory for "
                f"its {n_images} images of a batch; lower `batch_size`."
            )
        self.max_batch, message = halve_batch(min(self.max_batch, n_images))
        self.warnings.append((message, UserWarning))
