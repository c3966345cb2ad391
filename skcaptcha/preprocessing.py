"""Bring images to the size that the network reads."""

import numpy as np
from PIL import Image

__all__ = ["resize_to_height"]


def resize_to_height(image, height, *, stretch=1.0, multiple=1, min_width=1):
    """Resize an image to a height, its aspect ratio kept.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.
    height : int
        New height in pixels.
    stretch : float, default=1.0
        Widens (above 1) or narrows the image beyond what the height asks for.
    multiple : int, default=1
        The new width is rounded to a multiple of this.
    min_width : int, default=1
        Narrower images are widened to this, a multiple of `multiple`.

    Returns
    -------
    ndarray of shape (height, W') or (height, W', 3), uint8
        The image by bilinear interpolation, over the whole covered area where it
        shrinks (as Pillow does), so that thin strokes are not lost.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import resize_to_height
    >>> resize_to_height(np.zeros((50, 200), dtype=np.uint8), 32, multiple=4).shape
    (32, 128)
    """
    width = image.shape[1] * height / image.shape[0] * stretch
    width = max(min_width, round(width / multiple) * multiple)
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)
