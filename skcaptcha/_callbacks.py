"""The epochs of a fit as tasks of scikit-learn's callbacks."""

import copy

from skcaptcha.model.network import for_reading


class EpochTasks:
    """Tells the callbacks of a recognizer of each epoch of its fit.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        The recognizer that is being fitted. It stays as it is.
    n_epochs : int
        Number of epochs at the most.
    X, y : list
        What callbacks are given as the training data.
    attributes : callable
        Makes of the network and the result so far the attributes with which the
        recognizer can read.
    """

    def __init__(self, recognizer, n_epochs, X, y, attributes):
        self.attributes = attributes
        self.task = {"estimator": recognizer, "X": X, "y": y}
        self.fit = recognizer._init_callback_context(max_subtasks=n_epochs)
        self.fit.call_on_fit_task_begin(**self.task)

    def finish(self):
        """End the fit, with the attributes that the recognizer has by now."""
        self.fit.call_on_fit_task_end(**self.task, reconstruction_attributes=dict)

    def skip(self, n_epochs):
        """Leave out epochs that were reported before the training broke off."""
        for _ in range(n_epochs):  # the identifiers of the others count on from them
            self.fit.subcontext(task_name="epoch")

    def on_epoch_begin(self):
        """Begin an epoch."""
        self.epoch = self.fit.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.task)

    def on_epoch_end(self, network, result):
        """End the epoch; return whether a callback asks to stop."""
        return self.epoch.call_on_fit_task_end(
            **self.task,
            # Only a callback that asks for a fitted estimator costs a copy.
            reconstruction_attributes=lambda: self.attributes(
                for_reading(copy.deepcopy(network)), result
            ),
        )
