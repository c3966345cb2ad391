"""A grid of images under their captions."""

import math

import numpy as np

from skcaptcha._validation import refuse_single_image
from skcaptcha.plotting import _axes
from skcaptcha.plotting._fonts import Fonts

FIGURE_WIDTH = 8.0  # inches
FONT_SIZE = 11.0  # points, or fewer where the longest text needs it
LINE = 1.25  # height of a line in units of the font size
SMALL, GRAY = 0.8, "0.45"  # size and color of the note


class GridMixin:
    """Draws the `images` of a display, each with what `preprocessed` has for it.

    Above each stand a text of up to two lines, of a color or None, and a short note, as
    `_list_captions` returns them.
    """

    def plot(self, *, ax=None, n_columns=4, max_images=16, title=None):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up, at the size they have now. By default a
            new figure is made, just high enough for the grid.
        n_columns : int, default=4
            Number of images side by side, at most; a pair counts as two.
        max_images : int or None, default=16
            Number of images or pairs shown, the first ones; None shows all.
        title : str, default=None
            Heading above the grid.

        Returns
        -------
        SamplesDisplay, PredictionDisplay or LabelIssuesDisplay
            This object.

        Raises
        ------
        ImportError, TypeError, ValueError
            If matplotlib is not installed, a text is no str, `ax` no Axes, there are no
            images, lengths differ, or a parameter is out of range.
        """
        fonts = Fonts()
        refuse_single_image(self.images, "images")
        _axes.check_count("n_columns", n_columns)
        _axes.check_count("max_images", max_images, optional=True)
        captions = self._list_captions(fonts)[:max_images]
        beside = getattr(self, "preprocessed", None)
        together = [self.images] if beside is None else [self.images, beside]
        shown = [image for group in zip(*together, strict=True) for image in group]
        shown = shown[: len(together) * len(captions)]
        n_columns = min(max(1, n_columns // len(together)), len(captions))
        n_rows = math.ceil(len(captions) / n_columns)
        shape = n_rows, n_columns * len(together)
        lines = [text.count("\n") + bool(text) for text, _, _ in captions]
        n_lines = sum(max(lines[i * n_columns :][:n_columns]) for i in range(n_rows))
        slope = min(1, np.median([image.shape[0] / image.shape[1] for image in shown]))

        def choose_height(width):
            image_height = slope * width / shape[1]
            return n_rows * (image_height + FONT_SIZE) + n_lines * LINE * FONT_SIZE

        width = 72 * min(FIGURE_WIDTH, 3 * shape[1])
        height = choose_height(width) + (2 * FONT_SIZE if title else 0)
        ax = _axes.prepare_axes(ax, (width / 72, height / 72))
        _axes.draw_title(ax, [title], FONT_SIZE)
        width, height = _axes.claim_area(ax)
        lengths = [_measure(text, note, fonts) for text, _, note in captions]
        room = 0.8 * width / n_columns
        # A caption that is much longer than others has a smaller font than they have.
        longest = min(max(lengths), 1.5 * np.median(lengths))
        size = min(FONT_SIZE, room / longest, 0.42 * height / LINE / max(1, n_lines))
        sizes = np.minimum(size, room / np.array(lengths))

        def draw(panels):
            first = panels[:: len(together)]
            for panel, *of_caption in zip(first, captions, sizes, lengths, strict=True):
                _draw_caption(panel, *of_caption, slope, fonts)
            for panel, image in zip(panels, shown, strict=True):
                panel.imshow(image, cmap="gray", vmin=0, vmax=255)
                panel.set(anchor="NW", xticks=[], yticks=[])
                panel.spines[:].set(color="0.8", linewidth=0.5)
            if beside is not None:
                style = {"rotation": 0, "ha": "right", "va": "center", "color": GRAY}
                for panel, size in zip(panels[1::2], sizes, strict=True):
                    panel.set_ylabel("→", fontsize=size, labelpad=size / 4, **style)

        used = min(1, choose_height(width) / height)
        rect = (0, 1 - used, 1, used)
        axes = _axes.draw_panels(ax, draw, shape, len(shown), rect=rect)
        self.axes_ = axes if beside is None else axes.reshape(-1, 2)
        self.figure_ = ax.figure
        return self

    def _check_lengths(self, *names):
        """Raise a ValueError unless each attribute has an item for each image."""
        n_images = len(self.images)
        if n_images == 0:
            raise ValueError("images is empty; pass at least one image.")
        for name in names:
            values = getattr(self, name)
            if values is not None and len(values) != n_images:
                raise ValueError(
                    f"{name} has {len(values)} items and there are {n_images} images; "
                    "pass one for each image."
                )


def _measure(text, note, fonts):
    """Return the width of a caption in units of the font size."""
    apart = SMALL * (fonts.measure(note) + 1.2) if note else 0
    return max(1, fonts.measure(text) + apart)


def _draw_caption(panel, caption, size, length, slope, fonts):
    """Write the caption above the place of an image."""
    text, color, note = caption
    style = {"fontsize": size, "pad": 0.35 * size, **fonts.style}
    text = panel.set_title(text, loc="left", y=1, **style)
    if color is not None:
        text.set_color(color)
    # The note is at the right end of the image, or of a text that is longer.
    width, height = _axes.measure_axes(panel)
    is_short = size * length <= min(width, height / slope)
    panel.annotate(
        note,
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
