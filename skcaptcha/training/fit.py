"""Training of the network: the whole fit, and a single epoch of one without an end.

Nothing here knows of scikit-learn. `fit_network` returns a plain `TrainingResult`.
"""

import math
import zlib
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from skcaptcha.images._samples import Samples
from skcaptcha.model.calibration import divide_logits, find_temperature
from skcaptcha.model.inference import greedy_and_count, run_network
from skcaptcha.training.distributed import Alone
from skcaptcha.training.losses import symbol_entropy
from skcaptcha.training.schedule import LEAST_ANNEALING, Schedule
from skcaptcha.training.step import Trainer, run_epoch
from skcaptcha.vocabulary import BLANK

__all__ = [
    "TrainingResult",
    "TrainingSettings",
    "evaluate",
    "fit_epoch",
    "fit_network",
]

# Share of a GPU's free memory that the training images may take.
_GPU_SHARE = 0.25
# New starts that a single epoch takes at the most.
_MOST_RESTARTS = 5


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

    An epoch that a new start broke off does not count. `temperature` is what the logits
    have been divided by. The loss is that of the uniform
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
    n_updates: int = 0
    n_left_out: int = 0
    temperature: float = 1.0


@dataclass
class Standing:
    """Where the epochs of a fit stand, beside the result."""

    best: float = -math.inf
    weights: dict | None = None  # of the best epoch
    n_stale: int = 0
    aligning: bool = False  # when the epoch began

    def forget(self):
        """Start again."""
        self.best, self.weights, self.n_stale = -math.inf, None, 0


def evaluate(network, samples):
    """Exact match on `samples` and the share of time steps that are blank."""
    was_training = network.training
    network.eval()
    n_right, n_blank, n_steps = 0, 0, 0
    for log_probs, lengths, _, n in greedy_and_count(network, samples):
        n_right += n
        inside = np.arange(len(log_probs))[:, None] < lengths  # (T, N)
        n_blank += int(((log_probs.argmax(axis=2) == BLANK) & inside).sum())
        n_steps += int(lengths.sum())
    network.train(was_training)
    samples.release()
    return n_right / len(samples), n_blank / n_steps


def is_sound(network, samples):
    """Tell whether what the network reads in a few samples is finite."""
    read = run_network(network.eval(), samples.images[:8])
    return all(np.isfinite(log_probs).all() for _, log_probs, _ in read)


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
    checkpoint=None,
    team=None,
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
        which returns whether to stop; and by ``tasks.skip(n)`` of those of which it
        was told before training broke off.
    checkpoint : Checkpoint, optional
        Where to go on from, and what to keep the state in.
    team : Alone, optional
        The processes that train the network together, each of which calls this.

    Returns
    -------
    TrainingResult
        A keyboard interrupt ends the training early, as do the `tasks`, with the best
        weights so far.

    Raises
    ------
    ValueError
        If the loss or the gradients were not finite, and there are no good weights;
        or if the processes have not the same samples and settings.
    """
    team = Alone() if team is None else team
    if fits_on_device(samples, settings.device):
        samples = samples.put_on(settings.device)
    if team.size > 1:
        team.check_same(describe_job(shape, samples, settings, generator))
    updates_per_epoch = math.ceil(len(samples) / settings.batch_size)
    schedule = Schedule(
        symbol_entropy(samples.targets),
        settings.max_iter * updates_per_epoch,
        updates_per_epoch,
        aligned=aligned,
    )
    trainer = Trainer(shape, settings, schedule, generator, start, team)
    result = TrainingResult()
    if validation is not None:
        result.validation_scores = []
    standing, save = Standing(), None
    if checkpoint is not None:
        checkpoint.restore(trainer, standing, result)
        save = partial(checkpoint.save, trainer, standing, result)
    if tasks is not None:
        tasks.skip(result.n_iter)
    restart = False
    progress = tqdm(
        total=schedule.n_updates,
        initial=schedule.update,
        desc="Training",
        unit="update",
        disable=not settings.verbose or team.rank > 0,
    )
    try:
        while not (schedule.finished or result.stopped):
            if tasks is not None and not restart:
                tasks.begin()
            if not trainer.losses:  # else the epoch is one that goes on
                standing.aligning = schedule.stage == "alignment"
            loss, restart = run_epoch(trainer, samples, progress, save)
            progress.total = schedule.last_update
            if restart:
                good = None
                if schedule.diverged and result.converged and standing.weights:
                    trainer.network.load_state_dict(standing.weights)
                    if is_sound(trainer.network, samples):
                        good = trainer.network
                        schedule.begin_aligned()
                if good is None:
                    standing.forget()
                    result.best_validation_score = None
                trainer.begin(good)
                continue
            report = {"stage": schedule.stage, "loss": f"{loss:.3f}"}
            value = -loss
            if validation is not None:
                # Machines of different kinds might find different ones.
                value = team.first(evaluate(trainer.network, validation)[0])
                result.validation_scores.append(value)
                report["validation exact match"] = f"{value:.3f}"
            result.n_iter += 1
            result.loss_curve.append(loss)
            result.learning_rate_curve.append(trainer.learning_rate)
            progress.set_postfix(report)
            # Without validation the loss of the alignment says nothing of the next.
            if not standing.aligning or validation is not None:
                better = value > standing.best + settings.tol
                standing.n_stale = 0 if better else standing.n_stale + 1
                # Weights that nothing was learned with last may be destroyed.
                if not schedule.n_bad and value >= standing.best:
                    standing.best = value
                    standing.weights = copy_weights(trainer.network)
                    if validation is not None:
                        result.best_validation_score = value
                enough = standing.n_stale * updates_per_epoch >= LEAST_ANNEALING
                if enough and standing.n_stale >= settings.n_iter_no_change:
                    schedule.anneal()
            result.n_restarts = schedule.n_restarts
            result.converged = schedule.left_plateau or schedule.aligned
            if tasks is not None:
                result.stopped = team.any(tasks.end(trainer.network, result))
    except KeyboardInterrupt:
        result.interrupted = True
    finally:
        progress.close()
    early = result.interrupted or result.stopped
    failing = schedule.n_bad > 0 or schedule.diverged
    if result.interrupted and standing.weights is None and start is not None:
        trainer.begin()  # half an epoch is no reason to give up what could read
        failing = False
    result.network = trainer.network.eval()
    if standing.weights and (validation is not None or early or failing):
        result.network.load_state_dict(standing.weights)
    if failing and not (standing.weights and is_sound(result.network, samples)):
        raise ValueError(describe_failure(trainer))
    result.n_updates, result.n_left_out = schedule.update, trainer.n_left_out
    result.n_restarts = schedule.n_restarts
    result.converged = schedule.left_plateau or schedule.aligned
    if not result.interrupted:
        some = Samples(samples.images[:200], samples.targets[:200])
        share_right, result.blank_ratio = team.first(evaluate(result.network, some))
        # The smoothed loss lags behind a fit that was stopped.
        result.converged = share_right > (0 if schedule.left_plateau else 0.5)
        if validation is not None and result.converged:
            found = find_temperature(result.network, validation)
            result.temperature = team.first(found)
            divide_logits(result.network, result.temperature)
    return result


def fits_on_device(samples, device):
    """Tell whether a GPU has room for the images, which it then need not be sent."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    n_bytes = sum(math.prod(image.shape) for image in samples.images)
    return n_bytes <= _GPU_SHARE * free


def describe_job(shape, samples, settings, generator):
    """Return what has to be the same in processes that train together, by name."""
    return {
        "The network": repr(shape),
        "The number of samples": len(samples),
        "Some label": zlib.crc32(np.concatenate(samples.targets)),
        "Some image": zlib.crc32(np.array([image.shape for image in samples.images])),
        "`random_state`": generator.initial_seed(),
    } | {
        f"`{name}`": value
        for name, value in vars(settings).items()
        if name not in ("device", "verbose")
    }


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

    Raises
    ------
    ValueError
        If the loss or the gradients were not finite however low the rate was.
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
    trainer.n_left_out, trainer.most_at_once = 0, math.inf
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
        while restart or trainer.schedule.n_bad:
            if trainer.n_left_out and trainer.schedule.n_restarts > _MOST_RESTARTS:
                raise ValueError(describe_failure(trainer))
            if not restart:  # the epoch ended before it was seen what is to blame
                trainer.schedule.restart()
            trainer.begin()
            loss, restart = run_epoch(trainer, samples, progress)
        progress.set_postfix({"stage": trainer.schedule.stage, "loss": f"{loss:.3f}"})
    trainer.network.eval()
    return trainer, loss


def describe_failure(trainer):
    """Say what is wrong where no good weights are left."""
    return (
        f"Training failed: in {trainer.n_left_out} updates, the last one among them, "
        "the loss or the gradients were not finite (inf or NaN). Lower "
        f"learning_rate_init={trainer.settings.learning_rate_init!r}; where that does "
        "not help, the weights that it began with are to blame."
    )


def copy_weights(network):
    """Return the state of a network that training goes on with."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
