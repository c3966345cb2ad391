"""Texts as they can be drawn: escapes, widths and directions."""

import unicodedata

from skcaptcha.plotting._axes import margins_in_points, size_in_points

__all__ = ["Lettering", "choose_fitting", "draw_title"]

# Wider than the outlines say, as characters are set on whole pixels.
ROUNDING = 1.05
ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"


class Lettering:
    """The fonts of a picture.

    A monospaced one, so that 0 and O or 1 and l differ and texts can be compared
    character by character. What it lacks comes from those that the user chose, in
    matplotlib's ``rcParams["font.family"]``, then from the one that matplotlib ships.

    Parameters
    ----------
    monospaced : bool, default=True
        Whether there is the monospaced one.

    Attributes
    ----------
    style : dict
        Properties of the matplotlib Text that holds what `show` and `name` return.
    """

    def __init__(self, monospaced=True):
        from matplotlib import ft2font, rcParams
        from matplotlib.font_manager import FontProperties, findfont, get_font

        families = [*rcParams["font.family"], "DejaVu Sans"]
        if monospaced:
            families.insert(0, "monospace")
        self.style = {
            "fontfamily": families,
            "fontweight": "normal",
            "parse_math": False,  # a text may hold $ and _
            "usetex": False,
        }
        self._fonts = []
        for family in families:
            try:
                path = findfont(
                    FontProperties(family=family, weight="normal"),
                    fallback_to_default=False,
                )
            except ValueError:  # the user's rcParams name what isn't installed
                continue
            self._fonts.append(get_font(path))
        # Older versions of matplotlib set any text from left to right.
        self._two_directions = hasattr(ft2font, "__libraqm_version__")

    def has(self, character):
        """Tell whether one of the fonts has a character."""
        return any(font.get_char_index(ord(character)) for font in self._fonts)

    def show(self, text):
        """Return a text so that each of its characters is seen.

        In quotes, as Python writes it, is what is empty, has a blank at an end, or
        holds a character that does not print or that no font has.
        """
        seen = text and text.isprintable() and text == text.strip()
        if not (seen and all(map(self.has, text))):
            text = "".join(
                c if self.has(c) else c.encode("unicode_escape").decode()
                for c in repr(text)
            )
        if self._two_directions and any(map(_runs_leftwards, text)):
            # What stands around it keeps its place.
            text = f"{ISOLATE}{text}{END_OF_ISOLATE}"
        return text

    def name(self, symbol):
        """Return the label of a character: itself, or its code points, ``U+4E2D``.

        A blank is ``␣``.
        """
        if symbol == " ":
            return "␣"
        alone = not unicodedata.category(symbol[0]).startswith("M")
        seen = symbol.isprintable() and not symbol.isspace()
        if alone and seen and all(map(self.has, symbol)):
            return symbol
        return " ".join(f"U+{ord(c):04X}" for c in symbol)

    def measure(self, text):
        """Return the width of the widest line in units of the font size."""
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import text_to_path

        font = FontProperties(family=self.style["fontfamily"], size=100)
        # Without what marks the direction, for which no font need have a glyph.
        lines = text.replace(ISOLATE, "").replace(END_OF_ISOLATE, "").split("\n")
        widths = [
            text_to_path.get_text_width_height_descent(line, font, False)[0]
            for line in lines
            if line
        ]
        return ROUNDING * max(widths, default=0) / 100


def choose_fitting(texts, room, font_size):
    """Return the first of some texts that is no wider than `room` points, or the last.

    In the user's font.
    """
    lettering = Lettering(monospaced=False)
    fitting = (text for text in texts if font_size * lettering.measure(text) <= room)
    return next(fitting, texts[-1])


def draw_title(ax, title, largest, loc="center"):
    """Draw a heading above axes, so small that it fits.

    What no font has is spelled ``U+4E2D``.

    Parameters
    ----------
    ax : matplotlib Axes
        The axes.
    title : str or None
        The heading, of one line or more. There is none of None.
    largest : float
        Size of the font in points, where there is room.
    loc : str, default="center"
        As for matplotlib's ``set_title``.
    """
    if not title:
        return
    lettering = Lettering(monospaced=False)
    kept = "\n" + ISOLATE + END_OF_ISOLATE
    title = "".join(
        c if c in kept or lettering.has(c) else f"U+{ord(c):04X}" for c in title
    )
    n_lines = 1 + title.count("\n")
    room = size_in_points(ax)[0] / max(1, lettering.measure(title))
    size = min(largest, room, margins_in_points(ax)[3] / (0.6 + 1.25 * n_lines))
    # At y=1 matplotlib does not move it out of the way of what it thinks is there.
    ax.set_title(title, loc=loc, y=1, pad=0.5 * size, fontsize=size, **lettering.style)


def _runs_leftwards(character):
    return unicodedata.bidirectional(character) in ("R", "AL")
