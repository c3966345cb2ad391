"""The axes that a display draws on, and matplotlib's layout of their area."""

import numbers

import numpy as np

from skcaptcha._optional import import_optional
from skcaptcha.plotting._fonts import Fonts

FONT_SIZE, SMALLEST = 10.0, 4.0  # points, where there is room and where there is none


def check_count(name, value):
    """Raise a ValueError unless a parameter is an int of at least 1."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an int of at least 1.")


def check_numbers(name, values, each, n=None):
    """Return an array of numbers, at least one, or `n`: one for `each` of something."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}={values!r} does not hold numbers alone; pass one for each {each}."
        ) from error
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"{name} has shape {array.shape}; pass one number for each {each}, at "
            "least one."
        )
    if n is not None and len(array) != n:
        raise ValueError(
            f"{name} has {len(array)} items and there are {n} {each}s; pass one number "
            f"for each {each}."
        )
    return array


def prepare_axes(ax, figsize):
    """Return the caller's axes, or those of a new figure of so many inches."""
    pyplot = import_optional("matplotlib.pyplot", "plot", "skcaptcha.plotting")
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


def draw_title(ax, title, largest, loc="left"):
    """Draw a heading above axes. If it is too wide, it shrinks, or commas end lines."""
    if not title:
        return
    fonts = Fonts(monospaced=False)
    title, room = fonts.spell(title), measure_axes(ax)[0]
    if 0.75 * largest * fonts.measure(title) > room:
        title = title.replace(", ", ",\n")
    above = measure_margins(ax)[3] / (0.6 + 1.25 * (1 + title.count("\n")))
    size = min(largest, room / max(1, fonts.measure(title)), above)
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


def count_along(axis):
    """Give an axis ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    steps = [1, 2, 5, 10]
    locator = MaxNLocator("auto", steps=steps, integer=True, min_n_ticks=1)
    axis.set_major_locator(locator)


def draw_panels(ax, draw, shape, n_panels, *, rect=(0, 0, 1, 1), **ratios):
    """Draw in a grid of axes that share the area of `ax`; return an array of these.

    The figure of `ax` has the layout engine that its owner chose, or none. So another
    figure, of the size of `ax`, gets matplotlib's constrained layout; the axes inside
    `ax` have the places of those in that figure, which is thrown away. `draw` gets the
    list of the axes of either, row by row. `rect` is the part of the area to use: left,
    bottom, width and height, from 0 to 1.
    """
    from matplotlib.figure import Figure

    ax.set_axis_off()
    _lay_out(ax)
    model = Figure(measure_axes(ax) / 72, dpi=ax.figure.dpi, layout="constrained")
    engine, grid = model.get_layout_engine(), model.add_gridspec(*shape, **ratios)
    places = [model.add_subplot(grid[i]) for i in range(n_panels)]
    draw(places)
    engine.set(rect=rect)
    engine.execute(model)
    panels = np.empty(n_panels, dtype=object)
    for i, place in enumerate(places):
        panels[i] = ax.inset_axes(place.get_position(original=True).bounds)
    draw(list(panels))
    return panels


def _lay_out(ax):
    """Let the layout engine of the figure, if it has one, place the axes."""
    figure = ax.figure.canvas.figure  # the whole, where `ax` is in a subfigure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
