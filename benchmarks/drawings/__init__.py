"""Drawn images of text, each in a style of its own, for pretraining.

``draw(rng, fonts)`` draws one image; ``fonts`` come from ``find_fonts(folder)``. The
same generator gives the same image.
"""

from drawings.faces import find_fonts
from drawings.picture import draw
from drawings.texts import CHARACTERS

__all__ = ["CHARACTERS", "draw", "find_fonts"]
