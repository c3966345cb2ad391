"""What becomes of images that cannot be read."""

import warnings

from skcaptcha.exceptions import SkippedImageWarning

__all__ = ["Skipped"]

# How many of those that were skipped a warning names.
_NAMED = 5


class Skipped:
    """The images that are skipped, and why.

    Parameters
    ----------
    on_error : {"raise", "skip"}
        What is to become of an image that cannot be read.

    Attributes
    ----------
    reasons : dict of int to str
        The message of the error of each image skipped so far, by its position. The
        errors themselves would keep alive what their frames hold.

    Raises
    ------
    ValueError
        If `on_error` is something else.
    """

    def __init__(self, on_error="raise"):
        if not isinstance(on_error, str) or on_error not in ("raise", "skip"):
            raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'.")
        self._skip = on_error == "skip"
        self.reasons = {}

    def add(self, position, error):
        """Note why an image is skipped; tell whether it is, or the error to be raised.

        Several threads may do so at once.
        """
        if self._skip:
            self.reasons[position] = str(error)
        return self._skip

    def warn(self, n_images, where="", stacklevel=3):
        """Warn of what was skipped, if anything was, as if from the caller's caller."""
        if not self.reasons:
            return
        named = [self.reasons[position] for position in sorted(self.reasons)[:_NAMED]]
        more = len(self.reasons) - len(named)
        warnings.warn(
            f"{len(self.reasons)} of {n_images} images{where} were skipped: "
            + " ".join(named)
            + (f" And {more} more." if more else ""),
            SkippedImageWarning,
            stacklevel=stacklevel,
        )
