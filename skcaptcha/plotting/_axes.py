"""The axes that a display draws on, its caller's or new ones."""

import numbers

import numpy as np

__all__ = [
    "check_count",
    "import_pyplot",
    "margins_in_points",
    "prepare_axes",
    "size_in_points",
]


def import_pyplot(display):
    """Return matplotlib's pyplot, or say how `display` can be drawn."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot draws with matplotlib, which is not "
            'installed; install it with: pip install "skcaptcha[plot]"'
        ) from error
    return pyplot


def prepare_axes(pyplot, ax, *, figsize, margins=None):
    """Return the axes to draw on.

    Parameters
    ----------
    pyplot : module
        What `import_pyplot` returned.
    ax : matplotlib Axes or None
        The caller's axes; None makes a figure with one.
    figsize : tuple of float
        Width and height of that figure in inches.
    margins : tuple of float, default=None
        Inches that are left free in that figure at the left, bottom, right and top. By
        default matplotlib's constrained layout leaves what the labels need.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If `ax` is something else.
    """
    if ax is None:
        if margins is None:
            return pyplot.subplots(figsize=figsize, layout="constrained")[1]
        _, ax = pyplot.subplots(figsize=figsize)
        width, height = figsize
        left, bottom, right, top = margins
        ax.set_position(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - bottom - top) / height,
            )
        )
        return ax
    if not isinstance(ax, pyplot.Axes):
        raise TypeError(
            f"ax={ax!r} is {type(ax).__name__}; pass one matplotlib Axes, as "
            "pyplot.subplots makes them, or None for a new figure."
        )
    return ax


def size_in_points(ax):
    """Return the width and height of axes at the size that they have now."""
    return np.array([ax.bbox.width, ax.bbox.height]) * 72 / ax.figure.dpi


def margins_in_points(ax):
    """Return the room around axes for labels: at the left, below, right, above.

    It has no end where a layout will make it.
    """
    if ax.figure.get_layout_engine() is not None:
        return np.full(4, np.inf)
    inner, outer = ax.bbox, ax.figure.bbox
    margins = [*(inner.p0 - outer.p0), *(outer.p1 - inner.p1)]
    return np.array(margins) * 72 / ax.figure.dpi


def check_count(name, value):
    """Raise a ValueError unless a parameter is an int of at least 1."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an int of at least 1.")
