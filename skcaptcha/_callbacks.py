"""The epochs of a fit as tasks of scikit-learn's callbacks."""

import copy
import dataclasses
import math

__all__ = ["EpochTasks", "for_reading"]


class EpochTasks:
    """Tells callbacks of each epoch, and what is to be kept of a fit.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        The recognizer that is being fitted. It stays as it is.
    context : sklearn.callback.CallbackContext
        The task of the whole fit.
    data : object
        What the fit has read.
    choices : AutoChoices
        What each "auto" has become.
    """

    def __init__(self, recognizer, context, data, choices):
        self.recognizer, self.context = recognizer, context
        self.X, self.y = data.X, data.texts
        losses = recognizer.loss_curve_ if data.resume else []
        rates = [math.nan] * len(losses)  # a model may be older than this attribute
        if data.resume:
            rates = vars(recognizer).get("learning_rate_curve_", rates)
        self.earlier = {"loss_curve_": losses, "learning_rate_curve_": rates}
        background = recognizer.background
        self.known = {
            **data.table,
            "vocabulary_": data.vocabulary,
            "background_": recognizer.background_ if data.resume else background,
            "image_height_": data.input_size["height"],
            "text_rows_": data.input_size["rows"],
            "width_stretch_": data.input_size["stretch"],
            "color_mode_": data.input_size["color_mode"],
            "auto_choices_": dataclasses.asdict(choices),
            "_network_config": data.network_config,
        }

    def finish(self):
        """End the fit."""
        self.context.call_on_fit_task_end(
            estimator=self.recognizer,
            X=self.X,
            y=self.y,
            reconstruction_attributes=dict,
        )

    def skip(self, n_epochs):
        """Leave out epochs that were told of before training broke off."""
        for _ in range(n_epochs):  # the identifiers of the others count on from them
            self.context.subcontext(task_name="epoch")

    def on_epoch_begin(self):
        """Begin an epoch."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.recognizer, X=self.X, y=self.y)

    def on_epoch_end(self, network, result):
        """End the epoch; return whether a callback asks to stop."""
        return self.task.call_on_fit_task_end(
            estimator=self.recognizer,
            X=self.X,
            y=self.y,
            reconstruction_attributes=lambda: self.attributes(
                for_reading(copy.deepcopy(network)), result
            ),
        )

    def attributes(self, network, result):
        """Return the attributes with which the recognizer can read."""
        loss_curve = [*self.earlier["loss_curve_"], *result.loss_curve]
        scores = result.validation_scores
        return {
            **self.known,
            "network_": network,
            "loss_curve_": loss_curve,
            "learning_rate_curve_": [
                *self.earlier["learning_rate_curve_"],
                *result.learning_rate_curve,
            ],
            "n_iter_": len(loss_curve),
            "validation_scores_": None if scores is None else list(scores),
            "best_validation_score_": result.best_validation_score,
            "n_restarts_": result.n_restarts,
            "temperature_": result.temperature,
            "converged_": result.converged,
        }


def for_reading(network):
    """Take from a network what helps in training alone."""
    network.auxiliary = None
    network.freeze_convolutions(False)
    return network.eval()
