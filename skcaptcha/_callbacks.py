"""The epochs of a fit as tasks of scikit-learn's callbacks."""

import copy

__all__ = ["EpochTasks"]


class EpochTasks:
    """Tells callbacks of each epoch, and what is to be kept of a fit.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        The recognizer that is being fitted.
    context : sklearn.callback.CallbackContext
        The task of the whole fit.
    X, y : list
        What callbacks are given as the training data.
    settled : dict
        Attributes that this fit has settled before its first epoch.
    earlier : dict of str to list of float
        The curves of the epochs before, by attribute.
    """

    def __init__(self, recognizer, context, X, y, *, settled, earlier):
        self.recognizer, self.context = recognizer, context
        self.X, self.y = X, y
        self.settled, self.earlier = settled, earlier

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
                copy.deepcopy(network).eval(), result
            ),
        )

    def attributes(self, network, result):
        """Return the attributes with which the recognizer can read."""
        network.auxiliary = None  # it helps in training alone
        network.freeze_convolutions(False)
        loss_curve = [*self.earlier["loss_curve_"], *result.loss_curve]
        scores = result.validation_scores
        return {
            **self.settled,
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
