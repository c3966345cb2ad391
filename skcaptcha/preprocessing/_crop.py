"""Images cut to where their text stands."""

from numbers import Real

import numpy as np
from PIL import Image, ImageFilter

from skcaptcha.images import to_grayscale
from skcaptcha.preprocessing._functions import check_image, list_border

# What of the greatest ink of the rows, or columns, is text, above that of the others;
# on even paper less is, such as the tail of a single letter.
_TEXT_SHARE, _TEXT_SHARE_ON_EVEN = 0.1, 0.05
# The quantile of the ink of all pixels that is paper, even if little of it is left
# around the text, and the factor from it to the mean ink of noise of a normal
# distribution.
_OF_PAPER, _TO_MEAN = 0.3, 2.1
# Gray levels by which the rows with text differ from those without, at the least.
_LEAST_INK = 4
# Gray levels by which an even margin may vary, as in a JPEG, and by which the paper of
# an image differs from a frame of another color.
_FLAT, _FRAME = 8, 16


def crop_margins(image, *, margin=0.1):
    """Cut an image to where its text stands.

    What is as even as the edges of the image is cut off first. Of the rest, rows and
    columns are text from the first to the last that has clearly more ink than those
    with the least. Ink is the distance from the level of the paper, which the edges
    have, so text may be dark or light; a local mean takes noise away first.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image. A color image is judged by its luma.
    margin : float, default=0.1
        What to leave around the text where the image, or its paper, reaches so far: a
        share of the height of the text, from 0 to 10.

    Returns
    -------
    ndarray of shape (H', W') or (H', W', 3), uint8
        The part of the image, a copy; the image itself, not copied, where there is
        nothing to cut or no ink.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, or `margin` is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import crop_margins
    >>> image = np.full((60, 90), 255, dtype=np.uint8)
    >>> image[20:40, 30:70:5] = 0  # rows 20 to 39, columns 30 to 65
    >>> crop_margins(image, margin=0.25).shape
    (30, 46)
    """
    image = check_image(image)
    if not isinstance(margin, Real) or not 0 <= margin <= 10:
        raise ValueError(f"margin={margin!r}; pass a number from 0 to 10.")
    gray = to_grayscale(image)
    whole = tuple(slice(0, length) for length in gray.shape)
    paper = np.float32(np.median(list_border(gray)))
    marked = np.abs(gray - paper) > _FLAT
    if not marked.any():
        return image
    inside = _span(marked.any(axis=1)), _span(marked.any(axis=0))
    is_framed = abs(np.median(gray[inside]) - paper) > _FRAME
    if is_framed:  # which is no margin to leave
        whole = inside
    edge = np.float32(np.median(list_border(gray[inside])))
    if is_framed or abs(edge - paper) <= _FRAME:  # else it is text
        paper = edge
    text = tuple(
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(inside, _find_text(gray[inside], paper), strict=True)
    )
    room = round(margin * (text[0].stop - text[0].start))
    part = tuple(
        slice(max(inner.start - room, outer.start), min(inner.stop + room, outer.stop))
        for inner, outer in zip(text, whole, strict=True)
    )
    cut = image[part]
    return image if cut.shape == image.shape else cut.copy()


def _find_text(gray, paper):
    """Return the rows and the columns of the text in an image (H, W), as slices."""
    smooth = np.asarray(Image.fromarray(gray).filter(ImageFilter.BoxBlur(1)))
    ink = np.abs(smooth - paper)
    # The local mean is that of strokes, too, beside these.
    grain = min(
        np.quantile(values, _OF_PAPER) for values in (np.abs(gray - paper), ink)
    )
    grain *= _TO_MEAN
    rows = _find_inked(ink.mean(axis=1), grain)
    return rows, _find_inked(ink[rows].mean(axis=0), grain)


def _find_inked(profile, grain):
    """Return from where to where there is text, by the ink of each row or column.

    `grain` is the mean ink of paper. In all rows or columns there may be text.
    """
    low, high = np.quantile(profile, [0.05, 0.95])
    low = min(low, grain)
    if high - low < max(_LEAST_INK, low / 2):
        return slice(0, len(profile))
    share = _TEXT_SHARE_ON_EVEN if grain < _LEAST_INK else _TEXT_SHARE
    return _span(profile > low + share * (high - low))


def _span(is_there):
    """Return the slice from the first place where something is to the last."""
    places = np.flatnonzero(is_there)
    return slice(int(places[0]), int(places[-1]) + 1)
