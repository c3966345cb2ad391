"""The axes that a display draws on, and matplotlib's layout of their area."""

import numbers

import numpy as np

from skcaptcha.plotting._fonts import Fonts

__all__ = [
    "FONT_SIZE",
    "SMALLEST",
    "check_count",
    "choose_font_size",
    "draw_panels",
    "draw_title",
    "import_pyplot",
    "label_axes",
    "measure_axes",
    "measure_margins",
    "prepare_axes",
]

FONT_SIZE, SMALLEST = 10.0, 4.0  # points, where there is room and where there is none


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


def check_count(name, value):
    """Raise a ValueError unless a parameter is an int of at least 1."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an int of at least 1.")


def prepare_axes(pyplot, ax, *, figsize):
    """Return the caller's axes, or those of a new figure of so many inches."""
    if ax is None:
        _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
    elif not isinstance(ax, pyplot.Axes):
        raise TypeError(
            f"ax={ax!r} is {type(ax).__name__}; pass one matplotlib Axes, as "
            "pyplot.subplots makes them, or None for a new figure."
        )
    _lay_out(ax)
    return ax


def measure_axes(ax):
    """Return the width and height of axes in points."""
    return np.array(ax.bbox.size) * 72 / ax.figure.dpi


def measure_margins(ax):
    """Return the points around axes for labels: at the left, below, right, above.

    Without end where a layout engine makes room for them.
    """
    if ax.figure.get_layout_engine() is not None:
        return np.full(4, np.inf)
    inner, outer = ax.bbox, ax.figure.bbox
    margins = [*(inner.p0 - outer.p0), *(outer.p1 - inner.p1)]
    return np.array(margins) * 72 / ax.figure.dpi


def choose_font_size(*rooms):
    """Return the least of some sizes that fit, within what is legible."""
    return float(np.clip(min(rooms), SMALLEST, FONT_SIZE))


def draw_title(ax, title, largest, loc="center"):
    """Draw a heading above axes. If it is too wide, it shrinks, or commas end lines."""
    if not title:
        return
    fonts = Fonts(monospaced=False)
    title, room = fonts.spell(title), measure_axes(ax)[0]
    if 0.75 * largest * fonts.measure(title) > room:
        title = title.replace(", ", ",\n")
    size = min(
        largest,
        room / max(1, fonts.measure(title)),
        measure_margins(ax)[3] / (0.6 + 1.25 * (1 + title.count("\n"))),
    )
    # At y=1 matplotlib does not move it out of the way of what it thinks is there.
    ax.set_title(title, loc=loc, y=1, pad=0.5 * size, fontsize=size, **fonts.style)


def label_axes(ax, font_size, *, xlabel="", ylabel=""):
    """Name the axes, and give all of their texts a size."""
    ax.set_facecolor("white")  # whatever the style, as lines are dark
    style = {"fontsize": 0.9 * font_size, "labelpad": 0.2 * font_size}
    ax.set_xlabel(xlabel, **style)
    ax.set_ylabel(ylabel, **style)
    ax.tick_params(
        labelsize=0.9 * font_size, length=0.3 * font_size, pad=0.2 * font_size
    )


def draw_panels(ax, draw, shape, n_panels, *, rect=(0, 0, 1, 1), **ratios):
    """Draw in a grid of axes that share the area of `ax`.

    The figure of `ax` may have any layout engine, or none, that the caller chose. So a
    figure of the size of `ax`, which is thrown away, gets matplotlib's constrained
    layout, and the axes inside of `ax` the same places.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes whose area is taken.
    draw : callable
        What draws on a list of axes, from left to right and from top to bottom. It is
        called twice.
    shape : tuple of int
        Number of rows and columns of the grid.
    n_panels : int
        Number of axes.
    rect : tuple of float
        Part of the area to use: left, bottom, width and height, from 0 to 1.
    **ratios
        ``width_ratios`` and ``height_ratios`` of the grid.

    Returns
    -------
    ndarray of matplotlib Axes, shape (n_panels,)
    """
    from matplotlib.figure import Figure

    ax.set_axis_off()
    _lay_out(ax)
    model = Figure(measure_axes(ax) / 72, dpi=ax.figure.dpi, layout="constrained")
    model.get_layout_engine().set(rect=rect)
    grid = model.add_gridspec(*shape, **ratios)
    places = [model.add_subplot(grid[i]) for i in range(n_panels)]
    draw(places)
    model.get_layout_engine().execute(model)
    panels = np.empty(n_panels, dtype=object)
    for i, place in enumerate(places):
        panels[i] = ax.inset_axes(place.get_position(original=True).bounds)
    draw(panels.tolist())
    return panels


def _lay_out(ax):
    """Let the layout engine of the figure, if it has one, place the axes."""
    figure = ax.figure.canvas.figure  # the whole, where `ax` is in a subfigure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
