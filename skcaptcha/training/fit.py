"""Training of the network: a whole fit, or one epoch of a training without an end.

Both go through the loop in `fit_network`. What an update does stands in `step`, and
when to do what in `schedule`.
"""

import copy
import math
import sys
import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skcaptcha._modes import own_modes
from skcaptcha.model.calibration import divide_logits, find_temperature
from skcaptcha.model.inference import greedy_and_count, run_network
from skcaptcha.model.network import for_reading
from skcaptcha.training.distributed import SingleProcess
from skcaptcha.training.losses import symbol_entropy
from skcaptcha.training.progress import show_end, show_progress
from skcaptcha.training.schedule import LEAST_ANNEALING, Schedule
from skcaptcha.training.step import Trainer
from skcaptcha.vocabulary import BLANK

# Share of a GPU's free memory that the training images may take.
_GPU_SHARE = 0.25
# New starts that a single epoch takes at the most.
_MOST_RESTARTS = 5
# Samples that tell what the network has learned, and whether its output is finite.
_SOME, _FEW = 200, 8


@dataclass(frozen=True)
class TrainingConfig:
    """What training has to know beside the samples and the network."""

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
    """What training found.

    The curves have a value for each epoch; one that a new start broke off does not
    count. The loss is that of the uniform alignment at first and of CTC later, either
    without that of the auxiliary head. The logits have been divided by `temperature`.
    `warnings` holds (message, category) of all that the user should know.
    """

    network: torch.nn.Module | None = None
    loss_curve: list = field(default_factory=list)
    learning_rate_curve: list = field(default_factory=list)
    validation_scores: list | None = None
    best_validation_score: float | None = None
    n_restarts: int = 0
    interrupted: bool = False
    stopped: bool = False  # by a callback
    converged: bool = False
    blank_ratio: float = 1.0
    n_updates: int = 0
    n_skipped_updates: int = 0
    temperature: float = 1.0
    warnings: list = field(default_factory=list)

    @property
    def n_iter(self):
        """Number of epochs."""
        return len(self.loss_curve)


@dataclass
class BestState:
    """The best weights so far, and how long ago they were found."""

    value: float = -math.inf  # exact match, or the negative loss
    weights: dict | None = None
    n_stale: int = 0  # epochs without an improvement that counts
    aligning: bool = False  # when the present epoch began

    def update(self, value, trainer):
        """Take in the value of an epoch; tell whether the weights are the best ones."""
        better = value > self.value + trainer.training_config.tol
        self.n_stale = 0 if better else self.n_stale + 1
        # Weights that nothing was learned with last may be destroyed.
        best = value >= self.value and not trainer.schedule.n_bad
        if best:
            self.value, self.weights = value, copy_weights(trainer.network)
        return best

    def forget(self):
        """Start again."""
        self.value, self.weights, self.n_stale = -math.inf, None, 0


def is_part_of_more():
    """Tell whether scikit-learn or joblib calls the fit, as a search or pipeline does.

    The user has then called something else, which would continue after a fit that ends.
    """
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        callbacks = name.startswith("sklearn.callback.")  # around every fit
        if name.partition(".")[0] in ("sklearn", "joblib") and not callbacks:
            return True
        if name == "skcaptcha._pseudo_labels":  # the rounds of self-training
            return True
        frame = frame.f_back
    return False


@own_modes()
def fit_network(
    network_config,
    samples,
    validation,
    training_config,
    generator,
    *,
    start=None,
    aligned=False,
    callbacks=None,
    checkpoint=None,
    processes=None,
    trainer=None,
    find_causes=list,
):
    """Train a network; return a TrainingResult.

    `samples` are learned from; the best weights are chosen on `validation`, unless it
    is None. All random numbers come from `generator`, which is on the CPU. A keyboard
    interrupt ends the training early, as `callbacks` can, with the best weights so far.

    Parameters
    ----------
    network_config : dict
        The parameters of `CRNN`.
    samples, validation : Samples
    training_config : TrainingConfig
    generator : torch.Generator
    start : CRNN, optional
        Network to start from, which stays as it is.
    aligned : bool, default=False
        Whether `start` can read already, so that no alignment is needed.
    callbacks : EpochTasks, optional
    checkpoint : Checkpoint, optional
        Where to resume from, and what to keep the state in.
    processes : SingleProcess, optional
        The processes that train the network together, each of which calls this.
    trainer : Trainer, optional
        For one epoch of a training without an end; see `fit_one_epoch`.
    find_causes : callable, optional
        Returns texts that say why nothing was learned, where that is so.

    Returns
    -------
    TrainingResult
        A keyboard interrupt ends the training early, as do the callbacks, with the best
        weights so far, unless the fit is part of a search, pipeline or ensemble.

    Raises
    ------
    ValueError
        If the loss or the gradients were not finite, and there are no good weights;
        or if the processes differ in their samples or parameters.
    KeyboardInterrupt
        If there was one, and the fit is part of more.
    """
    config = training_config
    processes = SingleProcess() if processes is None else processes
    if fits_on_device(samples, config.device):
        samples = samples.put_on(config.device)  # once, and not batch by batch
    if processes.size > 1:
        processes.check_same(describe_job(network_config, samples, config, generator))
    if trainer is None:
        schedule = make_schedule(samples, config, aligned)
        trainer = Trainer(network_config, config, schedule, generator, start, processes)
    schedule, best = trainer.schedule, BestState()
    result = TrainingResult(validation_scores=None if validation is None else [])
    if checkpoint is not None:
        checkpoint.restore(trainer, best, result)
    if callbacks is not None:
        callbacks.skip(result.n_iter)
    restart = False
    try:
        with show_progress(trainer) as progress:
            while not (schedule.finished or result.stopped):
                if callbacks is not None and not restart:
                    callbacks.on_epoch_begin()
                if not trainer.n_done:  # else this is the rest of an epoch
                    best.aligning = schedule.stage == "alignment"
                for batch in trainer.batches(samples):
                    if checkpoint is not None:
                        checkpoint.save(trainer, best, result)
                    loss = trainer.train_step(
                        batch.images, batch.targets, batch.weights
                    )
                    trainer.note(loss)
                    progress.update()
                    restart = trainer.read_losses(trainer.n_ahead)
                    if restart or schedule.finished:
                        break
                restart = trainer.read_losses() or restart
                loss = trainer.end_epoch()
                if schedule.endless and schedule.n_bad:
                    # No later epoch will show whether the weights are destroyed.
                    restart = schedule.restart()
                if restart:
                    begin_again(trainer, samples, best, result)
                    continue
                end_epoch(trainer, validation, best, result, loss, progress)
                if callbacks is not None:
                    stop = callbacks.on_epoch_end(trainer.network, result)
                    result.stopped = processes.any(stop)
                if schedule.endless:
                    break
    except KeyboardInterrupt:
        # Half of an only epoch is nothing to keep, and a search should end as a whole.
        if schedule.endless or is_part_of_more():
            raise
        result.interrupted = True
    parts = trainer, samples, validation, checkpoint, best, result, find_causes
    try:
        finish(*parts)
    except KeyboardInterrupt:
        if schedule.endless or is_part_of_more():
            raise
        result.interrupted = True  # so that it is neither judged nor calibrated
        finish(*parts)
    return result


@own_modes()
def fit_one_epoch(
    trainer, network_config, samples, training_config, generator, *, start, aligned
):
    """Train for one epoch, whatever comes after it; return a trainer and the result.

    `trainer` is what an earlier call returned, or None. It stays as it is; the next
    call trains a copy. The other arguments are as for `fit_network`, and `start` is the
    network that the earlier call found. A ValueError is raised if the loss or the
    gradients were not finite however low the rate was.
    """
    if trainer is None:
        schedule = make_schedule(samples, training_config, aligned, endless=True)
        trainer = Trainer(network_config, training_config, schedule, generator, start)
    else:
        trainer = copy.deepcopy(trainer)
        trainer.resume(network_config, training_config, samples, start)
    result = fit_network(
        network_config, samples, None, training_config, generator, trainer=trainer
    )
    return trainer, result


def begin_again(trainer, samples, best, result):
    """Begin with the best weights, where there are some that can read, or anew."""
    schedule = trainer.schedule
    if schedule.diverged and result.converged and best.weights:
        trainer.network.load_state_dict(best.weights)
        if is_finite(trainer.network, samples):
            schedule.begin_aligned()
            trainer.begin(trainer.network)
            return
    too_often = schedule.endless and schedule.n_restarts > _MOST_RESTARTS
    if too_often and trainer.n_skipped_updates:
        raise ValueError(describe_failure(trainer))
    best.forget()
    result.best_validation_score = None
    trainer.begin()


def end_epoch(trainer, validation, best, result, loss, progress):
    """Validate, keep the weights if they are the best, maybe begin to anneal."""
    config, schedule = trainer.training_config, trainer.schedule
    report = {"stage": schedule.stage, "loss": f"{loss:.3f}"}
    value = -loss
    if validation is not None:
        match, _ = evaluate(trainer.network, validation, trainer.warnings)
        value = trainer.processes.first(match)  # other machines may find another one
        result.validation_scores.append(value)
        report["validation exact match"] = f"{value:.3f}"
    result.loss_curve.append(loss)
    result.learning_rate_curve.append(trainer.learning_rate)
    # Without validation the loss of the alignment says nothing of the next.
    if not best.aligning or validation is not None:
        if best.update(value, trainer) and validation is not None:
            result.best_validation_score = value
        enough = best.n_stale * schedule.updates_per_epoch >= LEAST_ANNEALING
        if enough and best.n_stale >= config.n_iter_no_change:
            schedule.anneal()
    result.n_restarts = schedule.n_restarts
    result.converged = has_converged(schedule)
    progress.set_postfix(report)
    if not schedule.endless:
        show_end(progress, schedule)


def finish(trainer, samples, validation, checkpoint, best, result, find_causes):
    """Choose the weights, judge and calibrate them, and say what went wrong."""
    schedule, first = trainer.schedule, trainer.processes.first
    early = result.interrupted or result.stopped
    failing = schedule.n_bad > 0 or schedule.diverged
    if result.interrupted and best.weights is None and trainer.start is not None:
        trainer.begin()  # half an epoch is no reason to give up what could read
        failing = False
    result.network, result.temperature = trainer.network.eval(), 1.0
    if best.weights and (validation is not None or early or failing):
        load_weights(result.network, best.weights)
    if failing and not (best.weights and is_finite(result.network, samples)):
        raise ValueError(describe_failure(trainer))
    share_right = None
    if not (result.interrupted or schedule.endless):
        # To read nothing where there is nothing is no reading.
        with_text = [i for i, target in enumerate(samples.targets) if len(target)]
        some = samples.pick((with_text or range(len(samples)))[:_SOME])
        found = first(evaluate(result.network, some, trainer.warnings))
        share_right, result.blank_ratio = found
    result.converged = has_converged(schedule, share_right)
    if result.converged and validation is not None and not result.interrupted:
        result.temperature = first(find_temperature(result.network, validation))
        divide_logits(result.network, result.temperature)
    if not schedule.endless:
        for_reading(result.network)
    result.n_updates, result.n_restarts = schedule.update, schedule.n_restarts
    result.n_skipped_updates = trainer.n_skipped_updates
    if trainer.processes.rank == 0:  # the others would say the same
        targets = samples.targets + ([] if validation is None else validation.targets)
        result.warnings = list_warnings(
            trainer, targets, checkpoint, result, find_causes
        )


def has_converged(schedule, share_right=None):
    """Tell whether the network has learned to read.

    While it trains, its loss tells. That is smoothed and lags behind a fit that was
    stopped, so in the end the share counts that it reads of some training samples.
    """
    if share_right is None:
        return schedule.left_plateau or schedule.aligned
    return share_right > (0 if schedule.left_plateau else 0.5)


def list_warnings(trainer, targets, checkpoint, result, find_causes):
    """Return (message, category) of all that the user should know of a training.

    `targets` are those of all samples, the held-out ones among them.
    """
    told = list(dict.fromkeys(trainer.warnings))
    if checkpoint is not None:
        told += checkpoint.warnings
    skipped = ""
    if result.n_skipped_updates:
        n_updates = None if trainer.schedule.endless else result.n_updates
        skipped = skipped_updates_message(result.n_skipped_updates, n_updates)
    if result.interrupted:
        there = checkpoint is not None and checkpoint.path.exists()
        resume = f" {checkpoint.name} is there to resume from." if there else ""
        message = (
            f"Training was interrupted in epoch {result.n_iter + 1}; the best weights "
            f"so far are kept.{resume} {skipped}"
        )
        told.append((message.rstrip(), UserWarning))
    elif not (result.converged or result.stopped or trainer.schedule.endless):
        # There is no epoch where each was broken off by a new start.
        loss = result.loss_curve[-1] if result.loss_curve else math.nan
        causes = "".join(f"\n- {cause}" for cause in find_causes())
        causes = f"Likely causes:{causes}\nIf not, check" if causes else "Check"
        message = (
            f"The network has not learned to read in {result.n_iter} epochs: "
            f"{result.blank_ratio:.0%} of its time steps are blank, and its loss "
            f"is {loss:.2f} a character, where guessing by frequency gives "
            f"{symbol_entropy(targets):.2f}. {causes} that each label belongs to "
            f"its image; then try more labeled images (now {len(targets)}), a larger "
            "`max_iter`, a larger `image_height` if the characters are small, or "
            f"another `learning_rate_init`. {skipped}"
        )
        told.append((message.rstrip(), ConvergenceWarning))
    elif skipped:
        told.append((skipped, ConvergenceWarning))
    return told


def skipped_updates_message(n_skipped_updates, n_updates=None):
    """Say how many updates were skipped, and what to do about it."""
    of_all = "" if n_updates is None else f" of {n_updates}"
    return (
        f"In {n_skipped_updates}{of_all} updates the loss or the gradients were not "
        "finite (inf or NaN). Nothing was learned from them, and the best weights are "
        "kept. If there are many, lower `learning_rate_init`."
    )


def describe_failure(trainer):
    """Say what is wrong where no good weights are left."""
    return (
        f"Training failed: in {trainer.n_skipped_updates} updates, the last one among "
        "them, the loss or the gradients were not finite (inf or NaN). Lower "
        f"learning_rate_init={trainer.training_config.learning_rate_init!r}; where "
        "that does not help, the weights that it began with are the cause."
    )


def make_schedule(samples, config, aligned, *, endless=False):
    """Return the schedule of a fit, or of training whose end nobody knows."""
    updates = math.ceil(len(samples) / config.batch_size)
    n_updates = math.inf if endless else config.max_iter * updates
    entropy = symbol_entropy(samples.targets)
    return Schedule(entropy, n_updates, updates, aligned=aligned)


def fits_on_device(samples, device):
    """Tell whether a GPU has room for the images, which it then need not be sent."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    n_bytes = sum(math.prod(image.shape) for image in samples.images)
    return n_bytes <= _GPU_SHARE * free


def describe_job(network_config, samples, training_config, generator):
    """Return what has to be the same in processes that train together, by name."""
    return {
        "The network": repr(network_config),
        "The number of samples": len(samples),
        "Some label": zlib.crc32(np.concatenate(samples.targets)),
        "Some image": zlib.crc32(np.array([image.shape for image in samples.images])),
        "`random_state`": generator.initial_seed(),
        "The kind of device": training_config.device.type,
        "`sample_weight`": samples.weights is not None and zlib.crc32(samples.weights),
    } | {
        f"`{name}`": value
        for name, value in vars(training_config).items()
        if name not in ("device", "verbose")
    }


def evaluate(network, samples, warnings=None):
    """Return the exact match on samples and the share of time steps that are blank."""
    was_training = network.training
    network.eval()
    n_right, n_blank, n_steps = 0, 0, 0
    for log_probs, lengths, _, n in greedy_and_count(network, samples, warnings):
        n_right += n
        inside = np.arange(len(log_probs))[:, None] < lengths  # (T, N)
        n_blank += int(((log_probs.argmax(axis=2) == BLANK) & inside).sum())
        n_steps += int(lengths.sum())
    network.train(was_training)
    samples.release()
    return n_right / len(samples), n_blank / n_steps


def is_finite(network, samples):
    """Tell whether what the network reads in a few samples is finite."""
    read = run_network(network.eval(), samples.images[:_FEW])
    return all(np.isfinite(log_probs).all() for _, log_probs, _ in read)


def load_weights(network, weights):
    """Load weights, but for those of a head that the network no longer has."""
    network.load_state_dict({name: weights[name] for name in network.state_dict()})


def copy_weights(network):
    """Return a copy of the weights of a network that trains further."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
