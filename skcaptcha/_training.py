"""Training of the network: batches, losses, the loop and its schedule.

Nothing here knows of scikit-learn. `fit_network` returns a plain `TrainingResult`.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm

from skcaptcha._schedule import LEAST_ANNEALING, Schedule
from skcaptcha.augmentation import random_affine
from skcaptcha.decoding import greedy_decode
from skcaptcha.network import TIME_STRIDE, build_network
from skcaptcha.vocabulary import BLANK

__all__ = [
    "Samples",
    "TrainingResult",
    "TrainingSettings",
    "ctc_loss",
    "fit_network",
    "make_batches",
    "pad_images",
    "run_network",
    "uniform_alignment_loss",
]

_GRADIENT_CLIP = 5.0
# Images that are read at once, and the most columns that they have in all.
_BATCH_SIZE, _COLUMNS = 64, 2**16


@dataclass
class Samples:
    """Images of one height, uint8 of shape (H, W_i, C), and the symbols they show."""

    images: list
    targets: list

    def __len__(self):
        """Return the number of samples."""
        return len(self.images)


@dataclass
class TrainingSettings:
    """What `fit_network` has to know beside the samples."""

    batch_size: int
    learning_rate_init: float
    weight_decay: float
    max_iter: int
    n_iter_no_change: int
    tol: float
    augmentation: float
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
    validation_scores: list | None = None
    best_validation_score: float | None = None
    n_iter: int = 0
    n_restarts: int = 0
    interrupted: bool = False
    converged: bool = False
    blank_ratio: float = 1.0


def make_batches(widths, batch_size, generator=None):
    """Group samples of like width, so that batches hold little padding.

    Parameters
    ----------
    widths : sequence of int
        Width of each sample.
    batch_size : int
        Samples a batch; the last ones of a group may be fewer.
    generator : torch.Generator, optional
        Shuffles samples and batches. Without it the batches go from narrow to wide.

    Returns
    -------
    list of list of int
        Positions of the samples of each batch.
    """
    n = len(widths)
    if generator is None:
        order, group = list(range(n)), n
    else:
        order = torch.randperm(n, generator=generator).tolist()
        group = 16 * batch_size
    batches = []
    for start in range(0, n, group):
        members = sorted(order[start : start + group], key=lambda i: widths[i])
        batches += [
            members[k : k + batch_size] for k in range(0, len(members), batch_size)
        ]
    if generator is not None:
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        batches = [batches[i] for i in shuffled]
    return batches


def pad_images(images, device):
    """Stack images of one height, padded on the right to the widest.

    Parameters
    ----------
    images : list of ndarray of shape (H, W_i, C), uint8
        The images.
    device : torch.device
        Where the batch goes.

    Returns
    -------
    batch : tensor of shape (N, C, H, W), uint8
    widths : tensor of shape (N,), or None if all are equally wide
    """
    widths = [image.shape[1] for image in images]
    height, _, channels = images[0].shape
    batch = np.zeros((len(images), height, max(widths), channels), dtype=np.uint8)
    for row, image, width in zip(batch, images, widths, strict=True):
        row[:, :width] = image
    batch = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)  # (N, C, H, W)
    return batch, None if min(widths) == max(widths) else torch.tensor(widths)


def ctc_loss(log_probs, lengths, targets):
    """CTC loss [1]_ a symbol, averaged over the batch.

    Parameters
    ----------
    log_probs : tensor of shape (T, N, K)
        Log-probabilities of the classes in each time step.
    lengths : tensor of shape (N,)
        Time steps of each sample.
    targets : list of ndarray of int
        Symbols of each sample.

    Returns
    -------
    tensor, scalar

    References
    ----------
    .. [1] A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
       Classification", ICML 2006.
    """
    return functional.ctc_loss(
        log_probs,
        torch.from_numpy(np.concatenate(targets)).to(log_probs.device),
        lengths,
        torch.tensor([len(target) for target in targets]),
        blank=BLANK,
        zero_infinity=True,
    )


def locate_ink(images, widths=None):
    """Estimate how much of the text each time step shows and how much came before.

    The distance of a pixel from its image's median is its ink, saturating, so that
    a faint character weighs as much as a dark one and a thin line little.

    Parameters
    ----------
    images : tensor of shape (N, C, H, W)
        Pixels, padded on the right.
    widths : tensor of shape (N,), optional
        The images' own widths.

    Returns
    -------
    position : tensor of shape (T, N)
        Share of the ink that lies to the left of the middle of the time step.
    share : tensor of shape (T, N)
        Share of the ink in the time step; the steps of an image sum to 1.
    """
    x = images.float()
    n, _, height, width = x.shape
    own = torch.full((n, 1), width) if widths is None else widths[:, None]
    own = own.to(x.device)
    valid = torch.arange(width, device=x.device)[None] < own  # (N, W)
    inside = x.masked_fill(~valid[:, None, None, :], math.nan)
    median = inside.flatten(2).nanmedian(dim=2).values[:, :, None, None]  # (N, C, 1, 1)
    distance = (x - median).abs().amax(dim=1) * valid[:, None, :]  # (N, H, W)
    spread = (distance**2).sum((1, 2)) / (own[:, 0] * height)
    half = 0.25 * spread.sqrt()[:, None, None] + 1  # at this distance ink counts half
    ink = (distance / (distance + half)).mean(dim=1) ** 1.5  # (N, W)
    ink = ink.reshape(n, -1, TIME_STRIDE).sum(dim=2)  # (N, T)
    ink = ink + 1e-6 * valid[:, ::TIME_STRIDE]  # an empty image has even ink
    share = (ink / ink.sum(dim=1, keepdim=True)).T  # (T, N)
    return share.cumsum(dim=0) - share / 2, share


def uniform_alignment_loss(log_probs, targets, ink):
    """Cross-entropy of the time steps under an even spread of the symbols.

    Before anything is learned, the best guess of where the symbols stand is that each
    takes an equal share of the text's ink, in order: the "flat start" of speech
    recognition [1]_. Trained on it first, CTC does not begin on its plateau where all
    is blank [2]_.

    Parameters
    ----------
    log_probs : tensor of shape (T, N, K)
        Log-probabilities of the classes in each time step.
    targets : list of ndarray of int
        Symbols of each sample.
    ink : pair of tensors of shape (T, N)
        What `locate_ink` returned.

    Returns
    -------
    tensor, scalar

    References
    ----------
    .. [1] S. Young et al., "The HTK Book", section 8.3, Cambridge University, 2006.
    .. [2] H. Sak et al., "Learning acoustic frame labeling for speech recognition
       with recurrent neural networks", ICASSP 2015.
    """
    position, share = ink
    longest = max(len(target) for target in targets)
    padded = np.zeros((len(targets), longest), dtype=np.int64)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    symbols = torch.from_numpy(padded).to(log_probs.device)  # (N, L)
    lengths = torch.tensor([len(t) for t in targets], device=log_probs.device)
    slots = torch.arange(longest, device=log_probs.device)
    offset = (position * lengths)[:, :, None] - slots - 0.5  # (T, N, L)
    weight = torch.exp(-2 * offset**2) * (slots < lengths[:, None])
    weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1e-9)
    picked = log_probs.gather(2, symbols.expand(len(log_probs), -1, -1))  # (T, N, L)
    return -((weight * picked).sum(dim=2) * share).sum() / len(targets)


def run_network(network, images, batch_size=_BATCH_SIZE):
    """Read images with a trained network.

    Parameters
    ----------
    network : CRNN
        In evaluation mode.
    images : list of ndarray of shape (H, W_i, C), uint8
        Images of the height that the network reads.
    batch_size : int, default=64
        Images that are read at once; very wide ones are fewer.

    Yields
    ------
    positions : list of int
        Positions in `images` of the samples of a batch.
    log_probs : ndarray of shape (T, N, K)
        Log-probabilities of the classes in each time step.
    lengths : ndarray of shape (N,)
        Time steps that belong to each image.
    """
    device = next(network.parameters()).device
    all_widths = [image.shape[1] for image in images]
    for group in make_batches(all_widths, batch_size):
        size = max(1, min(len(group), _COLUMNS // all_widths[group[-1]]))
        for start in range(0, len(group), size):
            positions = group[start : start + size]
            batch, widths = pad_images([images[i] for i in positions], device)
            with torch.inference_mode():
                log_probs, lengths = network(batch, widths)
            yield positions, log_probs.cpu().numpy(), lengths.numpy()


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
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate_init, betas=(0.9, 0.99))


class Trainer:
    """Network, optimiser and randomness of one attempt, and a single update."""

    def __init__(self, shape, settings, generator):
        self.settings = settings
        device = settings.device
        self.network = build_network(shape, generator).to(device).train()
        self.optimizer = make_optimizer(self.network, settings)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        self.noise = torch.Generator(device).manual_seed(seed)
        self.half = torch.float32
        if device.type == "cuda":
            # Earlier devices only emulate bfloat16.
            recent = torch.cuda.get_device_capability(device) >= (8, 0)
            self.half = torch.bfloat16 if recent else torch.float16
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.half == torch.float16
        )

    def update(self, images, targets, stage, learning_rate):
        """Learn from one batch; return its loss a symbol."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * self.settings.learning_rate_init
        batch, widths = pad_images(images, self.settings.device)
        ink = locate_ink(batch, widths) if stage == "alignment" else None
        if self.settings.augmentation:
            batch = random_affine(
                batch,
                widths,
                strength=self.settings.augmentation,
                generator=self.noise,
            )
        with torch.autocast(
            self.settings.device.type, self.half, enabled=self.half != torch.float32
        ):
            log_probs, lengths, auxiliary = self.network(
                batch, widths, auxiliary=True, generator=self.noise
            )
        if stage == "alignment":
            loss = uniform_alignment_loss(log_probs, targets, ink)
            extra = uniform_alignment_loss(auxiliary, targets, ink)
        else:
            loss = ctc_loss(log_probs, lengths, targets)
            extra = ctc_loss(auxiliary, lengths, targets)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss + extra).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item()


def symbol_entropy(targets):
    """Entropy in nats of the frequencies of the symbols in `targets`."""
    _, counts = np.unique(np.concatenate(targets), return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def run_epoch(trainer, samples, schedule, generator, progress):
    """Pass once over the samples in random order.

    Returns the mean loss and whether the fit has to start from new weights, which
    ends the epoch early, as does the end of the schedule.
    """
    losses, restart = [], False
    widths = [image.shape[1] for image in samples.images]
    for positions in make_batches(widths, trainer.settings.batch_size, generator):
        loss = trainer.update(
            [samples.images[i] for i in positions],
            [samples.targets[i] for i in positions],
            schedule.stage,
            schedule.learning_rate,
        )
        losses.append(loss)
        progress.update()
        restart = schedule.step(loss)
        if restart or schedule.finished:
            break
    return float(np.mean(losses)), restart


def fit_network(shape, samples, validation, settings, generator):
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

    Returns
    -------
    TrainingResult
        A keyboard interrupt ends the training early, with the best weights so far.
    """
    updates_per_epoch = math.ceil(len(samples) / settings.batch_size)
    schedule = Schedule(
        symbol_entropy(samples.targets),
        settings.max_iter * updates_per_epoch,
        updates_per_epoch,
    )
    trainer = Trainer(shape, settings, generator)
    result = TrainingResult()
    if validation is not None:
        result.validation_scores = []
    best_weights, best, n_stale = None, -math.inf, 0
    progress = tqdm(
        total=schedule.n_updates,
        desc="Training",
        unit="update",
        disable=not settings.verbose,
    )
    try:
        while not schedule.finished:
            aligning = schedule.stage == "alignment"
            loss, restart = run_epoch(trainer, samples, schedule, generator, progress)
            progress.total = schedule.last_update
            if restart:
                trainer = Trainer(shape, settings, generator)
                best_weights, best, n_stale = None, -math.inf, 0
                continue
            report = {"stage": schedule.stage, "loss": f"{loss:.3f}"}
            value = -loss
            if validation is not None:
                value, _ = evaluate(trainer.network, validation)
                result.validation_scores.append(value)
                report["validation exact match"] = f"{value:.3f}"
            result.n_iter += 1
            result.loss_curve.append(loss)
            progress.set_postfix(report)
            if aligning and validation is None:
                continue  # the loss of this stage says nothing of the next
            n_stale = 0 if value > best + settings.tol else n_stale + 1
            if best_weights is None or value >= best:
                best, best_weights = value, copy_weights(trainer.network)
            enough = n_stale * updates_per_epoch >= LEAST_ANNEALING
            if enough and n_stale >= settings.n_iter_no_change:
                schedule.anneal()
    except KeyboardInterrupt:
        result.interrupted = True
    finally:
        progress.close()
    result.network = trainer.network.eval()
    if best_weights is not None and (validation is not None or result.interrupted):
        result.network.load_state_dict(best_weights)
    if validation is not None and best_weights is not None:
        result.best_validation_score = best
    result.n_restarts = schedule.n_restarts
    result.converged = schedule.left_plateau
    if not result.interrupted:
        some = Samples(samples.images[:200], samples.targets[:200])
        share_right, result.blank_ratio = evaluate(result.network, some)
        result.converged &= share_right > 0
    return result


def copy_weights(network):
    """Return the state of a network that training goes on with."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
