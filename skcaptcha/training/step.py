"""Updates of a network's weights: the batches of an epoch, and what one teaches."""

import math
from collections import deque

import numpy as np
import torch

from skcaptcha._device_errors import is_out_of_memory
from skcaptcha._torch_compat import foreach, has_fast_bfloat16
from skcaptcha._transfer import LateValues
from skcaptcha.images._batches import make_batches
from skcaptcha.images._tensors import place_images
from skcaptcha.model.few_launches import put
from skcaptcha.model.inference import halve_batch
from skcaptcha.model.network import build_network, extend_network
from skcaptcha.model.normalization import follow_statistics, make_padding
from skcaptcha.training.augmentation import random_affine
from skcaptcha.training.ctc import ctc_losses
from skcaptcha.training.distributed import SingleProcess
from skcaptcha.training.losses import (
    ctc_loss,
    locate_ink,
    symbol_entropy,
    uniform_alignment_losses,
)
from skcaptcha.training.optimizer import make_optimizer

_GRADIENT_CLIP = 5.0
# Updates that a GPU is given before the loss of the first of them is asked for.
_AHEAD = 4
# Updates after which a batch that was too large for the GPU's memory is tried whole.
_TRY_AGAIN = 200


def choose_autocast_dtype(device):
    """Return the dtype in which a device convolves best.

    It is bfloat16 where that takes half the time. Devices without instructions for it
    only emulate it.
    """
    if device.type == "cuda":
        recent = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if recent else torch.float16
    if device.type == "cpu" and has_fast_bfloat16():
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
    late : deque
        Losses that have not been read yet, of the updates after those.
    n_ahead : int
        How many updates may be made before the loss of one is read.
    shuffling : tensor
        State of `generator` when the epoch began.
    n_skipped_updates : int
        Updates whose loss or gradients were not finite.
    max_columns : int or math.inf
        Columns, padding included, for which the GPU has enough memory, as far as is
        known.
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
        self.losses, self.late, self.shuffling = [], deque(), None
        self._forget_troubles()
        self.begin()

    def _forget_troubles(self):
        self.n_skipped_updates, self.max_columns, self.warnings = 0, math.inf, []
        self.n_in_parts = 0  # updates since the GPU had too little memory

    def begin(self, start=None):
        """Take the weights to begin with: of `start`, else of `self.start`, or new."""
        config, device = self.network_config, self.training_config.device
        self.late.clear()
        # Processes that train together are interrupted at once when they share a loss.
        alone_on_gpu = device.type == "cuda" and self.processes.size == 1
        self.n_ahead = _AHEAD if alone_on_gpu else 0
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
        self.augmentation_generator = self.device_generator
        if self.n_ahead:  # draws on the CPU leave the GPU less to do
            self.augmentation_generator = torch.Generator("cpu").manual_seed(seed)
        self.autocast_dtype = choose_autocast_dtype(device)
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.autocast_dtype == torch.float16
        )

    def resume(self, network_config, training_config, samples, start):
        """Continue with other samples, and maybe more classes or other parameters.

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

        An epoch that broke off has the losses of the first ones.
        """
        widths = [image.shape[1] for image in samples.images]
        self.shuffling = self.generator.get_state()
        batch_size = self.training_config.batch_size
        batches = make_batches(widths, batch_size, self.generator)
        for positions in batches[self.n_done :]:
            yield samples.pick(positions)
            samples.release()

    @property
    def n_done(self):
        """Updates of the epoch so far."""
        return len(self.losses) + len(self.late)

    def note(self, loss):
        """Take in what `train_step` returned."""
        self.late.append(loss)
        self.schedule.n_late += 1

    def read_losses(self, n_late=0):
        """Tell the schedule the losses of all but the last updates, in their order.

        Return True if the training has to begin anew; losses after that are dropped.
        """
        while len(self.late) > n_late:
            loss = self._read(self.late.popleft())
            self.losses.append(loss)
            if self.schedule.step(loss):
                self.late.clear()
                return True
        return False

    def wait_for_losses(self):
        """Read all losses that have not been read, and tell the schedule nothing yet.

        When it is told must not depend on when a checkpoint is written.
        """
        self.late = deque(map(self._read, self.late))

    def _read(self, loss):
        """Return the loss of an update, NaN if nothing was learned."""
        if not isinstance(loss, LateValues):
            return loss
        loss, norm, *scale = loss.read()
        # float16 overflows until its scale suits.
        if math.isfinite(loss) and (math.isfinite(norm) or any(s > 1 for s in scale)):
            return loss
        self.n_skipped_updates += 1
        return math.nan

    def end_epoch(self):
        """Return the mean loss of the epoch, NaN if none was finite."""
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        self.losses = []
        return float(np.mean(finite)) if finite else math.nan

    def train_step(self, images, targets, weights=None):
        """Learn from one batch; return its loss a symbol for `note`.

        The loss is NaN if it or the gradients were not finite, and the network is then
        as before. A GPU may still have to compute the loss, which comes as
        `LateValues`. `weights` are those of the losses, of the mean 1 over all samples.
        """
        rate = self.schedule.learning_rate * self.training_config.learning_rate_init
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # In the end the network sees the images as they are, with all of its features.
        self.network.dropout = self.network_config["dropout"] * self.schedule.share_left
        batch = (images, targets) if weights is None else (images, targets, weights)
        *batch, share = self.processes.take(*batch)
        self._try_whole_batches()
        if self.n_ahead:
            return self._learn_on_gpu(batch, share)
        buffers = list(self.network.buffers())
        statistics = [buffer.clone() for buffer in buffers]
        while (loss := self.get_gradients(*batch, share=share)) is None:
            foreach.copy_(buffers, statistics)
            self._halve_batch(batch[0])
        loss = self.processes.mean_loss(float(loss), self.training_config.device)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.network.parameters(), _GRADIENT_CLIP)
        # float16 overflows until its scale suits; the scaler then skips a step.
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        finite = math.isfinite(loss) and (math.isfinite(norm) or overflow)
        if finite:
            self.scaler.step(self.optimizer)
        else:
            self.n_skipped_updates += 1
            foreach.copy_(buffers, statistics)
        self.scaler.update()
        return loss if finite else math.nan

    def _learn_on_gpu(self, batch, share):
        """Learn from one batch without waiting for the GPU.

        Whether something is learned depends on numbers that stay there.
        """
        observed = []
        while (
            loss := self.get_gradients(*batch, share=share, observed=observed)
        ) is None:
            observed.clear()
            self._halve_batch(batch[0])
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = torch.stack(foreach.norm(gradients)).norm()
        values = [loss, norm]
        if self.scaler.is_enabled():
            values.append(self.scaler.scale(put(1.0, norm.dtype, norm.device)))
        values = torch.stack(values)
        total = loss + norm
        learned = total - total == 0  # which is NaN unless both are finite
        self.optimizer.step((norm / _GRADIENT_CLIP).clamp_(min=1), learned.float())
        for part in observed:
            follow_statistics(part, learned)
        self.scaler.update()
        return LateValues(values)

    def get_gradients(self, images, targets, weights=None, *, share=1.0, observed=None):
        """Find the gradients of a batch, a part of it at a time if need be.

        Return the loss times `share`, on a GPU as a tensor, or None if that has too
        little memory. The list `observed` gets for each part the statistics of the
        norms on a GPU, if it has some.
        """
        self.optimizer.zero_grad()
        size, losses_of_parts = self._count_at_once(images), []
        generator = self.processes.fork(self.device_generator)
        drawing = self.augmentation_generator if self.n_ahead else generator
        try:
            for first in range(0, len(images), size):
                part = targets[first : first + size]
                statistics = None if observed is None else []
                own = None if weights is None else weights[first : first + size]
                heads, lengths, ink = self._forward(
                    images[first : first + size], generator, drawing, statistics
                )
                # The second head, over the convolutions alone, helps them to learn.
                if ink is not None:
                    losses = uniform_alignment_losses(heads, part, ink, own)
                elif heads[0].is_cuda:
                    losses = ctc_losses(heads, lengths, part, own)
                else:
                    losses = [ctc_loss(head, lengths, part, own) for head in heads]
                losses_of_parts.append(
                    self._go_back(losses, share * len(part) / len(targets))
                )
                if statistics:  # none where the convolutions are frozen
                    observed.append(statistics)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None
        return sum(losses_of_parts[1:], losses_of_parts[0])

    def _go_back(self, losses, factor):
        """Add the gradients of losses times `factor`; return the first one times it.

        On a GPU both are tensors.
        """
        own = losses[0].detach()
        own = own if factor == 1 else factor * own
        if own.is_cuda:
            losses = self.scaler.scale(losses)
            losses.backward(torch.full_like(losses, factor))
            return own
        total = sum(losses[1:], losses[0])
        self.scaler.scale(total if factor == 1 else factor * total).backward()
        return own.item()

    def _forward(self, images, generator, drawing, observed=None):
        """Return the log-probabilities of each head, their lengths, and the ink.

        The dropout comes from `generator`, the distortion from the one `drawing`.
        The ink is that of the distorted images, and None unless the network aligns.
        """
        device, dtype = self.training_config.device, self.autocast_dtype
        batch, *widths = place_images(images, device)
        padding = make_padding(batch, *widths)
        strength = self.training_config.augmentation * self.schedule.share_left
        if strength:
            own = widths[0] if drawing.device.type == "cpu" else widths[1]
            batch = random_affine(batch, own, strength=strength, generator=drawing)
        aligning = self.schedule.stage == "alignment"
        ink = locate_ink(batch, widths[1]) if aligning else None
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            *heads, lengths = self.processes.model(
                batch,
                padding,
                auxiliary=True,
                generator=generator,
                all_reduce=self.processes.share,
                observed=observed,
            )
        # PyTorch does so at the end of the outermost block alone, and would compute
        # with weights of before the update.
        torch.clear_autocast_cache()
        return heads, lengths, ink

    def _count_at_once(self, images):
        """Return how many images of a batch the GPU has the memory for."""
        widest = max(image.shape[1] for image in images)
        if self.max_columns == math.inf:
            return len(images)
        return min(len(images), max(1, self.max_columns // widest))

    def _try_whole_batches(self):
        """Forget now and then that there was too little memory, as others free it."""
        if self.max_columns < math.inf:
            self.n_in_parts += 1
            if self.n_in_parts >= _TRY_AGAIN:
                self.max_columns, self.n_in_parts = math.inf, 0

    def _halve_batch(self, images):
        """Learn from fewer images at once, as the GPU has too little memory.

        Batches of narrower images have room for as many columns.
        """
        if self.processes.size > 1:  # the others would not know of the halves
            raise MemoryError(
                f"The GPU of process {self.processes.rank} has too little memory for "
                f"its {len(images)} images of a batch; lower `batch_size`."
            )
        half, message = halve_batch(self._count_at_once(images))
        self.max_columns = half * max(image.shape[1] for image in images)
        self.n_in_parts = 0
        self.warnings.append((message, UserWarning))
