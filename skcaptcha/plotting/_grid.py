"""A grid of images under their captions."""

import math
from dataclasses import dataclass

import numpy as np

from skcaptcha.plotting._axes import (
    check_count,
    prepare_axes,
    size_in_points,
)
from skcaptcha.plotting._lettering import draw_title

__all__ = ["QUIET", "Caption", "draw_grid"]

QUIET = "0.45"  # gray
FIGURE_WIDTH = 8.0  # inches
FONT_SIZE = 11.0  # points, or fewer where the longest text needs it
LINE = 1.25  # height of a line in units of the font size
SMALL = 0.8  # size of the note


@dataclass
class Caption:
    """What stands above an image.

    A text of one line or two, its color (None for that of any text), and a short note
    at the right end of the first line.
    """

    text: str
    color: str | None = None
    note: str = ""

    @property
    def n_lines(self):
        """Number of lines."""
        return self.text.count("\n") + bool(self.text)


def draw_grid(
    pyplot, ax, images, captions, lettering, *, beside, n_columns, max_images, title
):
    """Draw images row by row, each under its caption.

    The grid is laid out here, in points and within `ax`: matplotlib's layouts would
    widen the columns wherever a long text is above a narrow image.

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
    lettering : Lettering
        How texts are drawn.
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
    ax : matplotlib Axes
        The axes that hold the grid.
    axes : ndarray of matplotlib Axes, shape (n_images_shown,) or (n_images_shown, 2)
        Those of the images.
    """
    check_count("n_columns", n_columns)
    if max_images is not None:
        check_count("max_images", max_images)
    captions = captions[:max_images]
    pairs = [[image] for image in images[:max_images]]
    if beside is not None:
        for pair, image in zip(pairs, beside[:max_images], strict=True):
            pair.append(image)
    side_by_side = len(pairs[0])

    n_columns = min(max(1, n_columns // side_by_side), len(pairs))
    if ax is None:
        room = 72 * min(FIGURE_WIDTH, 3 * n_columns * side_by_side), math.inf
    else:
        room = size_in_points(prepare_axes(pyplot, ax, figsize=None))
    shape = np.median([pair[0].shape[:2] for pair in pairs], axis=0)
    lengths = np.array([_measure(caption, lettering) for caption in captions])
    n_lines = [caption.n_lines for caption in captions]
    grid = _lay_out(room, n_columns, side_by_side, shape, lengths, n_lines)
    gap, (width, height) = grid.gap, grid.image
    if ax is None:
        # Cells end in a gap, so the axes reach to the right and the lower edge.
        heading = gap + (2 * FONT_SIZE if title else 0)
        figsize = (grid.lefts[-1] + grid.step + gap) / 72, (grid.height + heading) / 72
        margins = gap / 72, 0, 0, heading / 72
        ax = prepare_axes(pyplot, None, figsize=figsize, margins=margins)
    size = size_in_points(ax)
    ax.set_axis_off()
    draw_title(ax, title, FONT_SIZE, loc="left")

    axes = np.empty((len(pairs), side_by_side), dtype=object)
    for index, (pair, caption) in enumerate(zip(pairs, captions, strict=True)):
        row, column = divmod(index, n_columns)
        left, top = grid.lefts[column] / size[0], 1 - grid.tops[row] / size[1]
        step, box = (width + gap) / size[0], (width / size[0], height / size[1])
        font_size = grid.font_sizes[index]
        for position, image in enumerate(pair):
            cell = ax.inset_axes((left + position * step, top - box[1], *box))
            cell.imshow(image, cmap="gray", vmin=0, vmax=255, origin="upper")
            cell.set(anchor="NW", xticks=[], yticks=[])
            cell.spines[:].set(color="0.8", linewidth=0.5)
            axes[index, position] = cell
        axes[index, 0].set_title(
            caption.text,
            loc="left",
            y=1,
            pad=0.35 * font_size,
            color=caption.color or pyplot.rcParams["text.color"],
            fontsize=font_size,
            **lettering.style,
        )
        ax.annotate(
            caption.note,
            (left + grid.widths[index] / size[0], top),
            xycoords="axes fraction",
            # On the first line of the text, above the second.
            xytext=(0, (0.35 + LINE * (caption.n_lines - 1)) * font_size),
            textcoords="offset points",
            ha="right",
            color=QUIET,
            fontsize=SMALL * font_size,
            **lettering.style,
        )
        if len(pair) == 2:
            ax.annotate(
                "→",
                (left + step - gap / size[0] / 2, top - box[1] / 2),
                xycoords="axes fraction",
                ha="center",
                va="center",
                color=QUIET,
                fontsize=0.9 * gap,
                **lettering.style,
            )
    return ax, axes if side_by_side == 2 else axes[:, 0]


@dataclass
class _Layout:
    """Where everything stands, in points from the upper left corner."""

    gap: float  # between cells
    image: tuple  # width and height of what holds an image
    lefts: np.ndarray  # of the columns
    step: float  # from one column to the next
    tops: np.ndarray  # of the images of each row
    height: float  # of all
    font_sizes: np.ndarray  # of the captions
    widths: np.ndarray  # of the captions with their images


def _lay_out(room, n_columns, side_by_side, shape, lengths, n_lines):
    """Fit images and captions into a room.

    Parameters
    ----------
    room : (float, float)
        Its width and height in points; the height may be infinite.
    n_columns : int
        Number of cells in a row.
    side_by_side : int
        Number of images in a cell.
    shape : (float, float)
        Height and width of a typical image.
    lengths : ndarray of shape (n_cells,)
        Width of each caption in units of the font size.
    n_lines : list of int
        Number of lines of each caption.

    Returns
    -------
    _Layout
    """
    n_rows = math.ceil(len(lengths) / n_columns)
    n_lines = np.array(
        [max(n_lines[i * n_columns : (i + 1) * n_columns]) for i in range(n_rows)]
    )
    slope = min(1, shape[0] / shape[1])  # height by width of what holds an image
    gap = min(
        FONT_SIZE,
        0.1 * room[0] / (n_columns * side_by_side),
        0.1 * room[1] / n_rows,
    )
    width = room[0] / n_columns - gap  # of a caption and what is below it
    between = (side_by_side - 1) * gap
    # A caption that is much longer than others has a smaller font than they have.
    font_size = min(
        FONT_SIZE,
        width / min(lengths.max(), 1.5 * np.median(lengths)),
        0.5 * room[1] / (LINE * max(1, n_lines.sum())),
    )
    font_sizes = np.minimum(font_size, width / lengths)
    above = LINE * font_size * n_lines  # height of the texts of each row
    height = min(
        slope * (width - between) / side_by_side,
        (room[1] - above.sum()) / n_rows - gap,
    )
    across = side_by_side * height / slope + between
    widths = np.maximum(across, lengths * font_sizes)
    bottoms = np.cumsum(above + height + gap)
    return _Layout(
        gap=gap,
        image=(height / slope, height),
        lefts=(widths.max() + gap) * np.arange(n_columns),
        step=widths.max() + gap,
        tops=bottoms - height - gap,
        height=bottoms[-1],
        font_sizes=font_sizes,
        widths=widths,
    )


def _measure(caption, lettering):
    """Width of the caption in units of the font size."""
    width = lettering.measure(caption.text)
    if caption.note:  # which stands apart
        width += SMALL * (lettering.measure(caption.note) + 1.2)
    return max(1, width)
