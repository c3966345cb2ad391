"""What a fit says of its training."""

import math
import os

from sklearn.exceptions import ConvergenceWarning

from skcaptcha.training.losses import symbol_entropy

__all__ = ["describe_result", "say_left_out"]


def describe_result(result, samples, checkpoint):
    """Say what the user has to know of a training."""
    left_out, notices = "", []
    if result.n_left_out:
        left_out = " " + say_left_out(result.n_left_out, result.n_updates)
    if result.interrupted:
        go_on = ""
        if checkpoint is not None and os.path.exists(checkpoint):
            path = os.fspath(checkpoint)
            go_on = f" checkpoint={path!r} is there to go on from."
        notices.append(
            (
                f"Training was interrupted in epoch {result.n_iter + 1}; the best "
                f"weights so far are kept.{go_on}{left_out}",
                UserWarning,
            )
        )
    elif not (result.converged or result.stopped):
        # There is no epoch where each was broken off by a new start.
        loss = result.loss_curve[-1] if result.loss_curve else math.nan
        notices.append(
            (
                f"The network has not learned to read in {result.n_iter} epochs: "
                f"{result.blank_ratio:.0%} of its time steps are blank, and its loss "
                f"is {loss:.2f} a character, where guessing by frequency gives "
                f"{symbol_entropy(samples.targets):.2f}. Check that each label belongs "
                f"to its image; then try more labeled images (now {len(samples)}), a "
                "larger `max_iter`, a larger `image_height` if the characters are small, or "
                f"another `learning_rate_init`.{left_out}",
                ConvergenceWarning,
            )
        )
    elif left_out:
        notices.append((left_out.strip(), ConvergenceWarning))
    return notices


def say_left_out(n_left_out, n_updates=None):
    """Say how many updates were left out, and what to do about it."""
    of_all = "" if n_updates is None else f" of {n_updates}"
    return (
        f"In {n_left_out}{of_all} updates the loss or the gradients were not finite "
        "(inf or NaN). Nothing was learned from them, and the best weights are kept. "
        "If there are many, lower `learning_rate_init`."
    )
