"""Texts as a font can draw them: escapes, widths and directions."""

import unicodedata

from skcaptcha._optional import import_optional

ROUNDING = 1.05  # small characters are wider, as they are set on whole pixels
ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"


class Fonts:
    """The fonts of a figure, and `style`, the properties of a Text that needs them.

    First a monospaced one, so that 0 and O or 1 and l differ and texts can be compared
    character by character; then those of matplotlib's ``rcParams["font.family"]``, and
    the one that matplotlib ships.
    """

    def __init__(self, monospaced=True):
        import_optional("matplotlib", "plot", "skcaptcha.plotting")
        from matplotlib import rcParams
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
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
            properties = FontProperties(family=family, weight="normal")
            try:
                path = findfont(properties, fallback_to_default=False)
            except ValueError:  # rcParams name a font that is not installed
                continue
            self._fonts.append(get_font(path))
        self._figure = FigureCanvasAgg(Figure((1, 1), dpi=72)).figure

    def has(self, character):
        """Tell whether one of the fonts has a character."""
        return any(font.get_char_index(ord(character)) for font in self._fonts)

    def show(self, text):
        """Return a text, or as Python writes it what would not be seen of it."""
        from matplotlib import ft2font

        if not self._is_seen(text):
            text = "".join(
                c if self.has(c) else c.encode("unicode_escape").decode()
                for c in repr(text)
            )
        # Older versions of matplotlib set any text from left to right.
        two_directions = hasattr(ft2font, "__libraqm_version__")
        if two_directions and {"R", "AL"} & set(map(unicodedata.bidirectional, text)):
            # What stands around it keeps its place.
            text = f"{ISOLATE}{text}{END_OF_ISOLATE}"
        return text

    def name(self, symbol):
        """Return a label for a character: itself, ``␣``, or its ``U+4E2D``."""
        if symbol == " ":
            return "␣"
        is_mark = unicodedata.category(symbol[0]).startswith("M")
        if self._is_seen(symbol) and not is_mark:
            return symbol
        return " ".join(f"U+{ord(c):04X}" for c in symbol)

    def spell(self, title):
        """Return a heading in which ``U+4E2D`` stands for what no font has."""
        kept = "\n" + ISOLATE + END_OF_ISOLATE
        missing = {c for c in title if c not in kept and not self.has(c)}
        return title.translate({ord(c): f"U+{ord(c):04X}" for c in missing})

    def measure(self, text):
        """Return the width of a text in units of the font size."""
        from matplotlib.text import Text

        artist = Text(text=text, fontsize=100, **self.style)
        artist.set_figure(self._figure)
        return ROUNDING * artist.get_window_extent().width / 100

    def _is_seen(self, text):
        """Tell whether no character is missing in all fonts, or blank at an end."""
        is_visible = text and text.isprintable() and text == text.strip()
        return is_visible and all(map(self.has, text))
