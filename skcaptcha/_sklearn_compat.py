"""What scikit-learn before 1.9 lacks: its callbacks."""

import sklearn

__all__ = [
    "HAS_CALLBACKS",
    "CallbackContext",
    "CallbackSupportMixin",
    "FitCallback",
    "with_callbacks",
]

try:
    from sklearn.callback import (
        CallbackContext,
        CallbackSupportMixin,
        FitCallback,
        with_callbacks,
    )

    # What an estimator calls; its underscore allows for another name one day.
    HAS_CALLBACKS = hasattr(CallbackSupportMixin, "_init_callback_context")
except ImportError:
    HAS_CALLBACKS = False

if not HAS_CALLBACKS:
    CallbackContext = FitCallback = ()  # of which nothing is an instance

    class CallbackSupportMixin:
        """Says what callbacks need."""

        def set_callbacks(self, *callbacks):
            """Raise an ImportError."""
            raise ImportError(
                "Callbacks need scikit-learn 1.9, and this is "
                f"{sklearn.__version__}: pip install --upgrade scikit-learn"
            )

    def with_callbacks(method):
        """Return the method, which no callback hears of."""
        return method
