"""The axes that a display draws on, and matplotlib's layout of their area."""

import numbers
import textwrap

import numpy as np

from skcaptcha._optional import import_optional
from skcaptcha.plotting._fonts import Fonts

FONT_SIZE, SMALLEST = 10.0, 4.0  # points, where there is room and where there is none
WHOLE = {"steps": [1, 2, 5, 10], "integer": True, "min_n_ticks": 1}  # for `set_ticks`
# Points up to which each has a marker, without which a single one would not be seen.
FEW = 30


def check_count(name, value, *, optional=False):
    """Raise a ValueError unless a parameter is an int of at least 1, or left out."""
    is_count = isinstance(value, numbers.Integral) and value >= 1
    if not is_count and not (optional and value is None):
        raise ValueError(f"{name}={value!r} must be an int of at least 1.")


def check_numbers(name, values, each, n=None):
    """Return an array of numbers, at least one, or `n`: one for `each` of something."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}={values!r} does not hold numbers alone; pass one for each {each}."
        ) from error
    if array.ndim != 1 or not array.size or len(array) != (n or len(array)):
        there_are = "" if n is None else f" and there are {n} {each}s"
        raise ValueError(
            f"{name} has shape {array.shape}{there_are}; pass one number for each "
            f"{each}, at least one."
        )
    return array


def prepare_axes(ax, figsize):
    """Return the caller's axes, or those of a new figure of so many inches."""
    import_optional("matplotlib", "plot", "skcaptcha.plotting")
    from matplotlib import pyplot

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


def claim_area(ax):
    """Return the size of axes in points when they have nothing but panels in them."""
    ax.set_axis_off()
    _lay_out(ax)
    return measure_axes(ax)


def measure_margins(ax):
    """Return the points left of, below, right of, above axes; inf under an engine."""
    if ax.figure.get_layout_engine() is not None:
        return np.full(4, np.inf)
    inner, outer = ax.bbox, ax.figure.bbox
    margins = [*(inner.p0 - outer.p0), *(outer.p1 - inner.p1)]
    return np.array(margins) * 72 / ax.figure.dpi


def choose_font_size(*rooms):
    """Return the least of some sizes that fit, within what is legible."""
    return float(np.clip(min(rooms), SMALLEST, FONT_SIZE))


def draw_title(ax, lines, largest, loc="left"):
    """Draw a heading above axes, smaller or with its last line wrapped if too wide."""
    fonts, room = Fonts(monospaced=False), measure_axes(ax)[0]
    title = fonts.spell("\n".join(filter(None, lines)))
    if not title:
        return
    if 0.75 * largest * fonts.measure(title) > room:
        *first, last = title.split("\n")
        halves = textwrap.wrap(last, 2 + 2 * len(last) // 3, break_long_words=False)
        if len(halves) == 2:
            title = "\n".join([*first, *halves])
    above = measure_margins(ax)[3] / (0.6 + 1.25 * (1 + title.count("\n")))
    size = min(largest, room / max(1, fonts.measure(title)), above)
    # At y=1 matplotlib does not move it out of the way of what it thinks is there.
    ax.set_title(title, loc=loc, y=1, pad=0.5 * size, fontsize=size, **fonts.style)


def label_axes(ax, font_size, *, xlabel="", ylabel=""):
    """Name the axes, and give all of their texts a size."""
    ax.set_facecolor("white")  # whatever the style, as lines are dark
    small, pad = 0.9 * font_size, 0.2 * font_size
    ax.set_xlabel(xlabel, fontsize=small, labelpad=pad)
    ax.set_ylabel(ylabel, fontsize=small, labelpad=pad)
    ax.tick_params(labelsize=small, length=1.5 * pad, pad=pad)


def set_ticks(axis, steps, **options):
    """Give an axis ticks at multiples of some numbers, as many as there is room for."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=steps, **options))


def draw_panels(ax, draw, shape, n_panels=2, *, rect=(0, 0, 1, 1), **ratios):
    """Draw in a grid of axes that share the area of `ax`; return an array of these.

    The figure of `ax` has the layout engine that its owner chose, or none. So another
    figure, of the size of `ax`, gets matplotlib's constrained layout; the axes inside
    `ax` have the places of those in that figure, which is thrown away. `draw` gets the
    list of the axes of either, row by row. `rect` is the part of the area to use: left,
    bottom, width and height, from 0 to 1.
    """
    from matplotlib.figure import Figure

    size = claim_area(ax)
    model = Figure(size / 72, dpi=ax.figure.dpi, layout="constrained")
    grid = model.add_gridspec(*shape, **ratios)
    places = [model.add_subplot(grid[i]) for i in range(n_panels)]
    draw(places)
    w_pad, h_pad = np.minimum(3, 0.05 * size / shape[::-1]) / 72
    model.get_layout_engine().set(rect=rect, w_pad=w_pad, h_pad=h_pad)
    model.get_layout_engine().execute(model)
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
