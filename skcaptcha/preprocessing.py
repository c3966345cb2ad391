"""Bring images to the size that the network reads."""

import numpy as np
from PIL import Image

__all__ = ["resize_image"]


def resize_image(image, shape):
    """Resize an image.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.
    shape : tuple of int
        New height and width in pixels.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, 3), uint8
        The image by bilinear interpolation, over the whole covered area where it
        shrinks (as Pillow does), so that thin strokes are not lost. The image itself
        if it has the shape already.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import resize_image
    >>> resize_image(np.zeros((50, 200), dtype=np.uint8), (32, 128)).shape
    (32, 128)
    """
    if image.shape[:2] == tuple(shape):
        return image
    height, width = shape
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)
