"""A grid of images under their captions."""

import math
from dataclasses import dataclass

import numpy as np

from skcaptcha.plotting._axes import (
    check_count,
    draw_panels,
    draw_title,
    measure_axes,
    prepare_axes,
)

__all__ = ["Caption", "draw_grid"]

FIGURE_WIDTH = 8.0  # inches
FONT_SIZE = 11.0  # points, or fewer where the longest text needs it
LINE = 1.25  # height of a line in units of the font size
SMALL, GRAY = 0.8, "0.45"  # size and color of the note


@dataclass
class Caption:
    """What stands above an image: a text of up to two lines, and a short note."""

    text: str
    color: str | None = None  # None for that of any text
    note: str = ""

    @property
    def n_lines(self):
        """Number of lines."""
        return self.text.count("\n") + bool(self.text)

    def measure(self, fonts):
        """Return the width in units of the font size."""
        width = fonts.measure(self.text)
        if self.note:  # which stands apart
            width += SMALL * (fonts.measure(self.note) + 1.2)
        return max(1, width)


def draw_grid(
    pyplot, ax, images, captions, fonts, *, beside, n_columns, max_images, title
):
    """Draw images row by row, each under its caption.

    Parameters
    ----------
    pyplot : module
        matplotlib's pyplot.
    ax : matplotlib Axes or None
        Axes whose area the grid takes up. None makes a figure just high enough.
    images : sequence of ndarray of uint8
        The images, at least one.
    captions : list of Caption
        What stands above each.
    fonts : Fonts
        The fonts of the captions.
    beside : sequence of ndarray of uint8 or None
        A second image of each, drawn at its right.
    n_columns : int
        Number of images side by side, at most; a pair counts as two.
    max_images : int or None
        Number of images or pairs to draw; None draws all.
    title : str or None
        Heading above the grid.

    Returns
    -------
    figure : matplotlib Figure
    axes : ndarray of matplotlib Axes, shape (n_images_shown,) or (n_images_shown, 2)
        Those of the images.
    """
    check_count("n_columns", n_columns)
    if max_images is not None:
        check_count("max_images", max_images)
    captions = captions[:max_images]
    together = [images] if beside is None else [images, beside]
    n_together = len(together)
    shown = [image for group in zip(*together, strict=True) for image in group]
    shown = shown[: n_together * len(captions)]
    n_columns = min(max(1, n_columns // n_together), len(captions))
    n_rows = math.ceil(len(captions) / n_columns)
    rows = [captions[i * n_columns : (i + 1) * n_columns] for i in range(n_rows)]
    n_lines = sum(max(caption.n_lines for caption in row) for row in rows)
    slope = min(1, np.median([image.shape[0] / image.shape[1] for image in shown]))

    def choose_height(width):
        image_height = slope * width / n_columns / n_together
        return n_rows * (image_height + FONT_SIZE) + LINE * FONT_SIZE * n_lines

    width = 72 * min(FIGURE_WIDTH, 3 * n_columns * n_together)
    height = choose_height(width) + (2 * FONT_SIZE if title else 0)
    ax = prepare_axes(pyplot, ax, figsize=(width / 72, height / 72))
    draw_title(ax, title, FONT_SIZE, loc="left")
    width, height = measure_axes(ax)
    used = min(1, choose_height(width) / height)
    lengths = np.array([caption.measure(fonts) for caption in captions])
    room = 0.95 * width / n_columns
    # A caption that is much longer than others has a smaller font than they have.
    longest = min(lengths.max(), 1.5 * np.median(lengths))
    size = min(FONT_SIZE, room / longest, 0.5 * height / LINE / max(1, n_lines))
    sizes = np.minimum(size, room / lengths)

    def draw(panels):
        above = zip(panels[::n_together], captions, sizes, sizes * lengths, strict=True)
        for panel, caption, size, length in above:
            # Its note is at the right end of the image, or of a text that is longer.
            width, height = measure_axes(panel)
            is_short = length <= min(width, height / slope)
            _draw_caption(panel, caption, size, is_short, fonts)
        for panel, image in zip(panels, shown, strict=True):
            panel.imshow(image, cmap="gray", vmin=0, vmax=255)
            panel.set(anchor="NW", xticks=[], yticks=[])
            panel.spines[:].set(color="0.8", linewidth=0.5)
        if beside is not None:
            for panel in panels[1::2]:
                panel.set_ylabel("→", rotation=0, ha="right", va="center", color=GRAY)

    shape, rect = (n_rows, n_columns * n_together), (0, 1 - used, 1, used)
    axes = draw_panels(ax, draw, shape, len(shown), rect=rect)
    return ax.figure, axes if beside is None else axes.reshape(-1, 2)


def _draw_caption(panel, caption, size, is_short, fonts):
    """Write the caption above an image."""
    text = panel.set_title(
        caption.text, loc="left", y=1, pad=0.35 * size, fontsize=size, **fonts.style
    )
    if caption.color is not None:
        text.set_color(caption.color)
    panel.annotate(
        caption.note,
        (1, 1),
        xycoords=("axes fraction", text) if is_short else text,
        xytext=(0 if is_short else 0.8 * size, -0.55 * size),
        textcoords="offset points",
        ha="right" if is_short else "left",
        va="center",
        color=GRAY,
        fontsize=SMALL * size,
        in_layout=False,  # as `size` leaves room for it
        **fonts.style,
    )
